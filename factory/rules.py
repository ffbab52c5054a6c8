"""Rules: which bound on which measure drops a row, read off the steps' own rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hala_factory.step import Ask, RowStep, Step

_BOUND = re.compile(r'\(col\("(\w+)"\)\) (<=|>=|<|>) \(dyn (?:int|float): (-?[\d.]+(?:[eE][-+]?\d+)?)\)')
"""A bound as polars writes an expression."""


@dataclass(frozen=True)
class Rule:
    """A row whose `measure` stands in relation `sign` to `bound` is dropped by the step `label` for `reason`."""

    label: str
    measure: str
    reason: str
    sign: str
    bound: float
    field: str | None
    """The field of the step that sets the bound, where one does."""


def rules(steps: Sequence[Step]) -> list[Rule]:
    """Every rule of these steps that compares a measure with a number.

    Of a rule with several comparisons the last is meant: those before it say for which rows it holds.
    """
    found = []
    for step in steps:
        if not isinstance(step, RowStep | Ask):
            continue
        for reason, expression in step.rules():
            bounds = _BOUND.findall(str(expression))
            if bounds:
                measure, sign, number = bounds[-1]
                field = _field(step, measure, reason, float(number))
                found.append(Rule(step.label, measure, reason, sign, float(number), field))
    return found


def _field(step: Step, measure: str, reason: str, bound: float) -> str | None:
    fields = [
        f
        for f in type(step).thresholds()
        if isinstance(value := getattr(step, f, None), int | float) and float(value) == bound
    ]
    named = [f for f in fields if f.partition("_")[2] in (measure, reason)]
    return next(iter(named or (fields if len(fields) == 1 else [])), None)
