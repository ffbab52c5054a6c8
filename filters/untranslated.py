"""Untranslated: how much of a translation was merely copied from its source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

_WORDS = {"latin": r"\p{Latin}[\p{Latin}\p{M}'’]*", "arabic": r"\p{Arabic}[\p{Arabic}\p{M}\x{640}]*"}
# What begins with a capital may be a name, which rightly stays; Arabic has no capitals.
_NO_NAME = {"latin": r"^\p{Ll}", "arabic": ""}
_COMMON_WORD = {"latin": r"(?:\A|[^\p{L}\p{M}'’])\p{Ll}[\p{Latin}'’]+", "arabic": _WORDS["arabic"]}


@register
class Untranslated(Filter):
    """Drop rows in which a message was left in the source language, whole or in large part.

    `copied` is the share of the target's letters that stand in words of the source's script which the source
    holds too; words with a capital may be names and do not count. `same` tells that both texts read the same
    (`text.matching_key`). Code, formulas, addresses and tags are left out. A message of numbers, symbols and
    names only may rightly stay as it is: where the source has fewer than `min_words` words that are surely no
    names (in Latin script, those in lower case), the message is not judged and its share is 0. A row has the
    share of its worst message.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Use the print function in Python. → استخدم الدالة print في Python.",
        "dropped": "Use the print function in Python. → Use the print function في Python.",
    }

    step: Literal["untranslated"] = "untranslated"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    script: Literal["latin", "arabic"] = "latin"
    """The script of the source language."""
    max_copied: Share | None = 0.5
    """Largest share of letters in copied words."""
    min_words: Annotated[int, Field(ge=1)] = 2
    """Fewest common words of a source that is judged."""

    def measures(self) -> Columns:
        return {"copied": pl.Float32(), "same": pl.Boolean()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = (
            rows.text_pairs(frame, self.source, self.target)
            .with_row_index("pair")
            .with_columns(text.prose(pl.col("source")), text.prose(pl.col("target")))
            # Most translations hold no word in the source's script: they are done here.
            .filter(pl.col("target").str.contains(_WORDS[self.script]))
            .filter(pl.col("source").str.count_matches(_COMMON_WORD[self.script]) >= self.min_words)
        )
        same = text.matching_key(pl.col("source")) == text.matching_key(pl.col("target"))
        lines = pairs.select("pair", "row", same=same, letters=text.letters(pl.col("target")))
        spoken = self._words(pairs, "source")["key"].unique()
        copied = self._words(pairs, "target").filter(pl.col("key").is_in(spoken.implode()))
        letters = copied.group_by("pair").agg(copied=pl.col("letters").sum())
        shares = lines.join(letters, on="pair", how="left").select(
            "row", "same", copied=text.ratio(pl.col("copied").fill_null(0), pl.col("letters"))
        )
        worst = {"copied": (pl.col("copied").max(), 0.0), "same": (pl.col("same").any(), False)}
        return text.per_row(shares, frame.height, worst)

    def _words(self, pairs: pl.DataFrame, side: str) -> pl.DataFrame:
        """Every word of one side that is surely no name, on a line of its own: `pair`, `key`, `letters`."""
        words = pairs.select("pair", word=pl.col(side).str.extract_all(_WORDS[self.script]))
        each = words.filter(pl.col("word").list.len() > 0).explode("word")
        common = each.filter(pl.col("word").str.contains(_NO_NAME[self.script]))
        # Pairs and words are compared by 64 bits: much faster than by text, and the value decides nothing.
        key = pl.struct("pair", "word").hash()
        return common.select("pair", key=key, letters=text.letters(pl.col("word")))

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = [("same_text", pl.col("same"))]
        if self.max_copied is not None:
            rules.append(("copied", pl.col("copied") > self.max_copied))
        return rules
