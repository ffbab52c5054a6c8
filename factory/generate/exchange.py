"""Exchange: answers out of a generation store and into another, each with what its key is made of.

The model: a row says the messages, the sampling and the identity of the model, so whoever takes it in computes the
key anew and believes no other. What is taken in never replaces what is there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import Fault, InputError
from hala_factory.generate import segments
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.inventory import chosen, models
from hala_factory.generate.journal import latest_of
from hala_factory.generate.locks import compacting
from hala_factory.generate.store import GenerationStore
from hala_factory.store import atomic
from hala_factory.yamlfile import display

EXPORTED = pa.schema([pa.field("model", pa.string()), pa.field("identity", pa.string()), *segments.SEGMENT])
"""The columns of an export: the model's name and what decides its answers (as JSON), then those of a segment."""
FAULTS_TOLD = 20
_GROUP_ROWS = 4_096


def export(root: Path, out: Path, wanted: Iterable[str] = ()) -> dict[str, int]:
    """Write the answers of these models (all if none is named) to a .parquet or .jsonl file; answers by folder.

    Of several answers to one prompt the one that counts is written. JSON Lines have `identity` as an object and
    `time` in ISO 8601. Raises InputError for an unknown model or another kind of file.
    """
    if out.suffix not in (".parquet", ".jsonl"):
        raise InputError(f"{out}: an export is a .parquet or a .jsonl file")
    counts: dict[str, int] = {}
    with atomic(out) as temporary, contextlib.ExitStack() as stack:
        if out.suffix == ".parquet":
            writer = stack.enter_context(pq.ParquetWriter(temporary, EXPORTED, compression="zstd"))
        else:
            file = stack.enter_context(temporary.open("wb"))
        for folder, model in chosen(root, wanted).items():
            counts[folder.name] = 0
            for table in answers_of(folder):
                counts[folder.name] += table.num_rows
                if out.suffix == ".parquet":
                    writer.write_table(_named(table, model), row_group_size=_GROUP_ROWS)
                else:
                    file.writelines(_line(row, model) for row in table.to_pylist())
    return counts


def _named(table: pa.Table, model: ModelIdentity) -> pa.Table:
    said = {"model": model.name, "identity": json.dumps(model.content, ensure_ascii=False, sort_keys=True)}
    columns = [pa.repeat(pa.scalar(text), table.num_rows) for text in said.values()]
    return pa.table([*columns, *table.columns], schema=EXPORTED)


def _line(row: dict[str, Any], model: ModelIdentity) -> bytes:
    time = row["time"].astimezone(UTC).isoformat(timespec="milliseconds")
    fields = {"model": model.name, "identity": model.content, **row, "time": time}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def answers_of(folder: Path) -> Iterator[pa.Table]:
    """Every answer of a model's folder that counts, once, a few thousand at a time; live journals are read, too."""
    with compacting(folder, wait=True):
        latest = latest_of(folder)  # before the segments: one that becomes a segment is then read twice, not missed
        paths, _ = segments.sorted_out(folder)
        journals = pa.Table.from_pylist(latest, segments.SEGMENT)
        heads = [segments.head(answers, number) for number, answers in enumerate([*paths, journals])]
        counts = segments.counting(heads)
        for number in range(len(heads)):
            start = 0
            for table in segments.rows(paths[number]) if number < len(paths) else [journals]:
                mask = counts[number].slice(start, table.num_rows).to_arrow()
                yield table.filter(mask)
                start += table.num_rows


def take_in(root: Path, place: Path) -> dict[str, int]:
    """Store the answers of an export, or of another store's folder; `read`, `new` and `known`.

    Raises InputError, before anything is stored, with the faults of all rows: fields that are missing or of another
    type, and keys that are not those of their prompt, sampling and model.
    """
    source = _Folder.at(place) if place.is_dir() else _File(place)
    source.check()
    counts = {"read": 0, "new": 0, "known": 0}
    with contextlib.ExitStack() as stack:
        stores: dict[str, GenerationStore] = {}
        for entry in source:
            mark = entry.model.fingerprint
            if mark not in stores:
                stores[mark] = stack.enter_context(GenerationStore(root, entry.model))
            counts["read"] += 1
            stored = stores[mark].get(entry.key)
            if stored is None or (stored.error is not None and entry.answer.error is None):
                stores[mark].put(entry.key, entry.request, entry.answer)
                counts["new"] += 1
            else:
                counts["known"] += 1
    return counts


@dataclass(frozen=True)
class _Entry:
    model: ModelIdentity
    key: str
    request: Request
    answer: Answer


class _Folder:
    """The answers of another store, of its generations, or of one model."""

    def __init__(self, folders: dict[Path, ModelIdentity]) -> None:
        self.folders = folders

    @classmethod
    def at(cls, place: Path) -> _Folder:
        for root in (place / "generations", place):
            if found := models(root):
                return cls(found)
        if found := {f: m for f, m in models(place.parent).items() if f == place}:
            return cls(found)
        raise InputError(f"{place}: holds no answers: expected a store, or a folder with a model.json")

    def check(self) -> None:
        faults = []
        for folder, model in self.folders.items():
            for table in answers_of(folder):
                for row in table.to_pylist():
                    if wrong := _wrong({**row, "model": model.name}, model):
                        faults.append(Fault(display(folder), 0, 0, wrong))
        _tell(faults, display(next(iter(self.folders)).parent))

    def __iter__(self) -> Iterator[_Entry]:
        for folder, model in self.folders.items():
            for table in answers_of(folder):
                for row in table.to_pylist():
                    yield _entry(row, model)


class _File:
    """The answers of an export."""

    def __init__(self, path: Path) -> None:
        if path.suffix not in (".parquet", ".jsonl"):
            raise InputError(f"{path}: an export is a .parquet or a .jsonl file, or a folder")
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        self.path = path
        self._models: dict[str, ModelIdentity] = {}

    def check(self) -> None:
        faults = []
        for number, row in self._rows():
            model = self._model(row) if isinstance(row, dict) else None
            wrong = "expected an object" if not isinstance(row, dict) else _wrong(row, model)
            if wrong:
                faults.append(Fault(display(self.path), number, 1, wrong))
        _tell(faults, display(self.path))

    def __iter__(self) -> Iterator[_Entry]:
        for _, row in self._rows():
            model = self._model(row)
            assert model is not None  # `check` has seen every row
            yield _entry(row, model)

    def _model(self, row: dict[str, Any]) -> ModelIdentity | None:
        said, name = row.get("identity"), row.get("model")
        spelt = said if isinstance(said, str) else json.dumps(said, sort_keys=True)
        if spelt not in self._models:
            try:
                content = json.loads(spelt)
            except ValueError:
                return None
            if not isinstance(content, dict) or not content or not isinstance(name, str) or not name:
                return None
            self._models[spelt] = ModelIdentity(name, content)
        return self._models[spelt]

    def _rows(self) -> Iterator[tuple[int, Any]]:
        if self.path.suffix == ".jsonl":
            with self.path.open("rb") as f:
                for number, line in enumerate(f, 1):
                    if line.strip():
                        try:
                            yield number, orjson.loads(line)
                        except orjson.JSONDecodeError:
                            yield number, None
            return
        try:
            with pq.ParquetFile(self.path) as file:
                number = 0
                for batch in file.iter_batches(_GROUP_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
        except (pa.ArrowException, OSError) as e:
            raise InputError(Fault(display(self.path), 0, 0, f"cannot be read: {str(e).splitlines()[0]}")) from None


_FIELDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "messages": (list,),
    "temperature": (int, float),
    "max_tokens": (int,),
    "seed": (int, type(None)),
    "answer": (str,),
    "finish_reason": (str,),
    "prompt_tokens": (int,),
    "output_tokens": (int,),
    "error": (str, type(None)),
    "schema": (str, type(None)),
}


def _wrong(row: dict[str, Any], model: ModelIdentity | None) -> str | None:
    """What is wrong with a row, if anything is."""
    for name, types in _FIELDS.items():
        if not isinstance(row.get(name), types) or isinstance(row.get(name), bool):
            found = type(row[name]).__name__ if name in row else "nothing"
            return f"field {name!r}: expected {' or '.join(_WORDS[t] for t in types)}, found {found}"
    for message in row["messages"]:
        said = message if isinstance(message, dict) else {}
        if not isinstance(said.get("role"), str) or not isinstance(said.get("content"), str):
            return "field 'messages': expected objects with the texts 'role' and 'content'"
    if model is None:
        return "field 'identity': expected an object that says what decides the model's answers"
    if row["finish_reason"] not in ("stop", "length", "error") or (row["finish_reason"] == "error") != bool(
        row["error"]
    ):
        return f"finish_reason {row['finish_reason']!r} with error {row['error']!r} is no answer of a model"
    entry = _entry(row, model)
    if row.get("key") not in (None, entry.key):
        return f"key {str(row['key'])[:12]}… is not that of its prompt, sampling and model ({entry.key[:12]}…)"
    return None


_WORDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", list: "a list", type(None): "null"}


def _entry(row: dict[str, Any], model: ModelIdentity) -> _Entry:
    request = Request(
        tuple((m["role"], m["content"]) for m in row["messages"]),
        row["temperature"],
        row["max_tokens"],
        row["seed"],
        schema=row.get("schema"),
    )
    answer = Answer(
        row["answer"], row["finish_reason"], row["prompt_tokens"], row["output_tokens"], row["error"] or None
    )
    return _Entry(model, request.key(model), request, answer)


def _tell(faults: list[Fault], where: str) -> None:
    if len(faults) > FAULTS_TOLD:
        faults = [*faults[:FAULTS_TOLD], Fault(where, 0, 0, f"and {len(faults) - FAULTS_TOLD} more faults like these")]
    if faults:
        raise InputError(faults)
