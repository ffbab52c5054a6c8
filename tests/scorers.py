"""Functions that stand in for a learned score of translations, in a module that imports no test."""

from __future__ import annotations


def likeness(sources: list[str], targets: list[str]) -> list[float]:
    """The shorter text's share of the longer one's length."""
    return [min(len(s), len(t)) / max(len(s), len(t), 1) for s, t in zip(sources, targets, strict=True)]


likeness.version = "1"  # type: ignore[attr-defined]
