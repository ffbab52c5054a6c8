"""Samples: some of many, from all over, the same whenever they are drawn; and what they say of all."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hala_factory.cost.band import Band

CONFIDENCE = 2.0
"""Standard errors on either side of an estimate: about 95 %."""
T = TypeVar("T")


def spread(items: Sequence[T], most: int, seed: int) -> list[T]:
    """At most so many items: one by lot of each of `most` equal stretches, so that every source has its share."""
    if len(items) <= most:
        return list(items)
    lot = random.Random(seed)
    bounds = [n * len(items) // most for n in range(most + 1)]
    return [items[lot.randrange(low, high)] for low, high in itertools.pairwise(bounds)]


def from_all_over(items: Sequence[T]) -> list[T]:
    """All items, in an order in which every beginning is spread."""
    bits = max(1, (len(items) - 1).bit_length())
    order = (int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits))
    return [items[n] for n in order if n < len(items)]


def size_of(question: Any) -> int:
    """The characters of a question, which is a text or made of texts."""
    if isinstance(question, str):
        return len(question)
    if isinstance(question, list | tuple):
        return sum(map(size_of, question))
    return 0


@dataclass(frozen=True)
class Fit:
    """What a question takes by its length, from a sample of questions."""

    amount: float
    """Of a question of the sample, on average."""
    size: float
    """Characters of a question of the sample, on average."""
    slope: float
    """What a further character takes."""
    off: float
    """Standard error of `amount`, as far as the length does not explain it."""

    def of_all(self, questions: Band, size: Band) -> Band:
        """What so many questions of so many characters take.

        A regression estimate (Cochran, Sampling Techniques, chapter 7).
        """
        base = self.amount - self.slope * self.size
        expected = max(0.0, base * questions.expected + self.slope * size.expected)
        own = CONFIDENCE * self.off * questions.expected
        n, chars = questions, size
        # more rows are more questions and more characters
        below = math.hypot(own, base * (n.expected - n.low) + self.slope * (chars.expected - chars.low))
        above = math.hypot(own, base * (n.high - n.expected) + self.slope * (chars.high - chars.expected))
        return Band(expected, max(0.0, expected - below), expected + above)


def fit(amounts: Sequence[float], sizes: Sequence[float], *, whole: bool = False) -> Fit:
    """What questions take by their length; `whole`: these are all there are, and nothing is left open."""
    n = len(amounts)
    if not n:
        return Fit(0.0, 0.0, 0.0, 0.0)
    amount, size = sum(amounts) / n, sum(sizes) / n
    across = sum((s - size) ** 2 for s in sizes)
    slope = sum((s - size) * (a - amount) for a, s in zip(amounts, sizes, strict=True)) / across if across else 0.0
    slope = max(0.0, slope)
    if whole:
        return Fit(amount, size, slope, 0.0)
    left = sum((a - amount - slope * (s - size)) ** 2 for a, s in zip(amounts, sizes, strict=True))
    return Fit(amount, size, slope, math.sqrt(left / (n - 2) / n) if n > 2 else amount)
