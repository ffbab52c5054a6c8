"""Reads a located source as batches of rows, from any record on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from hala_factory import rows
from hala_factory.catalog import Source
from hala_factory.errors import BuildError
from hala_factory.reader import columns, corpora, lines, mapping, parquet, records
from hala_factory.reader.columns import Wanted
from hala_factory.reader.files import File, Located
from hala_factory.reader.opening import reading
from hala_factory.reader.records import Chunk, Taken
from hala_factory.reader.values import names_in

LEAST = 1_000  # rows of a Parquet chunk: its pages hold thousands anyway


@dataclass(frozen=True)
class Batch:
    """Some rows of a source; with `dropped` and `failed`, everything that its records became."""

    rows: pl.DataFrame
    """Columns of `rows.schema(source.rows, source.languages)`."""
    dropped: pl.DataFrame
    """The same and `rows.LEDGER`: rows that `where` left out."""
    failed: pl.DataFrame
    """The same and `rows.LEDGER`: records that could not become rows."""
    records: int
    """Records consumed so far, over all files from the start: the `skip` with which reading goes on."""


def read(
    name: str,
    source: Source,
    located: Located,
    *,
    where: dict[str, Any] | None = None,
    skip: int = 0,
    limit: int | None = None,
    batch_rows: int = 10_000,
) -> Iterator[Batch]:
    """The rows of a source in order.

    Args:
        name: The source's name in the catalog.
        source: Its entry.
        located: Its files.
        where: Raw column → accepted value or values; `without_code: true` leaves out rows that hold code.
        skip: Records to pass over, as counted by `Batch.records`.
        limit: Stop as soon as this many rows (`Batch.rows`) were given, and read no further.
        batch_rows: Rows of a batch at most, kept or not (a tree's rows stay together).

    Raises:
        InputError: A column is missing from a whole file, or `where` is not understood.
        BuildError: A file cannot be read: torn, empty, or not of its form.
    """
    asked = mapping.conditions(where)
    for file in located.files:
        if not file.size:
            raise BuildError(
                f"{file.name}: the file is empty (0 bytes); fetch it again, or leave it out of the source"
            )
    pending: list[pl.DataFrame] = []
    held, left, end = 0, limit, skip
    if left == 0:
        return
    size = batch_rows if left is None else min(batch_rows, max(left, LEAST))
    if located.corpus is None:
        taken = _frames(source, located, columns.wanted(source, asked.accepted), skip, size)
        made = partial(mapping.to_rows, name=name, source=source, where=asked)
    else:
        taken = corpora.frames(source, located, tuple(asked.accepted), skip, size)
        made = partial(corpora.to_rows, name=name, source=source, corpus=located.corpus, where=asked)
    with closing(taken) as frames:
        for frame, end in frames:
            pending.append(frame)
            held += frame.height
            if held < (batch_rows if left is None else min(batch_rows, left)):
                continue
            for batch in _cut(made(pl.concat(pending)), source, batch_rows, left, end):
                yield batch
                if left is not None:
                    left -= batch.rows.height
            pending, held = [], 0
            if left == 0:
                return
    if held:
        yield from _cut(made(pl.concat(pending)), source, batch_rows, left, end)


def _frames(
    source: Source, located: Located, wanted: Wanted, skip: int, size: int
) -> Generator[tuple[pl.DataFrame, int], None, None]:
    """What is taken from each chunk, and how many records of the source are consumed after it."""
    base = 0
    units = [located.files] if located.format == "moses" else [(file,) for file in located.files]
    for unit in units:
        end = 0
        with reading(unit[0]):
            for chunk in _chunks(unit, source, located, wanted, max(0, skip - base), size):
                if isinstance(chunk.records, list) and not end and skip <= base:
                    columns.expect_in_some(unit[0].name, chunk.records, wanted)
                end = chunk.end
                if chunk.positions:
                    yield _taken(chunk, wanted).frame(unit[0].name, chunk.positions, base), base + end
        base += end


def _taken(chunk: Chunk, wanted: Wanted) -> Taken:
    if isinstance(chunk.records, list):
        return records.take(chunk.records, wanted)
    return parquet.take_table(chunk.records, wanted)


def _chunks(
    unit: tuple[File, ...], source: Source, located: Located, wanted: Wanted, skip: int, size: int
) -> Generator[Chunk, None, None]:
    file = unit[0]
    if located.format == "parquet":
        return parquet.tables(file, wanted, skip, size)
    if located.format == "jsonl":
        return lines.jsonl(file, skip)
    if located.format in ("csv", "tsv"):
        return lines.delimited(file, located.format, wanted, header=not _numbered(source), skip=skip)
    if located.format == "moses":
        return lines.moses(unit, [side.language or "" for side in unit], skip)
    from hala_factory.reader.documents import document  # its libraries take long to import

    return document(located.format, file, list(wanted.texts.values()), skip)


def _numbered(source: Source) -> bool:
    """Whether `columns` names columns by number: a file with no header."""
    return all(path.isdecimal() for path in source.mapping.values())


def _cut(mapped: pl.DataFrame, source: Source, batch_rows: int, left: int | None, end: int) -> Iterator[Batch]:
    """Batches of at most `batch_rows`, the last one cut where the last wanted row is; no record is torn."""
    while mapped.height:
        last = mapped["record"][min(batch_rows, mapped.height) - 1]
        piece = mapped.filter(pl.col("record") <= last)
        mapped = mapped.slice(piece.height)
        kept = piece["status"].is_null()
        if left is not None and kept.sum() >= left:
            last = piece["record"].filter(kept)[left - 1]
            piece = piece.filter(pl.col("record") <= last)
            yield _batch(piece, source, last, left)
            return
        yield _batch(piece, source, last if mapped.height else end)
        if left is not None:
            left -= int(kept.sum())


def _batch(piece: pl.DataFrame, source: Source, consumed: int, wanted: int | None = None) -> Batch:
    columns = list(rows.schema(source.rows, source.languages))
    kept = piece.filter(pl.col("status").is_null()).select(columns)
    others = {
        status: piece.filter(pl.col("status") == status).select(*columns, *rows.LEDGER)
        for status in ("dropped", "failed")
    }
    return Batch(kept if wanted is None else kept.head(wanted), **others, records=int(consumed))


# Columns


def columns_of(source: Source, located: Located) -> list[str] | None:
    """The raw columns of the first file, as far as they can be known cheaply; None where they cannot.

    Records that name their columns one by one (JSON, TMX) are asked for the first thousand or so.

    Raises:
        BuildError: The file cannot be read.
    """
    if located.format == "po":
        from hala_factory.reader.documents import PO_COLUMNS

        return PO_COLUMNS
    if located.format == "moses":
        return [file.language or "" for file in located.files]
    file = located.files[0]
    if not file.size:
        return None
    with reading(file):
        if located.format == "parquet":
            return parquet.names_of(file)
        if located.format in ("csv", "tsv"):
            return lines.header_of(file, located.format, header=not _numbered(source))
        with closing(_chunks((file,), source, located, columns.wanted(source, {}), 0, LEAST)) as chunks:
            first = [record for record in next(chunks).records if isinstance(record, dict)]
    return list(dict.fromkeys(name for record in first for name in names_in(record))) or None
