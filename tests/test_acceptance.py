"""Acceptance: exact sampling plans against published tables, and what `check` and `plan` say of a recipe's review."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from hala_factory.acceptance import AcceptIf, sampling
from hala_factory.binomial import binomial_tail, draws_needed, exact, hypergeometric_tail, rows_needed, wilson
from tests.workshop import Workshop, alpaca


@pytest.mark.parametrize(
    ("n", "c", "points"),
    [  # shares of bad items (%) at which 95, 50 and 10 % of lots are accepted: MIL-STD-105E / ISO 2859-1, AQL 1.0
        pytest.param(50, 1, (0.71, 3.33, 7.56), id="letter H"),
        pytest.param(80, 2, (1.03, 3.33, 6.52), id="letter J"),
        pytest.param(125, 3, (1.09, 2.94, 5.35), id="letter K"),
        pytest.param(200, 5, (1.31, 2.84, 4.64), id="letter L"),
    ],
)
def test_the_operating_characteristic_is_that_of_the_published_plans(
    n: int, c: int, points: tuple[float, float, float]
) -> None:
    for percent, accepted in zip(points, (0.95, 0.5, 0.1), strict=True):
        # the tables above n = 80 were made with Poisson's approximation, which is off by a little at 10 %
        assert binomial_tail(c, n, percent / 100) == pytest.approx(accepted, abs=0.011)


@pytest.mark.parametrize(
    ("share", "allowed", "n"),
    [(0.05, 0, 59), (0.02, 0, 149), (0.01, 0, 299), (0.05, 1, 93), (0.1, 0, 29), (0.1, 1, 46), (0.1, 2, 61)],
)
def test_the_fewest_draws_are_those_of_the_textbooks(share: float, allowed: int, n: int) -> None:
    """95 % confidence; zero failures: 29, 59, 149, 299; one and two failures as in tables of success runs."""
    assert draws_needed(share, 0.95, allowed) == n
    assert binomial_tail(allowed, n, share) <= 0.05 < binomial_tail(allowed, n - 1, share)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.data())
def test_the_hypergeometric_tail_is_exact(rows: int, data: st.DataObject) -> None:
    bad, n = data.draw(st.integers(0, rows)), data.draw(st.integers(1, rows))
    c = data.draw(st.integers(0, n))
    ways = sum(math.comb(bad, k) * math.comb(rows - bad, n - k) for k in range(c + 1))
    assert hypergeometric_tail(c, rows, bad, n) == pytest.approx(float(Fraction(ways, math.comb(rows, n))), abs=1e-10)


@pytest.mark.parametrize("rows", [1, 2, 40, 51, 270, 1000])
def test_a_small_corpus_needs_no_more_than_its_rows(rows: int) -> None:
    n = rows_needed(0.02, 0.95, 0, rows)
    bad = math.floor(0.02 * rows) + 1
    assert n <= min(rows, 149)
    assert hypergeometric_tail(0, rows, bad, n) <= 0.05
    assert n == 1 or hypergeometric_tail(0, rows, bad, n - 1) > 0.05


def test_few_rows_are_sampled_without_replacement_and_many_by_slices() -> None:
    accept = AcceptIf(max_bad_share=0.02)
    assert [(p.draws, p.method) for p in (sampling(accept, n) for n in (270, 1489, 1490, 10**6))] == [
        (106, "simple"), (141, "simple"), (149, "slices"), (149, "slices"),
    ]  # fmt: skip
    assert sampling(AcceptIf(sample=50, allowed=1), 20).draws == 20


@pytest.mark.parametrize(
    ("bad", "n", "low", "high"),
    [(3, 200, 0.0031, 0.0432), (0, 200, 0.0, 0.0183), (10, 100, 0.0490, 0.1762), (5, 5, 0.4782, 1.0)],
)
def test_the_exact_interval_is_that_of_clopper_and_pearson(bad: int, n: int, low: float, high: float) -> None:
    assert exact(bad, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("bad", "n", "low", "high"), [(3, 200, 0.0051, 0.0432), (0, 200, 0.0, 0.0188), (10, 100, 0.0552, 0.1744)]
)
def test_the_score_interval_is_that_of_wilson(bad: int, n: int, low: float, high: float) -> None:
    assert wilson(bad / n, n) == pytest.approx((low, high), abs=1e-4)


def asked(workshop: Workshop, review: Any, **fields: Any) -> Workshop:
    workshop.rows("many.jsonl", alpaca(120))
    workshop.catalog({"many": {"path": "many.jsonl"}})
    workshop.recipe(["many"], ["chat_shape", {"step": "length", "min_chars": 40}], review=review, **fields)
    return workshop


@pytest.mark.parametrize(
    ("review", "message"),
    [
        ({}, "recipe.yaml:11:1: field 'accept_if' is missing"),
        ({"accept_if": {}}, "recipe.yaml:12:14: accept_if wants either 'max_bad_share' or 'sample'"),
        ({"accept_if": {"max_bad_share": 2}}, "recipe.yaml:13:20: max_bad_share: expected less than 1, found 2"),
        ({"accept_if": {"sample": 5, "allowed": 5}}, "recipe.yaml:14:14: expected less than 'sample' (5), found 5"),
        ({"accept_if": {"sample": 5, "confidence": 0.9}}, "'confidence' goes with 'max_bad_share'"),
        ({"accept_if": {"sample": 5}, "double": 0.5}, "recipe.yaml:14:11: expected 0, or from 0.1 to 0.2, found 0.5"),
        ({"accept_if": {"sample": 5}, "score": "length.char"}, "no measure 'length.char' that is a number; did you"),
        ({"accept_if": {"sample": 5}, "bins": 3}, "'bins' are of a score: name a measure of the rows in 'score'"),
        ({"accept_if": {"sample": 5}, "score": "length.chars", "bins": [3, 2]}, "expected bounds that rise"),
        ({"accept_if": {"sample": 5}, "gold": "gold.jsonl"}, "recipe.yaml:14:9: gold.jsonl: cannot be read"),
        ({"accept_if": {"sample": 5}, "guidelines": "no.md"}, "recipe.yaml:14:15: no.md: cannot be read"),
        ({"accept_if": {"sample": 5}, "counts_as_bad": ["good"]}, "a good row cannot count as bad"),
        ({"accept_if": {"sample": 5}, "seeds": 3}, "unknown field 'seeds'; did you mean 'seed'?"),
    ],
)
def test_check_finds_what_is_wrong_with_a_review(workshop: Workshop, review: Any, message: str) -> None:
    said = asked(workshop, review).run("check", "recipe.yaml")
    assert said.code == 2
    assert message in said.err


def test_a_gold_file_is_read_line_by_line(workshop: Workshop) -> None:
    workshop.write(
        "gold.jsonl", '{"source": "a", "target": "b", "verdict": "good"}\n{"target": "b", "verdict": "x"}\n'
    )
    said = asked(workshop, {"accept_if": {"sample": 5}, "gold": "gold.jsonl"}).run("check", "recipe.yaml")
    assert 'gold.jsonl:2: expected {"source": "…", "target": "…", "verdict": "good", "fix" or "bad"}' in said.err


def test_plan_says_the_sampling_plan_in_words(workshop: Workshop) -> None:
    asked(workshop, {"accept_if": {"max_bad_share": 0.02, "confidence": 0.95}})
    assert workshop.run("plan", "recipe.yaml", "--json").json["review"] == snapshot(
        "people judge 149 rows; the corpus is accepted if none is bad, so that one with a larger share of bad rows than 0.02 passes with a probability of at most 0.05 (fewer where the corpus has less than 1,490 rows)"
    )
    workshop.build()
    assert workshop.run("plan", "recipe.yaml").out.splitlines()[-1] == snapshot(
        "review: people judge 76 of 120 rows; the corpus is accepted if none is bad, so that one with a larger share of bad rows than 0.02 passes with a probability of at most 0.05"
    )


def test_a_profile_has_a_review_of_its_own_or_none(workshop: Workshop) -> None:
    profiles = {"small": {"review": {"accept_if": {"sample": 3}}}, "free": {"review": "none"}}
    asked(workshop, {"accept_if": {"max_bad_share": 0.02}}, profiles=profiles)
    told = [workshop.run("plan", "recipe.yaml", "--profile", p, "--json").json for p in ("small", "free")]
    assert told[0]["review"].startswith("people judge 3 rows")
    assert "review" not in told[1]


def test_a_changed_plan_under_a_built_version_is_refused(workshop: Workshop) -> None:
    asked(workshop, {"accept_if": {"sample": 5}}, version="1.0.0").build()
    said = asked(workshop, {"accept_if": {"sample": 4}}, version="1.0.0").run("build", "recipe.yaml")
    assert said.code == 2
    assert "small@1.0.0 stands already and was built from something else" in said.err
    assert "bump the version" in said.err
