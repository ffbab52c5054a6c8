"""Predicted against actual: what was expected of a stage that asks before it began, and what it took.

Both stand in files of the stage, so that they outlive interruptions; what was paid is that of all builds of the stage
that came to their end or stopped cleanly, as one that was killed cannot say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hala_factory.catalog import Price
from hala_factory.cost import telling
from hala_factory.cost.estimate import estimate_stage, step_of
from hala_factory.generate.asking import Asker
from hala_factory.generate.gpus import gpus
from hala_factory.generate.store import folder_of
from hala_factory.generate.timing import note_speed
from hala_factory.plan import Plan, Stage
from hala_factory.store import read_json, write_json

PREDICTED = "predicted.json"
PAID = "paid.json"


def predict(plan: Plan, stage: Stage) -> None:
    """Leave in the folder of a stage what it is expected to take, unless that stands there already."""
    place = plan.folder(stage).path / PREDICTED
    if read_json(place) is None:
        write_json(place, {"models": telling.told(estimate_stage(plan, stage))["models"]})


def note_paid(plan: Plan, stage: Stage, askers: Mapping[str, Asker]) -> None:
    """Add what the models of a stage were paid by this build, and keep how fast they were."""
    place = plan.folder(stage).path / PAID
    paid = read_json(place) or {}
    seen: list[Asker] = []
    for field, asker in askers.items():
        if asker in seen:  # one model for two fields
            continue
        seen.append(asker)
        before = paid.setdefault(field, {"prompt_tokens": 0, "output_tokens": 0, "seconds": 0.0, "gpus": 0})
        before["prompt_tokens"] += asker.counts.prompt_tokens
        before["output_tokens"] += asker.counts.output_tokens
        before["seconds"] += asker.watch.seconds
        before["gpus"] = keep_speed(plan, stage, field, asker)
    write_json(place, paid)


def keep_speed(plan: Plan, stage: Stage, field: str, asker: Asker) -> int:
    """Keep how fast a model was in the folder of its answers; the GPUs of this machine that served it."""
    step = step_of(stage)
    _, model = plan.ready.model(step.asked()[field])
    cards = len(gpus()) if model.engine == "vllm" else 0
    note_speed(
        folder_of(plan.store.generations, asker.store.model),
        answers=asker.counts.requests - asker.counts.from_store,
        output_tokens=asker.counts.output_tokens,
        seconds=asker.watch.seconds,
        gpus=cards,
    )
    return cards


def compared(plan: Plan) -> list[dict[str, Any]]:
    """For every model of every stage that asks: `predicted` and `actual`.

    Tokens are those of all answers, stored ones too, so that they are the same however the build went; `hours` and
    `money` are what was paid for, and null where they are not known.
    """
    found = []
    for stage in plan.stages:
        if stage.kind != "ask":
            continue
        step = step_of(stage)
        folder = plan.folder(stage)
        predicted = {m["field"]: m for m in (read_json(folder.path / PREDICTED) or {"models": []})["models"]}
        paid = read_json(folder.path / PAID) or {}
        for field, spent in plan.record(stage).get("generation", {}).items():
            name, model = plan.ready.model(step.asked()[field])
            if model.engine == "recorded":
                continue
            said = predicted.get(field, {})
            words = ("requests", "prompt_tokens", "output_tokens")
            found.append(
                {
                    "stage": stage.name,
                    "field": field,
                    "model": name,
                    "predicted": {word: said.get(word) for word in (*words, "hours", "gpu_hours", "money")},
                    "actual": {
                        **{word: spent[word] for word in words},
                        **_actual(paid.get(field), model.price_per_million),
                    },
                }
            )
    return found


def _actual(paid: Mapping[str, Any] | None, price: Price | None) -> dict[str, Any]:
    if paid is None:
        return {"hours": None, "gpu_hours": None, "money": None}
    hours = paid["seconds"] / 3600
    money = None
    if price is not None:
        amount = round(price.of(paid["prompt_tokens"], paid["output_tokens"]), 6)
        money = {"amount": amount, "currency": price.currency}
    return {"hours": round(hours, 4), "gpu_hours": round(hours * paid["gpus"], 4) or None, "money": money}
