"""`plan --calibrate`: the models of a plan are really asked, for a sample of rows, and what that took is measured.

The model:
- Rows are taken from the last stages that are stored; where sources are not read yet, from a small build of the first
  rows of each, in the proportions that all of them will have. They are carried on in memory, stage by stage.
- Barriers let all rows pass: what they drop of a sample says nothing of what they drop of all.
- Every answer is stored as in a build, which will not ask for it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import pstdev
from typing import Any

import polars as pl

from hala_factory import claims
from hala_factory import plan as plans
from hala_factory.cost import calibration as calibrations
from hala_factory.cost.band import Band
from hala_factory.cost.calibration import ROWS, Calibration, Taken
from hala_factory.cost.estimate import step_of
from hala_factory.cost.rows import SMALL_BYTES, by_source, is_stored, stored_before
from hala_factory.cost.sampling import CONFIDENCE, fit, from_all_over, size_of, spread
from hala_factory.errors import HalaError
from hala_factory.generate.answers import ModelIdentity
from hala_factory.generate.asking import Asker, Meter
from hala_factory.generate.store import GenerationStore
from hala_factory.plan import Plan, Stage
from hala_factory.run.building import Watcher, bound_steps, build_before
from hala_factory.run.passing import judge, ruled
from hala_factory.run.predicting import keep_speed

SEED = 3
"""Not that of the look-up: what was asked in a calibration is not to stand for all in the share that is stored."""
TAKEN = 4
"""Times as many rows are taken as are asked about, as filters may drop some."""
FIRST = 2_000
"""Rows that are read of a large source that is not built yet; a small one is read to its end."""
TOGETHER = 512
"""Questions under way at a time."""


@dataclass
class _Sample:
    """Rows on their way, and which share of their source's rows they stand for."""

    frame: pl.DataFrame
    shares: dict[str, float]
    before: list[str]

    def passed(self, frame: pl.DataFrame) -> None:
        """Some of the rows have passed a stage; where a source has none here, it loses what all of them lose."""
        came, left = _count(self.frame), _count(frame)
        of_all = frame.height / max(1, self.frame.height)
        self.shares = {s: n * (left.get(s, 0) / came[s] if s in came else of_all) for s, n in self.shares.items()}
        self.frame = frame


def calibrate(plan: Plan, watcher: Watcher, *, workers: int = 1) -> None:
    """Measure every stage of a plan that asks and is to run, and keep what was measured for later plans.

    Raises BuildError as a build does, e.g. where no server stays up; answers until then are stored.
    """
    with claims.claimed(plan.store, everything=True):
        _calibrate(plan, watcher, workers=workers)


def _calibrate(plan: Plan, watcher: Watcher, *, workers: int) -> None:
    first = next((stage for stage in plan.stages if stage.kind == "ask" and stage.status == "to run"), None)
    if first is None:
        return
    sample, start = _sample(plan, first, watcher, workers)
    for stage in plan.stages[start:-1]:
        if not sample.frame.height:
            return
        if stage.kind == "filter":
            sample.passed(judge(sample.frame, bound_steps(plan, stage))[0])
        elif stage.kind == "ask":
            sample.frame = sample.frame[spread(range(sample.frame.height), ROWS, SEED)]
            watcher.begins(stage, sample.frame.height)
            kept, seconds = asyncio.run(_measure(plan, stage, sample))
            told = {"name": stage.name, "status": "run", "rows_in": sample.frame.height, "rows_out": kept.height}
            watcher.ends(stage, {**told, "seconds": seconds})
            sample.passed(kept)


def _sample(plan: Plan, stage: Stage, watcher: Watcher, workers: int) -> tuple[_Sample, int]:
    """Rows of the stages that are stored before one, or of its sources; and the stage with which to go on."""
    before = stored_before(plan, stage)
    assert before is not None, "no model is asked before the first one that is to be asked"
    names = [each.name for each in before]
    if all(is_stored(plan, each) for each in before):
        parts = [part for each in before for part in plan.parts(each)]
        frame = pl.concat([pl.read_parquet(part) for part in from_all_over(parts)[: TAKEN * ROWS]])
        shares = dict.fromkeys((use.source for use in plan.ready.recipe.sources), 1.0)
        rows = spread(range(frame.height), TAKEN * ROWS, SEED)
        return _Sample(frame[rows], shares, names), 1 + max(map(plan.stages.index, before))
    small = _small(plan)
    reading = small.stage(stage.name)
    build_before(small, reading, watcher, workers=workers)
    inputs = [small.stage(name) for name in reading.inputs]
    frame = pl.concat([pl.read_parquet(part) for each in inputs for part in small.parts(each)])
    shares = _kept(small, inputs)
    return _Sample(_in_proportion(plan, before, frame, shares), shares, names), plan.stages.index(stage)


def _small(plan: Plan) -> Plan:
    """The plan of the same recipe for the first rows of every source."""
    recipe = plan.ready.recipe
    files = {s.use.source: s.located.files for s in plan.stages if s.use and s.located}
    large = {name for name, of in files.items() if sum(f.size for f in of) > SMALL_BYTES}
    uses = tuple(
        u.model_copy(update={"limit": min(u.limit or FIRST, FIRST)}) if u.source in large else u
        for u in recipe.sources
    )
    limited = recipe.model_copy(update={"sources": uses, "version": "dev"})
    return plans.plan(plan.ready.model_copy(update={"recipe": limited}), plan.store)


def _kept(small: Plan, inputs: Sequence[Stage]) -> dict[str, float]:
    """By source, the share of its rows that reached the end of the small build; of all, where it had none."""
    read: dict[str, int] = {}
    left: dict[str, int] = {}
    for stages, counts in (([s for s in small.stages if s.kind == "source"], read), (inputs, left)):
        for stage in stages:
            for source, told in small.record(stage)["sources"].items():
                counts[source] = counts.get(source, 0) + told["kept"]
    of_all = sum(left.values()) / max(1, sum(read.values()))
    return {source: left.get(source, 0) / n if n else of_all for source, n in read.items()}


def _in_proportion(
    plan: Plan, before: Sequence[Stage], frame: pl.DataFrame, shares: Mapping[str, float]
) -> pl.DataFrame:
    """Rows of every source, as many as it will have among all."""
    sizes: dict[str, Band] = {}
    for stage in before:
        sizes |= by_source(plan, stage) or {}
    reach = {s: sizes[s].expected * share for s, share in shares.items() if s in sizes}
    if len(reach) < len(shares) or not sum(reach.values()):
        return frame  # a source whose size nobody knows: each counts alike
    pieces = []
    for source, n in reach.items():
        rows = frame.filter(pl.col("source") == source)
        wanted = math.ceil(ROWS * n / sum(reach.values()))
        pieces.append(rows[spread(range(rows.height), wanted, SEED)])
    return pl.concat(pieces)


async def _measure(plan: Plan, stage: Stage, sample: _Sample) -> tuple[pl.DataFrame, float]:
    """Ask the questions of a sample and keep what they took; the rows that pass, and the seconds of the models."""
    step = step_of(stage)
    called = {field: plan.ready.model(model)[0] for field, model in step.asked().items()}
    questions = step.questions(sample.frame)
    by_row = [step.questions(sample.frame[row : row + 1]) for row in range(sample.frame.height)]
    replies: dict[Hashable, Any] = {}
    spent: dict[str, list[dict[str, int]]] = {field: [] for field in stage.engines}
    gate = asyncio.Semaphore(TOGETHER)
    try:
        async with contextlib.AsyncExitStack() as stack:
            askers: dict[str, Asker] = {}
            for field, engine in stage.engines.items():
                same = next((f for f in askers if called[f] == called[field]), None)
                if same is None:
                    store = GenerationStore(plan.store.generations, ModelIdentity(called[field], engine.identity))
                    askers[field] = await stack.enter_async_context(Asker(engine, store))
                else:
                    askers[field] = askers[same]

            async def answer(question: Any) -> None:
                meters = {field: Meter(asker) for field, asker in askers.items()}
                async with gate:
                    replies[question] = await step.reply(question, meters)
                for field, meter in meters.items():
                    spent[field].append({**meter.spent, "size": size_of(question)})

            async with asyncio.TaskGroup() as group:
                for question in questions:
                    group.create_task(answer(question))
            for field in {called[f]: f for f in askers}.values():
                keep_speed(plan, stage, field, askers[field])
    except* HalaError as error:
        raise error.exceptions[0] from None
    calibrations.keep(plan, stage, _calibration(sample, questions, by_row, spent))
    applied = step.apply(sample.frame, replies, called)
    kept, _ = ruled(applied.filter(pl.col(f"{step.label}.failure").is_null()), step)
    return kept, max((asker.watch.seconds for asker in askers.values()), default=0.0)


def _calibration(
    sample: _Sample,
    questions: Sequence[Any],
    by_row: Sequence[list[Any]],
    spent: Mapping[str, Sequence[Mapping[str, int]]],
) -> Calibration:
    words = ("requests", "prompt_tokens", "output_tokens")
    taken = {
        field: Taken(*(fit([one[word] for one in each], [one["size"] for one in each]) for word in words))
        for field, each in spent.items()
    }
    return Calibration(
        sample.frame.height,
        len(questions),
        _mean([len(each) for each in by_row]),
        _mean([size_of(each) for each in by_row]),
        taken,
        sample.shares,
        sample.before,
    )


def _mean(numbers: Sequence[float]) -> Band:
    mean = sum(numbers) / len(numbers)
    return Band.around(mean, CONFIDENCE * pstdev(numbers) / math.sqrt(len(numbers)) / mean if mean else 0.0)


def _count(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame["source"].value_counts().iter_rows())
