"""`translate` asks, checks every answer, asks again, and keeps what it could not do well as a failed row."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hala_factory import rows, structure, tasks
from hala_factory.generate.answers import Answer, Unit
from hala_factory.quality.failures import FAILURES, Judge, echoing, leaking, looping, refusing
from hala_factory.quality.ladder import RETRIES, Rung, Translation
from hala_factory.quality.self_referential import held_back, restored
from hala_factory.quality.translate import Translate

ARABIC = "نص عربي يكفي طوله لكي يحكم عليه بحروفه"
ENGLISH = "A sentence that is long enough to be judged by its letters."


class Fake:
    """A model of ten lines: answers what `say` makes of the bare text; remembers what it was asked."""

    def __init__(self, *say: str | Answer | Callable[[str], str | Answer], unit: Unit = "segment") -> None:
        self.say, self.unit = list(say), unit
        self.asked: list[str] = []
        self.sampling: list[tuple[float, int, int | None]] = []
        self.messages: list[list[dict[str, str]]] = []

    async def __call__(
        self,
        messages: list[dict[str, str]],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        text: str | None = None,
    ) -> Answer:
        assert text is not None
        self.asked.append(text)
        self.messages.append(messages)
        self.sampling.append((temperature, max_tokens, seed))
        said = self.say.pop(0) if len(self.say) > 1 else self.say[0]
        said = said(text) if callable(said) else said
        return said if isinstance(said, Answer) else Answer(said, "stop", 10, 5)


CALLED = {"model": "m"}


def step(**fields: Any) -> Translate:
    return Translate.model_validate({"to": "ar", "model": "m", **fields})


def translate(text: str, fake: Fake, **fields: Any) -> Translation:
    return asyncio.run(step(**fields).reply(text, {"model": fake}))


def arabic(text: str) -> str:
    """Every word outside marks, tags and markers becomes an Arabic one."""
    return re.sub(r"(<[a-z]\d+/>)|[A-Za-z]+", lambda m: m[1] or "كلمة" + str(len(m[0])), text)


# What is sent


def test_the_prompt_carries_the_text_and_the_system_message_goes_before_it() -> None:
    fake = Fake("مرحبًا")
    assert translate("Hello", fake, system="Be exact.", max_tokens=7) == Translation("مرحبًا", None, "", 1, 10, 5)
    assert fake.messages == [
        [
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": "Translate everything that follows into Arabic:\n\nHello"},
        ]
    ]
    assert fake.sampling == [(0, 7, None)]


@pytest.mark.parametrize(
    "text", ["", "  \n", "12 + 5 = 17", "$x^2$", "```py\nprint(1)\n```", "https://example.com", "😀"]
)
def test_a_text_without_language_is_not_sent_and_passes_as_it_is(text: str) -> None:
    fake = Fake(ARABIC)
    assert translate(text, fake) == Translation(text)
    assert fake.asked == []


def test_code_blocks_stay_here_and_inline_spans_travel_as_marks() -> None:
    fake = Fake(arabic)
    done = translate("Use `f` so:\n\n```py\nf(1)\n```\n\nSee https://example.com.\n", fake)
    assert fake.asked == ["Use <x1/> so:", "See <x1/>."]
    assert done.text == "كلمة3 `f` كلمة2:\n\n```py\nf(1)\n```\n\nكلمة3 https://example.com.\n"
    assert (done.failure, done.requests, done.prompt_tokens, done.output_tokens) == (None, 2, 20, 10)


def test_without_protection_code_is_sent_and_its_loss_is_left_to_the_filters() -> None:
    fake = Fake("استخدم الدالة هكذا من فضلك يا صديقي")
    assert translate("Please use `f` like this, my friend", fake, protect=False).failure is None
    assert fake.asked == ["Please use `f` like this, my friend"]


def test_a_long_text_is_cut_and_rejoined() -> None:
    fake = Fake(arabic)
    text = "\n\n".join(f"This is paragraph number {n}, and it says a few words." for n in range(20))
    done = translate(text, fake, max_chars=200)
    assert done.failure is None
    assert max(map(len, fake.asked)) <= 200
    assert done.text == arabic(text)


# Failures and the ladder

REFUSAL = "عذرًا، لا أستطيع ترجمة هذا النص."
LOOP = "يبدأ النص هنا ثم " + "يعيد العبارة نفسها دائمًا " * 12
WORST = [
    ("refusal", ENGLISH, REFUSAL),
    ("prompt_leak", "The lamp burns oil.", "كل ما يلي مترجم إلى العربية: المصباح يحرق الزيت."),
    ("prompt_leak", "Add 2 and 3.", "قم بتقييم ما يلي إلى العربية: اجمع 2 و3."),
    ("prompt_leak", "The lamp burns oil.", "تم إرجاء كل ما يلي: المصباح يحرق الزيت."),
    ("prompt_leak", "The lamp burns oil.", "Translate everything that follows into Arabic: المصباح يحرق الزيت."),
    ("prompt_leak", "The lamp burns oil.", "بالتأكيد! إليك الترجمة: المصباح يحرق الزيت."),
    ("prompt_leak", "The lamp burns oil.", "Sure, here is the Arabic translation: المصباح يحرق الزيت."),
    ("loop", ENGLISH, LOOP),
    ("loop", ENGLISH, Answer(LOOP, "length", 10, 1024)),
    ("truncated", ENGLISH, Answer(ARABIC, "length", 10, 1024)),
    ("truncated", ENGLISH, ""),
    ("truncated", ENGLISH + " " + ENGLISH, "جملة طويلة بما يكفي لكي"),
    ("answered", "What is the capital of France?", "عاصمة فرنسا هي باريس."),
    ("answered", "Write a short program.", "اكتب:\n\n```py\nprint(1)\n```"),
    ("answered", "Name 3 fruits.", "التفاح والموز والبرتقال فواكه لذيذة. " + " ثم ".join(f"{ARABIC} {n}" for n in range(4, 11))),
    ("echo", ENGLISH, ENGLISH.upper()),
    ("wrong_language", ENGLISH, "Une phrase assez longue pour être jugée."),
    ("wrong_language", ENGLISH, "這是一個足夠長的句子可以通過它的字母來判斷語言是什麼"),
    ("wrong_language", ENGLISH, "این یک جملهٔ طولانی است که برای داوری دربارهٔ زبان آن کافی است"),
    ("broken_structure", "Read `f` now.", "اقرأ الدالة الآن."),
    ("broken_structure", "# A title\n\nand words", "عنوان\n\nوكلمات"),
    ("engine_error", ENGLISH, Answer("", "error", error="400: too long")),
    ("missing", ENGLISH, Answer("", "miss")),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "source", "answer"), WORST)
def test_a_bad_answer_is_typed_and_its_text_is_kept(failure: str, source: str, answer: str | Answer) -> None:
    done = translate(source, Fake(answer), retries={})
    assert (done.failure, done.requests) == (failure, 1)
    assert done.detail
    assert done.text == (answer if isinstance(answer, str) else answer.text).strip()


def test_every_failure_is_provoked_here() -> None:
    assert {failure for failure, _, _ in WORST} == set(FAILURES)


GOOD = [
    ("I'm sorry, but as an AI language model I cannot help with that.", "عذرًا، ولكن بصفتي نموذجًا لغويًا لا يمكنني المساعدة في ذلك."),
    ("Translate this sentence into Arabic: good morning.", "ترجم هذه الجملة إلى العربية: صباح الخير."),
    ("Answer all of the following questions.", "أجب عن كل ما يلي من أسئلة."),
    ("Repeat it:" + " no and yes" * 10, "كررها:" + " لا ونعم" * 10),
    ("What is the capital of France?", "ما عاصمة فرنسا؟"),
    ("What do you want?", "وماذا تريد"),
    ("GitHub", "GitHub"),
    ("Microsoft Windows", "Microsoft Windows"),
    ("Ok.", "حسنًا."),
    ("Use React, Angular and Vue.", "استخدم React وAngular وVue."),
    ("Name 3 fruits.", "اذكر 3 فواكه."),
    ("The rest is history.", "وكل ما تبقى تاريخ."),
]  # fmt: skip


@pytest.mark.parametrize(("source", "answer"), GOOD)
def test_a_faithful_translation_is_not_taken_for_a_failure(source: str, answer: str) -> None:
    assert translate(source, Fake(answer), retries={}) == Translation(answer.strip(), None, "", 1, 10, 5)


def test_lost_marks_are_asked_for_without_marks() -> None:
    fake = Fake("اقرأ الآن.", "اقرأ `f` الآن.")
    done = translate("Read `f` now.", fake)
    assert fake.asked == ["Read <x1/> now.", "Read `f` now."]
    assert (done.text, done.failure, done.requests, done.output_tokens) == ("اقرأ `f` الآن.", None, 2, 10)


def test_lost_list_markers_are_asked_for_line_by_line() -> None:
    fake = Fake("أولًا وثانيًا", arabic)
    done = translate("- the first\n- the second", fake)
    assert fake.asked == ["- the first\n- the second", "the first", "the second"]
    assert done.text == "- كلمة3 كلمة5\n- كلمة3 كلمة6"
    assert done.failure is None


def test_a_model_that_loses_every_span_is_asked_for_the_prose_between_them() -> None:
    fake = Fake(lambda text: arabic(re.sub(r"<x\d/>|`\w+`|\{\w+\}", "", text)))
    done = translate("Dear {name}, please read `f` again.", fake)
    assert fake.asked[2:] == ["Dear", ", please read", "again."]
    assert (done.text, done.failure) == ("كلمة4 {name}, كلمة6 كلمة4 `f` كلمة5.", None)


def test_a_cut_answer_is_asked_for_in_smaller_pieces() -> None:
    text = " ".join(f"This is sentence number {n} of the text." for n in range(8))
    fake = Fake(lambda t: arabic(t) if len(t) < 200 else Answer(arabic(t)[:50], "length", 10, 5))
    done = translate(text, fake)
    assert (done.text, done.failure) == (arabic(text), None)
    assert done.requests == len(fake.asked) >= 3


def test_a_loop_is_asked_for_warm_with_a_fixed_seed() -> None:
    fake = Fake(LOOP, ARABIC)
    assert translate(ENGLISH, fake).text == ARABIC
    assert fake.sampling == [(0, 1024, None), (0.3, 1024, 1)]


def test_the_ladder_ends_and_the_last_failure_tells_of_those_before() -> None:
    fake = Fake(ENGLISH)
    done = translate(ENGLISH, fake)
    assert done.failure == "echo"
    assert done.detail == "the source came back (before: echo)"
    assert done.requests == len(fake.asked) == 2  # without spans or lines, those rungs would ask the same again


def test_one_bad_segment_does_not_ask_for_the_others_again() -> None:
    first, second = "The first paragraph has words. " * 3, "The second paragraph has others. " * 3
    fake = Fake(lambda t: REFUSAL if "second" in t else arabic(t))
    done = translate(first + "\n\n" + second, fake, max_chars=110)
    assert done.failure == "refusal"
    assert sum("first" in t for t in fake.asked) == 1
    assert done.text.startswith("كلمة3")


@pytest.mark.parametrize("failure", [f for f in FAILURES if f != "missing"])
def test_every_failure_but_a_missing_answer_has_a_ladder(failure: str) -> None:
    assert RETRIES[failure]  # type: ignore[index]


def test_an_error_of_the_asker_ends_the_text_at_once() -> None:
    async def broken(*_: Any, **__: Any) -> Answer:
        raise OSError("disk full")

    broken.unit = "segment"  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(step().reply("one\n\n```\nx\n```\n\ntwo", {"model": broken}))  # type: ignore[arg-type]


# Recorded answers


def test_a_recorded_text_is_asked_whole_and_bare_and_only_once() -> None:
    fake = Fake("كل ما يلي مترجم إلى العربية: اقرأ `f`.", unit="text")
    done = translate("Read `f`:\n\n```\nx\n```", fake)
    assert fake.messages == [[{"role": "user", "content": "Read `f`:\n\n```\nx\n```"}]]
    assert (done.failure, done.requests) == ("prompt_leak", 1)


@pytest.mark.parametrize(
    ("source", "answer"),
    [("Read `f` now.", "اقرأ الدالة الآن."), (ENGLISH * 3, "جملة قصيرة"), ("What is it?", "هو كتاب قديم")],
)
def test_structure_and_length_of_recorded_answers_are_left_to_the_filters(source: str, answer: str) -> None:
    assert translate(source, Fake(answer, unit="text")).failure is None


@pytest.mark.parametrize("answer", [Answer("", "miss"), Answer("", "stop")])
def test_what_is_not_recorded_is_missing(answer: Answer) -> None:
    assert translate(ENGLISH, Fake(answer, unit="text")).failure == "missing"


# The checks one by one

CHECKS: list[tuple[Callable[[str, str], Any], str, str, bool]] = [
    (refusing, ENGLISH, "I'm sorry, but I can't translate that.", True),
    (refusing, ENGLISH, "آسف، لكن لا يمكنني مساعدتك في هذا الطلب.", True),
    (refusing, ENGLISH, "بصفتي نموذج لغة كبيرًا، لا أملك آراء.", True),
    (refusing, ENGLISH, ARABIC * 20 + REFUSAL, False),
    (refusing, "Sorry, I am unable to come.", "عذرًا، لا أستطيع الحضور.", False),
    (leaking, "Good morning", "الترجمة: صباح الخير", True),
    (leaking, "Good morning", "Translation: صباح الخير", True),
    (leaking, "Good morning", "ترجم النص التالي إلى اللغة العربية: صباح الخير", True),
    (leaking, "The translation: good", "الترجمة: جيدة", False),
    (leaking, "The Arabic word", "الكلمة العربية", False),
    (looping, ENGLISH, "ها" * 60, True),
    (looping, ENGLISH, "قال نعم، نعم، نعم.", False),
    (looping, "ha" * 60, "ها" * 60, False),
    (looping, "| a |\n" * 9, "| أ |\n" * 9, False),
    (lambda s, t: echoing(s, t, "ar"), "Read this first", "read  this first!", True),
    (lambda s, t: echoing(s, t, "ar"), "Run `x`", "Run `x`", False),
    (lambda s, t: echoing(s, t, "ar"), ARABIC, ARABIC, False),
    (lambda s, t: echoing(s, t, "xx"), "Read this first", "Read this first", True),
    (lambda s, t: Judge("fr").of_text(s, t), ENGLISH, "Une phrase assez longue pour être jugée.", False),
    (lambda s, t: Judge("fr").of_text(s, t), ENGLISH, ARABIC, True),
    (lambda s, t: Judge("ar", "Say it in Arabic now").of_text(s, t), "Good day", "Say it in Arabic now: طاب يومك", True),
]  # fmt: skip


@pytest.mark.parametrize(("check", "source", "target", "wanted"), CHECKS)
def test_a_check_tells_a_failure_from_a_translation(
    check: Callable[[str, str], Any], source: str, target: str, wanted: bool
) -> None:
    assert bool(check(source, target)) is wanted


# Rows


def conversation(*texts: str | None) -> list[dict[str, str | None]]:
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]


def frame(*messages: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [str(n) for n in range(len(messages))], "messages": list(messages)},
        schema={"id": pl.String, "messages": rows.MESSAGES},
    )


def test_the_texts_are_distinct_and_in_order() -> None:
    there = frame(conversation("b", "a"), conversation("a", "42"), conversation("c", None), [], None)
    assert step().questions(there) == ["b", "a", "c"]
    assert step(fields=["messages.assistant.content"]).questions(there) == ["a"]


def test_rows_are_translated_and_the_originals_kept_beside() -> None:
    there = frame(conversation("b", "a"), conversation("42", None), [], None, conversation("a", "c"))
    done = {
        "a": Translation("ألف", None, "", 1, 2, 3),
        "b": Translation("باء", None, "", 2, 2, 3),
        "c": Translation("c", "echo", "it came back", 3, 2, 3),
    }
    there_after = step(name="t").apply(there, done, CALLED)
    assert there_after["id"].to_list() == ["0", "1", "2", "3", "4"]
    assert there_after["messages_en"].to_list() == there["messages"].to_list()
    assert there_after["messages"].to_list() == [
        conversation("باء", "ألف"),
        conversation("42", None),
        [],
        None,
        conversation("ألف", "c"),
    ]
    assert there_after["translator"].to_list() == ["m"] * 5
    assert there_after["t.requests"].to_list() == [3, 0, 0, 0, 4]
    assert there_after["t.failure"].to_list() == [None, None, None, None, "echo"]
    assert there_after["t.detail"].to_list() == [None, None, None, None, "message 2 (assistant): it came back"]


def test_the_columns_are_those_that_were_announced() -> None:
    there = frame(conversation("a"))
    some = step()
    after = some.apply(there, {"a": Translation("ألف")}, CALLED).schema
    assert dict(after) == {**there.schema, **some.writes(dict(there.schema))}
    assert some.apply(there.clear(), {}, CALLED).schema == after


def test_only_the_roles_that_are_named_are_translated() -> None:
    after = step(fields=["messages.user.content"]).apply(
        frame(conversation("a", "a")), {"a": Translation("ألف")}, CALLED
    )
    assert after["messages"].to_list() == [conversation("ألف", "a")]


def test_a_pair_gets_its_translation_beside_the_text() -> None:
    there = pl.DataFrame({"translation": [{"en": "a", "ar": "قديم"}, {"en": "7", "ar": ""}, {"en": None, "ar": None}]})
    some = step(fields=["translation.en"])
    after = some.apply(there, {"a": Translation("ألف", "loop", "x", 1)}, CALLED)
    assert after["translation"].to_list() == [
        {"en": "a", "ar": "ألف"},
        {"en": "7", "ar": "7"},
        {"en": None, "ar": None},
    ]
    assert after["translation_en"].to_list() == there["translation"].to_list()
    assert after["translate.failure"].to_list() == ["loop", None, None]
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}


def test_a_text_that_nobody_translated_is_an_error() -> None:
    with pytest.raises(ValueError, match="no translation was made of 'a'"):
        step().apply(frame(conversation("a")), {}, CALLED)


# The step in a recipe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "Translate:"}, "{text}"),
        ({"prompt": "{text} {text}"}, "{text}"),
        ({"from": "ar"}, "both 'ar'"),
        ({"to": "fr"}, "write one for 'fr'"),
        ({"fields": ["messages.user", "translation.en"]}, "one column"),
        ({"fields": ["translation.en", "translation.fr"]}, "one text of a pair"),
        ({"fields": []}, "at least 1"),
        ({"retries": {"bored": []}}, "bored"),
        ({"max_chars": 5}, "greater than or equal to 100"),
    ],
)
def test_a_step_that_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        step(**fields)


def test_from_is_the_word_in_recipes_and_fields_are_checked_against_the_rows() -> None:
    some = step(**{"from": "fr"}, fields=["messages.*.content"])
    assert (some.source_language, some.kept) == ("fr", "messages_fr")
    there = {"id": pl.String(), "messages": rows.MESSAGES}
    assert some.paths() == ["messages"]
    assert some.faults(there) == []
    assert [f for f, _ in some.faults({**there, "messages_fr": rows.MESSAGES})] == ["keep"]
    ((field, message),) = step(fields=["messages.usr.content"]).faults(there)
    assert field == "fields"
    assert "did you mean 'messages.user'?" in message


def test_a_changed_ladder_is_another_step() -> None:
    assert step().identity() != step(retries={"loop": [{"temperature": 0.5}]}).identity()
    assert step(retries={"loop": [{"temperature": 0.5}]}).retries == {"loop": (Rung(temperature=0.5),)}
    assert step().identity() == step().identity()


def test_the_structure_of_what_comes_out_is_that_of_what_went_in() -> None:
    text = "# T\n\nUse `f` at https://e.org.\n\n- a {b}\n- c\n\n| h | i |\n|---|---|\n| j | $k$ |\n\n```\nx\n```\n"
    done = translate(text, Fake(arabic))
    assert done.failure is None
    assert structure.difference(text, done.text) == {}


# Repairs, and a model to fall back on


def test_marks_that_came_back_in_another_spelling_are_repaired_and_counted() -> None:
    fake = Fake("اقرأ <x١/> ثم x2 الآن.")
    done = translate("Read `f` and then {name} now.", fake)
    assert (done.text, done.failure, done.requests) == ("اقرأ `f` ثم {name} الآن.", None, 1)
    assert done.repairs == 2


def test_a_span_that_came_back_in_another_spelling_is_repaired() -> None:
    fake = Fake("اقرأ الآن.", "اقرأ ``f(١)`` الآن.")
    done = translate("Read `f(1)` now.", fake)
    assert (done.text, done.failure, done.requests, done.repairs) == ("اقرأ `f(1)` الآن.", None, 2, 1)


def fallen_back(text: str, first: Fake, second: Fake, **fields: Any) -> Translation:
    some = step(fallback_model="stronger", **fields)
    assert some.asked() == {"model": "m", "fallback_model": "stronger"}
    return asyncio.run(some.reply(text, {"model": first, "fallback_model": second}))


def test_the_fallback_model_is_asked_last_and_only_for_what_failed() -> None:
    good, bad = "The first paragraph has words. " * 3, "The second paragraph has others. " * 3
    first, second = Fake(lambda t: LOOP if "second" in t else arabic(t)), Fake(arabic)
    done = fallen_back(good + "\n\n" + bad, first, second, max_chars=110)
    assert done.failure is None
    assert [t.count("first") for t in first.asked if "second" not in t] == [3]
    assert [temperature for temperature, _, _ in first.sampling] == [0, 0, 0.3, 0.3, 0.3, 0.3]  # warm, and in halves
    assert second.asked == [bad.strip()]
    assert (done.fallback, done.requests) == (True, len(first.asked) + 1)


def test_the_fallback_model_climbs_the_same_ladder_and_the_detail_tells_of_it() -> None:
    first, second = Fake("اقرأ الآن."), Fake("اقرأ الآن.", "اقرأ `f` الآن.")
    done = fallen_back("Read `f` now.", first, second, retries={"broken_structure": [{"mask": False}]})
    assert second.asked == ["Read <x1/> now.", "Read `f` now."]
    assert (done.text, done.failure) == ("اقرأ `f` الآن.", None)
    lost = fallen_back(ENGLISH, Fake(ENGLISH), Fake(LOOP))
    assert lost.failure == "loop"
    assert lost.detail.endswith("(before: echo, echo, loop, loop)")


def test_a_rung_may_name_the_fallback_model_and_is_passed_over_without_one() -> None:
    table = {"echo": [{"model": "fallback_model", "temperature": 0.5}]}
    second = Fake(ARABIC)
    assert fallen_back(ENGLISH, Fake(ENGLISH), second, retries=table).text == ARABIC
    assert second.sampling == [(0.5, 1024, None)]
    alone = Fake(ENGLISH)
    assert translate(ENGLISH, alone, retries=table).failure == "echo"
    assert len(alone.asked) == 1


def test_what_is_not_recorded_is_asked_of_the_fallback_model() -> None:
    second = Fake(arabic)
    done = fallen_back("Read `f` now.", Fake(Answer("", "miss"), unit="text"), second)
    assert (done.text, done.failure, done.fallback) == ("كلمة4 `f` كلمة3.", None, True)
    assert second.asked == ["Read <x1/> now."]
    recorded = fallen_back(ENGLISH, Fake(ENGLISH), Fake(ARABIC, unit="text"))
    assert (recorded.text, recorded.failure) == (ARABIC, None)


def test_a_model_cannot_fall_back_on_itself() -> None:
    with pytest.raises(ValidationError, match="both 'm'"):
        step(fallback_model="m")


def test_the_row_says_which_models_wrote_it_and_how_much_was_repaired() -> None:
    there = frame(conversation("a"), conversation("b", "a"))
    done = {"a": Translation("ألف", requests=1), "b": Translation("باء", requests=3, repairs=2, fallback=True)}
    after = step(fallback_model="s").apply(there, done, {"model": "m", "fallback_model": "s"})
    assert after["translator"].to_list() == ["m", "m, s"]
    assert after["translate.repairs"].to_list() == [0, 2]


# Tasks about their own words

TURKISH = conversation('Translate the word "cat" into Turkish.', "kedi", "Why is that?", "It is so.")
GRAMMAR = conversation("Fix the grammar in the sentence:\n\nHe go home.", "He goes home.")
PLAIN = conversation("Name a fruit.", "An apple.")


@pytest.mark.parametrize(
    ("policy", "questions", "failures", "routes"),
    [
        (
            "translate",
            [TURKISH[0]["content"], "kedi", "Why is that?", "It is so.", GRAMMAR[0]["content"], "He goes home.", "Name a fruit.", "An apple."],
            [None] * 3,
            ["", "", ""],
        ),
        ("skip", ["Name a fruit.", "An apple."], ["self_referential", "self_referential", None], ["", "", ""]),
        ("keep_english", ["Name a fruit.", "An apple."], [None] * 3, ["keep_english", "keep_english", ""]),
        (
            "instruction_only",
            ["Translate the word {text_1} into Turkish.", "Why is that?", "It is so.", "Fix the grammar in the sentence:", "Name a fruit.", "An apple."],
            [None] * 3,
            ["instruction_only", "instruction_only", ""],
        ),
    ],
)  # fmt: skip
def test_a_policy_says_what_becomes_of_tasks_about_their_own_words(
    policy: str, questions: list[str], failures: list[str | None], routes: list[str]
) -> None:
    there = frame(TURKISH, GRAMMAR, PLAIN)
    some = step(self_referential=policy)
    assert some.questions(there) == questions
    after = some.apply(there, {q: Translation(f"«{q}»", requests=1) for q in questions}, CALLED)
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}
    assert after["translate.task"].to_list() == ["language", "grammar", ""]
    assert after["translate.failure"].to_list() == failures
    assert after["translate.routed"].to_list() == routes
    assert after["messages_en"].to_list() == there["messages"].to_list()
    if policy in ("skip", "keep_english"):
        assert after["messages"].to_list()[:2] == [TURKISH, GRAMMAR]
        assert after["translator"].to_list() == [None if policy == "keep_english" else "m"] * 2 + ["m"]


def test_of_a_task_only_the_instruction_is_translated_and_its_payload_and_answer_stay() -> None:
    there, some = frame(TURKISH, GRAMMAR), step(self_referential="instruction_only")
    fake = Fake(
        "ترجم الكلمة <x1/> إلى التركية.", "ولماذا ذلك؟", "الأمر كذلك.", "صحح القواعد النحوية في الجملة التالية:"
    )
    asked = {q: asyncio.run(some.reply(q, {"model": fake})) for q in some.questions(there)}
    after = some.apply(there, asked, CALLED)
    assert after["messages"].to_list() == [
        conversation('ترجم الكلمة "cat" إلى التركية.', "kedi", "ولماذا ذلك؟", "الأمر كذلك."),
        conversation("صحح القواعد النحوية في الجملة التالية:\n\nHe go home.", "He goes home."),
    ]
    assert after["translate.failure"].to_list() == [None, None]


def test_an_instruction_that_lost_the_place_of_its_payload_is_a_broken_one() -> None:
    some = step(self_referential="instruction_only", protect=False)
    question = "Translate the word {text_1} into Turkish."
    after = some.apply(frame(TURKISH[:2]), {question: Translation("ترجم الكلمة إلى التركية.")}, CALLED)
    assert after["translate.failure"].to_list() == ["broken_structure"]
    assert "{text_1} stands 0 times" in after["translate.detail"][0]


PAYLOADS = [
    ("Translate 'good morning' into French.", ["'good morning'"]),
    ('Don\'t count the letters in “cat” or "dog".', ["“cat”", '"dog"']),
    ("How many words are in this sentence?\nThe cat sat.", ["The cat sat."]),
    ("Correct the spelling: Wher is it?", ["Wher is it?"]),
    ("Task:\nFix the grammar in this text:\n\nHe go.\n\nShe go.\n", ["He go.\n\nShe go."]),
    ('Find a rhyme for "time: now" and "day".', ['"time: now"', '"day"']),
    ("Write a limerick about the teacher's dog.", []),
]


@pytest.mark.parametrize(("asked", "wanted"), PAYLOADS)
def test_the_payload_of_a_task_is_what_is_quoted_and_what_follows_its_instruction(
    asked: str, wanted: list[str]
) -> None:
    assert [asked[a:b] for a, b in tasks.payload(asked)] == wanted
    instruction, held = held_back(asked)
    assert restored(instruction, held) == asked
    assert all(stretch not in instruction for stretch in wanted)


@pytest.mark.parametrize("fields", [{"from": "fr"}, {"fields": ["translation.en"]}])
def test_a_policy_is_refused_where_tasks_cannot_be_told(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="self_referential"):
        step(self_referential="skip", **fields)
