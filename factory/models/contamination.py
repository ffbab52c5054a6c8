"""What went into a model: the corpora it was trained on, their licences, and what was found of benchmarks in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.benchmarks import Located
from hala_factory.models.step import Bench, Checkpoint, Reading
from hala_factory.store import Store, read_json

_STEP = "decontaminate"


def attributed(bench: Bench) -> list[dict[str, Any]]:
    """Every corpus that went into the model, with those it was made of itself, against the benchmarks of the bench.

    `compared` is whether its rows were held against a benchmark: `yes`, `no`, or `with other questions` (its sample,
    or another revision of it); `dropped` are the rows that fell for it.
    """
    told = []
    for reading in _all(bench.read, bench.store):
        name, _, version = reading.corpus.partition("@")
        manifest = bench.store.manifest(name, version)
        entry: dict[str, Any] = {"corpus": reading.corpus, "digest": reading.digest, "by": reading.by}
        if manifest is None or manifest["digest"] != reading.digest:  # gone, or a `dev` that was rebuilt
            entry |= {"licence": None, "published_under": None, "benchmarks": {}, "gone": True}
        else:
            licence = manifest["licence"]
            entry |= {"licence": licence["licence"], "published_under": licence["published_under"]}
            entry["benchmarks"] = _compared(manifest, bench.tests, bench.store)
        told.append(entry)
    return told


def went_into(checkpoint: Checkpoint) -> tuple[Reading, ...]:
    """The corpora that went into a model of the store, as its manifest says."""
    manifest = read_json(checkpoint.place / "manifest.json") if isinstance(checkpoint.place, Path) else None
    if manifest is None or manifest.get("kind") != "model":
        return ()
    made = f"{manifest['name']}@{manifest['version']}"
    return tuple(Reading(r["corpus"], r["digest"], f"{made}: {r['by']}") for r in manifest.get("corpora", []))


def sentences(read: list[dict[str, Any]]) -> list[str]:
    """What `attributed` found, a sentence or more for each corpus."""
    lines = []
    for entry in read:
        head = f"{entry['corpus']} ({entry['digest'][:19]}…), read by {entry['by']}"
        if entry.get("gone"):
            lines.append(f"{head}: no longer in the store, so that nothing is known of its licence and its rows")
            continue
        licence = entry["published_under"] or f"{entry['licence'] or 'no one licence'}, and may not be published"
        against = entry["benchmarks"]
        clean = [f"{n} ({_rows(f['dropped'])} dropped)" for n, f in against.items() if f["compared"] == "yes"]
        other = [
            f"{n} ({_rows(f['dropped'])} dropped)"
            for n, f in against.items()
            if f["compared"] == "with other questions"
        ]
        never = [n for n, f in against.items() if f["compared"] == "no"]
        parts = [f"decontaminated against {', '.join(clean)}"] if clean else []
        parts += [f"decontaminated against other questions of {', '.join(other)}"] if other else []
        parts += [f"not decontaminated against {', '.join(never)}"] if never else []
        lines.append("; ".join([f"{head}: under {licence}", *parts]))
    return lines


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _all(read: tuple[Reading, ...], store: Store) -> Iterator[Reading]:
    """Each corpus once, and behind it those that it names as sources."""
    queue, seen = list(read), set()
    while queue:
        reading = queue.pop(0)
        if (reading.corpus, reading.digest) in seen:
            continue
        seen.add((reading.corpus, reading.digest))
        yield reading
        name, _, version = reading.corpus.partition("@")
        manifest = store.manifest(name, version) or {"lock": {"sources": {}}}
        for source in manifest["lock"]["sources"].values():
            if parent := source.get("corpus"):
                digest = (store.manifest(*parent.partition("@")[::2]) or {}).get("digest", "")
                queue.append(Reading(parent, digest, reading.corpus))


def _compared(manifest: dict[str, Any], tests: Mapping[str, Located], store: Store) -> dict[str, dict[str, Any]]:
    locked = manifest["lock"].get("benchmarks", {})
    dropped = _dropped(manifest, store)
    found = {}
    for name, located in tests.items():
        if name not in locked:
            found[name] = {"compared": "no", "dropped": 0}
            continue
        then = {file: facts["digest"] for file, facts in locked[name]["files"].items()}
        same = then == {file.name: file.digest for file in located.files.files}
        found[name] = {"compared": "yes" if same else "with other questions", "dropped": dropped.get(name, 0)}
    return found


def _dropped(manifest: dict[str, Any], store: Store) -> dict[str, int]:
    """Rows that fell for a benchmark, by its name."""
    labels = [step["label"] for step in manifest["steps"] if step["step"] == _STEP]
    counts: dict[str, int] = {}
    for file in sorted(store.corpus(manifest["name"], manifest["version"]).glob("dropped/*.parquet")):
        rows = pl.scan_parquet(file)
        for label in labels:
            column = f"{label}.benchmark"
            if column not in rows.collect_schema():
                continue
            fell = rows.filter(pl.col("step") == label, pl.col("status") == "dropped")
            for name, n in fell.group_by(column).len().collect().iter_rows():
                counts[name] = counts.get(name, 0) + n
    return counts
