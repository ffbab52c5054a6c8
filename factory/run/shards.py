"""Shards: one stage's independent tasks, run by datatrove's executor; our records say which are to do.

The model:
- datatrove's completion markers know nothing of configuration or data, so they live in a folder that is
  thrown away, and a task's success is judged by the record it leaves.
- Its ranks run in a pool of ours, one for all stages: its own starts anew for each, hangs when a worker is
  killed, and forks a manager process that inherits our locks and outlives us.
- Workers die with the process that started them; one worker alone is that process itself.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from hala_factory.errors import BuildError
from hala_factory.run.process import settle


class Crew:
    """Up to `workers` processes, started when they are first needed and kept for the whole build."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def warm(self) -> None:
        """Start the workers now: while this process reads a source they import what they will need."""
        if self.workers > 1:
            for _ in range(self.workers):
                self._started().submit(prepare)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")  # polars runs threads: a plain fork would hang
            self._pool = ProcessPoolExecutor(self.workers, context, join, (os.getpid(),))
        return self._pool

    def run(self, work: Callable[[int], None], shards: Sequence[int], *, small: bool = False) -> None:
        """Do `work(shard)` for every shard; the first error ends the run. What is `small` is done right here.

        Raises BuildError when a worker was killed (by a machine that is out of memory, or by a person).
        """
        if small or self.workers == 1 or len(shards) <= 1:
            for shard in shards:
                work(shard)
            return
        import dill  # what datatrove itself sends its pipelines with
        from datatrove.executor.local import LocalPipelineExecutor

        with tempfile.TemporaryDirectory(prefix="hala-factory-") as logs:
            executor = LocalPipelineExecutor(
                pipeline=[Task(work, list(shards))], tasks=len(shards), logging_dir=logs, skip_completed=False
            )
            self._launch(dill.dumps(executor), len(shards))

    def _launch(self, executor: bytes, ranks: int) -> None:
        pool = self._started()
        running: list[Future[None]] = []
        try:
            for rank in range(ranks):
                running.append(pool.submit(run_rank, executor, rank))
            for done in as_completed(running):
                done.result()
        except BrokenProcessPool:
            raise BuildError(
                "a worker process died; unless a reason stands above, the machine is probably out of memory: "
                "run the same command again, with fewer --workers"
            ) from None
        finally:
            for future in running:
                future.cancel()
            wait(running)  # none may write to `logs` or the stage when we have left


class Task:
    """A pipeline of one block: the work on the shard that a rank stands for."""

    def __init__(self, work: Callable[[int], None], shards: list[int]) -> None:
        self.work, self.shards = work, shards

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Do the shard of this rank."""
        self.work(self.shards[rank])


def prepare() -> None:
    """Import what a rank needs, in a worker."""
    for module in ("hala_factory.run.passing", "dill", "datatrove.executor.local"):
        importlib.import_module(module)


def run_rank(told: bytes, rank: int) -> None:
    """Run one rank of an executor, in a worker."""
    import dill
    from datatrove.utils.logging import logger

    logger.disable("datatrove")  # workers are processes of their own
    dill.loads(told)._run_for_rank(rank)


def join(parent: int) -> None:
    """Make this process a worker: it ends as soon as `parent` has, and leaves Ctrl-C to it."""
    settle()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    try:
        if hasattr(os, "pidfd_open"):
            select.select([os.pidfd_open(parent)], [], [])
        else:  # not Linux
            while True:
                os.kill(parent, 0)
                time.sleep(1)
    except ProcessLookupError:
        pass
    os._exit(1)
