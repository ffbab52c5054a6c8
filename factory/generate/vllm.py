"""The engine `vllm`: servers that we start, watch, start again and stop, in the vllm tool environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate import checkpoint as checkpoints
from hala_factory.generate import pulse
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.generate.circuit import Endpoint
from hala_factory.generate.client import ATTEMPTS, ChatClient
from hala_factory.generate.gpus import gpus
from hala_factory.generate.memory import resident, weights_on_gpu
from hala_factory.generate.server import READY, Server
from hala_factory.generate.tools import find_vllm

CPU_START, GPU_START = 64, 256
"""Requests under way at a server of ours, at first: near the top of small models on a CPU, and what vLLM batches at
least on a GPU; on a server of its own nobody else is crowded out."""
UNREADY = 3
"""Times in a row that a server may end before it is ready."""
FRUITLESS = 2 * ATTEMPTS
"""Times in a row that it may end before it has answered: a text that crashes it has used up its attempts by then."""
RESTARTS = 100
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0

EXECUTION = {
    "--api-server-count",
    "--block-size",
    "--data-parallel-size",
    "--disable-log-stats",
    "--download-dir",
    "--enable-chunked-prefill",
    "--enable-prefix-caching",
    "--gpu-memory-utilization",
    "--max-model-len",
    "--max-num-batched-tokens",
    "--max-num-seqs",
    "--no-enable-prefix-caching",
    "--pipeline-parallel-size",
    "--swap-space",
    "--tensor-parallel-size",
}
"""Arguments that say how a model is run, not what it answers: they are no part of its identity."""


class VllmEngine:
    """Serves a checkpoint folder or a hub id with vLLM: one server per GPU or tensor-parallel group, or on the CPU.

    A server that dies or hangs is started again and the requests go on. Raises InputError where there is no vllm
    environment, BuildError with the end of the log where no server stays up.
    """

    unit: Unit = "segment"
    prompted = True

    def __init__(
        self,
        name: str,
        model: Model,
        checkpoint: Path | str,
        *,
        revision: str | None,
        logs: Path,
        digests: Callable[[Path], str],
        ready: float = READY,
    ) -> None:
        self.name = name
        self.logs = logs
        self._model = model
        self._checkpoint = checkpoint
        self._revision = revision
        self._digests = digests
        self._ready = ready
        self._servers: list[Server] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._client: ChatClient | None = None
        self._given_up = 0

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The checkpoint, its quantisation, and those arguments of the server that decide answers.

        Of a file that they name (a chat template), its content counts.
        """
        of = checkpoints.identity(self.name, self._checkpoint, self._revision, self._digests)
        serve = [_by_content(argument, self._digests) for argument in deciding(self._model.serve)]
        return {**of, "quantisation": self._model.quantisation, **({"serve": serve} if serve else {})}

    @property
    def capacity(self) -> int:
        """What its servers take; before they are started, what one is given first."""
        return self._client.capacity if self._client else CPU_START

    async def __aenter__(self) -> Self:
        python = find_vllm()
        if python is None or not python.exists():
            what = f"{python} is not there" if python else "there is no vllm environment on this machine"
            raise InputError(f"model {self.name!r}: {what}; run: hala-factory tools install vllm")
        if isinstance(self._checkpoint, Path):
            _ = self.identity  # a folder without a checkpoint is told before anything starts
        cards = gpus()
        self._servers = [self._server(python, group, n) for n, group in enumerate(self._groups(cards))]
        try:
            await asyncio.gather(*(s.start() for s in self._servers))
        except BaseException:
            await self._stop()
            raise
        self._client = ChatClient(
            self.name,
            self.name,
            [s.url for s in self._servers],
            start=GPU_START if cards else CPU_START,
            most=self._model.max_concurrency,
        )
        await self._client.__aenter__()
        pairs = zip(self._servers, self._client.endpoints, strict=True)
        self._keeping = [asyncio.create_task(self._keep(s, e, self._client)) for s, e in pairs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        if self._client:
            await self._client.__aexit__(kind, error, trace)
        await self._stop()

    async def answer(self, request: Request) -> Answer:
        """The answer of the least busy server."""
        assert self._client is not None, "use the engine as an asynchronous context manager"
        return await self._client.answer(request)

    async def hold(self, error: BuildError) -> None:
        """Have what waits to be sent, and what comes later, raise `error`."""
        if self._client:
            await self._client.fail(error)

    def memory(self) -> tuple[int, int | None]:
        """Bytes that all servers hold now, and what the weights of one took on its GPUs (None on the CPU)."""
        held = sum(resident(server.pid) for server in self._servers)
        return held, weights_on_gpu(self._servers[0].log)

    async def _stop(self) -> None:
        await asyncio.gather(*(s.stop() for s in self._servers))
        self._servers = []

    async def _keep(self, server: Server, endpoint: Endpoint, client: ChatClient) -> None:
        """Start the server again whenever it ends or hangs, until it is of no use any more."""
        fruitless = 0
        for _ in range(RESTARTS):
            before = client.successes
            await self._lost(server, endpoint)
            endpoint.held = True
            await server.stop()
            fruitless = 0 if client.successes > before else fruitless + 1
            if fruitless > FRUITLESS or not await self._again(server, fruitless):
                break
            endpoint.url = server.url
            endpoint.revive()
            endpoint.tripped = True  # one request at a time, until it is known that none of them kills it
            endpoint.held = False
            await client.wake()
        self._given_up += 1
        if self._given_up == len(self._servers):
            told = server.told("ended or hung again and again")
            await client.fail(
                BuildError(f"{told}\nevery answer so far is stored, run the same command again to go on")
            )

    async def _lost(self, server: Server, endpoint: Endpoint) -> None:
        """Return when the server has ended, or lives and works no more."""
        ended = asyncio.create_task(server.gone())
        hung = asyncio.create_task(pulse.lost(server.root, lambda: endpoint.busy > 0))
        try:
            await asyncio.wait({ended, hung}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                server.note(f"no sign of life for {pulse.PATIENCE:g} s: it is ended and started again")
        finally:
            for task in (ended, hung):
                task.cancel()
            await asyncio.gather(ended, hung, return_exceptions=True)

    async def _again(self, server: Server, fruitless: int) -> bool:
        """Whether the server could be started again."""
        for failed in range(UNREADY):
            await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (fruitless + failed)))
            with contextlib.suppress(BuildError):
                await server.start()
                return True
        return False

    def _groups(self, cards: list[str]) -> list[list[str]]:
        """The GPUs of each server; one server without any where there are none."""
        if not cards:
            return [[]]
        size = int(_value(self._model.serve, "--tensor-parallel-size") or 1)
        size *= int(_value(self._model.serve, "--pipeline-parallel-size") or 1)
        if size > len(cards):
            raise InputError(f"model {self.name!r}: 'serve' wants {size} GPUs, this machine has {len(cards)}")
        return [cards[i : i + size] for i in range(0, len(cards) - size + 1, size)]

    def _server(self, python: Path, cards: list[str], number: int) -> Server:
        log = self.logs / f"vllm-{self.name}-{os.getpid()}-{number}.log"
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
        if isinstance(self._checkpoint, Path):
            env |= {"HF_HUB_OFFLINE": "1"}
        if cards:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(cards)
        else:
            env.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GB; the default takes half of the memory
        return Server(self.name, lambda port: self._command(python, port, bool(cards)), env, log, self._ready)

    def _command(self, python: Path, port: int, gpu: bool) -> list[str]:
        chosen = {
            "--model": str(self._checkpoint),
            "--served-model-name": self.name,
            "--host": "127.0.0.1",
            "--port": str(port),
            # a model that may put white space between the parts of JSON can do so until its tokens are spent
            "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
            "--max-model-len": str(self._model.context),
        }
        if self._revision and isinstance(self._checkpoint, str):
            chosen |= {"--revision": self._revision, "--tokenizer-revision": self._revision}
        if not gpu:
            # bfloat16 answers differ from those of other machines; the default block of 128 tokens makes no
            # use of a short prompt that all requests share
            chosen |= {"--dtype": "float32", "--block-size": "32"}
        ours = [
            part for flag, value in chosen.items() if not _given(self._model.serve, flag) for part in (flag, value)
        ]
        return [str(python), "-m", "vllm.entrypoints.openai.api_server", *ours, *self._model.serve]


def deciding(serve: list[str]) -> list[str]:
    """The arguments that decide answers, sorted, each with its value."""
    arguments: list[str] = []
    for part in serve:
        if part.startswith("-") or not arguments:
            arguments.append(part)
        else:
            arguments[-1] += f"={part}"
    return sorted(a for a in arguments if a.partition("=")[0] not in EXECUTION)


def _by_content(argument: str, digests: Callable[[Path], str]) -> str:
    flag, _, value = argument.partition("=")
    return f"{flag}=sha256:{digests(Path(value))}" if value and Path(value).is_file() else argument


def _given(serve: list[str], flag: str) -> bool:
    return any(part == flag or part.startswith(f"{flag}=") for part in serve)


def _value(serve: list[str], flag: str) -> str | None:
    for n, part in enumerate(serve):
        if part == flag and n + 1 < len(serve):
            return serve[n + 1]
        if part.startswith(f"{flag}="):
            return part.partition("=")[2]
    return None
