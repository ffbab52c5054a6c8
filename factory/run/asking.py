"""A stage in which a model answers: the texts of all shards in one bounded stream, so that the engine stays full."""

from __future__ import annotations

import asyncio
import time

import polars as pl

from hala_factory.generate.asking import Asker
from hala_factory.quality.ladder import Translation
from hala_factory.quality.translate import Translate
from hala_factory.run.files import batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish, note

LOOK_AHEAD = 512
"""Texts that are under way at a time, over all shards: enough to keep several servers full."""


async def ask_shards(job: Job, shards: list[int], asker: Asker, called: str) -> None:
    """Have every text of these shards answered, and write each shard as soon as its last answer is there.

    Raises BuildError when the engine is beyond help; what was answered until then is stored.
    """
    (step,) = job.steps
    assert isinstance(step, Translate)
    gate = asyncio.Semaphore(LOOK_AHEAD)
    async with asyncio.TaskGroup() as group:

        async def answer(text: str) -> Translation:
            try:
                return await step.translate_text(text, asker)
            finally:
                gate.release()

        for shard in shards:
            frame = pl.concat(list(batches(job.inputs[shard])))
            waiting: dict[str, asyncio.Task[Translation]] = {}
            for text in step.texts(frame):
                await gate.acquire()
                waiting[text] = group.create_task(answer(text))
            group.create_task(_write(job, step, shard, frame, waiting, called))


async def _write(
    job: Job,
    step: Translate,
    shard: int,
    frame: pl.DataFrame,
    waiting: dict[str, asyncio.Task[Translation]],
    called: str,
) -> None:
    started, done = time.monotonic(), {}
    for number, (text, task) in enumerate(waiting.items()):
        done[text] = await task
        if number % 64 == 0:
            note(job.folder, shard, frame.height * number // len(waiting))
    applied = step.apply(frame, done).with_columns(pl.lit(called).alias("translator"))
    failure, detail = pl.col(f"{step.label}.failure"), pl.col(f"{step.label}.detail")
    kept, failed = applied.filter(failure.is_null()), applied.filter(failure.is_not_null())
    failed = lost(failed, "failed", step.label, failure, detail)
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        outcome.add(frame, kept, failed)
    finish(job, shard, outcome.ledger, started)
