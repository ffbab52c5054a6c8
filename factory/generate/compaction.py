"""Compaction: many small segments become few large ones, while others read and write.

The model:
- Segments of like size are merged when there are `MANY` of them, so an answer is written again a handful of times
  in its life and the number of files grows with the logarithm of the answers.
- The merged segment has the token of what went into it and is renamed into place before the others go. A crash
  between the two leaves segments that it says it replaces: readers pass them over, the next compaction removes them.
- A reader that has lost a segment to a compaction looks at the folder again; what it needs stands in the new one.
- One process at a time compacts a folder; another one that would goes on without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hala_factory.generate import locks, segments

MANY = 16
"""Segments of like size that are merged into one."""
LARGE_ROWS = 131_072
"""Rows from which on a segment is left as it is: about 50 MB, and a megabyte of footer to open it."""


@dataclass(frozen=True)
class Done:
    """What a compaction did."""

    merged: int = 0
    """Segments that are no more."""
    into: int = 0
    """Segments that were written."""


def compact(folder: Path, *, many: int = MANY) -> Done:
    """Merge segments of like size where there are `many`; with 2, all that are not large.

    Does nothing where another process is at it. Raises BuildError for a torn segment and a full disk; whatever
    happens, every answer stays in a segment that stands.
    """
    with locks.used(folder), locks.compacting(folder) as ours:
        if not ours:
            return Done()
        sizes = _sizes(folder)
        done = Done()
        for group in _groups(sizes, many):
            _merge(folder, group)
            done = Done(done.merged + len(group), done.into + 1)
        return done


def _sizes(folder: Path) -> dict[Path, int]:
    """Rows of every segment that counts; those that another one replaces are removed."""
    current, replaced = segments.sorted_out(folder)
    _remove(folder, replaced)
    return {path: segments.row_count(path) for path in current}


def _groups(sizes: dict[Path, int], many: int) -> list[list[Path]]:
    """What is to be merged: by like size (within a factor of 16), up to `LARGE_ROWS` and a little more each."""
    tiers: dict[int, list[Path]] = {}
    for path, rows in sizes.items():
        if rows < LARGE_ROWS:
            tiers.setdefault(rows.bit_length() // 4 if many > 2 else 0, []).append(path)
    groups = []
    for tier in tiers.values():
        group: list[Path] = []
        for path in tier if len(tier) >= many else ():
            group.append(path)
            if sum(sizes[p] for p in group) >= LARGE_ROWS:
                groups.append(group)
                group = []
        groups.append(group)
    return [g for g in groups if len(g) > 1]


def _merge(folder: Path, paths: list[Path]) -> None:
    names = sorted(p.name for p in paths)
    merged = segments.segment_path(folder, hashlib.sha256("\n".join(names).encode()).hexdigest()[:12])
    heads = [segments.head(path, number) for number, path in enumerate(paths)]
    counts = segments.counting(heads)
    oldest = sorted(range(len(paths)), key=lambda number: heads[number]["time"].sort()[0])

    def kept() -> Iterator[pa.Table]:
        for number in oldest:
            start = 0
            for table in segments.rows(paths[number]):
                yield table.filter(counts[number].slice(start, table.num_rows).to_arrow())
                start += table.num_rows

    segments.write(merged, kept(), names)
    _remove(folder, paths)


def _remove(folder: Path, paths: list[Path]) -> None:
    """Remove segments that another one replaces; who is about to list them either sees that one or all of these."""
    if paths:
        with locks.listing(folder, changing=True):
            for path in paths:
                path.unlink()
