"""Shares: who of several reviewers answers which task, where each has a file of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hala_factory.errors import InputError
from hala_factory.review.decks import Deck, Task


def share(deck: Deck, reviewers: Sequence[str]) -> dict[str, Deck]:
    """The deck of every reviewer: as many tasks for each, double ones for two people, all of them with all others.

    Raises InputError where a name is given twice, or one person would have to answer a double task twice.
    """
    if len(set(reviewers)) < len(reviewers):
        raise InputError(f"reviewers {', '.join(reviewers)}: a name is given twice")
    if len(reviewers) < 2 and any(task.batch == "double" for task in deck.tasks):
        raise InputError(
            f"{deck.artifact}: some tasks are for two people: name two reviewers or more, or give out one file to all"
        )
    shares: dict[str, list[Task]] = {name: [] for name in reviewers}
    together: Counter[frozenset[str]] = Counter()
    for task in deck.tasks:
        first = min(reviewers, key=lambda name: len(shares[name]))
        shares[first].append(task)
        if task.batch == "double":
            others = [name for name in reviewers if name != first]
            second = min(others, key=lambda name: (len(shares[name]), together[frozenset((first, name))]))
            together[frozenset((first, second))] += 1
            shares[second].append(task)
    return {name: replace(deck, tasks=tuple(tasks)) for name, tasks in shares.items()}
