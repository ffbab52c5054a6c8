"""The licence of a model: what its base and the corpora that went into it ask together."""

from __future__ import annotations

from hala_factory import licences
from hala_factory.licence_table import UNKNOWN
from hala_factory.licences import Derived, Part
from hala_factory.models.plan import ModelPlan
from hala_factory.models.step import NOTHING


def derived(plan: ModelPlan) -> Derived:
    """The freest licence that carries the base's and those of every corpus's parts.

    Weights are held for made of what they learnt from: whether that is so is not settled, and this is the careful
    reading. A corpus that is no longer in the store counts as one whose licence nobody knows.
    """
    parts: dict[Part, None] = {}
    if plan.base is not NOTHING:
        base = plan.base.model
        note, also, says = base.licence_note, tuple(base.also_under), tuple(base.licence_says)
        page = base.licence_page
        parts[Part(plan.base.name, "source", base.licence, page=page, note=note, says=says, also=also)] = None
    for reading in plan.read:
        name, _, version = reading.corpus.partition("@")
        manifest = plan.store.manifest(name, version)
        if manifest is None or manifest["digest"] != reading.digest:
            parts[Part(reading.corpus, "source", UNKNOWN, note="It is no longer in the store.")] = None
            continue
        parts |= dict.fromkeys(Derived.read(manifest["licence"]).parts)
    return licences.derive(parts)
