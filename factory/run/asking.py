"""A stage in which models answer: the questions of all shards in one bounded stream, so that engines stay full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping
from typing import Any

import polars as pl

from hala_factory.generate.asking import Answerer, Meter
from hala_factory.run.files import batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish, note, ruled
from hala_factory.step import Ask

LOOK_AHEAD = 512
"""Questions that are under way at a time, over all shards: enough to keep several servers full."""


async def ask_shards(
    job: Job, step: Ask, shards: list[int], askers: Mapping[str, Answerer], called: Mapping[str, str]
) -> None:
    """Have every question of these shards answered, and write each shard as soon as its last reply is there.

    `askers` and `called` have, per field of `step.asked()`, what answers and how it is called. Raises BuildError
    when an engine is beyond help; what was answered until then is stored.
    """
    gate = asyncio.Semaphore(LOOK_AHEAD)
    async with asyncio.TaskGroup() as group:

        async def answer(question: Hashable, meters: Mapping[str, Meter]) -> Any:
            try:
                return await step.reply(question, meters)
            finally:
                gate.release()

        for shard in shards:
            frame = pl.concat(list(batches(job.inputs[shard])))
            meters = {field: Meter(asker) for field, asker in askers.items()}
            waiting: dict[Hashable, asyncio.Task[Any]] = {}
            for question in step.questions(frame):
                await gate.acquire()
                waiting[question] = group.create_task(answer(question, meters))
            group.create_task(_write(job, step, shard, frame, waiting, meters, called))


async def _write(
    job: Job,
    step: Ask,
    shard: int,
    frame: pl.DataFrame,
    waiting: Mapping[Hashable, asyncio.Task[Any]],
    meters: Mapping[str, Meter],
    called: Mapping[str, str],
) -> None:
    started, replies = time.monotonic(), {}
    for number, (question, task) in enumerate(waiting.items()):
        replies[question] = await task
        if number % 64 == 0:
            note(job.folder, shard, frame.height * number // len(waiting))
    applied = step.apply(frame, replies, called)
    failure, detail = pl.col(f"{step.label}.failure"), pl.col(f"{step.label}.detail")
    fine, failed = applied.filter(failure.is_null()), applied.filter(failure.is_not_null())
    kept, dropped = ruled(fine, step)
    gone = pl.concat([lost(failed, "failed", step.label, failure, detail), dropped])
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        outcome.add(frame, kept, gone)
    spent = {field: meter.spent for field, meter in meters.items()}
    finish(job, shard, outcome.ledger, started, {"generation": spent})
