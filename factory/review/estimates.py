"""Estimates: shares of bad rows in the whole corpus, by strata, with intervals; and points of errors by MQM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory.binomial import exact, wilson
from hala_factory.review.questions import WEIGHTS


@dataclass(frozen=True)
class Stratum:
    """What was found in one stratum."""

    rows: int
    judged: int
    bad: int


def weighted(strata: Sequence[Stratum]) -> dict[str, Any]:
    """The share of bad rows over strata, each weighed by its rows (Horvitz and Thompson), with Wilson's interval.

    The interval is that of an effective number of rows: as many as a simple sample would need for the same variance,
    or where no variance shows, that of the weights (Kish 1965). The smaller of both where rows differ in weight: a
    variance found from few bad rows is not to be trusted when it is small. Strata of which no row is judged are left
    out, and counted in `unseen`.
    """
    seen = [s for s in strata if s.judged]
    total = sum(s.rows for s in seen)
    unseen = sum(s.rows for s in strata) - total
    if not seen:
        return {"share": None, "low": 0.0, "high": 1.0, "judged": 0, "bad": 0, "rows": 0, "unseen": unseen}
    weights = [s.rows / total for s in seen]
    share = sum(w * s.bad / s.judged for w, s in zip(weights, seen, strict=True))
    kish = 1 / sum(w * w / s.judged for w, s in zip(weights, seen, strict=True))
    variance = sum(
        w * w * (p := s.bad / s.judged) * (1 - p) / max(1, s.judged - 1) * (1 - s.judged / s.rows)
        for w, s in zip(weights, seen, strict=True)
    )
    effective = min(kish, share * (1 - share) / variance) if variance > 0 else kish
    low, high = wilson(share, effective)
    judged, bad = sum(s.judged for s in seen), sum(s.bad for s in seen)
    told = {"share": share, "low": low, "high": high, "judged": judged, "bad": bad, "rows": total, "unseen": unseen}
    return {**told, "effective": effective}


def defects(judged: pl.DataFrame, told: dict[str, Any]) -> dict[str, Any]:
    """Shares of bad rows: in all, by source, and by range of the score; and the exact interval of the decision."""
    rows = judged.filter(pl.col("kind").is_in(["accept", "thin"]) & pl.col("said").is_in(["bad", "not bad"]))
    counted = {
        (source, part): (n, bad)
        for source, part, n, bad in rows.group_by("source", "stratum")
        .agg(pl.len(), (pl.col("said") == "bad").sum().alias("bad"))
        .iter_rows()
    }
    strata = [(s, Stratum(s["rows"], *counted.get((s["source"], s["bin"]), (0, 0)))) for s in told["strata"]]
    deciding = judged.filter((pl.col("kind") == "accept") & pl.col("said").is_in(["bad", "not bad"]))
    draws, bad = int(deciding["draws"].sum()), int(deciding.filter(pl.col("said") == "bad")["draws"].sum())
    low, high = exact(bad, draws)

    def by(word: str) -> list[dict[str, Any]]:
        groups = dict.fromkeys(s[word] for s, _ in strata)
        return [{word: g, **weighted([found for s, found in strata if s[word] == g])} for g in groups]

    return {
        "all": weighted([found for _, found in strata]),
        "exact": {"bad": bad, "draws": draws, "low": low, "high": high},
        "by_source": by("source"),
        "by_score": by("bin") if told["asked"]["score"] else [],
    }


def points(errors: Sequence[str], severity: str | None) -> int:
    """MQM points of one answer: the worst error by its severity, every further one as minor.

    People name the kinds of errors and how grave the worst is, not every error with its own: this is the least that
    they can have meant. Errors of no severity count as minor.
    """
    if not errors and severity is None:
        return 0
    return WEIGHTS[severity or "minor"] + WEIGHTS["minor"] * max(0, len(errors) - 1)


def mqm(judged: pl.DataFrame, answers: pl.DataFrame) -> dict[str, Any]:
    """Points per 1,000 words of the target, over the corpus: of a task the mean of its answers, weighed as its row."""
    rows = judged.filter(pl.col("kind").is_in(["accept", "thin"]) & (pl.col("answers") > 0))
    said = answers.filter(pl.col("status") == "submitted").select("task", "errors", "severity", "annotator")
    lost: dict[str, list[int]] = {}
    kinds: dict[str, int] = {}
    known = set(rows["task"])
    for task, errors, severity, _ in said.iter_rows():
        if task in known:
            lost.setdefault(task, []).append(points(errors, severity))
            for error in errors:
                kinds[error] = kinds.get(error, 0) + 1
    found = words = 0.0
    for task, turns, inclusion in rows.select("task", "turns", "inclusion").iter_rows():
        found += sum(lost[task]) / len(lost[task]) / inclusion
        words += sum(len(t["target"].split()) for t in turns) / inclusion
    return {
        "per_1000_words": 1000 * found / words if words else None,
        "rows": rows.height,
        "errors": dict(sorted(kinds.items(), key=lambda e: (-e[1], e[0]))),
    }


def share(count: int, of: int) -> dict[str, Any]:
    """A plain share with Wilson's interval."""
    low, high = wilson(count / of if of else 0.0, of)
    return {"count": count, "of": of, "share": count / of if of else None, "low": low, "high": high}


def false_drops(judged: pl.DataFrame, told: dict[str, Any]) -> dict[str, Any]:
    """Of rows that were dropped the share that people found good: in all, and by step and reason."""
    rows = judged.filter((pl.col("kind") == "dropped") & (pl.col("answers") > 0))
    counted = {r: (n, g) for r, n, g in rows.group_by("stratum").agg(pl.len(), pl.col("good").sum()).iter_rows()}
    groups = [(d["reason"], Stratum(d["rows"], *counted.get(d["reason"], (0, 0)))) for d in told["dropped"]]
    return {
        "all": _good(weighted([s for _, s in groups])),
        "by_reason": [{"reason": r, **_good(weighted([s]))} for r, s in groups if s.judged],
    }


def _good(found: dict[str, Any]) -> dict[str, Any]:
    return {("good" if word == "bad" else word): value for word, value in found.items()}
