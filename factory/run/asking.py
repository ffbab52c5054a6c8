"""A stage in which models answer: the questions of all shards in one bounded stream, so that engines stay full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping
from typing import Any

import polars as pl

from hala_factory.generate.asking import Answerer, Meter
from hala_factory.generate.engines import Deferred, Waiting
from hala_factory.run.files import batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish, note, ruled
from hala_factory.step import Ask
from hala_factory.store import write_json

LOOK_AHEAD = 512
"""Questions that are under way at a time, over all shards: enough to keep several servers full."""
PROOF = "proof.json"
"""The file of a stage in which stands what its models proved before they were asked for rows."""


async def ask_shards(
    job: Job, step: Ask, shards: list[int], askers: Mapping[str, Answerer], called: Mapping[str, str]
) -> None:
    """Have every question of these shards answered, and write each shard as soon as its last reply is there.

    `askers` and `called` have, per field of `step.asked()`, what answers and how it is called. Raises BuildError
    when an engine is beyond help, or a model fails what the step has it prove; what was answered until then is stored.
    Raises Deferred when answers are to come another way, or the budget is reached: first for what is to be proved,
    then for all the rows.
    """
    put_off: dict[Waiting, None] = {}
    left = of = 0
    try:
        write_json(job.folder.path / PROOF, await step.prove(askers))
    except* Deferred as later:
        put_off |= _waiting(later)
    if put_off:
        raise Deferred(*put_off)
    gate = asyncio.Semaphore(LOOK_AHEAD)
    async with asyncio.TaskGroup() as group:

        async def answer(question: Hashable, meters: Mapping[str, Meter]) -> Any:
            nonlocal left
            try:
                return await step.reply(question, meters)
            except* Deferred as later:
                put_off.update(_waiting(later))
                left += 1
            finally:
                gate.release()
            return _PUT_OFF

        for shard in shards:
            frame = pl.concat(list(batches(job.inputs[shard])))
            meters = {field: Meter(asker) for field, asker in askers.items()}
            waiting: dict[Hashable, asyncio.Task[Any]] = {}
            for question in step.questions(frame):
                await gate.acquire()
                of += 1
                waiting[question] = group.create_task(answer(question, meters))
            group.create_task(_write(job, step, shard, frame, waiting, meters, called))
    if put_off:
        raise Deferred(*put_off, left=left, of=of)


_PUT_OFF = object()


def _waiting(group: BaseExceptionGroup[Deferred]) -> dict[Waiting, None]:
    """The engines whose answers are to come, of all errors in a group, however deep it is."""
    found: dict[Waiting, None] = {}
    for error in group.exceptions:
        found |= _waiting(error) if isinstance(error, BaseExceptionGroup) else dict.fromkeys(error.engines)
    return found


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
    if any(reply is _PUT_OFF for reply in replies.values()):
        job.folder.progress(shard).unlink(missing_ok=True)
        return
    applied = step.apply(frame, replies, called)
    failure, detail = pl.col(f"{step.label}.failure"), pl.col(f"{step.label}.detail")
    fine, failed = applied.filter(failure.is_null()), applied.filter(failure.is_not_null())
    kept, dropped = ruled(fine, step)
    gone = pl.concat([lost(failed, "failed", step.label, failure, detail), dropped])
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        outcome.add(frame, kept, gone)
    spent = {field: meter.spent for field, meter in meters.items()}
    finish(job, shard, outcome.ledger, started, {"generation": spent})
