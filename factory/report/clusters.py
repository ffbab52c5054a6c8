"""Clusters of duplicates: which rows stayed for how many others, from what the dedups noted in the ledger."""

from __future__ import annotations

from typing import Any

import polars as pl

from hala_factory.report.corpus import Corpus
from hala_factory.report.samples import told

_STAYED = r" ([0-9a-f]{24}) of ([^ ]+)(?: in [^ ]+)?$"
SIZES = (2, 3, 5, 10, 100)
"""Lower ends of the groups of sizes."""


def clusters(corpus: Corpus, manifest: dict[str, Any], shown: int = 3) -> list[dict[str, Any]]:
    """Of every dedup that dropped rows: `step`, `rows`, `clusters`, `sizes`, between which sources, and the largest.

    A cluster is the row that stayed with all that went for it.
    """
    barriers = [label for s in manifest["stages"] if s["kind"] == "barrier" for label in s["steps"]]
    scan = pl.scan_parquet(corpus.files("dropped")).with_row_index("line")
    named = pl.col("detail").str.extract_groups(_STAYED).struct
    gone = scan.filter(pl.col("step").is_in(barriers)).select(
        "line", "step", "source", stayed=named.field("1"), of=named.field("2")
    )
    frame = gone.filter(pl.col("stayed").is_not_null()).collect()
    found = []
    for step in (b for b in barriers if b in set(frame["step"])):
        mine = frame.filter(pl.col("step") == step)
        sizes = mine.group_by("stayed", "of").agg(size=pl.len() + 1, lines=pl.col("line"))
        sizes = sizes.sort("size", "stayed", descending=[True, False])
        between = (
            mine.group_by("source", "of").len("rows").sort("rows", "source", "of", descending=[True, False, False])
        )
        found.append(
            {
                "step": step,
                "rows": mine.height,
                "clusters": sizes.height,
                "sizes": _grouped(sizes["size"].to_list()),
                "between": between.head(8).to_dicts(),
                "largest": [_cluster(corpus, c) for c in sizes.head(shown).to_dicts()],
            }
        )
    return found


def _cluster(corpus: Corpus, cluster: dict[str, Any]) -> dict[str, Any]:
    copies = [told(row) for row in corpus.rows("dropped", sorted(cluster["lines"])[:2])]
    stayed = pl.scan_parquet(corpus.files("data")).filter(pl.col("id") == cluster["stayed"]).head(1).collect()
    row = told(stayed.to_dicts()[0]) if stayed.height else None
    return {"size": cluster["size"], "of": cluster["of"], "id": cluster["stayed"], "stayed": row, "copies": copies}


def _grouped(sizes: list[int]) -> list[dict[str, Any]]:
    found = []
    for low, high in zip(SIZES, [*(s - 1 for s in SIZES[1:]), None], strict=True):
        count = sum(low <= s and (high is None or s <= high) for s in sizes)
        if count:
            name = str(low) if high == low else f"{low} and more" if high is None else f"{low} to {high}"
            found.append({"name": name, "clusters": count})
    return found
