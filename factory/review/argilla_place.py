"""Argilla as a place of review: a deck becomes datasets on any Argilla 2 server, and answers come back.

The model:
- A deck has a dataset for each batch, named after the version and the deck's digest; a record's id is its task's.
  So what is there already is known by name, and pushing again adds what is missing and nothing else.
- A dataset that was not published yet was left half-made by a crash; nobody can have answered it; it is made again.
- The form begins with the text as it is, so that people change words and need not type it again; no verdict is
  suggested, for people follow suggestions. Annotators see nothing of a task but its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hala_factory.errors import InputError
from hala_factory.review import questions
from hala_factory.review.address import WORKSPACE, Server
from hala_factory.review.answers import Answer
from hala_factory.review.argilla_answers import Reading, fields
from hala_factory.review.argilla_client import admit, people_of, records, speaking, workspace_id
from hala_factory.review.argilla_datasets import add, is_chat, names_of, of_version, ready
from hala_factory.review.decks import Batch, Deck

if TYPE_CHECKING:
    from argilla import Argilla

BATCH = 100
"""Records in one request."""
GUIDELINES = 10_000
"""Characters of guidelines that Argilla takes."""
Progress = Callable[[int, int], None]
"""Told how many of how many tasks are done."""


@dataclass(frozen=True)
class Pulled:
    """What came back."""

    answers: list[Answer]
    """Of every status, at most one for each task and person."""
    warnings: list[str]
    """What was not as it should be, with counts."""


def push(
    deck: Deck,
    server: Server,
    progress: Progress = lambda done, total: None,
    *,
    workspace: str = WORKSPACE,
    annotators: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Put a deck on a server; what is there already stays as it is.

    The server's annotators (or those named) are put into the workspace. Answers `url`, `workspace`, `annotators`,
    `datasets` (`name`, `batch`, `tasks`, `added`, `url` of each) and `warnings`. Raises InputError where the server
    refuses, BuildError where it stops answering: the same call goes on.
    """
    guidelines = questions.guidelines(deck.guidelines)
    if len(guidelines) > GUIDELINES:
        raise InputError(
            f"guidelines of {deck.artifact}: {len(guidelines):,} characters; Argilla takes {GUIDELINES:,}"
        )
    chat = is_chat(deck)
    done, total, told, odd = 0, len(deck.tasks), list[dict[str, Any]](), list[str]()
    with speaking(server, lambda: f"{done} of {total} tasks of {deck.artifact} are there") as client:
        place = workspace_id(client, workspace)
        people = admit(client, place, annotators)
        names = names_of(deck)
        odd += _others(client, place, deck, names)
        for batch, name in names.items():
            tasks = [task for task in deck.tasks if task.batch == batch]
            dataset = ready(client, place, name, batch, deck, guidelines)
            there = {r["external_id"]: r["fields"].get("target") for r in records(client, dataset)}
            shown = {task.id: fields(task, chat=chat)["target"] for task in tasks}
            if changed := sum(there.get(key, text) != text for key, text in shown.items()):
                odd.append(f"{changed} records of {name} show another text than the deck: delete them, and push again")
            missing = [task for task in tasks if task.id not in there]
            done += len(tasks) - len(missing)
            progress(done, total)
            for at in range(0, len(missing), BATCH):
                add(client, dataset, missing[at : at + BATCH], chat=chat)
                done += len(missing[at : at + BATCH])
                progress(done, total)
            page = f"{server.url}/dataset/{dataset.id}/annotation-mode"
            told.append({"name": name, "batch": batch, "tasks": len(tasks), "added": len(missing), "url": page})
    return {"url": server.url, "workspace": workspace, "annotators": people, "datasets": told, "warnings": odd}


def pull(
    deck: Deck,
    server: Server,
    progress: Progress = lambda done, total: None,
    *,
    workspace: str = WORKSPACE,
) -> Pulled:
    """Every answer to a deck that the server holds: submitted, draft and discarded.

    Raises InputError where the deck is not on the server, BuildError where it stops answering.
    """
    tasks, seen, odd, done = {task.id: task for task in deck.tasks}, set[str](), list[str](), 0

    def read(records: int) -> None:
        nonlocal done
        done = min(len(seen) + records, len(tasks))
        progress(done, len(tasks))

    with speaking(server, lambda: f"{done} of {len(tasks)} tasks were read, and nothing is taken over") as client:
        place = workspace_id(client, workspace, make=False)
        reading, strange = Reading(people_of(client, place), is_chat(deck)), 0
        names = names_of(deck)
        held = {d.name: d for d in client.api.datasets.list(place) if d.status == "ready"} if place else {}
        odd += [f"there is no dataset {name}: push again puts it back" for name in names.values() if name not in held]
        if not set(held) & set(names.values()):
            others = ", ".join(of_version(held, deck)) or "none of this version"
            raise InputError(
                f"{server.url} holds no review of {deck.artifact} as it is now (found: {others}); push it first"
            )
        for dataset in (held[name] for name in names.values() if name in held):
            for record in records(client, dataset, responses=True, told=read):
                if (task := tasks.get(record["external_id"])) is None:
                    strange += 1
                    continue
                seen.add(task.id)
                reading.take(task, record)
    if strange:
        odd.append(f"{strange} records are no tasks of the deck, and were left out")
    if missing := len(tasks) - len(seen):
        odd.append(
            f"{missing} of {len(tasks)} tasks are not on the server: their records were deleted or never pushed"
        )
    odd += [f"{n} {what}" for what, n in sorted(reading.odd.items())]
    return Pulled(list(reading.answers.values()), odd)


def _others(client: Argilla, workspace: Any, deck: Deck, names: dict[Batch, str]) -> list[str]:
    found = of_version((d.name for d in client.api.datasets.list(workspace)), deck)
    others = [name for name in found if name not in names.values()]
    what = f"the server holds a review of another sample of {deck.artifact}, whose answers are not this one's"
    return [f"{what}: {', '.join(others)}"] if others else []
