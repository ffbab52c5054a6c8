"""Corrections of a review flow into the next version, where the text is still the one that people corrected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hala_factory.quality.corrections import Corrections
from hala_factory.review.correcting import corrections
from hala_factory.review.decks import joined
from hala_factory.review.recording import record
from tests.reviewed import PLAN, answer, deck, reviewed, store
from tests.workshop import Workshop

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


def corrected(workshop: Workshop, *changes: tuple[str, str, int], version: str = "1.0.0") -> str:
    """A review in which people changed the end of one row's text: who, to what, when. The row's id."""
    reviewed(workshop, {**PLAN, "gold_share": 0, "repeat_share": 0, "dropped": 0}, version=version).build()
    shown = deck(workshop, version)
    task = next(t for t in shown.tasks if t.batch == "double")
    text = joined(task.turns, "target")
    record(
        store(workshop),
        shown,
        [answer(task.id, who, "fix", minutes, correction=text + " " + end) for who, end, minutes in changes],
    )
    sample = pl.read_parquet(workshop.corpus(version) / "review" / "sample.parquet")
    return str(sample.filter(pl.col("task") == task.id)["row"][0])


def exported(workshop: Workshop, version: str = "1.0.0") -> dict[str, Any]:
    said = workshop.run("review", "corrections", f"small@{version}", "--out", "fixes.jsonl", "--json")
    return dict(said.json)


def test_a_correction_replaces_the_text_in_the_next_version(workshop: Workshop) -> None:
    row = corrected(workshop, ("ann", "مصححة", 0))
    assert exported(workshop)["rows"] == 1
    step = {"step": "corrections", "file": "fixes.jsonl"}
    reviewed(workshop, version="1.1.0", more=[step]).build()
    before, after = (workshop.kept(v).filter(pl.col("id") == row).row(0, named=True) for v in ("1.0.0", "1.1.0"))
    assert after["messages"][0] == before["messages"][0]
    assert after["messages"][1]["content"] == before["messages"][1]["content"] + " مصححة"
    assert after["messages_en"] == before["messages_en"]
    who = json.loads(Path("fixes.jsonl").read_text())["by"]
    assert after["corrections.detail"] == f"corrected by {who} on 2026-11-22 in the review of small@1.0.0"
    counts = workshop.kept("1.1.0")
    assert counts["corrections.changed"].sum() == 1
    assert counts["corrections.stale"].sum() == 0
    told = workshop.run("why", row, "small@1.1.0").out
    assert f"corrected by {who} on 2026-11-22" in told
    assert workshop.run("verify", "small@1.1.0").code == 0


def test_diff_says_that_people_corrected_a_row(workshop: Workshop) -> None:
    row = corrected(workshop, ("ann", "مصححة", 0))
    exported(workshop)
    reviewed(workshop, version="1.1.0", more=[{"step": "corrections", "file": "fixes.jsonl"}]).build()
    told = workshop.run("diff", "small@1.0.0", "small@1.1.0", "--json").json
    assert told["rows"]["changed"] == 1
    assert [(why["why"], why["by"], why["rows"]) for why in told["counts"]] == [("corrected", "corrections", 1)]
    said = workshop.run("diff", "small@1.0.0", "small@1.1.0").out
    assert "people corrected it in a review" in said
    assert row[:8] in said


def test_other_corrections_make_another_version(workshop: Workshop) -> None:
    corrected(workshop, ("ann", "مصححة", 0))
    exported(workshop)
    step = {"step": "corrections", "file": "fixes.jsonl"}
    reviewed(workshop, version="1.1.0", more=[step]).build()
    Path("fixes.jsonl").rename("moved.jsonl")
    reviewed(workshop, version="1.1.0", more=[{**step, "file": "moved.jsonl"}]).build()
    lines = Path("moved.jsonl").read_text()
    Path("moved.jsonl").write_text(lines.replace("مصححة", "أخرى"))
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 2
    assert "bump the version" in said.err


@pytest.mark.parametrize(
    ("changes", "end", "note"),
    [
        ([("ann", "أ", 0), ("bob", "ب", 5)], "ب", "2 different corrections; taken is the last, by reviewer-"),
        ([("ann", "أ", 9), ("bob", "ب", 5)], "أ", "2 different corrections; taken is the last, by reviewer-"),
        ([("ann", "أ", 0), ("bob", "ب", 5), ("eve", "أ", 1)], "أ", "taken is what 2 of 3 wrote"),
        ([("ann", "أ", 0), ("bob", "أ", 5)], "أ", None),
    ],
)
def test_of_different_corrections_most_or_the_last_is_taken(
    workshop: Workshop, changes: list[tuple[str, str, int]], end: str, note: str | None
) -> None:
    corrected(workshop, *changes)
    found = corrections(store(workshop), "small@1.0.0")
    (row,) = found.rows
    assert row["turns"][-1]["now"].endswith(f" {end}")
    assert [n for n in found.notes if note and note in n] == found.notes
    assert bool(found.notes) == bool(note)


def test_a_correction_without_its_headings_is_left_out_and_told(workshop: Workshop) -> None:
    reviewed(workshop).build()
    task = next(t for t in deck(workshop).tasks if t.batch == "double")
    record(store(workshop), deck(workshop), [answer(task.id, "ann", "fix", correction="كل شيء في سطر")])
    said = exported(workshop, "dev")
    assert said["rows"] == 0
    assert "left out, as its headings (### user, …) are not those of the row" in said["notes"][0]


def frame(*texts: str) -> pl.DataFrame:
    value = [[{"role": "user", "content": t} for t in texts]]
    return pl.DataFrame({"id": ["r"], "source": ["s"], "messages": value}, schema_overrides={"messages": MESSAGES})


def step(tmp_path: Path, turns: list[dict[str, Any]], on: str = "messages") -> Corrections:
    row = {"id": "r", "source": "s", "review": "a@1.0.0", "by": "reviewer-1", "at": "2026-11-22T09:00:00+00:00"}
    path = tmp_path / "fixes.jsonl"
    path.write_text(json.dumps({**row, "turns": turns}) + "\n")
    return Corrections(file=str(path), on=on)


TURNS = [{"turn": 0, "was": "a", "now": "A"}, {"turn": 1, "was": "b", "now": "B"}]


@pytest.mark.parametrize(
    ("texts", "after", "changed", "stale"),
    [
        (["a", "b"], ["A", "B"], 2, 0),
        (["a", "other"], ["a", "other"], 0, 1),
        (["x", "y"], ["x", "y"], 0, 2),
        (["a"], ["a"], 0, 1),
        (["A", "B"], ["A", "B"], 0, 0),
    ],
)
def test_a_text_that_is_not_the_corrected_one_stays(
    tmp_path: Path, texts: list[str], after: list[str], changed: int, stale: int
) -> None:
    made, told = step(tmp_path, TURNS).normalise(frame(*texts))
    assert [t["content"] for t in made["messages"][0].to_list()] == after
    assert told.row(0)[:2] == (changed, stale)
    assert bool(told["detail"][0]) == bool(changed)


def test_correcting_twice_changes_nothing_more(tmp_path: Path) -> None:
    corrector = step(tmp_path, TURNS)
    once, _ = corrector.normalise(frame("a", "b"))
    twice, told = corrector.normalise(once)
    assert twice.equals(once)
    assert told.row(0) == (0, 0, "")


def test_one_language_of_a_pair_is_corrected(tmp_path: Path) -> None:
    pairs = pl.DataFrame({"id": ["r", "q"], "source": ["s", "s"], "translation": [{"en": "a", "ar": "b"}] * 2})
    made, told = step(tmp_path, [{"turn": 0, "was": "b", "now": "ب"}], "translation.ar").normalise(pairs)
    assert made["translation"].to_list() == [{"en": "a", "ar": "ب"}, {"en": "a", "ar": "b"}]
    assert told["changed"].to_list() == [1, 0]


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"id": "r", "turns": []}'])
def test_check_names_the_line_that_is_no_correction(workshop: Workshop, text: str) -> None:
    workshop.write("fixes.jsonl", f"{text}\n" if text else "\n")
    said = reviewed(workshop, more=[{"step": "corrections", "file": "fixes.jsonl"}]).run("check", "recipe.yaml")
    assert said.code == 2
    assert "fixes.jsonl:1: is no correction as `hala-factory review corrections` writes them" in said.err
