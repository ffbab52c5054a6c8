"""Engines that answer later: requests are written to files in a folder, answers are read from files beside them.

The model:
- A request that is not answered yet is written once, and its question is put off (`Deferred`), not failed. A build
  that put questions off ends when it has asked all it can, so that one round of files holds as much as possible.
- A file of requests takes its name when it is whole; what it holds is waited for, by this build and later ones.
- One build at a time uses a folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from hala_factory.errors import BuildError
from hala_factory.generate.answers import Answer, Request
from hala_factory.generate.engines import Deferred
from hala_factory.store import sweep, sync, written

TURNS = 200
"""Turns of the event loop without a new request after which none is to come: an answer that is stored passes
through a whole ladder of retries in fewer."""


class OfflineEngine(ABC):
    """What such engines share: the folder, its lock, and the patience to collect all requests of a round."""

    capacity = 1
    """None is worked on now; all are written."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._lock: int | None = None
        self._asked = 0
        self._settling: asyncio.Task[None] | None = None

    @abstractmethod
    def load(self) -> None:
        """Read what was requested and answered so far."""

    @abstractmethod
    def look(self, request: Request) -> Answer | None:
        """The answer, if it has come; else the request is among those that are waited for."""

    @abstractmethod
    def publish(self) -> None:
        """Let the file of new requests take its name."""

    @abstractmethod
    def told(self) -> str:
        """What is waited for, and what to do."""

    async def __aenter__(self) -> Self:
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep(self.folder)
            self.load()
        except BaseException as e:
            self._release()
            if isinstance(e, BlockingIOError):
                raise BuildError(
                    f"model {self.name!r}: another build is writing requests in {self.folder}; run again after it"
                ) from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._settling:
                self._settling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._settling
            self.publish()
        finally:
            self._release()

    async def answer(self, request: Request) -> Answer:
        """The answer that has come. Raises Deferred where none has, when nothing more is asked for the moment."""
        found = self.look(request)
        if found is not None:
            return found
        self._asked += 1
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle())
        await asyncio.shield(self._settling)
        raise Deferred(self)

    async def hold(self, error: BuildError) -> None:  # noqa: B027 (every such engine has nothing to do here)
        """Nothing is sent from here."""

    async def _settle(self) -> None:
        """Wait until no more requests come: a text that is put off takes the others of its row with it."""
        asked = -1
        while asked != self._asked:
            asked = self._asked
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Outbox:
    """New requests of a round, in numbered files `requests-<n>.<suffix>` of bounded size."""

    def __init__(self, folder: Path, suffix: str, *, head: bytes = b"", max_requests: int, max_bytes: int) -> None:
        self.folder = folder
        self.suffix = suffix
        self.head = head
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.files: list[Path] = []
        """Those that were published."""
        self._open: IO[bytes] | None = None
        self._requests = self._bytes = 0

    def add(self, line: bytes) -> None:
        """Write one request. Raises BuildError for a full disk."""
        if self._open and (self._requests >= self.max_requests or self._bytes + len(line) > self.max_bytes):
            self.publish()
        with written(self.folder):
            if self._open is None:
                self._open = (self.folder / f".tmp-requests{self.suffix}").open("wb")
                self._requests, self._bytes = 0, self._open.write(self.head)
            self._open.write(line)
        self._requests, self._bytes = self._requests + 1, self._bytes + len(line)

    def publish(self) -> None:
        """Give the file that is open its name."""
        if self._open is None:
            return
        file, self._open = self._open, None
        path = self.folder / f"requests-{self._last() + 1:05d}{self.suffix}"
        with written(path):
            file.close()
            sync(Path(file.name))
            Path(file.name).rename(path)
            sync(self.folder)
        self.files.append(path)

    def _last(self) -> int:
        numbers = (re.fullmatch(r"requests-(\d+)", p.stem) for p in self.folder.glob("requests-*"))
        return max((int(n[1]) for n in numbers if n), default=0)
