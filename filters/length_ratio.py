"""Length ratio: how long a translation is against its source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

Ratio = Annotated[float, Field(ge=0)]
_CAP = 9999.0


@register
class LengthRatio(Filter):
    """Drop rows in which a message is far shorter or longer than its source.

    Characters are counted outside code, formulas, addresses and tags, which stay as they are and would hide a
    cut; white space counts as one. Messages of which both sides are short are not judged (their ratio is 1).
    A row has the ratio of its worst message on either side.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Bread keeps longer in a cloth bag. → يدوم الخبز مدة أطول في كيس من القماش.",
        "dropped": "Bread keeps longer in a cloth bag, because the crust can breathe and does not go soft. → الخبز.",
    }

    step: Literal["length_ratio"] = "length_ratio"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    min_ratio: Ratio | None = 0.4
    """Smallest number of target characters per source character."""
    max_ratio: Ratio | None = 2.5
    """Largest number of target characters per source character."""
    min_chars: Count = 30
    """Pairs are judged if one side has at least so many characters."""  # at 20, 46 of 10,305 good pairs fall; here 19

    def measures(self) -> Columns:
        return {"lowest": pl.Float32(), "highest": pl.Float32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target)
        lengths = pairs.select("row", source=_chars("source"), target=_chars("target"))
        source, target = pl.col("source"), pl.col("target")
        judged = pl.max_horizontal(source, target) >= max(self.min_chars, 1)
        quotient = pl.when(source > 0).then(target / source).otherwise(_CAP).clip(0, _CAP)
        ratios = lengths.select("row", ratio=text.measured(pl.when(judged).then(quotient).otherwise(1.0)))
        worst = {"lowest": (pl.col("ratio").min(), 1.0), "highest": (pl.col("ratio").max(), 1.0)}
        return text.per_row(ratios, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = []
        if self.min_ratio is not None:
            rules.append(("too_short", pl.col("lowest") < self.min_ratio))
        if self.max_ratio is not None:
            rules.append(("too_long", pl.col("highest") > self.max_ratio))
        return rules


def _chars(column: str) -> pl.Expr:
    return text.collapse_space(text.prose(pl.col(column))).str.len_chars().cast(pl.Int64)
