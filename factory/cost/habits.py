"""Habits of a model: how many tokens its stored answers took and gave, by the length of what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hala_factory.cost.sampling import from_all_over
from hala_factory.generate import segments

LOOKED_AT = 2_048
"""Stored answers that are looked at, at most; some milliseconds' worth."""
ENOUGH = 20
"""Answers to requests of one kind from which on a habit is spoken of."""
HEAD = 40
"""Characters at the beginning of a prompt that tell one step's requests from another's."""


@dataclass(frozen=True)
class Line:
    """Tokens as a straight line over characters: what a template adds, and what a character takes."""

    base: float
    slope: float

    def at(self, chars: float) -> float:
        """Tokens for so many characters."""
        return max(0.0, self.base + self.slope * chars)


@dataclass(frozen=True)
class Habit:
    """How a model takes and answers requests of one kind."""

    prompt: Line
    output: Line
    answers: int
    """How many stored answers say so."""


@dataclass(frozen=True)
class Habits:
    """What stored answers of a model say about others."""

    heads: tuple[str, ...] = ()
    kinds: tuple[tuple[int, bool], ...] = ()
    """`max_tokens`, and whether there was a schema."""
    numbers: npt.NDArray[np.float64] | None = None
    """Characters of the messages, prompt tokens, output tokens: a line for each answer."""

    def of(self, messages: Sequence[tuple[str, str]], max_tokens: int, schema: bool) -> Habit | None:
        """The habit for requests like this one: of the same kind, and best with the same beginning."""
        if self.numbers is None or not messages:
            return None
        alike = np.array([kind == (max_tokens, schema) for kind in self.kinds], bool)
        same = alike & np.array([head == messages[-1][1][:HEAD] for head in self.heads], bool)
        for chosen in (same, alike):
            if chosen.sum() >= ENOUGH:
                chars, prompt, output = self.numbers[chosen].T
                return Habit(_line(chars, prompt), _line(chars, output), int(chosen.sum()))
        return None


def habits(folder: Path) -> Habits:
    """The habits that the segments in a model's folder show; none where nothing is stored."""
    if not folder.exists():
        return Habits()
    heads, kinds, numbers = [], [], []
    for path, group in _groups(folder):
        with segments.opened(path) as file:
            columns = ["messages", "max_tokens", "prompt_tokens", "output_tokens", "finish_reason"]
            columns += ["schema"] if "schema" in file.schema_arrow.names else []
            table = file.read_row_group(group, columns=columns, use_threads=False)
        for row in table.to_pylist():
            if row["finish_reason"] in ("stop", "length") and row["messages"]:
                heads.append(row["messages"][-1]["content"][:HEAD])
                kinds.append((row["max_tokens"], row.get("schema") is not None))
                chars = sum(len(m["content"]) for m in row["messages"])
                numbers.append((chars, row["prompt_tokens"], row["output_tokens"]))
    return Habits(tuple(heads), tuple(kinds), np.array(numbers, float)) if numbers else Habits()


def _groups(folder: Path) -> list[tuple[Path, int]]:
    """Row groups from all over the segments of a folder."""
    found = []
    for path in segments.standing(folder):
        with segments.named(path):
            found += [(path, group) for group in range(pq.read_metadata(path).num_row_groups)]
    return from_all_over(found)[: LOOKED_AT // segments.GROUP_ROWS] if found else []


def _line(chars: npt.NDArray[np.float64], tokens: npt.NDArray[np.float64]) -> Line:
    """The line of least squares, through the point of both means; by proportion where it would fall."""
    across = float(((chars - chars.mean()) ** 2).sum())
    slope = float(((chars - chars.mean()) * (tokens - tokens.mean())).sum()) / across if across else 0.0
    base = float(tokens.mean() - slope * chars.mean())
    if slope <= 0 or base < 0:
        return Line(0.0, float(tokens.sum() / max(1.0, chars.sum())))
    return Line(base, slope)
