"""Correcting: what people corrected in a review, as the step `corrections` of the next version reads it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.errors import InputError
from hala_factory.review import loading
from hala_factory.review.decks import Turn, parted
from hala_factory.review.keeping import kept
from hala_factory.store import Store, atomic


@dataclass(frozen=True)
class Found:
    """Corrected rows of one review."""

    rows: list[dict[str, Any]]
    """`id`, `source`, `review`, `by` (pseudonym), `at`, `turns` (each `turn`, `was`, `now`)."""
    notes: list[str]


def corrections(store: Store, artifact: str) -> Found:
    """The corrections of `name@version`, a row each, whatever the review decided.

    Where people corrected a row differently, what most of them wrote is taken, else what was written last; a note
    tells so. Raises InputError where there is no such review, or nobody has answered it.
    """
    deck = loading.load(store, artifact)
    folder = next((k for k in kept(store, deck.name, deck.version) if k.told["digest"] == deck.digest), None)
    if folder is None:
        raise InputError(f"nobody has answered the review of {artifact} yet")
    given = folder.answers().filter((pl.col("status") == "submitted") & pl.col("correction").is_not_null())
    tasks = folder.sample().filter(pl.col("kind").is_in(["accept", "thin", "repeat"])).drop("row")
    by_row: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for answer in given.join(tasks, on="task").sort("at", "task").to_dicts():
        by_row.setdefault((answer["row"], answer["source"]), []).append(answer)
    rows, notes = [], []
    for (row, source), answers in sorted(by_row.items()):
        chosen, note = _chosen(answers)
        notes += [f"{row}: {note}"] if note else []
        turns = [Turn(**turn) for turn in chosen["turns"]]
        texts = parted(chosen["correction"], turns)
        if texts is None:
            notes.append(f"{row}: left out, as its headings (### user, …) are not those of the row")
            continue
        changed = [
            {"turn": i, "was": turn.target, "now": now}
            for i, (turn, now) in enumerate(zip(turns, texts, strict=True))
            if now != turn.target.strip()
        ]
        if changed:
            at = chosen["at"].isoformat(timespec="seconds")
            who = chosen["annotator"]
            rows.append({"id": row, "source": source, "review": artifact, "by": who, "at": at, "turns": changed})
    return Found(rows, notes)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write corrections, one row a line. Raises BuildError where the file cannot be written."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


def _chosen(answers: list[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The correction to take, of answers in the order of time, and a note where they differ."""
    counted = Counter(a["correction"].strip() for a in answers)
    if len(counted) == 1:
        return answers[-1], ""
    (text, most), (_, second) = counted.most_common(2)
    if most > second:
        chosen = [a for a in answers if a["correction"].strip() == text][-1]
        return chosen, f"{len(counted)} different corrections; taken is what {most} of {len(answers)} wrote"
    chosen = answers[-1]
    return chosen, f"{len(counted)} different corrections; taken is the last, by {chosen['annotator']}"
