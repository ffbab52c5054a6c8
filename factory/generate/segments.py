"""Segments: stored answers in Parquet files that are written once, whole, and never changed.

The model: a segment has a token in its name, and equal work gives an equal token, so that work done twice after a
crash doubles nothing. One made of others names them in its footer (`replaces`): where both stand, only it counts.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import BuildError
from hala_factory.store import atomic

GROUP_ROWS = 256
"""Rows that are read together for one hit: about a millisecond and a megabyte of texts."""

SEGMENT = pa.schema(
    {
        "key": pa.string(),
        "messages": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "temperature": pa.float64(),
        "max_tokens": pa.int64(),
        "seed": pa.int64(),
        "answer": pa.string(),
        "finish_reason": pa.string(),
        "prompt_tokens": pa.int64(),
        "output_tokens": pa.int64(),
        "error": pa.string(),
        "time": pa.timestamp("ms", "UTC"),
        "schema": pa.string(),
    }
)
"""The columns of a segment; `key` is 64 hex digits, `time` when the answer came, `schema` the JSON Schema it had to
follow (null, and absent from older segments, where there was none)."""
REPLACES = b"hala_factory.replaces"
_KEY_DIGITS = 64
_BATCH_ROWS = 8_192
_REMEDY = "put it back from a copy, or move it away to have its answers asked again"


def segment_path(folder: Path, token: str) -> Path:
    """Where the segment of a token stands."""
    return folder / f"segment-{token}.parquet"


def standing(folder: Path) -> list[Path]:
    """The segments of a folder, by name."""
    return sorted(folder.glob("segment-*.parquet"))


def write(path: Path, tables: Iterable[pa.Table], replaces: Iterable[str] = ()) -> None:
    """Write a segment of these rows in row groups of `GROUP_ROWS`; it takes its name when it is whole."""
    schema = SEGMENT.with_metadata({REPLACES: json.dumps(sorted(replaces)).encode()}) if replaces else SEGMENT
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        waiting: list[pa.Table] = []
        for table in tables:
            waiting.append(table.cast(SEGMENT))
            held = sum(t.num_rows for t in waiting)
            if held >= _BATCH_ROWS:
                whole = pa.concat_tables(waiting).combine_chunks()
                cut = held - held % GROUP_ROWS
                writer.write_table(whole.slice(0, cut), row_group_size=GROUP_ROWS)
                waiting = [whole.slice(cut)]
        writer.write_table(pa.concat_tables([SEGMENT.empty_table(), *waiting]), row_group_size=GROUP_ROWS)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A segment to read from. Raises FileNotFoundError for one that was replaced, BuildError for a torn one."""
    with named(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield file


def rows(path: Path) -> Iterator[pa.Table]:
    """The rows of a segment in all columns, a few thousand at a time."""
    with opened(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            table = pa.Table.from_batches([batch])
            for field in SEGMENT:  # one of an older revision lacks the latest columns
                if field.name not in table.column_names:
                    table = table.append_column(field, pa.nulls(table.num_rows, field.type))
            yield table.select(SEGMENT.names)


def sorted_out(folder: Path) -> tuple[list[Path], list[Path]]:
    """The segments that count, and those that one of them says it replaces."""
    paths, replaced = standing(folder), set()
    for path in paths:
        with opened(path) as file:
            replaced |= set(replaced_by(file))
    return [p for p in paths if p.name not in replaced], [p for p in paths if p.name in replaced]


def row_count(path: Path) -> int:
    """Rows of a segment, by its footer."""
    with opened(path) as file:
        return int(file.metadata.num_rows)


def head(answers: Path | pa.Table, number: int) -> pl.DataFrame:
    """What decides which of several answers counts: `key`, `time`, `refused`, of a segment, and its number."""
    columns = ["key", "time", "error"]
    if isinstance(answers, Path):
        with opened(answers) as file:
            table = file.read(columns, use_threads=False)
    else:
        table = answers.select(columns)
    frame = pl.DataFrame(pl.from_arrow(table))
    return frame.select("key", "time", pl.col("error").is_not_null().alias("refused"), pl.lit(number).alias("segment"))


def counting(heads: list[pl.DataFrame]) -> list[pl.Series]:
    """For each head, which rows count: the first answer in time to a key, and a refusal only where it is all there is.

    Rows of one time count in the order of the heads.
    """
    all_ = pl.concat(heads).with_row_index("row")
    wins = all_.sort("refused", "time", "row").unique("key", keep="first").select("row", counts=pl.lit(True))
    counts = all_.join(wins, on="row", how="left", maintain_order="left")["counts"].fill_null(False)
    starts = np.cumsum([0, *(h.height for h in heads)])
    return [counts.slice(int(start), h.height) for start, h in zip(starts, heads, strict=False)]


def replaced_by(file: pq.ParquetFile) -> list[str]:
    """The names of the segments whose rows this one holds."""
    said: list[str] = json.loads((file.metadata.metadata or {}).get(REPLACES, b"[]"))
    return said


def prefixes(keys: pa.ChunkedArray, path: Path) -> npt.NDArray[np.uint64]:
    """The first 64 bits of every key. Raises BuildError where one is no key."""
    parts = [np.empty(0, np.uint64)]
    for chunk in keys.chunks:
        digits = np.frombuffer(b"".join(chunk.cast(pa.binary()).to_pylist()), np.uint8)
        if len(digits) != _KEY_DIGITS * len(chunk):
            raise BuildError(f"{path}: a key in it has not {_KEY_DIGITS} digits; {_REMEDY}")
        head = digits.reshape(-1, _KEY_DIGITS)[:, :16].tobytes()
        parts.append(np.frombuffer(bytes.fromhex(head.decode()), ">u8").astype(np.uint64))
    return np.concatenate(parts)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Re-tell what pyarrow finds wrong with a segment as a BuildError that names it; a missing one stays missing."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as e:
        found = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise BuildError(f"{path}: a torn or corrupt segment ({found}); {_REMEDY}") from e
