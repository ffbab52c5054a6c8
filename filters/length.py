"""Length: how many characters and words a text has."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows
from hala_factory.step import Columns, Count, Filter, TextPath, register
from hala_factory.words import count


@register
class Length(Filter):
    """Drop texts that are too short or too long.

    Characters are Unicode characters without the white space at the ends; words are what white space
    separates. Each bound can be left out (null).
    """

    example: ClassVar[dict[str, str]] = {"kept": "Name three rivers that flow through Egypt.", "dropped": "Hi"}

    step: Literal["length"] = "length"
    on: TextPath = "messages"
    min_chars: Count | None = None
    """Fewest characters."""
    max_chars: Count | None = None
    """Most characters."""
    min_words: Count | None = None
    """Fewest words."""
    max_words: Count | None = None
    """Most words."""

    def measures(self) -> Columns:
        return {"chars": pl.Int32(), "words": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("text")
        texts = frame.select(text=rows.text(self.on))
        counts = count(texts["text"], lambda chunk: {"words": chunk.spaced}, ["words"])
        chars = texts.select(chars=text.str.strip_chars().str.len_chars().cast(pl.Int32))
        return chars.with_columns(counts["words"].cast(pl.Int32))

    def rules(self) -> list[tuple[str, pl.Expr]]:
        chars, words = pl.col("chars"), pl.col("words")
        bounds = [
            ("too_short", self.min_chars, chars.lt),
            ("too_long", self.max_chars, chars.gt),
            ("too_few_words", self.min_words, words.lt),
            ("too_many_words", self.max_words, words.gt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]
