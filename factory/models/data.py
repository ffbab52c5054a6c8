"""Rows that a step of a model recipe reads: some of a catalog's source, of a corpus in the store, or of a file."""

from __future__ import annotations

import heapq
import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import xxhash
from pydantic import ConfigDict, Field, model_validator

from hala_factory import reader
from hala_factory.catalog import ARTIFACT, Loaded, Source
from hala_factory.documented import Documented
from hala_factory.errors import InputError, did_you_mean
from hala_factory.hub import commit_of
from hala_factory.licence_table import UNKNOWN
from hala_factory.store import Store
from hala_factory.validation import FieldError

Turns = list[dict[str, str]]
"""A conversation: `role` and `content` of each message."""
Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
PROMPT = "Translate everything that follows into Arabic:\n\n{text}"
"""How Hala's translator is asked."""


class Task(Documented):
    """How a pair becomes a conversation: the question that asks for its translation, and that."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    source_language: Code = Field("en", alias="from")
    """Language of the text."""
    to: Code = "ar"
    """Language of its translation."""
    prompt: str = Field(PROMPT, pattern=r"\{text\}")
    """What a model is asked; {text} is the text."""

    def conversation(self, text: str, translation: str) -> Turns:
        """A pair as question and answer."""
        asked = {"role": "user", "content": self.prompt.replace("{text}", text)}
        return [asked, {"role": "assistant", "content": translation}]


PLACES = ("source", "corpus", "path", "licence")
"""Fields of `RowsFrom` that say where rows stand: in a fingerprint their content counts instead."""


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
    licence: str = UNKNOWN
    """Of `path`: under what its rows stand, for a model that learns from them."""
    n: int | None = Field(1_000, ge=1)
    """Rows to draw; all where there are fewer, or for null."""
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

    def conversations(self, *tasks: Task, unread: Counter[str] | None = None) -> Iterator[tuple[str, Turns]]:
        """The rows as conversations, each with its row's id; a pair is one of each task.

        All rows come in their own order, drawn ones in that of their lots. Records of which all are asked for and that
        cannot become rows are counted in `unread`, by the reason.
        """
        if self.wanted.n is not None:
            drawn = self._draw(lambda row: [(row["id"], turns) for turns in self._turns(row, tasks)])
            yield from (one for found in drawn for one in found)
            return
        for row in self._rows(unread):
            yield from ((row["id"], turns) for turns in self._turns(row, tasks))

    def texts(self) -> Iterator[str]:
        """Every text of the drawn rows, in all languages."""
        for found in self._draw(_texts):
            yield from found

    def parquet(self) -> tuple[Path, ...]:
        """The files of a corpus of conversations, which can be read as they are; none of other rows."""
        files = [Path(f) for f in self._files]
        return tuple(f for f in files if "messages" in pl.read_parquet_schema(f))

    def _turns(self, row: dict[str, Any], tasks: tuple[Task, ...]) -> list[Turns]:
        if row.get("messages"):
            return [[{"role": m["role"], "content": m["content"]} for m in row["messages"]]]
        made = []
        for task in tasks:
            sides = _sides(row, task.source_language, task.to, self.told)
            if sides is not None:
                made.append(task.conversation(*sides))
        return made

    def _draw(self, take: Any) -> list[Any]:
        """What `take` makes of the rows with the lowest lots; rows of which it makes nothing are passed over."""
        lots = ((lot(self.wanted.seed, row["id"]), row["id"], take(row)) for row in self._rows())
        taken = (found for found in lots if found[2])
        n, order = self.wanted.n, operator.itemgetter(0, 1)
        lowest = sorted(taken, key=order) if n is None else heapq.nsmallest(n, taken, key=order)
        if not lowest:
            raise InputError(f"{self.told} holds no row that can be used; expected pairs of texts or conversations")
        return [found for _, _, found in lowest]

    def _rows(self, unread: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
        if self._entry is None or self._located is None:
            for file in self._files:
                columns: list[str] = [
                    c for c in ("id", "messages", "translation") if c in pl.read_parquet_schema(file)
                ]
                yield from pl.read_parquet(file, columns=columns).iter_rows(named=True)
            return
        for batch in reader.read("rows", self._entry, self._located):
            if unread is not None:
                unread.update(batch.failed["reason"].to_list())
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


def _texts(row: dict[str, Any]) -> list[str]:
    if row.get("messages"):
        return [m["content"] for m in row["messages"] if m["content"]]
    return [text for text in row["translation"].values() if text]


def lot(seed: int, row: str) -> int:
    """The lot of a row, by which rows are drawn: the same for one seed wherever the row stands."""
    return xxhash.xxh3_64_intdigest(f"{seed}\x1f{row}".encode())
