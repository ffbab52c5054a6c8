"""How far the measures of kept rows moved between two versions, by source: the population stability index (PSI).

PSI = Σ (pᵢ − qᵢ) · ln(pᵢ / qᵢ) over bins of equal weight in A. Rule of thumb (Siddiqi, Credit Risk Scorecards, 2006):
below 0.1 the distribution is the same for practical purposes, from 0.1 to 0.25 it moved, above 0.25 it is another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory.diff.version import Version, chars

BINS = 10
"""Ten bins of equal weight, as in the credit scorecards the index comes from."""
MOVED, ANOTHER = 0.1, 0.25
"""Bounds of the rule of thumb."""
MIN_ROWS = 200
"""With fewer rows on a side, chance alone brings PSI near 0.1: it is about (BINS − 1)(1/n + 1/m)."""
MAX_ROWS = 20_000
"""Of a larger source so many rows are taken, evenly: chance then adds no more than 0.001."""
MAX_WORDS = 50
"""A measure in words (a language, a kind) is compared when it has no more different ones."""
TEXT_CHARS = "text.chars"
"""Characters of the whole text of a row, which every version has."""


def drift(a: Version, b: Version) -> list[dict[str, Any]]:
    """`source`, `measure`, `psi`, `verdict`, and per side `rows`, `mean` (numbers) or `most` (words); greatest first.

    Only sources that have at least MIN_ROWS rows on both sides, and measures that both have.
    """
    sampled = [_sampled(v) for v in (a, b)]
    found = []
    for source in sorted(set(sampled[0]) & set(sampled[1])):
        one, other = sampled[0][source], sampled[1][source]
        if min(one.height, other.height) < MIN_ROWS:
            continue
        for name in (c for c in one.columns if c in other.columns and one.schema[c] == other.schema[c]):
            told = _compared(one[name].drop_nulls(), other[name].drop_nulls())
            if told is not None:
                found.append({"source": source, "measure": name, **told})
    return sorted(found, key=lambda f: (-f["psi"], f["source"], f["measure"]))


def verdict(psi: float) -> str:
    """The rule of thumb in plain words."""
    if psi < MOVED:
        return "the same, for practical purposes"
    return "moved" if psi < ANOTHER else "another distribution"


def psi(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    """The index of two histograms over the same bins; half a row is added to each bin, so that none is empty."""
    p, q = ((n + 0.5) / (n.sum() + 0.5 * len(n)) for n in (a, b))
    return float(((p - q) * np.log(p / q)).sum())


def _sampled(v: Version) -> dict[str, pl.DataFrame]:
    measures = [c for c, t in v.schema.items() if "." in c and (t.is_numeric() or t in (pl.Boolean, pl.String))]
    scan = pl.scan_parquet(v.files["data"])
    counts = dict(scan.group_by("source").len().collect().iter_rows())
    step = pl.col("source").replace_strict({s: -(-n // MAX_ROWS) for s, n in counts.items()}, return_dtype=pl.Int64)
    turn = pl.int_range(pl.len()).over("source")
    lines = scan.select("source").with_columns(every=step).select(keep=turn % pl.col("every") == 0).collect()["keep"]
    chosen = lines.arg_true()
    numbers = scan.with_row_index("\x1eline").filter(pl.col("\x1eline").is_in(chosen.implode()))
    taken = numbers.select("source", *measures, chars(v.body, v.schema).alias(TEXT_CHARS)).collect()
    return {str(key[0]): part.drop("source") for key, part in taken.partition_by("source", as_dict=True).items()}


def _compared(one: pl.Series, other: pl.Series) -> dict[str, Any] | None:
    if min(len(one), len(other)) < MIN_ROWS:
        return None
    if one.dtype == pl.String:
        words = pl.concat([one, other]).unique().sort()
        if len(words) > MAX_WORDS:
            return None
        counts = [np.array([dict(s.value_counts().iter_rows()).get(w, 0) for w in words]) for s in (one, other)]
        told = [{"rows": len(s), "most": s.mode().sort()[0]} for s in (one, other)]
    else:
        values = [s.cast(pl.Float64).to_numpy() for s in (one, other)]
        values = [v[np.isfinite(v)] for v in values]
        if not min(map(len, values)):
            return None
        counts = _binned(*values)
        told = [{"rows": len(v), "mean": round(float(v.mean()), 4)} for v in values]
    index = round(psi(*counts), 4)
    return {"psi": index, "verdict": verdict(index), "a": told[0], "b": told[1]}


def _binned(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> list[npt.NDArray[np.int64]]:
    """Counts of both over bins that hold equal parts of `one`; a value that many rows share is a bin of its own."""
    edges = np.unique(np.quantile(one, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = 2 * len(edges) + 1
    counts = []
    for values in (one, other):  # below, on and above each edge: 2i + 1 is on edge i
        left, right = np.searchsorted(edges, values, "left"), np.searchsorted(edges, values, "right")
        counts.append(np.bincount(left + right, minlength=bins))
    used = (counts[0] + counts[1]) > 0
    return [c[used] for c in counts]
