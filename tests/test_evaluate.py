"""The step `evaluate` in a chain, with stand-ins for llmcompressor, vLLM and lm-eval; what it scores and what it tells."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hala_factory.models import program, scoring, significance
from hala_factory.models.evaluate import SIX, Evaluate
from hala_factory.models.rouge import rouge_l
from hala_factory.models.translations import Translations, scored
from hala_factory.yamlfile import read
from tests import six_benchmarks as six
from tests.test_models import QUANTISE, chain, shop
from tests.workshop import Workshop, alpaca

__all__ = ["shop"]
ASKED = {"exams": six.questions("exams", 40), "arabic-mmlu": six.questions("arabic-mmlu", 40)}
EVALUATE = {"step": "evaluate", "benchmarks": ["exams", "arabic-mmlu"]}
PAIRS = {"path": "pairs.jsonl", "n": 20}


@dataclass
class Harness:
    """An lm-eval that knows what each model gets right: of the base every second question, else all but a fourth."""

    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    """Which models were loaded, and what they were asked."""
    broken: BaseException | None = None

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((Path(order["model"]).name, sorted(order["tasks"])))
        if self.broken:
            raise self.broken
        made = {}
        for name, file in order["tasks"].items():
            count = len(Path(file).read_text().splitlines())
            right = [n % 2 == 0 if order["model"].endswith("base") else n % 4 != 0 for n in range(count)]
            said = [json.dumps({"right": r, "loglikelihoods": [-1.0, -2.0]}) + "\n" for r in right]
            (Path(order["out"]) / f"{name}.jsonl").write_text("".join(said))
            made[name] = {"accuracy": sum(right) / count, "questions": count, "cut": 0}
        return {"tasks": made, "software": {"lm-eval": "0"}}


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    made, real = Harness(), program.run

    def run(word: str, order: dict[str, Any], *rest: Any, **options: Any) -> dict[str, Any]:
        if word == "collapse":
            return {"gap": 0.25 if order["model"].endswith("base") else 0.5}
        return made.run(order) if word == "evaluate" else real(word, order, *rest, **options)

    monkeypatch.setattr(program, "run", run)
    monkeypatch.setattr(scoring, "_lm_eval", lambda: "0")
    return made


@pytest.fixture
def bench(shop: Workshop, harness: Harness) -> Workshop:
    """A shop with two benchmarks, and that lm-eval."""
    adding(shop, "benchmarks", six.written(shop, ASKED))
    return shop


def adding(shop: Workshop, part: str, entries: dict[str, Any]) -> None:
    """More entries of the catalog."""
    document = read(shop.folder / "catalog.yaml").data
    shop.yaml("catalog.yaml", {**document, part: {**document.get(part, {}), **entries}})


def report(shop: Workshop, version: str = "1.0.0"):
    manifest = json.loads((shop.folder / f"store/models/small/{version}/manifest.json").read_text())
    return next(s["report"] for s in manifest["stages"] if s["name"] == "evaluate")


# What is wrong with a recipe


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"benchmarks": ["exam"]}, "benchmarks: there is no task file for 'exam'; did you mean 'exams'?"),
        ({"benchmarks": ["alghafa"]}, "benchmark 'alghafa': it is not in the catalog"),
        ({"benchmarks": []}, "benchmarks: expected some, or 'translations': there is nothing to score"),
        ({"benchmarks": [], "translations": [PAIRS], "min_gain": 1}, "min_gain is of benchmarks, and none is asked"),
        ({"min_chrf_gain": 1}, "min_chrf_gain is of translations, and none are asked for"),
        ({"translations": [{"source": "held-uot"}]}, "unknown source 'held-uot'; did you mean 'held-out'?"),
        ({"translations": [{**PAIRS, "prompt": "Translate!"}]}, "expected a prompt that holds {text}"),
        ({"limit": 0}, "limit: expected at least 1, found 0"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_told_at_its_place(bench, step, told):
    chain(bench, QUANTISE, {**EVALUATE, **step})
    said = bench.run("check", "recipe.yaml")
    assert said.code == 2
    assert told in said.err
    assert said.err.startswith("recipe.yaml:")


@pytest.mark.parametrize(
    ("entry", "step", "told"),
    [
        ({"path": "none.jsonl"}, {}, "benchmark 'exams': no file matches 'none.jsonl'"),
        ({"columns": {"question": "question"}}, {}, "do not say which one holds the choices"),
        ({"sample": None}, {"samples": True}, "benchmark 'exams': it has no 'sample'"),
    ],
)
def test_a_benchmark_that_cannot_be_asked_is_told_before_anything_runs(bench, entry, step, told):
    known = read(bench.folder / "catalog.yaml").data["benchmarks"]["exams"]
    adding(bench, "benchmarks", {"exams": {**known, **entry}})
    chain(bench, QUANTISE, {**EVALUATE, **step})
    said = bench.run("plan", "recipe.yaml")
    assert said.code == 2
    assert said.err.startswith("recipe.yaml:")
    assert told in said.err


def test_an_answer_outside_its_choices_fails_the_build_at_its_place(bench):
    rows = [six.RECORDS["exams"](*asked) for asked in ASKED["exams"]]
    bench.rows("exams.jsonl", [*rows[:6], {**rows[6], "answer": "F"}, *rows[7:]])
    chain(bench, QUANTISE, EVALUATE)
    said = bench.run("build", "recipe.yaml")
    assert said.code == 1
    assert "exams.jsonl:7: the answer is 'F', expected one of A, B, C, D (letter)" in said.err


def test_rows_that_are_not_there_are_told_at_their_place(bench):
    chain(bench, QUANTISE, {**EVALUATE, "translations": [PAIRS, {"path": "nothing.jsonl"}]})
    said = bench.run("plan", "recipe.yaml")
    assert said.code == 2
    assert "nothing.jsonl" in said.err
    line = int(said.err.split(":")[1])
    assert "nothing.jsonl" in (bench.folder / "recipe.yaml").read_text().splitlines()[line - 1]


def test_without_lm_eval_it_is_told_what_to_install(bench, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(scoring.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(scoring.InputError, match=r"pip install 'hala-factory\[eval\]'"):
        scoring._lm_eval()


# The chain


def test_a_chain_tells_base_and_model_side_by_side(bench):
    chain(bench, QUANTISE, {**EVALUATE, "translations": [PAIRS], "min_gain": 20.0, "min_chrf_gain": 0.0})
    built = bench.run("build", "recipe.yaml", "--json").json
    told = report(bench)
    exams, mmlu = told["benchmarks"]["exams"], told["benchmarks"]["arabic-mmlu"]
    assert exams["score"] == exams["accuracy"] == {"before": 50.0, "after": 75.0}
    assert (exams["questions"], exams["averaged"], exams["gain"]) == (40, "questions", 25.0)
    assert mmlu["averaged"] == "subsets"
    assert mmlu["subsets"] == {  # History has the questions of 3 and 5 choices, every odd one
        "History": {"questions": 20, "before": 0.0, "after": 100.0},
        "Law Prof": {"questions": 20, "before": 100.0, "after": 50.0},
    }
    assert mmlu["accuracy"] == {"before": 50.0, "after": 75.0}
    assert told["mean"]["score"] == {"before": 50.0, "after": 75.0}
    assert told["mean"]["gain"] == 25.0
    assert not told["mean"]["noise"]
    assert told["mean"]["low"] < 25 < told["mean"]["high"]
    (pairs,) = told["translations"]
    assert (pairs["texts"], pairs["distinct_share"]) == (20, {"before": 1.0, "after": 1.0})
    assert pairs["scores"]["chrf"]["p"] is None  # the stand-in for vLLM answers for both alike
    folder = Path(built["path"])
    names = sorted(p.name for p in (folder / "evaluate").iterdir())
    assert names == ["arabic-mmlu.jsonl", "exams.jsonl", "translations-1.jsonl"]
    lines = [json.loads(line) for line in (folder / "evaluate/arabic-mmlu.jsonl").read_text().splitlines()]
    assert [line["before"]["right"] for line in lines] == [n % 2 == 0 for n in range(40)]
    assert lines[1]["subset"] == "History"
    assert pairs["reads"] == {"before": {"gap": 0.25}, "after": {"gap": 0.5}}
    assert [g["gate"] for g in built["gates"]] == ["min_gain", "min_chrf_gain", "min_distinct_share", "min_gap"]


def test_card_and_terminal_tell_the_tables_and_what_they_are(bench):
    chain(bench, QUANTISE, {**EVALUATE, "translations": [PAIRS], "limit": 30, "samples": True})
    folder = Path(bench.run("build", "recipe.yaml", "--json").json["path"])
    card, shown = (folder / "README.md").read_text(), bench.run("show", "small@1.0.0").out
    for part in ("of 2 subsets", "50.00", "chrF++", "ROUGE-L", "distinct answers", "20", "equal"):
        assert part in card
        assert part in shown
    for told in (
        "These are the few sample questions of this project, not the benchmarks: the scores say nothing.",
        "Of each benchmark no more than 30 questions were drawn by lot.",
        "Licences of the benchmarks: exams unknown, arabic-mmlu CC-BY-NC-SA-4.0.",
    ):
        assert told in card
        assert told in shown
    assert "| arabic-mmlu: History |" in card
    assert "tok:intl" in card
    assert "No corpus of this store went into the model." in card


def test_a_mean_over_subsets_is_no_share_of_all_questions(bench):
    uneven = [q for n, q in enumerate(six.questions("arabic-mmlu", 40)) if n % 2 or n < 8]
    bench.rows("arabic-mmlu.jsonl", [six.RECORDS["arabic-mmlu"](*asked) for asked in uneven])
    chain(bench, QUANTISE, EVALUATE)
    bench.run("build", "recipe.yaml", "--quiet")
    found = report(bench)["benchmarks"]["arabic-mmlu"]
    sizes = {name: each["questions"] for name, each in found["subsets"].items()}
    assert sizes == {"History": 20, "Law Prof": 4}
    for word in ("before", "after"):
        shares = [each[word] for each in found["subsets"].values()]
        assert found["score"][word] == pytest.approx(sum(shares) / 2)
        assert found["accuracy"][word] == pytest.approx((shares[0] * 20 + shares[1] * 4) / 24, abs=1e-3)


# Stored once


CHANGES = [
    ({}, False),
    ({"min_gain": -90}, False),
    ({"min_distinct_share": None}, False),
    ({"limit": 10}, True),
    ({"chat": True}, True),
    ({"benchmarks": ["exams"]}, True),
    ({"translations": [PAIRS]}, True),
]


def test_a_change_runs_what_it_decides_and_a_gate_runs_nothing(bench):
    chain(bench, QUANTISE, EVALUATE, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    for change, runs in CHANGES:
        chain(bench, QUANTISE, {**EVALUATE, **change}, version="dev")
        told = bench.run("plan", "recipe.yaml", "--json").json["stages"][1]
        assert (change, told["status"]) == (change, "to run" if runs else "stored")


def test_another_question_is_another_benchmark_and_a_published_version_is_not_scored_by_it(bench):
    chain(bench, QUANTISE, EVALUATE)
    bench.run("build", "recipe.yaml", "--quiet")
    bench.rows("exams.jsonl", [six.RECORDS["exams"](*asked) for asked in six.questions("exams", 41)])
    said = bench.run("plan", "recipe.yaml")
    assert said.code == 2
    assert "(first difference: stage 'evaluate'); bump the version" in said.err


def test_a_base_is_asked_once_for_all_that_are_made_of_it(bench, harness):
    chain(bench, QUANTISE, EVALUATE, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    assert harness.asked == [("base", ["arabic-mmlu", "exams"]), ("checkpoint", ["arabic-mmlu", "exams"])]
    chain(bench, {**QUANTISE, "scheme": "W8A8"}, EVALUATE, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    assert harness.asked[2:] == [("checkpoint", ["arabic-mmlu", "exams"])]
    chain(bench, QUANTISE, {**EVALUATE, "benchmarks": ["exams"]}, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    assert harness.asked[3:] == []


def test_a_benchmark_more_asks_only_that(bench, harness):
    chain(bench, QUANTISE, {**EVALUATE, "benchmarks": ["exams"]}, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    chain(bench, QUANTISE, EVALUATE, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    assert harness.asked[2:] == [("base", ["arabic-mmlu"]), ("checkpoint", ["arabic-mmlu"])]


def test_a_run_that_breaks_off_leaves_nothing_half_stored(bench, harness):
    chain(bench, QUANTISE, EVALUATE)
    harness.broken = KeyboardInterrupt()
    assert bench.run("build", "recipe.yaml").code == 130
    stages = bench.folder / "store" / "stages"
    assert not list(stages.glob("scores-*/[!.]*"))
    assert not list(stages.glob("scores-*/.tmp-*"))
    harness.broken = None
    assert bench.run("build", "recipe.yaml", "--json").json["digest"]


# Gates


def test_a_gate_that_is_not_passed_publishes_nothing_and_says_why(bench, harness):
    chain(bench, QUANTISE, {**EVALUATE, "translations": [PAIRS], "min_gain": 25.5, "min_chrf_gain": 0.5})
    said = bench.run("build", "recipe.yaml")
    assert said.code == 1
    rows = {line.split()[0]: line for line in said.err.splitlines() if line.startswith("evaluate.")}
    assert "+25.00 points (beyond noise" in rows["evaluate.min_gain"]
    assert "FAILED" in rows["evaluate.min_gain"]
    assert "both score the same" in rows["evaluate.min_chrf_gain"]
    assert "FAILED" in rows["evaluate.min_chrf_gain"]
    assert "passed" in rows["evaluate.min_distinct_share"]
    assert not (bench.folder / "store/models/small/1.0.0").exists()
    asked = len(harness.asked)
    chain(bench, QUANTISE, {**EVALUATE, "translations": [PAIRS], "min_gain": 25})
    assert bench.run("build", "recipe.yaml").code == 0
    assert len(harness.asked) == asked


def told(gain=0.0, p=0.5, share=1.0, gap=1.0):
    chrf = {"gain": gain, "p": p, "noise": p is None or p > 0.05}
    pairs = {"of": "pairs", "texts": 200, "scores": {"chrf": chrf}, "distinct_share": {"before": 1.0, "after": share}}
    pairs["reads"] = {"before": {"gap": 1.0}, "after": {"gap": gap}}
    return {"mean": chrf, "translations": [pairs]}


@pytest.mark.parametrize(
    ("measured", "gate", "passed", "shown"),
    [
        (told(2.0, 0.01), "min_gain", True, "+2.00 points (beyond noise, p = 0.010)"),
        (told(1.99), "min_gain", False, "+1.99 points (noise, p = 0.500)"),
        (told(3.0), "min_chrf_gain", True, "+3.00 points"),
        (told(2.99), "min_chrf_gain", False, "+2.99 points"),
        (told(p=None), "min_chrf_gain", False, "both score the same"),
        (told(share=0.5), "min_distinct_share", True, "50.0% of 200 answers"),
        (told(share=0.495), "min_distinct_share", False, "49.5% of 200 answers"),
        (told(gap=0.05), "min_gap", True, "+0.050 nats a token"),
        (told(gap=0.049), "min_gap", False, "+0.049 nats a token"),
    ],
)
def test_a_bound_is_inclusive_and_says_what_is_noise(measured, gate, passed, shown):
    step = Evaluate(translations=(Translations(path="x"),), min_gain=2, min_chrf_gain=3)
    (verdict,) = (v for v in step.verdicts(measured) if v.gate == gate)
    assert verdict.passed is passed
    assert shown in verdict.found


def test_a_collapsed_translator_is_told_as_one():
    distinct, reads = Evaluate(translations=(Translations(path="x"),)).verdicts(told(share=0.005, gap=0.0))
    assert [distinct.passed, reads.passed] == [False, False]
    assert "the translator may have collapsed" in distinct.because
    assert "it translates without reading" in reads.because


# What went into the model


def test_the_report_names_the_corpora_that_were_read_their_licence_and_what_was_found_in_them(bench):
    question = ASKED["exams"][3][0] + " " + "وما السبب الذي جعل الناس يختارون هذا الجواب دون غيره في كل مرة؟"
    first = six.RECORDS["exams"](question, ASKED["exams"][3][1], 1)
    bench.rows("exams.jsonl", [first, *(six.RECORDS["exams"](*asked) for asked in ASKED["exams"])])
    rows = [*alpaca(30), {"instruction": question, "input": "", "output": "لأنه صحيح."}]
    bench.rows("rows.jsonl", rows)
    one = {"path": "rows.jsonl", "columns": "alpaca", "language": "ar", "licence": "CC-BY-SA-4.0"}
    adding(bench, "sources", {"one": one})
    clean = {"step": "decontaminate", "texts": {"ar": "messages"}, "benchmarks": ["exams"]}
    corpus = {"name": "clean", "kind": "corpus", "version": "1.0.0", "language": "ar"}
    bench.yaml("clean.yaml", {**corpus, "sources": [{"source": "one"}], "steps": [clean]})
    made = bench.run("build", "clean.yaml", "--json", "--quiet", "--workers", "1").json
    assert made["rows"]["kept"] == 30
    quantise = {**QUANTISE, "method": "gptq", "calibration": {"corpus": "clean@1.0.0", "n": 4}}
    chain(bench, quantise, EVALUATE)
    built = bench.run("build", "recipe.yaml", "--json").json
    (read,) = report(bench)["read"]
    assert read == {
        "corpus": "clean@1.0.0",
        "digest": made["digest"],
        "by": "quantise",
        "licence": "CC-BY-SA-4.0",
        "published_under": "CC-BY-SA-4.0",
        "benchmarks": {
            "exams": {"compared": "yes", "dropped": 1},
            "arabic-mmlu": {"compared": "no", "dropped": 0},
        },
    }
    card = (Path(built["path"]) / "README.md").read_text()
    line = "read by quantise: under CC-BY-SA-4.0; decontaminated against exams (1 row dropped); "
    assert f"{line}not decontaminated against arabic-mmlu" in card

    # a chain that begins with that model has read what it has read
    adding(bench, "models", {"begun": {"engine": "vllm", "ref": "small@1.0.0", "licence": "MIT"}})
    chain(bench, QUANTISE, EVALUATE, name="next", base="begun")
    built = bench.run("build", "recipe.yaml", "--json").json
    manifest = json.loads((Path(built["path"]) / "manifest.json").read_text())
    assert manifest["corpora"] == [{"corpus": "clean@1.0.0", "digest": made["digest"], "by": "small@1.0.0: quantise"}]
    assert manifest["stages"][1]["report"]["read"][0]["benchmarks"]["exams"] == {"compared": "yes", "dropped": 1}

    # other questions of the same name are no proof
    (bench.folder / "clean.yaml").unlink()  # the version stands, and nobody builds it anew
    bench.rows("exams.jsonl", [six.RECORDS["exams"](*asked) for asked in ASKED["exams"]])
    chain(bench, quantise, EVALUATE, version="dev")
    bench.run("build", "recipe.yaml", "--quiet")
    (read,) = report(bench, "dev")["read"]
    assert read["benchmarks"]["exams"] == {"compared": "with other questions", "dropped": 1}


# By hand


def test_by_hand_one_model_is_scored_alone(bench, harness):
    said = bench.run(
        "evaluate", "tiny", "--benchmarks", "exams, arabic-mmlu", "--pairs", "pairs.jsonl", "--limit", "20"
    )
    assert said.code == 0, said.err
    assert "exams" in said.out
    assert "ROUGE-L" in said.out
    assert "gain" not in said.out
    found = bench.run("evaluate", "base", "--benchmarks", "exams", "--json").json
    assert found["benchmarks"]["exams"]["score"] == {"model": 50.0}
    assert found["models"] == {"model": "base"}
    asked = len(harness.asked)
    chain(bench, QUANTISE, {**EVALUATE, "benchmarks": ["exams"]})
    bench.run("build", "recipe.yaml", "--quiet")
    assert [name for name, _ in harness.asked[asked:]] == ["checkpoint"]  # what was asked by hand is stored as well


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "no folder and no model of the catalog: 'nothing'"),
        (["tiny", "--benchmarks", "exam"], "there is no task file for 'exam'; did you mean 'exams'?"),
        (["tiny", "--benchmarks", "alghafa"], "benchmark 'alghafa': it is not in the catalog"),
        (["tiny", "--benchmarks", ","], "there is nothing to score"),
    ],
)
def test_what_cannot_be_scored_by_hand_is_told(bench, words, message):
    said = bench.run("evaluate", *words)
    assert said.code == 2
    assert message in said.err


# Scores


@pytest.mark.parametrize(
    ("wins", "losses", "noise"),
    [(0, 0, True), (1, 0, True), (5, 5, True), (12, 2, False), (40, 0, False)],
)
def test_a_gain_is_noise_until_many_questions_make_it(wins, losses, noise):
    found = significance.gain([[1.0] * wins + [-1.0] * losses + [0.0] * (100 - wins - losses)])
    assert found.gain == pytest.approx((wins - losses) / 100)
    assert found.noise is noise
    assert (found.p is None) is (wins + losses == 0)
    assert found.low <= found.gain <= found.high


def test_resampling_by_counts_is_resampling_question_by_question():
    differences = np.array([1.0] * 9 + [-1.0] * 3 + [0.0] * 28)
    generator = np.random.default_rng(1)
    drawn = differences[generator.integers(0, 40, (20_000, 40))].mean(axis=1)
    p = (np.abs(drawn - drawn.mean()) >= differences.mean() - 1e-12).mean()
    found = significance.gain([list(differences)])
    assert found.p == pytest.approx(p, abs=0.03)
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.026)


def test_the_same_results_give_the_same_p_and_a_mean_of_gains_is_surer_than_each():
    each = [significance.gain([[1.0] * 4 + [-1.0] * 1 + [0.0] * 45], seed) for seed in range(6)]
    assert significance.gain([[1.0, 0.0]]).p == significance.gain([[1.0, 0.0]]).p
    assert significance.mean(each).p < min(g.p for g in each)


def test_a_mean_over_subsets_is_tested_by_resampling_each_subset():
    small, large = [1.0, 0.0], [0.0] * 200
    found = significance.gain([small, large])
    assert found.gain == 0.25
    assert found.noise  # one question decides half of the score


WORDS = ["قطة", "تنام", "على", "السرير", "كتاب", "،", "the", "a", "."]


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("القطة تنام على السرير.", "القطة تنام على السرير.", 1.0),
        ("القطة تنام", "القطة تنام على السرير", 2 * 2 / 6),
        ("نعم، هذا صحيح", "نعم ، هذا صحيح؟", 2 * 4 / 9),  # the Arabic comma is a token, as is the question mark
        ("كتاب آخر", "القطة تنام", 0.0),
        ("", "القطة", 0.0),
        ("تنام القطة", "القطة تنام", 0.5),
    ],
)
def test_rouge_l_parts_arabic_words_from_their_punctuation(hypothesis, reference, expected):
    assert rouge_l([hypothesis], [reference]) == [pytest.approx(expected)]


@pytest.mark.train
def test_rouge_l_is_that_of_rouge_score_with_the_same_words():
    scorer = pytest.importorskip("rouge_score.rouge_scorer")

    class Words:
        def tokenize(self, text):
            return text.split()

    theirs = scorer.RougeScorer(["rougeL"], tokenizer=Words())
    draw = random.Random(0)
    for _ in range(300):
        one, other = (" ".join(draw.choices(WORDS, k=draw.randrange(1, 90))) for _ in range(2))
        assert rouge_l([one], [other])[0] == pytest.approx(theirs.score(other, one)["rougeL"].fmeasure)


def test_one_set_of_answers_scores_as_it_does_beside_another():
    references = [f"القطة رقم {n} تنام على السرير الكبير" for n in range(30)]
    worse = [r.replace("السرير", "الكرسي") if n % 2 else r for n, r in enumerate(references)]
    alone, both = scored({"model": worse}, references), scored({"before": references, "after": worse}, references)
    for word in ("bleu", "chrf", "rouge_l"):
        assert alone[word]["model"] == pytest.approx(both[word]["after"])
        assert both[word]["gain"] == pytest.approx(both[word]["after"] - both[word]["before"], abs=1e-3)
        assert not both[word]["noise"]


def test_the_default_is_the_six_of_the_report():
    assert Evaluate().tests() == list(SIX)
