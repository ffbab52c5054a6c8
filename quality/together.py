"""Several questions at once, all of them asked to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs, in order; the first error is raised when every job has ended.

    An engine that answers later (batch files) raises for the first and has to be told of the others all the same.
    """
    results = await asyncio.gather(*jobs, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
