"""`why`: the journey of one row through the stages of a corpus, from its own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.errors import InputError
from hala_factory.lineage import came_from
from hala_factory.rows import HEAD, LEDGER
from hala_factory.store import Store

SHORTEST = 6
"""Characters of an id that must be given."""


def journeys(corpus: Path, manifest: dict[str, Any], row: str) -> list[dict[str, Any]]:
    """Every row whose id begins with `row`: where it stood, what each step measured, and how it ended.

    Equal rows of one source share an id, so there may be several. Raises InputError when `row` is too short.
    """
    if len(row) < SHORTEST:
        raise InputError(f"{row!r}: give at least {SHORTEST} characters of a row's id")
    found = []
    for folder in ("data", "dropped"):
        for path in sorted((corpus / folder).glob("*.parquet")):
            lines = pl.scan_parquet(path).filter(pl.col("id").str.starts_with(row)).collect()
            found += [journey(line, manifest) for line in lines.iter_rows(named=True)]
    return sorted(found, key=lambda f: (f["id"], f["source"], f["origin"]["position"]))


def journey(line: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """What became of one row of a corpus: its texts and, step by step, measures, rule and verdict."""
    status = line.get("status") or "kept"
    locked = manifest["lock"]["sources"]
    origin, steps = came_from(line, locked), []
    came = str(line["origin"]["file"]).partition(":")[0] if origin else line["source"]
    order = [(s["name"], label) for s in manifest["stages"] for label in (s["steps"] or ["source"])]
    for stage, label in order:
        measures = {c.split(".", 1)[1]: v for c, v in line.items() if c.startswith(f"{label}.") and v is not None}
        last = status != "kept" and line["stage"] == stage and line["step"] == label
        if label == "source" and stage != f"source-{came}":
            continue
        steps.append(
            {
                "stage": stage,
                "step": label,
                "verdict": status if last else "passed",
                "reason": line["reason"] if last else None,
                "detail": line["detail"] if last else None,
                "measures": measures,
                "rule": _rule(label, manifest),
            }
        )
        if last:
            break
    return {
        "id": line["id"],
        "source": line["source"],
        "origin": line["origin"],
        "status": status,
        "text": texts(line),
        "steps": steps,
        **({"came_from": {"corpus": origin[0], "file": origin[1]}} if origin else {}),
    }


def before(store: Store, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The journeys that a row made before, through the corpora it came from, the last one first.

    They end where a corpus is not in the store any more.
    """
    found: list[dict[str, Any]] = []
    while "came_from" in told:
        name, _, version = told["came_from"]["corpus"].partition("@")
        manifest = store.manifest(name, version)
        file = store.corpus(name, version) / "data" / told["came_from"]["file"]
        if manifest is None or not file.is_file():
            break
        line = pl.scan_parquet(file).slice(told["origin"]["position"] - 1, 1).collect()
        if not line.height:
            break
        told = {"artifact": f"{name}@{version}", **journey(line.row(0, named=True), manifest)}
        found.append(told)
    return found


def _rule(label: str, manifest: dict[str, Any]) -> dict[str, Any]:
    for step in manifest["steps"]:
        if step["label"] == label:
            return {k: v for k, v in step.items() if v is not None and (k.startswith(("min_", "max_")) or k == "keep")}
    return {}


def texts(line: Mapping[str, Any]) -> dict[str, Any]:
    """The texts of a row, by their columns."""
    return {
        k: v
        for k, v in line.items()
        if "." not in k and v is not None and k not in HEAD and k not in LEDGER and k != "stage"
    }


def example(corpus: Path) -> str:
    """The id of the row that was dropped last: no other went further."""
    lines = [pl.scan_parquet(p).select("id", "stage") for p in sorted((corpus / "dropped").glob("*.parquet"))]
    ids = pl.concat(lines).collect().get_column("id").to_list() if lines else []
    if not ids:
        raise InputError("no row was dropped: there is no example to tell")
    return str(ids[-1])


def tell(told: dict[str, Any]) -> str:
    """A journey as text."""
    origin = told["origin"]
    lines = [
        f"{told['id']}  {told['artifact']}: {told['status']}",
        f"  {told['source']}, {origin['file']}, record {origin['position']}"
        + (f", message {origin['part'] + 1}" if origin["part"] else ""),
    ]
    for column, value in told["text"].items():
        lines += [f"  {column}: {part}" for part in _shown(value)]
    lines.append("")
    for step in told["steps"]:
        measures = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in step["measures"].items())
        ended = step["verdict"] if step["reason"] is None else f"{step['verdict'].upper()}: {step['reason']}"
        rule = ", ".join(f"{k} {v}" for k, v in step["rule"].items()) if step["reason"] else ""
        lines.append(
            f"  {step['step']:<16} {ended}"
            + (f" ({measures})" if measures else "")
            + (f"; rule: {rule}" if rule else "")
        )
        if step["detail"]:
            lines += [f"  {'':<16} {part}" for part in str(step["detail"]).splitlines()[:4]]
    return "\n".join(lines)


def _shown(value: Any, width: int = 160) -> list[str]:
    if isinstance(value, list):
        return [f"{turn['role']}: {_cut(turn['content'], width)}" for turn in value]
    if isinstance(value, dict):
        return [f"{k}: {_cut(v, width)}" for k, v in value.items()]
    return [_cut(value, width)]


def _cut(value: Any, width: int) -> str:
    if value is None:
        return "(nothing)"
    text = " ".join(str(value).split())
    return text if len(text) <= width else text[: width - 1] + "…"
