"""Benchmarks: an evaluation set of the catalog as a table of its questions, to compare rows with.

The model:
- `find` says which files a benchmark has, before anything runs; on the Hub it asks which and reads none.
- `prepare` reads them once and writes the table; what it is named by decides what is in it.
- A question that cannot be read is an error: what is left out of a benchmark would pass for clean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from hala_factory import reader
from hala_factory.catalog import QUESTION_COLUMNS, Benchmark, Loaded, Source
from hala_factory.errors import BuildError, Fault, InputError, did_you_mean
from hala_factory.fingerprint import fingerprint
from hala_factory.hub import commit_of, explained, first_line
from hala_factory.reader import documents, lines, opening
from hala_factory.reader.columns import Wanted
from hala_factory.reader.values import names_in, spell_scalar, value_at
from hala_factory.reader.variants import Broken
from hala_factory.rows import JOIN
from hala_factory.store import atomic

REVISION = 1
"""Raised when the same files give another table."""
COLUMNS: dict[str, pl.DataType] = {
    "benchmark": pl.String(),
    "row": pl.String(),
    "language": pl.String(),
    "question": pl.String(),
    "choices": pl.List(pl.String),
    "context": pl.String(),
}
"""A line per question. `row` is its id in its own file, else `FILE:RECORD`; `context` is the passage it is about, ''
where there is none. Answers are left out: nothing here needs them (`questions` reads them, for scores)."""

ALL = "*"
_RECORDS = 1_000  # of a Parquet file at once


@dataclass(frozen=True)
class Located:
    """A benchmark whose files are known."""

    name: str
    entry: Benchmark
    files: reader.Located
    subsets: Mapping[str, str] = field(default_factory=dict)
    """Of which configuration on the Hub a file is, where all of them are read."""

    @property
    def columns(self) -> dict[str, str | list[str]]:
        """The columns of the table; what only scores need decides nothing in it."""
        return {name: paths for name, paths in self.entry.columns.items() if name in QUESTION_COLUMNS}

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the table, for fingerprints."""
        return {
            "benchmark": self.name,
            "language": self.entry.language,
            "columns": self.columns,
            "each": self.entry.each,
            "format": self.files.format,
            "files": [[f.name, f.digest] for f in self.files.files],
            "reader": REVISION,
        }


def find(
    names: Sequence[str],
    loaded: Loaded,
    digests: Callable[[Path], str],
    *,
    samples: bool = False,
    languages: Collection[str] | None = None,
    revisions: Mapping[str, str | None] | None = None,
) -> dict[str, Located]:
    """The files of benchmarks by name.

    Args:
        names: Of the catalog; `*` stands for all that it has (with `samples`, all that have one).
        loaded: The catalog.
        digests: How a local file's digest is found.
        samples: Take their samples in place of themselves.
        languages: Of `*`, take those in one of these languages only.
        revisions: Commits on the Hub that a version which stands was made with, by benchmark.

    Raises:
        InputError: With the faults of all of them: a name that is not known, files that are not there.
    """
    known = loaded.catalog.benchmarks
    every = [
        n for n, e in known.items() if (languages is None or e.language in languages) and (e.sample or not samples)
    ]
    found, faults = {}, []
    for name in dict.fromkeys(n for given in names for n in (every if given == ALL else [given])):
        try:
            if name not in known:
                raise InputError(f"it is not in the catalog{did_you_mean(name, known)}")
            found[name] = _located(name, known[name], loaded.folder, digests, samples, (revisions or {}).get(name))
        except InputError as error:
            faults.append(Fault("", 0, 0, f"benchmark {name!r}: {error}"))
    if not found and not faults:
        what = f" in {' or '.join(map(repr, sorted(languages)))}" if languages else ""
        with_sample = " with a 'sample'" if samples else ""
        faults.append(Fault("", 0, 0, f"the catalog has no benchmark{what}{with_sample} to compare with"))
    if faults:
        raise InputError(faults)
    return found


def _located(
    name: str, entry: Benchmark, folder: Path, digests: Callable[[Path], str], sample: bool, revision: str | None
) -> Located:
    if not entry.columns:
        raise InputError("its 'columns' do not say which one holds the question")
    if sample and entry.sample is None:
        raise InputError("it has no 'sample'; write a few questions in its columns and name them in the catalog")
    revision = entry.revision or revision
    if sample or entry.hub is None or entry.config is not None or entry.files:
        return Located(name, entry, _files(entry, entry.config, folder, digests, sample, revision))
    commit = commit_of(entry.hub, "dataset", revision)
    parts = {c: _files(entry, c, folder, digests, sample, commit) for c in _configs(entry.hub, commit)}
    files = {file.name: file for part in parts.values() for file in part.files}
    subsets = {file.name: config for config, part in parts.items() for file in part.files}
    form = next(iter(parts.values())).format
    return Located(name, entry, reader.Located(commit, tuple(files.values()), form), subsets)


def _files(
    entry: Benchmark,
    config: str | None,
    folder: Path,
    digests: Callable[[Path], str],
    sample: bool,
    revision: str | None,
) -> reader.Located:
    """Its files, found as those of a source with the same place are."""
    source = Source(
        hub=entry.hub,
        path=entry.path,
        config=config,
        split=entry.split,
        files=entry.files,
        format=entry.format,
        columns={"prompt": "", "response": ""},
        language=entry.language,
        licence=entry.licence,
        sample=entry.sample,
    )
    return reader.locate(source, folder, revision=revision, sample=sample, digests=digests)


def _configs(hub: str, commit: str) -> list[str]:
    import httpx
    from datasets import get_dataset_config_names

    try:
        return [str(name) for name in get_dataset_config_names(hub, revision=commit)]
    except (httpx.HTTPError, OSError) as error:
        raise InputError(explained(error, hub, "dataset", commit)) from error
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{hub!r} on the Hub: {first_line(error)}; name its 'config:' or 'files:'") from error


def table_name(located: Located) -> str:
    """The name of the file that holds the table of a benchmark."""
    return f"{located.name}-{fingerprint(located.identity)[:12]}.parquet"


def prepare(located: Located, folder: Path) -> Path:
    """The file of a benchmark's table below `folder`, written unless it stands.

    Raises:
        InputError: A column is missing.
        BuildError: A file or a record of it cannot be read, or no question is found.
    """
    path = folder / table_name(located)
    if not path.exists():
        table = read(located)
        with atomic(path) as temporary:
            table.write_parquet(temporary)
    return path


def read(located: Located) -> pl.DataFrame:
    """The questions of a benchmark, in the order of its files, with `COLUMNS`. Raises as `prepare`."""
    lines_ = [line for file in located.files.files for line in _questions(located, file)]
    table = pl.DataFrame(lines_, schema=COLUMNS, orient="row")
    if not table.height:
        raise BuildError(f"benchmark {located.name!r}: no question stands in {_named(located)}; see to its 'columns'")
    if "choices" in located.entry.columns and not table["choices"].list.len().sum():
        raise InputError(f"benchmark {located.name!r}: no question in {_named(located)} has any of its 'choices'")
    return table


def _named(located: Located) -> str:
    names = [file.name for file in located.files.files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _questions(located: Located, file: reader.File) -> Iterator[tuple[Any, ...]]:
    columns = located.columns
    for place, asked in records(located, file, columns):
        found = {name: texts(asked, paths, name, place) for name, paths in columns.items()}
        question = JOIN.join(found["question"])
        if question.strip():
            row = "".join(found.get("id", [])) or place
            yield (
                *(located.name, row, located.entry.language, question),
                *(found.get("choices", []), JOIN.join(found.get("context", []))),
            )


def records(
    located: Located, file: reader.File, columns: Mapping[str, str | list[str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything in a file that asks a question, in these columns, with its place, `FILE:RECORD`.

    Raises:
        InputError: A column is missing.
        BuildError: The file or a record of it cannot be read.
    """
    each = located.entry.each
    with opening.reading(file):
        for number, record in _records(located, file, columns):
            if not isinstance(record, dict):
                said = record.detail if isinstance(record, Broken) else "expected an object"
                raise BuildError(f"{file.name}:{number}: {said}; mend it, or fetch the file again")
            for part, asked in enumerate(_parts(record, each, file, number) if each else [record]):
                yield f"{file.name}:{number}" + (f".{part}" if each else ""), asked


def _records(located: Located, file: reader.File, columns: Mapping[str, str | list[str]]) -> Iterator[tuple[int, Any]]:
    """Every record with its number, 1-based."""
    form = located.files.format
    paths = [p for paths in columns.values() for p in ([paths] if isinstance(paths, str) else paths)]
    if form == "parquet":
        with opening.seekable(file) as source:
            batches = pq.ParquetFile(source).iter_batches(_RECORDS)
            yield from enumerate((record for batch in batches for record in batch.to_pylist()), 1)
        return
    if form == "jsonl":
        chunks = lines.jsonl(file)
    elif form == "json":
        chunks = documents.document("json", file, [])
    elif form in ("csv", "tsv"):
        wanted = Wanted({path: path for path in paths}, None, None, ())
        chunks = lines.delimited(file, form, wanted, header=not all(path.isdecimal() for path in paths))
    else:
        raise InputError(f"{file.name}: a benchmark is parquet, jsonl, json, csv or tsv, not {form}")
    for chunk in chunks:
        yield from zip(chunk.positions, chunk.records, strict=True)


def _parts(record: dict[str, Any], path: str, file: reader.File, number: int) -> Iterator[dict[str, Any]]:
    """The members of the list at a dotted path through lists, each with the columns of what it stands in."""
    head, _, rest = path.partition(".")
    members = record.get(head)
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise InputError(f"{file.name}:{number}: 'each' names {head!r}, which is no list of objects there")
    around = {name: value for name, value in record.items() if name != head}
    for member in members:
        inner = {**around, **member}
        yield from _parts(inner, rest, file, number) if rest else [inner]


def texts(asked: dict[str, Any], paths: str | list[str], name: str, place: str) -> list[str]:
    """What stands in the columns of a field; a choice or a passage may be missing, a question may not.

    Raises InputError for a column that is not there, BuildError for a text that is not valid UTF-8.
    """
    found: list[str] = []
    for path in [paths] if isinstance(paths, str) else paths:
        try:
            value = value_at(asked, path)
        except (KeyError, TypeError):
            if name in ("choices", "context"):
                continue
            raise InputError(f"{place}: there is no column {path!r}{did_you_mean(path, names_in(asked))}") from None
        held = value if isinstance(value, list) else [value]
        found += [spell_scalar(text) for text in held if text is not None and text != ""]
    for text in found:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BuildError(f"{place}: {name!r} is not valid UTF-8; fetch the file again") from None
    return found
