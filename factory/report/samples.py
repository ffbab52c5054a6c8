"""Samples: a few hundred real rows, some of every reason and of every source, always the same ones."""

from __future__ import annotations

from typing import Any

import polars as pl

from hala_factory.passages import plain, turns
from hala_factory.report.corpus import Corpus

BROWSED = 300
"""Rows of the sample browser."""


def examples_of(corpus: Corpus, shown: int) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Of every step and reason some rows that it lost, as `told`."""
    lines = _lowest(corpus, "dropped", ["step", "reason"], shown)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in corpus.rows("dropped", lines):
        found.setdefault((row["step"], row["reason"]), []).append(told(row))
    return found


def browsed(corpus: Corpus, manifest: dict[str, Any], measures: list[str]) -> list[dict[str, Any]]:
    """The rows of the browser, each with the value of every one of `measures` and how many steps it `passed`.

    Lost rows share half of the places by reason, kept ones the rest by source, by the order of their ids.
    """
    kinds = sum(len(manifest["rows"][status]) for status in ("dropped", "failed"))
    lost = _lowest(corpus, "dropped", ["step", "reason"], max(2, BROWSED // 2 // max(1, kinds)))
    lost = lost[: BROWSED * 2 // 3]
    sources = [n for n, s in manifest["sources"].items() if s["kept"]]
    kept = _lowest(corpus, "data", ["source"], max(1, (BROWSED - len(lost)) // max(1, len(sources))))
    rows = [*corpus.rows("dropped", lost), *corpus.rows("data", kept[: BROWSED - len(lost)])]
    road = ["source", *(label for s in manifest["stages"] for label in s["steps"])]
    made = []
    for row in rows:
        passed = road.index(row["step"]) if row.get("step") in road else len(road)
        made.append({**told(row), "measures": [_short(row.get(m)) for m in measures], "passed": passed})
    return sorted(made, key=lambda r: (r["id"], r["source"], r["place"]))


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the page shows it; a row that could not be read has no text but what the reader said of it."""
    texts = {k: v for k, v in row.items() if "." not in k and isinstance(v, list | dict) and k != "origin"}
    origin = row["origin"] or {}
    return {
        "id": row["id"] or "",
        "source": row["source"],
        "place": plain(f"{origin.get('file')}:{origin.get('position')}"),
        "status": row.get("status") or "kept",
        "step": row.get("step") or "",
        "reason": row.get("reason") or "",
        "detail": plain(row.get("detail") or "")[:400],
        "licence": row.get("licence") or "",
        "turns": turns({k: v for k, v in texts.items() if v}),
        "row": row,
    }


def _lowest(corpus: Corpus, word: str, by: list[str], count: int) -> list[int]:
    """The lines of the `count` rows with the lowest ids of every group: ids are digests, so this is by chance."""
    scan = pl.scan_parquet(corpus.files(word)).select(*by, pl.col("id").fill_null("")).with_row_index("line")
    low = scan.group_by(by).agg(pl.col("line").sort_by("id", "line").head(count)).explode("line")
    return low.select(pl.col("line").drop_nulls().sort()).collect()["line"].to_list()


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
