"""Gold: tasks of which the answer is known, to see how well each person answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hala_factory.quality.controls import BAD, spoilt
from hala_factory.review.decks import Turn


@dataclass(frozen=True)
class Gold:
    """A task with the verdict that is right."""

    turns: tuple[Turn, ...]
    expected: str
    """A verdict; of planted defects `bad`, for which `fix` is right as well: nobody may say good."""
    how: str
    """What was planted, or `given`."""


def given(items: Sequence[dict[str, str]], count: int) -> list[Gold]:
    """The first items of a gold file."""
    return [Gold((Turn("text", i["source"], i["target"]),), i["verdict"], "given") for i in items[:count]]


def planted(rows: Sequence[tuple[Turn, ...]], count: int) -> list[Gold]:
    """Rows of the corpus made bad, each in its longest turn, in turn by every way that works for it."""
    made: list[Gold] = []
    for number, turns in enumerate(rows):
        if len(made) == count:
            break
        place = max(range(len(turns)), key=lambda i: len(turns[i].target), default=None)
        if place is None:
            continue
        turn = turns[place]
        other = next((t.target for t in rows[(number + 1) % len(rows)][-1:]), "")
        for turned in range(len(BAD)):
            kind = BAD[(len(made) + turned) % len(BAD)]
            target = spoilt(kind, turn.source or "", turn.target, other)
            if target and target.strip() and target != turn.target:
                spoiled = (*turns[:place], replace(turn, target=target), *turns[place + 1 :])
                made.append(Gold(spoiled, "bad", kind))
                break
    return made
