"""A small corpus with a review, and people who answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hala_factory.review.answers import Answer
from hala_factory.review.decks import Deck, Task
from hala_factory.review.loading import load
from hala_factory.review.recording import Counts, record
from hala_factory.store import Store
from tests.workshop import Workshop, alpaca, answers

PLAN: dict[str, Any] = {"accept_if": {"sample": 12, "allowed": 1}, "dropped": 4, "score": "length_ar.chars", "bins": 2}
START = datetime(2026, 11, 22, 9, tzinfo=UTC)


def reviewed(workshop: Workshop, review: Any = None, rows: int = 60, **fields: Any) -> Workshop:
    """Two sources of instructions, translated by people, some of them dropped before and after."""
    short = [{"instruction": f"Say {i}.", "input": "", "output": "No."} for i in range(8)]
    workshop.rows("first.jsonl", [*alpaca(rows), *short])
    workshop.rows("second.jsonl", alpaca(rows // 3, "thing"))
    workshop.rows("answers.jsonl", [*answers(rows), *answers(rows // 3, "thing")])
    workshop.catalog(
        {"first": {"path": "first.jsonl"}, "second": {"path": "second.jsonl"}},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0", "by": "two people"}},
    )
    steps = [
        "chat_shape",
        {"step": "length", "min_chars": 30},
        "exact_dedup",
        {"step": "translate", "to": "ar", "model": "people"},
        *fields.pop("more", []),
        {"step": "length", "name": "length_ar", "min_chars": 20},
    ]
    workshop.recipe(["first", "second"], steps, review=PLAN if review is None else review, **fields)
    return workshop


def store(workshop: Workshop) -> Store:
    return Store.at(workshop.folder / "store")


def deck(workshop: Workshop, version: str = "dev") -> Deck:
    return load(store(workshop), f"small@{version}")


def answer(task: str, who: str = "ann", verdict: str | None = "good", minutes: int = 0, **fields: Any) -> Answer:
    plain: dict[str, Any] = {"status": "submitted", "errors": (), "severity": None, "correction": None}
    return Answer(**{**plain, "task": task, "annotator": who, "verdict": verdict, **fields}, at=START + timedelta(minutes=minutes))  # fmt: skip


def all_answer(
    workshop: Workshop,
    says: Callable[[Task], str] = lambda task: "good",
    people: Iterable[str] = ("ann", "bob"),
    version: str = "dev",
) -> Counts:
    """Everybody answers what is asked of two, the first one the rest."""
    shown = deck(workshop, version)
    first, *_ = people
    given = [
        answer(task.id, who, says(task))
        for task in shown.tasks
        for who in (people if task.batch == "double" else [first])
    ]
    return record(store(workshop), shown, given)
