"""Hits: how many questions of the stages to run are answered in the generation store already.

The model: a question is put to its step with an answerer that knows only the store. So it counts as stored when a
build would ask no model for it, with every retry that its answers bring about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import polars as pl

from hala_factory.generate.answers import Answer, ModelIdentity
from hala_factory.generate.asking import asked
from hala_factory.generate.engines import Deferred, Engine
from hala_factory.generate.store import GenerationStore, folder_of
from hala_factory.plan import Plan, Stage
from hala_factory.step import Ask

ROWS_READ = 20_000
"""Rows of a stage's inputs whose questions are counted, at least; the rest is estimated."""
LOOKED_UP = 500
"""Questions that are looked up: a share is then known to two points or so in a hundred."""


def look_up(plan: Plan) -> Plan:
    """The plan with `hits` for every stage that asks, is to run, and whose inputs are stored.

    `hits` has `questions` (of all rows), `looked_up` and `stored` (of these); questions are distinct in a shard.
    """
    stages = {s.name: s for s in plan.stages}
    found = []
    for stage in plan.stages:
        ready = all(stages[name].status == "stored" for name in stage.inputs)
        if stage.kind == "ask" and stage.status == "to run" and ready and plan.corpus.status != "stored":
            stage = replace(stage, hits=_hits(plan, stage))
        found.append(stage)
    return replace(plan, stages=tuple(found))


def tell(hits: Mapping[str, int]) -> str:
    """The hits in words: `all 20 questions are stored`, `about 12,000 questions, 83 % stored (of 500 looked up)`."""
    questions, looked_up, stored = hits["questions"], hits["looked_up"], hits["stored"]
    if looked_up == questions:
        which = {questions: "all", 0: "none"}.get(stored, f"{stored:,}") if questions else "none"
        return f"{which} of {questions:,} questions stored"
    share = 100 * stored // max(1, looked_up)
    return f"about {questions:,} questions, {share} % stored (of {looked_up:,} looked up)"


def _hits(plan: Plan, stage: Stage) -> dict[str, int]:
    (step,) = stage.steps
    assert isinstance(step, Ask)
    parts = [part for name in stage.inputs for part in plan.parts(plan.stage(name))]
    rows_all = sum(int(plan.record(plan.stage(name))["rows"]["kept"]) for name in stage.inputs)
    questions: list[Any] = []
    rows_read = 0
    for part in _spread(parts, len(parts)):
        frame = pl.read_parquet(part)
        questions += step.questions(frame)
        rows_read += frame.height
        if rows_read >= ROWS_READ:
            break
    picked = _spread(questions, LOOKED_UP)
    stored = asyncio.run(_stored(plan, stage, step, picked))
    scaled = len(questions) if rows_read == rows_all else round(len(questions) * rows_all / max(1, rows_read))
    return {"questions": scaled, "looked_up": len(picked), "stored": stored}


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many items, from all over; all of them in an order in which every beginning is spread, too."""
    stride = max(1, len(items) // max(1, most))
    if stride > 1:
        return list(items[::stride][:most])
    bits = max(1, (len(items) - 1).bit_length())
    order = (int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits))
    return [items[n] for n in order if n < len(items)]


async def _stored(plan: Plan, stage: Stage, step: Ask, questions: list[Any]) -> int:
    with ExitStack() as stack:
        answerers = {}
        for field, engine in stage.engines.items():
            model = ModelIdentity(plan.ready.model(step.asked()[field])[0], engine.identity)
            store = None
            if folder_of(plan.store.generations, model).exists():
                store = stack.enter_context(GenerationStore(plan.store.generations, model))
            answerers[field] = _FromStore(engine, store)
        count = 0
        for question in questions:
            try:
                await step.reply(question, answerers)
                count += 1
            except* Deferred:
                pass
        return count


class _FromStore:
    """An answerer that knows what is stored, and puts off the rest."""

    def __init__(self, engine: Engine, store: GenerationStore | None) -> None:
        self.unit = engine.unit
        self._engine = engine
        self._store = store

    async def __call__(self, messages: Sequence[Mapping[str, str]], **sampling: Any) -> Answer:
        answer = None
        if self._store is not None:
            answer = self._store.get(asked(self._engine, messages, **sampling).key(self._store.model))
        if answer is None:
            raise Deferred
        return answer
