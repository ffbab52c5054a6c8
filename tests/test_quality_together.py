"""Several questions at once: who waits for an answer, who is called off, and what is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from hala_factory.errors import BuildError
from hala_factory.generate.answers import Answer
from hala_factory.generate.engines import Deferred
from hala_factory.quality.together import together
from hala_factory.quality.translate import Translate

WAIT = 60
"""Seconds after which a test that hangs has failed."""


class Box:
    """An engine whose answers come later."""

    def __init__(self, name: str) -> None:
        self.name = name

    def told(self) -> str:
        return f"{self.name} waits"


async def after(turns: int, outcome: Any, ended: list[Any]) -> Any:
    """A job that takes so many turns of the loop, and then raises or answers."""
    for _ in range(turns):
        await asyncio.sleep(0)
    ended.append(outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def ran(jobs: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    async def main() -> list[Any]:
        async with asyncio.timeout(WAIT):
            return await together(jobs)

    return asyncio.run(main())


def test_results_are_in_the_order_of_the_jobs_whichever_ends_first() -> None:
    ended: list[int] = []
    assert ran([after(turns, turns, ended) for turns in (3, 0, 9, 1)]) == [3, 0, 9, 1]
    assert ended == [0, 1, 3, 9]
    assert ran([]) == []


def test_what_is_put_off_keeps_no_other_job_from_its_end_and_every_engine_is_told() -> None:
    ended: list[Any] = []
    one, two = Box("one"), Box("two")
    with pytest.raises(Deferred) as caught:
        ran([after(n, o, ended) for n, o in ((0, Deferred(one)), (5, 5), (9, Deferred(two, one)), (20, 20))])
    assert len(ended) == 4
    assert str(caught.value) == "one waits\ntwo waits"


def test_a_job_that_is_put_off_without_an_engine_has_no_result_either() -> None:
    with pytest.raises(Deferred):
        ran([after(0, Deferred(), []), after(0, 1, [])])


@pytest.mark.parametrize("error", [BuildError("the disk is full"), OSError("no route")])
def test_an_error_calls_the_others_off_and_is_raised_itself(error: Exception) -> None:
    called_off = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            called_off.append(True)
            raise

    with pytest.raises(type(error)) as caught:
        ran([endless(), after(3, error, []), after(0, Deferred(Box("one")), []), endless()])
    assert caught.value is error
    assert called_off == [True, True]


def test_a_segment_that_waits_for_files_does_not_cost_the_others_a_round() -> None:
    """The first segment is put off while the second is still with the first model, which cannot do it either."""
    asked: list[str] = []
    put_off = asyncio.Event()

    class Quick:
        unit = "segment"

        async def __call__(self, messages: Any, *, text: str, **sampling: Any) -> Answer:
            if text.startswith("Second"):
                await put_off.wait()
                await after(50, None, [])  # until the first one's way back has ended
            return Answer(text, "stop", 1, 1)  # an echo

    class Later:
        unit = "segment"

        async def __call__(self, messages: Any, *, text: str, **sampling: Any) -> Answer:
            asked.append(text)
            put_off.set()
            raise Deferred(Box("later"))

    texts = [
        f"{which} comes a sentence that is long enough to stand alone in a segment." for which in ("First", "Second")
    ]
    step = Translate(to="ar", model="quick", fallback_model="later", max_chars=100, retries={})

    async def main() -> None:
        async with asyncio.timeout(WAIT):
            await step.reply("\n\n".join(texts), {"model": Quick(), "fallback_model": Later()})

    with pytest.raises(Deferred):
        asyncio.run(main())
    assert [t.strip() for t in asked] == texts
