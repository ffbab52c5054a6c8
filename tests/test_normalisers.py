"""Normalisers: tables of texts before and after, and what they make of real data."""

from __future__ import annotations

import gzip
import json
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from hala_factory import rewriting, rows, structure, text
from hala_factory.filters import normalise_unicode
from hala_factory.filters.clean_text import CleanText
from hala_factory.filters.normalise_arabic import NormaliseArabic
from hala_factory.filters.normalise_html import NormaliseHtml
from hala_factory.filters.normalise_space import NormaliseSpace
from hala_factory.filters.normalise_unicode import NormaliseUnicode
from hala_factory.filters.strip_end_marks import StripEndMarks
from hala_factory.step import Normaliser
from tests.test_filter_promises import check_normaliser
from tests.test_filters import instructions, pairs, said

STEPS: list[Normaliser] = [StripEndMarks(), NormaliseHtml(), NormaliseUnicode(), NormaliseArabic(), NormaliseSpace()]
CODE = "Run:\n\n```py\nx  =  f(1)  # ، ـ\n\n\n\n\ny = \u00a01\n```\n"

CHANGED: list[tuple[Normaliser, str, str, dict[str, int]]] = [
    (NormaliseUnicode(), "Cafe\u0301 naive", "Café naive", {"composed": 1}),
    (NormaliseUnicode(), "\u0627\u0653من و\u0623مل ﴾\u0627\u0654ب﴿", "آمن وأمل ﴾أب﴿", {"composed": 2}),
    (NormaliseUnicode(), "مح\u0651\u064eمد", "مح\u064e\u0651مد", {"composed": 1}),
    (NormaliseUnicode(), "\ufeffThe \ufefftext\x00\ufffe\ufffc", "The text", {"byte_order_marks": 2, "nuls": 1}),
    (NormaliseUnicode(), "a\ufffeb\U0001ffffc\ufdd0", "abc", {"noncharacters": 3}),
    (NormaliseUnicode(), "Beth Israel \u00adDea\u00adconess", "Beth Israel Deaconess", {"soft_hyphens": 2}),
    (NormaliseUnicode(), "ring\x07 \x1b[1;31mred\x1b[0m \x7f", "ring red ", {"control_chars": 4}),
    (NormaliseUnicode(), "don\x92t \x93quote\x94 \x96 \x805", "don’t “quote” – €5", {"misread_chars": 5}),
    (NormaliseUnicode(), "genome\x80\x94and Scienceâ\x80\x94cafÃ©", "genome—and Science—café", {"misread_chars": 3}),
    (
        NormaliseUnicode(),
        "see\ufeff https://example.com/a\ufeff",
        "see https://example.com/a",
        {"byte_order_marks": 2},
    ),
    (NormaliseUnicode(soft_hyphens="keep"), "a\u00ad\x07", "a\u00ad", {"control_chars": 1}),
    (NormaliseUnicode(control_chars="keep"), "a\u00ad\x07\x92", "a\x07\x92", {"soft_hyphens": 1}),
    (NormaliseSpace(), "a\r\nb\rc\u2028d\u2029e\x85f\x0bg\x0ch", "a\nb\nc\nd\ne\nf\ng\nh", {"line_ends": 7}),
    (NormaliseSpace(), "5\u00a0km\u2009long\u3000and\u202fwide", "5 km long and wide", {"odd_spaces": 4}),
    (NormaliseSpace(), "One.  Two   three \u00a0four", "One. Two three four", {"odd_spaces": 1, "space_runs": 3}),
    (NormaliseSpace(), " One  \ntwo \t\n", "One\ntwo", {"edge_spaces": 5, "blank_lines": 1}),
    (NormaliseSpace(), "\n \na\n\n\n\nb\n \n \n\n c\n\n", "a\n\n\nb\n\n\n c", {"edge_spaces": 3, "blank_lines": 6}),
    (NormaliseSpace(max_blank_lines=1), "a\n\n\nb", "a\n\nb", {"blank_lines": 1}),
    (NormaliseSpace(max_blank_lines=0), "a\n\nb\n", "a\nb", {"blank_lines": 2}),
    (NormaliseSpace(max_blank_lines=None), "a\n\n\n\n\nb\n", "a\n\n\n\n\nb", {"blank_lines": 1}),
    (NormaliseSpace(), "-  one  two\n   - three  four", "-  one two\n   - three four", {"space_runs": 2}),
    (NormaliseSpace(), " \r\n", "", {"line_ends": 1, "edge_spaces": 1, "blank_lines": 1}),
    (NormaliseSpace(), f"Do  it. {CODE}", f"Do it. {CODE.strip()}", {"space_runs": 1, "blank_lines": 1}),
    (NormaliseSpace(), "```\r\nx\u00a0=  1\r\n```\r\nDone", "```\nx\u00a0=  1\n```\nDone", {"line_ends": 3}),
    (NormaliseSpace(), "Use  `a  b`  here", "Use `a  b` here", {"space_runs": 2}),
    (StripEndMarks(), "Yes<|endoftext|>", "Yes", {"end_marks": 1}),
    (StripEndMarks(), "Yes.</s> <pad><pad>\n", "Yes.", {"end_marks": 3}),
    (StripEndMarks(), "Yes<|im_end|>\n<|im_start|>assistant\n", "Yes", {"end_marks": 2}),
    (StripEndMarks(), "<|im_start|>user\n  - Hi\n<|im_end|>", "  - Hi", {"start_marks": 1, "end_marks": 1}),
    (StripEndMarks(), "<s>[INST] Hi [/INST]", "Hi", {"start_marks": 2, "end_marks": 1}),
    (StripEndMarks(), "<start_of_turn>model\nYes<end_of_turn><eos>", "Yes", {"start_marks": 1, "end_marks": 2}),
    (StripEndMarks(), "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "Hi", {"start_marks": 1}),
    (StripEndMarks(), "نعم<｜end▁of▁sentence｜>", "نعم", {"end_marks": 1}),
    (StripEndMarks(), "<|endoftext|>", "", {"end_marks": 1}),
    (
        StripEndMarks(),
        "GPT-2 ends with `<|endoftext|>`.<|im_end|>",
        "GPT-2 ends with `<|endoftext|>`.",
        {"end_marks": 1},
    ),
    (StripEndMarks(marks=["### End", " (fin) "]), "Yes (fin) ### End", "Yes", {"end_marks": 2}),
    (NormaliseHtml(), "Tom &amp; Jerry&#39;s &quot;x&quot; &copy;", 'Tom & Jerry\'s "x" ©', {"entities": 5}),
    (NormaliseHtml(), "&amp;quot;x&amp;#39;&amp;amp;", "\"x'&", {"entities": 3}),
    (NormaliseHtml(rounds=1), "&amp;quot; &quot;", '&amp;quot; "', {"entities": 1}),
    (NormaliseHtml(rounds=3), "&amp;amp;quot;", '"', {"entities": 1}),
    (
        NormaliseHtml(),
        "3 &lt; 5 &gt; 2 and &lt;b&gt;bold&lt;/b&gt;",
        "3 < 5 > 2 and &lt;b&gt;bold&lt;/b&gt;",
        {"entities": 2},
    ),
    (NormaliseHtml(), "don&#146;t &#8212; &#x2014;", "don’t — —", {"entities": 3}),
    (NormaliseHtml(), "One<br>two<br />\nthree <BR/> four<br>", "One\ntwo\nthree\nfour", {"line_breaks": 4}),
    (NormaliseHtml(), "| a<br>b | &amp; |\nc<br>d", "| a<br>b | & |\nc\nd", {"entities": 1, "line_breaks": 1}),
    (NormaliseHtml(), "`&lt;` is &lt; and $a &lt; b$", "`&lt;` is < and $a &lt; b$", {"entities": 1}),
    (NormaliseHtml(line_breaks="keep"), "a<br>b &amp; c", "a<br>b & c", {"entities": 1}),
    (NormaliseHtml(inline_tags="remove"), "<p>A <b>b</b></p>\n<p class='x'>c", "A b\n\nc", {"tags": 5}),
    (NormaliseArabic(), "قـــال مـُحمد هـذا شكـــراً", "قال مُحمد هذا شكراً", {"tatweels": 4}),
    (NormaliseArabic(), "يقطن بـشارع الـغرباء", "يقطن بشارع الغرباء", {"tatweels": 2}),
    (NormaliseArabic(), "ﻻ ﺑﺄس طﻻب ﻣﺪﺭﺳﺔ", "لا بأس طلاب مدرسة", {"presentation_forms": 9}),
    (NormaliseArabic(), "اﷲ ﷲ وﷲ لﷲ عبدﷲ ﷴ", "الله الله والله لله عبدالله محمد", {"presentation_forms": 6}),
    (NormaliseArabic(), "سنة ١٤٤٥ ﻫ وقال ﻫﻮ", "سنة ١٤٤٥ هـ وقال هو", {"presentation_forms": 3}),
    (NormaliseArabic(), "كتابﹰ و ﹰ", "كتابً و ﹰ", {"presentation_forms": 1}),
    (NormaliseArabic(signs="resolve"), "النبيُّﷺ قال ٥﷼", "النبيُّ صلى الله عليه وسلم قال ٥ ريال", {}),
    (NormaliseArabic(), "\u202bهي\u202c (Erdoğan)\u200f\u2067x\u2069", "هي (Erdoğan)x", {"bidi_marks": 5}),
    (NormaliseArabic(), "المتوسط \u200b\u200bإلى\u2060 كتا\u200dب", "المتوسط إلى كتاب", {"zero_widths": 3}),
    (NormaliseArabic(), "الحب\u200cوب تحت", "الحبوب تحت", {"zero_widths": 1}),
    (NormaliseArabic(), "می\u200cخواهم گل\u200c ها", "می\u200cخواهم گل ها", {"zero_widths": 1}),
    (NormaliseArabic(zwnj="remove"), "می\u200cخواهم", "میخواهم", {"zero_widths": 1}),
    (NormaliseArabic(), "اتصل ب\u200d 911 سنة ١٤٤٥ ه\u200d", "اتصل بـ 911 سنة ١٤٤٥ هـ", {"zero_widths": 2}),
    (NormaliseArabic(), "🤦🏽\u200d♀️ x\u200d", "🤦🏽\u200d♀️ x", {"zero_widths": 1}),
    (NormaliseArabic(), "كيف حالك ؟ بخير ، شكرًا .", "كيف حالك؟ بخير، شكرًا.", {"spacing": 3}),
    (NormaliseArabic(), "قال :نعم ! ثم عاد .وفي «البيت» ، نام", "قال: نعم! ثم عاد. وفي «البيت»، نام", {"spacing": 4}),
    (NormaliseArabic(), "نعم،لا؛ربما؟إذن،«هو»", "نعم، لا؛ ربما؟ إذن، «هو»", {"spacing": 4}),
    (
        NormaliseArabic(),
        "انتهى العام.وبدأ آخر!هكذا:قال  ،   ثم",
        "انتهى العام. وبدأ آخر! هكذا: قال، ثم",
        {"spacing": 5},
    ),
    (NormaliseArabic(), "أكثر شيوعا ً من «سطو ٍ»", "أكثر شيوعاً من «سطوٍ»", {"spacing": 2}),
    (NormaliseArabic(), "عام 2020،وبعد React ، ثم", "عام 2020، وبعد React، ثم", {"spacing": 2}),
    (
        NormaliseArabic(),
        "شغّل `x` ، ثم \u200e`y`\u200f،وانتظر",
        "شغّل `x`، ثم `y`، وانتظر",
        {"bidi_marks": 2, "spacing": 2},
    ),
    (NormaliseArabic(), "نعم, لا ,ربما; هل تعرف? لا", "نعم، لا، ربما؛ هل تعرف؟ لا", {"punctuation": 4}),
    (NormaliseArabic(), "نعم,لا. أين??", "نعم، لا. أين؟؟", {"punctuation": 2, "spacing": 1}),
    (NormaliseArabic(digits="ascii"), "١٬٢٥٠٫٥ و۴٪ من 7", "1,250.5 و4% من 7", {"digits": 2}),
    (
        NormaliseArabic(digits="arabic_indic"),
        "طوله 1,250.5 م في 5/6/2020",
        "طوله ١٬٢٥٠٫٥ م في ٥/٦/٢٠٢٠",
        {"digits": 4},
    ),
    (NormaliseArabic(digits="arabic_indic"), "نسبة 50% و۴", "نسبة ٥٠٪ و٤", {"digits": 2}),
    (NormaliseArabic(diacritics="strip"), "مُحَمَّدٌ رَسُولُ آمن أمل مؤمن", "محمد رسول آمن أمل مؤمن", {"diacritics": 8}),
]

KEPT: list[tuple[Normaliser, str]] = [
    (NormaliseUnicode(), "x² ½ ﻻ ﷺ ﬁ Ⅳ ① ２ مَرْحَبًا é 한글 नमस्ते 🎉"),
    (NormaliseUnicode(), "`cafe\u0301\x07\ufeff` and \\(e\u0301\\)"),
    (NormaliseUnicode(), "a\tb\r\nc\u00a0d\u200cهـ \x81"),
    (NormaliseSpace(), CODE.strip()),
    (NormaliseSpace(), "| a   | b |\n|-----|---|\n| cc  | d |"),
    (NormaliseSpace(), "Name    Age\nSara    31\nOmar    27"),
    (NormaliseSpace(), "- one\n    - two\n\n1.  three\n\n\nfour\tfive"),
    (NormaliseSpace(), "Do it:\n\n    x  =  1;\n    return  f(x);"),
    (NormaliseSpace(), "  first\n  second\n    third"),
    (NormaliseSpace(), "\\(a  +  b\\) and nums = []; n = 2;     while n:"),
    (NormaliseSpace(), "print(value)  # Output: 6"),
    (StripEndMarks(), "Put <|im_end|> between the turns, and </s> last."),
    (StripEndMarks(), "Was <s>10</s>"),
    (StripEndMarks(), "<s>10</s> now 8"),
    (StripEndMarks(), "The end of a text is the token <eos>"),
    (StripEndMarks(), "نهاية النص هي الرمز <eos>"),
    (StripEndMarks(), "<eos> is a token."),
    (StripEndMarks(), "`</s>`"),
    (StripEndMarks(), "  a <b> \n"),
    (NormaliseHtml(), "AT&T; &nope; &#0; &#xD800; R&D; a & b &amp"),
    (NormaliseHtml(), "In HTML, write &lt; for <, and <br> to break."),
    (NormaliseHtml(), "<div>Tom &amp; Jerry<br></div>"),
    (NormaliseHtml(), "```\nif (a &lt; b) x<br>\n``` `&amp;` https://example.com/?a=1&amp;b=2"),
    (NormaliseHtml(), "int *p = &sum; f(&pi;)"),
    (NormaliseHtml(), "&amp;amp;quot; <a href='?a&amp;b'>x</a> <b>y</b>"),
    (NormaliseArabic(), "بـ 20 والـ50 لـ PubMed بـ«نور» كـ(هو) ١٤٤٥ هـ سنة 3هـ، أـ"),
    (NormaliseArabic(), "الاسم: ـــــــــــ هو ــــ؟ رحلة القاهرةـالخرطوم"),
    (NormaliseArabic(), "ٱلرَّحۡمَـٰنِ شَيۡـٔٗا"),
    (NormaliseArabic(), "قال ﷺ و﷽ و﷼ ﴿آية﴾ x² ﬁ"),
    (NormaliseArabic(), "إلى على مدرسة أحمد إيمان آمن فتى مُحَمَّد"),
    (NormaliseArabic(), "ق.م و ص.ب و د. محمد و ١،٥ و 10:30 و 3.5 ..."),
    (NormaliseArabic(), "هو . . . وهو ... و :) ثم؟! «نعم؟»، (لا؟) نعم؛\nلا،"),
    (NormaliseArabic(), "الاسم,العمر,المدينة\nعلي,أحمد,سارة"),
    (NormaliseArabic(), "Yes, no; really? How about that ? Circle(r) : x"),
    (NormaliseArabic(), "هل تعرف SQL? Yes, نعم"),
    (NormaliseArabic(), "`قـال ,لا ؟` {قـال} \\(س ، ص\\) https://example.com/قـال?x=نعم,لا"),
    (NormaliseArabic(zwnj="keep"), "الحب\u200cوب"),
    (NormaliseArabic(digits="arabic_indic"), "The 3 men, COVID-19 و B2 و 2x و `12` {3} https://example.com/5"),
    (NormaliseArabic(digits="ascii"), "`١٢` و {٣} https://example.com/٥"),
    (
        NormaliseArabic(
            tatweel="keep",
            presentation_forms="keep",
            bidi_marks="keep",
            zwnj="keep",
            punctuation="keep",
            spacing="keep",
        ),
        "قـال ﻻ, نعم ؟\u200f لا،هو",
    ),
]


@pytest.mark.parametrize(("step", "before", "after", "counts"), CHANGED)
def test_a_text_is_repaired(step: Normaliser, before: str, after: str, counts: dict[str, int]) -> None:
    left = check_normaliser(step, said(before))
    assert left["messages"][0][0]["content"] == after
    measured = step.normalise(said(before))[1].row(0, named=True)
    assert {kind: measured[kind] for kind in counts} == counts


@pytest.mark.parametrize(("step", "content"), KEPT)
def test_a_text_that_needs_nothing_stays(step: Normaliser, content: str) -> None:
    left = check_normaliser(step, said(content))
    assert left["messages"][0][0]["content"] == content


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.step)
def test_the_example_of_a_normaliser_is_true(step: Normaliser) -> None:
    left = check_normaliser(step, said(step.example["before"]))
    assert left["messages"][0][0]["content"] == step.example["after"]


def test_every_kind_of_change_stands_in_the_tables() -> None:
    for step in STEPS:
        shown = {kind for other, _, _, counts in CHANGED if type(other) is type(step) for kind in counts}
        assert shown == set(step.measures())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.step)
def test_only_the_texts_meant_are_normalised(step: Normaliser) -> None:
    before, after = step.example["before"], step.example["after"]
    frame = instructions([("user", before), ("assistant", before), ("user", None)])
    left = check_normaliser(step.model_copy(update={"on": "messages.assistant"}), frame)
    assert [m["content"] for m in left["messages"][0]] == [before, after, None]
    both = pairs((before, before), (None, before), (before, None))
    left = check_normaliser(step.model_copy(update={"on": "translation.ar"}), both)
    assert left["translation"].to_list() == [
        {"en": before, "ar": after},
        {"en": None, "ar": after},
        {"en": before, "ar": None},
    ]
    counts = step.model_copy(update={"on": "translation"}).normalise(both)[1]
    assert counts[0].sum_horizontal().item() == 2 * counts[1].sum_horizontal().item() > 0


def test_a_row_that_speaks_of_html_keeps_its_entities() -> None:
    frame = instructions([("user", "How do I write < in HTML?"), ("assistant", "So: &lt;")], [("user", "So: &lt;")])
    left = check_normaliser(NormaliseHtml(), frame)
    assert [[m["content"] for m in row][-1] for row in left["messages"]] == ["So: &lt;", "So: <"]


def test_a_mark_that_is_none_is_found_before_anything_runs() -> None:
    faults = StripEndMarks(marks=["<x>", " ", "x" * 101]).faults(rows.schema("instruction"))
    assert [field for field, _ in faults] == ["marks", "marks"]


def test_all_that_unicode_composes_is_looked_for() -> None:
    changed = [c for code in range(0x110000) if unicodedata.normalize("NFC", c := chr(code)) != c]
    looked_for = pl.Series([c for c in changed if c.isprintable() or c.isspace() or unicodedata.category(c) != "Cs"])
    assert looked_for.str.contains(f"[{normalise_unicode._NOT_COMPOSED}]").all()
    assert len(looked_for) > 1_000


def test_a_text_that_holds_every_stand_in_stays() -> None:
    stand_ins = "".join(rewriting._STAND_INS)
    assert rewriting.outside(f"`x` {stand_ins}", str.upper) == f"`x` {stand_ins}"
    assert rewriting.outside(f"`x` y{stand_ins[:-1]}", str.upper) == f"`x` Y{stand_ins[:-1]}"


# ---------------------------------------------------------------- real data


def lines(shared: Path, name: str) -> list[str]:
    data = (shared / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode().splitlines()


def tico(shared: Path) -> list[str]:
    from lxml import etree

    with zipfile.ZipFile(shared / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip") as archive:
        tree = etree.fromstring(archive.read(archive.namelist()[0]))
    return ["".join(segment.itertext()) for segment in tree.iter("seg")][1::2]


def squad(shared: Path, *names: str) -> list[str]:
    found = []
    for name in names:
        data = (shared / name).read_bytes()
        articles = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        found += [text for p in paragraphs for text in (p["context"], *(q["question"] for q in p["qas"]))]
    return found


NTREX = "ntrex128/files/NTREX-128/newstest2019-ref."
ARABIC: dict[str, tuple[Callable[[Path], list[str]], float, int, int]] = {
    # The texts; the largest share that is changed; how many clean_text drops before, and how many after.
    "tico": (tico, 0.15, 12, 1),
    "ntrex": (lambda shared: lines(shared, f"{NTREX}arb.txt"), 0.05, 0, 0),
    "xquad": (lambda shared: squad(shared, "xquad/files/xquad.ar.json.gz"), 0.25, 180, 14),
    "arcd": (
        lambda shared: squad(shared, *(f"arcd/files/data/arcd-{s}.json" for s in ("train", "test"))),
        0.15,
        12,
        3,
    ),
    "tatoeba": (
        lambda shared: lines(shared, "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07.ara")[
            :4000
        ],
        0.05,
        2,
        1,
    ),
}


def normalised(texts: list[str]) -> tuple[pl.Series, pl.Series]:
    """The texts before and after all the normalisers."""
    frame = instructions(*([("user", t)] for t in texts))
    left = frame
    for step in STEPS:
        left, _ = step.normalise(left)
    return frame.select(rows.text("messages")).to_series(), left.select(rows.text("messages")).to_series()


def unclean(texts: pl.Series) -> pl.Series:
    frame = instructions(*([("user", t)] for t in texts))
    step = CleanText(max_bidi_marks=0)
    return step.measure(frame).select(pl.any_horizontal(rule for _, rule in step.rules())).to_series()


@pytest.mark.parametrize("name", ARABIC)
def test_what_can_be_repaired_costs_no_row(shared: Path, name: str) -> None:
    read, most_changed, dirty, left_dirty = ARABIC[name]
    before, after = normalised(read(shared))
    was, is_now = unclean(before), unclean(after)
    assert 0 < (before != after).mean() <= most_changed
    assert (normalised(after.to_list())[1] == after).all()
    assert was.sum() >= dirty
    assert is_now.sum() <= left_dirty
    assert not (is_now & ~was).any()
    # Not a letter and not a digit is another or lost.
    bare = text.matching_key(pl.col("s")).str.replace_all(r"[\PL&&\PN]+", "")
    entities = before.str.contains("&[a-z]+;")
    assert ((before.to_frame("s").select(bare) == after.to_frame("s").select(bare)).to_series() | entities).all()
    assert entities.mean() <= 0.003


@pytest.mark.parametrize("code", ["fas", "ckb-Arab", "urd"])
def test_the_joiners_of_other_languages_stay(shared: Path, code: str) -> None:
    before, after = normalised(lines(shared, f"{NTREX}{code}.txt"))
    joined = r"\p{L}\x{200c}+"
    between = before.str.replace_all(r"\x{200c}+(\P{L}|\z)", "$1"), after
    counts = [s.str.count_matches(joined).sum() for s in between]
    assert counts[0] == counts[1] == {"fas": 1786, "ckb-Arab": 88, "urd": 0}[code]
    assert (before != after).mean() <= 0.05


def test_every_end_mark_of_t0_goes_and_nothing_else(shared: Path) -> None:
    for path in sorted((shared / "t0-50k/files/data_per_template").glob("*.jsonl.gz"))[:6]:
        texts = [t for line in lines(shared, str(path)) for t in json.loads(line).values() if isinstance(t, str)]
        frame = instructions(*([("user", t)] for t in texts))
        left, measured = StripEndMarks().normalise(frame)
        marked = [t.rstrip().endswith("<|endoftext|>") for t in texts]
        assert (measured["end_marks"] > 0).to_list() == marked
        assert sum(marked) >= len(texts) // 2
        expected = [t.removesuffix("<|endoftext|>").rstrip() if m else t for t, m in zip(texts, marked, strict=True)]
        assert [m[0]["content"] for m in left["messages"]] == expected


@pytest.mark.parametrize("folder", ["react-docs", "react-docs-en"])
def test_pages_keep_their_code_and_their_layout(shared: Path, folder: str) -> None:
    pages = [p.read_text(encoding="utf-8") for p in sorted((shared / folder / "files").rglob("*.md"))]
    before, after = normalised([page for page in pages if len(page) < 6_000][:12])
    assert (before != after).all()
    for was, is_now in zip(before, after, strict=True):
        assert structure.difference(was, is_now) == {}
