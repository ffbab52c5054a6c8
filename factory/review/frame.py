"""The rows of a corpus as the draw sees them: a key of each, its stratum, its place; never a text. Bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import xxhash

BATCH = 65_536
SCORED = 60_000
"""Rows that the ranges of a score are found from, evenly taken: quantiles right to less than one in a hundred."""
NONE = -1
"""The range of rows that have no score."""


@dataclass(frozen=True)
class Frame:
    """The rows of some Parquet files, by stratum: their group, and the range of their score."""

    files: tuple[Path, ...]
    salt: str
    """What the draw depends on besides the rows."""
    group: tuple[str, ...] = ("source",)
    """The columns whose values, with a dot between, are the group of a row."""
    where: pl.Expr | None = None
    """Which rows there are; all if not given. Over `status` and the columns of the group."""
    score: str | None = None
    edges: tuple[float, ...] = ()
    """Bounds between the ranges of the score; a row on a bound is in the range above."""

    def counts(self) -> Counter[tuple[str, int]]:
        """Rows by group and range of the score, in order."""
        found: Counter[tuple[str, int]] = Counter()
        for batch in self.batches([]):
            for group, part, n in batch.group_by("group", "part").len().iter_rows():
                found[group, part] += n
        return Counter(dict(sorted(found.items())))

    def first(self, wanted: dict[tuple[str, int], int]) -> pl.DataFrame:
        """Of every stratum so many rows, in an order that their keys give at random: a simple random sample of it.

        Columns: `group`, `part`, `score`, `id`, `source`, `origin`, `key`, `file` (its index) and `line` in it.
        """
        need = pl.DataFrame(
            [(*stratum, n) for stratum, n in wanted.items()],
            schema={"group": pl.String, "part": pl.Int32, "need": pl.Int64},
            orient="row",
        )
        kept: pl.DataFrame | None = None
        for batch in self.batches(["id", "source", "origin"]):
            batch = batch.with_columns(key=keys(batch, self.salt))
            both = batch if kept is None else pl.concat([kept, batch])
            ordered = both.sort("group", "part", "key", "file", "line").join(need, on=["group", "part"])
            rank = pl.int_range(pl.len()).over("group", "part")
            kept = ordered.filter(rank < pl.col("need")).drop("need")
        assert kept is not None
        return kept.sort("group", "part", "key", "file", "line")

    def batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """These columns of all rows, with `score`, `file`, `line`, `group` and `part`."""
        read = {
            *columns,
            *self.group,
            *([self.score] if self.score else []),
            *([] if self.where is None else ["status"]),
        }
        for number, path in enumerate(self.files):
            line = 0
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=BATCH, columns=sorted(read)):
                    frame = pl.DataFrame(pl.from_arrow(batch))
                    score = pl.col(self.score).cast(pl.Float64) if self.score else pl.lit(None, pl.Float64)
                    frame = frame.with_columns(
                        score=pl.when(score.is_finite()).then(score),
                        file=pl.lit(number, pl.Int32),
                        line=pl.int_range(line, line + frame.height, dtype=pl.Int64),
                        group=pl.concat_str(*self.group, separator="."),
                    )
                    line += frame.height
                    frame = frame if self.where is None else frame.filter(self.where)
                    found = frame.with_columns(part=self._part(frame))
                    yield found.select(*columns, "score", "file", "line", "group", "part")

    def _part(self, frame: pl.DataFrame) -> pl.Series:
        scores = frame["score"]
        parts = np.searchsorted(np.array(self.edges), scores.fill_null(0).to_numpy(), side="right").astype(np.int32)
        return pl.Series("part", np.where(scores.is_null().to_numpy(), NONE, parts).astype(np.int32))


def edges(files: tuple[Path, ...], score: str | None, bins: int | list[float]) -> tuple[float, ...]:
    """The bounds between the ranges of a score: as given, or such that about equal numbers of rows are in each."""
    if score is None or isinstance(bins, list):
        return tuple(bins) if isinstance(bins, list) else ()
    height = sum(pq.read_metadata(path).num_rows for path in files)
    step = max(1, -(-height // SCORED))
    each = Frame(files, "", score=score).batches([])
    taken = [batch.filter(pl.col("line") % step == 0)["score"].drop_nulls() for batch in each]
    scores = pl.concat(taken)
    if scores.is_empty():
        return ()
    found = (scores.quantile(i / bins, "nearest") for i in range(1, bins))
    low = scores.min()
    return tuple(sorted({float(edge) for edge in found if edge is not None and edge != low}))


def keys(frame: pl.DataFrame, salt: str) -> pl.Series:
    """A number of every row, at random for all that the row can know: XXH3 of its id and place, and the salt."""
    place = pl.col("origin").struct
    spelt = pl.concat_str(
        pl.lit(salt),
        "source",
        "id",
        place.field("file"),
        place.field("position"),
        place.field("part"),
        separator="\x1f",
        ignore_nulls=True,
    )
    texts = frame.select(spelt).to_series()
    return pl.Series("key", [xxhash.xxh3_64_intdigest(text) for text in texts], dtype=pl.UInt64)
