"""Script share: how much of a text is written in the letters of one script."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from hala_factory import lid, rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

Script = Literal[
    "arabic",
    "armenian",
    "bengali",
    "cyrillic",
    "devanagari",
    "ethiopic",
    "georgian",
    "greek",
    "han",
    "hangul",
    "hebrew",
    "japanese",
    "latin",
    "tamil",
    "telugu",
    "thai",
]


@register
class ScriptShare(Filter):
    """Drop texts with too small (or too large) a share of letters of one script among all letters.

    A text without a single letter (a bare formula, a number) is not judged: it is kept on either side, and
    its `letters` are 0. Marks, tatweel, digits and punctuation are not letters. `japanese` is kana and Han.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "استخدم الدالة `print` لطباعة النتيجة.",
        "dropped": "The capital of Egypt is القاهرة.",
    }

    revision: ClassVar[int] = 2

    step: Literal["script_share"] = "script_share"
    on: TextPath = "messages"
    script: Script = "arabic"
    """Whose letters are counted."""
    min_share: Share | None = 0.5
    """Smallest share of letters of the script."""  # the `alpha` rule of HPLT's English-Arabic cleaning
    max_share: Share | None = None
    """Largest share, for texts that are meant to be in another script."""
    outside_code: bool = True
    """Count outside fenced and inline code, formulas, web addresses, tags, placeholders and the ends of links only."""

    def measures(self) -> Columns:
        return {"share": pl.Float32(), "letters": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = frame.select(text=rows.text(self.on)).to_series()
        counted = lid.prose(whole) if self.outside_code else whole
        found = pl.col("text").str.replace_all(_others(self.script), "").str.len_chars()
        counts = counted.alias("text").to_frame().select(letters=text.letters(pl.col("text")), found=found)
        return counts.select(share=text.ratio(pl.col("found"), pl.col("letters")), letters="letters")

    def rules(self) -> list[tuple[str, pl.Expr]]:
        share, judged = pl.col("share"), pl.col("letters") > 0
        rules = []
        if self.min_share is not None:
            rules.append(("too_little_script", judged & (share < self.min_share)))
        if self.max_share is not None:
            rules.append(("too_much_script", judged & (share > self.max_share)))
        return rules


def _others(script: Script) -> str:
    """Matches runs of everything that is no letter of the script."""
    parts = ("Han", "Hiragana", "Katakana") if script == "japanese" else (script.capitalize(),)
    letters = "".join(rf"\p{{{part}}}" for part in parts)
    return rf"[^[[{letters}]&&\p{{L}}]]+"
