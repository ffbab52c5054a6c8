"""Rows that a step of a model recipe reads: some of a catalog's source, of a corpus in the store, or of a file."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import xxhash
from pydantic import Field, model_validator

from hala_factory import reader
from hala_factory.catalog import ARTIFACT, Loaded, Source
from hala_factory.documented import Documented
from hala_factory.errors import InputError, did_you_mean
from hala_factory.hub import commit_of
from hala_factory.store import Store
from hala_factory.validation import FieldError

Turns = list[dict[str, str]]
"""A conversation: `role` and `content` of each message."""


class RowsFrom(Documented):
    """Where rows come from, and which of them are taken: the same ones for one seed, whatever their order."""

    source: str | None = None
    """A source of the catalog."""
    corpus: str | None = None
    """A corpus in the store, made by the recipe of this name; `name@version` for one version of it."""
    path: str | None = None
    """A file or glob, relative to the catalog, in any form that sources may have."""
    columns: str | dict[str, str] = Field({"en": "en", "ar": "ar"})
    """Of `path`: the column of each language, or a layout of conversations, as in the catalog."""
    n: int = Field(1_000, ge=1)
    """Rows to draw; all where there are fewer."""
    seed: int = 0
    """Which rows are drawn."""

    @model_validator(mode="after")
    def _coherent(self) -> RowsFrom:
        given = [field for field in ("source", "corpus", "path") if getattr(self, field) is not None]
        if len(given) != 1:
            found = " and ".join(repr(g) for g in given) or "none of them"
            raise ValueError(f"give one of 'source', 'corpus' and 'path': found {found}")
        if self.corpus is not None and not ARTIFACT.fullmatch(self.corpus):
            raise FieldError(
                "corpus", f"corpus: expected the name of a recipe, or name@version, found {self.corpus!r}"
            )
        return self


@dataclass(frozen=True)
class Found:
    """Rows as they were found: what they are by content, and the way to read them."""

    wanted: RowsFrom
    identity: dict[str, Any]
    """The digests of their files, or of their corpus."""
    told: str
    """Where they come from, for people."""
    _entry: Source | None = None
    _located: reader.Located | None = None
    _files: tuple[str, ...] = ()

    def pairs(self, source: str, target: str) -> list[tuple[str, str]]:
        """The drawn rows as text and translation, in the order of their lots; one of each text.

        Raises InputError where the rows have no such languages.
        """
        drawn = self._draw(lambda row: _sides(row, source, target, self.told))
        return list({pair[0]: pair for pair in drawn}.values())

    def conversations(self, prompt: str, source: str, target: str) -> list[Turns]:
        """The drawn rows as conversations; a pair is the question that asks for its translation, and that."""

        def turns(row: dict[str, Any]) -> Turns | None:
            if row.get("messages"):
                return [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
            sides = _sides(row, source, target, self.told)
            if sides is None:
                return None
            asked = {"role": "user", "content": prompt.replace("{text}", sides[0])}
            return [asked, {"role": "assistant", "content": sides[1]}]

        return list(self._draw(turns))

    def _draw(self, take: Any) -> list[Any]:
        """What `take` makes of the rows with the lowest lots; rows of which it makes nothing are passed over."""
        lots = ((_lot(self.wanted.seed, row["id"]), row["id"], take(row)) for row in self._rows())
        lowest = heapq.nsmallest(self.wanted.n, (lot for lot in lots if lot[2]), key=lambda lot: lot[:2])
        if not lowest:
            raise InputError(f"{self.told} holds no row that can be used; expected pairs of texts or conversations")
        return [found for _, _, found in lowest]

    def _rows(self) -> Iterator[dict[str, Any]]:
        if self._entry is None or self._located is None:
            for file in self._files:
                columns: list[str] = [
                    c for c in ("id", "messages", "translation") if c in pl.read_parquet_schema(file)
                ]
                yield from pl.read_parquet(file, columns=columns).iter_rows(named=True)
            return
        for batch in reader.read("rows", self._entry, self._located):
            yield from batch.rows.iter_rows(named=True)


def find(wanted: RowsFrom, catalog: Loaded, store: Store) -> Found:
    """Look the rows up, without reading them. Raises InputError where they are not there."""
    drawn = {"n": wanted.n, "seed": wanted.seed}
    if wanted.corpus is not None:
        name, _, version = catalog.artifact(wanted.corpus).partition("@")
        manifest = store.manifest(name, version)
        if manifest is None:
            built = [f"{m['name']}@{m['version']}" for m in store.versions()]
            raise InputError(
                f"there is no corpus {wanted.corpus!r} in {store.root}{did_you_mean(wanted.corpus, built)}"
            )
        files = tuple(str(p) for p in sorted(store.corpus(name, version).glob("data/*.parquet")))
        return Found(wanted, {"corpus": manifest["digest"], **drawn}, f"corpus {wanted.corpus}", _files=files)
    entry, told = _entry(wanted, catalog)
    revision = entry.revision
    if entry.hub:
        revision = commit_of(entry.hub, "dataset", entry.revision)
    try:
        located = reader.locate(entry, catalog.folder, revision=revision, digests=store.digest_of)
    except InputError as error:
        raise InputError(f"{told}: {error}") from None
    content = {"files": [[f.name, f.digest] for f in located.files], "columns": entry.mapping, "rows": entry.rows}
    return Found(wanted, {**content, **drawn}, told, entry, located)


def _entry(wanted: RowsFrom, catalog: Loaded) -> tuple[Source, str]:
    """The source to read, and what it is called."""
    if wanted.source is not None:
        known = catalog.catalog.sources
        if wanted.source not in known:
            raise InputError(f"unknown source {wanted.source!r}{did_you_mean(wanted.source, known)}")
        return known[wanted.source], f"source {wanted.source}"
    columns = wanted.columns
    talk = isinstance(columns, str) or {"prompt", "conversation", "tree"} & set(columns)
    return Source.model_validate(
        {
            "path": wanted.path,
            "rows": "instruction" if talk else "pair",
            "columns": columns,
            "language": "en" if talk else list(columns),
            "licence": "unknown",
        }
    ), str(wanted.path)


def _sides(row: dict[str, Any], source: str, target: str, told: str) -> tuple[str, str] | None:
    sides = row.get("translation")
    if sides is None or source not in sides or target not in sides:
        has = f"its pairs are of {', '.join(sides)}" if sides else "its rows are no pairs"
        raise InputError(f"{told}: expected pairs of {source!r} and {target!r}; {has}")
    return (sides[source], sides[target]) if sides[source] and sides[target] else None


def _lot(seed: int, row: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{seed}\x1f{row}".encode())
