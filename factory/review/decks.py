"""A deck: the sample of a corpus as people see it, the same wherever it is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Batch = Literal["single", "double"]
"""How many people answer a task; Argilla wants a dataset for each."""
Side = Literal["source", "target"]

_MARK = "### "
_HEADING = re.compile(rf"^{re.escape(_MARK)}(system|user|assistant)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Turn:
    """One text of a row: of a pair it is all there is."""

    role: str
    """`system`, `user`, `assistant`; `text` for a pair."""
    source: str | None
    """In the language that was translated from; None where the row was not translated."""
    target: str


@dataclass(frozen=True)
class Task:
    """What one person answers once."""

    id: str
    """16 hex digits that tell nothing of the row or of why it is asked."""
    batch: Batch
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Deck:
    """The tasks of one corpus, in the order in which people should take them."""

    name: str
    version: str
    digest: str
    """Of the plan and the sample: hex digits of SHA-256. Answers to another one are not answers to this."""
    source_language: str | None
    target_language: str
    guidelines: str | None
    """Markdown that the recipe adds to the guidelines all reviews have; None: it adds nothing."""
    tasks: tuple[Task, ...]

    @property
    def artifact(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


def joined(turns: Sequence[Turn], side: Side) -> str:
    """The texts of one side as one: a text alone, or each under a heading with its role."""
    texts = [(turn.role, getattr(turn, side) or "") for turn in turns]
    if [role for role, _ in texts] == ["text"]:
        return texts[0][1]
    return "\n\n".join(f"{_MARK}{role}\n{text}" for role, text in texts)


def parted(text: str, turns: Sequence[Turn]) -> list[str] | None:
    """The texts of what `joined` wrote and a person changed, one for each turn; None: its headings are not those."""
    if [turn.role for turn in turns] == ["text"]:
        return [text.strip()]
    pieces = _HEADING.split(text)
    if pieces[0].strip() or pieces[1::2] != [turn.role for turn in turns]:
        return None
    return [piece.strip() for piece in pieces[2::2]]
