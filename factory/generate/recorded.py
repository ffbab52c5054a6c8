"""Recorded answers: translations by people or vendors, in files, looked up by the exact text."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import BuildError, Fault, InputError
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.yamlfile import display

FAULTS_TOLD = 20
"""Faults that are listed before the rest is only counted."""
_BATCH_ROWS = 4_096


class Recorded(NamedTuple):
    """An answer and where it stands: the file as shown to people, and the 1-based line or row."""

    answer: str
    file: str
    line: int


class RecordedEngine:
    """Answers from JSONL or Parquet files with the columns `text` and `answer` (others are ignored).

    A text that is not in them is a miss. Raises InputError with every fault of the files: a broken line, a
    text or an answer that is no text, one text with two different answers.
    """

    unit: Unit = "text"
    prompted = False
    capacity = 1

    def __init__(self, name: str, files: str | list[str], folder: Path) -> None:
        self.name = name
        self._patterns = [files] if isinstance(files, str) else list(files)
        self._folder = folder

    @cached_property
    def files(self) -> list[Path]:
        """The files, in the order of the patterns, those of one pattern sorted."""
        found: list[Path] = []
        for pattern in self._patterns:
            matched = sorted(Path(p) for p in glob.glob(str(self._folder / pattern), recursive=True))
            if not matched:
                raise InputError(
                    f"model {self.name!r}: no file of recorded answers at {display(self._folder / pattern)}"
                )
            found += [p for p in matched if p not in found]
        return found

    @cached_property
    def answers(self) -> dict[str, Recorded]:
        """Every recorded answer by its text."""
        answers: dict[str, Recorded] = {}
        faults: list[Fault] = []
        for path in self.files:
            file = display(path)
            for line, text, answer, wrong in _read(path, file):
                if wrong:
                    faults.append(Fault(file, line, 1, wrong))
                elif (first := answers.setdefault(text, Recorded(answer, file, line))).answer != answer:
                    where = f"{first.file}:{first.line}"
                    faults.append(Fault(file, line, 1, f"another answer to the text of {where}: {_shown(text)}"))
        if len(faults) > FAULTS_TOLD:
            rest = Fault(display(self._folder), 0, 0, f"and {len(faults) - FAULTS_TOLD} more faults like these")
            faults = [*faults[:FAULTS_TOLD], rest]
        if faults:
            raise InputError(faults)
        return answers

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The digest of all texts and answers; how they are spread over files does not count."""
        h = hashlib.sha256()
        for text in sorted(self.answers):
            for part in (text.encode(), self.answers[text].answer.encode()):
                h.update(len(part).to_bytes(8, "big") + part)
        return {"engine": "recorded", "answers": h.hexdigest()}

    async def __aenter__(self) -> Self:
        _ = self.answers
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def answer(self, request: Request) -> Answer:
        """The recorded answer to the last user message."""
        text = request.text if request.text is not None else request.last_user_text
        found = None if text is None else self.answers.get(text)
        return Answer("", "miss") if found is None else Answer(found.answer, "stop")

    async def hold(self, error: BuildError) -> None:
        """Nothing waits here."""


def _read(path: Path, file: str) -> Iterator[tuple[int, str, str, str | None]]:
    """Line, text, answer, and what is wrong with it if anything is."""
    if path.suffix == ".jsonl":
        return _read_jsonl(path)
    if path.suffix == ".parquet":
        return _read_parquet(path, file)
    raise InputError(Fault(file, 0, 0, "recorded answers are .jsonl or .parquet files"))


def _read_jsonl(path: Path) -> Iterator[tuple[int, str, str, str | None]]:
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as e:
                yield number, "", "", f"not JSON: {e.msg}"
                continue
            if not isinstance(row, dict):
                yield number, "", "", f"expected an object with 'text' and 'answer', found {_shown(row)}"
                continue
            text, answer = row.get("text"), row.get("answer")
            if isinstance(text, str) and isinstance(answer, str):
                yield number, text, answer, None
            else:
                yield number, "", "", _not_text(row)


def _read_parquet(path: Path, file: str) -> Iterator[tuple[int, str, str, str | None]]:
    try:
        with pq.ParquetFile(path) as parquet:
            missing = {"text", "answer"} - set(parquet.schema_arrow.names)
            if missing:
                raise InputError(Fault(file, 0, 0, f"no column {min(missing)!r}; it has {parquet.schema_arrow.names}"))
            number = 0
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=["text", "answer"]):
                for row in batch.to_pylist():
                    number += 1
                    good = isinstance(row["text"], str) and isinstance(row["answer"], str)
                    yield (number, row["text"], row["answer"], None) if good else (number, "", "", _not_text(row))
    except (pa.ArrowException, OSError) as e:
        raise InputError(Fault(file, 0, 0, f"cannot be read: {str(e).splitlines()[0]}")) from None


def _not_text(row: dict[str, Any]) -> str:
    field = "text" if not isinstance(row.get("text"), str) else "answer"
    return f"field {field!r}: expected text, found {_shown(row.get(field)) if field in row else 'nothing'}"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
