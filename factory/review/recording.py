"""Recording: answers from any place are checked, and what is new or changed becomes a round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

from hala_factory.errors import InputError
from hala_factory.review import keeping
from hala_factory.review.answers import Answer
from hala_factory.review.decks import Deck, Task, joined
from hala_factory.review.questions import ERRORS, SEVERITIES, VERDICTS
from hala_factory.store import StageFolder, Store

SHOWN = 5
_CONTENT = ("status", "verdict", "errors", "severity", "correction")


@dataclass(frozen=True)
class Counts:
    """What came of recording: answers that came, and how many of them are new."""

    submitted: int
    draft: int
    discarded: int
    new: int
    changed: int
    annotators: int
    round: int | None
    """The round that was written; None: nothing was new."""
    elsewhere: int
    """Answers that are kept and were not among these: of another place, or gone from this one."""

    def told(self) -> dict[str, Any]:
        """The counts for `--json`."""
        return asdict(self)


def record(store: Store, deck: Deck, answers: Iterable[Answer], digest: str | None = None) -> Counts:
    """Keep what is new or changed; `digest` is that of the deck which the place says it showed.

    Raises InputError for a digest of another deck (nothing is kept), and for answers that cannot be: to tasks that
    the deck does not have, or with words that were not asked. The others are kept before that.
    """
    if digest is not None and digest != deck.digest:
        raise InputError(
            f"these are answers to the sample {digest[:12]}…, and {deck.artifact} has the sample {deck.digest[:12]}…: "
            "it was built again since; nothing was kept. Push the new sample, and have it answered"
        )
    tasks = {task.id: task for task in deck.tasks}
    good, faults = [], []
    for answer in answers:
        problem = _problem(answer, tasks)
        if problem:
            faults.append(f"task {answer.task!r}: {problem}")
        else:
            good.append(answer)
    folder = keeping.opened(store, deck.artifact)
    if folder.told["digest"] != deck.digest:
        raise InputError(f"{deck.artifact} was built again since these answers were fetched; nothing was kept")
    with StageFolder(folder.path).lock():
        counts = _keep(folder, good, tasks)
    if faults:
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        told = "\n".join(f"  {fault}" for fault in faults[:SHOWN])
        raise InputError(
            f"{len(faults)} of {len(faults) + len(good)} answers are not to {deck.artifact} and were refused; the "
            f"others are kept:\n"
            f"{told}{more}"
        )
    return counts


def _problem(answer: Answer, tasks: dict[str, Task]) -> str:
    if answer.task not in tasks:
        return "the sample has no such task"
    if answer.status == "submitted" and answer.verdict is None:
        return "it was submitted without a verdict"
    unknown = [
        word
        for said, known in (((answer.verdict,), VERDICTS), (answer.errors, ERRORS), ((answer.severity,), SEVERITIES))
        for word in said
        if word is not None and word not in known
    ]
    return f"{unknown[0]!r} is no answer that was asked for" if unknown else ""


def _keep(folder: keeping.Kept, answers: list[Answer], tasks: dict[str, Task]) -> Counts:
    rows = dict(folder.sample().select("task", "row").iter_rows())
    history = folder.history().to_dicts()
    state = {(a["task"], a["annotator"]): _content(a) for a in folder.answers().to_dicts()}
    known = {(a["task"], a["annotator"], a["at"], _content(a)) for a in history}
    fresh: list[dict[str, Any]] = []
    changed = 0
    for answer in sorted(answers, key=lambda a: (a.at.replace(tzinfo=a.at.tzinfo or UTC), a.task)):
        made = _row(answer, folder, rows, tasks[answer.task])
        who, content = (made["task"], made["annotator"]), _content(made)
        if state.get(who) == content or (*who, made["at"], content) in known:
            continue
        changed += who in state
        state[who] = content
        fresh.append(made)
    counted = Counter(a.status for a in answers)
    return Counts(
        counted["submitted"],
        counted["draft"],
        counted["discarded"],
        len(fresh) - changed,
        changed,
        len({a.annotator for a in answers}),
        folder.add(fresh) if fresh else None,
        len(state.keys() - {(a.task, folder.pseudonym(a.annotator)) for a in answers}),
    )


def _row(answer: Answer, folder: keeping.Kept, rows: dict[str, str | None], task: Task) -> dict[str, Any]:
    at = answer.at if answer.at.tzinfo else answer.at.replace(tzinfo=UTC)
    correction = answer.correction
    if correction is not None and (
        not correction.strip() or correction.strip() == joined(task.turns, "target").strip()
    ):
        correction = None
    return {
        "task": answer.task,
        "row": rows[answer.task],
        "annotator": folder.pseudonym(answer.annotator),
        "status": answer.status,
        "verdict": answer.verdict,
        "errors": sorted(answer.errors),
        "severity": answer.severity,
        "correction": correction,
        "at": at.astimezone(UTC),
    }


def _content(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(tuple(v) if isinstance(v := row[c], list) else v for c in _CONTENT)
