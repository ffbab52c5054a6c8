"""Conflicting answers: the same question with several short answers, of which at most one can be right."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
import xxhash

from hala_factory import duplicates, rows, text
from hala_factory.step import Barrier, Columns, Count, TextPath, register


@register
class ConflictingAnswers(Barrier):
    """Drop rows whose question has several different answers, all of them short.

    Questions and answers are the same if they read the same (`text.matching_key`). Long answers to one prompt are
    no contradiction: of T0's 1,169 rows that share a prompt and differ in the answer, nearly all are asked to make
    up a question about a text, or to tell a story. Those with at most five words in every answer are labels,
    names and numbers that speak against each other. `answers` counts the different answers of every prompt that
    has several, long or short.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Is a tomato a fruit? → Yes",
        "dropped": "Is a tomato a fruit? → Yes; Is a tomato a fruit? → No",
    }

    judged_by: ClassVar[tuple[str, ...]] = ("keep",)

    step: Literal["conflicting_answers"] = "conflicting_answers"
    source: TextPath = "messages.user"
    """The questions."""
    target: TextPath = "messages.assistant"
    """The answers."""
    keep: Literal["none", "first"] = "none"
    """Which rows of a conflict stay: none, for nobody knows which is right, or those that answer as the first does."""
    max_words: Count | None = 5
    """Most words of the longest answer for the answers to count as conflicting (null: however long)."""

    def measures(self) -> Columns:
        return {"answers": pl.Int32()}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        words = frame.select(words=text.word_count(rows.text(self.target)))
        return words.with_columns(_digests(frame, self.source, "asked"), _digests(frame, self.target, "answer"))

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        several = index.group_by("asked").agg(
            answers=pl.col("answer").n_unique().cast(pl.Int32), longest=pl.col("words").max()
        )
        found = index.join(several.filter(pl.col("answers") > 1), on="asked").filter(~pl.col("earlier"))
        told = found.sort("shard", "row").with_columns(
            first=pl.col("answer").first().over("asked"), of=pl.col("id").first().over("asked")
        )
        gone = pl.lit(True) if self.keep == "none" else pl.col("answer") != pl.col("first")
        if self.max_words is not None:
            gone &= pl.col("longest") <= self.max_words
        return told.select(
            "shard",
            "row",
            "answers",
            reason=pl.when(gone).then(pl.lit("conflicting_answer")),
            detail=pl.when(gone).then(pl.format("one of {} answers to the question of {}", "answers", "of")),
        )


def _digests(frame: pl.DataFrame, path: str, name: str) -> pl.Series:
    texts = duplicates.spelt(frame, path)
    return pl.Series(name, [xxhash.xxh3_64_intdigest(t) for t in texts.cast(pl.Binary)], dtype=pl.UInt64)
