"""Loading: the deck of a corpus in the store, proved to be the one that its build drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import seal
from hala_factory.errors import InputError
from hala_factory.review import sample
from hala_factory.review.decks import Deck, Task, Turn
from hala_factory.store import Store


def load(store: Store, artifact: str) -> Deck:
    """The deck of `name@version`.

    Raises InputError where the store does not hold it, its recipe asked for no review, or it is not as it was built.
    """
    manifest = store.held(artifact)
    if "review" not in manifest:
        raise InputError(
            f"{artifact} was built without a review plan, and a sample is drawn before anybody looks: "
            "put 'review:' into its recipe and build it as a new version"
        )
    folder = store.corpus(manifest["name"], manifest["version"])
    if problem := seal.broken((folder / "manifest.json").read_bytes()):
        raise InputError(f"{folder / 'manifest.json'}: {problem}; `hala-factory verify {artifact}` tells all of it")
    return deck(manifest, read(folder / sample.FILE, manifest["review"], artifact))


def read(path: Path, told: dict[str, Any], artifact: str) -> pl.DataFrame:
    """The sample in a file. Raises InputError where it is not the one that `told` (of the manifest) names."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: cannot be read ({error}); build {artifact} again, or bring the file back") from None
    if (
        dict(frame.schema) != {n: pl.Series(dtype=t).dtype for n, t in sample.COLUMNS.items()}
        or sample.digest(told, frame) != told["digest"]
    ):
        raise InputError(
            f"{path}: is not the sample that was drawn when {artifact} was built (digest {told['digest'][:12]}…): "
            "it was edited or damaged; bring the file back"
        )
    return frame


def deck(manifest: dict[str, Any], frame: pl.DataFrame) -> Deck:
    """The deck of a sample."""
    told = manifest["review"]
    return Deck(
        name=manifest["name"],
        version=manifest["version"],
        digest=told["digest"],
        source_language=told["source_language"],
        target_language=told["target_language"],
        guidelines=told["guidelines"],
        tasks=tuple(
            Task(t["task"], t["batch"], tuple(Turn(**turn) for turn in t["turns"]))
            for t in frame.iter_rows(named=True)
        ),
    )
