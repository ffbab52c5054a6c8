"""Forms with a record per line: JSON Lines, CSV, TSV and moses; a broken line costs that line.

Lines end at a line feed and nowhere else: U+2028 and its like are text.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson

from hala_factory.errors import BuildError, InputError
from hala_factory.reader.columns import Wanted, expect
from hala_factory.reader.files import File
from hala_factory.reader.opening import reading, stream
from hala_factory.reader.records import Chunk
from hala_factory.reader.variants import Broken

BYTES = 1 << 20  # of lines in one chunk: about 1,200 instruction rows
RECORDS = 1_000  # in one chunk, of the forms that are read record by record
BOM = b"\xef\xbb\xbf"

csv.field_size_limit(1 << 24)  # the default of 128 KiB is less than a long answer; this bounds an unclosed quote


def jsonl(file: File, skip: int = 0) -> Generator[Chunk, None, None]:
    """An object per line; blank lines are no records."""
    with stream(file) as source:
        end = sum(1 for _ in islice(source, skip))
        while lines := source.readlines(BYTES):
            if not end:
                lines[0] = lines[0].removeprefix(BOM)
            numbers: Any = range(end + 1, end + 1 + len(lines))
            try:
                records = list(map(orjson.loads, lines))
            except orjson.JSONDecodeError:
                pairs = [(n, _parsed(line)) for n, line in zip(numbers, lines, strict=True) if line.strip()]
                numbers, records = [n for n, _ in pairs], [record for _, record in pairs]
            end += len(lines)
            yield Chunk(records, numbers, end)
        yield Chunk([], [], end)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        said = f"{error.msg} at character {error.pos + 1} of the line"
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return Broken(
            "bad_utf8", f"not UTF-8 at byte {error.start + 1} of the line", line.decode(errors="replace").strip()
        )
    try:
        return json.loads(text)  # more lenient: NaN, and halves of surrogate pairs in columns nobody asked for
    except (ValueError, RecursionError):
        return Broken("bad_json", f"not JSON: {said}", text.strip())


def delimited(file: File, form: str, wanted: Wanted, *, header: bool, skip: int = 0) -> Generator[Chunk, None, None]:
    r"""Records of named fields: `csv` or `tsv`; without a header the names are `0`, `1`, ….

    CSV has quotes (RFC 4180), strictly: a quote where none may stand breaks its line, not what follows. Its
    delimiter is the comma, or the tab where the file is named `.tsv` or `.tab`. TSV has no quotes (IANA
    text/tab-separated-values): a `"` is a character like any other, and no field holds a tab or a line feed.
    Bytes that are not UTF-8 are kept as lone surrogates, by which the row is found out later.

    Raises:
        InputError: The header lacks a column, or has one twice.
    """
    with stream(file) as source:
        found = _tabbed(source) if form == "tsv" else _quoted(source, "\t" if _is_tsv(file) else ",")
        names, rows = _names(file, found, header)
        if names:
            expect(file.name, wanted.columns, names)
        end = sum(1 for _ in islice(rows, skip))
        while block := list(islice(rows, RECORDS)):
            numbered = list(enumerate(block, end + 1))
            end += len(block)
            records = [(n, _fields(row, names)) for n, row in numbered if row]  # an empty line is no record
            yield Chunk([record for _, record in records], [n for n, _ in records], end)
        yield Chunk([], [], end)


Row = list[str] | Broken


def header_of(file: File, form: str, *, header: bool) -> list[str]:
    """The names of the columns."""
    with stream(file) as source:
        found = _tabbed(source) if form == "tsv" else _quoted(source, "\t" if _is_tsv(file) else ",")
        return _names(file, found, header)[0]


def _is_tsv(file: File) -> bool:
    return any(f"{ending}." in f"{file.name.lower()}." for ending in (".tsv", ".tab"))


def _names(file: File, rows: Iterator[Row], header: bool) -> tuple[list[str], Iterator[Row]]:
    first = next(rows, None)
    if first is None:
        return [], rows
    if not header:
        width = len(first) if isinstance(first, list) else 1
        return [str(number) for number in range(width)], chain([first], rows)
    if isinstance(first, Broken):
        raise BuildError(f"{file.name}: the header cannot be read: {first.detail}")
    if twice := sorted({name for name in first if first.count(name) > 1}):
        raise InputError(f"{file.name}: column {twice[0]!r} stands twice in the header; rename one")
    return first, rows


def _fields(row: Row, names: list[str]) -> dict[str, str] | Broken:
    if isinstance(row, Broken):
        return row
    if len(row) != len(names):
        return Broken("bad_row", f"expected {len(names)} fields, found {len(row)}", " | ".join(row))
    return dict(zip(names, row, strict=True))


def _tabbed(source: BinaryIO) -> Iterator[Row]:
    for line in _text(source):
        yield line.split("\t") if line else []


def _quoted(source: BinaryIO, delimiter: str) -> Iterator[Row]:
    """CSV records. At a fault the first line of the record is given up, and reading goes on at its second."""
    again: deque[str] = deque()
    used: list[str] = []
    lines = _text(source)

    def feed() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            used.append(line)
            yield line + "\n"

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        used.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            broken, *rest = used
            again.extendleft(reversed(rest))
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            yield Broken("bad_row", f"not CSV: {error}", broken)
            continue
        yield row


def _text(source: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(source):
        if not number:
            line = line.removeprefix(BOM)
        yield line.decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")


def moses(files: tuple[File, ...], names: list[str], skip: int = 0) -> Generator[Chunk, None, None]:
    """The lines of two files side by side; `names` are their raw columns.

    Raises:
        BuildError: The files have different numbers of lines: every pair after the gap would be wrong.
    """
    counts = [_count(file) for file in files]
    if len(set(counts)) > 1:
        told = " and ".join(f"{file.name} has {count:,} lines" for file, count in zip(files, counts, strict=True))
        raise BuildError(f"{told}: they do not belong together line by line; fetch them again")
    with ExitStack() as stack:
        sides = [_text(stack.enter_context(stream(file))) for file in files]
        pairs = zip(*sides, strict=True)
        end = sum(1 for _ in islice(pairs, skip))
        while block := list(islice(pairs, RECORDS)):
            records = [dict(zip(names, pair, strict=True)) for pair in block]
            yield Chunk(records, range(end + 1, end + 1 + len(block)), end + len(block))
            end += len(block)
        yield Chunk([], [], end)


def _count(file: File) -> int:
    with reading(file), stream(file) as source:
        return sum(1 for _ in source)
