"""Results: everything that the answers to a review say, as one mapping for scripts, the terminal and the page."""

from __future__ import annotations

from typing import Any

import polars as pl

from hala_factory import recipe
from hala_factory.errors import InputError
from hala_factory.review import loading
from hala_factory.review.calibration import calibrate
from hala_factory.review.estimates import defects, false_drops, mqm
from hala_factory.review.keeping import Kept, kept
from hala_factory.review.people import agreed, annotators
from hala_factory.review.standing import reversals, standing
from hala_factory.review.verdicts import decide, verdicts
from hala_factory.rules import rules
from hala_factory.store import Store


def results(store: Store, artifact: str) -> dict[str, Any]:
    """What the review of `name@version` has found so far.

    Raises InputError where there is no such corpus or review, BuildError for a round of answers that is damaged.
    """
    deck = loading.load(store, artifact)
    manifest = store.manifest(deck.name, deck.version)
    assert manifest is not None
    told = manifest["review"]
    folder = next((k for k in kept(store, deck.name, deck.version) if k.told["digest"] == deck.digest), None)
    state = standing(store, manifest)
    head = {
        "artifact": artifact,
        "plan": told["words"],
        "digest": told["digest"],
        "standing": {"state": state.state, "words": state.words},
        "tasks": told["tasks"],
        "rounds": len(folder.rounds()) if folder else 0,
        "earlier": told.get("earlier", []),
    }
    if folder is None or not folder.rounds():
        return {**head, "decision": None}
    answers, sample = folder.answers(), folder.sample()
    judged = verdicts(sample, answers, told["asked"]["counts_as_bad"])
    return {
        **head,
        "decision": decide(judged, told).told(),
        "answers": {s: int((answers["status"] == s).sum()) for s in ("submitted", "draft", "discarded")},
        "reversals": reversals(folder),
        "defects": defects(judged, told),
        "mqm": mqm(judged, answers),
        "agreement": agreed(sample, answers),
        "annotators": annotators(sample, answers),
        "false_drops": false_drops(judged, told),
        "calibration": _calibrated(store, manifest, folder, judged),
    }


def _calibrated(store: Store, manifest: dict[str, Any], folder: Kept, judged: pl.DataFrame) -> dict[str, Any]:
    rows = judged.filter(pl.col("kind").is_in(["accept", "thin"]) & pl.col("said").is_in(["bad", "not bad"]))
    try:
        known = rules(recipe.steps_of(manifest))
    except InputError:  # a step of somebody's that is not installed here
        known = []
    data = pl.scan_parquet(sorted((store.corpus(folder.name, folder.version) / "data").glob("*.parquet")))
    there = data.collect_schema().names()
    measures = sorted({f"{r.label}.{r.measure}" for r in known} & set(there))
    key = ["source", "id", "origin"]
    wanted = data.filter(pl.col("id").is_in(rows["row"].implode())).select(*key, *measures).collect(engine="streaming")
    values = rows.rename({"row": "id"}).select(key).join(wanted, on=key, how="left", maintain_order="left")
    return calibrate(rows, known, values, f"{folder.name}@{folder.version}")
