"""Decontamination: which rows hold a question of a benchmark, however it is dressed, and which only seem to."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hala_factory import overlap, rows
from hala_factory.errors import BuildError
from hala_factory.filters.decontaminate import Decontaminate
from tests.questions import Question, table
from tests.test_filters import instructions, near, pairs, said, verdicts

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

SHEEP = "A farmer counts 17 sheep in the upper field and twice as many in the lower one. How many sheep does he own?"
SUN = ("Why is the sky blue?", ["Dust", "Scattering"])
TRUE = ("Which of the following is true?", ["Iron floats on mercury", "Lead floats on water"])
TOWN = ("Capital?", ["Paris", "Rome"])
NORMAN = "What was the name of the Norman castle?"
POEM = (
    "Who saw it?",
    ["A", "B"],
    "The heron stood in the shallow water until the boat with the red sail had passed it.",
)
RIVER = "ما هو أطول الأنهار التي تصب في البحر الأبيض المتوسط من جهة الجنوب؟"
EGYPT = ("ما هي عاصمة مصر؟", ["القاهرة", "الرباط"])
STATEMENT = ("أي من العبارات التالية صحيحة؟", ["الحديد يطفو على الزئبق", "الرصاص يطفو على الماء"])
FILLER = [f"What was the name of the {thing}?" for thing in ("king", "ship", "horse", "road", "bridge", "queen")]
ENGLISH: list[Question] = [SHEEP, SUN, TRUE, TOWN, NORMAN, POEM, "Yes", "How much is 12 + 7?", *FILLER]
ARABIC: list[Question] = [RIVER, EGYPT, STATEMENT, "نعم", "القطة ﻻ تشرب هذا الحليب البارد صباحا"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tables")
    return {**table(folder, "school", "en", ENGLISH), **table(folder, "madrasa", "ar", ARABIC)}


def step(tables: dict[str, Path], language: str = "en", **options: Any) -> Decontaminate:
    return Decontaminate(texts={language: "messages"}, **options).bound(tables)


HELD: list[tuple[str, str, str, float, str | None]] = [
    # As it stands, and in other clothes.
    ("en", SHEEP, "school 1", 1.0, "contaminated"),
    ("en", f"Answer this question: {SHEEP.upper()}", "school 1", 1.0, "contaminated"),
    ("en", SHEEP.replace(".", " -").replace("?", "!!").replace(" ", "  "), "school 1", 1.0, "contaminated"),
    ("en", "He wrote: «" + SHEEP.replace("many", "m\u00adany") + "» and went away.", "school 1", 1.0, "contaminated"),
    ("en", SHEEP.replace("17", "١٧"), "school 1", 1.0, "contaminated"),
    ("ar", RIVER, "madrasa 1", 1.0, "same_question"),
    ("ar", "أجب عما يأتي: ما هُوَ أطْوَلُ الأَنهارِ التي تصبّ في البحـــر الابيض المتوسّط من جهه الجنوب", "madrasa 1", 1.0, "same_question"),
    ("ar", "القطة لا تشرب هذا الحليب البارد صباحا", "madrasa 5", 1.0, "same_question"),
    # In part.
    ("en", SHEEP.replace("upper", "northern").replace("lower", "southern"), "school 1", 0.9047, "contaminated"),
    ("en", "A farmer counts 17 sheep in the upper field.", "school 1", 0.3872, None),
    ("en", "A farmer counts 17 goats.", "", 0.0, None),
    # Many words in common, and no matter.
    ("en", "What was the name of the old inn?", "", 0.0, None),
    ("en", "In how many fields does he own the sheep that a farmer counts twice?", "", 0.0, None),
    # Too short for a share: whole or not at all.
    ("en", "why is the sky BLUE", "school 2", 1.0, "same_question"),
    ("en", "Q: Why is the sky blue? A: Because of scattering.", "school 2", 1.0, "same_question"),
    ("en", "Tell me why is the sky blue today", "", 0.0, None),
    ("ar", "سؤال: ما هي عاصمة مصر؟", "madrasa 2", 1.0, "same_question"),
    ("ar", "ما هي عاصمة مصر القديمة؟", "", 0.0, None),
    ("en", "What is 12 + 7?\nHow much is 12 + 7?", "school 8", 1.0, "same_question"),
    ("en", "How much is 12 - 7?", "", 0.0, None),
    # Of one word, or empty: with all its choices.
    ("en", "Yes.", "", 0.0, None),
    ("ar", "نعم", "", 0.0, None),
    ("en", "Capital?", "", 0.0, None),
    ("en", "Capital? a) Paris b) Lyon", "", 0.0, None),
    ("en", "Capital? a) Paris b) Rome", "school 4", 1.0, "same_question"),
    ("en", "Which of the following is true?\nA. Salt is sweet.\nB. Ice is hot.", "", 0.0, None),
    ("en", "Which of the following is true?\nA. Lead floats on water.\nB. Iron floats on mercury.", "school 3", 1.0, "same_question"),
    ("ar", "أي من العبارات التالية صحيحة؟ أ) الملح حلو", "", 0.0, None),
    ("ar", "أي من العبارات التالية صحيحة؟\nأ) الحديد يطفو على الزئبق\nب) الرصاص يطفو على الماء", "madrasa 3", 1.0, "same_question"),
    # Choices alone, and a passage that was not asked for.
    ("en", "Iron floats on mercury, lead floats on water.", "", 0.0, None),
    ("en", POEM[2], "", 0.0, None),
    ("en", "", "", 0.0, None),
]  # fmt: skip


@pytest.mark.parametrize(("language", "content", "held", "share", "reason"), HELD)
def test_a_row_falls_when_it_holds_a_question(
    language: str, content: str, held: str, share: float, reason: str | None, tables: dict[str, Path]
) -> None:
    measured = step(tables, language).measure(said(content)).row(0, named=True)
    assert f"{measured['benchmark']} {measured['test_row']}".strip() == held
    assert max(measured["overlap"], measured["short_overlap"]) == pytest.approx(share, abs=0.001)
    assert verdicts(step(tables, language), said(content)) == [reason]


DRESSED = [
    *("{}", "1) {}?", "(1) {}", "1. {}", "1- {}", "Question 5 - {}?", "Q1: {}", "- {}", "• {}?", "**{}**", "### {}"),
    *("<q>{}?</q>", "Hello! {}? Thanks.", "He asked: “{}”", "[{}]", "`{}`", "Hint\t{}\tdone", "{} (choose one)"),
    *(
        '{{"question": "{}", "answer": "x"}}',
        "| {} | x |",
        "{} - a, b",
        "السؤال: {}؟",
        "س/ {}",
        "\u202b{}\u202c",
        "_{}_",
    ),
]


@pytest.mark.parametrize("dress", DRESSED)
def test_a_short_question_is_known_in_every_dress(dress: str, tables: dict[str, Path]) -> None:
    assert verdicts(step(tables), said(dress.format("Why is the sky blue"))) == ["same_question"]
    assert verdicts(step(tables, "ar"), said(dress.format("ما هي عاصمة مصر"))) == ["same_question"]


@pytest.mark.parametrize("word", range(12))
def test_a_short_question_is_found_whichever_of_its_words_is_another(word: int, tables: dict[str, Path]) -> None:
    words = RIVER.split()
    measured = step(tables, "ar").measure(said(" ".join([*words[:word], "القمر", *words[word + 1 :]])))
    assert measured["test_row"].to_list() == ["1"]
    assert 0.85 < measured["short_overlap"][0] < 1


def test_words_put_in_and_left_out_do_not_hide_a_question(tables: dict[str, Path]) -> None:
    longer = SHEEP.replace("upper", "big green upper").replace("in the lower one", "in the one")
    measured = step(tables).measure(said(longer))
    assert measured["overlap"].to_list() == [pytest.approx(20 / 21, abs=0.02)]


def test_a_short_question_about_something_else_is_kept(tmp_path: Path) -> None:
    asked = ["What is the square root of 81?", "What is the population of the country?", "Who wrote the play?"]
    usual = [f"What is the {what} of the {thing}?" for what in ("age", "height") for thing in ("king", "hill", "boat")]
    known = table(tmp_path, "b", "en", [*asked, *usual, "Who wrote it?", "What is the square of the root?"])
    others = ["What is the square root of 64?", "What is the population of the city?", "Who wrote the book?"]
    assert verdicts(step(known), said_each(asked)) == ["same_question"] * 3
    assert verdicts(step(known), said_each(others)) == [None] * 3


def test_a_text_that_says_one_thing_over_and_over_costs_little(tmp_path: Path) -> None:
    known = table(tmp_path, "b", "en", ["ha ho " * 1_000, "Who laughs?"])
    measured = step(known).measure(said_each(["ha ho " * 50_000, "ha ho " * 600, "ha ho " * 2]))
    assert measured["overlap"].to_list() == [1.0, pytest.approx(0.6), 0.0]


def test_a_row_shows_what_it_holds_on_every_side(tables: dict[str, Path]) -> None:
    frame = instructions([("user", RIVER)], [("user", "لا شيء")]).with_columns(
        instructions([("user", SHEEP)], [("user", "Nothing")])["messages"].alias("messages_en")
    )
    both = Decontaminate().bound(tables)
    assert both.measure(frame).row(0, named=True) == near(
        {
            "overlap": 1.0,
            "short_overlap": 1.0,
            "language": "en",
            "benchmark": "school",
            "test_row": "1",
            "matched": SHEEP,
            "detail": f"school row 1 (en): 100% of its question: {SHEEP}; "
            f"madrasa row 1 (ar): 100% of its question: {RIVER}",
        }
    )
    assert verdicts(both, frame) == ["contaminated", None]


def test_a_translation_falls_for_the_question_that_its_source_holds(tables: dict[str, Path]) -> None:
    sides = Decontaminate(texts={"en": "translation.en", "ar": "translation.ar"}).bound(tables)
    frame = pairs((SHEEP, "كم خروفًا يملك المزارع؟"), ("A road.", "ما هي عاصمة مصر؟"), ("A road.", "طريق."))
    assert sides.measure(frame)["language"].to_list() == ["en", "ar", ""]
    assert verdicts(sides, frame) == ["contaminated", "same_question", None]


def test_texts_are_not_held_against_tests_in_another_language(tables: dict[str, Path]) -> None:
    assert verdicts(step(tables, "en"), said(RIVER)) == [None]
    assert verdicts(step(tables, "ar"), said(SHEEP)) == [None]


OPTIONS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"max_overlap": None}, SHEEP, None),
    ({"max_overlap": 0.95}, SHEEP.replace("upper", "northern").replace("lower", "southern"), None),
    ({"words": 8}, SHEEP.replace("many", "few").replace("upper", "northern"), None),
    ({"words": 3, "min_shared": 3}, f"Tell me {NORMAN[:-1]} there", "same_question"),
    ({}, f"Tell me {NORMAN[:-1]} there", "same_question"),
    ({"max_questions": 3}, NORMAN, "same_question"),
    ({"max_short_overlap": 0.8}, "The sky is: why is the sky blue?", "same_question"),
    ({"max_short_overlap": None}, "Why is the sky blue?", None),
    ({"max_short_overlap": None, "long_words": 3}, "Why is the sky blue?", "contaminated"),
    ({"long_words": 30}, SHEEP.split("How")[0] + "How many are they?", "same_question"),
    ({"min_words": 6}, "Why is the sky blue?", None),
    ({"min_words": 6}, "Why is the sky blue? Dust or scattering", "same_question"),
    ({"min_words": 1}, "Yes.", "same_question"),
    ({"min_words": None}, "Why is the sky blue? Dust or scattering", None),
    ({"passages": True}, f"Read this. {POEM[2]}", "contaminated"),
    ({"passages": True}, "The heron stood in the shallow water.", None),
    ({"min_shared": 60}, SHEEP.replace("many", "few"), None),
    ({"min_shared": 60}, SHEEP, "contaminated"),
]


@pytest.mark.parametrize(("options", "content", "reason"), OPTIONS)
def test_an_option_changes_what_counts(
    options: dict[str, Any], content: str, reason: str | None, tables: dict[str, Path]
) -> None:
    assert verdicts(step(tables, **options), said(content)) == [reason]


def test_a_run_that_many_questions_share_tells_none_of_them(tmp_path: Path) -> None:
    template = "For which of these two scenes does the speaker do something that is clearly wrong: {}"
    scenes = [f"I {verb} my neighbour's {thing} at dawn" for verb in ("wash", "sell", "hide") for thing in "abcdef"]
    known = table(tmp_path, "scenes", "en", [template.format(scene) for scene in scenes])
    asked = said(template.format("I water the roses."))
    assert verdicts(step(known), asked) == [None]
    assert verdicts(step(known), said(template.format(scenes[4]))) == ["contaminated"]
    assert verdicts(step(table(tmp_path, "scene", "en", [template.format(scenes[0])])), asked) == ["contaminated"]


def test_words_that_a_question_says_twice_are_not_found_twice(tmp_path: Path) -> None:
    known = table(tmp_path, "b", "en", ["Weather of tomorrow in New York City. Is it fine in New York City?"])
    measured = step(known, words=3).measure(said("He moved to a flat in New York City"))
    assert measured["overlap"].to_list() == [0.0]


def test_a_question_that_two_benchmarks_ask_is_told_of_the_first_by_name(tmp_path: Path) -> None:
    known = {**table(tmp_path, "one", "en", [SHEEP]), **table(tmp_path, "two", "en", [SHEEP, "Is it?"])}
    for tables in (known, dict(reversed(known.items()))):
        assert step(tables).measure(said(SHEEP))["benchmark"].to_list() == ["one"]


def test_signs_of_mathematics_and_ideographs_are_words(tmp_path: Path) -> None:
    known = table(tmp_path, "b", "zh", ["中国最长的河流是哪一条？"])
    chinese = step(known, "zh")
    assert verdicts(chinese, said("请问：中国最长的河流是哪一条？谢谢")) == ["same_question"]
    assert verdicts(chinese, said("中国最大的湖泊叫什么名字？")) == [None]


# ---- What it is bound to ----


def test_a_step_that_is_not_bound_refuses_to_call_rows_clean() -> None:
    with pytest.raises(BuildError, match="step 'clean' runs without its benchmarks"):
        Decontaminate(name="clean").measure(said("x").with_columns(messages_en="messages"))


def test_a_language_that_no_benchmark_is_in_is_an_error(tables: dict[str, Path]) -> None:
    with pytest.raises(BuildError, match=r"no benchmark holds a question in 'fr' \(known: madrasa, school\)"):
        step(tables, "fr").measure(said("Où est la gare ?"))


def test_a_named_benchmark_in_another_language_is_an_error(tables: dict[str, Path]) -> None:
    with pytest.raises(BuildError, match="benchmark 'madrasa' is in 'ar', which 'texts' does not name"):
        step(tables, "en", benchmarks=["school", "madrasa"]).measure(said("x"))


def test_a_step_is_held_to_the_benchmarks_that_it_names(tables: dict[str, Path], tmp_path: Path) -> None:
    more = {**tables, **table(tmp_path, "extra", "en", ["Who carried the lantern up the stairs that night?"])}
    content = said("Who carried the lantern up the stairs that night?")
    assert verdicts(step(more, benchmarks=["school"]), content) == [None]
    assert verdicts(step(more, benchmarks=["school", "extra"]), content) == ["same_question"]


def test_a_bound_step_goes_to_another_process_and_keeps_its_identity(tables: dict[str, Path]) -> None:
    bound = step(tables)
    assert verdicts(pickle.loads(pickle.dumps(bound)), said(SHEEP)) == ["contaminated"]
    assert bound.identity() == Decontaminate(texts={"en": "messages"}).identity()


def test_the_texts_are_checked_before_anything_runs() -> None:
    columns = {"messages": rows.MESSAGES}
    assert Decontaminate(texts={"ar": "messages"}).faults(columns) == []
    assert Decontaminate().faults(columns) == [
        ("texts", "the rows have no text 'messages_en' here; did you mean 'messages'?")
    ]
    assert Decontaminate().paths() == ["messages_en", "messages"]
    assert Decontaminate().tests() == ["*"]
    assert Decontaminate(benchmarks=["arc", "mmlu"]).tests() == ["arc", "mmlu"]


# ---- Words ----


def test_words_are_told_apart_and_their_places_known() -> None:
    texts = ["Hello,  World! x=2", "", "مُحَمَّدٌ ذهب إلى المدرسةِ؟", "Ça va", "++ ﷺ"]
    words = overlap.words_of(texts)
    cut = [
        [overlap.spelt(texts[n])[words.span(i, i)].strip() for i in range(len(words.text)) if words.text[i] == n]
        for n in range(len(texts))
    ]
    assert cut[:4] == [["Hello,", "World!", "x", "=", "2"], [], ["مُحَمَّدٌ", "ذهب", "إلى", "المدرسةِ؟"], ["Ça", "va"]]
    assert cut[4] == ["+", "+", "صلى", "الله", "عليه", "وسلم"]
    assert words.closes.tolist()[:5] == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Straße", "STRASSE", False),
        ("ÉCOLE", "ecole", True),
        ("e\u0301cole", "école", True),
        ("أحمد", "احمد", True),
        ("مدرسة", "مدرسه", True),
        ("ﻛﺘﺎﺏ", "كتاب", True),
        ("x²", "x2", False),
        ("۱۲۳", "123", True),
        ("a\u200bb", "ab", True),
        ("abcdefghijklmnop", "abcdefghijklmnoq", False),
        ("word" * 40 + "a", "word" * 40 + "ab", False),
        ("＋", "+", False),
    ],
)
def test_words_that_read_the_same_have_one_key(one: str, other: str, alike: bool) -> None:
    keys = [overlap.words_of([text]).keys.tolist() for text in (one, other, f"{other} é")]
    assert (keys[0] == keys[1]) is alike
    assert keys[2][: len(keys[1])] == keys[1]  # by whichever way a text is read


# ---- Real tests and real rows ----


def real_tests(data: Path) -> dict[str, list[Question]]:
    def squad(path: Path) -> list[Question]:
        raw = path.read_bytes()
        articles = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)["data"]
        return [(q["question"], [], p["context"]) for a in articles for p in a["paragraphs"] for q in p["qas"]]

    exams: list[Question] = []
    for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/test/*.csv")):
        cells = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        exams += [(row[0], row[1:5]) for row in cells if len(row) == 6]
    return {
        "en": squad(data / "xquad/files/xquad.en.json"),
        "ar": [*squad(data / "arcd/files/data/arcd-test.json"), *exams],
    }


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Question]], dict[str, Path]]:
    if not SHARED.is_dir():
        pytest.skip("the folder of real data for trials is not beside this checkout")
    folder = tmp_path_factory.mktemp("real")
    asked = real_tests(SHARED)
    return asked, {n: p for code, found in asked.items() for n, p in table(folder, code, code, found).items()}


def said_each(contents: list[str]) -> pl.DataFrame:
    return instructions(*([("user", content)] for content in contents))


Real = tuple[dict[str, list[Question]], dict[str, Path]]


@pytest.mark.parametrize(("language", "whole", "changed"), [("en", 1.0, 0.75), ("ar", 0.99, 0.75)])
def test_real_questions_are_found_as_they_stand_and_mostly_when_words_of_them_change(
    language: str, whole: float, changed: float, real: Real
) -> None:
    asked, known = real
    found = asked[language]
    chance = random.Random(3)
    words = [word for question in found for word in question[0].split()]
    plain = [f"Answer this question: {question[0].upper()}\n\nGladly." for question in found]
    chosen = ["\n".join([q[0], *(f"{c}) {t}" for c, t in zip("ABCD", q[1], strict=False))]) for q in found]
    altered = [
        " ".join(chance.choice(words) if chance.random() < 0.1 else word for word in question[0].split())
        for question in found
    ]
    for contents, floor in ((plain, whole), (chosen, whole), (altered, changed)):
        fates = verdicts(step(known, language), said_each(contents))
        assert sum(fate is not None for fate in fates) >= floor * len(contents)


def test_real_rows_are_kept(real: Real) -> None:
    _, known = real
    english: list[str] = []
    for path in sorted(SHARED.glob("t0-50k/files/*/*.jsonl.gz"))[::4]:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            row = json.loads(line)
            english.append(f"{row['prompt']}\n\n{row['completion']}")
    arabic = next(SHARED.glob("opusmt-tatoeba-ara-eng/files/**/*.ara")).read_text(encoding="utf-8").splitlines()
    for language, contents in (("en", english), ("ar", arabic)):
        fates = verdicts(step(known, language), said_each(contents))
        assert len(contents) > 6_000
        assert sum(fate is not None for fate in fates) <= 0.0002 * len(contents)
