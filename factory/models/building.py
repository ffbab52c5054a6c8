"""`build` of a model recipe: runs the chain's stages that are not stored, asks its gates, assembles the version."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hala_factory import claims, yamlfile
from hala_factory.errors import BuildError
from hala_factory.fingerprint import file_digest, fingerprint
from hala_factory.generate import checkpoint as checkpoints
from hala_factory.models import card, licence
from hala_factory.models.plan import FORMAT, ModelPlan, ModelStage, refuse_changed
from hala_factory.models.step import NOTHING, Bench, Checkpoint, Judging, Making, Verdict
from hala_factory.store import StageFolder, atomic_folder, read_json, sweep, sync, write_json, written
from hala_factory.tables import table


def build(plan: ModelPlan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Build what the plan says is to run; the answer of `build --json`.

    Running it again after any interruption goes on with the first stage that is not stored. Raises BuildError where a
    step fails, or a gate does not let the model pass: then nothing is published, and what was measured is stored.
    """
    with claims.claimed(plan.store, everything=True):
        return _build(plan, say)


def _build(plan: ModelPlan, say: Callable[[str], None]) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    if plan.stored:
        manifest = dict(plan.manifest or {})
        reports = {s["name"]: s["report"] for s in manifest["stages"]}
        told = [{"name": s.name, "status": "stored", "seconds": 0.0} for s in plan.stages]
        gates = hold(plan, reports, plan.version_folder)  # a bound may be newer than the version
    else:
        bench = Bench(plan.store, plan.ready.catalog, plan.base, plan.base, say, artifact=plan.ready.artifact)
        records: list[dict[str, Any]] = []
        for stage in plan.stages:
            record, status = _run(plan, stage, bench)
            records.append(record)
            told.append(
                {"name": stage.name, "status": status, "seconds": record["seconds"] if status == "run" else 0.0}
            )
            if stage.kind == "make":
                made = _made(plan, stage, bench.model)
                bench = replace(bench, model=made, base=made if bench.base is NOTHING else bench.base)
        gates = hold(plan, {r["name"]: r["report"] for r in records}, plan.store.root / "stages")
        manifest = _publish(plan, records, gates)
    return {
        "artifact": plan.ready.artifact,
        "path": str(plan.version_folder),
        "digest": manifest["digest"],
        "stages": told,
        "gates": gates,
    }


def hold(plan: ModelPlan, reports: dict[str, dict[str, Any]], where: Path) -> list[dict[str, Any]]:
    """Every gate of the chain with what was found, as data. Raises BuildError with a table if one is not passed."""
    asked: list[tuple[str, Verdict]] = []
    for stage in plan.stages:
        if isinstance(stage.step, Judging):
            asked += [(stage.name, verdict) for verdict in stage.step.verdicts(reports[stage.name])]
    if not all(verdict.passed for _, verdict in asked):
        lines = [
            [f"{name}.{v.gate}", v.found, v.asked, "passed" if v.passed else "FAILED", v.because] for name, v in asked
        ]
        raise BuildError(
            f"{plan.ready.artifact} is not accepted:\n{table(['gate', 'found', 'asked', '', 'because'], lines)}\n"
            f"what was measured and both sets of answers are kept in {where}; change the chain, or the gate"
        )
    return [{"step": name, "gate": v.gate, "found": v.found, "asked": v.asked} for name, v in asked]


def _run(plan: ModelPlan, stage: ModelStage, bench: Bench) -> tuple[dict[str, Any], str]:
    """The record of a stage, and whether it was stored or run now."""
    folder = plan.folder(stage)
    if (record := folder.record()) is not None:
        return record, "stored"
    with folder.lock():
        if (record := folder.record()) is not None:
            return record, "stored"
        sweep(folder.path)
        (folder.path / "stage.json").unlink(missing_ok=True)
        started = time.monotonic()
        scratch = folder.path / "unfinished"
        bench = replace(bench, others=stage.others, scratch=scratch, tests=stage.tests, read=stage.read)
        with _workplace(folder) as work:
            step = stage.step
            if isinstance(step, Making):
                report = step.make(bench, work)
            else:
                assert isinstance(step, Judging)
                report = step.measure(bench, work)
            files = _moved(work / ("checkpoint" if stage.kind == "make" else "kept"), folder)
        record = {
            "name": stage.name,
            "kind": stage.kind,
            "fingerprint": stage.fingerprint,
            "report": report,
            "seconds": round(time.monotonic() - started, 3),
            "files": files,
        }
        write_json(folder.path / "stage.json", record)
        shutil.rmtree(scratch, ignore_errors=True)
    return record, "run"


@contextlib.contextmanager
def _workplace(folder: StageFolder) -> Iterator[Path]:
    """A temporary folder in a stage's, gone in the end; a killed one is swept by the next build."""
    work = folder.path / f".tmp-{uuid.uuid4().hex[:8]}"
    with written(folder.path):
        work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _moved(made: Path, folder: StageFolder) -> dict[str, Any]:
    """Put what a step made under its name, on disk; sizes and digests of its files."""
    target = folder.path / made.name
    with written(folder.path):
        shutil.rmtree(target, ignore_errors=True)
        files = sorted(p for p in made.rglob("*") if p.is_file())
        for file in files:
            sync(file)
        described = {
            f"{made.name}/{f.relative_to(made)}": {"bytes": f.stat().st_size, "sha256": file_digest(f)} for f in files
        }
        made.rename(target)
        sync(folder.path)
    return described


def _made(plan: ModelPlan, stage: ModelStage, before: Checkpoint) -> Checkpoint:
    """The checkpoint of a stage, to be served as the one before it unless the step says otherwise."""
    assert isinstance(stage.step, Making)
    where = plan.folder(stage).path / "checkpoint"
    changed = {"hub": None, "ref": None, "revision": None, "quantisation": None, "path": str(where)}
    name = f"{plan.ready.recipe.name}-{stage.name}"
    model = stage.step.served(before.model).model_copy(update=changed)
    return Checkpoint(name, model, where, None, checkpoints.identity(name, where, None, plan.store.digest_of))


def _publish(plan: ModelPlan, records: list[dict[str, Any]], gates: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest of the version, which another build of the same plan may have made while we waited."""
    folder = plan.version_folder
    with StageFolder(folder.parent).lock():
        sweep(folder.parent)
        standing = StageFolder(folder).record("manifest")
        if standing is not None and standing["fingerprint"] == plan.fingerprint:
            return standing
        refuse_changed(plan, read_json(folder / "manifest.json"))
        return _assemble(plan, records, gates)


def _assemble(plan: ModelPlan, records: list[dict[str, Any]], gates: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the version: the last checkpoint of the chain, what was kept of its judging, the card, the manifest."""
    recipe, base = plan.ready.recipe, plan.base
    last = next(r for r in reversed(records) if r["kind"] == "make")
    with atomic_folder(plan.version_folder) as folder:
        for record in records:
            kept = record["kind"] == "judge"
            if not kept and record is not last:
                continue
            stage = next(s for s in plan.stages if s.name == record["name"])
            source = plan.folder(stage).path
            for name in record["files"]:
                inner = Path(name).relative_to("kept" if kept else "checkpoint")
                _link(source / name, folder / stage.name / inner if kept else folder / inner)
        lock: dict[str, Any] = {
            "base": {
                "name": base.name,
                **base.model.model_dump(mode="json", exclude_none=True, exclude={"endpoints", "api_key_env"}),
                "revision": base.revision,
                "identity": base.identity,
            },
            "benchmarks": {
                name: {
                    "hub": located.entry.hub,
                    "revision": located.files.revision,
                    "licence": located.entry.licence,
                    "files": {f.name: {"bytes": f.size, "digest": f.digest} for f in located.files.files},
                }
                for stage in plan.stages
                for name, located in stage.tests.items()
            },
        }
        shutil.copyfile(plan.ready.document.file, folder / "recipe.yaml")
        (folder / "lock.yaml").write_text(yamlfile.dump(lock), encoding="utf-8")
        terms = licence.derived(plan)
        checkpoint = {n.removeprefix("checkpoint/"): f["sha256"] for n, f in last["files"].items()}
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": recipe.name,
            "version": recipe.version,
            "kind": recipe.kind,
            "description": recipe.description,
            "profile": plan.ready.profile,
            "built_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "fingerprint": plan.fingerprint,
            "digest": f"sha256:{fingerprint(checkpoint)}",
            "licence": terms.licence or "none",
            "licences": terms.told(),
            "stages": [{k: v for k, v in r.items() if k != "files"} for r in records],
            "steps": [{**s.step.model_dump(mode="json", by_alias=True), "label": s.name} for s in plan.stages],
            "gates": gates,
            "corpora": [asdict(reading) for reading in plan.read],
            "lock": lock,
        }
        (folder / "README.md").write_text(card.render(manifest), encoding="utf-8")
        manifest["files"] = {
            str(p.relative_to(folder)): {"bytes": p.stat().st_size, "sha256": file_digest(p)}
            for p in sorted(folder.rglob("*"))
            if p.is_file()
        }
        write_json(folder / "manifest.json", manifest)
    return manifest


def _link(source: Path, target: Path) -> None:
    """One file under two names, for weights are large; a copy where the file system has no such links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
