"""What translators and chat models leave behind: leaked instructions, refusals, and answers instead of translations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import finding
import polars as pl
import pytest
import real
import truth_leaks as truth

from hala_factory import phrases, rows
from hala_factory.filters.answered import Answered
from hala_factory.filters.prompt_leak import PromptLeak
from hala_factory.filters.refusal import Refusal
from hala_factory.step import Filter
from tests.test_filters import instructions, near, pairs, said, verdicts

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SIDES = {"source": "translation.en", "target": "translation.ar"}
LAMP = "The lamp burns oil."
OIL = "المصباح يحرق الزيت."

LEAKS: list[tuple[str, str, dict[str, Any], str | None]] = [
    (LAMP, OIL, {"score": 0.0, "form": ""}, None),
    (LAMP, f"كل ما يلي مترجم إلى العربية: {OIL}", {"score": 1.0, "form": "prefix"}, "leaked_prefix"),
    (LAMP, f"كل ما يلي مكتوب باللغة العربية:\n\n{OIL}", {"score": 1.0}, "leaked_prefix"),
    (LAMP, f"كُلُّ ما يَلي مُتَرجَمٌ إلى العَرَبِيَّة {OIL}", {"form": "prefix"}, "leaked_prefix"),
    (LAMP, f"قم بتقييم ما يلي إلى العربية: {OIL}", {"score": 1.0}, "leaked_prefix"),
    (LAMP, f"تم إرجاء كل ما يلي: {OIL}", {"score": 0.8}, "leaked_prefix"),
    (LAMP, f"ما الذي يلي ذلك باللغة العربية؟\n\n{OIL}", {"score": 1.0}, "leaked_prefix"),
    (LAMP, f"خذ كل ما يلي إلى العربية: {OIL}", {"score": 1.0}, "leaked_prefix"),
    (LAMP, f"عرّب ما يلي: {OIL}", {"score": 0.9}, "leaked_prefix"),
    (LAMP, f"بالتأكيد! إليك الترجمة: {OIL}", {"score": 0.9}, "leaked_prefix"),
    (LAMP, f"**الترجمة:**\n{OIL}", {"score": 0.9}, "leaked_prefix"),
    (LAMP, f"Translate everything that follows into Arabic:\n\n{OIL}", {"score": 1.0}, "leaked_prefix"),
    (LAMP, f"Sure, here is the Arabic translation: {OIL}", {"score": 0.9}, "leaked_prefix"),
    (LAMP, f"أنت مترجم محترف. {OIL}", {"score": 0.9}, "leaked_prefix"),
    (LAMP * 9, f"{OIL * 9}\n\nترجم هذا إلى العربية.", {"form": "suffix"}, "leaked_suffix"),
    (LAMP * 20, f"{OIL * 20}\n\nملاحظة: قمت بترجمة النص حرفيًا.", {"form": "suffix"}, "leaked_suffix"),
    (LAMP * 20, f"{OIL * 20} 지금 번역하기", {"form": "suffix"}, "leaked_suffix"),
    (LAMP, "كل ما يلي مترجم إلى العربية:", {"form": "whole"}, "leaked_whole"),
    (LAMP, "Translate everything that follows into Arabic:", {"form": "whole"}, "leaked_whole"),
    # The source speaks of it, or of the like.
    ("Translate the following into Arabic: bread", "ترجم ما يلي إلى العربية: bread", {"score": 0.0}, None),
    ("All of the following exist in Arabic: a, b", "كل ما يلي موجود في العربية: أ، ب", {}, None),
    ("The translation: good", "الترجمة: جيدة", {"score": 0.0}, None),
    ("JSX compiles into calls.", "تُترجم JSX إلى نداءات.", {"score": 0.0}, None),
    ("He studies Arabic in Cairo.", "يدرس العربية في القاهرة.", {"score": 0.0}, None),
    ("All of the following are fruits:", "كل ما يلي فواكه:", {"score": 0.0}, None),
    ("Easy come, easy go.", "ما يأتي سهلا يذهب سهلا.", {"score": 0.0}, None),
    ("", "", {"score": 0.0, "form": ""}, None),
]

ALONE: list[tuple[str, str | None]] = [
    (OIL, None),
    (f"كل ما يلي مترجم إلى العربية: {OIL}", "leaked_prefix"),
    (f"ترجم ما يلي إلى العربية: {OIL}", "leaked_prefix"),
    ("ترجم ما يلي إلى العربية: the lamp burns oil", None),
    (f"ترجم الجملة التالية إلى الفرنسية: {OIL}", None),
    (f"ترجمة إلى التركية:\n\n{OIL}", None),
    (f"الترجمة العربية: {OIL}", "leaked_prefix"),
    ("هذه الترجمة غير دقيقة.", None),
    ("ما دور المترجم في عملية تطوير البرمجيات؟", None),
    ("قيّم ما يلي إلى العربية: احسب \\(x^2 + \\sin x\\)", "leaked_prefix"),
]


@pytest.mark.parametrize(("source", "target", "expected", "reason"), LEAKS)
def test_an_instruction_in_a_translation_is_found(
    source: str, target: str, expected: dict[str, Any], reason: str | None
) -> None:
    step = PromptLeak(**SIDES)
    measured = step.measure(pairs((source, target))).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, pairs((source, target))) == [reason]


@pytest.mark.parametrize(("target", "reason"), ALONE)
def test_an_instruction_is_found_without_a_source_where_it_asks_for_nothing(target: str, reason: str | None) -> None:
    assert verdicts(PromptLeak(source=None, target="translation.ar"), pairs(("", target))) == [reason]


def test_a_translation_that_was_asked_for_in_the_conversation_is_no_leak() -> None:
    step = PromptLeak(source=None, target="messages.assistant")
    answer = ("assistant", f"إليك الترجمة: {OIL}")
    assert verdicts(step, instructions([("user", "ترجم: The lamp burns oil."), answer])) == [None]
    assert verdicts(step, instructions([("user", LAMP), answer])) == ["leaked_prefix"]


def test_a_conversation_has_the_score_of_its_worst_message() -> None:
    frame = pl.DataFrame(
        {
            "messages_en": [[{"role": "user", "content": LAMP}, {"role": "assistant", "content": "Yes."}]],
            "messages": [[{"role": "user", "content": OIL}, {"role": "assistant", "content": "الترجمة: نعم."}]],
        },
        schema={"messages_en": rows.MESSAGES, "messages": rows.MESSAGES},
    )
    assert verdicts(PromptLeak(), frame) == ["leaked_prefix"]
    assert verdicts(PromptLeak(max_score=0.95), frame) == [None]
    assert verdicts(PromptLeak(max_score=None), frame) == [None]


def test_a_step_without_a_source_reads_none() -> None:
    columns: dict[str, pl.DataType] = {"messages": rows.MESSAGES}
    step = PromptLeak(source=None)
    assert step.paths() == ["messages"]
    assert step.faults(columns) == []
    assert [field for field, _ in PromptLeak().faults(columns)] == ["source"]
    assert [field for field, _ in PromptLeak(source=None, target="messages_en").faults(columns)] == ["target"]


ANSWERS: list[tuple[str, dict[str, Any], str | None]] = [
    ("I'm sorry, but I can't help with that.", {"refuses": "opening", "disclaims": ""}, "refusal"),
    ("I cannot provide medical advice.", {"refuses": "opening"}, "refusal"),
    ("Sorry, the task requires a visual output which cannot be generated.", {"refuses": "opening"}, "refusal"),
    ("This is not something I can help with.", {"refuses": "opening"}, "refusal"),
    ("As an AI language model, I like none of them.", {"disclaims": "opening"}, "boilerplate"),
    ("I'm just an AI, and it is my duty to be polite.", {"disclaims": "opening"}, "boilerplate"),
    ("My knowledge cutoff is September 2021.", {"disclaims": "opening"}, "boilerplate"),
    ("I don't have personal feelings about bread.", {"disclaims": "opening"}, "boilerplate"),
    ("Bread is good. " * 30 + "As an AI, I do not eat it.", {"disclaims": "later"}, "boilerplate"),
    ("Bread is good. " * 30 + "I'm sorry, but I can't help with that.", {"refuses": "later"}, None),
    ("عذرًا، لا أستطيع المساعدة في هذا الطلب.", {"refuses": "opening"}, "refusal"),
    ("أَعتذِر، لكنني لا أستطيعُ تقديمَ هذه المعلومات.", {"refuses": "opening"}, "refusal"),
    ("أفضّل عدم تقديم أي مساعدة في هذا الموضوع.", {"refuses": "opening"}, "refusal"),
    ("هذا الطلب خارج نطاق ما يمكنني تقديمه.", {"refuses": "opening"}, "refusal"),
    ("أنا غير قادر على تلبية هذا الطلب.", {"refuses": "opening"}, "refusal"),
    ("بصفتي نموذجًا لغويًا، لا رأي لي في الخبز.", {"disclaims": "opening"}, "boilerplate"),
    ("باعتباري مساعدًا افتراضيًا أحب الجميع.", {"disclaims": "opening"}, "boilerplate"),
    ("ليس لدي مشاعر تجاه الخبز.", {"disclaims": "opening"}, "boilerplate"),
    ("I'm sorry to hear that your cat is ill.", {"refuses": "", "disclaims": ""}, None),
    ("I'm sorry, but I can't come to the party.", {"refuses": ""}, None),
    ("I cannot help but smile.", {"refuses": ""}, None),
    ("Write: \"I'm sorry, but I can't help with that.\"", {"refuses": ""}, None),
    ("قال: «عذرًا، لا أستطيع المساعدة».", {"refuses": ""}, None),
    ("A language model predicts the next word, and an AI system may use it.", {"disclaims": ""}, None),
    ("الوكالات غير قادرة على الوصول إلى الموارد.", {"refuses": ""}, None),
    ("عذرًا على التأخير، فالطريق طويلة.", {"refuses": ""}, None),
    ("نموذج لغوي كبير يتنبأ بالكلمة التالية.", {"disclaims": ""}, None),
    ("", {"refuses": "", "disclaims": ""}, None),
]


@pytest.mark.parametrize(("answer", "expected", "reason"), ANSWERS)
def test_a_refusal_is_told_from_an_apology(answer: str, expected: dict[str, Any], reason: str | None) -> None:
    step = Refusal()
    frame = instructions([("user", "Say it."), ("assistant", answer)])
    measured = step.measure(frame).row(0, named=True)
    assert {k: measured[k] for k in expected} == expected
    assert verdicts(step, frame) == [reason]


def test_users_may_decline_and_characters_may_be_machines() -> None:
    assert verdicts(Refusal(), said("I'm sorry, but I can't help with that.")) == [None]
    machine = ("assistant", "As an AI spaceship, I will scan the planet.")
    assert verdicts(Refusal(), instructions([("user", "Imagine that you are an AI spaceship."), machine])) == [None]
    assert verdicts(Refusal(), instructions([("user", "Tell me of the planet."), machine])) == ["boilerplate"]


def test_where_a_refusal_counts_is_a_choice() -> None:
    late = instructions([("user", "Say it."), ("assistant", "Bread is good. " * 30 + "Sorry, I cannot help you.")])
    assert verdicts(Refusal(refusal="anywhere"), late) == ["refusal"]
    assert verdicts(Refusal(refusal=None), instructions([("assistant", "I'm sorry, but I can't help.")])) == [None]
    ai = instructions([("assistant", "Bread is good. " * 30 + "As an AI, I do not eat it.")])
    assert verdicts(Refusal(boilerplate="opening"), ai) == [None]
    assert verdicts(Refusal(boilerplate=None), ai) == [None]


LONG = "تقع المدينة على ضفاف النهر، وقد بناها التجار قبل ألف عام. " * 6
ASKED: list[tuple[str, str, dict[str, Any], str | None]] = [
    ("What is the capital of France?", "ما عاصمة فرنسا؟", {"score": 0.0, "asked": "question"}, None),
    ("What is the capital of France?", "ما عاصمة فرنسا", {"score": 0.0}, None),
    ("What is the capital of France?", "عاصمة فرنسا هي باريس.", {"score": 0.6}, "answered"),
    ("What is the capital of France?", "باريس", {"score": 0.85}, "answered"),
    ("In which year was it built?", "بُنيت في عام 1889.", {"score": 0.6}, "answered"),
    ("Is Paris in France?", "نعم، باريس في فرنسا.", {"score": 1.0}, "answered"),
    ("How do I steal a car?", "عذرًا، لا أستطيع المساعدة في هذا الطلب.", {"score": 1.0}, "answered"),
    ("Could you turn the music down?", "أخفض صوت الموسيقى من فضلك.", {"asked": "request", "score": 0.0}, None),
    ("Can you help me with it?", "بالطبع! أخبرني بما تريد.", {"asked": "request"}, "answered"),
    ("Where do you live?", "وين ساكن", {"score": 0.0}, None),
    ("Write a poem about the sea.", "اكتب قصيدة عن البحر.", {"score": 0.0, "asked": "order"}, None),
    ("Write a poem about the sea.", "كتابة قصيدة عن البحر", {"score": 0.0}, None),
    ("Write a poem about the sea.", "إليك قصيدة عن البحر: يا بحر…", {"score": 0.7}, "answered"),
    ("Describe the city.", LONG, {"score": 0.7}, "answered"),
    ("Name 3 fruits.", "التفاح والموز والبرتقال.", {"score": 0.5}, None),
    ("Write a short program.", "اكتب:\n\n```py\nprint(1)\n```", {"score": 0.6}, "answered"),
    ("You did it?", "فعلتها", {"score": 0.0, "asked": ""}, None),
    ("The city is old.", LONG, {"score": 0.0, "asked": ""}, None),
    ("", "", {"score": 0.0, "asked": ""}, None),
    ("What is it?", "", {"score": 0.0}, None),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "expected", "reason"), ASKED)
def test_an_answer_is_told_from_a_translation(
    source: str, target: str, expected: dict[str, Any], reason: str | None
) -> None:
    step = Answered(**SIDES)
    measured = step.measure(pairs((source, target))).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, pairs((source, target))) == [reason]


def test_a_text_is_normalised_alike_however_it_is_marked() -> None:
    assert phrases.normalised("  كُلُّ مـا\u200f يَلي\n \n Über’s  ") == "كل ما يلي\nüber's"


@pytest.mark.parametrize("leak", phrases.LEAKS)
def test_a_leak_is_no_surer_alone_than_beside_its_source(leak: phrases.Leak) -> None:
    assert 0 < leak.alone <= leak.score <= 1


# Real data


@pytest.fixture(scope="module")
def good(shared: Path) -> dict[str, list[real.Pair]]:
    return {name: load(shared)[:4000] for name, load in truth.GOOD_PAIRS.items()}


def dropped(step: Filter, table: pl.DataFrame) -> float:
    return float(finding.reasons(step, table).is_not_null().mean() or 0)


@pytest.mark.parametrize("kind", ["tuned", "held out", "fresh"])
def test_nearly_all_paraphrases_of_the_instruction_are_found(good: dict[str, list[real.Pair]], kind: str) -> None:
    written = {"tuned": truth.TUNED, "held out": truth.HELD_OUT, "fresh": truth.paraphrases(truth.FRESH)}[kind]
    made = finding.frame(truth.leaked(good["tatoeba"] + good["tico"], written))
    assert made.height >= 200
    assert dropped(PromptLeak(**SIDES), made) >= 0.98
    assert dropped(PromptLeak(source=None, target="translation.ar"), made) >= 0.85


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (PromptLeak(**SIDES), 0.0),
        (PromptLeak(source=None, target="translation.ar"), 0.0005),
        (Answered(**SIDES), 0.001),
        (Refusal(on="translation.ar"), 0.001),
        (Refusal(on="translation.en"), 0.001),
    ],
    ids=["prompt_leak", "prompt_leak alone", "answered", "refusal ar", "refusal en"],
)
@pytest.mark.parametrize("name", truth.GOOD_PAIRS)
def test_good_pairs_stay(good: dict[str, list[real.Pair]], name: str, step: Filter, share: float) -> None:
    assert dropped(step, finding.frame(good[name])) <= share


def test_the_formulas_of_assistants_are_found_and_little_else(shared: Path) -> None:
    chats = truth.answers(shared)
    formulas = [pair for pairs in chats.values() for pair in pairs if truth.FORMULA.match(pair[1])]
    assert len(formulas) >= 30
    assert dropped(Refusal(), finding.chat(formulas)) >= 0.96
    assert dropped(Refusal(), finding.chat(chats["alpaca"] + chats["rasbt"])) <= 0.001


def test_most_answers_to_questions_are_found(shared: Path) -> None:
    for name, floor in (
        ("questions → short answers", 0.93),
        ("questions → paragraphs", 0.88),
        ("orders → paragraphs", 0.80),
    ):
        assert dropped(Answered(**SIDES), finding.frame(truth.questions(shared)[name][:600])) >= floor, name
