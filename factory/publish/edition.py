"""An edition: the files of a version as they were built, and what is published around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hala_factory.publish import around, reviewed, words
from hala_factory.publish.entries import Entry
from hala_factory.publish.gates import Candidate
from hala_factory.publish.place import Place
from hala_factory.review.standing import standing

CARD, MANIFEST = "README.md", "manifest.json"


def edition(candidate: Candidate, place: Place) -> list[Entry]:
    """Every file that is to stand in `place`, the manifest last; the version's own are not read again."""
    folder, manifest = candidate.folder, candidate.manifest
    review = standing(candidate.store, manifest)
    entries = [
        Entry(name, facts["bytes"], facts["sha256"], folder / name)
        for name, facts in sorted(manifest["files"].items())
        if name != CARD
    ]
    own = set(manifest["files"])
    made = {**made_now(folder, manifest, place), **reviewed.files(candidate.store, manifest)}
    extra = {name: content for name, content in made.items() if name not in own}
    built = (folder / CARD).read_text(encoding="utf-8")
    pictures = [name for name in extra if name.endswith(".png")]
    card = around.put(built, words.head(manifest, place, pictures, review), words.tail(manifest, place))
    extra[CARD] = card.encode()
    entries += [Entry.of(name, content) for name, content in sorted(extra.items())]
    return [*entries, Entry.of(MANIFEST, (folder / MANIFEST).read_bytes())]


def made_now(folder: Path, manifest: dict[str, Any], place: Place) -> dict[str, bytes]:
    """Pictures and `croissant.json` of a corpus; nothing for a model."""
    if manifest["kind"] == "model":
        return {}
    from hala_factory.publish import croissant, pictures

    described = json.dumps(croissant.describe(manifest, place, folder), ensure_ascii=False, indent=1) + "\n"
    return {**pictures.draw(manifest), "croissant.json": described.encode()}
