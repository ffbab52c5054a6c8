"""What Argilla says of a record, as answers: every status, whatever is missing in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from hala_factory.review.answers import Answer
from hala_factory.review.decks import Task, joined
from hala_factory.review.questions import ERRORS, SEVERITIES, VERDICTS

Side = Literal["source", "target"]
EMPTY = "∅"
"""What stands for a text without a letter: Argilla refuses such fields, and a row that was dropped may have one."""
LONG, CUT = 20_000, "\n…"
"""Characters of one turn that Argilla takes, and what ends a longer one; the correction begins with all of it."""
_SPACE_AT_END = re.compile(r"[ \t\u00a0]+(?=\n|$)")


def fields(task: Task, *, chat: bool) -> dict[str, Any]:
    """The fields of a record: both sides of a task, where it has both; as text, or as the turns of a `chat`."""
    sides: tuple[Side, ...] = ("source", "target")
    if all(turn.source is None for turn in task.turns):
        sides = ("target",)
    if not chat:
        return {side: joined(task.turns, side) or EMPTY for side in sides}
    return {
        side: [{"role": turn.role, "content": _shown(getattr(turn, side))} for turn in task.turns] for side in sides
    }


def _shown(text: str | None) -> str:
    if text and len(text) > LONG:
        return text[: LONG - len(CUT)] + CUT
    return text or EMPTY


@dataclass
class Reading:
    """The answers of records, collected: one for each task and person, the last one said."""

    people: Mapping[str, str]
    """Names by the server's id of a person."""
    chat: bool
    """Whether records hold turns."""
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    """What was not as it should be, and how often."""

    def take(self, task: Task, record: Mapping[str, Any]) -> None:
        """Take the answers to one record, as the server's API tells it."""
        if record.get("fields", {}).get("target") != fields(task, chat=self.chat)["target"]:
            self.odd["answers to a text that was changed on the server, not taken"] += len(record["responses"])
            return
        for response in record.get("responses") or []:
            answer = self._answer(task, response)
            before = self.answers.get((answer.task, answer.annotator))
            if before is None or before.at <= answer.at:
                self.answers[answer.task, answer.annotator] = answer

    def _answer(self, task: Task, response: Mapping[str, Any]) -> Answer:
        told = response.get("values") or {}
        values = {name: (value or {}).get("value") for name, value in told.items()}
        status = response["status"]
        if status == "submitted" and values.get("verdict") not in VERDICTS:
            self.odd["answers that were submitted without a verdict, taken as drafts"] += 1
            status = "draft"
        name = self.people.get(str(response["user_id"]))
        if name is None:
            self.odd["answers of people whom the server no longer lists, taken under their ids"] += 1
            name = str(response["user_id"])
        if status == "discarded":  # what the form held when it was put aside is nobody's opinion
            values = {}
        verdict, severity, errors = values.get("verdict"), values.get("severity"), values.get("errors")
        return Answer(
            task=task.id,
            annotator=name,
            status=status,
            verdict=verdict if verdict in VERDICTS else None,
            errors=tuple(key for key in ERRORS if key in (errors or ())),
            severity=severity if severity in SEVERITIES else None,
            correction=_correction(values.get("correction"), task),
            at=_instant(response["updated_at"]),
        )


def _correction(text: str | None, task: Task) -> str | None:
    """What was written, None where it is the text that was there: the form begins with that."""
    if text is None or not text.strip() or _even(text) == _even(joined(task.turns, "target")):
        return None
    return text


def _even(text: str) -> str:
    """A text without what an editor changes by itself: ends of lines, and space before them."""
    return _SPACE_AT_END.sub("", text.replace("\r\n", "\n").replace("\u00a0", " ")).strip()


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
