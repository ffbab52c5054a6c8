"""Measures: how every step's measures are distributed over kept and lost rows, with the bounds that were set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory.report.charts import Bound, draw, histogram
from hala_factory.report.corpus import Corpus
from hala_factory.rules import Rule

MAX_WORDS = 12
"""Words of a measure in words that are listed; the others are summed up."""

MAX_WORD_CHARS = 30

LOSSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Shares of rows lost for which the page tells the bound, roughly: the bound is a round number."""


def measured(corpus: Corpus, labels: Sequence[str], rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """By step, in order: `step`, `charts` of what varies, and `constant` measures with their one value."""
    frame, _ = corpus.sample
    found = []
    for label in labels:
        charts, constant = [], []
        for name in (c for c in corpus.measures if c.startswith(f"{label}.")):
            word = name.partition(".")[2]
            mine = [r for r in rules if (r.label, r.measure) == (label, word)]
            gone = (pl.col("step") == label) & pl.col("reason").is_in([r.reason for r in mine])
            values = frame.select(name, lost=gone.fill_null(False)).filter(pl.col(name).is_not_null())
            if not values.height:
                continue
            if values[name].n_unique() == 1:
                constant.append({"measure": word, "value": values[name][0]})
            elif values.schema[name] in (pl.String, pl.Boolean):
                if word != "detail" and (words := _words(values, name)):
                    charts.append({"measure": word, "rows": values.height, "words": words, "bounds": []})
            else:
                charts.append(_numbers(values, name, mine))
        if charts or constant:
            found.append({"step": label, "charts": charts, "constant": constant})
    return found


def lengths(corpus: Corpus) -> dict[str, Any]:
    """How long kept rows are, in characters, all together and by source."""
    frame, every = corpus.sample
    kept = frame.filter(pl.col("step").is_null()) if "step" in frame.columns else frame
    if not kept.height:
        return {"chart": None, "sources": [], "every": every}
    quantiles = {f"q{q}": pl.col("chars").quantile(q / 100, "lower") for q in (5, 50, 95)}
    by_source = kept.group_by("source").agg(**quantiles, mean=pl.col("chars").mean()).sort("source")
    return {
        "chart": _drawn(_floats(kept["chars"]), np.array([]), [], "characters of kept rows"),
        "sources": by_source.to_dicts(),
        "every": every,
    }


def _numbers(values: pl.DataFrame, name: str, rules: list[Rule]) -> dict[str, Any]:
    kept, lost = (_floats(values.filter(side)[name]) for side in (~pl.col("lost"), pl.col("lost")))
    bounds = sorted({(r.sign, r.bound) for r in rules}, key=lambda b: b[1])
    said = "; ".join(f"{r.reason} where {r.sign} {r.bound:g}" for r in rules)
    word = name.partition(".")[2]
    chart = _drawn(kept, lost, bounds, f"{name}{f', {said}' if said else ''}")
    every = np.concatenate([kept, lost])
    told = [{"rule": r, "bounds": _whatif(every, r)} for r in rules]
    return {"measure": word, "rows": values.height, "rules": told, "lost": len(lost), **chart}


def _whatif(values: npt.NDArray[np.float64], rule: Rule) -> list[dict[str, Any]]:
    """Round bounds by which the rule alone would lose some percent of these rows, and the one that is set."""
    under = rule.sign.startswith("<")
    wanted = [float(f"{np.quantile(values, q if under else 1 - q):.2g}") for q in LOSSES]
    bounds = sorted({*wanted, rule.bound}, reverse=not under)
    lost = [int(_SIGNS[rule.sign](values, bound).sum()) for bound in bounds]
    return [
        {"bound": bound, "lost": n, "set": bound == rule.bound}
        for bound, n in zip(bounds, lost, strict=True)
        if bound == rule.bound or 0 < n <= len(values) / 2
    ]


_SIGNS = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def _drawn(
    kept: npt.NDArray[np.float64], lost: npt.NDArray[np.float64], bounds: list[Bound], label: str
) -> dict[str, Any]:
    told = histogram(kept, lost, bounds)
    every = np.concatenate([kept, lost])
    low, middle, high = (float(x) for x in np.quantile(every, [0, 0.5, 1]))
    label = (
        f"Histogram of {label}: {len(every):,} rows from {low:g} to {high:g}, median {middle:g}, {len(lost):,} lost"
    )
    return {
        "svg": draw(told, label),
        "low": told["low"],
        "high": told["high"],
        "cut": told["cut"],
        "min": low,
        "median": middle,
        "max": high,
        "bounds": told["lines"],
    }


def _words(values: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    counted = (
        values.group_by(pl.col(name).cast(pl.String).alias("word"))
        .len("rows")
        .sort("rows", "word", descending=[True, False])
    )
    told = counted.head(MAX_WORDS).to_dicts()
    longest = counted["word"].str.len_chars().max() or 0
    if counted.height > 4 * MAX_WORDS or int(str(longest)) > MAX_WORD_CHARS:  # ids, places, evidence
        return []
    if counted.height > MAX_WORDS:
        rest = counted.slice(MAX_WORDS)
        told.append({"word": f"{rest.height} others", "rows": rest["rows"].sum()})
    return [{**t, "word": t["word"] or "(none)"} for t in told]


def _floats(series: pl.Series) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = series.cast(pl.Float64).to_numpy()
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)
