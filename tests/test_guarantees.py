"""Guarantees: what a finished version holds is in bounds, or nothing is published."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.workshop import Workshop, alpaca

ARABIC = [
    {"instruction": f"ما هو الرقم {i} في هذه القائمة الطويلة؟", "input": "", "output": f"الرقم هو {i}."}
    for i in range(30)
]


def made(workshop: Workshop, *contracts: dict[str, Any], **fields: Any) -> Workshop:
    """70 English rows of `many`, of which ten are the same, and 30 Arabic ones of `few`."""
    english = alpaca(60)
    workshop.rows("many.jsonl", [*english, *[{**english[0], "input": ""}] * 10])
    workshop.rows("few.jsonl", ARABIC)
    workshop.catalog(
        {"many": {"path": "many.jsonl", "licence": "MIT"}, "few": {"path": "few.jsonl", "licence": "CC-BY-4.0"}}
    )
    steps = [{"step": "language", "keep": ["en", "ar"], "min_score": None}]
    workshop.recipe(["many", "few"], steps, contracts=list(contracts), **fields)
    return workshop


HOLDS = [
    ({"holds": "languages", "of": ["ar"], "min": 0.3, "max": 0.3}, 0.3),
    ({"holds": "sources", "of": ["many"], "max": 0.7}, 0.7),
    ({"holds": "duplicates", "max": 0.1}, 0.1),
    ({"holds": "licence", "of": ["MIT", "CC-BY-4.0"]}, "CC-BY-4.0"),
]


@pytest.mark.parametrize(("contract", "found"), HOLDS, ids=[h[0]["holds"] for h in HOLDS])
def test_a_figure_in_bounds_is_told_with_what_was_found(
    workshop: Workshop, contract: dict[str, Any], found: Any
) -> None:
    made(workshop, contract).build()
    (told,) = workshop.manifest()["contracts"]
    assert told["found"] == pytest.approx(found)
    assert "warning" not in told


BROKEN = [
    ({"holds": "languages", "of": ["ar"], "min": 0.31}, "at least 31 % of the rows are in ar", "30 %"),
    ({"holds": "sources", "of": ["few"], "max": 0.29}, "at most 29 % of the rows are from few", "30 %"),
    ({"holds": "duplicates", "max": 0.09}, "at most 9 % of the rows have the texts of another row", "10 %"),
    ({"holds": "licence", "of": ["MIT"]}, "the licence is MIT", "CC-BY-4.0"),
    ({"holds": "tokens", "min": 1_000_000}, "at least 1,000,000 tokens", ""),
]


@pytest.mark.parametrize(("contract", "asked", "found"), BROKEN, ids=[b[0]["holds"] for b in BROKEN])
def test_a_figure_out_of_bounds_stops_the_build_and_is_shown(
    workshop: Workshop, contract: dict[str, Any], asked: str, found: str
) -> None:
    said = made(workshop, contract, {"max_drop_share": 0.5}).run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert "small@dev: 1 of 2 contracts of the recipe is broken; nothing was published" in said.err
    assert [line for line in said.err.splitlines() if asked in line and found in line]
    assert not workshop.corpus().exists()
    made(workshop, {**contract, "soft": True}).build()
    (told,) = workshop.manifest()["contracts"]
    assert told["warning"].startswith(f"{asked}: found {found}")
    assert told["warning"] in (workshop.corpus() / "README.md").read_text(encoding="utf-8").replace("\n> ", " ")


def test_contamination_is_what_the_decontaminate_step_measured(workshop: Workshop) -> None:
    question = (
        "How many apples does the farmer have left after selling nine of his twenty seven red apples at the market"
    )
    workshop.rows("few.jsonl", [*alpaca(9), {"instruction": question, "input": "", "output": "Eighteen."}])
    workshop.rows("asked.jsonl", [{"question": question}])
    workshop.catalog(
        {"few": {"path": "few.jsonl"}},
        benchmarks={
            "exam": {"path": "asked.jsonl", "columns": {"question": "question"}, "language": "en", "licence": "MIT"}
        },
    )
    bounds = {"max_overlap": None, "max_short_overlap": None}
    steps = [{"step": "decontaminate", "texts": {"en": "messages"}, "benchmarks": ["exam"], **bounds}]
    contract = {"holds": "contamination", "max": 0.05}
    workshop.recipe(["few"], steps, contracts=[contract])
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert "at most 5 % of the rows share 50 % or more of a benchmark's text" in said.err
    assert "10 %" in said.err
    workshop.recipe(["few"], steps, contracts=[{**contract, "max": 0.1}])
    workshop.build()


def test_another_guarantee_is_another_version(workshop: Workshop) -> None:
    contract = {"holds": "duplicates", "max": 0.5}
    made(workshop, contract, version="1.0.0").build()
    said = made(workshop, {**contract, "max": 0.2}, version="1.0.0").run("build", "recipe.yaml", "--quiet")
    assert (said.code, "bump the version" in said.err) == (2, True)


def test_tokens_are_those_of_all_texts(workshop: Workshop) -> None:
    made(workshop, {"holds": "tokens", "min": 1}).build()
    (told,) = workshop.manifest()["contracts"]
    rows = workshop.kept()
    letters = sum(len(m["content"]) for row in rows["messages"] for m in row)
    assert letters / 4.5 < told["found"] < letters / 2


def test_a_guarantee_that_cannot_be_is_a_fault_of_the_file(workshop: Workshop) -> None:
    made(
        workshop,
        {"holds": "languages", "of": ["ar"]},
        {"holds": "duplicates", "of": ["ar"], "max": 0},
        {"holds": "duplicates", "max": 2},
        {"holds": "tokens", "min": 5, "max": 4},
        {"holds": "licence", "min": 1},
        {"holds": "licence", "of": ["MIT"], "min": 1},
        {"holds": "lengths", "max": 1},
        {"holds": "tokens"},
    )
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert [line.partition(": ")[2] for line in said.err.splitlines()] == snapshot(
        [
            "'holds: languages' needs a bound: min, max",
            "'of' says nothing about duplicates: leave it out",
            "max is a share of the rows: expected 0 to 1, found 2",
            "expected at least min (5), found 4",
            "'holds: licence' needs 'of': a list of licences",
            "a licence is one of those in 'of': it has no 'min' and no 'max'",
            "holds: 'lengths' is not known; known are: contamination, duplicates, languages, licence, sources, tokens",
            "'holds: tokens' needs a bound: min, max",
        ]
    )


def test_what_no_step_measures_cannot_be_held(workshop: Workshop) -> None:
    made(
        workshop,
        {"holds": "contamination", "max": 0},
        {"holds": "languages", "of": ["ar"], "min": 0, "step": "length"},
    )
    said = workshop.run("check", "recipe.yaml")
    assert "no step measures contamination: add a step 'decontaminate'" in said.err
    assert "the recipe has no step called 'length'" in said.err
