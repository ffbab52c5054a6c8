"""The review as publishing sees it: a gate, words on the card, and the answers that go along."""

from __future__ import annotations

import io
import json
from typing import Any

from hala_factory.review.keeping import kept
from hala_factory.review.results import results
from hala_factory.review.standing import Standing
from hala_factory.store import Store

ANSWERS, RESULTS = "review/answers.parquet", "review/results.json"


def against(found: Standing) -> list[str]:
    """What speaks against publishing a version; nothing where no review is asked for, or it was accepted."""
    return [] if found.may_be_published else [f"its review is {found.state}: {found.words}"]


def files(store: Store, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Every answer of every round, under pseudonyms, and what they come to; nothing where nobody was asked."""
    digest = (manifest.get("review") or {}).get("digest")
    found = kept(store, manifest["name"], manifest["version"]) if digest else []
    folder = next((k for k in found if k.told["digest"] == digest and k.rounds()), None)
    if folder is None:
        return {}
    answers = io.BytesIO()
    folder.history().write_parquet(answers)
    told = results(store, f"{manifest['name']}@{manifest['version']}")
    return {ANSWERS: answers.getvalue(), RESULTS: json.dumps(told, ensure_ascii=False, indent=1).encode()}
