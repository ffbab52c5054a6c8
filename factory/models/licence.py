"""The licence of a model: what its base and the corpora that went into it ask together."""

from __future__ import annotations

from hala_factory import licences
from hala_factory.catalog import Entry
from hala_factory.licence_table import UNKNOWN
from hala_factory.licences import Derived, Part
from hala_factory.models.plan import ModelPlan
from hala_factory.models.sft import Sft
from hala_factory.models.step import NOTHING


def derived(plan: ModelPlan) -> Derived:
    """The freest licence that carries the base's, those of models it is merged with, and of every corpus's parts.

    Weights are held for made of what they learnt from: whether that is so is not settled, and this is the careful
    reading. A corpus that is no longer in the store counts as one whose licence nobody knows.
    """
    parts: dict[Part, None] = {}
    others = [other for stage in plan.stages if stage.kind == "make" for other in stage.others.values()]
    for base in [*([plan.base] if plan.base is not NOTHING else []), *others]:
        parts[_part(base.name, base.model)] = None
    for stage in plan.stages:
        learnt = stage.step.rows if isinstance(stage.step, Sft) else None
        if learnt is not None and learnt.source is not None:
            parts[_part(learnt.source, plan.ready.catalog.catalog.sources[learnt.source])] = None
        elif learnt is not None and learnt.path is not None:
            parts[Part(learnt.path, "source", learnt.licence)] = None
    for reading in plan.read:
        name, _, version = reading.corpus.partition("@")
        manifest = plan.store.manifest(name, version)
        if manifest is None or manifest["digest"] != reading.digest:
            parts[Part(reading.corpus, "source", UNKNOWN, note="It is no longer in the store.")] = None
            continue
        parts |= dict.fromkeys(Derived.read(manifest["licence"]).parts)
    return licences.derive(parts)


def _part(name: str, entry: Entry) -> Part:
    says, also = tuple(entry.licence_says), tuple(entry.also_under)
    return Part(name, "source", entry.licence, page=entry.licence_page, note=entry.licence_note, says=says, also=also)
