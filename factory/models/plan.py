"""The plan of a model recipe: its chain of stages as data, with what is stored and what is to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hala_factory import benchmarks, questions
from hala_factory.catalog import Model
from hala_factory.errors import Fault, InputError
from hala_factory.fingerprint import fingerprint
from hala_factory.generate import checkpoint as checkpoints
from hala_factory.generate.engines import checkpoint_of
from hala_factory.hub import commit_of
from hala_factory.models.contamination import went_into
from hala_factory.models.data import find
from hala_factory.models.recipe import ReadyModel
from hala_factory.models.step import NOTHING, Checkpoint, Judging, ModelStep, Reading
from hala_factory.store import StageFolder, Store, read_json

FORMAT = 1
"""Raised when the files of a stage or a version are laid out differently."""


@dataclass(frozen=True)
class ModelStage:
    """One step of the chain, and whether it is done already."""

    name: str
    step: ModelStep
    fingerprint: str
    status: Literal["stored", "to run"] = "to run"
    reason: str = "never built"
    others: Mapping[str, Checkpoint] = field(default_factory=dict)
    """Further models that the step needs, by the field that names them."""
    tests: Mapping[str, benchmarks.Located] = field(default_factory=dict)
    """The benchmarks that the step asks."""
    read: tuple[Reading, ...] = ()
    """The corpora that went into the model before the step."""

    @property
    def kind(self) -> str:
        """`make` or `judge`."""
        return "judge" if isinstance(self.step, Judging) else "make"


@dataclass(frozen=True)
class ModelPlan:
    """What `build` will do for one model recipe."""

    ready: ReadyModel
    store: Store
    base: Checkpoint
    stages: tuple[ModelStage, ...]
    fingerprint: str
    manifest: dict[str, Any] | None
    """Of the version that stands whole, if one does."""
    read: tuple[Reading, ...] = ()
    """The corpora that go into the model."""

    @property
    def stored(self) -> bool:
        """Whether the version stands, made from what the recipe says."""
        return self.manifest is not None and self.manifest["fingerprint"] == self.fingerprint

    def folder(self, stage: ModelStage) -> StageFolder:
        """Where a stage's outputs stand."""
        return self.store.stage(stage.name, stage.fingerprint)

    @property
    def version_folder(self) -> Path:
        """Where the version stands, or will."""
        return self.store.model(self.ready.recipe.name, self.ready.recipe.version)

    def told(self) -> dict[str, Any]:
        """The plan for `plan --json`."""
        stages = [
            {"name": s.name, "kind": s.kind, "status": s.status, "reason": s.reason, "fingerprint": s.fingerprint}
            for s in self.stages
        ]
        last = {"name": "model", "kind": "model", "fingerprint": self.fingerprint, **self.last()}
        return {
            "artifact": self.ready.artifact,
            "profile": self.ready.profile,
            "fingerprint": self.fingerprint,
            "stages": [*stages, last],
        }

    def last(self) -> dict[str, str]:
        """Whether the version itself is stored, and why not."""
        if self.stored:
            return {"status": "stored", "reason": "unchanged"}
        changed = "what it is made from has changed" if self.manifest else "never built"
        return {"status": "to run", "reason": changed}


def plan(ready: ReadyModel, store: Store) -> ModelPlan:
    """Lay out the chain and look up what is stored.

    Raises InputError for a base or rows that are not there, and when a version that stands was made from something
    else.
    """
    recipe = ready.recipe
    standing = read_json(store.model(recipe.name, recipe.version) / "manifest.json")
    manifest = StageFolder(store.model(recipe.name, recipe.version)).record("manifest")
    base = _base(ready, store, standing) if ready.base else NOTHING
    before: Any = base.identity
    read = went_into(base)
    stages: list[ModelStage] = []
    faults: list[Fault] = []
    for i, step in enumerate(recipe.steps):
        data, others, tests = {}, {}, {}
        for word, rows in step.data().items():
            try:
                data[word] = find(rows, ready.catalog, store).identity
            except InputError as error:
                place = [int(part) if part.isdecimal() else part for part in word.split(".")]
                faults += [ready.document.fault(("steps", i, *place), f.message) for f in error.faults]
        try:
            tests = _tests(step, ready, store, standing)
        except InputError as error:
            faults += [ready.document.fault(("steps", i, "benchmarks"), f.message) for f in error.faults]
        for word, name in step.models().items():
            others[word] = _checkpoint(name, ready.catalog.catalog.models[name], ready, store, None)
        decided = {"step": step.identity(), "before": before, "data": data, "layout": FORMAT}
        if others:
            decided["models"] = {word: other.identity for word, other in others.items()}
        if tests:
            decided["tests"] = {name: questions.identity(located) for name, located in tests.items()}
            decided["read"] = [[reading.corpus, reading.digest] for reading in read]
        stage = ModelStage(step.label, step, fingerprint(decided), others=others, tests=tests, read=read)
        stages.append(_looked_up(stage, store, stages))
        if stage.kind == "make":
            before = stage.fingerprint
            read += _read(step, data, others, ready)
    if faults:
        raise InputError(faults)
    whole = {"name": recipe.name, "base": base.identity, "stages": [s.fingerprint for s in stages], "layout": FORMAT}
    made = ModelPlan(ready, store, base, tuple(stages), fingerprint(whole), manifest, read)
    if made.stored:
        stages = [replace(s, status="stored", reason="unchanged") for s in stages]
        made = replace(made, stages=tuple(stages))
    refuse_changed(made, standing)
    return made


def refuse_changed(made: ModelPlan, standing: dict[str, Any] | None) -> None:
    """Raise InputError when the version stands, made from something else, and is not one that may be rebuilt."""
    recipe = made.ready.recipe
    if standing is None or recipe.version == "dev" or standing["fingerprint"] == made.fingerprint:
        return
    then = {s["name"]: s["fingerprint"] for s in standing["stages"]}
    changed = next((s.name for s in made.stages if then.get(s.name) != s.fingerprint), "model")
    message = f"{made.ready.artifact} stands already and was built from something else (first difference: stage "
    raise InputError(made.ready.document.fault(("version",), f"{message}{changed!r}); bump the version"))


def _tests(
    step: ModelStep, ready: ReadyModel, store: Store, standing: dict[str, Any] | None
) -> dict[str, benchmarks.Located]:
    """The benchmarks that a step asks. Raises InputError for those that are not there, or cannot be scored."""
    if not step.tests():
        return {}
    locked = standing["lock"].get("benchmarks", {}) if standing and ready.recipe.version != "dev" else {}
    pins = {name: entry["revision"] for name, entry in locked.items()}
    found = benchmarks.find(step.tests(), ready.catalog, store.digest_of, samples=step.sampled(), revisions=pins)
    for located in found.values():
        questions.expect(located)
    return found


def _read(
    step: ModelStep, data: dict[str, Any], others: Mapping[str, Checkpoint], ready: ReadyModel
) -> tuple[Reading, ...]:
    """The corpora that a making step reads, and those that went into the models it names."""
    own = [
        Reading(ready.catalog.artifact(rows.corpus), data[word]["corpus"], step.label)
        for word, rows in step.data().items()
        if rows.corpus is not None and word in data
    ]
    return (*own, *(reading for other in others.values() for reading in went_into(other)))


def _base(ready: ReadyModel, store: Store, standing: dict[str, Any] | None) -> Checkpoint:
    """The checkpoint that the chain begins with, its revision on the Hub resolved to a commit."""
    assert ready.base is not None
    locked = standing["lock"]["base"]["revision"] if standing and ready.recipe.version != "dev" else None
    return _checkpoint(str(ready.recipe.base), ready.base, ready, store, locked)


def _checkpoint(name: str, model: Model, ready: ReadyModel, store: Store, locked: str | None) -> Checkpoint:
    where = checkpoint_of(name, model, ready.catalog.folder, store.root)
    revision = model.revision
    if isinstance(where, str):
        revision = commit_of(where, "model", revision or locked)
    elif not where.is_absolute():
        where = where.resolve()
    return Checkpoint(name, model, where, revision, checkpoints.identity(name, where, revision, store.digest_of))


def _looked_up(stage: ModelStage, store: Store, before: list[ModelStage]) -> ModelStage:
    folder = store.stage(stage.name, stage.fingerprint)
    if folder.record() is not None:
        return replace(stage, status="stored", reason="unchanged")
    if (folder.path / "stage.json").exists():
        return replace(stage, reason="stored, but a file of it is gone or damaged")
    fresh = [s for s in before if s.status != "stored"]
    if fresh:
        return replace(stage, reason=f"follows {fresh[0].name}")
    built = any(p.is_dir() for p in folder.path.parent.glob(f"{stage.name}-" + "[0-9a-f]" * 12))
    return replace(stage, reason="changed since it was built" if built else "never built")
