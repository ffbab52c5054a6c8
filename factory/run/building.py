"""`build`: executes a plan's stages in order, each under its lock, and then assembles the corpus."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hala_factory import benchmarks, claims, rows, store
from hala_factory.errors import HalaError
from hala_factory.generate.answers import ModelIdentity
from hala_factory.generate.asking import Asker
from hala_factory.generate.budget import Budget, BudgetReached, Purse
from hala_factory.generate.engines import Deferred
from hala_factory.generate.inventory import note_models
from hala_factory.generate.store import GenerationStore
from hala_factory.inheriting import inherited, require_commercial
from hala_factory.licences import Derived
from hala_factory.plan import Plan, Stage, refuse_changed, sources_of
from hala_factory.run.asking import PROOF, ask_shards
from hala_factory.run.assembling import assemble
from hala_factory.run.barring import decide, index_shard, split_shard, to_index
from hala_factory.run.billing import UNPAID, Bill
from hala_factory.run.files import row_count
from hala_factory.run.ledger import Ledger, Tally
from hala_factory.run.passing import Job, filter_shard
from hala_factory.run.predicting import note_paid, predict
from hala_factory.run.rates import hold, warnings_of
from hala_factory.run.shards import Crew
from hala_factory.run.sourcing import SourceJob, read_source
from hala_factory.step import Ask, Columns, Step
from hala_factory.store import StageFolder

SHARD_ROWS = 8_192
"""Rows of a shard: small enough that a killed build loses seconds, large enough that files stay few."""
SMALL_BYTES = 4_000_000
"""Less than this is done in this process: starting others would take longer than the work."""


class Watcher(Protocol):
    """Is told how a build goes; the command line draws bars from it."""

    def begins(self, stage: Stage, rows: int | None) -> None:
        """A stage starts; `rows` come in, as far as known."""

    def advances(self, stage: Stage, rows: int) -> None:
        """So many rows of it are done."""

    def ends(self, stage: Stage, told: dict[str, Any]) -> None:
        """It is done: name, status, rows_in, rows_out, seconds."""


def build(
    plan: Plan,
    watcher: Watcher,
    *,
    workers: int = 1,
    shard_rows: int = SHARD_ROWS,
    budget: Budget | None = None,
    report: bool = True,
) -> dict[str, Any]:
    """Build what the plan says is to run; the answer of `build --json`.

    Running it again after any interruption goes on where it stopped. With several workers, a script that calls
    this needs the usual `if __name__ == "__main__":`. Raises BuildError with what to do, BudgetReached where what
    models are to be asked does not fit the `budget` (see `billing.budget_of`).
    """
    stages = [plan.folder(stage).path.name for stage in plan.stages[:-1]]
    tables = [benchmarks.table_name(test) for stage in plan.stages for test in stage.tests.values()]
    with claims.claimed(plan.store, stages, tables):
        return _build(plan, watcher, workers=workers, shard_rows=shard_rows, budget=budget, report=report)


def _build(
    plan: Plan, watcher: Watcher, *, workers: int, shard_rows: int, budget: Budget | None, report: bool
) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    asked: dict[str, int] = {"requests": 0, "from_store": 0, "prompt_tokens": 0, "output_tokens": 0}
    bill = Bill()
    manifest = plan.manifest if plan.corpus.status == "stored" else None
    if manifest is not None:
        held = hold(plan, manifest["rates"])  # a contract may be newer than the version
        require_commercial(plan, Derived.read(manifest["licence"]))
    if manifest is None:
        sources = [s for s in plan.stages if s.kind == "source"]
        with Crew(workers) as crew:
            if not all(s.status == "stored" or _is_small(s) for s in sources):
                crew.warm()
            _stages(sources, plan, watcher, told, partial(_read_sources, plan, crew=crew, shard_rows=shard_rows))
            if plan.ready.recipe.commercial_use:
                read = [part for stage in sources for part in plan.parts(stage)]
                require_commercial(plan, inherited(plan, read, asked=False))
            run = partial(_run, plan, crew=crew, asked=asked, bill=bill, budget=budget)
            for stage in plan.stages[len(sources) : -1]:
                try:
                    _stages([stage], plan, watcher, told, run)
                except Deferred as later:
                    if budget is not None and budget in later.engines:
                        raise _stopped(plan, stage, budget, later, told, asked | bill.told()) from None
                    raise
        started = time.monotonic()
        watcher.begins(plan.corpus, None)
        manifest = _corpus(plan, asked | bill.told(), report=report)
        held = manifest["contracts"]
        count = manifest["rows"]["kept"]
        told.append(_told(plan.corpus, "run", count, count, time.monotonic() - started))
        watcher.ends(plan.corpus, told[-1])
    else:
        for stage in manifest["stages"]:
            told.append(
                {**_told(plan.corpus, "stored", stage["rows"]["in"], stage["rows"]["kept"], 0), "name": stage["name"]}
            )
        count = manifest["rows"]["kept"]
        told.append(_told(plan.corpus, "stored", count, count, 0))
        watcher.ends(plan.corpus, told[-1])
    return {
        "artifact": plan.artifact,
        "path": str(plan.store.corpus(plan.ready.recipe.name, plan.ready.recipe.version)),
        "digest": manifest["digest"],
        "rows": manifest["rows"],
        "stages": told,
        "generation": asked | bill.told(),
        "warnings": warnings_of(held),
    }


def _stopped(
    plan: Plan, stage: Stage, budget: Budget, later: Deferred, told: list[dict[str, Any]], asked: dict[str, Any]
) -> BudgetReached:
    """How a build ends at its budget: in one line for people, and all of it for scripts."""
    stopped = budget.summary()
    spent = [f"{stopped['spent']['tokens']:,} tokens"]
    spent += [f"{amount:g} {currency}" for currency, amount in stopped["spent"]["cost"].items()]
    left = f"{later.left:,} of {later.of:,} questions of {stage.name!r}" if later.of else f"all of {stage.name!r}"
    others = "".join(f"\n{engine.told()}" for engine in later.engines if engine is not budget)
    message = (
        f"{budget.told()}; spent {', '.join(spent)} in {_duration(stopped['spent']['hours'])}; left to do: {left} and "
        f"what follows it; every answer is stored, run the same command again to go on{others}"
    )
    stopped |= {"stage": stage.name, "questions": {"asked": later.of, "left": later.left}}
    return BudgetReached(message, {"artifact": plan.artifact, "stopped": stopped, "stages": told, "generation": asked})


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 3600:.0f} s"


def build_before(
    plan: Plan, stage: Stage, watcher: Watcher, *, workers: int = 1, shard_rows: int = SHARD_ROWS
) -> None:
    """Build what a stage reads, and nothing else; no model may have to be asked for that."""
    before = plan.stages[: plan.stages.index(stage)]
    sources = [s for s in before if s.kind == "source"]
    told: list[dict[str, Any]] = []
    with Crew(workers) as crew:
        _stages(sources, plan, watcher, told, partial(_read_sources, plan, crew=crew, shard_rows=shard_rows))
        for each in before[len(sources) :]:
            _stages([each], plan, watcher, told, partial(_run, plan, crew=crew, asked={}, bill=Bill(), budget=None))


def _corpus(plan: Plan, asked: dict[str, Any], *, report: bool) -> dict[str, Any]:
    """The manifest of the corpus, which another build of the same plan may have made while we waited."""
    folder = plan.store.corpus(plan.ready.recipe.name, plan.ready.recipe.version)
    with StageFolder(folder.parent).lock():
        store.sweep(folder.parent)
        standing = StageFolder(folder).record("manifest")
        if standing is not None and standing["fingerprint"] == plan.corpus.fingerprint:
            return standing
        refuse_changed(replace(plan, manifest=standing))
        return assemble(plan, asked, report=report)


def _told(stage: Stage, status: str, rows_in: int, rows_out: int, seconds: float) -> dict[str, Any]:
    return {
        "name": stage.name,
        "status": status,
        "rows_in": rows_in,
        "rows_out": rows_out,
        "seconds": round(seconds, 3),
    }


def _stages(
    stages: list[Stage],
    plan: Plan,
    watcher: Watcher,
    told: list[dict[str, Any]],
    run: Callable[[list[Stage]], None],
) -> None:
    """Run those of `stages` that are not stored, under their locks, and write their records."""
    with contextlib.ExitStack() as stack:
        fresh = []
        for stage in sorted(stages, key=lambda s: s.name):  # one order of locks for every build of the store
            if plan.folder(stage).record() is None:
                stack.enter_context(plan.folder(stage).lock())
                if plan.folder(stage).record() is None:
                    fresh.append(stage)
        fresh.sort(key=stages.index)
        started = time.monotonic()
        for stage in fresh:
            store.sweep(plan.folder(stage).path)
            (plan.folder(stage).path / "stage.json").unlink(missing_ok=True)
            watcher.begins(stage, _expected(plan, stage))
        if fresh:
            with _watched(fresh, plan, watcher):
                run(fresh)
        for stage in stages:
            if stage in fresh:
                _complete(plan, stage, time.monotonic() - started)
            record = plan.record(stage)
            status, seconds = ("run", float(record["seconds"])) if stage in fresh else ("stored", 0.0)
            told.append(_told(stage, status, record["rows"]["in"], record["rows"]["kept"], seconds))
            watcher.ends(stage, told[-1])


def _complete(plan: Plan, stage: Stage, seconds: float) -> None:
    folder = plan.folder(stage)
    shards = None if stage.use else len(_inputs(plan, stage))  # a source says itself which part is its last
    records, shard = [], 0
    while (done := folder.done(shard)) is not None:
        records.append(done)
        shard += 1
        if done.get("last") or shard == shards:
            break
    ledger = Ledger.read(records)
    ledger.balance(stage.name)
    for source in sources_of(stage) if stage.use else ():
        ledger.setdefault(source, Tally())  # a source without a row is told too
    record = {"name": stage.name, "fingerprint": stage.fingerprint, **ledger.told(), "seconds": seconds}
    proof = store.read_json(folder.path / PROOF) if stage.kind == "ask" else None
    folder.complete(record | _spent(records) | ({"proof": proof} if proof else {}), shard)


def _spent(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What models read and wrote for the rows of a stage, by the field that names the model."""
    total: dict[str, dict[str, int]] = {}
    for record in records:
        for field, spent in record.get("generation", {}).items():
            for word, number in spent.items():
                total.setdefault(field, dict.fromkeys(spent, 0))[word] += number
    return {"generation": total} if total else {}


def _inputs(plan: Plan, stage: Stage) -> list[tuple[Path, str]]:
    """The parts that a stage reads, with their digests."""
    found = []
    for name in stage.inputs:
        folder = plan.folder(plan.stage(name))
        record = plan.record(plan.stage(name))
        parts = map(folder.part, range(record["shards"]))
        found += [(part, str(record["files"][part.name]["sha256"])) for part in parts]
    return found


def _expected(plan: Plan, stage: Stage) -> int | None:
    if stage.use is None:
        return sum(row_count(part) for part, _ in _inputs(plan, stage))
    corpus = stage.located.corpus if stage.located else None
    size = None if plan.ready.samples else plan.ready.sources[stage.use.source].size
    if corpus is not None:
        size = None if corpus.sides else sum(corpus.kept.values())
    return min((n for n in (size, stage.use.limit) if n), default=None)


@contextlib.contextmanager
def _watched(stages: list[Stage], plan: Plan, watcher: Watcher) -> Iterator[None]:
    """Report progress while shards run, wherever they run: they leave their counts in the stage's folder."""
    ended = threading.Event()
    known: dict[Path, int] = {}

    def look() -> None:
        while not ended.wait(0.2):
            for stage in stages:
                watcher.advances(stage, _so_far(plan.folder(stage), known))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _so_far(folder: StageFolder, known: dict[Path, int]) -> int:
    """Rows done in a stage; `known` remembers those of shards that are done."""
    rows_done = 0
    for path in folder.path.glob("done-*.json"):
        if path not in known:
            known[path] = (store.read_json(path) or {"rows": {"in": 0}})["rows"]["in"]
        rows_done += known[path]
    for path in folder.path.glob("progress-*"):
        with contextlib.suppress(OSError, ValueError):
            rows_done += int(path.read_text())
    return rows_done


def _is_small(stage: Stage) -> bool:
    return stage.located is None or all(f.size < SMALL_BYTES for f in stage.located.files)


def _read_sources(plan: Plan, stages: list[Stage], *, crew: Crew, shard_rows: int) -> None:
    jobs = [
        SourceJob(s.name, plan.folder(s), s.use, plan.ready.sources[s.use.source], s.located, shard_rows)
        for s in stages
        if s.use and s.located
    ]
    crew.run(partial(read_source, jobs), range(len(jobs)), small=all(map(_is_small, stages)))


def _run(
    plan: Plan, stages: list[Stage], *, crew: Crew, asked: dict[str, int], bill: Bill, budget: Budget | None
) -> None:
    (stage,) = stages
    inputs, digests = zip(*_inputs(plan, stage), strict=True)
    earlier = tuple(sorted(stage.earlier.glob("data/*.parquet"))) if stage.earlier else ()
    steps = bound_steps(plan, stage)
    job = Job(stage.name, plan.folder(stage), inputs, steps, columns_before(plan, stage), digests, earlier)
    small = sum(p.stat().st_size for p in inputs) < SMALL_BYTES
    if stage.kind == "filter":
        crew.run(partial(filter_shard, job), job.todo(), small=small)
    elif stage.kind == "barrier":
        crew.run(partial(index_shard, job), to_index(job), small=small)
        decide(job, plan.row_sources)
        crew.run(partial(split_shard, job), job.todo(), small=small)
    else:
        predict(plan, stage)
        asyncio.run(_ask(plan, stage, job, job.todo(), asked, bill, budget))


async def _ask(
    plan: Plan,
    stage: Stage,
    job: Job,
    shards: list[int],
    asked: dict[str, int],
    bill: Bill,
    budget: Budget | None,
) -> None:
    (step,) = stage.steps
    assert isinstance(step, Ask)
    called = {field: plan.ready.model(model)[0] for field, model in step.asked().items()}
    models = {field: ModelIdentity(called[field], engine.identity) for field, engine in stage.engines.items()}
    note_models(job.folder.path, models.values())
    try:
        async with contextlib.AsyncExitStack() as stack:
            askers: dict[str, Asker] = {}
            for field, engine in stage.engines.items():
                same = next((f for f in askers if called[f] == called[field]), None)
                if same is not None:
                    askers[field] = askers[same]
                    continue
                store = GenerationStore(plan.store.generations, models[field])
                asker = Asker(engine, store, _purse(plan, called[field], budget))
                askers[field] = await stack.enter_async_context(asker)
                if budget:
                    await stack.enter_async_context(budget.timed(asker.hold))
            try:
                await ask_shards(job, step, shards, askers, called)
            except Deferred:
                for asker in askers.values():
                    await asker.finish()
                raise
            finally:
                note_paid(plan, stage, askers)
                for name, asker in {called[field]: asker for field, asker in askers.items()}.items():
                    bill.add(plan.ready.catalog.catalog.models[name].price_per_million, asker.counts)
                    for word in asked:
                        asked[word] += asker.counts.told()[word]
    except* HalaError as group:
        raise group.exceptions[0] from None


def _purse(plan: Plan, model: str, budget: Budget | None) -> Purse | None:
    """What pays for the answers of a model of the catalog; nothing does for answers from files."""
    entry = plan.ready.catalog.catalog.models[model]
    return None if budget is None or entry.engine in UNPAID else Purse(budget, entry.price_per_million)


def bound_steps(plan: Plan, stage: Stage) -> tuple[Step, ...]:
    """The steps of a stage, knowing their benchmarks."""
    tables = {name: benchmarks.prepare(test, plan.store.benchmarks) for name, test in stage.tests.items()}
    return tuple(step.bound(tables) if step.tests() else step for step in stage.steps)


def columns_before(plan: Plan, stage: Stage) -> Columns:
    """The columns of the rows that a stage reads."""
    columns: Columns = rows.schema(plan.ready.kind, plan.ready.languages)
    for step in plan.ready.recipe.steps:
        if step in stage.steps:
            break
        columns = {**columns, **step.writes(columns)}
    return columns
