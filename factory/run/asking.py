"""A stage in which models answer: the questions of all shards in one bounded stream, so that engines stay full.

Shards are read and written in a thread of their own, so that the stream does not stop for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory.generate.asking import Answerer, Meter
from hala_factory.generate.engines import Deferred, Waiting
from hala_factory.run.files import batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish, note, ruled
from hala_factory.step import Ask
from hala_factory.store import write_json

AHEAD = 3
"""Questions under way for each request that the engines can work on: twice as many, so that an engine can be seen to
take more than it is known to, and some that are between two requests."""
LEAST_AHEAD, MOST_AHEAD = 512, 16_384
"""Questions under way at least, so that there is something to put in order, and at most, whatever the engines take:
they, their shards and what came of them are what a build holds in memory."""
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
    gate = Gate(lambda: look_ahead(askers))
    writing = asyncio.Lock()
    async with asyncio.TaskGroup() as group:

        async def answer(question: Hashable, meters: Mapping[str, Meter]) -> Any:
            nonlocal left
            try:
                return await step.reply(question, meters)
            except* Deferred as later:
                put_off.update(_waiting(later))
                left += 1
            finally:
                gate.leave()
            return _PUT_OFF

        async def write(part: _Part, waiting: Mapping[Hashable, asyncio.Task[Any]]) -> None:
            replies = await _replies(job, part, waiting)
            if any(reply is _PUT_OFF for reply in replies.values()):
                job.folder.progress(part.shard).unlink(missing_ok=True)
                return
            async with writing:
                await asyncio.to_thread(_write, job, step, part, replies, called)

        for shard in shards:
            part, questions = await asyncio.to_thread(_opened, job, step, shard, askers)
            waiting: dict[Hashable, asyncio.Task[Any]] = {}
            for question in questions:
                await gate.enter()
                of += 1
                waiting[question] = group.create_task(answer(question, part.meters))
            group.create_task(write(part, waiting))
    if put_off:
        raise Deferred(*put_off, left=left, of=of)


_PUT_OFF = object()


def _waiting(group: BaseExceptionGroup[Deferred]) -> dict[Waiting, None]:
    """The engines whose answers are to come, of all errors in a group, however deep it is."""
    found: dict[Waiting, None] = {}
    for error in group.exceptions:
        found |= _waiting(error) if isinstance(error, BaseExceptionGroup) else dict.fromkeys(error.engines)
    return found


def look_ahead(askers: Mapping[str, Answerer]) -> int:
    """Questions to have under way, for what these askers can work on by now; those that are one count once."""
    capacity = sum(asker.capacity for asker in {id(a): a for a in askers.values()}.values())
    return min(max(AHEAD * capacity, LEAST_AHEAD), MOST_AHEAD)


class Gate:
    """Lets one coroutine pass as long as fewer than `size()`, which may change, are inside."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._inside = 0
        self._left = asyncio.Event()

    async def enter(self) -> None:
        """Wait until there is room, and take it."""
        while self._inside >= self._size():
            self._left.clear()
            await self._left.wait()
        self._inside += 1

    def leave(self) -> None:
        """Give the room back."""
        self._inside -= 1
        self._left.set()


@dataclass(frozen=True)
class _Part:
    """A shard whose questions are under way."""

    shard: int
    rows: pl.DataFrame
    meters: Mapping[str, Meter]
    started: float


def _opened(job: Job, step: Ask, shard: int, askers: Mapping[str, Answerer]) -> tuple[_Part, list[Hashable]]:
    """A shard and its questions."""
    started = time.monotonic()
    rows = pl.concat(list(batches(job.inputs[shard])))
    meters = {field: Meter(asker) for field, asker in askers.items()}
    return _Part(shard, rows, meters, started), step.questions(rows)


async def _replies(job: Job, part: _Part, waiting: Mapping[Hashable, asyncio.Task[Any]]) -> dict[Hashable, Any]:
    """What came of every question of a shard, in their order."""
    replies = {}
    for number, (question, task) in enumerate(waiting.items()):
        replies[question] = await task
        if number % 64 == 0:
            note(job.folder, part.shard, part.rows.height * number // len(waiting))
    return replies


def _write(job: Job, step: Ask, part: _Part, replies: Mapping[Hashable, Any], called: Mapping[str, str]) -> None:
    applied = step.apply(part.rows, replies, called)
    failure, detail = pl.col(f"{step.label}.failure"), pl.col(f"{step.label}.detail")
    fine, failed = applied.filter(failure.is_null()), applied.filter(failure.is_not_null())
    kept, dropped = ruled(fine, step)
    gone = pl.concat([lost(failed, "failed", step.label, failure, detail), dropped])
    with Outcome(job.folder, part.shard, job.columns_out) as outcome:
        outcome.add(part.rows, kept, gone)
    spent = {field: meter.spent for field, meter in part.meters.items()}
    finish(job, part.shard, outcome.ledger, part.started, {"generation": spent})
