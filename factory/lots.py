"""Lots: a fair order of rows that any machine draws alike, and how many rows of every stratum stay."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import polars as pl
import xxhash

from hala_factory.errors import did_you_mean

Columns = dict[str, pl.DataType]


def draw(frame: pl.DataFrame, seed: int) -> pl.Series:
    """Every row's lot: a hash of the seed, its id and its origin, so that no other row has a say in it."""
    origin = [
        pl.col("origin").struct.field(name).cast(pl.String).fill_null("") for name in ("file", "position", "part")
    ]
    spelt = frame.select(pl.concat_str([pl.lit(str(seed)), "id", *origin], separator="\x1f")).to_series()
    return pl.Series("lot", [xxhash.xxh3_64_intdigest(line) for line in spelt.cast(pl.Binary)], dtype=pl.UInt64)


def stratum(by: list[str], edges: Mapping[str, list[float]]) -> pl.Expr:
    """The stratum of a row as JSON, `{"source":"a"}`; numbers are told as the interval they are in."""
    values = [_interval(name, sorted(set(edges[name]))) if name in edges else pl.col(name) for name in by]
    named = [value.cast(pl.String).alias(name) for name, value in zip(by, values, strict=True)]
    return pl.struct(named).struct.json_encode().alias("stratum")


def _interval(name: str, edges: list[float]) -> pl.Expr:
    spelt = [str(int(edge) if edge == int(edge) else edge) for edge in edges]
    label = pl.when(pl.col(name).is_not_null()).then(pl.lit(f"under {spelt[0]}")).otherwise(None)
    for number, edge in enumerate(edges):
        above = f"{spelt[number]} to {spelt[number + 1]}" if number + 1 < len(edges) else f"{spelt[number]} and more"
        label = pl.when(pl.col(name) >= edge).then(pl.lit(above)).otherwise(label)
    return label


def faults(by: list[str], edges: Mapping[str, list[float]], columns: Columns) -> list[tuple[str, str]]:
    """What is wrong with strata made of these columns: (field, message)."""
    simple = {name: kind for name, kind in columns.items() if not kind.is_nested() and name != "id"}
    found: list[tuple[str, str]] = []
    for name in by:
        if name not in simple:
            found.append(("by", f"the rows have no column {name!r} to part them by{did_you_mean(name, simple)}"))
        elif simple[name].is_numeric() and name not in edges:
            found.append(
                ("by", f"{name!r} is a number: say where its strata part, e.g. edges: {{{name}: [100, 1000]}}")
            )
    for name in edges:
        if name not in by:
            found.append(("edges", f"{name!r} does not stand in 'by'"))
        elif name in simple and not simple[name].is_numeric():
            found.append(("edges", f"{name!r} is no number"))
    return found


def apportioned(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """`total` in parts as the weights have it, exact to the row: the largest remainders are rounded up."""
    whole = sum(map(Fraction, weights.values()), Fraction())
    if not whole:
        return dict.fromkeys(weights, 0)
    exact = {name: Fraction(weight) * total / whole for name, weight in weights.items()}
    parts = {name: int(part) for name, part in exact.items()}
    order = sorted(exact, key=lambda name: (parts[name] - exact[name], name))
    for name in order[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def most_within(weights: Mapping[str, float], sizes: Mapping[str, int]) -> int:
    """The largest total whose parts, as the weights have them, no stratum is too small for."""
    whole = sum(map(Fraction, weights.values()), Fraction())
    return min((int(sizes[n] * whole / Fraction(w)) for n, w in weights.items() if w), default=0)


def filled(weights: Mapping[str, float], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` in parts as the weights have it; what a stratum has too few rows for, the others give in their parts."""
    parts: dict[str, int] = {}
    left = {name: weight for name, weight in weights.items() if weight}
    while left:
        rest = total - sum(parts.values())
        whole = sum(map(Fraction, left.values()), Fraction())
        short = [name for name, weight in left.items() if Fraction(weight) * rest / whole >= sizes[name]]
        if not short:
            return parts | apportioned(left, rest)
        parts |= {name: sizes[name] for name in short}
        left = {name: weight for name, weight in left.items() if name not in short}
    return parts


def ranked(rows: pl.DataFrame, over: str) -> pl.DataFrame:
    """The rows with their `rank` among those of the same stratum, from 1, by their lots."""
    return rows.with_columns(rank=pl.col("lot").rank("ordinal").over(over))
