"""The review's part of a build: draws the sample of a corpus that is being assembled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hala_factory.plan import Plan
from hala_factory.recipe import Ready
from hala_factory.review import sample
from hala_factory.review.standing import rejected
from hala_factory.review.texts import Sides
from hala_factory.step import Ask, Barrier


def sampled(plan: Plan, folder: Path, digest: str) -> dict[str, Any]:
    """Draw the sample of the rows in `folder`, which have this digest; what the manifest tells of it.

    A row that a barrier dropped is not looked at: it went because of others. Nor one that the recipe did not want.
    """
    recipe = plan.ready.recipe
    assert recipe.review is not None
    barriers = ["source", *(s.label for s in recipe.steps if isinstance(s, Barrier))]
    who = sample.Identity(recipe.name, recipe.version, digest)
    told = sample.write(folder, who, recipe.review, sides(plan.ready), barriers)
    return {**told, "earlier": rejected(plan.store, recipe.name, recipe.version)}


def sides(ready: Ready) -> Sides:
    """Where source and target of the rows of a recipe stand."""
    language = ready.recipe.language
    if ready.kind == "pair":
        languages = list(ready.languages)
        languages += [s.to for s in ready.recipe.steps if _adds_side(s) and s.to not in languages]  # type: ignore[attr-defined]
        target = language if language in languages else languages[-1]
        return Sides(next((x for x in languages if x != target), None), target, "translation")
    for step in reversed(ready.recipe.steps):
        kept = getattr(step, "kept", None)
        if isinstance(step, Ask) and kept and (asked := step.translates()) is not None:
            return Sides(asked[0], asked[1], "messages", kept)
    return Sides(None, language, "messages")


def _adds_side(step: object) -> bool:
    return isinstance(step, Ask) and step.translates() is not None and hasattr(step, "to")
