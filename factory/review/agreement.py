"""Agreement: how far people who judged the same rows said the same, beyond what chance would have them say.

`counts` has a line per unit and a column per category: how many people put the unit there. Units that fewer than two
people judged tell nothing of agreement, and are left out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
RESAMPLES = 2_000
FEWEST = 10
"""Units below which an interval by resampling says nothing: our choice."""


def raw(counts: Array) -> float | None:
    """The share of pairs of people who said the same, the mean over units."""
    c = _paired(counts)
    if not len(c):
        return None
    people = c.sum(1)
    return float(((c * (c - 1)).sum(1) / (people * (people - 1))).mean())


def ac1(counts: Array) -> float | None:
    """Gwet's AC1 (2008), for any number of people and categories: it does not fall where one category is frequent."""
    agreed = raw(counts)
    if agreed is None:
        return None
    c = counts[counts.sum(1) > 0]
    share = (c / c.sum(1, keepdims=True)).mean(0)
    chance = float((share * (1 - share)).sum() / (counts.shape[1] - 1))
    return (agreed - chance) / (1 - chance)


def alpha(counts: Array, level: Level = "ordinal") -> float | None:
    """Krippendorff's alpha (2011); None where everybody said the same, of which it says nothing."""
    c = _paired(counts)
    found = _alphas(c, np.ones((1, len(c))), level)[0] if len(c) else np.nan
    return None if np.isnan(found) else float(found)


def interval(counts: Array, level: Level = "ordinal", seed: int = 0) -> tuple[float, float] | None:
    """The 95 % interval of alpha, by drawing the units again (bootstrap); None where there are too few of them."""
    c = _paired(counts)
    if len(c) < FEWEST:
        return None
    drawn = np.random.default_rng(seed).multinomial(len(c), np.full(len(c), 1 / len(c)), RESAMPLES).astype(float)
    found = _alphas(c, drawn, level)
    if np.isnan(found).mean() > 0.5:
        return None
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def _paired(counts: Array) -> Array:
    return np.asarray(counts[counts.sum(1) >= 2])


def _alphas(c: Array, weights: Array, level: Level) -> Array:
    """Alpha for every line of `weights`, which say how often each unit counts."""
    q = c.shape[1]
    people = c.sum(1)
    coincidences = (c[:, :, None] * c[:, None, :] - np.eye(q) * c[:, :, None]) / (people - 1)[:, None, None]
    observed = np.einsum("bu,uij->bij", weights, coincidences)
    margins = weights @ c
    distance = _distances(margins, level)
    total = margins.sum(1)
    pairs = margins[:, :, None] * margins[:, None, :]
    expected = (pairs * distance).sum((1, 2)) / (total - 1)
    found = (observed * distance).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 0, 1 - found / expected, np.nan))


def _distances(margins: Array, level: Level) -> Array:
    """The squared difference of any two categories."""
    q = margins.shape[1]
    place: Array = np.arange(q, dtype=np.float64)
    if level == "nominal":
        return np.asarray(np.broadcast_to(1 - np.eye(q), (len(margins), q, q)))
    if level == "interval":
        apart: Array = (place[:, None] - place[None, :]) ** 2
        return np.asarray(np.broadcast_to(apart, (len(margins), q, q)))
    middle = margins.cumsum(1) - margins / 2  # between two categories lie those between, and half of each of them
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)
