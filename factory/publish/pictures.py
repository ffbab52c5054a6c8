"""Pictures of a card: how many rows are left after every step, and what the corpus is made of, as PNG."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from hala_factory.report.figures import waterfall

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT, LOST, INK = "#2a6f77", "#d9a441", "#333333"
SHOWN = 24
"""Bars of a picture; smaller ones are told together."""


def draw(manifest: dict[str, Any]) -> dict[str, bytes]:
    """Every picture of a corpus by its path; the same manifest gives the same bytes with the same matplotlib."""
    lines = [s for s in waterfall(manifest) if s["lost"] or s["step"] == "read"]
    left = [("in the sources", lines[0]["rows_in"], 0)] if lines else []
    left += [(s["step"], s["rows_out"], sum(s["lost"].values())) for s in lines]
    kept = sorted(((n, s["kept"], 0) for n, s in manifest["sources"].items()), key=lambda bar: -bar[1])
    found = {"figures/waterfall.png": _bars(_fitting(left, ordered=True), "Rows left after every step that took some")}
    if len(kept) > 1:
        found["figures/sources.png"] = _bars(_fitting(kept, ordered=False), "Rows kept, by source")
    return found


def _fitting(bars: list[tuple[str, int, int]], *, ordered: bool) -> list[tuple[str, int, int]]:
    if len(bars) <= SHOWN:
        return bars
    if not ordered:
        rest = bars[SHOWN - 1 :]
        return [*bars[: SHOWN - 1], (f"{len(rest)} others", sum(b[1] for b in rest), sum(b[2] for b in rest))]
    largest = {id(b) for b in sorted(bars, key=lambda b: -b[2])[: SHOWN - 2]} | {id(bars[0]), id(bars[-1])}
    return [b for b in bars if id(b) in largest]


def _bars(bars: list[tuple[str, int, int]], title: str) -> bytes:
    """Lying bars: what is left, and behind it what went."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.9 + 0.32 * max(1, len(bars))), dpi=144, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names, left, gone = zip(*bars, strict=True) if bars else ((), (), ())
    places = range(len(bars))
    axes.barh(places, left, color=KEPT)
    axes.barh(places, gone, left=left, color=LOST)
    widest = max((a + b for a, b in zip(left, gone, strict=True)), default=0) or 1
    for place, here, lost in zip(places, left, gone, strict=True):
        said = f"{here:,}" + (f"  (−{lost:,})" if lost else "")
        axes.text(here + lost + widest * 0.01, place, said, va="center", fontsize=8, color=INK)
    axes.set_yticks(list(places), names, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.18)
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
