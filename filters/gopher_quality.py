"""Gopher quality: the document rules of the Gopher paper, one reason each."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register

Chars = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0)]

STOP_WORDS = {
    "en": ["the", "be", "to", "of", "and", "that", "have", "with"],  # Gopher, arXiv 2112.11446, A.1.1
    # The most frequent function words of the Arabic side of Tatoeba, TICO-19 and MT-GenEval (19,376 sentences).
    "ar": ["في", "من", "على", "إلى", "أن", "كان", "و", "لا", "عن", "ما", "أو", "ذلك", "مع", "التي", "لم", "هذا"],
}


@register
class GopherQuality(Filter):
    """Drop texts that do not read like prose, by the rules and numbers of Gopher (arXiv 2112.11446, A.1.1).

    Made for web pages: for instructions, lower or switch off `min_words`. A word is a run of letters, marks
    and digits; every other visible character is a symbol, and the two ratios of symbols are per word or symbol.
    Each rule can be switched off with null.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The river rises in the hills to the south of the town, and farmers have lived along it for as long "
        "as anyone can remember. In the spring the water floods the lower fields with dark soil that makes them rich, "
        "so the best wheat in the valley is said to be grown there by those patient people.",
        "dropped": "#sale #shoes #cheap #summer #style #now",
    }

    step: Literal["gopher_quality"] = "gopher_quality"
    on: TextPath = "messages"
    min_words: Count | None = 50
    """Fewest words."""
    max_words: Count | None = 100_000
    """Most words."""
    min_mean_word_chars: Chars | None = 3
    """Smallest mean length of the words, in characters."""
    max_mean_word_chars: Chars | None = 10
    """Largest mean length of the words, in characters."""
    max_hash_ratio: Ratio | None = 0.1
    """Most `#` per word."""
    max_ellipsis_ratio: Ratio | None = 0.1
    """Most `...` and `…` per word."""
    max_bullet_lines: Share | None = 0.9
    """Largest share of lines that begin with a bullet (`•` or `-`)."""
    max_ellipsis_lines: Share | None = 0.3
    """Largest share of lines that end with an ellipsis."""
    min_alphabetic_words: Share | None = 0.8
    """Smallest share of words (and symbols) that hold a letter."""
    min_stop_words: Count | None = 2
    """Fewest different stop words."""
    stop_words: Literal["en", "ar"] | list[str] | None = "en"
    """The stop words, as written: a list, or the one of a language; null switches the rule off."""

    def measures(self) -> Columns:
        return {
            "words": pl.Int32(),
            "mean_word_chars": pl.Float32(),
            "hash_ratio": pl.Float32(),
            "ellipsis_ratio": pl.Float32(),
            "bullet_lines": pl.Float32(),
            "ellipsis_lines": pl.Float32(),
            "alphabetic_words": pl.Float32(),
            "stop_words": pl.Int32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = pl.col("text")
        counts = frame.select(text=rows.text(self.on)).select(
            chars=whole.str.len_chars(),
            spaces=whole.str.count_matches(r"\s"),
            words=text.word_count(whole),
            tokens=whole.str.count_matches(text.TOKEN),
            alphabetic=whole.str.count_matches(text.WORD_WITH_LETTER),
            symbols=whole.str.count_matches(text.SYMBOL),
            hashes=whole.str.count_matches("#", literal=True),
            ellipses=whole.str.count_matches("...", literal=True) + whole.str.count_matches("…", literal=True),
            lines=whole.str.count_matches("\n", literal=True) + ((whole != "") & ~whole.str.ends_with("\n")),
            bullets=whole.str.count_matches(r"(?m)^[^\S\n]*[•\-]"),
            trailing=whole.str.count_matches(r"(?m)(?:\.\.\.|…)[^\S\n]*$"),
            stop_words=pl.sum_horizontal([pl.lit(0, pl.Int32), *self._found(whole)]),
        )
        words, tokens = pl.col("words"), pl.col("tokens")
        return counts.select(
            words="words",
            mean_word_chars=text.ratio(pl.col("chars") - pl.col("spaces") - pl.col("symbols"), words),
            hash_ratio=text.ratio(pl.col("hashes"), tokens),
            ellipsis_ratio=text.ratio(pl.col("ellipses"), tokens),
            bullet_lines=text.ratio(pl.col("bullets"), pl.col("lines")),
            ellipsis_lines=text.ratio(pl.col("trailing"), pl.col("lines")),
            alphabetic_words=text.ratio(pl.col("alphabetic"), tokens),
            stop_words=pl.col("stop_words").cast(pl.Int32),
        )

    def _found(self, whole: pl.Expr) -> list[pl.Expr]:
        """One 0 or 1 per stop word: a search that ends at the first hit is far cheaper than finding all."""
        listed = STOP_WORDS[self.stop_words] if isinstance(self.stop_words, str) else self.stop_words or []
        patterns = [rf"(?:\A|\W){re.escape(w)}(?:\W|\z)" for w in sorted(set(listed))]
        return [whole.str.contains(p).cast(pl.Int32) for p in patterns]

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("too_few_words", self.min_words, pl.col("words").lt),
            ("too_many_words", self.max_words, pl.col("words").gt),
            ("short_words", self.min_mean_word_chars, pl.col("mean_word_chars").lt),
            ("long_words", self.max_mean_word_chars, pl.col("mean_word_chars").gt),
            ("too_many_hashes", self.max_hash_ratio, pl.col("hash_ratio").gt),
            ("too_many_ellipses", self.max_ellipsis_ratio, pl.col("ellipsis_ratio").gt),
            ("too_many_bullet_lines", self.max_bullet_lines, pl.col("bullet_lines").gt),
            ("too_many_ellipsis_lines", self.max_ellipsis_lines, pl.col("ellipsis_lines").gt),
            ("too_few_alphabetic_words", self.min_alphabetic_words, pl.col("alphabetic_words").lt),
            ("too_few_stop_words", self.min_stop_words if self.stop_words else None, pl.col("stop_words").lt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]
