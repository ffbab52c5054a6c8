"""The inventory: which models' answers a store holds, how many, and what was made of them."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hala_factory.errors import InputError, did_you_mean
from hala_factory.fingerprint import fingerprint
from hala_factory.generate import segments
from hala_factory.generate.answers import ModelIdentity
from hala_factory.generate.compaction import Done, compact
from hala_factory.generate.journal import latest_of
from hala_factory.generate.locks import compacting, listing, unused, used
from hala_factory.generate.store import seal_abandoned
from hala_factory.store import Store, read_json, sweep, write_json

NOTE = "models.json"
"""The file of a stage that says whose answers it is made of: written before they are asked for."""
_COUNTED = ["finish_reason", "prompt_tokens", "output_tokens", "time"]


@dataclass
class Holding:
    """The answers of one model; an answer that two processes asked for at the same time counts twice."""

    folder: Path
    model: ModelIdentity
    answers: int = 0
    by_finish: dict[str, int] = field(default_factory=dict)
    """Answers by their finish reason."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    bytes: int = 0
    segments: int = 0
    journals: int = 0
    last: datetime | None = None
    """When the last answer came."""
    versions: list[str] = field(default_factory=list)
    """Versions of corpora that hold answers of it."""
    stages: list[str] = field(default_factory=list)
    """Stages, whole or begun, that ask it."""

    @property
    def used(self) -> bool:
        """Whether anything that stands is made of it."""
        return bool(self.versions or self.stages)

    def told(self) -> dict[str, Any]:
        """The holding for `--json`."""
        return {
            "model": self.model.name,
            "folder": self.folder.name,
            "fingerprint": self.model.fingerprint,
            "identity": self.model.content,
            "answers": self.answers,
            "by_finish_reason": self.by_finish,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "bytes": self.bytes,
            "segments": self.segments,
            "journals": self.journals,
            "last": self.last.isoformat(timespec="seconds") if self.last else None,
            "versions": self.versions,
            "stages": self.stages,
        }


def models(root: Path) -> dict[Path, ModelIdentity]:
    """The folders of a generation store with the model of each. Raises InputError for a record that was changed."""
    found = {}
    for record in sorted(root.glob("[!.]*/model.json")):
        said = read_json(record) or {}
        model = ModelIdentity(str(said.get("name")), said.get("identity") or {})
        if model.fingerprint != said.get("fingerprint"):
            raise InputError(f"{record}: was changed: its identity has not the fingerprint it names; put it back")
        found[record.parent] = model
    return found


def chosen(root: Path, wanted: Iterable[str]) -> dict[Path, ModelIdentity]:
    """The models called so, by name, folder, or the beginning of the fingerprint; all of them if none is named."""
    known = models(root)
    found: dict[Path, ModelIdentity] = {}
    for word in wanted:
        these = {f: m for f, m in known.items() if word in (m.name, f.name) or m.fingerprint.startswith(word)}
        if not these:
            names = [m.name for m in known.values()]
            raise InputError(f"no answers of {word!r} in {root}{did_you_mean(word, names) or '; it is empty'}")
        found |= these
    return found if wanted else known


def holdings(store: Store, wanted: Iterable[str] = ()) -> list[Holding]:
    """What a store holds, by model. Raises InputError for an unknown one, BuildError for a torn segment."""
    used = usage(store)
    return [_holding(f, m, *used.get(m.fingerprint, ([], []))) for f, m in chosen(store.generations, wanted).items()]


def usage(store: Store) -> dict[str, tuple[list[str], list[str]]]:
    """By the fingerprint of a model: versions of corpora, and stages, that are made of its answers."""
    used: dict[str, tuple[list[str], list[str]]] = {}
    for manifest in store.versions():
        name = f"{manifest['name']}@{manifest['version']}"
        for mark in sorted({fingerprint(m["identity"]) for m in manifest["lock"]["models"].values()}):
            used.setdefault(mark, ([], []))[0].append(name)
    for note in sorted((store.root / "stages").glob(f"*/{NOTE}")):
        for mark in (read_json(note) or {}).get("fingerprints", []):
            used.setdefault(mark, ([], []))[1].append(note.parent.name)
    return used


def note_models(stage: Path, asked: Iterable[ModelIdentity]) -> None:
    """Leave in a stage's folder whose answers it is made of."""
    write_json(stage / NOTE, {"fingerprints": sorted({model.fingerprint for model in asked})})


def _holding(folder: Path, model: ModelIdentity, versions: list[str], stages: list[str]) -> Holding:
    found = Holding(folder, model, versions=versions, stages=stages)
    with compacting(folder, wait=True):
        _weigh(folder, found)
    return found


def _weigh(folder: Path, found: Holding) -> None:
    for path in segments.standing(folder):
        with segments.opened(path) as file:
            _count(found, file.read(_COUNTED, use_threads=False))
        found.segments += 1
        found.bytes += path.stat().st_size
    lines = [{word: line[word] for word in _COUNTED} for line in latest_of(folder)]
    _count(found, pa.Table.from_pylist(lines, pa.schema([segments.SEGMENT.field(w) for w in _COUNTED])))
    for path in folder.glob("journal-*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            found.bytes += path.stat().st_size
            found.journals += 1


def _count(holding: Holding, table: pa.Table) -> None:
    if not table.num_rows:
        return
    holding.answers += table.num_rows
    counted = pc.value_counts(table["finish_reason"].combine_chunks()).to_pylist()
    holding.by_finish = dict(Counter(holding.by_finish) + Counter({c["values"]: c["counts"] for c in counted}))
    holding.prompt_tokens += pc.sum(table["prompt_tokens"]).as_py() or 0
    holding.output_tokens += pc.sum(table["output_tokens"]).as_py() or 0
    last = pc.max(table["time"]).as_py().astimezone(UTC)
    holding.last = max(holding.last or last, last)


@dataclass(frozen=True)
class Collected:
    """What became of one model's answers in a clean-up."""

    holding: Holding
    fate: str
    """`used`: they stay; `in use`: nothing needs them but somebody has them open; `unused`: they could go; `gone`."""
    compacted: Done = field(default_factory=Done)


def collect(store: Store, *, really: bool) -> list[Collected]:
    """Remove the answers of models that nothing standing is made of, and compact the others; or say what would be.

    A folder that a build has open is left alone.
    """
    done = []
    if really and store.generations.exists():
        sweep(store.generations)  # what a clean-up that was killed had begun to remove
    for holding in holdings(store):
        if holding.used:
            if really:
                with used(holding.folder), listing(holding.folder, changing=True):
                    seal_abandoned(holding.folder)
            done.append(Collected(holding, "used", compact(holding.folder, many=2) if really else Done()))
            continue
        with unused(holding.folder) as free:
            fate = "unused" if free else "in use"
            if free and really and holding.model.fingerprint not in usage(store):  # a build may just have begun
                gone = holding.folder.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{holding.folder.name}")
                holding.folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
                fate = "gone"
        done.append(Collected(holding, fate))
    return done
