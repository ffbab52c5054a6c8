"""Sample: fewer rows, drawn by lot: at most so many of a source, of a stratum, or in all."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import lots
from hala_factory.errors import InputError, did_you_mean
from hala_factory.step import Barrier, Columns, Count, register

Edges = Annotated[list[float], Field(min_length=1)]


@register
class Sample(Barrier):
    """Keep a random part of the rows, which is the same part whenever the seed and the rows are the same.

    Every row draws a lot: a hash of the seed, its id and its origin, so that neither shards nor workers have a say
    in it. First `limits` cut down sources (`over_limit`), then `max_rows_each` every stratum (`over_cap`), then
    `share` and `max_rows` all that is left (`not_sampled`): there every stratum keeps its part of the rows, exact to
    the row (by largest remainder). The rows that agree in all columns of `by` are a stratum.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Of a source with 50,000 rows, the 1,000 with the lowest lots. (max_rows_each: 1000)",
        "dropped": "The other 49,000.",
    }

    judged_by: ClassVar[tuple[str, ...]] = ("limits", "share")

    step: Literal["sample"] = "sample"
    by: list[str] = Field(
        default=["source"],
        description="Columns or measures that make the strata: `source`, `subset`, `language.label`, `length.chars`.",
    )
    edges: dict[str, Edges] = Field(
        default={},
        description="Where the strata of a number part: `{length.chars: [100, 1000]}` makes three.",
    )
    limits: dict[str, Count] = Field(default={}, description="Most rows of a source, by its name.")
    max_rows_each: Count | None = None
    """Most rows of a stratum."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Part of the rows that stays, of those that the limits and caps leave; rounded to the nearest row."""
    max_rows: Count | None = None
    """Most rows in all."""
    seed: int = 0
    """Another seed, another sample."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        return super().faults(columns) + lots.faults(self.by, self.edges, columns)

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(lots.stratum(self.by, self.edges), lots.draw(frame, self.seed))

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        for name in self.limits:
            if name not in sources:
                raise InputError(f"step {self.label!r}: 'limits' has no source {name!r}{did_you_mean(name, sources)}")
        names = pl.col("source", "stratum").cast(pl.Categorical)
        left = index.select("shard", "row", names, "lot").sort("shard", "row").collect()
        gone: list[pl.DataFrame] = []

        def cut(rows: pl.DataFrame, over: str, most: dict[str, int], reason: str) -> pl.DataFrame:
            bound = pl.col(over).cast(pl.String).replace_strict(most, default=None, return_dtype=pl.Int64)
            told = lots.ranked(rows, over).with_columns(most=bound, of=pl.len().over(over))
            beyond = (pl.col("rank") > pl.col("most")).fill_null(False)
            detail = pl.format("{}: {} of {} rows stay", over, "most", "of")
            gone.append(told.filter(beyond).select("shard", "row", reason=pl.lit(reason), detail=detail))
            return told.filter(~beyond).drop("rank", "most", "of")

        left = cut(left, "source", self.limits, "over_limit")
        if self.max_rows_each is not None:
            left = cut(left, "stratum", dict.fromkeys(_sizes(left), self.max_rows_each), "over_cap")
        wanted = left.height if self.share is None else int(self.share * left.height + 0.5)
        wanted = wanted if self.max_rows is None else min(wanted, self.max_rows)
        cut(left, "stratum", lots.apportioned(_sizes(left), wanted), "not_sampled")
        return pl.concat(gone).lazy()


def _sizes(rows: pl.DataFrame) -> dict[str, int]:
    counted = rows.group_by("stratum").len().with_columns(pl.col("stratum").cast(pl.String)).sort("stratum")
    return dict(counted.iter_rows())
