"""The engine `openai`: endpoints that run already, at a vendor or on a cluster."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.generate.checkpoint import served
from hala_factory.generate.client import CONCURRENCY, ChatClient


class EndpointsEngine:
    """Asks the `endpoints` of a catalog entry for its `model`, with the key in its `api_key_env`.

    Raises InputError for an address that is none, and, on entering, for a key that is not set.
    """

    unit: Unit = "segment"
    prompted = True

    def __init__(self, name: str, model: Model, *, revision: str | None, concurrency: int = CONCURRENCY) -> None:
        for endpoint in model.endpoints:
            if not endpoint.startswith(("http://", "https://")):
                raise InputError(f"model {name!r}: endpoint {endpoint!r} is no http:// or https:// address")
        self.name = name
        self._model = model
        self._revision = revision
        self._concurrency = concurrency
        self._client: ChatClient | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Model, revision, quantisation and chat template as far as known; where it runs does not count."""
        return served(self.name, self._model, self._revision)

    async def __aenter__(self) -> Self:
        called = self._model.model or self._model.hub or self.name
        key = _key(self.name, self._model.api_key_env)
        client = ChatClient(self.name, called, self._model.endpoints, key=key, concurrency=self._concurrency)
        self._client = await client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client:
            await self._client.__aexit__(kind, error, trace)

    async def answer(self, request: Request) -> Answer:
        """The answer of the least busy endpoint."""
        assert self._client is not None, "use the engine as an asynchronous context manager"
        return await self._client.answer(request)

    async def hold(self, error: BuildError) -> None:
        """Have what waits to be sent, and what comes later, raise `error`."""
        if self._client:
            await self._client.fail(error)


def _key(name: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"model {name!r}: the environment variable {variable}, which holds its key, is not set")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"model {name!r}: what {variable} holds cannot be a key (it has other than printable ASCII)")
    return key
