"""A corpus without test questions: planted ones fall in real builds, and what was compared with is part of a version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hala_factory.fingerprint import file_digest
from tests.stand_in_hub import Hub, running
from tests.workshop import ARABIC, Workshop, alpaca

SHEEP = "A farmer counts 17 sheep in the upper field and twice as many in the lower one. How many sheep does he own?"
GOATS = "A farmer counts 17 goats in the upper field and twice as many in the lower one. How many goats does he own?"
CASTLE = "In which year was the old castle by the lake given back to the town?"
RIVER = "ما هو أطول الأنهار التي تصب في البحر الأبيض المتوسط من جهة الجنوب؟"
EXAM = {"path": "exam.jsonl", "columns": {"question": "q", "choices": ["a", "b"], "id": "id"}, "language": "en"}
SCHOOL = {"path": "school.jsonl", "columns": {"question": "question"}, "language": "ar"}
CLEAN: dict[str, Any] = {"step": "decontaminate"}
ASKED = [("Which Mediterranean river is the longest?", RIVER), (f"Solve this. {SHEEP.upper()}", "كم خروفا؟")]
ASKED += [(GOATS, "كم عنزة؟"), (CASTLE, "متى أعيدت القلعة؟")]
"""What is asked in English and its translation: rows 1 to 4 of the source; of the third only the animals are others."""


def prepared(workshop: Workshop, **step: Any) -> Workshop:
    """Eight rows that people translated, four of them about what two benchmarks ask."""
    rows = [{"instruction": english, "input": "", "output": f"Answer {n}."} for n, (english, _) in enumerate(ASKED)]
    workshop.rows("rows.jsonl", [*rows, *alpaca(4)])
    known = {**dict(ASKED), **{f"Answer {n}.": f"الجواب {n}." for n in range(len(ASKED))}}
    known |= {
        text.format(word="row", i=i): told.format(word="row", i=i) for i in range(4) for text, told in ARABIC.items()
    }
    workshop.rows("answers.jsonl", [{"text": text, "answer": answer} for text, answer in known.items()])
    workshop.rows(
        "exam.jsonl", [{"id": "e-7", "q": SHEEP, "a": "34", "b": "51"}, {"id": "e-8", "q": "Two?", "a": "2", "b": "3"}]
    )
    workshop.rows("school.jsonl", [{"question": "ما هي عاصمة مصر؟"}, {"question": RIVER}])
    workshop.rows("few.jsonl", [{"id": "s-1", "q": CASTLE, "a": "1920", "b": "1950"}])
    benchmarks(workshop, {"exam": {**EXAM, "sample": {"path": "few.jsonl"}}, "school": SCHOOL})
    recipe(workshop, **step)
    return workshop


def benchmarks(workshop: Workshop, entries: dict[str, dict[str, Any]]) -> None:
    people = {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}
    source = {"path": "rows.jsonl", "columns": "alpaca", "language": "en", "licence": "CC0-1.0"}
    workshop.yaml(
        "catalog.yaml",
        {
            "sources": {"one": {**source, "sample": {"path": "rows.jsonl"}}},
            "models": {"people": people},
            "benchmarks": {name: {"licence": "MIT", **entry} for name, entry in entries.items()},
        },
    )


def recipe(workshop: Workshop, version: str = "dev", **step: Any) -> None:
    steps = [{"step": "translate", "to": "ar", "model": "people"}, {**CLEAN, **step}]
    workshop.recipe(["one"], steps, version=version)


def fates(workshop: Workshop, version: str = "dev") -> dict[int, str]:
    """What became of each row of the source, by its place."""
    lost = {row["origin"]["position"]: row["reason"] for row in workshop.lost(version).to_dicts()}
    kept = dict.fromkeys((row["position"] for row in workshop.kept(version)["origin"].to_list()), "kept")
    return dict(sorted({**lost, **kept}.items()))


def compared(workshop: Workshop) -> str:
    """What the plan says of the stage that compares."""
    stages = workshop.run("plan", "recipe.yaml", "--json").json["stages"]
    return next(f"{s['status']}: {s['reason']}" for s in stages if s["name"] == "decontaminate")


def test_planted_questions_fall_in_either_language_and_the_ledger_names_them(workshop: Workshop) -> None:
    told = prepared(workshop).build()
    assert told["rows"]["kept"] == 5
    assert list(fates(workshop).values()) == ["same_question", "contaminated", "contaminated", *["kept"] * 5]
    lost = {row["origin"]["position"]: row for row in workshop.lost().to_dicts()}
    river, sheep, goats = (lost[place] for place in sorted(lost))
    assert river["detail"] == f"school row school.jsonl:2 (ar): 100% of its question: {RIVER}"
    assert sheep["detail"] == f"exam row e-7 (en): 100% of its question: {SHEEP.upper()}"
    assert goats["detail"].startswith("exam row e-7 (en): 91% of its question: A farmer counts 17 goats in")
    assert (sheep["decontaminate.benchmark"], sheep["decontaminate.test_row"]) == ("exam", "e-7")
    journey = workshop.run("why", sheep["id"]).out
    assert "exam row e-7" in journey
    assert "contaminated" in journey


def test_a_version_says_which_benchmarks_it_was_compared_with(workshop: Workshop) -> None:
    prepared(workshop).build()
    lock = workshop.manifest()["lock"]["benchmarks"]
    assert sorted(lock) == ["exam", "school"]
    assert lock["exam"]["files"]["exam.jsonl"]["digest"] == file_digest(workshop.folder / "exam.jsonl")
    assert (workshop.folder / "store" / "benchmarks" / lock["exam"]["table"]).exists()


def test_a_changed_benchmark_is_compared_with_anew_and_nothing_else_is_built(workshop: Workshop) -> None:
    prepared(workshop).build()
    assert compared(workshop) == "stored: unchanged"
    workshop.rows("exam.jsonl", [{"id": "e-9", "q": CASTLE, "a": "1920", "b": "1950"}])
    assert compared(workshop) == "to run: changed since it was built"
    stages = {s["name"]: s["status"] for s in workshop.build()["stages"]}
    assert [name for name, status in stages.items() if status == "stored"] == ["source-one", "translate"]
    assert list(fates(workshop).values()) == ["same_question", "kept", "kept", "same_question", *["kept"] * 4]
    assert "exam row e-9" in workshop.lost()["detail"].str.join(" ").item()


def test_what_decides_nothing_builds_nothing(workshop: Workshop) -> None:
    prepared(workshop).build()
    benchmarks(workshop, {"school": {**SCHOOL, "note": "Shown."}, "exam": {**EXAM, "licence_note": "Read."}})
    assert compared(workshop) == "stored: unchanged"
    benchmarks(workshop, {"school": SCHOOL, "exam": EXAM, "third": {**SCHOOL, "path": "few.jsonl", "language": "fr"}})
    assert compared(workshop) == "stored: unchanged"


def test_a_published_version_is_not_compared_with_other_questions(workshop: Workshop) -> None:
    prepared(workshop)
    recipe(workshop, "1.0.0")
    workshop.build()
    workshop.rows("exam.jsonl", [{"id": "e-9", "q": CASTLE, "a": "1920", "b": "1950"}])
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 2
    assert "small@1.0.0 stands already and was built from something else (first difference: stage 'decon" in said.err


SETTINGS = ["max_overlap=null", "max_overlap=0.99", "max_short_overlap=null", "max_overlap=0.9", "max_overlap=0"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_if_says_what_a_rebuild_does(workshop: Workshop, setting: str) -> None:
    prepared(workshop).build()
    before = fates(workshop)
    told = workshop.run("whatif", "small@dev", "--set", f"decontaminate.{setting}", "--json").json
    field, _, value = setting.partition("=")
    recipe(workshop, **{field: json.loads(value)})
    workshop.build()
    after = fates(workshop)
    flipped = {row["origin"]["position"] for row in told["rows"]}
    assert flipped == {place for place in before if before[place] != after[place]}
    assert told["kept"]["after"] == sum(fate == "kept" for fate in after.values())


def test_what_if_a_row_that_an_earlier_step_dropped_comes_to_the_benchmarks(workshop: Workshop) -> None:
    prepared(workshop)
    steps = [{"step": "length", "on": "messages.user", "max_chars": 60}, {**CLEAN, "texts": {"en": "messages"}}]
    workshop.recipe(["one"], steps)
    workshop.build()
    assert fates(workshop)[2] == "too_long"
    told = workshop.run("whatif", "small@dev", "--set", "length.max_chars=null", "--json").json
    assert {row["origin"]["position"]: row["becomes"] for row in told["rows"]}[2] == "decontaminate.contaminated"


def test_samples_of_benchmarks_stand_in_where_those_of_sources_do(workshop: Workshop) -> None:
    prepared(workshop)
    steps = [{**CLEAN, "texts": {"en": "messages"}}]
    workshop.recipe(["one"], steps, profiles={"demo": {"sources": "samples"}})
    workshop.build("--profile", "demo")
    assert list(fates(workshop).values())[:4] == ["kept", "kept", "kept", "same_question"]
    assert list(workshop.manifest()["lock"]["benchmarks"]["exam"]["files"]) == ["few.jsonl"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"benchmarks": ["exma"]}, "unknown benchmark 'exma'; did you mean 'exam'?"),
    ({"benchmarks": ["exam", "toefl"]}, "unknown benchmark 'toefl'; known are: exam, school"),
    (
        {"texts": {"ar": "messages"}, "benchmarks": ["exam"]},
        "benchmark 'exam' is in 'en', which 'texts' does not name",
    ),
    ({"benchmarks": ["exam"]}, "no benchmark to compare with is in 'ar'; known are: en"),
    ({"texts": {"eng": "messages_en"}}, "no benchmark to compare with is in 'eng'; did you mean 'en'?"),
    ({"texts": {"ar": "message"}}, "the rows have no text 'message' here; did you mean 'messages'?"),
]


@pytest.mark.parametrize(("step", "message"), WRONG)
def test_check_says_what_cannot_be_compared(workshop: Workshop, step: dict[str, Any], message: str) -> None:
    said = prepared(workshop, **step).run("check", "recipe.yaml")
    assert said.code == 2
    assert [line for line in said.err.splitlines() if "recipe.yaml:" in line and line.endswith(message)]
    recipe(workshop)
    assert workshop.run("check", "recipe.yaml").code == 0


GONE: list[tuple[dict[str, Any], str]] = [
    ({**EXAM, "path": "exma.jsonl"}, "benchmark 'exam': no file matches 'exma.jsonl'"),
    (
        {"path": "exam.jsonl", "language": "en"},
        "benchmark 'exam': its 'columns' do not say which one holds the question",
    ),
    ({**EXAM, "columns": {"question": "qq"}}, "exam.jsonl:1: there is no column 'qq'; did you mean 'q'?"),
]


@pytest.mark.parametrize(("entry", "message"), GONE)
def test_a_benchmark_that_cannot_be_read_stops_the_build(
    workshop: Workshop, entry: dict[str, Any], message: str
) -> None:
    prepared(workshop)
    benchmarks(workshop, {"exam": entry, "school": SCHOOL})
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert said.code != 0
    assert message in said.err
    assert not workshop.corpus().exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield hub


def test_a_benchmark_that_cannot_be_reached_stops_the_plan_and_says_where_it_is_named(
    workshop: Workshop, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(workshop)
    there = {"hub": "maker/exam", "files": ["exam.jsonl"], "columns": {"question": "q"}, "language": "en"}
    benchmarks(workshop, {"exam": there, "school": SCHOOL})
    missing = workshop.run("plan", "recipe.yaml")
    assert missing.code == 2
    assert "benchmark 'exam': there is no dataset 'maker/exam' on the Hub" in missing.err
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    silent = workshop.run("plan", "recipe.yaml")
    assert silent.code == 2
    assert "benchmark 'exam': the Hub did not answer for dataset 'maker/exam'" in silent.err
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.datasets["maker/exam"] = {"exam.jsonl": (workshop.folder / "exam.jsonl").read_bytes()}
    workshop.build()
    assert fates(workshop)[2] == "contaminated"
