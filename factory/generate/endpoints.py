"""The engine `openai`: endpoints that run already, at a vendor or on a cluster."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from hala_factory import catalog
from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.generate.checkpoint import served
from hala_factory.generate.client import Address, ChatClient
from hala_factory.generate.limit import START


class EndpointsEngine:
    """Asks the `endpoints` of a catalog entry for its `model`, each with the key in its `key_env` or `api_key_env`.

    Raises InputError for an address that is none, and, on entering, for a key that is not set.
    """

    unit: Unit = "segment"
    prompted = True

    def __init__(self, name: str, model: Model, *, revision: str | None) -> None:
        self._endpoints = [catalog.Address(url=e) if isinstance(e, str) else e for e in model.endpoints]
        for endpoint in self._endpoints:
            _check(name, endpoint.url)
        self.name = name
        self._model = model
        self._revision = revision
        self._client: ChatClient | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Model, revision, quantisation and chat template as far as known; where it runs does not count."""
        return served(self.name, self._model, self._revision)

    @property
    def capacity(self) -> int:
        """What its endpoints take; before they are asked, what they are given first."""
        return self._client.capacity if self._client else START * len(self._endpoints)

    async def __aenter__(self) -> Self:
        called = self._model.model or self._model.hub or self.name
        addresses = [
            Address(e.url, e.weight, _key(self.name, e.key_env or self._model.api_key_env)) for e in self._endpoints
        ]
        client = ChatClient(self.name, called, addresses, most=self._model.max_concurrency)
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


def _check(name: str, url: str) -> None:
    parts = urlsplit(url)
    hidden = "@" in parts.netloc or bool(parts.query or parts.fragment)
    if hidden:
        raise InputError(
            f"model {name!r}: the endpoint at {parts.hostname} has a user, password or query in its address; "
            "write the base URL alone, and put the key into the environment variable that 'key_env' names"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"model {name!r}: endpoint {url!r} is no http:// or https:// address")


def _key(name: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"model {name!r}: the environment variable {variable}, which holds its key, is not set")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"model {name!r}: what {variable} holds cannot be a key (it has other than printable ASCII)")
    return key
