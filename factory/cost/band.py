"""A band: a number that is not known exactly, and between which bounds it probably lies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Band:
    """What is expected, and the bounds of about 95 %."""

    expected: float
    low: float
    high: float

    @classmethod
    def exact(cls, number: float) -> Self:
        """A number that is known."""
        return cls(number, number, number)

    @classmethod
    def around(cls, number: float, share: float) -> Self:
        """A number that is known up to a share of itself."""
        return cls(number, max(0.0, number * (1 - share)), number * (1 + share))

    def times(self, other: Band | float) -> Band:
        """The product; relative errors that have nothing to do with each other add up by their squares."""
        if not isinstance(other, Band):
            return Band(self.expected * other, self.low * other, self.high * other)
        expected = self.expected * other.expected
        below = math.hypot(self._below, other._below)
        above = math.hypot(self._above, other._above)
        return Band(expected, max(0.0, expected * (1 - below)), expected * (1 + above))

    def over(self, other: Band) -> Band:
        """The quotient; `other` is above 0."""
        return self.times(Band(1 / other.expected, 1 / other.high, 1 / max(other.low, 1e-9 * other.expected)))

    @property
    def _below(self) -> float:
        return (self.expected - self.low) / self.expected if self.expected else 0.0

    @property
    def _above(self) -> float:
        return (self.high - self.expected) / self.expected if self.expected else 0.0

    def told(self, digits: int = 0) -> dict[str, float]:
        """The band for `--json`; whole numbers unless `digits` are asked for."""
        numbers = {"expected": self.expected, "low": self.low, "high": self.high}
        return {word: round(number, digits) if digits else round(number) for word, number in numbers.items()}


def total(bands: Iterable[Band]) -> Band:
    """The sum of bands whose errors may go the same way."""
    summed = Band.exact(0)
    for band in bands:
        summed = Band(summed.expected + band.expected, summed.low + band.low, summed.high + band.high)
    return summed
