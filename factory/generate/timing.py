"""Timing: how long an engine was at work, and how fast it was the last time, kept beside its answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from hala_factory.store import read_json, write_json

FILE = "speed.json"
"""In the folder of a model's answers."""
ENOUGH_ANSWERS = 100
"""Answers from which on a speed counts; a slower start and an empty queue at the end weigh little then."""


class Stopwatch:
    """Runs as long as anything is under way: `with` it around each, however many there are at a time."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._under_way = 0
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """Seconds in which something was under way, until now."""
        return self._seconds + (time.monotonic() - self._since if self._under_way else 0.0)

    def __enter__(self) -> None:
        if not self._under_way:
            self._since = time.monotonic()
        self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._seconds += time.monotonic() - self._since


@dataclass(frozen=True)
class Speed:
    """How fast a model was."""

    output_per_second: float
    """Output tokens a second over all that served it, while it read prompts of the same requests."""
    gpus: int
    """GPUs that served it; 0: none of this machine."""
    answers: int
    on: str
    """The day, as 2026-11-21."""


def note_speed(folder: Path, *, answers: int, output_tokens: int, seconds: float, gpus: int) -> None:
    """Keep a speed in a model's folder; one over few answers does not take the place of one over more."""
    known = speed(folder)
    if seconds <= 0 or not output_tokens or (known and answers < min(ENOUGH_ANSWERS, known.answers)):
        return
    said = {"output_tokens": output_tokens, "seconds": seconds, "answers": answers, "gpus": gpus}
    write_json(folder / FILE, {**said, "on": datetime.now(UTC).date().isoformat()})


def speed(folder: Path) -> Speed | None:
    """How fast the model in a folder was the last time, if it is known."""
    said = read_json(folder / FILE)
    if said is None:
        return None
    return Speed(said["output_tokens"] / said["seconds"], said["gpus"], said["answers"], said["on"])
