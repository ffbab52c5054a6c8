"""Parquet: columns as Arrow tables, only the ones that are asked for, page by page.

A row group is never held whole: OpenOrca's files have row groups of hundreds of megabytes.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hala_factory.errors import InputError
from hala_factory.reader.columns import OPTIONAL, Wanted, expect
from hala_factory.reader.files import File
from hala_factory.reader.opening import ARROW_THREADS, seekable
from hala_factory.reader.records import Chunk, Taken, careful
from hala_factory.reader.variants import TURN_KEYS

BUFFER = 1 << 20  # bytes of a column read at once


def names_of(file: File) -> list[str]:
    """The names of the columns, nested ones dotted."""
    with seekable(file) as source:
        return _dotted(pq.ParquetFile(source).schema_arrow)


def _dotted(schema: pa.Schema) -> list[str]:
    names = []
    for column in schema:
        names.append(column.name)
        if pa.types.is_struct(column.type):
            inner = _dotted(pa.schema(list(column.type)))
            names += [f"{column.name}.{name}" for name in inner]
    return names


def tables(file: File, wanted: Wanted, skip: int, size: int) -> Generator[Chunk, None, None]:
    """The rows in chunks of at most `size`; row groups that `skip` covers are not touched.

    Raises:
        InputError: The file lacks a column, or has one of another type than text, turns or scalars.
    """
    with seekable(file) as source:
        parquet = pq.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER)
        schema = parquet.schema_arrow
        _check(file, schema, wanted)
        roots = list(dict.fromkeys(_root(schema, path) for path in wanted.columns))
        end = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if end + rows <= skip:
                end += rows
                continue
            for batch in parquet.iter_batches(size, row_groups=[group], columns=roots, use_threads=ARROW_THREADS):
                over = min(batch.num_rows, max(0, skip - end))
                table = pa.Table.from_batches([batch.slice(over)])
                yield Chunk(table, range(end + over + 1, end + batch.num_rows + 1), end + batch.num_rows)
                end += batch.num_rows
        yield Chunk([], [], end)


def _root(schema: pa.Schema, path: str) -> str:
    return path if path in schema.names else path.partition(".")[0]


def _check(file: File, schema: pa.Schema, wanted: Wanted) -> None:
    expect(file.name, wanted.columns, _dotted(schema))
    expected = dict.fromkeys(wanted.texts.values(), _is_text)
    if wanted.turns is not None:
        expected[wanted.turns] = _is_turns
    if wanted.tree is not None:
        expected[wanted.tree] = pa.types.is_struct
    expected |= dict.fromkeys((s for s in wanted.scalars if s not in expected), _is_scalar)
    told = {_is_text: "text", _is_turns: "a list of turns", pa.types.is_struct: "a tree", _is_scalar: "a scalar"}
    for path, fits in expected.items():
        found = _type_at(schema, path)
        if not fits(found):
            raise InputError(f"{file.name}: column {path!r}: expected {told[fits]}, found {str(found)[:120]}")


def _type_at(schema: pa.Schema, path: str) -> pa.DataType:
    fields = {column.name: column.type for column in schema}
    while path not in fields:
        head, _, path = path.partition(".")
        fields = {column.name: column.type for column in fields[head]}
    return fields[path]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(fits(kind) for fits in (*_STRINGS, *_BYTES, pa.types.is_null))


def _is_scalar(kind: pa.DataType) -> bool:
    return _is_text(kind) or any(
        fits(kind) for fits in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    )


def _is_turns(kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    return _turn_keys(kind) is not None


def _turn_keys(kind: pa.DataType) -> tuple[str, str] | None:
    fields = {f.name: f.type for f in kind.value_type}
    for keys in TURN_KEYS:
        if all(key in fields and _is_text(fields[key]) for key in keys):
            return keys
    return None


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


def take_table(table: pa.Table, wanted: Wanted) -> Taken:
    """What rows need from a table: whole columns at once, and the careful way for the rows it cannot take."""
    try:
        table.validate(full=True)  # polars takes text for UTF-8 unseen, and dies of what is not
    except pa.ArrowInvalid:
        return careful([_texts(record) for record in _as_bytes(table).to_pylist()], wanted)
    if wanted.tree is not None or any(_has_bytes(column.type) for column in table.schema):
        return careful([_texts(record) for record in table.to_pylist()], wanted)
    columns = {name: _column(table, path) for name, path in wanted.texts.items()}
    fine = pl.Series([True]).new_from_index(0, table.num_rows)
    for name, column in columns.items():
        if name not in OPTIONAL:
            fine &= column.is_not_null()
    if wanted.turns is not None:
        columns["messages"], whole = _turns(table, wanted.turns)
        fine &= whole
    for path in wanted.scalars:
        columns[f"raw:{path}"] = _column(table, path)
    if fine.all():
        return Taken(range(table.num_rows), columns)
    return _mended(table, wanted, columns, fine)


def _mended(table: pa.Table, wanted: Wanted, columns: dict[str, pl.Series], fine: pl.Series) -> Taken:
    """The columns with the lines that are not fine taken the careful way, which tells what is wrong."""
    bad = (~fine).arg_true().to_list()
    again = careful([_texts(record) for record in table.take(bad).to_pylist()], wanted)
    order = list(range(table.num_rows))
    for place, line in enumerate(bad):
        order[line] = table.num_rows + place
    merged = {}
    for name, column in columns.items():
        both = pl.concat([column, again.columns[name]], how="vertical")
        merged[name] = both.gather(order)
    faults = {bad[line]: fault for line, fault in again.faults.items()}
    return Taken(range(table.num_rows), merged, faults)


def _series(column: Any) -> pl.Series:
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def _column(table: pa.Table, path: str) -> pl.Series:
    """A text or scalar column as text; nulls of the structs around it are its own."""
    if path in table.column_names:
        column = table[path]
    else:
        head, _, tail = path.partition(".")
        column = table[head]
        while tail:
            inner = [f.name for f in column.type]
            name, tail = (tail, "") if tail in inner else (tail.partition(".")[0], tail.partition(".")[2])
            column = pc.struct_field(column, name)
    return _series(pc.cast(column, pa.large_string()))


def _turns(table: pa.Table, path: str) -> tuple[pl.Series, pl.Series]:
    """The turns as role and content, and which lists are whole."""
    empty = pl.Series(
        "messages", [None] * table.num_rows, pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    )
    column = _nested(table, path)
    if pa.types.is_null(column.type):
        return empty, empty.is_not_null()
    keys = _turn_keys(column.type)
    assert keys is not None  # by _check
    turn = pl.element().struct
    role, content = turn.field(keys[0]).cast(pl.String), turn.field(keys[1]).cast(pl.String)
    frame = _series(column).alias("talk").to_frame()
    whole = pl.element().is_not_null() & role.is_not_null() & content.is_not_null()
    lists = frame.select(
        pl.col("talk").list.eval(pl.struct(role.alias("role"), content.alias("content"))).alias("messages"),
        (pl.col("talk").is_not_null() & pl.col("talk").list.eval(whole).list.all()).fill_null(False).alias("whole"),
    )
    return lists["messages"], lists["whole"]


def _nested(table: pa.Table, path: str) -> Any:
    if path in table.column_names:
        return table[path]
    head, _, tail = path.partition(".")
    return pc.struct_field(table[head], tail.split("."))


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return any(fits(kind) for fits in _BYTES)


def _as_bytes(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([pa.field(f.name, _bytes_type(f.type)) for f in table.schema]), safe=False)


def _bytes_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _bytes_type(f.type)) for f in kind])
    if pa.types.is_list(kind):
        return pa.list_(_bytes_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_bytes_type(kind.value_type))
    if pa.types.is_dictionary(kind):
        return _bytes_type(kind.value_type)
    return pa.large_binary() if any(fits(kind) for fits in _STRINGS) else kind


def _texts(value: Any) -> Any:
    """Bytes as text, where they are not UTF-8 with lone surrogates, by which they are found out."""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, dict):
        return {key: _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    return value
