"""`review push --to` and `pull --from`: a corpus is reviewed with files alone, and nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workshop import Said, Workshop

N = 40
ASKED = {"accept_if": {"sample": 12, "allowed": 1}, "double": 0.2, "dropped": 0}


@pytest.fixture
def reviewed(workshop: Workshop) -> Workshop:
    workshop.rows(
        "pairs.jsonl", [{"en": f"The well is {n} metres deep.", "ar": f"عمق البئر {n} مترًا."} for n in range(N)]
    )
    source = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    workshop.yaml("catalog.yaml", {"sources": {"pairs": {**source, "licence": "CC0-1.0"}}})
    workshop.recipe(
        ["pairs"], [{"step": "length", "on": "translation.en", "min_chars": 1}], review=ASKED, version="1.0.0"
    )
    workshop.build()
    return workshop


def review(workshop: Workshop, word: str, *words: str) -> Said:
    return workshop.run("review", word, "small@1.0.0", *words)


def answered(workshop: Workshop, file: str, **fields: Any) -> list[dict[str, Any]]:
    """Push the tasks as lines, and fill all of them in."""
    review(workshop, "push", "--to", file)
    tasks = [json.loads(line) for line in (workshop.folder / file).read_text(encoding="utf-8").splitlines()]
    filled = [{**task, "annotator": "amira", "verdict": "good", **fields} for task in tasks]
    workshop.rows(file, filled)
    return filled


def kept(workshop: Workshop) -> pl.DataFrame:
    return pl.concat(
        [pl.read_parquet(f) for f in sorted((workshop.folder / "store/reviews/small").rglob("round-*.parquet"))]
    )


def test_answers_go_out_and_come_back_and_are_kept_once(reviewed: Workshop) -> None:
    filled = answered(reviewed, "a.jsonl")
    first = review(reviewed, "pull", "--from", "a.jsonl", "--json").json
    assert (first["submitted"], first["new"], first["round"]) == (len(filled), len(filled), 1)
    again = review(reviewed, "pull", "--from", "a.jsonl", "--json").json
    assert (again["new"], again["changed"], again["round"]) == (0, 0, None)
    assert ": nothing is new\n" in review(reviewed, "pull", "--from", "a.jsonl").out
    assert kept(reviewed).height == len(filled)
    assert "amira" not in str(kept(reviewed).rows()), "a pseudonym is kept, not the name"


def test_two_files_of_one_person_are_one_round_and_the_later_answer_stands(reviewed: Workshop) -> None:
    filled = answered(reviewed, "a.jsonl", at="2026-11-20T10:00:00+00:00")
    reviewed.rows("b.jsonl", [{**filled[0], "verdict": "bad", "at": "2026-11-21T10:00:00+00:00"}])
    told = review(reviewed, "pull", "--from", "b.jsonl", "--from", "a.jsonl", "--json").json
    assert (told["submitted"], told["round"]) == (len(filled), 1)
    assert kept(reviewed).filter(pl.col("task") == filled[0]["task"])["verdict"].to_list() == ["bad"]


def test_a_file_with_a_fault_keeps_nothing_of_any_file(reviewed: Workshop) -> None:
    filled = answered(reviewed, "a.jsonl")
    reviewed.rows("b.jsonl", [{**filled[0], "verdict": "perhaps"}])
    said = review(reviewed, "pull", "--from", "a.jsonl", "--from", "b.jsonl")
    assert said.code == 2
    assert "b.jsonl:1:1: 'verdict': found 'perhaps'" in said.err
    assert not list((reviewed.folder / "store").rglob("round-*.parquet"))


def test_pushing_again_changes_nothing_and_never_writes_over_answers(reviewed: Workshop) -> None:
    for name in ("r.html", "r.jsonl"):
        review(reviewed, "push", "--to", name)
        before = (reviewed.folder / name).read_bytes()
        assert review(reviewed, "push", "--to", name).code == 0
        assert (reviewed.folder / name).read_bytes() == before
    answered(reviewed, "r.jsonl")
    said = review(reviewed, "push", "--to", "r.jsonl")
    assert (said.code, said.err) == (
        2,
        "r.jsonl is there already, and may hold answers: pull it, or name another file\n",
    )


def test_every_reviewer_gets_a_file_and_together_they_answer_all(reviewed: Workshop) -> None:
    told = review(reviewed, "push", "--to", "out/r.jsonl", "--reviewers", "amira, بلال", "--json").json
    assert told["files"] == ["out/r-amira.jsonl", "out/r-بلال.jsonl"]
    tasks = [json.loads(line) for f in told["files"] for line in Path(f).read_text(encoding="utf-8").splitlines()]
    assert len(tasks) > len({task["task"] for task in tasks}) == told["tasks"]
    reviewed.rows("all.jsonl", [{**task, "verdict": "good"} for task in tasks])
    pulled = review(reviewed, "pull", "--from", "all.jsonl", "--json").json
    assert (pulled["submitted"], pulled["annotators"]) == (len(tasks), 2)


WRONG = [
    (("push", "--to", "r.csv"), "r.csv: .csv is no form of a review; expected .html, .jsonl, .xlsx"),
    (("push", "--to", "r.html", "--reviewers", "a/b,a b"), "two of these names make one file name"),
    (("push", "--to", "r.html", "--reviewers", "amira"), "name two reviewers or more"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[w[1][:30] for w in WRONG])
def test_what_cannot_be_is_told(reviewed: Workshop, words: tuple[str, ...], message: str) -> None:
    said = review(reviewed, *words)
    assert said.code == 2
    assert message in said.err


def test_answers_to_a_corpus_that_was_built_again_are_not_answers_to_this(reviewed: Workshop) -> None:
    filled = answered(reviewed, "a.jsonl")
    reviewed.rows("b.jsonl", [{**filled[0], "deck": "0" * 64}])
    said = review(reviewed, "pull", "--from", "b.jsonl")
    assert said.code == 2
    assert "is about another sample" in said.err
