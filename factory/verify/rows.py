"""The rows of a version, read once in batches: digest, schema, ledger, licences, identities, exports."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory.errors import BuildError
from hala_factory.rows import LEDGER
from hala_factory.run.assembling import CONVERSATIONS, RowDigest, to_conversations
from hala_factory.run.files import batches
from hala_factory.verify.files import MANIFEST, Finding

BUCKETS = 64
"""Files of hashes on disk, one of which is in memory at a time: 8 bytes a row, so 100 million rows take 13 MB."""
SHOWN = 3
_PLACE = ["id", "source", "origin"]


@dataclass
class Seen:
    """What the rows of a version say."""

    findings: list[Finding] = field(default_factory=list)
    rows: int = 0
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Kept rows by source and licence."""
    lost: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Other rows by stage, source, status and `step.reason`."""


def in_rows(folder: Path, manifest: dict[str, Any]) -> Seen:
    """Read all rows of a version and compare them with its manifest. Memory does not grow with the rows."""
    seen = Seen()
    try:
        with tempfile.TemporaryDirectory(prefix="hala-factory-") as scratch:
            places = _Places(Path(scratch))
            _kept(folder, manifest, seen, places)
            _lost(folder, manifest, seen, places)
            seen.findings += places.repeated(folder)
    except (BuildError, pl.exceptions.PolarsError) as error:
        seen.findings.append(Finding("data/ or dropped/", f"cannot be read: {error}"))
        return seen
    seen.findings += [Finding(MANIFEST, problem) for problem in _counted(manifest, seen)]
    return seen


def _kept(folder: Path, manifest: dict[str, Any], seen: Seen, places: _Places) -> None:
    digest = RowDigest(manifest["columns"])
    others = "conversations" in manifest["exports"]
    for path in sorted((folder / "data").glob("*.parquet")):
        name = f"data/{path.name}"
        if not _fits(path, name, manifest["columns"], seen):
            continue
        twin = folder / "conversations" / path.name
        said = {n: str(t) for n, t in CONVERSATIONS.items()}
        compared = others and _fits(twin, f"conversations/{path.name}", said, seen)
        twins: Iterator[pl.DataFrame] = batches(twin) if compared else itertools.repeat(pl.DataFrame())
        for frame, other in zip(batches(path), twins, strict=False):
            seen.rows += frame.height
            digest.update(frame)
            places.note(frame)
            for source, licence, n in frame.group_by("source", "licence").len().iter_rows():
                seen.kept[source, licence] += n
            if compared and not to_conversations(frame).equals(other):
                seen.findings.append(Finding(f"conversations/{path.name}", f"holds other rows than {name}"))
                compared, twins = False, itertools.repeat(pl.DataFrame())
    if f"sha256:{digest.hexdigest()}" != manifest["digest"]:
        message = f"digest: the rows have sha256:{digest.hexdigest()[:12]}…, it says {manifest['digest'][:19]}…"
        seen.findings.append(Finding(MANIFEST, message))


def _lost(folder: Path, manifest: dict[str, Any], seen: Seen, places: _Places) -> None:
    columns = {"stage": "String", **{n: str(t) for n, t in LEDGER.items()}, **manifest["columns"]}
    for path in sorted((folder / "dropped").glob("*.parquet")):
        if not _fits(path, f"dropped/{path.name}", columns, seen):
            continue
        for frame in batches(path):
            seen.rows += frame.height
            places.note(frame)
            counted = frame.group_by("stage", "source", "status", "step", "reason").len()
            for stage, source, status, step, reason, n in counted.iter_rows():
                seen.lost[stage, source, status, f"{step}.{reason}"] += n


def _fits(path: Path, name: str, columns: dict[str, str], seen: Seen) -> bool:
    """Whether a file has these columns and types, in this order."""
    if not path.exists():
        seen.findings.append(Finding(name, "is missing"))
        return False
    found = {n: str(t) for n, t in pl.read_parquet_schema(path).items()}
    if list(found.items()) == list(columns.items()):
        return True
    wrong = (
        next(
            (f"{n} is {found.get(n, 'missing')}, expected {columns.get(n, 'no such column')}")
            for n in [*columns, *found]
            if found.get(n) != columns.get(n)
        )
        if found != columns
        else "they stand in another order"
    )
    seen.findings.append(Finding(name, f"has other columns than the manifest says: {wrong}"))
    return False


def _counted(manifest: dict[str, Any], seen: Seen) -> list[str]:
    """Where the rows that were counted are not those that the manifest counts."""
    found = []
    kept: Counter[str] = Counter()
    for (source, _), n in seen.kept.items():
        kept[source] += n
    for source in sorted({*kept, *manifest["sources"]}):
        said = manifest["sources"].get(source, {"kept": 0})["kept"]
        if kept[source] != said:
            found.append(f"sources: {source}: {kept[source]} rows are kept, it says {said}")
    parts = {(p["name"], p["licence"]): p["rows"] for p in manifest["licence"]["parts"] if p["kind"] == "source"}
    for place in sorted({*seen.kept, *parts}):
        if seen.kept[place] != parts.get(place, 0):
            found.append(f"licence: {' under '.join(place)}: {seen.kept[place]} rows, it says {parts.get(place, 0)}")
    said_lost = {
        (stage["name"], source, status, reason): n
        for stage in manifest["stages"]
        for source, told in stage["sources"].items()
        for status in ("dropped", "failed")
        for reason, n in told[status].items()
    }
    for key in sorted({*seen.lost, *said_lost}):
        if seen.lost[key] != said_lost.get(key, 0):
            stage, source, status, reason = key
            message = f"stages: {stage}: {source}: {seen.lost[key]} rows {status} by {reason}"
            found.append(f"{message}, it says {said_lost.get(key, 0)}")
    return found


class _Places:
    """Finds rows of one source that stand at one place in it, which would be one row told twice."""

    def __init__(self, scratch: Path) -> None:
        self._files = [(scratch / f"{n:02d}").open("w+b") for n in range(BUCKETS)]

    def note(self, frame: pl.DataFrame) -> None:
        """Remember where these rows come from: a hash each, in the bucket that its value names."""
        hashes = _hashes(frame)
        buckets = hashes % np.uint64(BUCKETS)
        for number in np.unique(buckets):
            hashes[buckets == number].tofile(self._files[int(number)])

    def repeated(self, folder: Path) -> list[Finding]:
        """Places at which several rows stand, a few of them named."""
        twice = []
        for file in self._files:
            file.flush()
            file.seek(0)
            found, counts = np.unique(np.fromfile(file, dtype=np.uint64), return_counts=True)
            twice.append(found[counts > 1])
            file.close()
        suspects = np.concatenate(twice)
        if not len(suspects):
            return []
        files = [*sorted((folder / "data").glob("*.parquet")), *sorted((folder / "dropped").glob("*.parquet"))]
        picked = [
            frame.select(_PLACE).filter(pl.Series(np.isin(_hashes(frame), suspects)))
            for f in files
            for frame in batches(f)
        ]
        same = pl.concat(picked).group_by("source", "origin").agg("id").filter(pl.col("id").list.len() > 1)
        if not same.height:
            return []  # hashes that are equal by chance
        shown = [
            f"{source}, {o['file']}, record {o['position']} (ids {', '.join(ids)})"
            for source, o, ids in same.sort("source", "origin").head(SHOWN).iter_rows()
        ]
        return [Finding("data/ or dropped/", f"{same.height} places hold several rows: {'; '.join(shown)}")]


def _hashes(frame: pl.DataFrame) -> npt.NDArray[np.uint64]:
    return frame.select(pl.struct("source", "origin").hash(seed=0)).to_series().to_numpy().copy()
