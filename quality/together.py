"""Several questions at once: those that wait for answers keep no other from being asked, and an error ends all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from hala_factory.generate.engines import Deferred

T = TypeVar("T")


async def together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs, in order.

    Raises Deferred, with the engines of all, when every job has ended and some were put off: had the others been
    called off, what they still ask would cost a round of files more. Any other error calls them off and is raised.
    """
    put_off: list[Deferred] = []

    async def held(job: Coroutine[Any, Any, T]) -> list[T]:
        try:
            return [await job]
        except Deferred as later:
            put_off.append(later)
            return []

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(held(job)) for job in jobs]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if put_off:
        raise Deferred(*dict.fromkeys(engine for later in put_off for engine in later.engines))
    return [result for task in tasks for result in task.result()]
