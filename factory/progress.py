"""Progress on stderr: a bar per running stage of a build and a line when it ends; a bar of what is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as RichTask
from rich.text import Text

from hala_factory.plan import Stage


class _Rate(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        """Rows per second."""
        return Text(f"{task.speed or 0:,.0f} rows/s")


class Bars:
    """A `Watcher` that draws."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begins(self, stage: Stage, rows: int | None) -> None:
        """A new bar."""
        self.tasks[stage.name] = self.progress.add_task(stage.name, total=rows)

    def advances(self, stage: Stage, rows: int) -> None:
        """Move a bar."""
        self.progress.update(self.tasks[stage.name], completed=rows)

    def ends(self, stage: Stage, told: dict[str, Any]) -> None:
        """Replace a bar by one line."""
        if stage.name in self.tasks:
            self.progress.remove_task(self.tasks.pop(stage.name))
        rate = f"{told['rows_in'] / told['seconds']:,.0f} rows/s" if told["seconds"] else ""
        took = f"{told['seconds']:.1f} s" if told["status"] == "run" else "stored"
        line = f"{told['name']:<40} {told['rows_in']:>10,} → {told['rows_out']:>10,}  {took:>9}  {rate}"
        self.console.print(line.rstrip(), markup=False, soft_wrap=True)


@contextmanager
def counting(called: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, on a terminal only; what it gives is told how many of how many are done."""
    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(called, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
