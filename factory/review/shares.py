"""Shares: who of several reviewers answers which task, where each has a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hala_factory.errors import InputError
from hala_factory.review.decks import Deck, Task


def share(deck: Deck, reviewers: Sequence[str]) -> dict[str, Deck]:
    """The deck of every reviewer: single tasks go round, double ones to two people, each pair of neighbours in turn.

    Raises InputError where a name is given twice, or one person would have to answer a double task twice.
    """
    if len(set(reviewers)) < len(reviewers):
        raise InputError(f"reviewers {', '.join(reviewers)}: a name is given twice")
    if len(reviewers) < 2 and any(task.batch == "double" for task in deck.tasks):
        raise InputError(
            f"{deck.artifact}: some tasks are for two people: name two reviewers or more, or give out one file to all"
        )
    shares: dict[str, list[Task]] = {name: [] for name in reviewers}
    turns = {"single": 0, "double": 0}
    for task in deck.tasks:
        first = turns[task.batch]
        turns[task.batch] += 1
        for step in range(2 if task.batch == "double" else 1):
            shares[reviewers[(first + step) % len(reviewers)]].append(task)
    return {name: replace(deck, tasks=tuple(tasks)) for name, tasks in shares.items()}
