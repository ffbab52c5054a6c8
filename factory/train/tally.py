"""What the lint has found so far: counts, and ids of a few rows each."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any

EXAMPLES = 5
"""Ids kept of each finding."""


class Tally:
    """What was found so far."""

    def __init__(self) -> None:
        """Nothing."""
        self.rows = 0
        self.findings: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.messages: dict[str, str] = {}
        self.special: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.sums: Counter[str] = Counter()
        self.languages: dict[str, Counter[str]] = {}

    def find(self, word: str, row: dict[str, Any], message: str = "") -> None:
        """One more row of which something is to be said."""
        self.findings[word] += 1
        if len(seen := self.examples.setdefault(word, [])) < EXAMPLES:
            seen.append(str(row["id"]))
        if message:
            self.messages.setdefault(word, message)

    def told(self, max_length: int | None) -> dict[str, Any]:
        """All of it, for `made.json`."""
        return {
            "rows": self.rows,
            "max_length": max_length,
            "findings": {
                word: {"rows": n, "examples": self.examples[word], "message": self.messages.get(word, "")}
                for word, n in sorted(self.findings.items())
            },
            "special": dict(self.special.most_common(20)),
            "tokens": {word: self.sums[word] for word in ("total", "trained", "cut", "unknown")},
            "lengths": percentiles(self.lengths),
            "languages": {name: dict(counts) for name, counts in sorted(self.languages.items())},
        }


def percentiles(lengths: Counter[int]) -> dict[str, int]:
    """Lengths that so many per cent of rows do not exceed."""
    ordered = sorted(lengths)
    reached = list(accumulate(lengths[n] for n in ordered))
    found = {}
    for percent in (1, 10, 50, 90, 95, 99, 100):
        wanted = -(-percent * (reached[-1] if reached else 0) // 100)
        found[f"p{percent}"] = next((n for n, upto in zip(ordered, reached, strict=True) if upto >= wanted), 0)
    return found
