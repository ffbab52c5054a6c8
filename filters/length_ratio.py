"""Length ratio: how long a translation is against its source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, TextPath, register

Ratio = Annotated[float, Field(ge=0)]


@register
class LengthRatio(Filter):
    """Drop rows in which a message is far shorter or longer than its source.

    Lengths are counted outside code, formulas, addresses and tags, which stay as they are and would hide a cut;
    white space counts as one. The lengths of short texts vary more: `cushion` is added to both lengths, so that the
    ratio of two short texts is near 1 and that of long ones is nearly their own. A row has the ratio of its worst
    message on either side. Words are only counted where one of their bounds is set.

    On 30,934 good pairs, English to Arabic (Tatoeba, ManyThings, TICO-19, NTREX-128, MT-GenEval): of 70 characters
    and more, half of the translations have 0.87 or more characters per character of the source, and 99.5 % have 0.55
    to 1.87. With the defaults 0.1 % fall; of 7,000 pairs cut to the first half of their words, 88 % are found.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Bread keeps longer in a cloth bag. → يدوم الخبز مدة أطول في كيس من القماش.",
        "dropped": "Bread keeps longer in a cloth bag, because the crust can breathe and does not go soft. → الخبز.",
    }

    revision: ClassVar[int] = 3

    step: Literal["length_ratio"] = "length_ratio"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    min_ratio: Ratio | None = 0.58
    """Smallest number of target characters per source character."""
    max_ratio: Ratio | None = 1.8
    """Largest number of target characters per source character."""
    cushion: Annotated[int, Field(ge=1)] = 20
    """Characters added to both lengths before they are compared."""
    min_word_ratio: Ratio | None = None
    """Smallest number of target words per source word."""
    max_word_ratio: Ratio | None = None
    """Largest number of target words per source word."""
    word_cushion: Annotated[int, Field(ge=1)] = 3
    """Words added to both numbers of words."""

    @property
    def _counts_words(self) -> bool:
        return self.min_word_ratio is not None or self.max_word_ratio is not None

    def measures(self) -> Columns:
        names = ("lowest", "highest", *(("lowest_words", "highest_words") if self._counts_words else ()))
        return dict.fromkeys(names, pl.Float32())

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        sides = {side: text.collapse_space(text.prose(pl.col(side))) for side in ("source", "target")}
        pairs = rows.text_pairs(frame, self.source, self.target).select("row", **sides)
        source, target = (pl.col(side) for side in ("source", "target"))
        ratios = {"chars": _ratio(target.str.len_chars(), source.str.len_chars(), self.cushion)}
        worst = {"lowest": (pl.col("chars").min(), 1.0), "highest": (pl.col("chars").max(), 1.0)}
        if self._counts_words:
            ratios["words"] = _ratio(text.word_count(target), text.word_count(source), self.word_cushion)
            worst |= {"lowest_words": (pl.col("words").min(), 1.0), "highest_words": (pl.col("words").max(), 1.0)}
        return text.per_row(pairs.select("row", **ratios), frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("too_short", self.min_ratio, pl.col("lowest").lt),
            ("too_long", self.max_ratio, pl.col("highest").gt),
            ("too_few_words", self.min_word_ratio, pl.col("lowest_words").lt),
            ("too_many_words", self.max_word_ratio, pl.col("highest_words").gt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


def _ratio(target: pl.Expr, source: pl.Expr, cushion: int) -> pl.Expr:
    return text.measured((target.cast(pl.Int64) + cushion) / (source.cast(pl.Int64) + cushion))
