"""How many rows a stage will read, and rows to draw questions from, while what it reads is not built yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from hala_factory import reader
from hala_factory.cost.band import Band, total
from hala_factory.cost.calibration import Calibration
from hala_factory.errors import HalaError
from hala_factory.plan import Plan, Stage

SMALL_BYTES = 4_000_000
"""Source files up to this size are read to count their rows: it takes less than the tenth of a second."""
COUNTED_BYTES = 1_000_000_000
"""Source files up to this size have their lines counted, at about a second for a gigabyte."""
COUNTED = "counted"
"""How rows are known that are there."""
SHARE_SPREAD = 0.2
"""How far a share of rows that are kept may be off that of an earlier version, or of a sample's."""


_FOUND: dict[tuple[str, int | None], Band | None] = {}
"""Rows of sources by the fingerprint of their stage, which stands for the content of their files, and by the size that
the catalog names, which does not decide what is built."""


@dataclass(frozen=True)
class Rows:
    """The rows that a stage will read."""

    count: Band
    how: str
    upper_bound: bool = False
    """Whether it is only known that there are no more."""


def stored_before(plan: Plan, stage: Stage) -> tuple[Stage, ...] | None:
    """The nearest stages before one whose rows are stored, or its sources; None where a model answers between."""
    before = tuple(plan.stage(name) for name in stage.inputs)
    if all(is_stored(plan, each) for each in before) or any(each.kind == "source" for each in before):
        return before
    if any(each.kind == "ask" for each in before):
        return None
    return stored_before(plan, before[0])


def is_stored(plan: Plan, stage: Stage) -> bool:
    """Whether a stage is stored now; the plan says whether it was."""
    return plan.folder(stage).record() is not None


def rows_of(plan: Plan, stage: Stage, calibration: Calibration | None) -> Rows | None:
    """The rows that a stage will read; None where that cannot be known."""
    before = tuple(plan.stage(name) for name in stage.inputs)
    if all(is_stored(plan, each) for each in before):
        return Rows(Band.exact(sum(plan.record(each)["rows"]["kept"] for each in before)), COUNTED)
    while not (all(is_stored(plan, each) for each in before) or any(each.kind == "source" for each in before)):
        before = tuple(plan.stage(name) for name in before[0].inputs)
    counted = [by_source(plan, each) for each in before]
    if any(each is None for each in counted):
        return None
    rows: dict[str, Band] = {}
    for each in counted:
        rows |= each or {}
    names = [each.name for each in before]
    measured = calibration.shares if calibration and calibration.before == names else {}
    told = "rows that are there" if all(is_stored(plan, each) for each in before) else "sizes of the sources"
    known = [(measured, f"{told}, shares kept in the calibration"), *_earlier_shares(plan, stage, names)]
    for shares, how in known:
        if rows.keys() <= shares.keys():
            kept = total(
                Band(n.expected * shares[s], n.low * shares[s] * (1 - SHARE_SPREAD), _most(n, shares[s]))
                for s, n in rows.items()
            )
            return Rows(kept, how)
    most = total(rows.values())
    return Rows(
        Band(most.high, 0.0, most.high),
        f"at most, by {told}: what is dropped is not known",
        True,
    )


def _most(rows: Band, share: float) -> float:
    return rows.high * min(1.0, share * (1 + SHARE_SPREAD))


def by_source(plan: Plan, stage: Stage) -> dict[str, Band] | None:
    """Rows that a stage leaves, by source; None where nobody knows."""
    if is_stored(plan, stage):
        return {s: Band.exact(counts["kept"]) for s, counts in plan.record(stage)["sources"].items()}
    assert stage.use is not None
    key = (stage.fingerprint, plan.ready.sources[stage.use.source].size)
    if key not in _FOUND:
        _FOUND[key] = _in_files(plan, stage)
    found = _FOUND[key]
    if found is None:
        return None
    corpus = stage.located.corpus if stage.located else None
    shares = {stage.use.source: 1} if corpus is None else corpus.kept
    whole = max(1, sum(shares.values()))
    return {s: found.times(share / whole) for s, share in shares.items()}


def _in_files(plan: Plan, stage: Stage) -> Band | None:
    """Rows of a source that was not read yet."""
    assert stage.use is not None
    assert stage.located is not None
    entry, limit = plan.ready.sources[stage.use.source], stage.use.limit
    files = stage.located.files
    here = not any(f.url.startswith("hf://") for f in files)
    count: float | None
    exact = not stage.use.where
    if here and sum(f.size for f in files) <= SMALL_BYTES:
        try:
            count, exact = sum(frame.height for frame in read(plan, stage, limit)), True
        except HalaError:  # a torn file is told by the build
            count = None
    elif stage.located.corpus is not None and stage.located.corpus.sides is not None:
        count, exact = entry.size, False  # how many messages its rows have is not known
    elif here and stage.located.format == "parquet":
        count = sum(pq.read_metadata(f.url).num_rows for f in files)
    elif here and stage.located.format in ("jsonl", "moses", "csv", "tsv") and _countable(files):
        count = sum(_lines(Path(f.url)) for f in files) / (2 if stage.located.format == "moses" else 1)
        exact = exact and stage.located.format == "jsonl"
    else:
        count, exact = None if plan.ready.samples else entry.size, False
    if count is None:
        return None if limit is None else Band(limit, 0.0, limit)
    low = count if exact else 0.9 * count
    return Band(*(min(n, limit) if limit else n for n in (count, low, count)))


def _countable(files: Iterable[reader.File]) -> bool:
    files = tuple(files)
    plain = not any(f.name.endswith((".gz", ".zst", ".zip")) for f in files)
    return plain and sum(f.size for f in files) <= COUNTED_BYTES


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))


def read(plan: Plan, stage: Stage, limit: int | None) -> Iterable[pl.DataFrame]:
    """Rows of a source that was not read yet, straight from its files."""
    assert stage.use is not None
    assert stage.located is not None
    entry = plan.ready.sources[stage.use.source]
    batches = reader.read(
        stage.use.source, entry, stage.located, where=dict(stage.use.where), limit=limit, batch_rows=1_000
    )
    return (batch.rows for batch in batches)


def _earlier_shares(plan: Plan, stage: Stage, before: list[str]) -> list[tuple[dict[str, float], str]]:
    """By source, the share of the rows of `before` that reached the stage in the last version that had both."""
    found = []
    for manifest in earlier(plan):
        stages = {s["name"]: s for s in manifest["stages"]}
        if stage.name not in stages or not stages.keys() >= set(before):
            continue
        reached = stages[stage.name]["sources"]
        kept: dict[str, int] = {}
        for name in before:
            for source, counts in stages[name]["sources"].items():
                kept[source] = kept.get(source, 0) + counts["kept"]
        shares = {s: reached.get(s, {"in": 0})["in"] / n for s, n in kept.items() if n}
        found.append((shares, f"sizes of the sources, shares kept in {manifest['name']}@{manifest['version']}"))
    return found


def earlier(plan: Plan) -> list[dict[str, Any]]:
    """Versions of the recipe that stand, those of the same profile first, the newest first."""
    found = plan.store.versions(plan.ready.recipe.name)[::-1]
    return sorted(found, key=lambda m: m["profile"] != plan.ready.profile)
