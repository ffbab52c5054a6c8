"""Exact dedup: of rows with the same normalised text, one stays, from the source that is preferred."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import polars as pl
import xxhash
from pydantic import Field

from hala_factory import duplicates
from hala_factory.step import Barrier, Columns, TextPath, register


@register
class ExactDedup(Barrier):
    """Drop rows whose text equals another row's after normalisation, within and across sources and versions.

    Normalised means `text.matching_key`: case, white space, diacritics, tatweel and punctuation at the ends do
    not count. A text of which nothing is left is compared as it stands, so that short or symbol-only rows are
    never lumped together. The row that stays is from the first source in `prefer` (else in the recipe's order),
    and the earliest of that source; the ledger's `detail` names it. A row that an earlier version holds goes.

    What is compared is `on`: `messages` whole, `messages.user` (prompts), `messages.assistant` (answers),
    `translation` (both sides), …
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "What is the capital of Australia?",
        "dropped": "what is the capital of  Australia ?",
    }

    revision: ClassVar[int] = 4
    judged_by: ClassVar[tuple[str, ...]] = ("prefer",)

    step: Literal["exact_dedup"] = "exact_dedup"
    on: TextPath = "messages"
    prefer: list[str] = Field(default=[], description="Sources in order of preference; the others follow as listed.")
    against: str | None = None
    """`name@version` of a finished corpus; rows that it holds already are dropped."""
    against_on: TextPath | None = None
    """Which of that corpus's texts are compared, where they are called otherwise than here (e.g. `messages_en`)."""
    clusters: bool = False
    """Whether to note on the rows that had copies, and on the copies, which row stayed and how many there were."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        return super().faults(columns) + duplicates.against_faults(columns, self.on, self.against_on)

    def earlier(self) -> str | None:
        return self.against

    def measures(self) -> Columns:
        return {"cluster": pl.String(), "size": pl.Int32()} if self.clusters else {}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        path = duplicates.path_in(frame.columns, self.on, self.on, self.against_on)
        texts = duplicates.spelt(frame, path)
        # 128 bits as two numbers: half the memory of a binary column, and groups are found three times as fast.
        digests = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, texts.cast(pl.Binary))), dtype=">u8").reshape(
            -1, 2
        )
        high, low = digests.astype(np.uint64).T
        return pl.DataFrame({"high": high, "low": low})

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        key = ["high", "low"]
        copies = index.group_by(key).agg(size=pl.len().cast(pl.Int32)).filter(pl.col("size") > 1)
        found = index.with_columns(rank=duplicates.rank(sources, self.prefer)).join(copies, on=key)
        groups = found.sort("rank", "shard", "row")
        told = groups.with_columns(
            turn=pl.int_range(pl.len()).over(key),
            cluster=pl.col("id").first().over(key),
            of=pl.col("source").first().over(key),
            before=pl.col("earlier").first().over(key),
        ).filter(~pl.col("earlier"))
        gone = pl.when(pl.col("turn") > 0)
        reason = pl.when("before").then(pl.lit("in_earlier_version")).otherwise(pl.lit("duplicate"))
        verdicts = told.select(
            "shard",
            "row",
            *self.measures(),
            reason=gone.then(reason),
            detail=gone.then(pl.format("same text as {}", duplicates.stays(self.against))),
        )
        return verdicts if self.clusters else verdicts.filter(pl.col("reason").is_not_null())
