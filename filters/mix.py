"""Mix: rows of several sources in stated proportions, none of them twice."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from hala_factory import lots
from hala_factory.errors import InputError, did_you_mean
from hala_factory.step import Barrier, Columns, Count, register
from hala_factory.validation import FieldError


@register
class Mix(Barrier):
    """Keep as many rows of each source as its weight says, drawn by lot and never repeated.

    The proportions are `weights`, or those of the sources' sizes evened out by `temperature`: a source of n rows
    weighs n^(1/temperature), so 1 leaves all as it is and a high one makes all equal (XLM-R has the exponent 0.3,
    which is 3.33 here, arXiv 1911.02116; mT5 the same, arXiv 2010.11934). Without `max_rows` the mixture is as
    large as the proportions allow: the source that is shortest for its weight stays whole. With it, the mixture has
    exactly so many rows (if there are so many): a source with too few gives all it has, and the others make up for
    it in their proportions. `detail` tells the share asked for and the one reached. What falls is drawn as `sample`
    does, so shards and workers have no say in it.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Of 9,000 and 2,000 rows, 4,000 and all 2,000. (weights: {flan: 2, aya: 1})",
        "dropped": "The other 5,000 rows of flan.",
    }

    judged_by: ClassVar[tuple[str, ...]] = ("weights", "temperature")

    step: Literal["mix"] = "mix"
    by: str = "source"
    """The column or measure whose values are weighed: `source`, `subset`, `licence`, `language.label`, …"""
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """The weight of every value of `by`; 0 leaves it out."""
    temperature: Annotated[float, Field(ge=1)] | None = None
    """Instead of weights: how far the sizes are evened out, from 1 (not at all)."""
    max_rows: Count | None = None
    """Rows of the mixture; as many as the proportions allow if not given."""
    seed: int = 0
    """Another seed, another draw."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.weights is None) == (self.temperature is None):
            raise FieldError("weights", "a mix has either 'weights' or a 'temperature'")
        if self.weights is not None and not any(self.weights.values()):
            raise FieldError("weights", "some weight must be more than 0")
        return self

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        return super().faults(columns) + lots.faults([self.by], {}, columns)

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            pl.col(self.by).cast(pl.String).fill_null("").alias("stratum"), lots.draw(frame, self.seed)
        )

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        rows = (
            index.select("shard", "row", pl.col("stratum").cast(pl.Categorical), "lot").sort("shard", "row").collect()
        )
        counted = rows.group_by("stratum").len().with_columns(pl.col("stratum").cast(pl.String)).sort("stratum")
        sizes: dict[str, int] = dict(counted.iter_rows())
        weights = self._weighed(sizes, sources)
        total = lots.most_within(weights, sizes) if self.max_rows is None else min(self.max_rows, rows.height)
        parts = dict.fromkeys(weights, 0) | lots.filled(weights, sizes, total)
        whole, reached = sum(weights.values()), max(sum(parts.values()), 1)
        told = {}
        for name, weight in weights.items():
            shares = (
                f"share {weight / whole:.4f} asked for, {parts[name] / reached:.4f} reached" if whole else "no weight"
            )
            told[name] = f"{json.dumps(name, ensure_ascii=False)}: {shares}; {parts[name]} of {sizes[name]} rows stay"
        stratum = pl.col("stratum").cast(pl.String)
        most = stratum.replace_strict(parts, default=0, return_dtype=pl.Int64)
        gone = lots.ranked(rows, "stratum").filter(pl.col("rank") > most)
        detail = stratum.replace_strict(told, return_dtype=pl.String)
        return gone.select("shard", "row", reason=pl.lit("over_share"), detail=detail).lazy()

    def _weighed(self, sizes: dict[str, int], sources: list[str]) -> dict[str, float]:
        """The weights of the values that the rows have."""
        if self.weights is None:
            assert self.temperature is not None
            # Nine digits: the last ones of a power differ between machines.
            return {name: float(f"{size ** (1 / self.temperature):.9g}") for name, size in sizes.items()}
        known = {*sizes, *sources} if self.by == "source" else set(sizes)
        for name in self.weights:
            if name not in known:
                raise InputError(
                    f"step {self.label!r}: 'weights' names {name!r}, which no row has as its {self.by}"
                    f"{did_you_mean(name, known)}"
                )
        for name in sizes:
            if name not in self.weights:
                raise InputError(f"step {self.label!r}: 'weights' has none for {name!r}; 0 leaves its rows out")
        return {name: self.weights[name] for name in sizes}
