"""The datasets of a deck on an Argilla server: their names, their form, their records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from hala_factory.review import questions
from hala_factory.review.argilla_answers import fields
from hala_factory.review.argilla_client import get
from hala_factory.review.decks import Batch, Deck, Task, joined

if TYPE_CHECKING:
    from argilla import Argilla

SUBMITTED = {"single": 1, "double": 2}
"""How many people answer a task before it leaves the queue, by batch."""


def names_of(deck: Deck) -> dict[Batch, str]:
    """The datasets of a deck by batch; a batch without tasks has none."""
    batches = [batch for batch in get_args(Batch) if any(task.batch == batch for task in deck.tasks)]
    return {batch: f"{_stem(deck)}{deck.digest[:8]}-{batch}" for batch in batches}


def _stem(deck: Deck) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{deck.name}-{deck.version}") + "-"


def of_version(names: Iterable[str], deck: Deck) -> list[str]:
    """Those of `names` that are reviews of this version, by whatever sample."""
    mark = re.compile(re.escape(_stem(deck)) + "[0-9a-f]{8}-(single|double)")
    return sorted(name for name in names if mark.fullmatch(name))


def is_chat(deck: Deck) -> bool:
    """Whether a deck is shown as conversations: each turn finds its own direction, and code in it is code."""
    return any(turn.role != "text" for task in deck.tasks for turn in task.turns)


def ready(client: Argilla, workspace: Any, name: str, batch: Batch, deck: Deck, guidelines: str) -> Any:
    """The dataset, ready for records."""
    import argilla as rg

    found = client.api.datasets.get_by_name_and_workspace_id(name, workspace)
    if found and found.status == "ready":
        return found
    if found:
        client.api.datasets.delete(found.id)
    labels = {
        asked: {key: choice.label for key, choice in choices.items()}
        for asked, choices in (
            ("verdict", questions.VERDICTS),
            ("errors", questions.ERRORS),
            ("severity", questions.SEVERITIES),
        )
    }
    titles = {asked: choice.label for asked, choice in questions.TITLES.items()}
    kind: Any = partial(rg.ChatField, _client=client) if is_chat(deck) else partial(rg.TextField, client=client)
    settings = rg.Settings(
        guidelines=guidelines,
        fields=[
            kind("source", f"Source ({deck.source_language or 'none'}) · الأصل", required=False),
            kind("target", f"Target ({deck.target_language}) · النص الهدف"),
        ],
        questions=[
            rg.LabelQuestion("verdict", labels["verdict"], titles["verdict"], client=client),
            rg.MultiLabelQuestion("errors", labels["errors"], title=titles["errors"], required=False, client=client),
            rg.LabelQuestion("severity", labels["severity"], titles["severity"], required=False, client=client),
            rg.TextQuestion("correction", titles["correction"], required=False, client=client),
        ],
        distribution=rg.TaskDistribution(min_submitted=SUBMITTED[batch]),
        allow_extra_metadata=False,
    )
    dataset = rg.Dataset(name=name, workspace=workspace, settings=settings, client=client).create()
    return dataset.api_model()


def add(client: Argilla, dataset: Any, tasks: Sequence[Task], *, chat: bool) -> None:
    """Send records; those that the server has got already (and we did not hear of it) are not doubled."""
    ids = {q["name"]: q["id"] for q in get(client, f"datasets/{dataset.id}/questions")["items"]}
    items = []
    for task in tasks:
        text = joined(task.turns, "target")
        begun = {"question_id": ids["correction"], "value": text, "agent": "the text as it is"}
        suggestions = [begun] if text.strip() else []
        items.append({"external_id": task.id, "fields": fields(task, chat=chat), "suggestions": suggestions})
    answer = client.http_client.put(f"/api/v1/datasets/{dataset.id}/records/bulk", json={"items": items})
    answer.raise_for_status()
