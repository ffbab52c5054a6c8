"""The gauge: an answerer that knows only the store, and weighs what it would have to ask.

The model: a question is put to its step. Answers that are stored bring about what they brought about in a build, with
every retry; at the first one that is not stored the question ends, and what it asked until then is weighed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

from hala_factory.cost.band import Band, total
from hala_factory.cost.weighing import Weigher
from hala_factory.generate.answers import Answer
from hala_factory.generate.asking import How, asked
from hala_factory.generate.engines import Deferred, Engine
from hala_factory.generate.store import GenerationStore
from hala_factory.step import Ask

TURNS = 20
"""Turns of the event loop in which the other parts of a question ask, too, before it is put off."""


@dataclass
class Usage:
    """What one question takes of one model."""

    requests: int = 0
    fresh: int = 0
    """Of these, not stored."""
    prompt: list[Band] = field(default_factory=list)
    output: list[Band] = field(default_factory=list)
    stored_prompt: int = 0
    """Tokens of stored answers, which are not paid again."""
    stored_output: int = 0

    @property
    def prompt_tokens(self) -> Band:
        """All that is read."""
        return total([*self.prompt, Band.exact(self.stored_prompt)])

    @property
    def output_tokens(self) -> Band:
        """All that is written."""
        return total([*self.output, Band.exact(self.stored_output)])


class Gauge:
    """An answerer that knows what is stored, weighs the rest, and puts it off."""

    def __init__(self, engine: Engine, store: GenerationStore | None, weigher: Weigher) -> None:
        self.unit = engine.unit
        self.hows: dict[str, set[str]] = {"prompt": set(), "output": set()}
        self._engine = engine
        self._store = store
        self._weigher = weigher
        self._usage = Usage()

    def take(self) -> Usage:
        """What was asked since the last time."""
        usage, self._usage = self._usage, Usage()
        return usage

    async def __call__(self, messages: Sequence[Mapping[str, str]], **how: Unpack[How]) -> Answer:
        """The stored answer. Raises Deferred where there is none."""
        request = asked(self._engine, messages, **how)
        answer = None if self._store is None else self._store.get(request.key(self._store.model))
        self._usage.requests += 1
        if answer is not None:
            self._usage.stored_prompt += answer.prompt_tokens
            self._usage.stored_output += answer.output_tokens
            return answer
        weight = self._weigher.weigh(request)
        self._usage.fresh += 1
        self._usage.prompt.append(weight.prompt)
        self._usage.output.append(weight.output)
        self.hows["prompt"].add(weight.how_prompt)
        self.hows["output"].add(weight.how_output)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        raise Deferred


async def weigh(
    step: Ask, questions: Sequence[Any], gauges: Mapping[str, Gauge]
) -> list[tuple[bool, dict[str, Usage]]]:
    """For every question, whether all of it is stored, and what it takes of each model."""
    found = []
    for question in questions:
        whole = True
        try:
            await step.reply(question, gauges)
        except* Deferred:
            whole = False
        found.append((whole, {name: gauge.take() for name, gauge in gauges.items()}))
    return found
