"""Filters over one text: lines, characters, clean decoding, banned words, personal data, classifiers, datatrove."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hala_factory import lid, rows
from hala_factory.filters.char_share import CharShare
from hala_factory.filters.classifier import Classifier
from hala_factory.filters.clean_text import CleanText
from hala_factory.filters.datatrove import Datatrove
from hala_factory.filters.line_quality import C4Lines, FinewebLines
from hala_factory.filters.pii import KINDS, Pii
from hala_factory.filters.words_list import BannedWords
from hala_factory.step import Filter
from tests.test_filter_promises import check_normaliser
from tests.test_filters import PROSE as VARIED
from tests.test_filters import instructions, near, pairs, said, verdicts

LINE = "The water floods the lower fields with dark soil."
PROSE = "\n".join(f"{LINE[:-1]} in the year {n}." for n in range(12))
MENU = "\n".join(f"Our offer {n}" for n in range(12))
POEM = "\n".join(f"The {n} birds above the fields are singing in the rain" for n in range(12))
LIST = "\n".join(f"- item number {n}" for n in range(12))
CODE = "```\n" + "\n".join(f"x{n} := {n}" for n in range(12)) + "\n```"
AGAIN = "\n".join([LINE] * 3 + [f"{LINE[:-1]} in the year {n}." for n in range(9)])
ANY_LINES: dict[str, Any] = {"min_terminal_lines": None, "max_short_lines": None}

TEXTS: list[tuple[Filter, str, dict[str, Any], str | None]] = [
    (FinewebLines(), PROSE, {"lines": 12, "terminal_lines": 1.0, "short_lines": 0.0}, None),
    (FinewebLines(), PROSE.replace(".", "؟"), {"terminal_lines": 1.0}, None),
    (FinewebLines(), MENU, {"lines": 12, "terminal_lines": 0.0}, "too_few_terminal_lines"),
    (FinewebLines(), POEM, {"terminal_lines": 0.0, "short_lines": 0.0}, "too_few_terminal_lines"),
    (FinewebLines(min_terminal_lines=None), MENU, {"short_lines": 1.0}, "too_many_short_lines"),
    (FinewebLines(min_terminal_lines=None, short_line_chars=5), POEM, {"short_lines": 0.0}, None),
    (FinewebLines(), AGAIN, {"duplicate_line_chars": 0.1373}, "duplicate_lines"),
    (FinewebLines(**ANY_LINES), MENU, {"lines_per_word": 0.3333}, "too_many_lines"),
    (FinewebLines(), MENU[:-20], {"lines": 11}, "too_few_terminal_lines"),
    (FinewebLines(min_lines=13), MENU, {"lines": 12}, None),
    (FinewebLines(), f"{LIST}\n{CODE}\n# A heading\n| a | b |\nName: Sara", {"lines": 0, "terminal_lines": 1.0}, None),
    (C4Lines(), f"{LINE}\nToo short.\nno mark at the end of this line", {"kept_lines": 0.3333, "sentences": 1}, None),
    (C4Lines(), "وصل القطار إلى المحطة في موعده. فأين المسافرون؟", {"kept_lines": 1.0, "sentences": 2}, None),
    (C4Lines(), "And so it goes on and on...", {"kept_lines": 0.0}, None),
    (C4Lines(), "Write a JavaScript function, please.", {"javascript_lines": 0}, None),
    (C4Lines(), f"Please enable JavaScript to go on.\n{LINE}", {"javascript_lines": 1}, "javascript"),
    (C4Lines(), "يرجى تفعيل جافا سكريبت في متصفحك.", {"javascript_lines": 1}, "javascript"),
    (C4Lines(javascript_phrases=["javascript"]), "Write a JavaScript function.", {}, "javascript"),
    (C4Lines(), "Our Privacy Policy says why the site uses cookies.", {"policy_lines": 1}, None),
    (C4Lines(), "Terms of use\nسياسة الخصوصية\nWe use cookies", {"policy_lines": 3}, "policy"),
    (C4Lines(policy_phrases=[], max_policy_lines=0), "Terms of use", {"policy_lines": 0}, None),
    (C4Lines(), "Lorem Ipsum dolor sit amet", {"lorem_ipsum": 1}, "lorem_ipsum"),
    (C4Lines(), "```\n<p>Lorem ipsum</p>\n```", {"lorem_ipsum": 0}, None),
    (C4Lines(), "Use f{x} here.", {"curly_brackets": 1}, None),
    (C4Lines(max_curly_brackets=0), "Use f{x} here.", {"curly_brackets": 1}, "curly_bracket"),
    (C4Lines(min_kept_lines=0.5), f"{LINE}\na\nb", {"kept_lines": 0.3333}, "too_few_kept_lines"),
    (C4Lines(min_sentences=3), f"{LINE} {LINE}", {"sentences": 2}, "too_few_sentences"),
    (CharShare(), "The answer is 2 + 2 = 4, and not 5!", {"symbols": 0.16, "digits": 0.16}, None),
    (CharShare(), "2 + 2 = 4 !!! ###", {"chars": 11, "symbols": 0.7273}, None),
    (CharShare(), "~~~*** === BUY NOW === ***~~~ !!! >>>", {"symbols": 0.8}, "symbols"),
    (CharShare(), "Call 0123 4567 8901 2345 6789 0123 4567", {"digits": 0.875}, "digits"),
    (CharShare(), "رقم ٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩", {"digits": 0.9091}, "digits"),
    (CharShare(), "THIS TOY WAS OUR GRANDSON'S FAVORITE", {"capitals": 1.0}, "capitals"),
    (CharShare(), "أصيب كثيرون بمرض COVID في ذلك العام", {"capitals": 0.1724}, None),
    (CharShare(), "a" * 20 + " " * 40, {"space": 0.6667}, "space"),
    (CharShare(), "a\x00b", {"unprintable": 0.3333}, "unprintable"),
    (
        CharShare(),
        "See `#$%&*(#$%&*(` and https://example.com/12345678901234567890",
        {"symbols": 0.0, "digits": 0.0},
        None,
    ),
    (CharShare(outside_code=False), "See `#$%&*(#$%&*()#$%&*(`", {"symbols": 0.875}, "symbols"),
    (BannedWords(words=["ass"]), "The class passed; an assassin assists.", {"hits": 0, "detail": ""}, None),
    (BannedWords(words=["ass", "cent"]), "He's an ASS, ass!", {"hits": 2, "detail": "ass"}, "banned_words"),
    (BannedWords(words=["ass"], max_hits=1), "an ass", {"hits": 1}, None),
    (BannedWords(words=["son of a gun"]), "That son-of a gun", {"detail": "son-of a gun"}, "banned_words"),
    (BannedWords(words=["a$$", "b!g"]), "You a$$, B!G b!ger aa$$", {"hits": 2}, "banned_words"),
    (BannedWords(words=["Straße", "naïve"]), "In der STRASSE. So NAÏVE!", {"detail": "naïve"}, "banned_words"),
    (BannedWords(words=["كَلب"]), "هذا كلـب", {"detail": "كلب"}, "banned_words"),
    (BannedWords(words=["كلب"]), "كالكلاب، وتكلّبَ", {"hits": 0}, None),
    (BannedWords(words=["كلب"]), "وبالكلب وكلبهم ولكلبي", {"hits": 3}, "banned_words"),
    (
        BannedWords(words=["حقيرة"]),
        "أيتها الحقيرة، حقيرتكم",
        {"hits": 2, "detail": "الحقيره, حقيرتكم"},
        "banned_words",
    ),
    (BannedWords(words=["كلب"], clitics=False), "وبالكلب وكلبهم", {"hits": 0}, None),
    (BannedWords(words=["كل"]), "بكل ما فيه، كلهم", {"hits": 0}, None),
    (BannedWords(words=["إلى الأمام"]), "الي الامام", {"hits": 1}, "banned_words"),
    (BannedWords(words=["中文", "🖕"]), "说中文吗🖕🖕", {"hits": 3}, "banned_words"),
]
MATHS = r"Let \(x^2\) and \[y\], so \nabla f \neq \nu, \times \theta \text{ok} \right) and \( z \)."
DIRT: list[tuple[str, str, int]] = [
    ("mojibake", "It is sâ€™il cafÃ© Â£500", 3),
    ("mojibake", "Ø§Ù„Ø³Ù„Ø§Ù… Ø¹Ù„ÙŠÙƒÙ…", 1),
    ("mojibake", "ط§ظ„ط³ظ„ط§ظ… ط¹ظ„ظٹظƒظ…", 2),
    ("mojibake", "ÇáÓáÇã Úáíßã", 2),
    ("mojibake", "ðŸ˜€ ï»¿ Ð¿Ñ€Ð¸Ð²ÐµÑ‚ æ¨žå¯†é™¢", 4),
    ("mojibake", "Ġ".join(["ØªÙħ", "ÙĪØ§"]), 2),
    ("mojibake", "ÀÉÈ È Ã São ÂNGULO à « é » Über Élève ÎLE Øre Åse ×2 «ط»، «ظ» ï Ñandú", 0),
    ("replacement_chars", "mother\ufffds", 1),
    ("control_chars", "a\x00b\x0bc\x92d\uf02e\ufffc\ttab\r\n", 5),
    ("presentation_forms", "ﻻ ﺑﺄس بالرجوع ﷺ ﷲ ﴿آية﴾", 3),
    ("bidi_controls", "\u202bهي\u202c \u2067x\u2069", 4),
    ("invisible_chars", "\ufeffالمتوسط \u200b\u200bإلى Dea\u00adconess \u200cx", 5),
    ("invisible_chars", "می\u200cخواهم ه\u200d 🤦🏽\u200d♀️ 👨\u200d👩\u200d👧 क्\u200dष", 0),
    ("loose_marks", "َعلى حد تعبيرها شيوعا ً (ِAPI)", 3),
    ("loose_marks", "مُحَمَّدٌ ﴿آية ۖ ثم﴾ عمر ؓ 1️⃣ e\u0301 ◌ً", 0),
    ("debris", "<unk> ▁the play ##ing lo@@ wer HelloĠworld <0xE2><0x96>", 7),
    ("debris", "## Heading\n### Other ▁▂▃ user@@host Ġunju #hash ##", 0),
    ("escapes", r"First line.\nSecond line.\tThird \u0627\u0644 \"quoted\"", 6),
    ("escapes", r"line one\nline two", 1),
    ("escapes", MATHS, 0),
    ("escapes", "Print it:\n```\nprintf(\"a\\n\");\n```\nor `\\t`, C:\\new\\table, split on '\\n' (\\n)", 0),
    ("escapes", "printf(\"Minimum: %d\\n\", min);\nputs('a\\tb\\n');", 0),
    ("unbalanced_math", r"\( R = 10 \text{k} \[ x \]", 1),
    ("unbalanced_math", MATHS, 0),
    ("unbalanced_math", r"\begin{align} a \\[4pt] b \end{align}", 0),
    ("spelled_words", "اكتب ا ل س ل ا م عليكم ح ر ب.", 2),
    ("spelled_words", "Say c h u r c h now", 1),
    ("spelled_words", "A A A G, a b c d e f; أ و ب و ج، أ ب ج د، و و و و. I و H و K, a x y b", 0),
]
TEXTS += [
    (CleanText(), text, {kind: count}, kind if count else None) for kind, text, count in DIRT if kind != "mojibake"
]
TEXTS += [
    (CleanText(), text, {"mojibake": count}, "mojibake" if count else None)
    for k, text, count in DIRT
    if k == "mojibake"
]
TEXTS += [
    (CleanText(), "كتاب \u200f(C++)\u200f", {"bidi_marks": 2}, None),
    (CleanText(max_bidi_marks=1), "كتاب \u200f(C++)\u200f", {"bidi_marks": 2}, "bidi_marks"),
    (CleanText(), "Le café, «سلام» 𝒳 中文 🎉 100 %, x² — naïve “quoted” … é", {}, None),
]


@pytest.mark.parametrize(("step", "content", "expected", "reason"), TEXTS)
def test_a_text_is_measured_and_judged(
    step: Filter, content: str, expected: dict[str, Any], reason: str | None
) -> None:
    measured = step.measure(said(content)).row(0, named=True)
    assert {k: measured[k] for k in expected} == near(expected)
    assert verdicts(step, said(content)) == [reason]


def test_every_reason_stands_in_the_tables() -> None:
    proved = {(type(case[0]).__name__, case[-1]) for case in TEXTS}
    everything_on = [
        FinewebLines(),
        C4Lines(max_curly_brackets=0, min_kept_lines=0.1, min_sentences=1),
        CharShare(),
        CleanText(max_bidi_marks=0),
        BannedWords(words=["x"]),
    ]
    for step in everything_on:
        reasons: set[str | None] = {reason for reason, _ in step.rules()}
        assert {(type(step).__name__, reason) for reason in reasons | {None}} <= proved


@pytest.mark.parametrize("kind", [FinewebLines, C4Lines, CharShare, CleanText, BannedWords, Classifier])
def test_a_filter_with_every_bound_null_only_measures(kind: Any) -> None:
    needed = {"model": "x", "label": "y"} if kind is Classifier else {}
    off = {field: None for field in kind.thresholds()}
    assert kind(**off, **needed).rules() == []


# ---------------------------------------------------------------- lists of words


def test_a_list_is_read_from_a_file_and_its_content_counts(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffass\r\n\nson of a gun\n", encoding="utf-8")
    step = BannedWords(path=str(tmp_path / "list.txt"), words=["gull"])
    assert step.faults(rows.schema("instruction")) == []
    assert verdicts(step, instructions([("user", "ass")], [("user", "a gull")], [("user", "\ufeff")])) == [
        "banned_words",
        "banned_words",
        None,
    ]
    moved = shutil.copy(tmp_path / "list.txt", tmp_path / "moved.txt")
    assert step.model_copy(update={"path": str(moved)}).identity() == step.identity()
    before = step.identity()
    (tmp_path / "list.txt").write_text("other", encoding="utf-8")
    assert step.identity() != before
    assert verdicts(step, said("ass")) == [None]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        (b" \n\n", "is empty"),
        (b"caf\xe9\n", "is not UTF-8 (byte 3)"),
        (b"-\n", "can be found"),
    ],
)
def test_a_list_that_cannot_work_is_found_before_anything_runs(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    faults = BannedWords(path=str(tmp_path / "list.txt")).faults(rows.schema("instruction"))
    assert len(faults) == 1
    assert told in faults[0][1]
    assert BannedWords().faults(rows.schema("instruction"))[0][0] == "path"


# ---------------------------------------------------------------- personal data

PERSONAL = {
    "email": "sara.h@gmail.com|x+y@mail.site.co.uk|Ahmad_99@uni.edu.jo|sales@shop.24online.com",
    "phone": "+20 100 123 4567|+966 50 123 4567|00966501234567|+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧|٠١٠٠١٢٣٤٥٦٧|01001234567|0501234567|"
    "055-123-4567|0791234567|07 9123 4567|07701234567|0661234567|06 61 23 45 67|06.61.23.45.67|0912345678|"
    "+971-4-123-4567|(02) 2345 6789|04 123 4567|+1 (212) 684-4700|(212) 684-4700|1-800-362-0101|07885 577 899|"
    "+961 3 123 456|+216 98 123 456|(+966) 501234567|+966(0)501234567|+963 944 123 456|+967 771 234 567|"
    "+965 9912 3456|+974 5512 3456|+252 61 234 5678|+44 20 7946 0958|059-912-3456|"
    "+966\u00a050\u00a0123\u00a04567|+49\u202f30\u202f1234\u202f5678|+966–50–123–4567|+971 (0) - 4 - 123 - 4567",
    "ip_address": "8.8.4.44|41.33.12.9|٤١.٣٣.١٢.٩|2a00:1450:4001:81b::200e",
    "card": "4111 1111 1111 1111|5555-5555-5555-4444|378282246310005|3782 822463 10005|٤١١١ ١١١١ ١١١١ ١١١١",
    "iban": "GB82 WEST 1234 5698 7654 32|SA0380000000608010167519|EG380019000500000000263180002|"
    "AE07 0331 2345 6789 0123 456|JO94CBJO0010000000000131000302|KW81CBKU0000000000001234560101",
}
NOT_PERSONAL = (
    "ISBN 978-0-306-40615-7|0-306-40615-2|ISBN: 0306406152|978 3 16 148410 0|1999-2000|2001-2005 and 2010|12/05/2020|"
    "2020-05-12 10:30:45|1,234,567,890|3.14159265358979|0.0123456789|x = 123456789|1234567 * 89|"
    "order number 0123984567|10 000 000|from 1914-1918 to 1939-1945|1000000000|123-456-7890|(555) 555-0123|"
    "5 + 10 - 20 / 30|102334404|1 2 3 4 5 6 7 8 9|القانون رقم 12345678|192.168.0.1|10.0.0.1|127.0.0.1|0.0.0.0|"
    "version 4.12.13.14|1.2.3.4|255.255.255.0|203.0.113.7|12:30:45|std::vector|::1|fe80::1|2001:db8::1|"
    "4111 1111 1111 1112|0000 0000 0000 0000|SA0380000000608010167518|GB82 WEST 1234 5698 7654 31|a@b|"
    "user@localhost|me@example.com|x@mail.example.org|@user|٢٠١٩-٢٠٢٠|عام ١٩٤٨ حتى ١٩٦٧|٣٫١٤١٥٩٢٦٥|`me@site.org`|"
    "0, 1, 1, 2, 3, 5, 8, 13, 21|1.6180339887|Call me in 10 minutes|$1234567890|https://site.org/0501234567|"
    r"\(0501234567\)|routing number is 021000322"
)


@pytest.mark.parametrize(("kind", "spelt"), [(k, s) for k, all_ in PERSONAL.items() for s in all_.split("|")])
@pytest.mark.parametrize("frame", ["{}", "Sara: {}.", "راسلنا على {}، غدًا"])
def test_personal_data_is_masked_whole(kind: str, spelt: str, frame: str) -> None:
    left, measured = Pii().normalise(said(frame.format(spelt)))
    assert left["messages"][0][0]["content"] == frame.format(f"<{kind.upper()}>")
    assert measured.row(0, named=True) == {k: int(k == kind) for k in KINDS}


@pytest.mark.parametrize("spelt", NOT_PERSONAL.split("|"))
def test_what_only_looks_like_personal_data_stays(spelt: str) -> None:
    text = f"The text: {spelt} and so on"
    left, measured = Pii().normalise(said(text))
    assert left["messages"][0][0]["content"] == text
    assert sum(measured.row(0)) == 0


@pytest.mark.parametrize("said_before", ["call ", "Phone: ", "هاتف: ", "للتواصل على "])
def test_a_number_without_a_prefix_is_a_phone_number_where_the_text_says_so(said_before: str) -> None:
    _, measured = Pii().normalise(instructions([("user", said_before + "5512 3456")], [("user", "of 5512 3456")]))
    assert measured["phone"].to_list() == [1, 0]


def test_an_action_decides_what_happens_to_a_row() -> None:
    frame = instructions([("user", "Ask"), ("assistant", "a@site.org or +966501234567")], [("user", "Ask")])
    reasons = {}
    for action in ("keep", "drop", "mask"):
        step = Pii(action=action)
        left, measured = step.normalise(frame)
        assert measured.select("email", "phone").rows() == [(1, 1), (0, 0)]
        assert left.equals(frame) == (action != "mask")
        assert left.schema == frame.schema
        asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
        told = pl.coalesce([*asked, pl.lit(None, pl.String)])
        reasons[action] = measured.with_columns(told.alias("reason"))["reason"].to_list()
    assert reasons == {"keep": [None, None], "mask": [None, None], "drop": ["email", None]}


def test_only_the_texts_meant_are_masked() -> None:
    frame = instructions([("user", "a@site.org"), ("assistant", "b@site.org"), ("user", None)])
    left, measured = Pii(on="messages.assistant", placeholders={k: "…" for k in KINDS}).normalise(frame)
    assert [m["content"] for m in left["messages"][0]] == ["a@site.org", "…", None]
    assert measured["email"].to_list() == [1]
    both = pairs(("a@site.org", "b@site.org"))
    left, measured = Pii(on="translation.ar").normalise(both)
    assert left["translation"][0] == {"en": "a@site.org", "ar": "<EMAIL>"}
    assert Pii(on="translation").normalise(both)[1]["email"].to_list() == [2]
    assert Pii(kinds=["card"]).normalise(frame)[1]["email"].to_list() == [0]
    private = said("The server 192.168.0.1 is down")
    assert Pii(private_addresses=True).normalise(private)[1]["ip_address"].to_list() == [1]


def test_a_placeholder_must_be_there_and_hide_something() -> None:
    faults = Pii(placeholders={"email": "hidden@site.org"}, kinds=["email", "card"]).faults(rows.schema("instruction"))
    assert [field for field, _ in faults] == ["placeholders", "placeholders"]
    assert Pii().faults(rows.schema("instruction")) == []


SEPARATORS = [
    " ",
    "\n",
    ", ",
    "٠٥",
    "call ",
    "@",
    "+",
    "0",
    "555 ",
    "١٢٣٤",
    "كلام",
    "(",
    ")",
    "```\n",
    "`",
    "$",
    "-",
    ".",
    " - ",
    "–",
    "\u00a0",
]
pieces = st.sampled_from(
    [*"|".join(PERSONAL.values()).split("|"), *NOT_PERSONAL.split("|"), *SEPARATORS, "<EMAIL>", "<PHONE>"]
)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(pieces, max_size=8).map("".join), max_size=4))
def test_masking_twice_changes_nothing_more(texts: list[str]) -> None:
    frame = instructions(*([("user", t)] for t in texts))
    check_normaliser(Pii(), frame)


@settings(max_examples=150)
@given(text=st.lists(pieces, max_size=8).map("".join))
def test_a_text_is_masked_the_same_whatever_stands_beside_it(text: str) -> None:
    alone, beside = said(text), instructions([("user", text), ("assistant", "a@site.org +966501234567 8.8.4.44")])
    assert Pii().normalise(alone)[0]["messages"][0][0] == Pii().normalise(beside)[0]["messages"][0][0]


@pytest.mark.parametrize(
    "text", ["1,234.5 " * 130_000, "a" * 1_000_000, "@" * 500_000, "+201001234567 " * 20_000, "A1" * 500_000]
)
def test_a_text_of_a_megabyte_is_masked(text: str) -> None:
    left, measured = Pii().normalise(said(text))
    assert measured["phone"].item() == (20_000 if "+20" in text else 0)
    assert (left["messages"][0][0]["content"] == text) == ("+20" not in text)


# ---------------------------------------------------------------- classifiers

WORDS = {"good": [1.0, 0.0], "bad": [0.0, 1.0], "</s>": [0.0, 0.0]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fastText model in its binary format (version 12): two labels, one weight a word, softmax."""
    path = tmp_path_factory.mktemp("model") / "tiny.bin"
    labels = ["__label__good", "__label__poor"]
    out = struct.pack("<ii", 793712314, 12)
    # dim, ws, epoch, minCount, neg, wordNgrams, loss (softmax), model (supervised), bucket, minn, maxn, rate; t
    out += struct.pack("<12id", 2, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4)
    out += struct.pack("<iiiqq", len(WORDS) + 2, len(WORDS), 2, 100, -1)
    for kind, entries in enumerate((WORDS, labels)):
        for entry in entries:
            out += entry.encode() + b"\0" + struct.pack("<qb", 10, kind)
    flat = [value for vector in WORDS.values() for value in vector]
    out += struct.pack("<?qq", False, len(WORDS), 2) + struct.pack(f"<{len(flat)}f", *flat)
    out += struct.pack("<?qq", False, 2, 2) + struct.pack("<4f", 6.0, -6.0, -6.0, 6.0)
    path.write_bytes(out)
    return path


def test_a_classifier_says_how_surely_a_text_has_a_label(model: Path) -> None:
    frame = instructions([("user", "good\ngood good")], [("user", "bad bad")], [("user", "unknown")], [("user", "")])
    step = Classifier(model=str(model), label="good")
    measured = step.measure(frame)
    assert measured["top"].to_list()[:2] == ["good", "poor"]
    assert measured["score"].to_list() == pytest.approx([0.9999, 0.0003, 0.5, 0.5], abs=2e-3)
    assert verdicts(step, frame) == [None, "low_score", None, None]
    unwanted = Classifier(model=str(model), label="__label__poor", min_score=None, max_score=0.9)
    assert verdicts(unwanted, frame) == [None, "high_score", None, None]
    assert verdicts(Classifier(model=str(model), label="good", head_chars=4, min_score=0.9), frame[:1]) == [None]


def test_a_language_model_is_a_classifier_too() -> None:
    step = Classifier(model=str(lid.bundled()), label="en")
    assert verdicts(step, instructions([("user", LINE)], [("user", "ينبع النهر من التلال")])) == [None, "low_score"]


def test_a_classifier_that_cannot_work_is_found_before_anything_runs(model: Path, tmp_path: Path) -> None:
    columns = rows.schema("instruction")
    assert Classifier(model=str(model), label="good").faults(columns) == []
    faults = Classifier(model=str(model), label="goode").faults(columns)
    assert faults == [("label", "the model has no label 'goode'; did you mean 'good'?")]
    assert "no such file" in Classifier(model=str(tmp_path / "no.bin"), label="good").faults(columns)[0][1]
    (tmp_path / "text.bin").write_text("this is no model")
    assert "not a fastText model" in Classifier(model=str(tmp_path / "text.bin"), label="good").faults(columns)[0][1]


def test_the_content_of_a_model_counts_and_its_place_does_not(model: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(model, tmp_path / "moved.bin"))
    step = Classifier(model=str(moved), label="__label__good")
    assert step.identity() == Classifier(model=str(model), label="good").identity()
    moved.write_bytes(moved.read_bytes() + b"x")
    assert step.identity() != Classifier(model=str(model), label="good").identity()


# ---------------------------------------------------------------- datatrove

PARAGRAPHS = "\n".join("word " * 60 for _ in range(3))
THEIRS: list[tuple[str, dict[str, Any]]] = [
    ("RegexFilter", {"regex_exp": r"\d{4}"}),
    ("C4ParagraphFilter", {}),
    ("C4QualityFilter", {"min_num_sentences": -1}),
    ("C4QualityFilter", {"min_num_sentences": -1, "filter_curly_bracket": False, "min_words_per_line": 8}),
    ("C4QualityFilter", {}),
    ("GopherQualityFilter", {"min_doc_words": 3}),
    ("GopherRepetitionFilter", {}),
    ("FineWebQualityFilter", {"char_duplicates_ratio": 0.1}),
]
NEEDS_SPACY = {"GopherQualityFilter", "GopherRepetitionFilter", "FineWebQualityFilter"}


@pytest.mark.parametrize(("name", "arguments"), THEIRS)
def test_datatrove_gives_its_own_verdict(name: str, arguments: dict[str, Any]) -> None:
    if name in NEEDS_SPACY or (name == "C4QualityFilter" and not arguments):
        pytest.importorskip("spacy")
    from datatrove.data import Document
    from datatrove.pipeline import filters

    texts = [
        VARIED,
        PROSE,
        MENU,
        AGAIN,
        PARAGRAPHS,
        "In 1999",
        "Use {x} now.",
        "Lorem ipsum dolor sit amet, and so it goes on.",
        LINE,
        "no end mark",
    ]
    theirs = getattr(filters, name)(**arguments)
    expected = []
    for text in texts:
        answer = theirs.filter(Document(text=text, id="0"))
        expected.append((True, "") if answer is True else (False, answer[1] if isinstance(answer, tuple) else ""))
    step = Datatrove(**{"filter": name, "with": arguments})
    assert step.faults(rows.schema("instruction")) == []
    frame = instructions(*([("user", t)] for t in texts))
    assert step.measure(frame).rows() == expected
    assert verdicts(step, frame) == [None if kept else "rejected" for kept, _ in expected]
    assert {kept for kept, _ in expected} == {True, False}


@pytest.mark.parametrize(
    ("name", "arguments", "field", "told"),
    [
        ("RegexFliter", {}, "filter", "did you mean 'RegexFilter'?"),
        ("RegexFilter", {"regex": "x"}, "with", "did you mean 'regex_exp'?"),
        ("RegexFilter", {}, "with", "needs the argument 'regex_exp'"),
        ("RegexFilter", {"regex_exp": "("}, "with", "unterminated subpattern"),
        ("RegexFilter", {"regex_exp": "x", "exclusion_writer": "y"}, "with", "no argument 'exclusion_writer'"),
        ("C4QualityFilter", {"min_num_sentences": -1, "min_words_per_line": "few"}, "with", "TypeError"),
        ("LambdaFilter", {}, "filter", "a recipe holds no code"),
        ("SamplerFilter", {"rate": 0.5}, "filter", "use the step 'sample'"),
        ("LanguageFilter", {}, "filter", "use the step 'language'"),
        ("URLFilter", {}, "filter", "rows have none"),
    ],
)
def test_what_datatrove_cannot_do_is_found_before_anything_runs(
    name: str, arguments: dict[str, Any], field: str, told: str
) -> None:
    faults = Datatrove(**{"filter": name, "with": arguments}).faults(rows.schema("instruction"))
    assert [f for f, _ in faults] == [field]
    assert told in faults[0][1]


def test_arguments_and_version_of_datatrove_are_part_of_the_identity() -> None:
    one, other = (Datatrove(**{"filter": "RegexFilter", "with": {"regex_exp": e}}).identity() for e in "ab")
    assert one != other
    assert one["datatrove"] == other["datatrove"]


# ---------------------------------------------------------------- real data


def lines(shared: Path, name: str) -> list[str]:
    data = (shared / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode().split("\n")[:-1]


def alpaca(shared: Path) -> list[str]:
    data = gzip.decompress((shared / "alpaca-random9k/files/data/random/random_9k.json.gz").read_bytes())
    return ["\n\n".join(r.values()) for r in json.loads(data)]


def tico(shared: Path) -> list[str]:
    from lxml import etree

    with zipfile.ZipFile(shared / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip") as archive:
        tree = etree.fromstring(archive.read(archive.namelist()[0]))
    return ["".join(segment.itertext()) for segment in tree.iter("seg")]


def pages(shared: Path) -> list[str]:
    return [p.read_text(encoding="utf-8") for p in sorted((shared / "react-docs-en/files").rglob("*.md"))]


TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07."
CLEAN: dict[str, Callable[[Path], list[str]]] = {
    "alpaca": alpaca,
    "tico": tico,
    "tatoeba_en": lambda shared: lines(shared, TATOEBA + "eng"),
    "tatoeba_ar": lambda shared: lines(shared, TATOEBA + "ara"),
    "ntrex_ar": lambda shared: lines(shared, "ntrex128/files/NTREX-128/newstest2019-ref.arb.txt"),
    "react-docs": pages,
}


@pytest.mark.parametrize("name", CLEAN)
def test_the_defaults_keep_clean_rows(shared: Path, name: str) -> None:
    texts = CLEAN[name](shared)
    frame = instructions(*([("user", t)] for t in texts))
    for step in (FinewebLines(), C4Lines(), CharShare(), CleanText()):
        dropped = [r for r in verdicts(step, frame) if r]
        assert len(dropped) <= 0.005 * len(texts), (name, step.step, dropped)
    _, found = Pii(action="keep").normalise(frame)
    assert found.select(pl.sum_horizontal(pl.all()) > 0).to_series().sum() <= 0.002 * len(texts)


def test_text_in_a_wrong_encoding_is_found(shared: Path) -> None:
    def misread(text: str, encoding: str) -> str:
        shown = {b: bytes([b]).decode(encoding, "replace") for b in range(256)}
        return "".join(chr(b) if shown[b] == "\ufffd" else shown[b] for b in text.encode())

    arabic = lines(shared, TATOEBA + "ara")[:1500]
    for encoding in ("latin-1", "cp1252", "cp1256"):
        frame = instructions(*([("user", misread(t, encoding))] for t in arabic))
        assert (CleanText().measure(frame)["mojibake"] > 0).mean() >= 0.999
    one_byte = [t.encode("cp1256", "ignore").decode("latin-1") for t in arabic]
    frame = instructions(*([("user", t)] for t in one_byte))
    assert (CleanText().measure(frame)["mojibake"] > 0).mean() >= 0.99


def test_no_language_looks_like_text_in_a_wrong_encoding(shared: Path) -> None:
    """Of some 100 languages; the few hits in lingua's Luganda and Romanian are real."""
    texts = [t for p in sorted((shared / "laser-tatoeba/files").rglob("*.*")) for t in some(p)]
    assert len(texts) > 10_000
    found = CleanText().measure(instructions(*([("user", t)] for t in texts)))
    assert (found["mojibake"] > 0).sum() == 0


def some(path: Path) -> list[str]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().split("\n")[:150]


def test_words_written_letter_by_letter_are_found(shared: Path) -> None:
    path = next((shared / "hatecheck-ar").rglob("*.csv"))
    with path.open(encoding="utf-8-sig", newline="") as file:
        cases = list(csv.DictReader(file))
    apart = [c["test_case"] for c in cases if c["functionality"] == "spell_space_add_h"]
    rest = [c["test_case"] for c in cases if c["functionality"] != "spell_space_add_h"]
    found = [
        CleanText().measure(instructions(*([("user", t)] for t in some_texts)))["spelled_words"] > 0
        for some_texts in (apart, rest)
    ]
    assert len(apart) == 146
    assert found[0].mean() >= 0.85
    assert found[1].sum() == 0


def test_the_marks_and_broken_letters_of_xquad_are_found(shared: Path) -> None:
    path = next((shared / "xquad/files").glob("xquad.ar.json*"))
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    contexts = [p["context"] for a in json.loads(data)["data"] for p in a["paragraphs"]]
    found = CleanText().measure(instructions(*([("user", c)] for c in contexts)))
    marked = sum(any(mark in c for mark in "\u200e\u200f\u061c") for c in contexts)
    assert (found["bidi_marks"] > 0).sum() == marked > 20
    assert (found["invisible_chars"] > 0).sum() >= sum("\ufeff" in c for c in contexts) > 5
    assert (found["mojibake"] > 0).sum() >= 5
