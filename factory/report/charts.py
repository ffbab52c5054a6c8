"""Histograms: bins, and their drawing as a small SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

BINS = 30
WIDTH, HEIGHT = 300, 84
"""Units of the drawing; the page stretches it."""


def histogram(kept: npt.NDArray[np.float64], lost: npt.NDArray[np.float64], bounds: Sequence[float]) -> dict[str, Any]:
    """Counts of two groups over the same bins; values far out are counted in the first or last bin.

    The range is that of 99 % of all values, widened to hold the `bounds`.
    """
    every = np.concatenate([kept, lost])
    low, high = np.quantile(every, [0.005, 0.995])
    whole = bool(np.all(every == np.round(every)))
    low, high = min([low, *bounds]), max([high, *bounds])
    if whole and high - low < BINS:
        edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    inside = [np.clip(group, edges[0], edges[-1]) for group in (kept, lost)]
    counts = [np.histogram(group, edges)[0].tolist() for group in inside]
    return {
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "kept": counts[0],
        "lost": counts[1],
        "cut": [bool((every < edges[0]).any()), bool((every > edges[-1]).any())],
    }


def draw(told: dict[str, Any], bounds: Sequence[float], label: str) -> Markup:
    """The drawing: one shape per group, a dashed line at each bound; `label` is read out."""
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
    lines = "".join(f"M{place(told, b) * WIDTH / 100:.1f} 0V{HEIGHT}" for b in bounds)
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="kept" d="{}"/><path class="lost" d="{}"/><path class="bound" d="{}"/></svg>'
    ).format(WIDTH, HEIGHT, label, shapes["kept"], shapes["lost"], lines)


def place(told: dict[str, Any], value: float) -> float:
    """Where a value stands between the ends, in per cent."""
    return round(100 * (value - told["low"]) / (told["high"] - told["low"]), 2)
