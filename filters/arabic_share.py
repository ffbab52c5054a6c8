"""Arabic share: how much of a text is written in Arabic letters."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register


@register
class ArabicShare(Filter):
    """Drop texts with too small (or too large) a share of Arabic letters among all letters.

    A text without a single letter (a bare formula, a number) is not judged: it is kept on either side, and
    its `letters` are 0. Marks, tatweel, digits and punctuation are not letters.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "استخدم الدالة `print` لطباعة النتيجة.",
        "dropped": "The capital of Egypt is القاهرة.",
    }

    step: Literal["arabic_share"] = "arabic_share"
    on: TextPath = "messages"
    min_share: Share | None = 0.5
    """Smallest share of Arabic letters."""  # the `alpha` rule of HPLT's English-Arabic cleaning
    max_share: Share | None = None
    """Largest share of Arabic letters, for texts that are meant to be English."""
    outside_code: bool = True
    """Count outside fenced and inline code, formulas, web addresses and tags only."""

    def measures(self) -> Columns:
        return {"share": pl.Float32(), "letters": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        counted = text.prose(rows.text(self.on)) if self.outside_code else rows.text(self.on)
        counts = frame.select(text=counted).select(
            letters=text.letters(pl.col("text")), arabic=text.arabic_letters(pl.col("text"))
        )
        return counts.select(share=text.ratio(pl.col("arabic"), pl.col("letters")), letters="letters")

    def rules(self) -> list[tuple[str, pl.Expr]]:
        share, judged = pl.col("share"), pl.col("letters") > 0
        rules = []
        if self.min_share is not None:
            rules.append(("too_little_arabic", judged & (share < self.min_share)))
        if self.max_share is not None:
            rules.append(("too_much_arabic", judged & (share > self.max_share)))
        return rules
