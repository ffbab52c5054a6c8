"""The budget of a build: the tokens, the money and the hours after which it asks no model any more.

The model:
- What a request may take at worst is reserved before it is sent; when its answer is there, what it took is spent
  and the rest is free again. So a budget is not exceeded, as long as servers keep to `max_tokens` and say what they
  read and wrote.
- A request that does not fit beside those under way waits for them. One that would not fit without them is the end:
  the budget is reached, nothing more is asked, and what is under way is finished and stored.
- The hours are those of the build, as of a machine that is lent: reading, filtering and starting servers count.
- Every run has a budget of its own. It is no part of what is built, and of no fingerprint.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from hala_factory.catalog import Price
from hala_factory.errors import BuildError
from hala_factory.generate.answers import Answer, Request
from hala_factory.generate.engines import Deferred

AROUND = 256
"""Tokens that a chat template is thought to put around the messages at most, until a server says that it was more."""
TOKENS = "tokens"
_FLAGS = {TOKENS: "max_tokens", "hours": "max_hours"}

Amounts = Mapping[str, float]
"""What is spent: `tokens`, and money by currency (ISO 4217)."""


class BudgetReached(BuildError):
    """A build stopped at its budget; `told` says so to scripts."""

    def __init__(self, message: str, told: dict[str, Any]) -> None:
        super().__init__(message)
        self.told = told


class Budget:
    """What one run of a build may spend, and has spent. One event loop at a time uses it."""

    def __init__(
        self,
        *,
        max_tokens: int | None = None,
        max_hours: float | None = None,
        max_cost: Amounts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits: dict[str, float] = {**({TOKENS: max_tokens} if max_tokens else {}), **(max_cost or {})}
        self.max_hours = max_hours
        self.spent: Counter[str] = Counter()
        """By models that are paid for, in this run."""
        self.reached: str | None = None
        """`tokens`, `hours` or a currency: the limit that ended it."""
        self._clock = clock
        self._began = clock()
        self._reserved: Counter[str] = Counter()
        self._queue: deque[tuple[Amounts, asyncio.Future[None]]] = deque()
        self._too_much = 0.0

    @property
    def hours(self) -> float:
        """Hours since the build began."""
        return (self._clock() - self._began) / 3600

    @property
    def seconds_left(self) -> float | None:
        """Seconds until no model is asked any more; None where that is never."""
        return None if self.max_hours is None else max(0.0, (self.max_hours - self.hours) * 3600)

    def check(self) -> None:
        """Raises Deferred when the budget is reached."""
        if self.reached is None and self.seconds_left == 0:
            self._reach("hours")
        if self.reached is not None:
            raise Deferred(self)

    async def reserve(self, worst: Amounts) -> None:
        """Take so much aside, in the order of asking. Raises Deferred when the budget is reached."""
        self.check()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((worst, future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.settle(worst, {})
            raise

    def settle(self, worst: Amounts, taken: Amounts) -> None:
        """Give back what was reserved, and note what was taken of it."""
        self._reserved.subtract(worst)
        self.spent.update(taken)
        self._serve()

    @contextlib.asynccontextmanager
    async def timed(self, hold: Callable[[BuildError], Awaitable[None]]) -> AsyncIterator[None]:
        """Call `hold` when the hours are over, if that happens within the block."""

        async def expire(seconds: float) -> None:
            await asyncio.sleep(seconds)
            if self.reached is None:
                self._reach("hours")
            await hold(Deferred(self))

        task = None if self.seconds_left is None else asyncio.create_task(expire(self.seconds_left))
        try:
            yield
        finally:
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def told(self) -> str:
        """Which limit was reached, in words."""
        if self.reached is None:
            return "the budget is not reached"
        if self.reached == "hours":
            return f"--max-hours {self.max_hours:g} is reached"
        limit = self.limits[self.reached]
        enough = f", so --{self._flag().replace('_', '-')} has to be more" if self._too_much > limit else ""
        called, shown = (f" {TOKENS}", _shown) if self.reached == TOKENS else (f" {self.reached}", _money)
        return (
            f"--{self._flag().replace('_', '-')} {shown(limit)}{'' if self.reached == TOKENS else called} is reached: "
            f"the next request may take {shown(self._too_much)}{called}{enough}"
        )

    def summary(self) -> dict[str, Any]:
        """Reason, limits and what was spent, for `--json`."""
        money = {c: round(a, 6) for c, a in sorted(self.spent.items()) if c != TOKENS}
        limits: dict[str, Any] = {"max_tokens": self.limits.get(TOKENS), "max_hours": self.max_hours}
        limits["max_cost"] = {c: a for c, a in sorted(self.limits.items()) if c != TOKENS} or None
        return {
            "reason": self._flag(),
            "budget": {flag: limit for flag, limit in limits.items() if limit is not None},
            "spent": {TOKENS: int(self.spent[TOKENS]), "hours": round(self.hours, 4), "cost": money},
        }

    def _flag(self) -> str:
        return _FLAGS.get(self.reached or "", "max_cost")

    def _reach(self, limit: str) -> None:
        self.reached = limit
        self._serve()

    def _over(self, worst: Amounts, beside: Amounts) -> str | None:
        """The limit that `worst` would break, if any."""
        for unit, limit in self.limits.items():
            if self.spent[unit] + beside.get(unit, 0) + worst.get(unit, 0) > limit:
                return unit
        return None

    def _serve(self) -> None:
        """Let those who wait go on, the first first, as far as there is room."""
        while self._queue:
            worst, future = self._queue[0]
            if not future.done():
                if self.reached is None and (over := self._over(worst, {})):
                    self.reached, self._too_much = over, worst[over]
                if self.reached is not None:
                    future.set_exception(Deferred(self))
                elif self._over(worst, self._reserved):
                    return
                else:
                    self._reserved.update(worst)
                    future.set_result(None)
            self._queue.popleft()


class Purse:
    """The way of one model to the budget: what its requests may take, and what its answers took."""

    def __init__(self, budget: Budget, price: Price | None) -> None:
        self.budget = budget
        self._price = price
        self._around = AROUND

    async def pay(self, request: Request, answer: Callable[[Request], Awaitable[Answer]]) -> Answer:
        """The answer, paid for. Raises Deferred when the budget is reached.

        A server that gives an answer and does not say what it read and wrote is taken to have used all it might.
        """
        said = most_tokens(request)
        worst = self._amounts(said + self._around, request.max_tokens)
        await self.budget.reserve(worst)
        taken: Amounts = {}
        try:
            given = await answer(request)
            untold = given.finish_reason in ("stop", "length") and not (given.prompt_tokens or given.output_tokens)
            taken = worst if untold else self._amounts(given.prompt_tokens, given.output_tokens)
            self._around = max(self._around, given.prompt_tokens - said)
            return given
        finally:
            self.budget.settle(worst, taken)

    def _amounts(self, prompt: int, output: int) -> Amounts:
        price = self._price
        return {TOKENS: prompt + output, **({price.currency: price.of(prompt, output)} if price else {})}


def most_tokens(request: Request) -> int:
    """The tokens of what a request says, at most: no tokenizer makes more tokens of a text than it has bytes."""
    said = sum(len(part.encode("utf-8", "surrogatepass")) for message in request.messages for part in message)
    return said + len((request.schema or "").encode())


def _shown(amount: float) -> str:
    return f"{amount:,.0f}"


def _money(amount: float) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")
