"""Punctuation: whether a translation has about as many sentences, questions and exclamations as its source."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

Ratio = Annotated[float, Field(ge=0)]
# An end of a sentence: a mark, what closes, and space or the end. `e.g.`, `U.S.`, `Mr.`, `3.5` and `1.` are none.
_SENTENCE = (
    r"(?:(?:[\p{Ll}\p{Lo}\p{M}]{2}|\p{Lu}{3}|[0-9]{3}|[%\"'»”’)\]*_`])[.۔]|[!?؟…]|\.\.)"
    r"[.!?؟…\"'»”“’)\]*_]*(?:\s|$)"
)
_QUESTION = r"[?؟]+"
_EXCLAMATION = r"!+"
_SENTENCE_CUSHION = 2
"""Sentences added to both numbers: one sentence may well become two."""


@register
class Punctuation(Filter):
    """Drop rows in which a message has far more or fewer sentences, or lost or gained questions and exclamations.

    Sentences are counted by their marks (`.`, `!`, `?`, «؟», `…`, «۔»); a text without any has one. `fewest` and
    `most` are the smallest and largest ratio of target sentences to source sentences, with two added to both.
    `questions` and `exclamations` are the differences of the numbers of marks, several in a row (`?!`, `!!!`)
    counted once. Code, formulas, addresses and tags are left out. The bounds are loose, for good translators split
    and join sentences: of 27,934 good pairs (Tatoeba, ManyThings, TICO-19, NTREX-128) 0.01 % fall.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Is it far? I can walk. → هل المكان بعيد؟ يمكنني المشي.",
        "dropped": "Is it far? Can I walk? Who knows? → المكان بعيد.",
    }

    step: Literal["punctuation"] = "punctuation"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    min_sentence_ratio: Ratio | None = 0.6
    """Smallest number of target sentences per source sentence."""
    max_sentence_ratio: Ratio | None = 1.8
    """Largest number of target sentences per source sentence."""
    max_questions: Count | None = 1
    """Most question marks that a translation may lack or add."""
    max_exclamations: Count | None = 2
    """Most exclamation marks that a translation may lack or add."""

    def measures(self) -> Columns:
        return {"fewest": pl.Float32(), "most": pl.Float32(), "questions": pl.Int32(), "exclamations": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        sides = {side: text.prose(pl.col(side)).str.strip_chars() for side in ("source", "target")}
        pairs = rows.text_pairs(frame, self.source, self.target).select("row", **sides)
        sentences = [_count(side, _SENTENCE).clip(lower_bound=1) + _SENTENCE_CUSHION for side in ("target", "source")]
        lines = pairs.select(
            "row",
            ratio=text.measured(sentences[0] / sentences[1]),
            questions=(_count("target", _QUESTION) - _count("source", _QUESTION)).abs(),
            exclamations=(_count("target", _EXCLAMATION) - _count("source", _EXCLAMATION)).abs(),
        )
        worst = {
            "fewest": (pl.col("ratio").min(), 1.0),
            "most": (pl.col("ratio").max(), 1.0),
            "questions": (pl.col("questions").max(), 0),
            "exclamations": (pl.col("exclamations").max(), 0),
        }
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("fewer_sentences", self.min_sentence_ratio, pl.col("fewest").lt),
            ("more_sentences", self.max_sentence_ratio, pl.col("most").gt),
            ("questions", self.max_questions, pl.col("questions").gt),
            ("exclamations", self.max_exclamations, pl.col("exclamations").gt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


def _count(side: str, mark: str) -> pl.Expr:
    return pl.col(side).str.count_matches(mark).cast(pl.Int32)
