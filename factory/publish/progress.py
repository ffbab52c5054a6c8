"""A bar of bytes on stderr, on a terminal only."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class Sending:
    """Shows how much of a version has crossed the network; the clients' own bars are off meanwhile."""

    def __init__(self, called: str, total: int) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task(called, total=total)

    def advance(self, count: int) -> None:
        """So many bytes more."""
        self._bar.advance(self._task, count)

    def __enter__(self) -> Sending:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
