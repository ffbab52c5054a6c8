"""Conflicting answers: one question answered both yes and no, or with two numbers, of which one must be wrong."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
import xxhash

from hala_factory import duplicates, rows, text
from hala_factory.step import Barrier, Columns, Count, TextPath, register

_SIDES = {
    "yes": "yes yeah yep true correct right positive نعم أجل بلى صحيح صحيحة صح صواب إيجابي إيجابية",
    "no": "no nope false incorrect wrong negative لا كلا خطأ خاطئ خاطئة سلبي سلبية",
    "neither": "neutral محايد محايدة",
}
"""Words that say one of two things, alone or before the rest of the answer: «Yes, it is»."""


@register
class ConflictingAnswers(Barrier):
    """Drop rows whose question is answered in ways that exclude each other: yes and no, two numbers, two letters.

    Questions are the same if they read the same (`text.matching_key`). Other answers that differ are rarely a
    contradiction: of T0's 1,169 rows that share a prompt and differ in the answer, nearly all are asked to make up a
    question about a text or to tell a story, and a sentence has several translations. `max_words` counts short
    answers of any kind as conflicting. `answers` counts the different answers of every prompt that has several.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Is a tomato a fruit? → Yes",
        "dropped": "Is a tomato a fruit? → Yes; Is a tomato a fruit? → No",
    }

    revision: ClassVar[int] = 2
    judged_by: ClassVar[tuple[str, ...]] = ("keep",)

    step: Literal["conflicting_answers"] = "conflicting_answers"
    source: TextPath = "messages.user"
    """The questions."""
    target: TextPath = "messages.assistant"
    """The answers."""
    keep: Literal["none", "first"] = "none"
    """Which rows of a conflict stay: none, for nobody knows which is right, or those that answer as the first does."""
    max_words: Count | None = None
    """Answers that differ conflict if the longest of them has at most so many words (null: that alone is none)."""

    def measures(self) -> Columns:
        return {"answers": pl.Int32()}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        words = frame.select(words=text.word_count(rows.text(self.target)))
        answers = duplicates.spelt(frame, self.target)
        side = answers.to_frame("read").select(side=_side(text.fold_digits(pl.col("read"))))
        asked = _digests(duplicates.spelt(frame, self.source), "asked")
        return words.hstack([asked, _digests(answers, "answer"), side.to_series()])

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        several = index.group_by("asked").agg(
            answers=pl.col("answer").n_unique().cast(pl.Int32),
            sides=pl.col("side").drop_nulls().n_unique(),
            longest=pl.col("words").max(),
        )
        found = index.join(several.filter(pl.col("answers") > 1), on="asked").filter(~pl.col("earlier"))
        told = found.sort("shard", "row").with_columns(
            first=pl.col("answer").first().over("asked"),
            first_side=pl.col("side").first().over("asked"),
            of=pl.col("id").first().over("asked"),
        )
        conflict = pl.col("sides") > 1
        if self.max_words is not None:
            conflict |= pl.col("longest") <= self.max_words
        other = pl.coalesce(pl.col("side") != pl.col("first_side"), pl.col("answer") != pl.col("first"))
        gone = conflict if self.keep == "none" else conflict & other
        return told.select(
            "shard",
            "row",
            "answers",
            reason=pl.when(gone).then(pl.lit("conflicting_answer")),
            detail=pl.when(gone).then(pl.format("one of {} answers to the question of {}", "answers", "of")),
        )


def _side(key: pl.Expr) -> pl.Expr:
    """What an answer says that leaves but one of several: a side, a number, the letter of a choice; else null."""
    number = key.str.replace_all(",", "", literal=True).str.strip_suffix("%").cast(pl.Float64, strict=False)
    asked = [
        pl.when(key.str.contains(rf"^(?:{'|'.join(text.folded(words).split())})(?:[,.;:!،؛]|$)")).then(pl.lit(side))
        for side, words in _SIDES.items()
    ]
    said = key.str.extract(r"^\(?([a-eابجده])\)?$")
    counted = pl.when(key.str.contains(r"^[-+]?[0-9][0-9.,]*%?$")).then(number.cast(pl.String))
    return pl.coalesce(*asked, said, counted)


def _digests(texts: pl.Series, name: str) -> pl.Series:
    return pl.Series(name, [xxhash.xxh3_64_intdigest(t) for t in texts.cast(pl.Binary)], dtype=pl.UInt64)
