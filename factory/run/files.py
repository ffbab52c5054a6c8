"""Parquet files of rows: written atomically in one fixed layout, read in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory import store
from hala_factory.errors import BuildError
from hala_factory.step import Columns

BATCH = 8_192
"""Rows that are in memory at a time in a pass."""

_PLAIN = {
    pl.String: pa.string(),
    pl.Boolean: pa.bool_(),
    pl.Int32: pa.int32(),
    pl.Int64: pa.int64(),
    pl.UInt32: pa.uint32(),
    pl.Float32: pa.float32(),
    pl.Float64: pa.float64(),
    pl.Binary: pa.binary(),
}


def arrow_type(dtype: pl.DataType) -> pa.DataType:
    """The Arrow type in which a column is stored (plain ones that every reader knows)."""
    if isinstance(dtype, pl.List):
        return pa.list_(arrow_type(_made(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        return pa.struct([(f.name, arrow_type(_made(f.dtype))) for f in dtype.fields])
    return _PLAIN[type(dtype)]


def _made(dtype: object) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[return-value]


def arrow_schema(columns: Columns) -> pa.Schema:
    """The schema of a file with these columns."""
    return pa.schema([(n, arrow_type(_made(t))) for n, t in columns.items()])


class Writer:
    """Writes frames to one Parquet file that takes its name only when all of it is on disk.

    Row groups are cut at exactly `group` rows, whatever frames come in, so equal rows give equal bytes.
    """

    def __init__(self, path: Path, columns: Columns, group: int = BATCH) -> None:
        self.path, self.columns, self.group = path, columns, group
        self.rows = 0
        self._waiting: list[pl.DataFrame] = []
        self._held = 0

    def __enter__(self) -> Writer:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(store.atomic(self.path))
            self._schema = arrow_schema(self.columns)
            numbers = [
                f.name for f in self._schema if not pa.types.is_nested(f.type) and not pa.types.is_string(f.type)
            ]
            self._writer = pq.ParquetWriter(
                temporary,
                self._schema,
                compression="zstd",
                use_dictionary=False,
                write_statistics=numbers,  # those of texts are a third of the writing, and tell nobody anything
            )
            self._stack = stack.pop_all()
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows; absent columns are null, others than the file's are an error."""
        if not frame.height:
            return
        if extra := set(frame.columns) - set(self.columns):
            raise BuildError(f"{self.path.name}: unexpected columns {sorted(extra)}")
        absent = [pl.lit(None, dtype=t).alias(n) for n, t in self.columns.items() if n not in frame.columns]
        self._waiting.append(frame.with_columns(absent).select(list(self.columns)))
        self._held += frame.height
        if self._held >= self.group:
            whole = pl.concat(self._waiting)
            cut = whole.height - whole.height % self.group
            for start in range(0, cut, self.group):
                self._put(whole.slice(start, self.group))
            self._waiting = [whole.slice(cut)] if cut < whole.height else []
            self._held = whole.height - cut

    def _put(self, frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(self._schema).combine_chunks()
        self._writer.write_table(table, row_group_size=self.group)
        self.rows += frame.height

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None and self._waiting:
                self._put(pl.concat(self._waiting))
            self._writer.close()
            if error is not None:
                raise error


def batches(path: Path, rows: int = BATCH) -> Iterator[pl.DataFrame]:
    """The rows of a stored file, a batch at a time. Raises BuildError naming a file that cannot be read."""
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows == 0:
                yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([], schema=file.schema_arrow)))
            for batch in file.iter_batches(batch_size=rows):
                yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
    except (OSError, pa.ArrowException) as e:
        raise BuildError(f"{path}: cannot be read ({e}); delete the file and run the same command again") from e


def row_count(path: Path) -> int:
    """Rows in a stored file, by its footer."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as e:
        raise BuildError(f"{path}: cannot be read ({e}); delete the file and run the same command again") from e
