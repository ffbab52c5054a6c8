"""Answers as JSONL: what the page downloads, and tasks to fill in for whoever has an editor of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from hala_factory.errors import Fault, InputError
from hala_factory.review import questions
from hala_factory.review.answers import Answer, Status
from hala_factory.review.decks import Deck

STATUSES = get_args(Status)


def write(deck: Deck, reviewer: str | None = None) -> str:
    """The tasks, one in a line, each with the answer to fill in: `verdict`, `errors`, `severity`, `correction`."""
    lines = []
    for task in deck.tasks:
        turns = [{"role": turn.role, "source": turn.source, "target": turn.target} for turn in task.turns]
        blank: dict[str, Any] = {"verdict": None, "errors": [], "severity": None, "correction": None}
        told = {"deck": deck.digest, "task": task.id, "turns": turns, "annotator": reviewer, **blank}
        lines.append(json.dumps(told, ensure_ascii=False) + "\n")
    return "".join(lines)


def read(file: Path, deck: Deck) -> list[Answer]:
    """The answers in a file; tasks that nobody filled in are none.

    Raises InputError with every fault of the file, by line: it is not UTF-8 or not JSON, an answer is to another deck
    or task, has an unknown choice or nobody's name.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    records: list[tuple[int, dict[str, Any]]] = []
    faults: list[Fault] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            faults.append(Fault(str(file), number, 1, f"is not JSON ({error}): is the file cut off?"))
            continue
        if isinstance(record, dict):
            records.append((number, record))
        else:
            faults.append(Fault(str(file), number, 1, f"expected an answer, an object; found {type(record).__name__}"))
    return taken(str(file), records, faults, deck, datetime.fromtimestamp(file.stat().st_mtime, UTC))


def taken(
    file: str, records: list[tuple[int, dict[str, Any]]], faults: list[Fault], deck: Deck, written: datetime
) -> list[Answer]:
    """Records as answers, by their lines; those without a time were given when the file was `written`.

    Raises InputError with all faults.
    """
    known = {task.id for task in deck.tasks}
    answers = []
    for number, record in records:
        wrong = list(_wrong(record, deck, known))
        faults += [Fault(file, number, 1, message) for message in wrong]
        if wrong or not _answered(record):
            continue
        answers.append(
            Answer(
                task=record["task"],
                annotator=str(record["annotator"]).strip(),
                status=record.get("status") or ("submitted" if record.get("verdict") else "draft"),
                verdict=record.get("verdict"),
                errors=tuple(record.get("errors") or ()),
                severity=record.get("severity"),
                correction=record.get("correction"),
                at=_time(record.get("at")) or written,
            )
        )
    if faults:
        raise InputError(faults)
    return answers


def _answered(record: dict[str, Any]) -> bool:
    return any(record.get(key) for key in ("status", "verdict", "errors", "severity", "correction"))


def _wrong(record: dict[str, Any], deck: Deck, known: set[str]) -> Iterator[str]:
    if record.get("deck") != deck.digest:
        yield f"is about another sample (deck {str(record.get('deck'))[:12]!r}), not that of {deck.artifact}"
        return
    if record.get("task") not in known:
        yield f"task {record.get('task')!r} is not in the sample of {deck.artifact}"
    if not _answered(record):
        return
    if not str(record.get("annotator") or "").strip():
        yield "'annotator' is empty: expected the name of who answered"
    errors = record.get("errors") or []
    if not isinstance(errors, list):
        yield f"'errors': expected a list of {', '.join(questions.ERRORS)}"
        errors = []
    chosen = [
        ("verdict", record.get("verdict")),
        *(("errors", e) for e in errors),
        ("severity", record.get("severity")),
    ]
    for name, value in chosen:
        if value is not None and value not in questions.CHOICES[name]:
            yield f"'{name}': found {value!r}; expected one of {', '.join(questions.CHOICES[name])}"
    status = record.get("status")
    if status and status not in STATUSES:
        yield f"'status': found {status!r}; expected one of {', '.join(STATUSES)}"
    if status == "submitted" and not record.get("verdict"):
        yield "was submitted without a verdict"
    if not isinstance(record.get("correction"), str | None):
        yield "'correction': expected text"
    if record.get("at") and _time(record["at"]) is None:
        yield f"'at': {record['at']!r} is no time as ISO 8601 has it"


def _time(written: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
