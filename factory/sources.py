"""A recipe's sources as they are found: their files, and the columns that rows need, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hala_factory import catalog, reader
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.recipe import Ready, SourceUse
from hala_factory.store import Store


def find(
    ready: Ready,
    digests: Callable[[Path], str],
    revisions: Mapping[str, str | None],
    *,
    hub: bool = True,
    store: Store | None = None,
) -> dict[str, reader.Located]:
    """The files of every source by its name. Raises InputError with the faults of all of them.

    `revisions` are those locked by a version that stands, where the catalog names none. Without `hub` or a `store`,
    sources that are there are left out.
    """
    found, faults = {}, []
    for use in ready.recipe.sources:
        entry = ready.sources[use.source]
        if entry.hub and not ready.samples and not hub:
            continue
        if entry.ref and store is None:
            continue
        revision = entry.revision or revisions.get(use.source)
        try:
            if entry.ref and store is not None:
                located = reader.locate_corpus(entry, ready.catalog.artifact(entry.ref), store, digests)
            else:
                located = reader.locate(
                    entry, ready.catalog.folder, revision=revision, sample=ready.samples, digests=digests
                )
            columns_present(use, entry, located)
            found[use.source] = located
        except InputError as error:
            faults.append(Fault("", 0, 0, f"source {use.source!r}: {error}"))
    if faults:
        raise InputError(faults)
    return found


def columns_present(use: SourceUse, entry: catalog.Source, located: reader.Located) -> None:
    """Raise InputError when the files' columns are known and one that is needed is not among them."""
    found = reader.columns_of(entry, located)
    if found is None:
        return
    optional = {entry.mapping.get("input"), entry.mapping.get("system")}
    needed = [c for c in entry.mapping.values() if c not in optional and not entry.ref]
    needed += [c for c in use.where if c != "without_code"] + ([entry.subset] if entry.subset else [])
    for column in needed:
        if column.split(".")[0] not in {f.split(".")[0] for f in found}:
            where = located.files[0].name if located.files else use.source
            hint = did_you_mean(column, found).replace("known are:", "it has:")
            raise InputError(f"{where} has no column {column!r}{hint}")
