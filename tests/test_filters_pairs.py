"""Verdicts of the filters that compare a translation with its source: tables of pairs, and real translations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import finding
import polars as pl
import pytest
import truth_pairs as truth
from real import GOOD, OTHERS, Pair, alpaca

from hala_factory import numerals, rows
from hala_factory.filters.glued_words import GluedWords
from hala_factory.filters.length_ratio import LengthRatio
from hala_factory.filters.loops import Loops
from hala_factory.filters.numbers import Numbers
from hala_factory.filters.punctuation import Punctuation
from hala_factory.filters.self_destruction import SelfDestruction
from hala_factory.filters.structure import Structure
from hala_factory.filters.truncated import Truncated
from hala_factory.filters.untranslated import Untranslated
from hala_factory.step import Filter
from tests.test_filters import CODE, LONG_AR, LONG_EN, near, pairs, said, verdicts

SIDES: dict[str, Any] = {"source": "translation.en", "target": "translation.ar"}
CUT, LOOPS, MARKS = Truncated(**SIDES), Loops(**SIDES), Punctuation(**SIDES)
NUMBERS, KEPT, RATIO = Numbers(**SIDES), Structure(**SIDES), LengthRatio(**SIDES)
GLUED = GluedWords(on="translation.ar")
WORDS = {"min_ratio": None, "max_ratio": None, **SIDES}

TRANSLATIONS: list[tuple[Filter, str | None, str | None, dict[str, Any], str | None]] = [
    (CUT, LONG_EN, LONG_AR, {"dangling": False, "unclosed": 0, "open_ratio": 1.0, "lost_tail": False}, None),
    (CUT, LONG_EN, LONG_AR.rstrip("."), {"open_ratio": 0.82}, None),
    (CUT, LONG_EN, "يدوم الخبز مدة أطول في كيس من القماش، لأن القشرة", {"open_ratio": 0.6533}, "no_end"),
    (CUT, LONG_EN, "يدوم الخبز مدة أطول في كيس من القماش، لأن القشرة تتنفس فيه في", {"dangling": True}, "dangling"),
    (CUT, LONG_EN, "يدوم الخبز مدة أطول في كيس من القماش، لأن القشرة تتنفس فيه،", {"dangling": True}, "dangling"),
    (CUT, LONG_EN, "Bread keeps longer in a cloth bag, because the", {"dangling": True}, "dangling"),
    (CUT, "As seen in", "كما رأينا في", {"dangling": False}, None),
    (CUT, "Who is it from", "ممن هو", {"dangling": False}, None),
    (CUT, "One after the other,", "واحدا تلو الآخر،", {"dangling": False}, None),
    (CUT, "He went with Ali.", "ذهب مع علي", {"dangling": False}, None),
    (CUT, "It is open (from noon) today.", "إنه مفتوح (من الظهر اليوم", {"unclosed": 1}, "unclosed"),
    (CUT, 'He said: "Come in, all of you."', 'قال: "ادخلوا جميعا', {"unclosed": 1}, "unclosed"),
    (CUT, 'He said: "Come in, all of you."', 'قال: "ادخلوا جميعا.', {"unclosed": 0}, None),
    (CUT, "Smile :)", "ابتسم :(", {"unclosed": 1}, "unclosed"),
    (CUT, f"Run it:\n{CODE}\nDone.", "شغّله:\n```python\nprint(1).", {"unclosed": 1}, "unclosed"),
    (CUT, "We met them in the old town in 1999.", "التقيناهم في المدينة القديمة عام", {"lost_tail": True}, "lost_tail"),
    (CUT, "We met them in the old town in 1999.", "التقيناهم في المدينة القديمة عام ١٩٩٩", {"lost_tail": False}, None),
    (CUT, "In 1999 we met them in the old town.", "التقيناهم في المدينة القديمة", {"lost_tail": False}, None),
    (Truncated(**SIDES, drop_dangling=False), LONG_EN, LONG_AR[:-1] + " في", {"dangling": True}, None),
    (CUT, "", "", {"open_ratio": 1.0}, None),
    (CUT, LONG_EN, None, {"open_ratio": 0.3333}, "no_end"),
    (LOOPS, "Yes, yes, yes!", "نعم، نعم، نعم!", {"loop_words": 0}, None),
    (LOOPS, "Yes, I do.", "نعم " * 9, {"loop_words": 9}, "word_loop"),
    (LOOPS, "Very, very good.", "جيد جدا جدا جدا.", {"loop_words": 3}, None),
    (LOOPS, "I see.", "أرى ذلك جيدا " * 4, {"loop_words": 12}, "word_loop"),
    (LOOPS, "Hahahaha", "ههههههههه", {"loop_chars": 1}, None),
    (LOOPS, "Funny.", "مضحك هههههههههههههه", {"loop_chars": 14}, "char_loop"),
    (LOOPS, "La la.", "لالالالالالالا", {"loop_chars": 14}, "char_loop"),
    (LOOPS, "A table", "جدول\n" + "-" * 40 + "\n" + "= " * 40, {"loop_chars": 0, "loop_words": 0}, None),
    (LOOPS, "It is 10000000000000.", "إنه 10000000000000.", {"loop_chars": 0}, None),
    (LOOPS, "His great-great-grandson", "حفيد حفيد حفيده", {"loop_chars": 0, "loop_words": 0}, None),
    (
        LOOPS,
        LONG_EN,
        "\n".join(f"{n}. يدوم الخبز مدة أطول في كيس من القماش" for n in range(6)),
        {"repeated": 0.4, "loop_words": 0},
        "repeated_runs",
    ),
    (MARKS, "Is it far? I can walk.", "هل المكان بعيد؟ يمكنني المشي.", {"fewest": 1.0, "questions": 0}, None),
    (MARKS, "Two is here. Three is there. Four is far.", "الأول هنا", {"fewest": 0.6}, None),
    (MARKS, "This is. That was. These are. Those were. All gone.", "هذا كله ذهب", {"fewest": 0.4286}, "fewer_sentences"),
    (MARKS, "All is gone now", "ذهب هذا. ذهب ذاك. ذهب الكل. انتهى الأمر.", {"most": 2.0}, "more_sentences"),
    (MARKS, "Prof. J. R. Smith of the U.S. paid 3.50, e.g. here", "دفع البروفيسور سميث 3.50", {"fewest": 1.0}, None),
    (MARKS, "Is it far? Can I walk? Who knows?", "المكان بعيد. أمشي. من يدري.", {"questions": 3}, "questions"),
    (MARKS, "Really?!", "حقا؟!!", {"questions": 0, "exclamations": 0}, None),
    (MARKS, "Go! Now! Please! Quick!", "اذهب. الآن. رجاء. بسرعة.", {"exclamations": 4}, "exclamations"),
    (LengthRatio(**WORDS, min_word_ratio=0.5), LONG_EN, "الخبز.", {"lowest_words": 0.1739}, "too_few_words"),
    (LengthRatio(**WORDS, max_word_ratio=2), "Yes.", LONG_AR, {"highest_words": 4.5}, "too_many_words"),
    (Numbers(**SIDES, max_spelt_out=0), "Three men", "3 رجال", {"spelt_out": 1}, "spelt_out_numbers"),
    (Numbers(**SIDES, words=False), "In two weeks", "بعد 2 أسبوع", {"added": 1}, "added_numbers"),
    (NUMBERS, "See https://example.org/2020/05", "انظر https://example.org/2021", {"missing": 0}, None),
    (KEPT, "Systems &amp; Languages", "الأنظمة واللغات", {"kinds": ""}, None),
    (KEPT, "set tempo to [TEMPO]", "اضبط السرعة", {"kinds": "placeholder"}, "lost_placeholder"),
    (KEPT, "repeat %1 times", "كرِّر %2 مرة", {"missing": 1, "added": 1}, "lost_placeholder"),
    (KEPT, "5% off", "خصم %5", {"kinds": ""}, None),
]  # fmt: skip


@pytest.mark.parametrize(("step", "english", "arabic", "expected", "reason"), TRANSLATIONS)
def test_a_translation_is_measured_and_judged(
    step: Filter, english: str | None, arabic: str | None, expected: dict[str, Any], reason: str | None
) -> None:
    frame = pairs((english, arabic))
    measured = step.measure(frame).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, frame) == [reason]


GLUES: list[tuple[str, dict[str, Any], str | None]] = [
    ("تُدرَّس في الجامعة السياسة الوطنية للمياه.", {"longest": 0, "glued": 0, "mixed": 0}, None),
    ("السياسةالوطنية للمياه", {"glued": 2, "longest": 14}, "glued"),
    ("حافظ علىهدوئه", {"glued": 1}, "glued"),
    ("هاجم ومدافعالميدان", {"glued": 1, "longest": 13}, "glued"),
    ("هاجر فيالولايات المتحدة", {"glued": 1}, "glued"),
    ("قال أيضًامجمع الشركات", {"glued": 1}, "glued"),
    ("كورياالشماليةوالجنوبية", {"longest": 22}, "long_word"),
    ("والإستراتيجيات والبروتستانتيين للأنثروبولوجيا", {"longest": 15, "glued": 0}, None),
    ("الراديكاليين والفيدراليات البنزالكونيوم", {"glued": 0}, None),
    ("المُتَخَصِّصُـــونَ", {"longest": 0, "glued": 0}, None),
    ("جزءًا من مسألةٍ كهذه، مئة قراءة وفيالق", {"glued": 0}, None),
    ("كتابThe", {"mixed": 1}, "mixed"),
    ("ideal7-8 ساعات بشكلideal", {"mixed": 1}, "mixed"),
    ("منذ عام2020 حتى اليوم", {"mixed": 1}, "mixed"),
    ("نام 7ساعات", {"mixed": 1}, "mixed"),
    ("استعمل الـAPI وبGitHub في 5كم و32ألف، سيرين2", {"mixed": 0}, None),
    ("Donaudampfschifffahrtsgesellschaftskapitän", {"longest_latin": 42}, "long_latin_word"),
    ("scryRenderedDOMComponentsWithTagName {creativecomputingcurriculumlink}", {"longest_latin": 0}, None),
    ("`كلمةملصقة` و https://example.org/كلمةملصقة", {"glued": 0}, None),
    ("", {"longest": 0}, None),
]


@pytest.mark.parametrize(("text", "expected", "reason"), GLUES)
def test_words_without_a_space_between_them_are_found(text: str, expected: dict[str, Any], reason: str | None) -> None:
    assert {k: v for k, v in GluedWords().measure(said(text)).row(0, named=True).items() if k in expected} == expected
    assert verdicts(GluedWords(), said(text)) == [reason]


Turn = tuple[str, str]
ASKED: list[tuple[list[Turn], list[Turn], dict[str, Any], str | None]] = [
    (
        [("Answer politely: He go to school every day.", "He goes to school every day.")],
        [("أجب بلطف: هو يذهب إلى المدرسة كل يوم.", "هو يذهب إلى المدرسة كل يوم.")],
        {"after": 1.0, "before": 0.7273, "rise": 0.2727},
        "became_equal",
    ),
    (
        [("Make it shorter.\n\nThe cat, which was black, slept.", "The black cat slept.")],
        [("اختصر.\n\nالقطة التي كانت سوداء نامت.", "نامت القطة السوداء.")],
        {"echo": False},
        None,
    ),
    ([("Is it far?", "No, it is near.")], [("هل هو بعيد؟", "لا، إنه قريب.")], {"after": 0.0, "before": 0.0}, None),
    (
        [("Which one is a fruit?\n\napple, car, stone", "apple")],
        [("أيها فاكهة؟\n\nتفاحة، سيارة، حجر", "تفاحة")],
        {"rise": 0.0},
        None,
    ),
    (
        [("Sort by price.\n\n1. Pen\n2. Car", "1. Pen\n2. Car")],
        [("رتب حسب السعر.\n\n1. قلم\n2. سيارة", "1. قلم\n2. سيارة")],
        {"echo": True},
        "echo",
    ),
    (
        [("Say hello.", "Hello!"), ("Answer kindly: I is here.", "I am here.")],
        [("ألق التحية.", "مرحبًا!"), ("أجب بلطف: أنا هنا.", "أنا هنا.")],
        {"after": 1.0},
        "became_equal",
    ),
    ([("Translate 'library' into Spanish.", "biblioteca")], [("ترجم.", "مكتبة")], {"task": "language"}, "task_breaks"),
    ([("How do you say 'thanks' in Japanese?", "Arigatou")], [("كيف؟", "شكرا")], {"task": "language"}, "task_breaks"),
    ([("Rewrite this in simple English: Abide!", "Stay!")], [("بسط.", "ابق!")], {"task": "language"}, "task_breaks"),
    ([("Count the vowels in: banana", "3")], [("عد الحروف.", "3")], {"task": "counting"}, "task_breaks"),
    ([("How many words are in this line?", "Seven")], [("كم كلمة؟", "سبع")], {"task": "counting"}, "task_breaks"),
    ([("Fix the grammar: they was late", "They were")], [("صحح", "كانوا")], {"task": "grammar"}, "task_breaks"),
    ([("Correct the statement: Bats are birds.", "They are not")], [("صحح العبارة: الخفافيش طيور", "ليست طيورًا")], {"task": ""}, None),
    ([("Name two fruits that start with A.", "Apple")], [("سم", "تفاح")], {"task": "letters"}, "task_breaks"),
    ([("Sort the names in alphabetical order.", "Al, Bo")], [("رتب", "آل، بو")], {"task": "letters"}, "task_breaks"),
    ([("Find a word that rhymes with 'day'.", "May")], [("قافية", "مايو")], {"task": "rhyme"}, "task_breaks"),
    ([("Add spaces between words: iamhere", "i am here")], [("أضف", "أنا هنا")], {"task": "spacing"}, "task_breaks"),
    ([("Write a function to reverse the letters.", "def f")], [("اكتب", "def f")], {"task": ""}, None),
    ([("Translate the plan into action.", "We start.")], [("نفذ الخطة.", "نبدأ.")], {"task": ""}, None),
    ([("Describe a day in 100 words.", "It was hot.")], [("صف يوما.", "كان حارا.")], {"task": ""}, None),
]  # fmt: skip


def translated(source: list[Turn], target: list[Turn]) -> pl.DataFrame:
    columns = {"messages_en": source, "messages": target}
    spelt = {
        name: [[{"role": r, "content": c} for turn in turns for r, c in zip(("user", "assistant"), turn, strict=True)]]
        for name, turns in columns.items()
    }
    return pl.DataFrame(spelt, schema=dict.fromkeys(columns, rows.MESSAGES))


@pytest.mark.parametrize(("source", "target", "expected", "reason"), ASKED)
def test_a_task_that_lost_its_point_is_found(
    source: list[Turn], target: list[Turn], expected: dict[str, Any], reason: str | None
) -> None:
    frame = translated(source, target)
    measured = SelfDestruction().measure(frame).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(SelfDestruction(), frame) == [reason]


def test_which_tasks_break_is_a_choice() -> None:
    asked = translated([("Translate 'library' into Spanish.", "biblioteca")], [("ترجم.", "مكتبة")])
    assert verdicts(SelfDestruction(tasks=["rhyme"]), asked) == [None]


def test_a_conversation_is_compared_whole() -> None:
    columns = {"messages": rows.MESSAGES, "messages_en": rows.MESSAGES}
    assert SelfDestruction().faults(columns) == []
    assert [field for field, _ in SelfDestruction(source="messages_en.user").faults(columns)] == ["source"]


SPELT: list[tuple[str, str, list[str], list[str]]] = [
    ("19th century", "القرن التاسع عشر", [], []),
    ("the 18th and 19th centuries", "القرنين الثامن عشر والتاسع عشر", [], []),
    ("on 25 May", "في الخامس والعشرين من مايو", [], []),
    ("106 years old", "عمرها مئة وستة أعوام", [], []),
    ("in 1920", "عام ألف وتسعمئة وعشرين", [], []),
    ("in 1920", "عام ألف وتسعمئة وثلاثين", ["1920"], []),
    ("from 2003 to 2007", "من ألفين و ثلاثة إلى ألفين و سبعة", [], []),
    ("300,000 people", "300 ألف شخص", [], []),
    ("30,000 people", "300 ألف شخص", ["30000"], ["300"]),
    ("$2 million", "مليوني دولار", [], []),
    ("37 billion", "37 مليون", ["37"], ["37"]),
    ("2-3 million", "2 إلى 3 ملايين", [], []),
    ("120 million", "مئة وعشرون مليون نسمة", [], []),
    ("from 1943–6", "من 1943 إلى 1946", [], []),
    ("in 2017–18", "في 2017-2018", [], []),
    ("in the 1980s", "في الثمانينيات", [], []),
    ("in the 1870s", "في سبعينيات القرن التاسع عشر", [], []),
    ("in the 1870s", "في سبعينات القرن السابع عشر", ["1870"], []),
    ("the early 2000s", "بداية الألفية", [], []),
    ("at 8:30", "في الثامنة والنصف", [], []),
    ("It's 3:20.", "إنها الثالثة وعشرون دقيقة.", [], []),
    ("at 04:00", "الساعة 4", [], []),
    ("at 5.30pm", "في 5:30 مساء", [], []),
    ("at 14:30", "في 2:30 ظهرا", [], []),
    ("2 weeks and 2 metres", "أسبوعين ومترين", [], []),
    ("SARS-CoV-2 infection", "عدوى سارس بين شخصين", ["2"], []),
    ("type II", "النوع 2", [], []),
    ("1st place", "المركز الأول", [], []),
    ("90% of them", "تسعين بالمئة منهم", [], []),
    ("50% of them", "نصفهم", [], []),
    ("1.5 hours", "ساعة ونصف", [], []),
    ("on 12/05/2020", "في 12 مايو 2020", [], []),
    ("call 116 123", "اتصل على 116123", [], []),
    ("the R0", "رقم التكاثر", [], []),
    ("an MP3 player", "مشغل MP4", ["3"], ["4"]),
    ("Maxim Hot 100", "هوت 100 (Maxim Hot 100)", [], []),
    ("open 24/7", "مفتوح على مدار الساعة", [], []),
    ("twenty-eight votes", "28 صوتا", [], []),
    ("one hundred and five", "105", [], []),
    ("a dozen, a decade", "12 و10", [], []),
    ("three men, 5 dogs", "ثلاثة رجال وكلاب", ["5"], []),
    ("three men, 3 dogs", "ثلاثة رجال وكلاب", ["3"], []),
    ("on Sunday, 1 man", "يوم الأحد رجال", ["1"], []),
    ("more than 1,000", "عشرات الآلاف", ["1000"], []),
]


@pytest.mark.parametrize(("source", "target", "missing", "added"), SPELT)
def test_a_number_that_is_said_in_words_is_not_missing(
    source: str, target: str, missing: list[str], added: list[str]
) -> None:
    assert numerals.unexplained(source, target)[:2] == (missing, added)


@pytest.mark.parametrize(
    ("step", "bad", "reason"),
    [
        (Truncated(), (LONG_EN, "يدوم الخبز مدة أطول في"), "dangling"),
        (Loops(), (LONG_EN, "نعم " * 9), "word_loop"),
        (Punctuation(), ("One? Two? Three?", LONG_AR), "questions"),
    ],
)
def test_one_bad_message_drops_the_conversation_and_no_other(step: Filter, bad: Turn, reason: str) -> None:
    good = (LONG_EN, LONG_AR)
    both = [translated([(a, c)], [(b, d)]) for (a, b), (c, d) in ((good, good), (good, bad), (bad, good))]
    assert verdicts(step, pl.concat([both[0], both[1], both[0], both[2]])) == [None, reason, None, reason]


def test_every_reason_stands_in_the_tables() -> None:
    proved = {(type(case[0]).__name__, case[-1]) for case in TRANSLATIONS}
    proved |= {("GluedWords", case[-1]) for case in GLUES} | {("SelfDestruction", case[-1]) for case in ASKED}
    for step in (CUT, LOOPS, MARKS, GLUED, SelfDestruction()):
        reasons: set[str | None] = {reason for reason, _ in step.rules()}
        assert {(type(step).__name__, reason) for reason in reasons | {None}} <= proved


@pytest.mark.parametrize(
    "step",
    [
        Truncated(drop_dangling=False, max_unclosed=None, min_open_ratio=None, drop_lost_tail=False),
        Loops(max_loop_words=None, max_loop_chars=None, max_repeated=None),
        Punctuation(**{f: None for f in Punctuation.model_fields if f.startswith(("min_", "max_"))}),
        GluedWords(**{f: None for f in GluedWords.model_fields if f.startswith("max_")}),
        SelfDestruction(max_after=None, drop_echo=False, tasks=[]),
        Untranslated(min_words=None, max_copied=None, max_run=None),
    ],
)
def test_a_filter_with_every_bound_off_only_measures(step: Filter) -> None:
    assert step.rules() == []


# Real translations

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not here")


@pytest.fixture(scope="module")
def read() -> dict[str, list[Pair]]:
    return {name: load(DATA) for name, load in {**GOOD, **OTHERS}.items()}


@real
@pytest.mark.parametrize("step", truth.STEPS, ids=lambda step: step.step)
def test_hardly_a_good_translation_falls(step: Filter, read: dict[str, list[Pair]]) -> None:
    """What falls of NTREX-128 was read: of its glued words all, of its numbers 7 of 9 are wrong in truth."""
    for name in GOOD:
        if (step.step, name) != ("glued_words", "ntrex"):
            assert truth.share(step, read[name]) <= 0.005, name


@real
def test_the_glued_words_of_a_professional_translation_are_found(read: dict[str, list[Pair]]) -> None:
    fallen = [fate for fate in truth.judged(GLUED, read["ntrex"]) if fate]
    assert 140 <= len(fallen) <= 160


@real
@pytest.mark.parametrize(("name", "least"), [("mt_geneval", 1.0), ("ntrex", 0.7)])
def test_numbers_that_a_person_found_wrong_fall_and_few_others(
    name: str, least: float, read: dict[str, list[Pair]]
) -> None:
    wrong = truth.WRONG_NUMBERS[name]
    fallen = [
        truth.digest(p[0]) for p, fate in zip(read[name], truth.judged(NUMBERS, read[name]), strict=True) if fate
    ]
    assert set(fallen) >= set(wrong)
    assert len(wrong) / len(fallen) >= least
    spelt_out = truth.judged(Numbers(**SIDES, words=False), read[name])
    assert sum(fate is not None for fate in spelt_out) > 2 * len(fallen)


@real
@pytest.mark.parametrize("name", ["mozilla", "scratch", "blockly"])
def test_every_broken_placeholder_is_found_and_whole_ones_stay(name: str, read: dict[str, list[Pair]]) -> None:
    assert truth.share(KEPT, read[name]) <= 0.01
    for how in ("dropped", "doubled", "renamed", "translated"):
        broken = truth.broken_marks(read[name], how)[:600]
        assert [pair for pair, fate in zip(broken, truth.judged(KEPT, broken), strict=True) if not fate] == []


@real
@pytest.mark.parametrize("words", [1, 2])
def test_texts_left_in_english_are_found(words: int, read: dict[str, list[Pair]]) -> None:
    step = Untranslated(**SIDES, min_words=words)
    for name, least in (("scratch", 1.0), ("react", 0.995)):
        left, others = truth.left_in_english(read[name], words)
        assert len(left) > 800
        assert truth.share(step, left) >= least
        assert truth.share(step, others) <= 0.01


@real
def test_faults_made_in_good_pairs_are_found(read: dict[str, list[Pair]]) -> None:
    news = read["ntrex"]
    assert truth.share(NUMBERS, truth.digit_changed(news)) >= 0.99
    assert truth.share(NUMBERS, truth.number_dropped(news)) >= 0.97
    assert truth.share(RATIO, truth.cut(news, 0.5)) >= 0.75
    assert truth.share(CUT, truth.cut(news, 0.5)) >= 0.9
    assert truth.share(CUT, truth.cut(news, 0.85)) >= 0.6
    for how in ("word", "phrase", "sentence", "letter"):
        assert truth.share(LOOPS, truth.looping(news, how)) >= 0.99
    assert truth.share(GLUED, truth.glued(read["tico"], 5)) >= 0.85


@real
def test_answers_that_are_their_input_are_found() -> None:
    asked = alpaca(DATA)
    fates = finding.reasons(SelfDestruction(), truth.conversations(asked)).to_list()
    same = [i for i, (_, given, answer) in enumerate(asked) if given.strip() and given.strip() == answer.strip()]
    assert len(same) == 13
    assert None not in [fates[i] for i in same]
    assert 0.02 < fates.count("task_breaks") / len(asked) < 0.05
