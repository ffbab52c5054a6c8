"""Contracts: drop rates that a recipe does not accept fail the build, with the table that shows why."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot

from hala_factory.contracts import Contract, breaches
from tests.workshop import Workshop, alpaca, balanced


def with_lengths(workshop: Workshop, short: int, *contracts: dict[str, Any], **fields: Any) -> Workshop:
    """200 rows of `many` with so many short ones, and 120 of `few` with none."""
    brief = [{"instruction": f"Number {i}?", "input": "", "output": "No."} for i in range(short)]
    workshop.rows("many.jsonl", [*alpaca(200 - short), *brief])
    workshop.rows("few.jsonl", alpaca(120, "thing"))
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("many", "few")})
    steps = [{"step": "language", "keep": ["en"], "min_score": None}, {"step": "length", "min_chars": 40}]
    workshop.recipe(["many", "few"], steps, contracts=list(contracts), **fields)
    return workshop


def test_a_broken_contract_fails_the_build_and_shows_why(workshop: Workshop) -> None:
    with_lengths(workshop, 90, {"max_drop_share": 0.4, "per": "source"}, {"max_drop_share": 0.5})
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert said.code == 1
    assert said.err == snapshot("""\
small@dev: 1 of 2 contracts of the recipe is broken; nothing was published
  at most 40 % of the rows of each source are dropped

group  rows in  found         asked   most by
many   200      45 % dropped  ≤ 40 %  length.too_short 90
""")
    assert not workshop.corpus().exists()


def test_contracts_that_hold_are_told_in_the_manifest(workshop: Workshop) -> None:
    with_lengths(workshop, 50, {"max_drop_share": 0.4, "per": "source"}, {"min_kept": 100, "per": "source"})
    workshop.build()
    manifest = workshop.manifest()
    assert [c["contract"]["per"] for c in manifest["contracts"]] == ["source", "source"]
    for groups in manifest["rates"].values():
        assert all(balanced(counts) for counts in groups.values())
        assert sum(counts["in"] for counts in groups.values()) == 320
    assert manifest["rates"]["source"] == manifest["sources"]
    assert manifest["rates"]["length"]["0-99 characters"]["dropped"] == {"length.too_short": 50}
    assert manifest["rates"]["language"]["en"]["in"] > 260


@pytest.mark.parametrize(
    ("contract", "found"),
    [
        ({"per": "length", "max_drop_share": 0.3}, "0-99 characters"),
        ({"per": "language", "max_drop_share": 0.1, "step": "length"}, "en"),
        ({"per": "corpus", "max_drop_share": 0.1}, "all"),
        ({"per": "source", "min_kept": 130}, "few"),
    ],
)
def test_every_kind_of_group_is_held_to_its_contract(workshop: Workshop, contract: dict[str, Any], found: str) -> None:
    said = with_lengths(workshop, 60, {**contract, "min_rows": 20}).run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert said.err.splitlines()[4].startswith(found)


def test_a_drop_rate_is_held_against_the_last_version(workshop: Workshop) -> None:
    change = {"max_drop_change": 0.1, "per": "source"}
    with_lengths(workshop, 20, change, version="1.0.0").build()
    with_lengths(workshop, 30, change, version="1.1.0").build()
    assert workshop.manifest("1.1.0")["contracts"][0]["against"] == "small@1.0.0"
    with_lengths(workshop, 60, change, version="1.2.0")
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert "the last version is small@1.1.0" in said.err
    assert "30 % dropped, was 15 %  ± 10 %" in said.err
    assert not workshop.corpus("1.2.0").exists()


def test_a_contract_added_later_is_held_against_what_stands(workshop: Workshop) -> None:
    with_lengths(workshop, 60).build()
    with_lengths(workshop, 60, {"max_drop_share": 0.1})
    assert workshop.run("build", "recipe.yaml", "--quiet").code == 1
    with_lengths(workshop, 60, {"max_drop_share": 0.5})
    assert {s["status"] for s in workshop.build()["stages"]} == {"stored"}


def test_a_profile_is_compared_with_itself_alone(workshop: Workshop) -> None:
    change = {"max_drop_change": 0.01, "per": "source"}
    profiles = {"slice": {"limit": 100, "version": "1.0.0-slice"}}
    with_lengths(workshop, 60, change, profiles=profiles, version="1.0.0").build()
    workshop.build("--profile", "slice")
    assert workshop.manifest("1.0.0-slice")["contracts"][0]["against"] is None


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"per": "source"}, "recipe.yaml:16:8: a contract needs a bound: max_drop_share"),
        ({"max_drop_share": 2}, "max_drop_share"),
        ({"max_drop_share": 0.5, "step": "lenght"}, "the recipe has no step called 'lenght'; did you mean 'length'?"),
        ({"max_drop_shares": 0.5}, "unknown field 'max_drop_shares'; did you mean 'max_drop_share'?"),
    ],
)
def test_a_contract_that_cannot_be_held_is_told_by_check(
    workshop: Workshop, contract: dict[str, Any], message: str
) -> None:
    with_lengths(workshop, 0, contract)
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert message in said.err


def test_a_contract_on_languages_needs_a_step_that_measures_them(workshop: Workshop) -> None:
    with_lengths(workshop, 0)
    workshop.recipe(["many"], ["length"], contracts=[{"per": "language", "max_drop_share": 0.5}])
    said = workshop.run("check", "recipe.yaml")
    assert "no step measures languages: add a step 'language'" in said.err


def counts(rows_in: int, dropped: int = 0, failed: int = 0) -> dict[str, Any]:
    lost = {"dropped": {"a.b": dropped} if dropped else {}, "failed": {"c.d": failed} if failed else {}}
    return {"in": rows_in, "kept": rows_in - dropped - failed, **lost}


CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None, list[str]]] = [
    ({"max_drop_share": 0.5}, counts(100, 50), None, []),
    ({"max_drop_share": 0.5}, counts(100, 51), None, ["dropped"]),
    ({"max_drop_share": 0.5}, counts(99, 99), None, []),
    ({"max_drop_share": 0.5, "step": "z"}, counts(100, 99), None, []),
    ({"max_fail_share": 0.0}, counts(100, 0, 1), None, ["failed"]),
    ({"max_fail_share": 0.01, "max_drop_share": 0.01}, counts(100, 2, 2), None, ["dropped", "failed"]),
    ({"max_drop_change": 0.1}, counts(100, 31), counts(100, 20), ["change"]),
    ({"max_drop_change": 0.1}, counts(100, 9), counts(100, 20), ["change"]),
    ({"max_drop_change": 0.1}, counts(100, 30), counts(100, 20), []),
    ({"expect_rows": 100}, counts(105, 0), None, []),
    ({"expect_rows": 100}, counts(106, 0), None, ["expected"]),
    ({"expect_rows": 100}, counts(94, 0), None, ["expected"]),
    ({"expect_rows": 100, "within": 0}, counts(101, 1), None, []),
    ({"expect_rows": 100, "within": 0}, counts(101, 0), None, ["expected"]),
    ({"expect_rows": 1}, counts(0), None, ["expected"]),
    ({"max_drop_change": 0.1}, counts(100, 90), counts(99, 20), []),
    ({"max_drop_change": 0.1}, counts(100, 90), None, []),
    ({"min_kept": 10}, counts(12, 3), None, ["kept"]),
]


@pytest.mark.parametrize(("contract", "now", "before", "broken"), CASES)
def test_bounds_are_reached_and_not_crossed(
    contract: dict[str, Any], now: dict[str, Any], before: dict[str, Any] | None, broken: list[str]
) -> None:
    last = {"corpus": {"all": before}} if before else None
    assert [b.what for b in breaches((Contract(**contract),), {"corpus": {"all": now}}, last)] == broken


# ---- Counts that are expected, and soft contracts ----

EXPECTED = {"per": "source", "group": "few", "expect_rows": 100, "within": 0.1}


def test_rows_that_are_not_as_expected_fail_the_build(workshop: Workshop) -> None:
    with_lengths(workshop, 10, EXPECTED)
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert said.code == 1
    assert said.err == snapshot("""\
small@dev: 1 of 1 contracts of the recipe is broken; nothing was published
  100 of the rows of few are kept, give or take 10 %

group  rows in  found     asked      most by
few    120      120 kept  90 to 110
""")
    assert not workshop.corpus().exists()


WARNING = "100 of the rows of few are kept, give or take 10 %: few: 120 kept, asked 90 to 110"


def test_a_soft_contract_that_is_broken_is_told_everywhere_and_stops_nothing(workshop: Workshop) -> None:
    with_lengths(workshop, 10, {**EXPECTED, "soft": True}, {"per": "source", "max_drop_share": 0.5, "soft": True})
    assert workshop.build()["warnings"] == [WARNING]
    broken, held = workshop.manifest()["contracts"]
    assert (broken["warning"], [b["group"] for b in broken["broken"]]) == (WARNING, ["few"])
    assert "warning" not in held
    for page in ("README.md", "report.html"):
        assert WARNING in (workshop.corpus() / page).read_text(encoding="utf-8")
        assert "Not as expected" in (workshop.corpus() / page).read_text(encoding="utf-8")
    assert f"warning {WARNING}" in workshop.run("show", "small@dev").out
    assert f"warning {WARNING}" in workshop.run("build", "recipe.yaml", "--quiet").out  # stored, and told again
    assert workshop.build()["warnings"] == [WARNING]


def test_a_group_that_has_no_rows_at_all_is_held_to_its_contract(workshop: Workshop) -> None:
    with_lengths(workshop, 0, {"per": "source", "group": "none", "min_kept": 1, "soft": True})
    (warning,) = workshop.build()["warnings"]
    assert warning == "at least 1 of the rows of none are kept: none: 0 kept, asked ≥ 1"


PROFILES = {
    "samples": {"sources": "samples"},
    "slice": {"limit": 150},
    "fewer": {"sources": [{"source": "few"}]},
    "looser": {"steps": {"length": {"min_chars": 1}}},
    "none": {"contracts": []},
}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--profile", "samples"], 0),
        (["--profile", "slice"], 0),
        (["--profile", "fewer"], 0),
        (["--limit", "150"], 0),
        (["--profile", "looser"], 1),
        (["--profile", "none"], 0),
        ([], 1),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_expected_counts_are_judged_only_where_all_rows_are_read(
    workshop: Workshop, words: list[str], code: int
) -> None:
    with_lengths(workshop, 10, EXPECTED, profiles=PROFILES)
    workshop.catalog({n: {"path": f"{n}.jsonl", "sample": {"path": f"{n}.jsonl"}} for n in ("many", "few")})
    assert workshop.run("build", "recipe.yaml", "--quiet", *words).code == code


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"max_drop_share": 0.5, "within": 0.1}, "'within' is of 'expect_rows': say how many rows are expected"),
        ({"expect_rows": 5, "group": "few"}, "'group' needs 'per: source', 'language' or 'length'"),
        ({"expect_rows": 0}, "expect_rows: expected at least 1, found 0"),
    ],
)
def test_an_expectation_that_says_nothing_is_told_by_check(
    workshop: Workshop, contract: dict[str, Any], message: str
) -> None:
    with_lengths(workshop, 0, contract)
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert message in said.err


def test_a_profiles_own_contracts_are_checked_where_they_stand(workshop: Workshop) -> None:
    with_lengths(workshop, 0, profiles={"other": {"contracts": [{"max_drop_share": 0.5, "step": "lenght"}]}})
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert "did you mean 'length'?" in said.err
