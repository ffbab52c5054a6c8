"""The engine `batch`, forms `csv` and `jsonl`: texts for people to translate, as a table with a column to fill in.

The model: a text's id is `t` and the beginning of its SHA-256, so a table may be sorted, split, or come back in
another file. What people wrote is the model: a translation that is corrected makes another one, and what follows is
built again (as with recorded answers).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from hala_factory.catalog import Model
from hala_factory.errors import Fault, InputError
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.generate.offline import OfflineEngine, Outbox
from hala_factory.yamlfile import display

COLUMNS = ["id", "text", "translation"]
MAX_BYTES = 20_000_000  # what spreadsheets still open at ease
_BOM = "\ufeff"
_DELIMITERS = ",;\t"
_LONGEST_CELL = 10_000_000


class _Translated(NamedTuple):
    translation: str
    file: str
    line: int


class SheetEngine(OfflineEngine):
    """Writes `requests-*.csv` (or `.jsonl`): `id`, `text`, and an empty `translation` for people to fill in.

    They may fill it in there, or in files called `answers*.csv` or `answers*.jsonl`. Raises InputError with every
    fault of the files: no such columns, broken lines, two translations of one text.
    """

    unit: Unit = "text"
    prompted = False

    def __init__(self, name: str, model: Model, folder: Path) -> None:
        super().__init__(name, folder)
        assert model.batch is not None
        self._form = model.batch.form
        head = _BOM.encode() + _spelt(COLUMNS) if self._form == "csv" else b""  # without the mark Excel breaks Arabic
        self._outbox = Outbox(
            folder, f".{self._form}", head=head, max_requests=model.batch.max_requests, max_bytes=MAX_BYTES
        )
        self._waiting: set[str] = set()
        self._new = 0

    @cached_property
    def _sheets(self) -> tuple[set[str], dict[str, _Translated]]:
        """Ids that were asked for, and what was translated."""
        asked: set[str] = set()
        done: dict[str, _Translated] = {}
        faults: list[Fault] = []
        patterns = ("requests-*.csv", "requests-*.jsonl", "answers*.csv", "answers*.jsonl")
        for path in (p for pattern in patterns for p in sorted(self.folder.glob(pattern))):
            file = display(path)
            try:
                for line, id_, translation in _rows(path, file):
                    if path.name.startswith("requests-"):
                        asked.add(id_)
                    if not translation.strip():
                        continue
                    first = done.setdefault(id_, _Translated(translation, file, line))
                    if first.translation != translation:
                        where = f"{first.file}:{first.line}"
                        faults.append(Fault(file, line, 1, f"another translation of {id_} than in {where}"))
            except InputError as e:
                faults += e.faults
        if faults:
            raise InputError(faults)
        return asked, done

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The digest of all translations; how they are spread over files does not count."""
        h = hashlib.sha256()
        for id_, done in sorted(self._sheets[1].items()):
            for part in (id_.encode(), done.translation.encode()):
                h.update(len(part).to_bytes(8, "big") + part)
        return {"engine": "people", "translations": h.hexdigest()}

    def load(self) -> None:
        """Read all sheets."""
        _ = self._sheets

    def look(self, request: Request) -> Answer | None:
        """The translation of a request's bare text, which is put on a sheet where it stands on none."""
        text = request.text if request.text is not None else request.last_user_text or ""
        id_ = f"t{hashlib.sha256(text.encode()).hexdigest()[:16]}"  # without a letter, Excel may take it for a number
        asked, done = self._sheets
        if id_ in done:
            return Answer(done[id_].translation, "stop")
        if id_ not in asked and id_ not in self._waiting:
            fields = dict(zip(COLUMNS, (id_, text, ""), strict=True))
            jsonl = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
            self._outbox.add(_spelt(list(fields.values())) if self._form == "csv" else jsonl)
            self._new += 1
        self._waiting.add(id_)
        return None

    def publish(self) -> None:
        """Let the last sheet take its name."""
        self._outbox.publish()

    def told(self) -> str:
        """How many texts wait, in which files, and what to do."""
        old = len(self._waiting) - self._new
        parts = [f"{self._new:,} new in {', '.join(p.name for p in self._outbox.files)}"] if self._new else []
        parts += [f"{old:,} of earlier files"] if old else []
        return (
            f"model {self.name!r}: {len(self._waiting):,} texts wait for translations in {display(self.folder)} "
            f"({', '.join(parts)}); fill in the column 'translation', there or in files called "
            f"answers*.{self._form}, and run the same command again"
        )


def _spelt(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()


def _rows(path: Path, file: str) -> Iterator[tuple[int, str, str]]:
    """Line, id and translation of every row. Raises InputError for what cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(Fault(file, 0, 0, "not UTF-8; save it as 'CSV UTF-8'")) from None
    if path.suffix == ".jsonl":
        yield from _rows_jsonl(text, file)
        return
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        missing = {"id", "translation"} - set(reader.fieldnames or ())
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise InputError(Fault(file, 1, 1, f"no column {min(missing)!r}; expected {COLUMNS}, found {found}"))
        for row in reader:
            if row["id"]:
                yield reader.line_num, row["id"].strip(), row["translation"] or ""
    except csv.Error as e:
        raise InputError(Fault(file, reader.reader.line_num, 1, f"not CSV: {e}")) from None


def _rows_jsonl(text: str, file: str) -> Iterator[tuple[int, str, str]]:
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as e:
            faults.append(Fault(file, number, 1, f"not JSON: {e.msg}"))
            continue
        if isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("translation"), str):
            yield number, row["id"], row["translation"]
        else:
            faults.append(Fault(file, number, 1, f"expected an object with the texts {', '.join(COLUMNS)}"))
    if faults:
        raise InputError(faults)
