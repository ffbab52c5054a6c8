"""Histograms: bins, and their drawing as a small SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

BINS = 30
FAR = 1.0
"""Bounds farther from the values than the values from each other are told, not drawn."""
WIDTH, HEIGHT = 300, 84
"""Units of the drawing; the page stretches it."""


Bound = tuple[str, float]
"""A sign and a number: rows whose measure stands so to it are dropped."""


def histogram(
    kept: npt.NDArray[np.float64], lost: npt.NDArray[np.float64], bounds: Sequence[Bound] = ()
) -> dict[str, Any]:
    """Counts of two groups over the same bins; values far out are counted in the first or last bin.

    The range is that of 99 % of all values, widened to hold the `bounds` unless these lie far away (`lines` has those
    that are drawn, with where they stand in per cent). Whole numbers of a small range have a bin each.
    """
    every = np.concatenate([kept, lost])
    low, high = np.quantile(every, [0.005, 0.995])
    whole = bool(np.all(every == np.round(every)))
    near = [b for _, b in bounds if low - FAR * (high - low or 1) <= b <= high + FAR * (high - low or 1)]
    low, high = min([low, *near]), max([high, *near])
    if whole and high - low < BINS:
        edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
        half = 0.5
    else:
        half = 0.0
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    inside = [np.clip(group, edges[0], edges[-1]) for group in (kept, lost)]
    counts = [np.histogram(group, edges)[0].tolist() for group in inside]
    lines = []
    for sign, bound in dict.fromkeys(bounds):
        if bound in near:
            edge = bound + (half if sign in (">", "<=") else -half)
            at = 100 * (edge - edges[0]) / (edges[-1] - edges[0])
            lines.append({"value": bound, "at": round(float(min(100, max(0, at))), 2)})
    return {
        "low": float(edges[0] + half),
        "high": float(edges[-1] - half),
        "lines": lines,
        "kept": counts[0],
        "lost": counts[1],
        "cut": [bool((every < edges[0]).any()), bool((every > edges[-1]).any())],
    }


def draw(told: dict[str, Any], label: str) -> Markup:
    """The drawing: one shape per group, a dashed line at each of its `lines`; `label` is read out."""
    kept, lost = told["kept"], told["lost"]
    top = max(k + x for k, x in zip(kept, lost, strict=True)) or 1
    step = WIDTH / len(kept)
    shapes = {"kept": "", "lost": ""}
    for number, (k, x) in enumerate(zip(kept, lost, strict=True)):
        base = HEIGHT
        for name, count in (("kept", k), ("lost", x)):
            tall = max(1.5, count / top * (HEIGHT - 6)) if count else 0
            if tall:
                left, wide = number * step + step * 0.06, step * 0.88
                shapes[name] += f"M{left:.1f} {base:.1f}h{wide:.1f}v{-tall:.1f}h{-wide:.1f}z"
                base -= tall
    lines = "".join(f"M{b['at'] * WIDTH / 100:.1f} 0V{HEIGHT}" for b in told["lines"])
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="kept" d="{}"/><path class="lost" d="{}"/><path class="bound" d="{}"/></svg>'
    ).format(WIDTH, HEIGHT, label, shapes["kept"], shapes["lost"], lines)
