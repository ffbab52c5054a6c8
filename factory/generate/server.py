"""One server process that we started: its port, its log, its beginning and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from hala_factory.environments import tail
from hala_factory.errors import BuildError
from hala_factory.generate import keeper

READY = 1_800.0
"""Seconds until a server must be ready: large weights have to be fetched and loaded first."""
_LOOK = 0.25


class Server:
    """A server behind a keeper, so that neither it nor what it starts outlives us.

    `command` makes the command line for a port. Its output goes to `log`.
    """

    def __init__(
        self, called: str, command: Callable[[int], list[str]], env: dict[str, str], log: Path, ready: float = READY
    ) -> None:
        self.called = called
        self.log = log
        self.port = 0
        self.pid = 0
        self._command = command
        self._env = env
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    @property
    def root(self) -> str:
        """Where it tells how it fares."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.root}/v1"

    async def start(self) -> None:
        """Start it on a free port and wait until it answers. Raises BuildError with the log's end if it does not."""
        self.port = _free_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = self._command(self.port)
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = self._process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-I", str(Path(keeper.__file__).resolve()), str(os.getpid()), *command],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._env,
                start_new_session=True,
            )
        try:
            assert process.stdout is not None
            self.pid = int(await process.stdout.readline() or b"0")
            await self._until_ready(process)
        except BaseException:
            await self.stop()
            raise

    async def gone(self) -> None:
        """Return when the process has ended."""
        assert self._process is not None
        await self._process.wait()
        self._kill_group()

    async def stop(self) -> None:
        """End it, and wait until everything it started is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.5 * keeper.GRACE):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        self._kill_group()

    def note(self, line: str) -> None:
        """Put a line of ours into its log."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"# {line}\n")

    def told(self, what: str) -> str:
        """An error about the server, with the end of its log."""
        return f"the vllm server of {self.called!r} {what}; {self.log} ends with:\n{tail(self.log)}"

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + self._ready
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while time.monotonic() < deadline:
                if process.returncode is not None:
                    raise BuildError(self.told("ended before it was ready"))
                with contextlib.suppress(httpx.HTTPError, ValueError, LookupError, TypeError):
                    health = await client.get(f"{self.root}/health")
                    served = (await client.get(f"{self.url}/models")).json()["data"]
                    if health.status_code == 200 and any(m["id"] == self.called for m in served):
                        return
                await asyncio.sleep(_LOOK)
        raise BuildError(self.told(f"was not ready after {self._ready:.0f} s"))

    def _kill_group(self) -> None:
        """Only where the keeper itself was killed is there still anybody to be found."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.pid = 0


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
