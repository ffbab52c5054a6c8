"""The estimate of a plan: for every stage that asks and is to run, what it will take, and what of it is to be paid."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import polars as pl

from hala_factory.catalog import Model
from hala_factory.cost import calibration as calibrations
from hala_factory.cost.band import Band, total
from hala_factory.cost.calibration import Calibration, Taken
from hala_factory.cost.gauge import Gauge, Usage, weigh
from hala_factory.cost.habits import habits
from hala_factory.cost.rows import (
    COUNTED,
    SMALL_BYTES,
    Rows,
    by_source,
    earlier,
    is_stored,
    read,
    rows_of,
    stored_before,
)
from hala_factory.cost.sampling import fit, from_all_over, size_of, spread
from hala_factory.cost.tokens import counter
from hala_factory.cost.weighing import RETRIES, Weigher
from hala_factory.generate.answers import ModelIdentity
from hala_factory.generate.store import GenerationStore, folder_of
from hala_factory.generate.timing import speed
from hala_factory.plan import Plan, Stage
from hala_factory.step import Ask

ROWS_READ = 20_000
"""Rows of a stage's inputs whose questions are counted, at least; the rest is estimated."""
LOOKED_UP = 500
"""Questions that are looked up: a share is then known to two points or so in a hundred."""
SEED = 1
EARLIER_SPREAD = 0.25
"""How far a row may be from those of an earlier version in what it takes."""
ROWS_SPREAD = 0.15
"""How far the rows of a stage may be from those that are there already, in what they ask."""
SPEED_SPREAD = 0.2
"""How far a speed may be from the last one measured: other lengths, another load."""


@dataclass(frozen=True)
class Money:
    """An amount, and of what."""

    amount: Band
    currency: str


@dataclass(frozen=True)
class Asked:
    """What one model of a stage will be asked, and what that costs. None: it is not known."""

    field: str
    model: str
    engine: str
    requests: Band | None = None
    """All requests of the stage, those that are stored too."""
    prompt_tokens: Band | None = None
    output_tokens: Band | None = None
    fresh_prompt: Band | None = None
    """Tokens that are not stored: those that are paid."""
    fresh_output: Band | None = None
    saved_prompt: Band | None = None
    """Tokens of answers that are stored."""
    saved_output: Band | None = None
    output_per_second: Band | None = None
    hours: Band | None = None
    """Hours that the model will be at work."""
    gpus: int = 0
    money: Money | None = None
    saved: Money | None = None
    tokens_from: str = "not known before it is asked: it depends on what others answer"
    speed_from: str = "not known"
    price_from: str = "not known"

    @property
    def gpu_hours(self) -> Band | None:
        """Hours times GPUs."""
        return self.hours.times(self.gpus) if self.hours and self.gpus else None


@dataclass(frozen=True)
class Cost:
    """What a stage that asks will take."""

    rows: Rows | None
    questions: Band | None
    looked_up: int
    """Questions that were put to the step; 0: the rows are not there."""
    stored: int
    """Of these, answered in the store."""
    models: tuple[Asked, ...]


def estimate(plan: Plan) -> dict[str, Cost]:
    """The cost of every stage that asks and is to run, by its name; nothing where the corpus is stored."""
    if plan.corpus.status == "stored":
        return {}
    asking = [stage for stage in plan.stages if stage.kind == "ask" and stage.status == "to run"]
    return {stage.name: estimate_stage(plan, stage) for stage in asking}


def estimate_stage(plan: Plan, stage: Stage) -> Cost:
    """The cost of one stage. Asks no model, and reads what is stored."""
    step = step_of(stage)
    calibration = calibrations.known(plan, stage)
    rows = rows_of(plan, stage, calibration)
    drawn = _drawn(plan, stage, step)
    asked = tuple(_empty(plan, stage, field) for field in stage.engines)
    if drawn is None or rows is None:
        return _without_rows(plan, stage, rows, calibration, asked)
    picked = spread(drawn.questions, LOOKED_UP, SEED)
    weighed, hows = _weighed(plan, stage, step, picked)
    whole = drawn.whole and len(picked) == len(drawn.questions)
    sizes = [size_of(question) for question in picked]
    size, questions = Band.exact(sum(map(size_of, drawn.questions))), Band.exact(len(drawn.questions))
    if calibration and rows.how != COUNTED:
        size, questions = calibration.size.times(rows.count), calibration.per_row.times(rows.count)
    elif not drawn.whole:
        size = Band.around(size.expected / drawn.rows, ROWS_SPREAD).times(rows.count)
        questions = Band.around(questions.expected / drawn.rows, ROWS_SPREAD).times(rows.count)
    models = []
    for each in asked:
        usages = [usage[each.field] for _, usage in weighed]
        taken = calibration.taken.get(each.field) if calibration else None
        if taken is not None:
            fresh = 1 - sum(s for (stored, _), s in zip(weighed, sizes, strict=True) if stored) / max(1, sum(sizes))
            each = _scaled(each, questions, size, taken, fresh)
            told = f"measured: {calibration.questions:,} questions asked in a calibration" if calibration else ""
            models.append(replace(each, tokens_from=told))
        elif any(usage.requests for usage in usages) or all(stored for stored, _ in weighed):
            each = _from_usages(each, usages, sizes, questions, size, whole)
            models.append(replace(each, tokens_from=hows[each.field]))
        else:
            models.append(each)
    stored = sum(stored for stored, _ in weighed)
    return Cost(rows, questions, len(picked), stored, tuple(_priced(plan, stage, each) for each in models))


@dataclass(frozen=True)
class _Drawn:
    questions: list[Any]
    rows: int
    """Rows that these are the questions of."""
    whole: bool
    """Whether these are all rows of the stage."""


def _drawn(plan: Plan, stage: Stage, step: Ask) -> _Drawn | None:
    """Questions of the rows that are there already, if there are any."""
    before = stored_before(plan, stage)
    if before is None:
        return None
    inputs = tuple(plan.stage(name) for name in stage.inputs)
    questions: list[Any] = []
    rows = 0
    all_stored = all(is_stored(plan, each) for each in before)
    for frame in _parts(plan, before) if all_stored else _heads(plan, before):
        try:
            questions += step.questions(frame)
        except (pl.exceptions.PolarsError, KeyError):  # a column that a step between is to write
            return None
        rows += frame.height
        if rows >= ROWS_READ:
            break
    whole = before == inputs and all_stored and rows == sum(plan.record(s)["rows"]["kept"] for s in before)
    return _Drawn(questions, rows, whole) if rows or whole else None


def _parts(plan: Plan, stages: Sequence[Stage]) -> Iterator[pl.DataFrame]:
    parts = [part for stage in stages for part in plan.parts(stage)]
    return (pl.read_parquet(part) for part in from_all_over(parts))


def _heads(plan: Plan, stages: Sequence[Stage]) -> Iterator[pl.DataFrame]:
    """Rows of sources of which some are not read yet, as many of each as it has among all.

    Nothing is fetched from the Hub for it, and of a large file only the first rows are read.
    """
    sizes = {stage.name: total((by_source(plan, stage) or {}).values()).expected for stage in stages}
    for stage in stages:
        share = sizes[stage.name] / max(1, sum(sizes.values()))
        wanted = math.ceil(share * 2 * LOOKED_UP)
        if is_stored(plan, stage):
            frame = pl.read_parquet(plan.parts(stage)[0])
        else:
            assert stage.located is not None
            if any(f.url.startswith("hf://") for f in stage.located.files):
                continue
            small = sum(f.size for f in stage.located.files) <= SMALL_BYTES
            frames = list(read(plan, stage, None if small else wanted))
            if not frames:
                continue
            frame = pl.concat(frames)
        yield frame[spread(range(frame.height), wanted, SEED)]


def step_of(stage: Stage) -> Ask:
    """The step of a stage that asks."""
    (step,) = stage.steps
    assert isinstance(step, Ask)
    return step


def _empty(plan: Plan, stage: Stage, field: str) -> Asked:
    name, model = plan.ready.model(step_of(stage).asked()[field])
    return Asked(field, name, model.engine)


def _without_rows(
    plan: Plan, stage: Stage, rows: Rows | None, calibration: Calibration | None, asked: Sequence[Asked]
) -> Cost:
    """The cost where no questions are at hand: by row, from a calibration or an earlier version."""
    models, questions = [], None
    before = _in_earlier(plan, stage) if calibration is None else None
    for each in asked:
        if rows and calibration and each.field in calibration.taken:
            taken = calibration.taken[each.field]
            size = calibration.size.times(rows.count)
            questions = calibration.per_row.times(rows.count)
            each = _scaled(each, questions, size, taken, 1.0)
            told = f"measured: {calibration.questions:,} questions asked in a calibration"
            each = replace(each, tokens_from=told)
        elif rows and before and each.field in before[0]["generation"]:
            record, version = before
            requests, prompt, output = (
                rows.count.times(Band.around(spent[word] / max(1, record["rows"]["in"]), EARLIER_SPREAD))
                for spent in [record["generation"][each.field]]
                for word in ("requests", "prompt_tokens", "output_tokens")
            )
            each = _split(each, requests, prompt, output, 1.0)
            each = replace(each, tokens_from=f"measured in {version}, by row")
        models.append(_priced(plan, stage, each))
    return Cost(rows, questions, 0, 0, tuple(models))


def _in_earlier(plan: Plan, stage: Stage) -> tuple[dict[str, Any], str] | None:
    """The record of this stage in the last version in which the same models were asked by the same step."""
    for manifest in earlier(plan):
        identities = {name: model["identity"] for name, model in manifest["lock"]["models"].items()}
        names = {field: _empty(plan, stage, field).model for field in stage.engines}
        same = all(identities.get(names[field]) == engine.identity for field, engine in stage.engines.items())
        for record in manifest["stages"]:
            if record["name"] == stage.name and same and "generation" in record:
                return record, f"{manifest['name']}@{manifest['version']}"
    return None


def _scaled(asked: Asked, questions: Band, size: Band, taken: Taken, fresh: float) -> Asked:
    """What all questions take, by a calibration; `fresh` is the share that is not stored."""
    prompt, output = taken.prompt.of_all(questions, size), taken.output.of_all(questions, size)
    return _split(asked, taken.requests.of_all(questions, size), prompt, output, fresh)


def _split(asked: Asked, requests: Band, prompt: Band, output: Band, fresh: float) -> Asked:
    return replace(
        asked,
        requests=requests,
        prompt_tokens=prompt,
        output_tokens=output,
        fresh_prompt=prompt.times(fresh),
        fresh_output=output.times(fresh),
        saved_prompt=prompt.times(1 - fresh),
        saved_output=output.times(1 - fresh),
    )


def _from_usages(
    asked: Asked, usages: Sequence[Usage], sizes: Sequence[int], questions: Band, size: Band, whole: bool
) -> Asked:
    """What all questions take, from what some of them do, by their length."""

    def of_all(amounts: Callable[[Usage], Band]) -> Band:
        bands = [amounts(usage) for usage in usages]
        found = fit([band.expected for band in bands], sizes, whole=whole).of_all(questions, size)
        off = total(bands)
        return found.times(Band(1, off.low / off.expected, off.high / off.expected)) if off.expected else Band.exact(0)

    again = Band(1, 1, 1 + RETRIES if any(usage.fresh for usage in usages) else 1)
    return replace(
        asked,
        requests=of_all(lambda u: Band.exact(u.requests)).times(again),
        prompt_tokens=of_all(lambda u: u.prompt_tokens),
        output_tokens=of_all(lambda u: u.output_tokens),
        fresh_prompt=of_all(lambda u: total(u.prompt)),
        fresh_output=of_all(lambda u: total(u.output)),
        saved_prompt=of_all(lambda u: Band.exact(u.stored_prompt)),
        saved_output=of_all(lambda u: Band.exact(u.stored_output)),
    )


def _weighed(
    plan: Plan, stage: Stage, step: Ask, questions: Sequence[Any]
) -> tuple[list[tuple[bool, dict[str, Usage]]], dict[str, str]]:
    """What the questions take, and how that is known, by field."""
    folder = plan.ready.catalog.folder
    with ExitStack() as stack:
        gauges: dict[str, Gauge] = {}
        for field, engine in stage.engines.items():
            name, model = plan.ready.model(step.asked()[field])
            identity = ModelIdentity(name, engine.identity)
            where, store = folder_of(plan.store.generations, identity), None
            if where.exists():
                store = stack.enter_context(GenerationStore(plan.store.generations, identity))
            weigher = Weigher(
                model,
                cache(lambda model=model: counter(model, folder)),
                cache(lambda where=where: habits(where)),
                step.translates(),
            )
            gauges[field] = Gauge(engine, store, weigher)
        weighed = asyncio.run(weigh(step, questions, gauges))
    return weighed, {field: _told(gauge.hows) for field, gauge in gauges.items()}


def _told(hows: Mapping[str, set[str]]) -> str:
    if not hows["prompt"]:
        return "stored answers"
    if hows["prompt"] == hows["output"]:
        return "; ".join(sorted(hows["prompt"]))
    return "; ".join(f"{word}: {' and '.join(sorted(said))}" for word, said in hows.items())


def _priced(plan: Plan, stage: Stage, asked: Asked) -> Asked:
    """With hours and money, as far as they are known."""
    model: Model = plan.ready.catalog.catalog.models[asked.model]
    if asked.engine == "recorded":
        nothing = Band.exact(0)
        return replace(asked, hours=nothing, price_from="recorded answers cost nothing", speed_from="recorded answers")
    asked = _timed(plan, stage, asked, model)
    if asked.fresh_prompt is None or asked.fresh_output is None:
        return asked
    if (price := model.price_per_million) is not None:
        fresh = total([asked.fresh_prompt.times(price.prompt), asked.fresh_output.times(price.output)])
        saved = total(
            [(asked.saved_prompt or _NONE).times(price.prompt), (asked.saved_output or _NONE).times(price.output)]
        )
        return replace(
            asked,
            money=Money(fresh.times(1e-6), price.currency),
            saved=Money(saved.times(1e-6), price.currency),
            price_from="price_per_million in the catalog",
        )
    if (hourly := model.price_per_gpu_hour) is not None and asked.hours is not None:
        money = Money(asked.hours.times(asked.gpus).times(hourly.amount), hourly.currency)
        saved_money = None
        if asked.saved_output and asked.output_per_second:
            spared = asked.saved_output.over(asked.output_per_second).times(asked.gpus / 3600)
            saved_money = Money(spared.times(hourly.amount), hourly.currency)
        return replace(asked, money=money, saved=saved_money, price_from="price_per_gpu_hour in the catalog")
    if asked.engine == "local":
        return replace(asked, price_from="runs on this machine")
    return asked


_NONE = Band.exact(0)


def _timed(plan: Plan, stage: Stage, asked: Asked, model: Model) -> Asked:
    identity = ModelIdentity(asked.model, stage.engines[asked.field].identity)
    measured = speed(folder_of(plan.store.generations, identity))
    if measured is not None:
        rate, gpus = Band.around(measured.output_per_second, SPEED_SPREAD), measured.gpus
        how = f"measured on {measured.on} over {measured.answers:,} answers"
        if not gpus and model.throughput:
            gpus = model.throughput.gpus  # those behind an endpoint, which only the catalog can know
    elif model.throughput is not None:
        rate, gpus = Band.around(model.throughput.output_per_second, 0.3), model.throughput.gpus
        how = f"the catalog: {model.throughput.source}"
    elif asked.fresh_output is not None and not asked.fresh_output.high:
        return replace(asked, hours=_NONE)
    else:
        return asked
    hours = None if asked.fresh_output is None else asked.fresh_output.over(rate).times(1 / 3600)
    return replace(asked, output_per_second=rate, hours=hours, gpus=gpus, speed_from=how)
