"""What publishing asks of the review: whether people accepted the sample, where the recipe asks for that at all."""

from __future__ import annotations

from typing import Any

from hala_factory.store import Store


def against(store: Store, manifest: dict[str, Any]) -> list[str]:
    """What speaks against publishing a version; nothing where no review is asked for, or it was accepted."""
    state, words = standing(store, manifest)
    return [] if state in ("not asked", "accepted") else [f"its review is {state}: {words}"]


def standing(store: Store, manifest: dict[str, Any]) -> tuple[str, str]:
    """Where the review of a version stands: `not asked`, `missing`, `open`, `rejected` or `accepted`, and in words."""
    if not manifest.get("review"):
        return "not asked", "the recipe asks for no review"
    return "missing", "the recipe asks for a review, and no answers of people are on record; see 'hala-factory review'"
