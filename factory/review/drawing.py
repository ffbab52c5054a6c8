"""The draw: which rows of a finished corpus people look at, and as what; the same for the same rows and plan."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from hala_factory.acceptance import Review, Sampling, sampling
from hala_factory.review.allocating import Share, sliced
from hala_factory.review.frame import NONE, Frame, edges

Kind = Literal["accept", "thin", "dropped", "gold", "repeat"]
"""Why a task is asked: it decides; its stratum is thin; it was dropped; its answer is known; it is asked again."""


@dataclass(frozen=True)
class Picked:
    """One row that is drawn."""

    kind: Kind
    file: int
    line: int
    id: str
    source: str
    origin: dict[str, Any]
    score: float | None
    stratum: str
    """The range of its score, or the step and reason that dropped it."""
    draws: int
    """How often it counts in the decision."""
    inclusion: float
    """How probably a row of its source and range is looked at, or one that was dropped for its reason."""


@dataclass(frozen=True)
class Drawn:
    """All that is drawn of a corpus."""

    plan: Sampling
    edges: tuple[float, ...]
    rows: tuple[Picked, ...]
    strata: tuple[dict[str, Any], ...]
    """By source and range of the score: rows, and how many were drawn to decide and are looked at in all."""
    spare: tuple[Picked, ...] = field(default=())
    """Other rows, of which tasks with a known answer are made."""
    lost: tuple[dict[str, Any], ...] = field(default=())
    """By step and reason: rows that were dropped, and how many are looked at."""


def draw(folder: Path, review: Review, salt: str, spare: int, barriers: Iterable[str]) -> Drawn:
    """Draw of the rows in `folder`, and of those it dropped, but for duplicates and what else `barriers` took."""
    files = tuple(sorted((folder / "data").glob("*.parquet")))
    bounds = edges(files, review.score, review.bins)
    frame = Frame(files, f"{salt}-{review.seed}", score=review.score, edges=bounds)
    counts = frame.counts()
    plan = sampling(review.accept_if, counts.total())
    if not plan.rows:
        return Drawn(plan, bounds, (), ())
    need = plan.draws if plan.method == "simple" else 0
    shares = {} if need else sliced(plan, counts, frame.salt)
    wanted = {s: min(n, max(need or shares[s].rows, review.min_per_stratum) + spare) for s, n in counts.items()}
    found = frame.first(wanted)
    if need:
        chosen = found.sort("key", "file", "line").head(plan.draws)
        by = chosen.group_by("group", "part").len()
        held = {(source, part): n for source, part, n in by.iter_rows()}
        shares = {s: Share(held.get(s, 0), 0) for s in counts}
    rows: list[Picked] = []
    others: list[tuple[int, Picked]] = []
    strata = []
    for (source, part), lines in found.group_by(["group", "part"], maintain_order=True):
        stratum = (str(source), int(str(part)))
        share, size = shares[stratum], counts[stratum]
        seen = max(share.rows, min(review.min_per_stratum, size))
        name = label(stratum[1], bounds, scored=review.score is not None)
        for number, line in enumerate(lines.iter_rows(named=True)):
            kind: Kind = "accept" if number < share.rows else "thin"
            draws = (2 if number < share.twice else 1) if kind == "accept" else 0
            made = _picked(line, kind, name, draws, seen / size)
            if number < seen:
                rows.append(made)
            else:
                others.append((line["key"], made))
        strata.append({"source": source, "bin": name, "rows": size, "drawn": share.rows, "asked": seen})
    others.sort(key=lambda pair: pair[0])
    lost, told = _dropped(folder, review.dropped, frame.salt, set(barriers))
    return Drawn(
        plan,
        bounds,
        (*rows, *lost),
        tuple(strata),
        tuple(made for _, made in others[:spare]),
        tuple(told),
    )


def _picked(line: dict[str, Any], kind: Kind, stratum: str, draws: int, inclusion: float) -> Picked:
    names = ("file", "line", "id", "source", "origin", "score")
    return Picked(kind, **{n: line[n] for n in names}, stratum=stratum, draws=draws, inclusion=inclusion)


def label(part: int, bounds: tuple[float, ...], *, scored: bool) -> str:
    """The range of a score in words."""
    if part == NONE and scored:
        return "no score"
    if part == NONE or not bounds:
        return "all"
    low, high = (f"{bounds[i]:.4g}" if 0 <= i < len(bounds) else "" for i in (part - 1, part))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"below {high}"


def _dropped(folder: Path, count: int, salt: str, barriers: set[str]) -> tuple[list[Picked], list[dict[str, Any]]]:
    """Dropped rows to look at: of every reason some, in proportion to the square root of its rows."""
    files = tuple(sorted((folder / "dropped").glob("*.parquet")))
    if not count or not files:
        return [], []
    asked = (pl.col("status") == "dropped") & ~pl.col("step").is_in(sorted(barriers))
    frame = Frame(files, f"{salt}-dropped", ("step", "reason"), asked)
    sizes = {reason: n for (reason, _), n in frame.counts().items()}
    shares = spread(sizes, count)
    if not shares:
        return [], []
    found = frame.first({(reason, NONE): n for reason, n in shares.items()})
    rows = [_picked(r, "dropped", r["group"], 0, shares[r["group"]] / sizes[r["group"]]) for r in found.to_dicts()]
    return rows, [{"reason": r, "rows": sizes[r], "asked": shares[r]} for r in sorted(shares)]


def spread(sizes: dict[str, int], count: int) -> dict[str, int]:
    """`count` shared out among groups by the square roots of their sizes, one each as far as it goes."""
    order = sorted(sizes, key=lambda g: (-sizes[g], g))
    given = {g: 1 for g in order[:count]}
    for _ in range(min(count, sum(sizes.values())) - len(given)):
        open_ = [g for g in given if given[g] < sizes[g]]
        if not open_:
            break
        given[max(open_, key=lambda g: (math.sqrt(sizes[g]) / given[g], g))] += 1
    return given
