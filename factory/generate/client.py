"""The client of OpenAI-compatible servers: asynchronous, over one or many endpoints, patient but not for ever.

The model:
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
import email.utils
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import NoReturn, Self

import httpx

from hala_factory.errors import BuildError
from hala_factory.generate import completion
from hala_factory.generate.answers import Answer, Request
from hala_factory.generate.circuit import Endpoint, pause
from hala_factory.generate.completion import Failed

CONCURRENCY = 64
"""Requests under way per endpoint; vLLM's throughput on small models is near its top there."""
DEADLINE = 600.0
"""Seconds for one attempt, from connecting to the last byte."""
PATIENCE = 600.0
"""Seconds without any success, all endpoints down or failing, before the build gives up."""
ATTEMPTS = 6
FAILING = 3
"""Different requests that must be failing before failures are the endpoints' fault and not theirs."""
LOST_IN_A_ROW = 20
"""Requests that may fail one after another, with no success between, before the build gives up."""
KEPT_ALIVE = 4.0
"""Seconds an idle connection is kept: less than the 5 after which uvicorn, under vLLM, closes it."""

_BUSY = {429, 502, 503, 529}
_REFUSED = {400, 413, 422}


class _Unavailable(Exception):
    """The endpoint is down or busy: not this request's fault."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class ChatClient:
    """Chat completions from any of several endpoints that serve the same model.

    Use as an asynchronous context manager. The key is sent, and never shown.
    """

    def __init__(
        self,
        name: str,
        model: str,
        endpoints: Sequence[str],
        *,
        key: str | None = None,
        concurrency: int = CONCURRENCY,
        deadline: float = DEADLINE,
        patience: float = PATIENCE,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.name = name
        self.model = model
        self.endpoints = [Endpoint(url.rstrip("/")) for url in endpoints]
        self.concurrency = concurrency
        self.deadline = deadline
        self.patience = patience
        self.attempts = attempts
        self.successes = 0
        self._key = key
        self._freed = asyncio.Condition()
        self._trouble_since: float | None = None
        self._troubled: set[int] = set()
        self._last_trouble = ""
        self._lost = 0
        self._refused = 0
        self._fatal: BuildError | None = None
        self._trusted: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        self._trusted = httpx.create_ssl_context()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for endpoint in self.endpoints:
            while endpoint.idle:
                await endpoint.idle.pop().aclose()

    async def answer(self, request: Request) -> Answer:
        """The answer of the least busy endpoint, or of the next that gives one."""
        attempt = 0
        while True:
            endpoint = await self._take()
            began = time.monotonic()
            try:
                answer = await self._post(endpoint, request)
            except _Unavailable as e:
                self._trouble(endpoint, request, began, str(e), down=True, wait=e.wait)
                continue
            except Failed as e:
                self._trouble(endpoint, request, began, str(e))
                attempt += 1
                if attempt >= self.attempts:
                    return self._lose(f"{e} (the last of {attempt} attempts)")
            else:
                self._works(endpoint, refused=answer.error)
                return answer
            finally:
                await self._give_back(endpoint)
            await asyncio.sleep(pause(attempt))

    async def fail(self, error: BuildError) -> None:
        """Have every request that waits, and every later one, raise `error`."""
        self._fatal = error
        await self.wake()

    async def wake(self) -> None:
        """Have the requests that wait look at the endpoints again."""
        async with self._freed:
            self._freed.notify_all()

    async def _take(self) -> Endpoint:
        async with self._freed:
            while True:
                if self._fatal:
                    raise self._fatal.with_traceback(None)  # one error for all, each with its own way here
                now = time.monotonic()
                self._be_patient(now)
                ready = [e for e in self.endpoints if e.room(self.concurrency, now)]
                if ready:
                    endpoint = min(ready, key=lambda e: e.busy)
                    endpoint.busy += 1
                    return endpoint
                rests = [e.rests_until - now for e in self.endpoints if not e.held and e.rests_until > now]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(rests) if rests else None):
                        await self._freed.wait()

    async def _give_back(self, endpoint: Endpoint) -> None:
        endpoint.busy -= 1
        async with self._freed:
            self._freed.notify()

    def _works(self, endpoint: Endpoint, refused: str | None) -> None:
        endpoint.revive()
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
        body = completion.spoken(self.model, request)
        try:
            async with asyncio.timeout(self.deadline), self._connection(endpoint) as connection:
                response = await connection.post(f"{endpoint.url}/chat/completions", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as e:
            raise _Unavailable(f"no connection ({type(e).__name__})") from None
        except (TimeoutError, httpx.TimeoutException):
            raise Failed(f"no answer within {self.deadline:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise Failed(f"the connection broke ({type(e).__name__})") from None
        if response.status_code == 200:
            return completion.read(response, self._key)
        said = f"HTTP {response.status_code}: {completion.said(response, self._key)}"
        if response.status_code in _REFUSED:
            return Answer("", "error", error=said)
        if response.status_code in _BUSY:
            raise _Unavailable(said, _retry_after(response.headers.get("Retry-After")))
        if response.status_code >= 500 or response.status_code in (408, 409, 425):
            raise Failed(said)
        todo = {401: "check the key", 403: "check the key", 404: "check the address and the name of the model"}
        self._end(f"{endpoint.shown} says {said}; {todo.get(response.status_code, 'check the address')}")

    @contextlib.asynccontextmanager
    async def _connection(self, endpoint: Endpoint) -> AsyncIterator[httpx.AsyncClient]:
        assert self._trusted is not None, "use the client as an asynchronous context manager"
        client = (
            endpoint.idle.pop()
            if endpoint.idle
            else httpx.AsyncClient(
                timeout=httpx.Timeout(self.deadline, connect=min(10.0, self.deadline)),
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_ALIVE),
                headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
                verify=self._trusted,
                trust_env=not endpoint.local,  # a proxy is no way to a server on this machine
            )
        )
        try:
            yield client
        finally:
            endpoint.idle.append(client)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
