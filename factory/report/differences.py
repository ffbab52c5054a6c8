"""The page of a comparison of two versions."""

from __future__ import annotations

from typing import Any

from hala_factory.passages import plain, turns
from hala_factory.report.page import fill

FEW = 0.1
"""PSI from which a measure is said to have moved."""


def render(told: dict[str, Any]) -> str:
    """What `diff --json` says, as one HTML page."""
    examples = []
    for e in told["examples"]:
        sides = {s: turns(e[f"text_{s}"]) if e[f"text_{s}"] else [] for s in "ab"}
        place = plain(f"{(e['origin'] or {}).get('file')}:{(e['origin'] or {}).get('position')}")
        examples.append({**e, **sides, "place": place, "detail": plain(e["detail"] or "")[:400]})
    moved = [d for d in told["drift"] if d["psi"] >= FEW]
    title = f"{told['a']['artifact']} → {told['b']['artifact']}"
    return fill("diff.html", title=title, d={**told, "examples": examples}, moved=moved)
