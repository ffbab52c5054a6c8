"""Verdicts: what all answers to a task together say of its row, and what they decide about the corpus.

The model: of a task counts what was submitted last by each person. A row is bad if at least half of its verdicts are;
one that everybody who saw it discarded was judged by nobody, and counts as bad in the end. A task of two people is
open until two have answered.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

Decision = Literal["accepted", "rejected", "open"]
Said = Literal["bad", "not bad", "unjudged", "open"]


def verdicts(sample: pl.DataFrame, answers: pl.DataFrame, bad: Collection[str]) -> pl.DataFrame:
    """The sample with `said` (as `Said`), `good` (whether most found it good) and `answers`, how many judged."""
    given = answers.filter(pl.col("status") == "submitted").group_by("task").agg(
        answers=pl.len(),
        bads=pl.col("verdict").is_in(list(bad)).sum(),
        goods=(pl.col("verdict") == "good").sum(),
    )  # fmt: skip
    passed = answers.filter(pl.col("status") == "discarded").group_by("task").agg(discarded=pl.len())
    joined = sample.join(given, on="task", how="left", maintain_order="left")
    joined = joined.join(passed, on="task", how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("answers", "bads", "goods", "discarded").fill_null(0).cast(pl.Int64))
    people = pl.col("answers") + pl.col("discarded")
    wanted = pl.when(pl.col("batch") == "double").then(2).otherwise(1)
    said = (
        pl.when((pl.col("answers") > 0) & (2 * pl.col("bads") >= pl.col("answers").clip(wanted)))
        .then(pl.lit("bad"))
        .when(people < wanted)
        .then(pl.lit("open"))
        .when(pl.col("answers") == 0)
        .then(pl.lit("unjudged"))
        .when(2 * pl.col("bads") >= pl.col("answers"))
        .then(pl.lit("bad"))
        .otherwise(pl.lit("not bad"))
    )
    return joined.with_columns(said=said, good=2 * pl.col("goods") > pl.col("answers"))


@dataclass(frozen=True)
class Outcome:
    """What a review decides."""

    state: Decision
    tasks: int
    """Tasks that decide."""
    answered: int
    draws: int
    allowed: int
    bad: int
    """Draws that are bad by their verdicts."""
    unjudged: int
    """Draws that everybody discarded."""
    words: str

    def told(self) -> dict[str, Any]:
        """The outcome for `--json`."""
        return asdict(self)


def decide(judged: pl.DataFrame, told: dict[str, Any]) -> Outcome:
    """The decision on `verdicts` of a sample, by the plan in `told` (the manifest's `review`)."""
    deciding = judged.filter(pl.col("kind") == "accept")
    draws = {said: int(deciding.filter(pl.col("said") == said)["draws"].sum()) for said in ("bad", "unjudged", "open")}
    tasks, left = deciding.height, int((deciding["said"] == "open").sum())
    allowed, bad, unjudged = int(told["allowed"]), draws["bad"], draws["unjudged"]
    against = f"{bad} bad" + (f" and {unjudged} that everybody discarded" if unjudged else "")
    state: Decision = "accepted"
    if not tasks:
        state, words = "open", "the corpus has no row to judge"
    elif bad > allowed:
        state, words = "rejected", f"{bad} of {told['draws']} draws are bad, and {allowed} may be"
        words += f"; {left} tasks need no answer any more" if left else ""
    elif left:
        state, words = "open", f"{tasks - left} of {tasks} tasks that decide are answered; {against} so far"
    elif bad + unjudged > allowed:
        state, words = (
            "rejected",
            f"{against} of {told['draws']} draws; {allowed} may be, and what nobody judged counts",
        )
    else:
        words = f"{against} of {told['draws']} draws, and {allowed} may be"
    return Outcome(state, tasks, tasks - left, int(told["draws"]), allowed, bad, unjudged, words)
