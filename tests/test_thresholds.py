"""Thresholds: fields on which only the verdict depends, which is what lets `whatif` judge without measuring."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from hala_factory.rows import HEAD
from hala_factory.step import Barrier, Filter, Normaliser, Step, registered
from tests.questions import TABLES
from tests.test_filter_promises import COLUMNS, MODELLED, OPTIONS, frames

VALUES: list[Any] = [None, 0, 1, 2, 7, 0.05, 0.4, 0.95]
"""Tried in place of each threshold; what a field does not take is left out."""


def looking() -> list[Step]:
    """Every step that measures or indexes, with its defaults."""
    kinds = (Filter, Normaliser, Barrier)
    return [
        cls(**OPTIONS.get(word, {})).bound(TABLES)
        for word, cls in registered().items()
        if issubclass(cls, kinds) and cls.__module__.startswith("hala_factory.filters.") and word not in MODELLED
    ]


def others(step: Step) -> list[Step]:
    """The step with one threshold changed, for each of them."""
    made = []
    for name in step.thresholds():
        for value in VALUES:
            try:
                other = type(step).model_validate({**step.model_dump(by_alias=True), name: value}).bound(TABLES)
            except ValidationError:
                continue
            if other != step:
                made.append(other)
                break
    return made


def seen(step: Step, frame: pl.DataFrame) -> pl.DataFrame:
    step = step.bound(TABLES)
    if isinstance(step, Normaliser):
        left, found = step.normalise(frame)
        return left.hstack(found.rename({c: f"measure {c}" for c in found.columns}))
    if isinstance(step, Barrier):
        return step.index(frame)
    assert isinstance(step, Filter)
    return step.measure(frame)


@pytest.mark.parametrize("step", looking(), ids=lambda step: step.step)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=frames())
def test_no_threshold_decides_what_is_measured(step: Step, frame: pl.DataFrame) -> None:
    head = {
        "id": pl.format("row{}", pl.int_range(pl.len())),
        "source": pl.lit("one"),
        "subset": pl.lit(None, pl.String),
        "licence": pl.lit("CC0-1.0"),
        "origin": pl.struct(file=pl.lit("a.jsonl"), position=pl.int_range(pl.len()) + 1, part=pl.lit(0, pl.Int32)),
    }
    frame = frame.select(**head, **{c: pl.col(c) for c in COLUMNS}).cast(HEAD)  # type: ignore[arg-type]
    was = seen(step, frame)
    for other in others(step):
        before, now = was, seen(other, frame)
        # A bound that is set may ask for a measure more, which `whatif` then finds lacking.
        if isinstance(step, Filter) and isinstance(other, Filter):
            assert set(was.columns) ^ set(now.columns) == set(step.measures()) ^ set(other.measures())
            both = [c for c in was.columns if c in now.columns]
            before, now = was.select(both), now.select(both)
        assert now.equals(before), f"{other!r} measures otherwise"


@pytest.mark.parametrize("step", looking(), ids=lambda step: step.step)
def test_the_fields_that_are_named_exist(step: Step) -> None:
    named = {*step.measured_by, *step.judged_by}
    assert named <= set(type(step).model_fields)
    assert all(f.startswith(("min_", "max_")) for f in step.measured_by)
    assert not any(f.startswith(("min_", "max_")) for f in step.judged_by)
