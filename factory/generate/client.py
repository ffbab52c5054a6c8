"""The client of OpenAI-compatible servers: asynchronous, over one or many endpoints, patient but not for ever.

The model:
- Those who ask wait in a line (`lineup`); whenever an endpoint has room (`limit`), the next of them is sent there, to
  the least busy one for its weight.
- An endpoint that cannot be reached, or says that it is busy, rests for a while (doubling); the request goes
  to another endpoint, or waits. That costs the request nothing: only `patience` bounds it.
- A request that reached a server and came back without a usable answer has used up an attempt. After
  `attempts` of them it is a failed row; but where nothing at all succeeds any more, the build stops.
- A refusal of what the request says (400, 413, 422) is an answer; of who asks or for what model (401, 403,
  404) is the end of the build.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn, Self

import aiohttp
import orjson

from hala_factory.errors import BuildError
from hala_factory.generate import completion
from hala_factory.generate.answers import Answer, Request
from hala_factory.generate.circuit import Endpoint, pause
from hala_factory.generate.completion import Failed
from hala_factory.generate.connection import connected, connections, retry_after
from hala_factory.generate.limit import MOST, START, Limit
from hala_factory.generate.lineup import Lineup

DEADLINE = 600.0
"""Seconds for one attempt, from connecting to the last byte."""
PATIENCE = 600.0
"""Seconds without any success, all endpoints down or failing, before the build gives up."""
ATTEMPTS = 6
FAILING = 3
"""Different requests that must be failing before failures are the endpoints' fault and not theirs."""
LOST_IN_A_ROW = 20
"""Requests that may fail one after another, with no success between, before the build gives up."""

_BUSY = {429, 502, 503, 529}
_REFUSED = {400, 413, 422}


class _Unavailable(Exception):
    """The endpoint is down or busy: not this request's fault."""

    def __init__(self, message: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.busy = busy


class _Late(Failed):
    """No answer came in time."""


@dataclass(frozen=True)
class Address:
    """Where an endpoint is, and how it is asked."""

    url: str
    weight: float = 1.0
    key: str | None = field(default=None, repr=False)


class ChatClient:
    """Chat completions from any of several endpoints that serve the same model.

    Use as an asynchronous context manager. Keys are sent, and never shown. Requests under way at an endpoint are
    `start` at first (for the endpoint with the greatest weight, fewer for the others), and then as many as pay,
    up to `most`.
    """

    def __init__(
        self,
        name: str,
        model: str,
        endpoints: Sequence[Address | str],
        *,
        start: int = START,
        most: int = MOST,
        deadline: float = DEADLINE,
        patience: float = PATIENCE,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.name = name
        self.model = model
        addresses = [Address(e) if isinstance(e, str) else e for e in endpoints]
        greatest = max(a.weight for a in addresses)
        self.endpoints = [
            Endpoint(a.url.rstrip("/"), a.weight, a.key, Limit(round(start * a.weight / greatest), most=most))
            for a in addresses
        ]
        self.deadline = deadline
        self.patience = patience
        self.attempts = attempts
        self.successes = 0
        self._line: Lineup[asyncio.Future[Endpoint]] = Lineup()
        self._sending: asyncio.Handle | None = None
        self._trouble_since: float | None = None
        self._troubled: set[int] = set()
        self._last_trouble = ""
        self._lost = 0
        self._refused = 0
        self._fatal: BuildError | None = None

    @property
    def capacity(self) -> int:
        """Requests that all endpoints together take at a time, as far as known by now."""
        return sum(e.limit.value for e in self.endpoints)

    async def __aenter__(self) -> Self:
        each = connections(sum(e.limit.most for e in self.endpoints)) // len(self.endpoints)
        for endpoint in self.endpoints:
            endpoint.limit.bound(each)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sending:
            self._sending.cancel()
        for endpoint in self.endpoints:
            if endpoint.session:
                await endpoint.session.close()
                endpoint.session = None

    async def answer(self, request: Request) -> Answer:
        """The answer of the least busy endpoint, or of the next that gives one."""
        attempt, again = 0, False
        while True:
            endpoint = await self._turn(request, again)
            again = True
            began = time.monotonic()
            try:
                answer = await self._post(endpoint, request)
            except _Unavailable as e:
                if e.busy:
                    endpoint.limit.refused(began, time.monotonic())
                self._trouble(endpoint, request, began, str(e), down=True, wait=e.wait)
                continue
            except Failed as e:
                if isinstance(e, _Late):
                    endpoint.limit.refused(began, time.monotonic())
                self._trouble(endpoint, request, began, str(e))
                attempt += 1
                if attempt >= self.attempts:
                    return self._lose(f"{e} (the last of {attempt} attempts)")
            else:
                self._works(endpoint, began, answer)
                return answer
            finally:
                endpoint.busy -= 1
                self._send_soon()
            await asyncio.sleep(pause(attempt))

    async def fail(self, error: BuildError) -> None:
        """Have every request that waits, and every later one, raise `error`."""
        self._fatal = error
        self._send()

    async def wake(self) -> None:
        """Have the requests that wait look at the endpoints again."""
        self._send()

    async def _turn(self, request: Request, again: bool) -> Endpoint:
        """Wait for the endpoint that this request is to be sent to; it counts as busy from then on."""
        turn: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        self._line.add(request, turn, again=again)
        self._send_soon()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().busy -= 1
                self._send_soon()
            raise

    def _send_soon(self, after: float = 0.0) -> None:
        """Send what waits when all that is ready has run, so that those who come together are lined up together."""
        if self._sending:
            self._sending.cancel()
        loop = asyncio.get_running_loop()
        self._sending = loop.call_later(after, self._send) if after else loop.call_soon(self._send)

    def _send(self) -> None:
        """Send as many of those who wait as there is room for; then wait until some endpoint has rested."""
        self._sending, now = None, time.monotonic()
        with contextlib.suppress(BuildError):  # told to those who wait, below
            if self._line and self._fatal is None:
                self._be_patient(now)
        while self._line and self._fatal is None:
            ready = [e for e in self.endpoints if e.room(now)]
            if not ready:
                rests = [e.rests_until - now for e in self.endpoints if not e.held and e.rests_until > now]
                if rests:
                    self._send_soon(max(0.001, min(rests)))
                return
            turn = self._line.next()
            if not turn.done():
                endpoint = min(ready, key=lambda e: e.load)
                endpoint.send()
                turn.set_result(endpoint)
        if self._fatal:
            for turn in self._line.drain():
                if not turn.done():
                    # one error for all, each with its own way here
                    turn.set_exception(self._fatal.with_traceback(None))

    def _works(self, endpoint: Endpoint, began: float, answer: Answer) -> None:
        refused = answer.error
        endpoint.works(began)
        if refused is None:
            endpoint.limit.answered(began, time.monotonic(), answer.prompt_tokens + answer.output_tokens)
        self._trouble_since, self._lost = None, 0
        self._troubled.clear()
        if refused is None:
            self.successes += 1
        elif not self.successes:
            self._refused += 1
            if self._refused >= LOST_IN_A_ROW:
                self._end(f"{endpoint.shown} refused the first {self._refused} requests: {refused}")

    def _trouble(
        self,
        endpoint: Endpoint,
        request: Request,
        began: float,
        message: str,
        *,
        down: bool = False,
        wait: float | None = None,
    ) -> None:
        if endpoint.held:
            return
        now = time.monotonic()
        endpoint.rest(began, now, down, wait)
        self._last_trouble = f"{endpoint.shown}: {message}"
        self._trouble_since = self._trouble_since or now
        self._troubled.add(id(request))

    def _be_patient(self, now: float) -> None:
        if self._trouble_since is None or now - self._trouble_since <= self.patience:
            return
        if all(e.down for e in self.endpoints) or len(self._troubled) >= FAILING:
            which = "the endpoint has" if len(self.endpoints) == 1 else f"all {len(self.endpoints)} endpoints have"
            self._end(f"{which} given nothing for {now - self._trouble_since:.0f} s; last, {self._last_trouble}")

    def _lose(self, message: str) -> Answer:
        self._lost += 1
        if self._lost >= LOST_IN_A_ROW:
            self._end(f"{self._lost} requests one after another came to nothing, the last: {message}")
        return Answer("", "error", error=message, final=False)

    def _end(self, message: str) -> NoReturn:
        self._fatal = BuildError(
            f"model {self.name!r}: {message}; every answer so far is stored, run the same command again to go on"
        )
        raise self._fatal

    async def _post(self, endpoint: Endpoint, request: Request) -> Answer:
        body = orjson.dumps(completion.spoken(self.model, request))
        session = endpoint.session or self._connect(endpoint)
        try:
            address = f"{endpoint.url}/chat/completions"
            async with session.post(address, data=body, allow_redirects=False) as response:
                status, said, wait = response.status, await response.read(), response.headers.get("Retry-After")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as e:
            raise _Unavailable(f"no connection ({type(e).__name__})") from None
        except TimeoutError:
            raise _Late(f"no answer within {self.deadline:g} s") from None
        except (aiohttp.ClientError, OSError) as e:
            raise Failed(f"the connection broke ({type(e).__name__})") from None
        if status == 200:
            return completion.read(said, endpoint.key)
        told = f"HTTP {status}: {completion.said(said, endpoint.key)}"
        if status in _REFUSED:
            return Answer("", "error", error=told)
        if status in _BUSY:
            raise _Unavailable(told, retry_after(wait), busy=True)
        if status >= 500 or status in (408, 409, 425):
            raise Failed(told)
        todo = {401: "check the key", 403: "check the key", 404: "check the address and the name of the model"}
        self._end(f"{endpoint.shown} says {told}; {todo.get(status, 'check the address')}")

    def _connect(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        endpoint.session = connected(endpoint.url, endpoint.key, self.deadline, local=endpoint.local)
        return endpoint.session
