"""Paired bootstrap: how likely chance alone makes the difference of two sets of results on the same things.

The test is sacreBLEU's (Koehn 2004, in the form of Riezler and Maxwell 2005): differences are resampled with
replacement, and p is the share of resamples that lie as far from their mean as the difference lies from zero. Subsets
whose means are averaged are resampled each by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hala_factory.models.scores import NOISE, RESAMPLES

SEED = 12345
"""sacreBLEU's."""


@dataclass(frozen=True)
class Gain:
    """A mean difference, after less before, with what resampling says of it."""

    gain: float
    low: float
    high: float
    """Bounds of the 95 % interval."""
    p: float | None
    """None where no single result differs."""
    resamples: NDArray[np.float64]

    @property
    def noise(self) -> bool:
        """Whether the difference is within what other things of the same kind could have shown."""
        return self.p is None or self.p > NOISE

    def told(self) -> dict[str, Any]:
        """The gain for a manifest, in points of 100."""
        shown = {"gain": self.gain, "low": self.low, "high": self.high}
        return {**{k: round(100 * v, 4) for k, v in shown.items()}, "p": self.p, "noise": self.noise}


def gain(differences: Sequence[Sequence[float]], seed: int = SEED) -> Gain:
    """The mean over subsets of the mean of their paired differences."""
    generator = np.random.default_rng(seed)
    drawn = [_resampled(np.asarray(each, dtype=np.float64), generator) for each in differences]
    mean = float(np.mean([np.mean(each) for each in differences]))
    return _tested(mean, np.mean(drawn, axis=0), equal=not any(any(each) for each in differences))


def mean(gains: Sequence[Gain]) -> Gain:
    """The mean of independent gains."""
    middle = float(np.mean([each.gain for each in gains]))
    drawn = np.mean([each.resamples for each in gains], axis=0)
    return _tested(middle, drawn, equal=all(each.p is None for each in gains))


def _resampled(differences: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Means of samples with replacement: how often each value is drawn is all that counts."""
    values, counts = np.unique(differences, return_counts=True)
    drawn = generator.multinomial(len(differences), counts / len(differences), size=RESAMPLES)
    return np.asarray(drawn @ values / len(differences))


def _tested(found: float, resamples: NDArray[np.float64], *, equal: bool) -> Gain:
    low, high = (float(bound) for bound in np.quantile(resamples, (0.025, 0.975)))
    if equal:
        return Gain(found, low, high, None, resamples)
    far = np.abs(resamples - resamples.mean()) >= abs(found) - 1e-12
    return Gain(found, low, high, round((int(far.sum()) + 1) / (len(resamples) + 1), 4), resamples)
