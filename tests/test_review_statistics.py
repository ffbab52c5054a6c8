"""The figures of a review against known answers: textbooks, and simulation where no book has them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from hala_factory.acceptance import AcceptIf, sampling
from hala_factory.binomial import exact
from hala_factory.review.agreement import ac1, alpha, interval, raw
from hala_factory.review.allocating import sliced
from hala_factory.review.calibration import calibrate
from hala_factory.review.estimates import Stratum, mqm, points, weighted
from hala_factory.review.sample import COLUMNS
from hala_factory.review.verdicts import decide, verdicts
from hala_factory.rules import Rule

# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011): four observers, twelve units, categories 1 to 5.
OBSERVERS = ["123321412000", "123322412503", "033323422510", "123324412510"]


def counted(observers: Sequence[str], categories: str) -> np.ndarray[Any, Any]:
    return np.array([[sum(o[u] == c for o in observers) for c in categories] for u in range(len(observers[0]))], float)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_textbook_example(level: Any, value: float) -> None:
    assert alpha(counted(OBSERVERS, "12345"), level) == pytest.approx(value, abs=5e-4)


def test_the_interval_of_alpha_holds_it_and_needs_units() -> None:
    counts = counted(OBSERVERS, "12345")
    low, high = interval(counts) or (1, 0)
    assert -0.2 < low < 0.815 < high <= 1
    assert interval(counts) == (low, high), "the same data give the same interval"
    assert interval(counts[:6]) is None


def test_ac1_does_not_fall_where_one_verdict_is_frequent() -> None:
    """The paradox of kappa: 95 of 100 alike, kappa -0.02; AC1 of the same table by hand 0.947 (Gwet 2008)."""
    table = [[2, 0]] * 95 + [[1, 1]] * 5
    counts = np.array(table, float)
    assert raw(counts) == pytest.approx(0.95)
    assert ac1(counts) == pytest.approx(0.9474, abs=5e-4)
    assert (alpha(counts, "nominal") or 0) == pytest.approx(-0.02, abs=0.01)


def test_agreement_says_nothing_where_nothing_can_be_said() -> None:
    same = np.array([[2, 0, 0]] * 12, float)
    assert (raw(same), ac1(same), alpha(same), interval(same)) == (1.0, 1.0, None, None)
    alone = np.array([[1, 0, 0]] * 12, float)
    assert (raw(alone), ac1(alone), alpha(alone)) == (None, None, None)


@pytest.mark.parametrize(
    ("rows", "shares", "judged"),
    [
        ([10_000], [0.03], [150]),
        ([6_000, 3_000, 1_000], [0.01, 0.03, 0.2], [90, 45, 15]),
        ([6_000, 3_000, 1_000], [0.01, 0.03, 0.2], [60, 60, 60]),
        ([9_000, 500, 500], [0.001, 0.1, 0.4], [130, 10, 10]),
        ([6_000, 3_000, 1_000, 50, 50], [0.02, 0.02, 0.02, 0.3, 0.3], [89, 45, 15, 5, 5]),
        ([100_000, 50_000, 3_000, 1_000], [0.05, 0.02, 0.02, 0.5], [100, 50, 5, 5]),
    ],
)
def test_the_interval_of_the_defect_rate_holds_the_truth_in_19_of_20_corpora(
    rows: list[int], shares: list[float], judged: list[int]
) -> None:
    """10,000 simulated reviews; a quarter of a per cent is what chance alone may take."""
    rng = np.random.default_rng(7)
    bad = [round(n * p) for n, p in zip(rows, shares, strict=True)]
    truth = sum(bad) / sum(rows)
    found = [rng.hypergeometric(b, n - b, k, 10_000) for b, n, k in zip(bad, rows, judged, strict=True)]
    held = 0
    for line, times in zip(*np.unique(np.stack(found, 1), axis=0, return_counts=True), strict=True):
        strata = [Stratum(n, k, int(x)) for n, k, x in zip(rows, judged, line, strict=True)]
        estimate = weighted(strata)
        held += int(times) * (estimate["low"] <= truth <= estimate["high"])
    assert held / 10_000 >= 0.9475


@pytest.mark.parametrize(("n", "share"), [(20, 0.05), (149, 0.01), (149, 0.02), (300, 0.1)])
def test_the_exact_interval_never_covers_less_than_it_says(n: int, share: float) -> None:
    drawn = np.random.default_rng(5).binomial(n, share, 10_000)
    limits = {k: exact(int(k), n) for k in np.unique(drawn)}
    assert np.mean([limits[k][0] <= share <= limits[k][1] for k in drawn]) >= 0.95


def test_rare_strata_are_weighed_by_their_rows() -> None:
    strata = [Stratum(6_000, 60, 1), Stratum(3_000, 60, 4), Stratum(1_000, 60, 15)]
    estimate = weighted(strata)
    assert estimate["share"] == pytest.approx(0.6 / 60 + 0.3 * 4 / 60 + 0.1 * 15 / 60)
    assert estimate["bad"] / estimate["judged"] > 2 * estimate["share"]
    unseen = weighted([*strata, Stratum(500, 0, 0)])
    assert (unseen["share"], unseen["unseen"]) == (estimate["share"], 500)
    assert weighted([Stratum(10, 0, 0)])["share"] is None


def accepted(strata: list[tuple[int, int]], allowed: int, runs: int = 400) -> float:
    """How probably a corpus of these strata (rows, bad rows) is accepted: draws by slices, each run's odds exact."""
    accept = AcceptIf(max_bad_share=0.02, allowed=allowed)
    plan = sampling(accept, sum(n for n, _ in strata))
    assert plan.method == "slices"
    sizes = {(f"{i:04d}", 0): n for i, (n, _) in enumerate(strata)}
    odds = []
    for run in range(runs):
        shares = sliced(plan, sizes, f"run {run}")
        assert sum(s.rows + s.twice for s in shares.values()) == plan.draws
        good = np.array([1.0])
        for (rows, bad), share in zip(strata, shares.values(), strict=True):
            if not (bad and share.rows):
                continue
            k = min(bad, share.rows, allowed + 1)
            good = np.convolve(good, [hypergeometric(rows, bad, share.rows, i) for i in range(k + 1)])[: allowed + 1]
        odds.append(good[: allowed + 1].sum())
    return float(np.mean(odds))


def hypergeometric(rows: int, bad: int, n: int, k: int) -> float:
    from math import comb

    return comb(bad, k) * comb(rows - bad, n - k) / comb(rows, n)


ARRANGEMENTS = {
    "one stratum": lambda n, bad: [(n, bad)],
    "all bad rows in one": lambda n, bad: [(n - bad, 0), (bad, bad)],
    "in small strata apart": lambda n, bad: [s for _ in range(20) for s in ((n // 20 - bad // 20, 0), (bad // 20, bad // 20))],
    "in every second half slice": lambda n, bad: halves(n, bad),
    "more in some than in others": lambda n, bad: [(n // 2, bad // 10), (n // 4, bad // 5), (n // 4, bad - bad // 10 - bad // 5)],
}  # fmt: skip


def halves(n: int, bad: int) -> list[tuple[int, int]]:
    """Bad rows that fill half a slice each, all in the same place of it: what a draw at equal steps would miss."""
    half = n // 149 // 2
    strata = [s for _ in range(bad // half) for s in ((half, half), (half, 0))]
    rest = n - sum(r for r, _ in strata)
    return [*strata, (rest, bad - bad // half * half)]


@pytest.mark.parametrize("allowed", [0, 2])
@pytest.mark.parametrize("how", ARRANGEMENTS)
def test_a_corpus_that_is_too_bad_is_accepted_no_more_often_than_promised(how: str, allowed: int) -> None:
    """Hoeffding (1956): however the bad rows lie in the strata; the promise is 5 %, at just above 2 % bad rows."""
    rows = 60_000
    strata = ARRANGEMENTS[how](rows, round(0.0201 * rows))
    assert accepted(strata, allowed) <= 0.05 + 0.005  # chance of the simulation


def test_a_good_corpus_is_accepted_as_the_plan_says() -> None:
    rows = 60_000
    plan = sampling(AcceptIf(max_bad_share=0.02), rows)
    found = accepted([(rows // 3, rows // 3000)] * 3, 0)  # one in a thousand is bad
    assert found == pytest.approx(plan.accepts(0.001), abs=0.005)


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    plan = sampling(AcceptIf(sample=10), 130)
    sizes = {("a", 0): 3, ("b", 0): 40, ("b", 1): 80, ("c", 0): 7}
    drawn: dict[Any, int] = dict.fromkeys(sizes, 0)
    for run in range(4_000):
        for stratum, share in sliced(plan, sizes, str(run)).items():
            drawn[stratum] += share.rows + share.twice
    for stratum, size in sizes.items():
        assert drawn[stratum] / size / 4_000 == pytest.approx(10 / 130, rel=0.05)


def task(name: str, kind: str = "accept", batch: str = "single", **fields: Any) -> dict[str, Any]:
    turns = [{"role": "text", "source": "x", "target": "one two three four five"}]
    empty = dict.fromkeys(COLUMNS)
    head = {"task": name, "kind": kind, "batch": batch, "row": name, "source": "s", "stratum": "all"}
    return {**empty, **head, "draws": int(kind == "accept"), "inclusion": 0.5, "turns": turns, **fields}


def said(*answers: tuple[str, str, str | None]) -> pl.DataFrame:
    """Answers as task, annotator, verdict (None: discarded)."""
    lines = [
        {"task": t, "annotator": a, "status": "submitted" if v else "discarded", "verdict": v} for t, a, v in answers
    ]
    return pl.DataFrame(lines, schema=dict.fromkeys(["task", "annotator", "status", "verdict"], pl.String))


CASES: list[tuple[str, list[tuple[str, str, str | None]], str, int, int]] = [
    ("nobody answered", [], "open", 0, 0),
    ("all good", [("a", "x", "good"), ("b", "x", "good"), ("b", "y", "fix")], "accepted", 0, 0),
    ("one bad of one allowed", [("a", "x", "bad"), ("b", "x", "good"), ("b", "y", "good")], "accepted", 1, 0),
    ("two of two want one more", [("a", "x", "good"), ("b", "x", "good")], "open", 0, 0),
    ("rejected early", [("a", "x", "bad"), ("b", "x", "bad")], "rejected", 2, 0),
    ("a tie is bad", [("a", "x", "bad"), ("b", "x", "bad"), ("b", "y", "good")], "rejected", 2, 0),
    ("most say good", [("a", "x", "bad"), ("b", "x", "bad"), ("b", "y", "good"), ("b", "z", "fix")], "accepted", 1, 0),
    ("discarded by all counts as bad", [("a", "x", None), ("b", "x", None), ("b", "y", None)], "rejected", 0, 2),
    ("one judged, one discarded", [("a", "x", "good"), ("b", "x", None), ("b", "y", "good")], "accepted", 0, 0),
]


@pytest.mark.parametrize(("answers", "state", "bad", "unjudged"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_answers_decide(answers: Any, state: str, bad: int, unjudged: int) -> None:
    sample = pl.DataFrame([task("a"), task("b", batch="double"), task("g", "gold")], schema=COLUMNS, orient="row")
    found = decide(verdicts(sample, said(*answers), ["bad"]), {"draws": 2, "allowed": 1})
    assert (found.state, found.bad, found.unjudged) == (state, bad, unjudged)


def test_a_stricter_review_counts_what_is_to_be_fixed() -> None:
    sample = pl.DataFrame([task("a")], schema=COLUMNS, orient="row")
    told = {"draws": 1, "allowed": 0}
    states = [decide(verdicts(sample, said(("a", "x", "fix")), bad), told).state for bad in (["bad"], ["bad", "fix"])]
    assert states == ["accepted", "rejected"]


def test_a_row_that_was_drawn_twice_counts_twice() -> None:
    sample = pl.DataFrame([task("a", draws=2), task("b")], schema=COLUMNS, orient="row")
    judged = verdicts(sample, said(("a", "x", "bad"), ("b", "x", "good")), ["bad"])
    assert decide(judged, {"draws": 3, "allowed": 1}).state == "rejected"


def test_mqm_points_are_the_least_that_a_reviewer_can_have_meant() -> None:
    assert [points(e, s) for e, s in [((), None), (("style",), None), (("style",), "major"), ((), "critical")]] == [
        0, 1, 5, 25,
    ]  # fmt: skip
    assert points(("accuracy", "style", "markup"), "major") == 7
    sample = pl.DataFrame([task("a"), task("b"), task("d", "dropped")], schema=COLUMNS, orient="row")
    answers = said(("a", "x", "bad"), ("a", "y", "good"), ("b", "x", "good"), ("d", "x", "bad")).with_columns(
        errors=pl.Series([["accuracy", "style"], [], [], ["accuracy"]], dtype=pl.List(pl.String)),
        severity=pl.Series(["major", None, None, "critical"]),
    )
    found = mqm(verdicts(sample, answers, ["bad"]), answers)
    assert found["per_1000_words"] == pytest.approx(1000 * (6 + 0) / 2 / 10)  # 6 points of one of two, over 10 words
    assert found["errors"] == {"accuracy": 1, "style": 1}


def measured(n: int, bad: int, seed: int, *, told: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judged rows with ten measures of noise, and one that tells bad rows from others if `told`."""
    rng = np.random.default_rng(seed)
    labels = np.array([True] * bad + [False] * (n - bad))
    columns = {f"noise.m{i}": rng.normal(size=n) for i in range(10)}
    columns["likeness.score"] = np.where(labels, 0.3, 0.8) + rng.normal(scale=0.1, size=n) if told else rng.random(n)
    judged = pl.DataFrame({"said": np.where(labels, "bad", "not bad"), "inclusion": [0.1] * n})
    return judged, pl.DataFrame(columns)


RULES = [Rule("noise", f"m{i}", "r", "<", -9.0, f"min_m{i}") for i in range(10)]
RULES += [Rule("likeness", "score", "low", "<", 0.1, "min_score"), Rule("likeness", "score", "high", ">", 2, None)]


def test_calibration_finds_the_threshold_that_tells_bad_rows() -> None:
    judged, values = measured(200, 20, 3, told=True)
    best = calibrate(judged, RULES, values, "small@1.0.0")["thresholds"][0]
    assert best["measure"] == "likeness.score"
    assert 0.4 < float(best["set"].partition("=")[2]) < 0.7
    assert (best["bad_dropped"] >= 18, best["others_dropped"] <= 10, best["by_chance"]) == (True, True, 0)
    assert best["share_after"] < 0.02 < best["share_before"] == pytest.approx(0.1)
    assert best["whatif"] == f"hala-factory whatif small@1.0.0 --set {best['set']}"


def test_calibration_says_how_often_chance_does_as_well() -> None:
    """The best of eleven measures of noise is the best of chance: its odds are spread evenly."""
    odds = []
    for seed in range(40):
        judged, values = measured(60, 12, seed, told=False)
        odds.append(calibrate(judged, RULES, values, "small@1.0.0", seed)["thresholds"][0]["by_chance"])
    assert sum(p <= 0.05 for p in odds) <= 6  # two of forty are expected; more than six have odds of 1 in 100
    assert 0.3 < float(np.mean(odds)) < 0.7


def test_calibration_is_silent_on_few_rows() -> None:
    judged, values = measured(100, 9, 1, told=True)
    assert calibrate(judged, RULES, values, "small@1.0.0") == {
        "bad": 9, "others": 91, "fewest": 10, "enough": False, "thresholds": [],
    }  # fmt: skip


def test_a_bound_of_whole_numbers_drops_what_it_says() -> None:
    judged = pl.DataFrame({"said": ["bad"] * 10 + ["not bad"] * 10, "inclusion": [1.0] * 20})
    values = pl.DataFrame(
        {"length.chars": [*range(10), *range(20, 30)], "length.words": [*range(50, 40, -1), *range(10)]}
    )
    rules = [Rule("length", "chars", "too_short", "<", 0, "min_chars"), Rule("length", "words", "too_long", ">", 99, "max_words")]  # fmt: skip
    found = {t["measure"]: t["set"] for t in calibrate(judged, rules, values, "a@1.0.0")["thresholds"]}
    assert found == {"length.chars": "length.min_chars=20", "length.words": "length.max_words=9"}


def test_permutations_of_annotators_change_nothing() -> None:
    for order in itertools.islice(itertools.permutations(OBSERVERS), 6):
        assert alpha(counted(order, "12345")) == alpha(counted(OBSERVERS, "12345"))
