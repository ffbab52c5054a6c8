"""People: how well each of them answers what is known, and what they said before; and how far they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from hala_factory.review import agreement
from hala_factory.review.estimates import share
from hala_factory.review.questions import VERDICTS


def annotators(sample: pl.DataFrame, answers: pl.DataFrame) -> list[dict[str, Any]]:
    """Per pseudonym: answers by status, known answers that were right, and tasks answered alike both times.

    A known answer is right if it says good where good was known, and not good where it was not.
    """
    kinds = sample.select("task", "kind", "of", "expected")
    said = answers.join(kinds, on="task").with_columns(given=pl.col("status") == "submitted")
    found = []
    for (who,), rows in said.group_by(["annotator"], maintain_order=True):
        mine = rows.filter("given")
        verdicts = dict(mine.select("task", "verdict").iter_rows())
        gold = mine.filter(pl.col("kind") == "gold")
        right = gold.filter((pl.col("verdict") == "good") == (pl.col("expected") == "good")).height
        again = [(verdicts[of], v) for of, v in mine.filter(pl.col("of").is_not_null()).select("of", "verdict").iter_rows() if of in verdicts]  # fmt: skip # noqa: E501
        status = {s: int((rows["status"] == s).sum()) for s in ("submitted", "draft", "discarded")}
        found.append(
            {
                "annotator": str(who),
                **status,
                "gold": share(right, gold.height),
                "repeats": share(sum(a == b for a, b in again), len(again)),
            }
        )
    return sorted(found, key=lambda f: (-f["submitted"], f["annotator"]))


def agreed(sample: pl.DataFrame, answers: pl.DataFrame) -> dict[str, Any]:
    """How far people agree on tasks that several answered; gold is left out, as its answer is no matter of opinion."""
    asked = sample.filter(pl.col("kind") != "gold").select("task")
    given = answers.filter(pl.col("status") == "submitted").join(asked, on="task")
    order = list(VERDICTS)
    places = [pl.col("verdict") == word for word in order]
    counted = given.group_by("task", maintain_order=True).agg(p.sum().alias(w) for w, p in zip(order, places, strict=True))  # fmt: skip # noqa: E501
    counts = counted.select(order).to_numpy().astype(np.float64)
    several = int((counts.sum(1) >= 2).sum()) if len(counts) else 0
    if not several:
        return {"tasks": 0, "raw": None, "alpha": None, "interval": None, "alpha_nominal": None, "ac1": None}
    return {
        "tasks": several,
        "raw": agreement.raw(counts),
        "alpha": agreement.alpha(counts),
        "interval": agreement.interval(counts),
        "alpha_nominal": agreement.alpha(counts, "nominal"),
        "ac1": agreement.ac1(counts),
    }
