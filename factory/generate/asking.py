"""Asking: the way from a step to an engine, past the store, so that nothing is asked twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, NotRequired, Protocol, Self, TypedDict, Unpack

from hala_factory.errors import BuildError, HalaError
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.generate.budget import Purse
from hala_factory.generate.engines import Engine
from hala_factory.generate.store import GenerationStore
from hala_factory.generate.timing import Stopwatch

LOOK = 0.2
"""Seconds between two looks at what another process is answered."""
PATIENCE = 900.0
"""Seconds without any answer to another process after which we ask for ourselves what it asks for: it may have been
stopped. Longer than the 600 that a request may take."""


class How(TypedDict):
    """How a prompt is to be answered: its sampling, and what else goes with it."""

    temperature: float
    max_tokens: int
    """Longest answer."""
    seed: NotRequired[int | None]
    text: NotRequired[str | None]
    """The bare text in the prompt, for engines that take no prompt."""
    schema: NotRequired[Mapping[str, Any] | None]
    """The JSON Schema to follow: a server that can holds the model to it; what comes is to be checked all the same."""


class Answerer(Protocol):
    """Whatever answers requests; `run` gives one that keeps every answer in the store."""

    @property
    def unit(self) -> Unit:
        """`segment`: pieces that fit a model; `text`: whole texts, the bare text being the prompt."""
        ...

    @property
    def capacity(self) -> int:
        """Requests that can be worked on at a time, as far as known by now."""
        ...

    async def __call__(self, messages: Sequence[Mapping[str, str]], **how: Unpack[How]) -> Answer:
        """The answer to `messages`."""
        ...


@dataclass
class Counts:
    """What a build asked, and what it cost."""

    requests: int = 0
    """Answers that steps asked for."""
    from_store: int = 0
    """Of these, answered without the engine: stored already, or the same as one under way."""
    prompt_tokens: int = 0
    """Tokens the engine read for this build."""
    output_tokens: int = 0
    """Tokens the engine wrote for this build."""
    failures: int = 0
    """Requests the engine refused, could not answer, or had no record of."""
    saved_prompt_tokens: int = 0
    """Tokens the engine would have read for what it was not asked."""
    saved_output_tokens: int = 0
    """Tokens it would have written."""

    def told(self) -> dict[str, int]:
        """The counts for `--json`."""
        return {word: count for word, count in asdict(self).items() if not word.startswith("saved")}

    def found(self, answer: Answer) -> Answer:
        """Count an answer that came from the store."""
        self.from_store += 1
        self.saved_prompt_tokens += answer.prompt_tokens
        self.saved_output_tokens += answer.output_tokens
        return answer


def asked(engine: Engine, messages: Sequence[Mapping[str, str]], **how: Unpack[How]) -> Request:
    """What an engine is asked with a step's prompt. Raises TypeError for a message without text."""
    spoken = tuple((m["role"], m["content"]) for m in messages)
    text, schema = how.get("text"), how.get("schema")
    if not engine.prompted and text is not None:
        spoken = (("user", text),)
    wanted = None
    if schema is not None and engine.prompted:
        wanted = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return Request(spoken, how["temperature"], how["max_tokens"], how.get("seed"), text, wanted)


class Asker:
    """Answers a step's prompts: from the store, else from the engine, whose answer is stored at once.

    The engine is started at the first prompt that is not stored. Equal prompts under way are asked once. With a
    `purse`, what the engine is asked has to fit its budget; what does not is put off (Deferred).
    Use as an asynchronous context manager; on leaving, the engine stops and the store is closed.
    """

    def __init__(self, engine: Engine, store: GenerationStore, purse: Purse | None = None) -> None:
        self.engine = engine
        self.store = store
        self.purse = purse
        self.unit: Unit = engine.unit
        self.counts = Counts()
        self.watch = Stopwatch()
        """How long the engine was at work."""
        self._under_way: dict[str, asyncio.Task[Answer]] = {}
        self._starting = asyncio.Lock()
        self._started = False
        self._no_start: HalaError | None = None
        self._proven = False

    @property
    def capacity(self) -> int:
        """Of the engine."""
        return self.engine.capacity

    async def __call__(self, messages: Sequence[Mapping[str, str]], **how: Unpack[How]) -> Answer:
        """The answer to a prompt.

        Raises BuildError when the engine is beyond help or the disk is full, TypeError for a message without text.
        """
        request = asked(self.engine, messages, **how)
        key = request.key(self.store.model)
        self.counts.requests += 1
        task = self._under_way.get(key)
        if task is not None:
            return self.counts.found(await asyncio.shield(task))
        stored = self.store.get(key)
        if stored is not None:
            return self.counts.found(stored)
        task = self._under_way[key] = asyncio.create_task(self._ask(key, request))
        task.add_done_callback(lambda t: self._done(key, t))
        return await asyncio.shield(task)  # paid for: it goes on, and is stored, if this caller gives up

    async def _ask(self, key: str, request: Request) -> Answer:
        await self._start()
        stored = await self._claimed(key)
        if stored is not None:
            return self.counts.found(stored)
        try:
            return await self._answer(key, request)
        finally:
            self.store.let_go(key)

    async def _claimed(self, key: str) -> Answer | None:
        """The answer of another process that asks for the same; None when it is ours to ask."""
        heard, since = self.store.heard, time.monotonic()
        while not self.store.claim(key):
            await asyncio.sleep(LOOK)
            if (answer := self.store.latest(key)) is not None:
                return answer
            if self.purse:
                self.purse.budget.check()
            if self.store.heard != heard:
                heard, since = self.store.heard, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return None
        if (answer := self.store.latest(key)) is not None:
            self.store.let_go(key)
        return answer

    async def _answer(self, key: str, request: Request) -> Answer:
        with self.watch:
            answer = await (self.purse.pay(request, self.engine.answer) if self.purse else self.engine.answer(request))
        self.counts.prompt_tokens += answer.prompt_tokens
        self.counts.output_tokens += answer.output_tokens
        self.counts.failures += answer.finish_reason in ("error", "miss")
        if answer.finish_reason in ("stop", "length"):
            self._proven = True
            self.store.put(key, request, answer)
        elif answer.finish_reason == "error" and answer.final and self._proven:
            # A refusal counts as the row's own only from an engine that does answer; one that refuses
            # everything is set up wrongly, and what it said must not outlive that.
            self.store.put(key, request, answer)
        return answer

    def _done(self, key: str, task: asyncio.Task[Answer]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen here, in case that every caller has given up

    async def _start(self) -> None:
        async with self._starting:
            if self._no_start:
                raise self._no_start.with_traceback(None)
            if not self._started:
                try:
                    await self._enter()
                except HalaError as e:
                    self._no_start = e  # every request that waits here hears of it, and none tries again
                    raise
                self._started = True

    async def _enter(self) -> None:
        if self.purse is None:
            await self.engine.__aenter__()
            return
        budget = self.purse.budget
        budget.check()
        try:
            async with asyncio.timeout(budget.seconds_left) as limit:
                await self.engine.__aenter__()
        except TimeoutError:
            if limit.expired():
                budget.check()
            raise

    async def hold(self, error: BuildError) -> None:
        """Have what waits to be sent, and what may come, raise `error`; what is under way goes on."""
        if self._started:
            await self.engine.hold(error)

    async def finish(self) -> None:
        """Wait until what is under way is answered and stored, whoever waits for it."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.store.close)
            if self._started:
                stack.push_async_exit(self.engine)
            under_way = list(self._under_way.values())
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


class Meter:
    """An answerer that counts what passes through it: what some rows took, whether it was stored already or not."""

    def __init__(self, asker: Answerer) -> None:
        self._asker = asker
        self.unit = asker.unit
        self.spent = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    @property
    def capacity(self) -> int:
        """Of the asker."""
        return self._asker.capacity

    async def __call__(self, messages: Sequence[Mapping[str, str]], **how: Unpack[How]) -> Answer:
        """The answer of the asker."""
        answer = await self._asker(messages, **how)
        self.spent["requests"] += 1
        self.spent["prompt_tokens"] += answer.prompt_tokens
        self.spent["output_tokens"] += answer.output_tokens
        return answer
