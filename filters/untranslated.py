"""Untranslated: how much of a translation was merely copied from its source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

_WORDS = {"latin": r"\p{Latin}[\p{Latin}\p{M}'’]*", "arabic": r"\p{Arabic}[\p{Arabic}\p{M}\x{640}]*"}
# Without initials and units: `A`, `5 m`, «ص».
_REAL_WORDS = {"latin": r"\p{Latin}[\p{M}'’]*[\p{Latin}][\p{Latin}\p{M}'’]*", "arabic": r"\p{Arabic}\p{M}*\p{Arabic}+"}
# What begins with a capital may be a name, which rightly stays; Arabic has no capitals.
_NO_NAME = {"latin": r"^\p{Ll}", "arabic": ""}
_COMMON_WORD = {"latin": r"(?:\A|[^\p{L}\p{M}'’])\p{Ll}[\p{Latin}'’]+", "arabic": _WORDS["arabic"]}
_MIN_COMMON_WORDS = 2
"""A source with fewer is a label or a name, of which a share says nothing."""

# Placeholders, anchors, link targets and file names hold words, too: `{ -brand-name-firefox }`, `{#no-new-features}`.
_PLACEHOLDERS = (
    r"\{\{?[^{}\n]*\}?\}|\]\([^()\s]*\)|%\([a-z_]+\)[a-z]|[$@]\w[\w.]*|&#?\w+;|\S+@\S+"
    r"|\w[\w-]*(?:/[\w-]+)*\.[a-z]{2,4}\b|\w+(?:[/\\][\w-]+){2,}|\w*[A-Za-z0-9]_\w+"
)
_FRONT_MATTER = r"\A---\n(?s:.*?)\n---"
"""The head of a page, of keys and addresses that rightly stay: no share of it says anything."""
_RUN = {
    "latin": r"(?:\p{Latin}[\p{Latin}\p{M}'’]*[ ,;:.!?\n\-–—\"“”]{1,3}){2,}\p{Latin}+",
    "arabic": r"(?:\p{Arabic}[\p{Arabic}\p{M}]*[ ,;:.!?\n\-–—\"“”«»،؛؟]{1,3}){2,}\p{Arabic}+",
}
_BRACKETS = r"\([^()\n]*\)|\"[^\"\n]*\"|[«“][^«»“”\n]*[»”]"
"""Where a translator repeats a title or quotes a phrase of the source, rightly."""


@register
class Untranslated(Filter):
    """Drop rows in which a message was left in the source language, whole or in large part.

    Code, formulas, addresses, tags and placeholders are left out. `same_words` counts the words (of two letters or
    more) of a message whose target reads like its source: letters and digits are compared, in one case. `copied`
    is the share of the target's letters that stand in words of the source's script which the source holds too;
    words with a capital may be names and do not count, and a source with fewer than two common words has the
    share 0. `run` is the most words of the source's script in a row, outside brackets and quotes, where the target
    is not all of that script. A row has what its worst message has.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Use the print function in Python. → استخدم الدالة print في Python.",
        "dropped": "Use the print function in Python. → Use the print function في Python.",
    }

    revision: ClassVar[int] = 2

    step: Literal["untranslated"] = "untranslated"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    script: Literal["latin", "arabic"] = "latin"
    """The script of the source language."""
    max_copied: Share | None = 0.5
    """Largest share of letters in copied words."""
    min_words: Annotated[int, Field(ge=1)] | None = 2
    """Fewest words of a message that must not stay as it is. At 2 a lone word, which is often a name (`Python`), may
    stay; 1 finds interface texts of one word (`Save`), too."""
    max_run: Annotated[int, Field(ge=1)] | None = 12
    """Most words in a row that may stay inside a translated message."""

    def measures(self) -> Columns:
        return {"copied": pl.Float32(), "same_words": pl.Int32(), "run": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        source, target = pl.col("source"), pl.col("target")
        pairs = (
            rows.text_pairs(frame, self.source, self.target)
            .with_row_index("pair")
            # Most translations hold no word in the source's script: they are done here.
            .filter(target.str.contains(_WORDS[self.script]))
            .with_columns(_prose(source), _prose(target))
            .filter(target.str.contains(_WORDS[self.script]))
            .with_columns(
                same=_letters_only(source) == _letters_only(target),
                words=target.str.count_matches(_REAL_WORDS[self.script]).cast(pl.Int32),
            )
            .with_columns(source.str.replace(_FRONT_MATTER, " "), target.str.replace(_FRONT_MATTER, " "))
        )
        common = source.str.count_matches(_COMMON_WORD[self.script]) >= _MIN_COMMON_WORDS
        runs = target.str.replace_all(_BRACKETS, " ").str.extract_all(_RUN[self.script])
        longest = runs.list.eval(pl.element().str.count_matches(_WORDS[self.script])).list.max().fill_null(0)
        lines = pairs.select(
            "pair", "row", "same", "words", letters=text.letters(target), common=common, longest=longest
        )
        spoken = self._words(pairs, "source")["key"].unique()
        copied = self._words(pairs, "target").filter(pl.col("key").is_in(spoken.implode()))
        letters = copied.group_by("pair").agg(copied=pl.col("letters").sum())
        share = text.ratio(pl.col("copied").fill_null(0), pl.col("letters"))
        shares = lines.join(letters, on="pair", how="left").select(
            "row",
            copied=pl.when("common").then(share).otherwise(0).cast(pl.Float32),
            same_words=pl.when("same").then("words").otherwise(0),
            run=pl.when(pl.col("copied").is_not_null() & ~pl.col("same")).then("longest").otherwise(0).cast(pl.Int32),
        )
        worst = {name: (pl.col(name).max(), 0) for name in self.measures()}
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
        rules = []
        if self.min_words is not None:
            rules.append(("same_text", pl.col("same_words") >= self.min_words))
        if self.max_copied is not None:
            rules.append(("copied", pl.col("copied") > self.max_copied))
        if self.max_run is not None:
            rules.append(("long_run", pl.col("run") > self.max_run))
        return rules


def _prose(side: pl.Expr) -> pl.Expr:
    return text.prose(side).str.replace_all(_PLACEHOLDERS, " ")


def _letters_only(side: pl.Expr) -> pl.Expr:
    return text.matching_key(side).str.replace_all(r"[^\p{L}\p{N}]+", "")
