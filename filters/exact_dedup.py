"""Exact dedup: of rows with the same normalised text, one stays, from the source that is preferred."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
import xxhash
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Barrier, TextPath, register


@register
class ExactDedup(Barrier):
    """Drop rows whose text equals another row's after normalisation, within and across sources.

    Normalised means `text.matching_key`: case, white space, diacritics, tatweel and punctuation at the ends do
    not count. A text of which nothing is left is compared as it stands, so that short or symbol-only rows are
    never lumped together. The row that stays is from the first source in `prefer` (else in the recipe's order),
    and the earliest of that source; the ledger's `detail` names it.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "What is the capital of Australia?",
        "dropped": "what is the capital of  Australia ?",
    }

    revision: ClassVar[int] = 2

    step: Literal["exact_dedup"] = "exact_dedup"
    on: TextPath = "messages"
    prefer: list[str] = Field(default=[], description="Sources in order of preference; the others follow as listed.")

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = rows.text(self.on)
        normal = text.matching_key(whole)
        spelt = frame.select(
            pl.when(normal != "").then(normal).otherwise(pl.concat_str(pl.lit("="), whole))
        ).to_series()
        digests = [xxhash.xxh3_128_digest(t.encode()) for t in spelt]
        return pl.DataFrame({"key": pl.Series(digests, dtype=pl.Binary)})

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        order = [*self.prefer, *(s for s in sources if s not in self.prefer)]
        rank = pl.col("source").replace_strict(order, list(range(len(order))), return_dtype=pl.Int32)
        groups = index.with_columns(rank=rank).filter(pl.len().over("key") > 1).sort("rank", "shard", "row")
        first = pl.concat_str(pl.lit("same text as "), pl.col("id"), pl.lit(" of "), pl.col("source")).first()
        # The row that stays is looked up before it leaves the group.
        told = groups.with_columns(detail=first.over("key"), turn=pl.int_range(pl.len()).over("key"))
        return told.filter(pl.col("turn") > 0).select("shard", "row", "detail", reason=pl.lit("duplicate"))
