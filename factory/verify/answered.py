"""The answers to a version's review: every round as it was recorded, none missing, to the tasks that were asked."""

from __future__ import annotations

from hala_factory.errors import HalaError
from hala_factory.review.keeping import kept
from hala_factory.store import Store
from hala_factory.verify.files import Finding


def answered(store: Store, name: str, version: str) -> list[Finding]:
    """What is wrong with the answers to any review of a version."""
    found = []
    try:
        folders = kept(store, name, version)
    except HalaError as error:
        return [Finding("reviews/", str(error))]
    for folder in folders:
        place = folder.path.relative_to(store.root).as_posix()
        for read in (folder.sample, folder.history):
            try:
                read()
            except HalaError as error:
                found.append(Finding(place, str(error)))
    return found
