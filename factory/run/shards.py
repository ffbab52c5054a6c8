"""Shards: one stage's independent tasks, run by datatrove's executor; our records say which are to do.

datatrove's own completion markers know nothing of configuration or data, so they live in a folder that is
thrown away, and a task's success is judged by the record it leaves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any


def run_shards(work: Callable[[int], None], shards: Sequence[int], workers: int) -> None:
    """Do `work(shard)` for every shard, at most `workers` at a time; the first error ends the run."""
    if not shards:
        return
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.utils.logging import logger

    logger.disable("datatrove")
    with tempfile.TemporaryDirectory(prefix="hala-factory-") as logs:
        _executor(LocalPipelineExecutor)(
            pipeline=[Task(work, list(shards))],
            tasks=len(shards),
            workers=min(workers, len(shards)),
            logging_dir=logs,
            skip_completed=False,
        ).run()


class Task:
    """A pipeline of one block: the work on the shard that a rank stands for."""

    def __init__(self, work: Callable[[int], None], shards: list[int]) -> None:
        self.work, self.shards = work, shards

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Do the shard of this rank."""
        self.work(self.shards[rank])


def _executor(base: type[Any]) -> type[Any]:
    class Quiet(base):  # type: ignore[misc]
        def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
            from datatrove.utils.logging import logger

            logger.disable("datatrove")  # workers are processes of their own
            return super()._run_for_rank(rank, local_rank, node_rank)

    return Quiet
