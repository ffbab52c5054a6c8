"""Every filter's verdicts: a table of texts, at least one kept and one dropped for each reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hala_factory import lid, rows, text
from hala_factory.filters.chat_shape import ChatShape
from hala_factory.filters.exact_dedup import ExactDedup
from hala_factory.filters.gopher_quality import GopherQuality
from hala_factory.filters.language import Language
from hala_factory.filters.length import Length
from hala_factory.filters.length_ratio import LengthRatio
from hala_factory.filters.numbers import Numbers
from hala_factory.filters.repetition import Repetition
from hala_factory.filters.script_share import ScriptShare
from hala_factory.filters.structure import Structure
from hala_factory.filters.untranslated import Untranslated
from hala_factory.step import Filter

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def instructions(*conversations: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    spelt = [[{"role": role, "content": content} for role, content in c] for c in conversations]
    return pl.DataFrame({"messages": spelt}, schema={"messages": rows.MESSAGES})


def said(content: str | None) -> pl.DataFrame:
    return instructions([("user", content)])


def pairs(*texts: tuple[str | None, str | None]) -> pl.DataFrame:
    spelt = [{"en": source, "ar": target} for source, target in texts]
    return pl.DataFrame({"translation": spelt}, schema={"translation": rows.translation_type(["en", "ar"])})


def verdicts(step: Filter, frame: pl.DataFrame) -> list[str | None]:
    measured = step.measure(frame)
    assert measured.schema == step.measures()
    assert measured.height == frame.height
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
    return measured.select(pl.coalesce([*asked, pl.lit(None, pl.String)]).alias("reason"))["reason"].to_list()


def near(expected: dict[str, Any]) -> dict[str, Any]:
    return {k: pytest.approx(v, abs=1e-4) if isinstance(v, float) else v for k, v in expected.items()}


PROSE = (
    "The river rises in the hills to the south of the town, and farmers have lived along it for as long as anyone "
    "can remember. In the spring the water floods the lower fields with dark soil that makes them rich, so the best "
    "wheat in the valley is said to be grown there by those patient people."
)
ARABIC = "ينبع النهر من التلال الواقعة جنوب المدينة، وقد عاش المزارعون على ضفافه منذ زمن بعيد."
ANY_WORDS: dict[str, Any] = {"min_words": None}
FEW = {"min_words": None, "min_stop_words": None, "min_alphabetic_words": None, "min_mean_word_chars": None}

TEXTS: list[tuple[Filter, str, dict[str, Any], str | None]] = [
    (Length(min_chars=5, max_chars=9), "  abcde \n", {"chars": 5}, None),
    (Length(min_chars=5), "abcd", {"chars": 4}, "too_short"),
    (Length(max_chars=5), "مرحبًا", {"chars": 6}, "too_long"),
    (Length(min_words=3), "one\ntwo", {"words": 2}, "too_few_words"),
    (Length(max_words=1), "كلمة واحدة", {"words": 2}, "too_many_words"),
    (Length(min_words=0), "", {"chars": 0, "words": 0}, None),
    (ScriptShare(), ARABIC, {"share": 1.0}, None),
    (ScriptShare(), "Cairo هي", {"share": 0.2857, "letters": 7}, "too_little_script"),
    (ScriptShare(), "استعمل `print(value)` أو https://example.com/page هنا", {"share": 1.0}, None),
    (ScriptShare(outside_code=False), "استعمل `print(some_value)` هنا", {"share": 0.3913}, "too_little_script"),
    (ScriptShare(), "١٢ + 3 = 15", {"share": 0.0, "letters": 0}, None),
    (ScriptShare(min_share=None, max_share=0.2), "١٢ + 3 = 15", {"letters": 0}, None),
    (ScriptShare(), "$E = mc^2$ ثابت", {"share": 1.0, "letters": 4}, None),
    (ScriptShare(), "كـــلام مُحَرَّك", {"share": 1.0, "letters": 8}, None),
    (ScriptShare(), "ﻻﺎ", {"share": 1.0, "letters": 2}, None),
    (ScriptShare(min_share=None, max_share=0.2), "The word سلام means peace", {"share": 0.1905}, None),
    (ScriptShare(min_share=None, max_share=0.1), "The word سلام means peace", {"share": 0.1905}, "too_much_script"),
    (Language(keep=["en"]), PROSE, {"label": "en"}, None),
    (Language(keep=["ar", "arz"]), ARABIC, {"label": "ar"}, None),
    (Language(keep=["en"]), "Où est la bibliothèque municipale la plus proche ?", {"label": "fr"}, "language"),
    (Language(keep=["en"]), "The first line is English.\n\nSo is\nthis one.", {"label": "en"}, None),
    (Language(keep=["en"], min_score=1.0), "My taxi", {"label": "en"}, "low_score"),
    (Language(keep=["en"], min_score=None), "My taxi", {"label": "en"}, None),
    (Language(keep=["en"]), "2 + 2 = 4", {"label": "und", "score": 1.0}, "language"),
    (Language(keep=["en", "und"]), "2 + 2 = 4", {"label": "und", "score": 1.0}, None),
    (Language(keep=["en"]), "", {"label": "und"}, "language"),
    (Language(keep=["ar"]), "```\nprint('hello to all of you')\n```\n" + ARABIC, {"label": "ar"}, None),
    (GopherQuality(), PROSE, {"words": 58, "stop_words": 8, "hash_ratio": 0.0, "bullet_lines": 0.0}, None),
    (GopherQuality(), "Hello there, good people of the town!", {"words": 7}, "too_few_words"),
    (GopherQuality(max_words=57), PROSE, {"words": 58}, "too_many_words"),
    (GopherQuality(**ANY_WORDS), "I am to be at it, or so be it.", {"mean_word_chars": 1.9}, "short_words"),
    (GopherQuality(**ANY_WORDS), "Incomprehensibilities notwithstanding", {"mean_word_chars": 18.0}, "long_words"),
    (GopherQuality(**ANY_WORDS), "#one #two of the #three", {"hash_ratio": 0.375}, "too_many_hashes"),
    (GopherQuality(**ANY_WORDS), "Wait... of the year", {"ellipsis_ratio": 0.2}, "too_many_ellipses"),
    (GopherQuality(**ANY_WORDS), "- one\n  • two\n-three", {"bullet_lines": 1.0}, "too_many_bullet_lines"),
    (GopherQuality(**FEW), "- one\n  • two\n-three\nfour", {"bullet_lines": 0.75}, None),
    (
        GopherQuality(**FEW, max_ellipsis_ratio=None),
        "well…\nno\nso...  \r\nyes",
        {"ellipsis_lines": 0.5},
        "too_many_ellipsis_lines",
    ),
    (
        GopherQuality(**FEW),
        "a line that ends so...\na line with much more in it\nand\none",
        {"ellipsis_lines": 0.25},
        None,
    ),
    (
        GopherQuality(**ANY_WORDS),
        "the 1234 of 5678 1999 2,024",
        {"alphabetic_words": 0.3333, "words": 6},
        "too_few_alphabetic_words",
    ),
    (
        GopherQuality(**ANY_WORDS),
        "They're living in the U.S. today",
        {"alphabetic_words": 1.0, "stop_words": 1},
        "too_few_stop_words",
    ),
    (GopherQuality(**ANY_WORDS, stop_words=None), "Nobody knows where", {"stop_words": 0}, None),
    (GopherQuality(**ANY_WORDS, stop_words="ar"), "سافر من القاهرة إلى تونس", {"stop_words": 2}, None),
    (GopherQuality(**ANY_WORDS, stop_words="ar"), "منذ القاهرة وإلى تونس", {"stop_words": 1}, "too_few_stop_words"),
    (
        GopherQuality(**ANY_WORDS, min_alphabetic_words=None, stop_words=["Nobody", "C++"]),
        "Nobody knows C++",
        {"stop_words": 2},
        None,
    ),
    (GopherQuality(), "", {"words": 0, "mean_word_chars": 0.0, "bullet_lines": 0.0}, "too_few_words"),
    (Repetition(), PROSE, {"top_2_gram": 0.0414, "duplicate_5_gram": 0.0, "duplicate_lines": 0.0}, None),
    (Repetition(), "ab\ncd\n\nab\nab", {"duplicate_lines": 0.5, "duplicate_line_chars": 0.3333}, "duplicate_lines"),
    (Repetition(), "ab\n \ncd\n\t\nef\n \ngh", {"duplicate_lines": 0.0, "duplicate_line_chars": 0.0}, None),
    (
        Repetition(max_duplicate_lines=None),
        "a long line stands here\nx\na long line stands here",
        {"duplicate_line_chars": 0.4694},
        "duplicate_line_chars",
    ),
    (
        Repetition(max_duplicate_lines=None, max_duplicate_line_chars=None),
        "ab\n\ncd\n\n\nab\n",
        {"duplicate_paragraphs": 0.3333, "duplicate_paragraph_chars": 0.1667},
        "duplicate_paragraphs",
    ),
    (
        Repetition(max_duplicate_lines=None, max_duplicate_line_chars=None, max_duplicate_paragraphs=None),
        "first part\n\nx\n\nfirst part",
        {"duplicate_paragraph_chars": 0.4},
        "duplicate_paragraph_chars",
    ),
    (Repetition(), "so on, then so on, and so on", {"top_2_gram": 0.5357}, "top_2_gram"),
    (Repetition(max_top_2_gram=None), "a b c d a b c e a b c", {"top_3_gram": 0.7143}, "top_3_gram"),
    (
        Repetition(max_top_2_gram=None, max_top_3_gram=None),
        "a b c d e a b c d f",
        {"top_4_gram": 0.7368},
        "top_4_gram",
    ),
    (Repetition(), "two words", {"top_2_gram": 0.0}, None),
    (Repetition(min_times=1), "two words", {"top_2_gram": 1.0, "top_3_gram": 0.0}, "top_2_gram"),
    # Read from left to right, a run that was counted is stepped over: the second and the third, not five runs.
    (
        Repetition(max_top_2_gram=1, max_top_3_gram=1, max_top_4_gram=1),
        "a b c d e " * 3,
        {"duplicate_5_gram": 0.3333},
        "duplicate_5_gram",
    ),
    (Repetition(), "!" * 3 + " ... --- مرحبا", {"duplicate_10_gram": 0.0}, "top_2_gram"),
]


def only(n: int) -> dict[str, Any]:
    """All rules but that of the duplicate n-gram switched off."""
    names = [name for name in Repetition.model_fields if name.startswith("max_")]
    return {name: None for name in names if name != f"max_duplicate_{n}_gram"}


TEXTS += [
    (
        Repetition(**only(n)),
        " ".join(words := [f"w{i:02d}" for i in range(n)]) + " and " + " ".join(words),
        {f"duplicate_{n}_gram": 3 * n / (8 * n + 3)},
        f"duplicate_{n}_gram",
    )
    for n in range(5, 11)
]


@pytest.mark.parametrize(("step", "content", "expected", "reason"), TEXTS)
def test_a_text_is_measured_and_judged(
    step: Filter, content: str, expected: dict[str, Any], reason: str | None
) -> None:
    measured = step.measure(said(content)).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, said(content)) == [reason]


U, A, S = "user", "assistant", "system"
CONVERSATIONS: list[tuple[list[tuple[str | None, str | None]], dict[str, Any], str | None]] = [
    ([(U, "Hi"), (A, "Hello")], {"turns": 2, "order": "ok"}, None),
    ([(S, "Be brief."), (U, "Hi"), (A, "Hello"), (U, "Bye"), (A, "See you")], {"turns": 5, "order": "ok"}, None),
    ([], {"turns": 0, "order": "none"}, "no_messages"),
    ([(U, "Hi"), ("tool", "x"), (A, "Hello")], {"order": "unknown_role"}, "unknown_role"),
    ([(None, "Hi"), (A, "Hello")], {"order": "unknown_role"}, "unknown_role"),
    ([(A, "Hello"), (U, "Hi")], {"order": "assistant_first"}, "role_order"),
    ([(U, "Hi"), (U, "Hi"), (A, "Hello")], {"order": "repeated_role"}, "role_order"),
    ([(U, "Hi"), (A, "Hello"), (U, "And?")], {"order": "no_answer"}, "role_order"),
    ([(S, "Be brief.")], {"order": "no_answer"}, "role_order"),
    ([(U, "Hi"), (S, "Be brief."), (A, "Hello")], {"order": "late_system"}, "role_order"),
    ([(U, "Hi"), (A, " \n\t")], {"empty_turns": 1}, "empty_turn"),
    ([(U, None), (A, None)], {"empty_turns": 2}, "empty_turn"),
    ([(U, " <NoInput> "), (A, "Hello")], {"placeholder_inputs": 1}, "placeholder_input"),
    ([(U, "Describe it.\n\n<no input>"), (A, "Hello")], {"placeholder_inputs": 1}, "placeholder_input"),
    ([(U, "Describe it.\n\nNo input required."), (A, "Hello")], {"placeholder_inputs": 1}, "placeholder_input"),
    ([(U, "What do I get with\nno input"), (A, "Nothing.")], {"placeholder_inputs": 0}, None),
    ([(U, "What does <no input> mean?"), (A, "Nothing was given.")], {"placeholder_inputs": 0}, None),
    ([(U, "Is N/A a word?"), (A, "N/A.")], {"placeholder_answers": 1}, "placeholder_answer"),
    ([(U, "What is 2 - 2?"), (A, "0")], {"placeholder_answers": 0}, None),
    ([(U, "What does N/A mean?"), (A, "N/A means not applicable.")], {"placeholder_answers": 0}, None),
    ([(U, "Hi"), (A, "Hello<|endoftext|>")], {"end_marks": 1}, "end_of_text"),
    ([(U, "[INST] Hi [/INST]"), (A, "Hello</s>")], {"end_marks": 2}, "end_of_text"),
    ([(U, "Strike it out."), (A, "<s>wrong</s> right")], {"end_marks": 0}, None),
]


@pytest.mark.parametrize(("messages", "expected", "reason"), CONVERSATIONS)
def test_a_conversation_is_measured_and_judged(
    messages: list[tuple[str | None, str | None]], expected: dict[str, Any], reason: str | None
) -> None:
    frame = instructions(messages, [(U, "Hi"), (A, "Hello")])
    measured = ChatShape().measure(frame).row(0, named=True)
    assert {k: measured[k] for k in expected} == expected
    assert verdicts(ChatShape(), frame) == [reason, None]


SIDES = {"source": "translation.en", "target": "translation.ar"}
RATIO, NUMBERS, COPIED, KEPT = LengthRatio(**SIDES), Numbers(**SIDES), Untranslated(**SIDES), Structure(**SIDES)
FROM_ARABIC = Untranslated(source="translation.ar", target="translation.en", script="arabic")
LONG_EN = "Bread keeps longer in a cloth bag, because the crust can breathe there and does not go soft so soon."
LONG_AR = "يدوم الخبز مدة أطول في كيس من القماش، لأن القشرة تتنفس فيه فلا تلين بسرعة."
CODE = "```python\nprint('a rather long line of code that stays as it is')\n```"

TRANSLATIONS: list[tuple[Filter, str | None, str | None, dict[str, Any], str | None]] = [
    (RATIO, LONG_EN, LONG_AR, {"lowest": 0.7833, "highest": 0.7833}, None),
    (RATIO, LONG_EN, "يدوم الخبز.", {"lowest": 0.2583}, "too_short"),
    (RATIO, "How do you do, my friend?", LONG_AR, {"highest": 2.0889}, "too_long"),
    (RATIO, "Yes, I do.", "لا", {"lowest": 0.7333}, None),
    (RATIO, "I'm going to get married.", "سأتزوج.", {"lowest": 0.6}, None),
    (RATIO, "", LONG_AR, {"highest": 4.7}, "too_long"),
    (RATIO, LONG_EN, None, {"lowest": 0.1667}, "too_short"),
    (RATIO, f"{LONG_EN}\n{CODE}\n{CODE}", f"يدوم الخبز.\n{CODE}\n{CODE}", {"lowest": 0.2583}, "too_short"),
    (RATIO, CODE, CODE, {"lowest": 1.0, "highest": 1.0}, None),
    (COPIED, LONG_EN, LONG_AR, {"copied": 0.0, "same_words": 0}, None),
    (COPIED, LONG_EN, LONG_EN.upper(), {"same_words": 19}, "same_text"),
    (COPIED, "Use the print function.", "Use the print function الآن.", {"same_words": 0, "copied": 0.6957}, "copied"),
    (COPIED, f"See this: {LONG_EN}", f"{LONG_AR} {LONG_EN}", {"copied": 0.5401, "run": 20}, "copied"),
    (COPIED, f"{LONG_EN} {LONG_EN}", f"{LONG_AR} {LONG_AR} {LONG_EN}", {"run": 20}, "long_run"),
    (COPIED, f"He wrote: {LONG_EN}", f"كتب: «{LONG_EN}» {LONG_AR} {LONG_AR}", {"run": 0}, None),
    (COPIED, "Save { -brand-name } to {n} files", "احفظ { -brand-name } في {n} ملفات", {"copied": 0.0}, None),
    (Untranslated(**SIDES, min_words=1), "Save", "save.", {"same_words": 1}, "same_text"),
    (COPIED, "Loev (2015) is by Rajwade and Sons.", "Loev (2015) من Rajwade and Sons.", {"copied": 0.15}, None),
    (COPIED, "Albert Einstein, 1905", "Albert Einstein, 1905", {"copied": 0.0, "same_words": 2}, "same_text"),
    (COPIED, "Python", "Python", {"same_words": 1}, None),
    (COPIED, "x = 1.5", "x = 1.5", {"same_words": 0}, None),
    (COPIED, CODE, CODE, {"copied": 0.0, "same_words": 0}, None),
    (FROM_ARABIC, ARABIC, ARABIC, {"copied": 1.0, "same_words": 15}, "same_text"),
    (FROM_ARABIC, LONG_EN, ARABIC, {"copied": 0.0, "same_words": 0}, None),
    (NUMBERS, "10,000 people, 3.5 km, in 1999", "١٠٬٠٠٠ شخص، ٣٫٥ كم، عام ۱۹۹۹", {"missing": 0, "added": 0}, None),
    (NUMBERS, "It costs 1,234,567.89 in all", "تبلغ الكلفة 1234567.89", {"missing": 0}, None),
    (NUMBERS, "3.5 and 4.25", "3,5 و4,25", {"missing": 0, "added": 0}, None),
    (NUMBERS, "From 12.05.2020, steps 1,2,3", "من 12/05/2020، الخطوات ١، ٢، ٣", {"missing": 0, "added": 0}, None),
    (NUMBERS, "Add 0.125 litres", "أضف ٠٫١٢٥ لتر", {"missing": 0}, None),
    (NUMBERS, "Finland 17", "فنلنــدا ١ـ٧", {"missing": 0}, None),
    (NUMBERS, "2 and 2 are 4", "2 و4", {"missing": 1, "added": 0}, "missing_numbers"),
    (NUMBERS, "In the year 1999", "عام ١٩٩٨", {"missing": 1, "added": 1}, "missing_numbers"),
    (NUMBERS, "In two weeks", "بعد 2 أسبوع", {"missing": 0, "added": 0, "spelt_out": 1}, None),
    (NUMBERS, "In some weeks", "بعد 3 أسابيع", {"missing": 0, "added": 1}, "added_numbers"),
    (Numbers(**SIDES, max_missing=1, max_added=None), "In the year 1999", "عام ١٩٩٨", {"missing": 1}, None),
    (KEPT, "Call `len(x)`.", "استدعِ `len(x)`.", {"missing": 0, "added": 0, "kinds": ""}, None),
    (KEPT, "Call `len(x)`.", "استدعِ `طول(س)`.", {"missing": 1, "added": 1, "kinds": "code"}, "lost_code"),
    (KEPT, r"So \(x^2 = 4\).", "إذن.", {"missing": 1, "kinds": "latex"}, "lost_latex"),
    (KEPT, "See https://example.com/a now", "انظر الآن", {"kinds": "url"}, "lost_url"),
    (KEPT, "Write to me@example.org today", "اكتب اليوم", {"kinds": "email"}, "lost_email"),
    (KEPT, "Look into /etc/hosts/file please", "انظر هنا", {"kinds": "path"}, "lost_path"),
    (KEPT, "Dear {name}, hello", "عزيزي، مرحبًا", {"kinds": "placeholder"}, "lost_placeholder"),
    (KEPT, "It is <b>very</b> good", "إنه <b>جيد جدا</b>", {"kinds": ""}, None),
    (KEPT, "It is <b>very</b> good", "إنه جيد جدا", {"missing": 2, "kinds": "tag"}, "lost_tag"),
    (KEPT, 'He sent {"name": 1}', "أرسل هذا", {"kinds": "json_key"}, "lost_json_key"),
    (KEPT, "1. one\n2. two\n3. three", "1. واحد\n2. اثنان", {"kinds": "skeleton"}, "lost_skeleton"),
    (Structure(**SIDES, parts=["url"]), "Dear {name}, hello", "عزيزي، مرحبًا", {"kinds": ""}, None),
    (Structure(**SIDES, max_differences=None), "Call `len(x)`.", "استدعِ.", {"missing": 1, "kinds": "code"}, None),
    (Structure(**SIDES, max_differences=1), "Call `len(x)`.", "استدعِ.", {"missing": 1, "kinds": "code"}, None),
    (KEPT, "A plain sentence", "جملة عادية", {"missing": 0, "added": 0, "kinds": ""}, None),
]


@pytest.mark.parametrize(("step", "english", "arabic", "expected", "reason"), TRANSLATIONS)
def test_a_translation_is_measured_and_judged(
    step: Filter, english: str | None, arabic: str | None, expected: dict[str, Any], reason: str | None
) -> None:
    frame = pairs((english, arabic))
    measured = step.measure(frame).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, frame) == [reason]


def translated(*messages: tuple[str, str]) -> pl.DataFrame:
    """One conversation: its English messages and their translations."""
    roles = [U, A] * len(messages)
    sides = [[{"role": r, "content": m[i]} for r, m in zip(roles, messages, strict=False)] for i in (0, 1)]
    return pl.DataFrame(
        {"messages_en": [sides[0]], "messages": [sides[1]]},
        schema=dict.fromkeys(("messages_en", "messages"), rows.MESSAGES),
    )


@pytest.mark.parametrize(
    ("step", "bad", "reason"),
    [
        (LengthRatio(), (LONG_EN, "الخبز."), "too_short"),
        (Untranslated(), (LONG_EN, LONG_EN), "same_text"),
        (Numbers(), ("In 1999", "عام ١٩٩٨"), "missing_numbers"),
        (Structure(), ("Call `len(x)`.", "استدعِ."), "lost_code"),
    ],
)
def test_one_bad_message_drops_the_conversation_and_no_other(step: Filter, bad: tuple[str, str], reason: str) -> None:
    good = (LONG_EN, LONG_AR)
    nothing = translated()
    frame = pl.concat(
        [translated(good, good), translated(good, bad), nothing, translated(bad, good), translated(good)]
    )
    assert verdicts(step, frame) == [None, reason, None, reason, None]


def test_every_reason_stands_in_the_tables() -> None:
    proved = {(type(case[0]).__name__, case[-1]) for case in [*TEXTS, *TRANSLATIONS]}
    proved |= {("ChatShape", case[-1]) for case in CONVERSATIONS}
    everything_on = [
        Length(min_chars=1, max_chars=2, min_words=1, max_words=2),
        ScriptShare(max_share=0.9),
        Language(keep=["en"]),
        GopherQuality(),
        Repetition(),
        ChatShape(),
        LengthRatio(),
        Untranslated(),
        Numbers(),
        Structure(),
    ]
    for step in everything_on:
        reasons: set[str | None] = {reason for reason, _ in step.rules()}
        assert {(type(step).__name__, reason) for reason in reasons | {None}} <= proved


@pytest.mark.parametrize(
    "step",
    [
        Length(),
        ScriptShare(min_share=None),
        GopherQuality(**{f: None for f in GopherQuality.model_fields if f.startswith(("min_", "max_"))}),
        Repetition(**{f: None for f in Repetition.model_fields if f.startswith("max_")}),
        LengthRatio(min_ratio=None, max_ratio=None),
        Numbers(max_missing=None, max_added=None),
        Structure(max_differences=None),
    ],
)
def test_a_filter_with_every_bound_null_only_measures(step: Filter) -> None:
    assert step.rules() == []


def test_the_role_of_a_path_says_whose_texts_are_judged() -> None:
    frame = instructions([(U, "Hi"), (A, "A long enough answer.")])
    assert verdicts(Length(on="messages.assistant", min_chars=10), frame) == [None]
    assert verdicts(Length(on="messages.user", min_chars=10), frame) == ["too_short"]


def test_a_conversation_is_judged_whole() -> None:
    assert ChatShape(on="messages.user").faults(rows.schema("instruction"))[0][0] == "on"
    assert ChatShape().faults(rows.schema("instruction")) == []


@pytest.mark.parametrize(("prefer", "stays"), [([], "a1"), (["second"], "b1")])
def test_a_duplicate_is_told_which_row_stays(prefer: list[str], stays: str) -> None:
    step = ExactDedup(prefer=prefer)
    found = step.index(instructions(*([("user", t)] for t in ("One", "Other", "one.", "ONE"))))
    index = found.with_columns(
        id=pl.Series(["b1", "b2", "a1", "a2"]),
        source=pl.Series(["second", "second", "first", "first"]),
        shard=pl.Series([0, 0, 1, 1], dtype=pl.UInt32),
        row=pl.Series([0, 1, 0, 1], dtype=pl.UInt32),
        earlier=pl.lit(False),
    )
    gone = step.decide(index.lazy(), ["first", "second"]).collect().join(index, on=["shard", "row"])
    source = index.filter(id=stays)["source"].item()
    assert set(gone["detail"]) == {f"same text as {stays} of {source}"}
    assert set(gone["id"]) == {"a1", "a2", "b1"} - {stays}


def test_an_unknown_language_is_found_before_anything_runs() -> None:
    faults = Language(keep=["en", "eng"]).faults(rows.schema("instruction"))
    assert faults == [("keep", "the model has no language 'eng'; did you mean 'en'?")]


def test_a_missing_or_broken_model_is_found_before_anything_runs(tmp_path: Path) -> None:
    missing = Language(keep=["en"], model=str(tmp_path / "no.ftz"))
    assert [field for field, _ in missing.faults(rows.schema("instruction"))] == ["model"]
    (tmp_path / "text.ftz").write_text("this is no model")
    broken = Language(keep=["en"], model=str(tmp_path / "text.ftz"))
    assert "not a fastText model" in broken.faults(rows.schema("instruction"))[0][1]


def test_the_content_of_the_language_model_counts_and_its_place_does_not(tmp_path: Path) -> None:
    moved = Path(shutil.copy(lid.bundled(), tmp_path / "moved.ftz"))
    assert Language(keep=["en"], model=str(moved)).identity() == Language(keep=["en"]).identity()
    moved.write_bytes(moved.read_bytes() + b"x")
    assert Language(keep=["en"], model=str(moved)).identity() != Language(keep=["en"]).identity()


@pytest.fixture(scope="module")
def answers() -> list[dict[str, str]]:
    """The translations of the samples, good and planted bad ones: `text` and `answer`."""
    return [row for file in sorted((SAMPLES / "translations").glob("*.jsonl")) for row in records(file)]


@pytest.fixture(scope="module")
def planted() -> dict[str, str]:
    return {row["text"]: row["fault"] for row in records(SAMPLES / "faults.jsonl")}


@pytest.mark.parametrize(
    ("step", "faults"),
    [
        (RATIO, {"cut_short"}),
        (NUMBERS, {"digits_changed"}),
        (COPIED, {"untranslated"}),
        (KEPT, {"code_translated", "placeholder_lost"}),
    ],
)
def test_the_faults_planted_in_the_samples_are_found(
    step: Filter, faults: set[str], answers: list[dict[str, str]], planted: dict[str, str]
) -> None:
    bad = [row for row in answers if planted.get(row["text"]) in faults]
    assert {planted[row["text"]] for row in bad} == faults
    assert None not in verdicts(step, pairs(*((row["text"], row["answer"]) for row in bad)))


@pytest.mark.parametrize("step", [RATIO, NUMBERS, COPIED], ids=lambda step: step.step)
def test_the_good_translations_of_the_samples_stay(
    step: Filter, answers: list[dict[str, str]], planted: dict[str, str]
) -> None:
    good = [row for row in answers if row["text"] not in planted]
    assert len(good) > 300
    assert set(verdicts(step, pairs(*((row["text"], row["answer"]) for row in good)))) == {None}


def records(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


KEYS: list[tuple[str, str]] = [
    ("  What   is\n\tthis ? ", "what is this"),
    ("«مَرْحَبًــا»، أيُّها", "مرحبا»، ايها"),
    ("إلى آخرِ مدرسةٍ على مستوىً", "الي اخر مدرسه علي مستوي"),
    ("ﻣﺮﺣﺒﺎ ﻻ", "مرحبا لا"),
    ("Cafe\u0301", "caf\u00e9"),
    ("a\u200bb\ufeff \u00a0c", "ab c"),
    ("x²", "x²"),
    ("C++", "c++"),
    ("C#", "c#"),
    ("-5", "-5"),
    ("?!…", ""),
    ("", ""),
]


@pytest.mark.parametrize(("written", "key"), KEYS)
def test_a_matching_key_says_what_a_reader_would_call_the_same(written: str, key: str) -> None:
    made = pl.DataFrame({"text": [written, key]}).select(text.matching_key(pl.col("text"))).to_series().to_list()
    assert made == [key, key]


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("١٠٬٠٠٠ و۱۹۹۹", ["10000", "1999"]),
        ("1,000,000.5 or 1.000.000,5", ["1000000.5", "1000000.5"]),
        ("3,5 = 3.5 = ٣٫٥", ["3.5", "3.5", "3.5"]),
        ("0.125, 2.", ["0.125", "2"]),
        ("1,2,3 and 12.05.2020", ["1", "2", "3", "12", "05", "2020"]),
        ("none", []),
    ],
)
def test_a_number_has_one_spelling(written: str, numbers: list[str]) -> None:
    frame = pl.DataFrame({"text": [written]}).select(number=text.numbers(pl.col("text")).explode(empty_as_null=False))
    assert frame.select(text.plain_number(pl.col("number")).explode()).to_series().to_list() == numbers


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("It costs $5 and $10.", "It costs $5 and $10."),
        ("a `b` c $d$ e \\(f\\) g https://x.org/y?z h <b>i</b> j", "a c e g h i j"),
        ("a\n```\nb\n```\nc", "a c"),
        ("a\n```\nnever closed", "a"),
        ("if 1 < 2 and 3 > 2", "if 1 < 2 and 3 > 2"),
    ],
)
def test_prose_is_what_stands_outside_code_formulas_and_addresses(written: str, left: str) -> None:
    frame = pl.DataFrame({"text": [written]})
    assert frame.select(text.collapse_space(text.prose(pl.col("text")))).item() == left


def test_words_are_split_as_readers_count_them() -> None:
    frame = pl.DataFrame({"text": ["Don't pay 10,000 in the U.S. today... قال: لا!"]})
    expected = ["Don", "'t", "pay", "10,000", "in", "the", "U.S.", "today", "...", "قال", ":", "لا", "!"]
    assert frame.select(text.words(pl.col("text"))).item().to_list() == expected


def test_words_are_only_counted_where_a_bound_asks_for_them() -> None:
    assert list(Length(min_chars=5).measures()) == ["chars"]
    assert list(Length(max_words=5).measures()) == ["chars", "words"]
    assert list(LengthRatio().measures()) == ["lowest", "highest"]
    assert list(LengthRatio(max_word_ratio=2).measures()) == ["lowest", "highest", "lowest_words", "highest_words"]
