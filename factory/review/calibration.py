"""Calibration: which thresholds of the filters would best tell the bad rows that people found from the others.

The model: every rule that compares a measure with a bound is tried with every bound between the values of the judged
rows. Its separation is Youden's J (1950): the share of bad rows that it would drop, less that of the others. The best
of many bounds looks good by chance alone, so labels are shuffled, and it is told how often chance does as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory.rules import Rule

FEWEST = 10
"""Bad rows, and others, below which nothing is said: with fewer, the interval of a share is wider than half of all."""
SHUFFLES = 500
SHOWN = 5
Array = npt.NDArray[np.float64]


def calibrate(
    judged: pl.DataFrame, rules: Sequence[Rule], values: pl.DataFrame, artifact: str, seed: int = 0
) -> dict[str, Any]:
    """The best bounds, best first. `values` has the measures of the judged rows, in their order (`label.measure`)."""
    bad = (judged["said"] == "bad").to_numpy()
    weights = (1 / judged["inclusion"]).to_numpy()
    counts = {"bad": int(bad.sum()), "others": int((~bad).sum()), "fewest": FEWEST}
    if min(counts["bad"], counts["others"]) < FEWEST:
        return {**counts, "enough": False, "thresholds": []}
    tried = {(r.label, r.measure, r.sign, r.field): r for r in rules if r.field and _usable(values, r)}
    orders = [(rule, *_cuts(values[f"{rule.label}.{rule.measure}"], rule.sign)) for rule in tried.values()]
    orders = [(rule, order, cuts) for rule, order, cuts in orders if len(cuts)]
    if not orders:
        return {**counts, "enough": True, "thresholds": []}
    rng = np.random.default_rng(seed)
    shuffled = np.array([rng.permutation(bad) for _ in range(SHUFFLES)])
    chance = np.max([_separations(shuffled, order, cuts).max(1) for _, order, cuts in orders], axis=0)
    found = []
    for rule, order, cuts in orders:
        separations = _separations(bad[None, :], order, cuts)[0]
        best = int(separations.argmax())
        found.append(_told(rule, values, bad, weights, order, int(cuts[best]), float(separations[best]), chance))
    found.sort(key=lambda f: -f["separation"])
    shown = [{**f, "whatif": f"hala-factory whatif {artifact} --set {f['set']}"} for f in found[:SHOWN]]
    return {**counts, "enough": True, "thresholds": shown}


def _usable(values: pl.DataFrame, rule: Rule) -> bool:
    name = f"{rule.label}.{rule.measure}"
    return name in values.columns and values.schema[name].is_numeric()


def _cuts(column: pl.Series, sign: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows in the order in which a bound that is tightened drops them, and after how many it can stop.

    Rows without the measure are never dropped: they stand last.
    """
    numbers = column.cast(pl.Float64).to_numpy().copy()
    known = np.isfinite(numbers)
    order = np.argsort(np.where(known, numbers if sign[0] == "<" else -numbers, np.inf), kind="stable")
    sorted_ = numbers[order][: int(known.sum())]
    ends = np.flatnonzero(sorted_[1:] != sorted_[:-1]) + 1
    return order, ends


def _separations(bad: npt.NDArray[np.bool_], order: npt.NDArray[np.int64], cuts: npt.NDArray[np.int64]) -> Array:
    """Youden's J at every cut, for every line of labels."""
    found = bad[:, order].cumsum(1)[:, cuts - 1]
    all_bad = bad.sum(1, keepdims=True)
    return np.asarray(found / all_bad - (cuts - found) / (bad.shape[1] - all_bad), dtype=np.float64)


def _told(
    rule: Rule,
    values: pl.DataFrame,
    bad: npt.NDArray[np.bool_],
    weights: Array,
    order: npt.NDArray[np.int64],
    cut: int,
    separation: float,
    chance: Array,
) -> dict[str, Any]:
    column = values[f"{rule.label}.{rule.measure}"]
    gone, stays = order[:cut], order[cut:]
    last, first = (float(column[int(order[i])]) for i in (cut - 1, cut))
    if column.dtype.is_integer():
        bound = f"{int(last if len(rule.sign) == 2 else first)}"
    else:
        bound = f"{(last + first) / 2:.4g}"
        between = min(last, first) < float(bound) < max(last, first)
        bound = bound if between else repr((last + first) / 2)
    left = float(weights[stays].sum())
    return {
        "measure": f"{rule.label}.{rule.measure}",
        "now": rule.bound,
        "set": f"{rule.label}.{rule.field}={bound}",
        "separation": separation,
        "by_chance": float((chance >= separation - 1e-12).mean()),
        "bad_dropped": int(bad[gone].sum()),
        "others_dropped": int((~bad[gone]).sum()),
        "share_before": float(weights[bad].sum() / weights.sum()),
        "share_after": float(weights[stays][bad[stays]].sum() / left) if left else None,
        "kept": left / float(weights.sum()),
    }
