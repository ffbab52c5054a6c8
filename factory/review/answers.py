"""Answers: what a person said of a task, the same whatever place they said it in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Status = Literal["submitted", "draft", "discarded"]
"""Only what was submitted counts; a draft may still change, and who discards a task cannot judge it."""


@dataclass(frozen=True)
class Answer:
    """One answer, as a place gives it back."""

    task: str
    """`Task.id`."""
    annotator: str
    """As the place names the person; a pseudonym takes its stead when it is kept."""
    status: Status
    verdict: str | None
    """A key of `questions.VERDICTS`; None where none was given, as in a draft."""
    errors: tuple[str, ...]
    """Keys of `questions.ERRORS`."""
    severity: str | None
    """A key of `questions.SEVERITIES`: that of the worst error."""
    correction: str | None
    """The target side as `decks.joined` writes it, corrected; None or unchanged: nothing was corrected."""
    at: datetime
    """When it was given or last changed, UTC."""
