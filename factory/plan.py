"""A plan: what building a recipe means, stage by stage, as data that is printed, executed and asserted.

The model:
- A stage is a source, a run of filters (one pass over each shard), a barrier, a step that asks a model, or the corpus.
- Its fingerprint covers what decides its output: steps, their code's revision, and the fingerprints before it.
- A stage is stored when its record stands under that fingerprint; everything after one that is not, is to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from hala_factory import benchmarks, reader, rows, sources
from hala_factory.errors import BuildError, InputError, did_you_mean
from hala_factory.fingerprint import fingerprint
from hala_factory.generate.engines import Engine, make_engine
from hala_factory.guarantees import Guarantee
from hala_factory.hub import commit_of
from hala_factory.recipe import Ready, SourceUse
from hala_factory.step import Ask, Barrier, RowStep, Step
from hala_factory.store import StageFolder, Store

FORMAT = 2
"""Raised when the files of a stage or corpus are laid out differently."""

Kind = Literal["source", "filter", "barrier", "ask", "corpus"]
Status = Literal["stored", "to run"]


@dataclass(frozen=True)
class Stage:
    """One stage: what it does, from which stages, and whether that is done already."""

    name: str
    kind: Kind
    fingerprint: str
    inputs: tuple[str, ...] = ()
    """Names of the stages it reads, in order."""
    steps: tuple[Step, ...] = ()
    use: SourceUse | None = None
    located: reader.Located | None = None
    engines: Mapping[str, Engine] = field(default_factory=dict)
    """What answers for its step, by the field that names the model."""
    earlier: Path | None = None
    """The folder of an earlier corpus that a barrier compares with."""
    tests: Mapping[str, benchmarks.Located] = field(default_factory=dict)
    """Benchmarks that its steps compare with."""
    status: Status = "to run"
    reason: str = ""
    rows_out: int | None = None
    shards_done: int = 0

    def told(self) -> dict[str, Any]:
        """The stage for `plan --json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "steps": [s.label for s in self.steps],
            "status": self.status,
            "reason": self.reason,
            "rows_out": self.rows_out,
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True)
class Plan:
    """What `build` will do for one recipe."""

    ready: Ready
    store: Store
    stages: tuple[Stage, ...]
    manifest: dict[str, Any] | None = field(default=None, repr=False)
    """Of the version that stands already, if one does."""

    @property
    def artifact(self) -> str:
        """`name@version`."""
        return f"{self.ready.recipe.name}@{self.ready.recipe.version}"

    @property
    def row_sources(self) -> list[str]:
        """The sources that rows may have, in the order in which they are read."""
        return _row_sources(self.stages)

    @property
    def corpus(self) -> Stage:
        """The last stage."""
        return self.stages[-1]

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(s for s in self.stages if s.name == name)

    def folder(self, stage: Stage) -> StageFolder:
        """Where a stage's outputs stand."""
        return self.store.stage(stage.name, stage.fingerprint)

    def record(self, stage: Stage) -> dict[str, Any]:
        """The record of a stored stage. Raises BuildError where somebody took files of it away."""
        record = self.folder(stage).record()
        if record is None:
            raise BuildError(f"{self.folder(stage).path}: files of this stage are gone; run the same command again")
        return record

    def parts(self, stage: Stage) -> list[Path]:
        """The parts of a stored stage, in order."""
        return [self.folder(stage).part(s) for s in range(self.record(stage)["shards"])]


def plan(ready: Ready, store: Store, lock: dict[str, Any] | None = None) -> Plan:
    """Lay out the stages of a recipe and look up which are stored; of revisions take those of a `lock`, if given.

    Raises InputError for a source that cannot be found or lacks a column, and when a version that stands was
    built from something else.
    """
    manifest = store.manifest(ready.recipe.name, ready.recipe.version)
    pins = _pins(ready, manifest) if lock is None else lock
    locked = _revisions(pins, "sources")
    located = sources.find(ready, store.digest_of, locked, store=store)
    stages = [_source(use, ready, located[use.source]) for use in ready.recipe.sources]
    before = tuple(s.name for s in stages)
    for steps in _fused(ready.recipe.steps):
        stage = _stage(steps, before, stages, ready, store, pins)
        stages.append(stage)
        before = (stage.name,)
    decided: dict[str, Any] = {
        "inputs": [_named(stages, n) for n in before],
        "exports": list(ready.recipe.exports),
        "language": ready.recipe.language,
        "format": FORMAT,
    }
    if ready.recipe.licence_override is not None:
        decided["licence_override"] = ready.recipe.licence_override.model_dump()
    if ready.recipe.review is not None:
        decided["review"] = ready.recipe.review.identity()
    if guaranteed := [c.model_dump() for c in ready.recipe.contracts if isinstance(c, Guarantee)]:
        decided["guarantees"] = guaranteed  # the card tells them
    stages.append(Stage("corpus", "corpus", fingerprint({"name": ready.recipe.name, **decided}), before))
    made = Plan(ready, store, tuple(_looked_up(stages, store, manifest)), manifest)
    refuse_changed(made)
    return made


def _named(stages: list[Stage], name: str) -> str:
    return next(s.fingerprint for s in stages if s.name == name)


def _row_sources(stages: Iterable[Stage]) -> list[str]:
    named = (n for s in stages if s.located for n in sources_of(s))
    return list(dict.fromkeys(named))


def sources_of(stage: Stage) -> list[str]:
    """The sources of the rows of a source stage: itself, or those of the corpus that it reads."""
    assert stage.use is not None
    corpus = stage.located.corpus if stage.located else None
    return [stage.use.source] if corpus is None else list(corpus.origins)


def _fused(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Consecutive row steps together, every other step alone."""
    groups: list[tuple[Step, ...]] = []
    for step in steps:
        if isinstance(step, RowStep) and groups and isinstance(groups[-1][0], RowStep):
            groups[-1] += (step,)
        else:
            groups.append((step,))
    return groups


def _source(use: SourceUse, ready: Ready, located: reader.Located) -> Stage:
    entry = ready.sources[use.source]
    decided = {
        "source": use.source,
        "rows": entry.rows,
        "columns": entry.mapping,
        "languages": entry.languages if entry.rows == "pair" else [],
        "subset": entry.subset,
        "licences": {"": entry.licence, **{k: s.licence for k, s in entry.subsets.items()}},
        "strip": entry.strip,
        "format": located.format,
        "files": [[f.name, f.digest, f.language] for f in located.files],
        **({"files": located.corpus.digest, "sides": located.corpus.sides} if located.corpus else {}),
        "where": use.where,
        "limit": use.limit,
        "reader": reader.REVISION,
        "layout": FORMAT,
    }
    return Stage(f"source-{use.source}", "source", fingerprint(decided), use=use, located=located)


def _stage(
    steps: tuple[Step, ...],
    inputs: tuple[str, ...],
    stages: list[Stage],
    ready: Ready,
    store: Store,
    pins: dict[str, Any],
) -> Stage:
    first, last = steps[0], steps[-1]
    name = first.label if first is last else f"{first.label}-to-{last.label}"
    if any(s.name == name for s in stages):
        name = f"{name}-{len(stages)}"
    decided: dict[str, Any] = {
        "inputs": [_named(stages, n) for n in inputs],
        "steps": [s.identity() for s in steps],
        "layout": FORMAT,
    }
    earlier = None
    engines: dict[str, Engine] = {}
    tests = _tests(steps, ready, store, pins)
    if tests:
        decided["tests"] = {name: located.identity for name, located in tests.items()}
    kind: Kind = "filter"
    if isinstance(first, Barrier):
        kind = "barrier"
        decided["sources"] = _row_sources(stages)
        if first.earlier():
            earlier, decided["earlier"] = _earlier(first, ready, store)
    elif isinstance(first, Ask):
        kind = "ask"
        asked = first.asked()
        engines = {field: engine_for(model, ready, store, pins) for field, model in asked.items()}
        decided["models"] = {field: engine.identity for field, engine in engines.items()}
        decided["called"] = {field: ready.model(model)[0] for field, model in asked.items()}
    return Stage(name, kind, fingerprint(decided), inputs, steps, engines=engines, earlier=earlier, tests=tests)


def _tests(steps: tuple[Step, ...], ready: Ready, store: Store, pins: dict[str, Any]) -> dict[str, benchmarks.Located]:
    """The benchmarks that steps compare with. Raises InputError at the step for those that cannot be found."""
    found: dict[str, benchmarks.Located] = {}
    for step in steps:
        if not step.tests():
            continue
        try:
            found |= benchmarks.find(
                step.tests(),
                ready.catalog,
                store.digest_of,
                samples=ready.samples,
                languages=step.test_languages(),
                revisions=_revisions(pins, "benchmarks"),
            )
        except InputError as error:
            place = ("steps", ready.places[step.label], "benchmarks")
            raise InputError([ready.document.fault(place, f.message) for f in error.faults]) from None
    return found


def _earlier(step: Barrier, ready: Ready, store: Store) -> tuple[Path, str]:
    """The folder and the digest of the corpus that a barrier compares with. Raises InputError where it cannot."""
    wanted = str(step.earlier())
    name, _, version = wanted.partition("@")
    manifest = store.manifest(name, version) if version else None
    built = [f"{m['name']}@{m['version']}" for m in store.versions()]
    problem = ""
    if wanted == f"{ready.recipe.name}@{ready.recipe.version}":
        problem = f"{wanted} is what this recipe builds; name an earlier version"
    elif manifest is None:
        problem = f"there is no corpus {wanted!r} in {store.root}{did_you_mean(wanted, built)}"
    else:
        first = pl.read_parquet(next(store.corpus(name, version).glob("data/*.parquet")), n_rows=0)
        path, known = getattr(step, "against_on", None), rows.text_paths(dict(first.schema))
        if path is not None and path not in known:
            fault = f"the rows of {wanted} have no text {path!r}{did_you_mean(path, known)}"
            raise InputError(ready.document.fault(("steps", ready.places[step.label], "against_on"), fault))
        try:
            step.index(first)
        except pl.exceptions.ColumnNotFoundError as error:
            problem = f"the rows of {wanted} have no column {str(error).splitlines()[0]!r}"
    if problem or manifest is None:
        raise InputError(ready.document.fault(("steps", ready.places[step.label], "against"), problem))
    return store.corpus(name, version), manifest["digest"]


def engine_for(asked: str, ready: Ready, store: Store, pins: dict[str, Any]) -> Engine:
    """The engine of a model that a step asks, its revision on the Hub resolved to a commit."""
    name, model = ready.model(asked)
    revision = model.revision
    if model.hub and not model.path and model.engine in ("vllm", "local"):
        revision = commit_of(model.hub, "model", revision or _revisions(pins, "models").get(name))
    folder = ready.catalog.folder
    return make_engine(name, model, folder, work=store.root, revision=revision, digests=store.digest_of)


def _pins(ready: Ready, manifest: dict[str, Any] | None) -> dict[str, Any]:
    """What a version that stands was made from; `dev` is made from the newest there is."""
    return {} if manifest is None or ready.recipe.version == "dev" else dict(manifest["lock"])


def _revisions(pins: dict[str, Any], kind: str) -> dict[str, str | None]:
    return {name: entry.get("revision") for name, entry in pins.get(kind, {}).items()}


def _looked_up(stages: list[Stage], store: Store, manifest: dict[str, Any] | None) -> list[Stage]:
    known: dict[str, Stage] = {}
    for stage in stages:
        fresh = [known[n] for n in stage.inputs if known[n].status != "stored"]
        record = None
        if stage.kind == "corpus":
            if manifest and manifest["fingerprint"] == stage.fingerprint:
                record = StageFolder(store.corpus(manifest["name"], manifest["version"])).record("manifest")
        else:
            record = store.stage(stage.name, stage.fingerprint).record()
        if record is not None:
            known[stage.name] = replace(stage, status="stored", reason="unchanged", rows_out=record["rows"]["kept"])
        else:
            known[stage.name] = replace(stage, reason=_why(stage, fresh, store, manifest))
    # what only leads to stored stages need not be there, e.g. after a clean-up of old stage outputs
    if known["corpus"].status == "stored":
        known = {
            n: s if s.status == "stored" else replace(s, reason="not needed: the corpus is stored")
            for n, s in known.items()
        }
    return list(known.values())


def _why(stage: Stage, fresh: list[Stage], store: Store, manifest: dict[str, Any] | None) -> str:
    if stage.kind == "corpus":
        if manifest is None:
            return "never built"
        same = manifest["fingerprint"] == stage.fingerprint
        return "stored, but a file of it is gone or damaged" if same else "what it is made from has changed"
    folder = store.stage(stage.name, stage.fingerprint).path
    done = len(list(folder.glob("done-*.json")))
    if (folder / "stage.json").exists():
        return "stored, but a file of it is gone or damaged"
    if done:
        return f"interrupted: {done} shard{'s' * (done != 1)} done"
    if fresh:
        return f"follows {fresh[0].name}"
    built = any(p.is_dir() for p in folder.parent.glob(f"{stage.name}-" + "[0-9a-f]" * 12))
    return "changed since it was built" if built else "never built"


def refuse_changed(plan: Plan) -> None:
    """Raise InputError when the version stands, made from something else, and is not one that may be rebuilt."""
    recipe, manifest = plan.ready.recipe, plan.manifest
    if manifest is None or recipe.version == "dev" or manifest["fingerprint"] == plan.corpus.fingerprint:
        return
    then = {s["name"]: s["fingerprint"] for s in manifest["stages"]}
    changed = next((s.name for s in plan.stages if then.get(s.name) != s.fingerprint), "corpus")
    raise InputError(
        plan.ready.document.fault(
            ("version",),
            f"{plan.artifact} stands already and was built from something else (first difference: stage {changed!r}); "
            "bump the version",
        )
    )
