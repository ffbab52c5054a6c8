"""What must survive a translation is found, compared, cut and masked."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hala_factory import structure

DATA = Path(__file__).parents[2] / "shared" / "data"

# What is found

SPANS = [
    ("run `npm i` and ``a`b`` then `open", [("code", "`npm i`"), ("code", "``a`b``")]),
    ("see ```x = 1``` here", [("code", "```x = 1```")]),
    ("- a list\n\n  ```py\n  x = 1\n  ```\n", [("code", "```py\n  x = 1\n  ```")]),
    ("> ```\n> quoted\n> ```", [("code", "```\n> quoted\n> ```")]),
    ("never closed:\n~~~\nx = 1\n", [("code", "~~~\nx = 1")]),
    ("a\n\n    for x in y:\n        f(x)\n", [("code", "for x in y:\n        f(x)")]),
    ("a poem:\n\n    roses are red\n    violets are blue\n", []),
    ("#include <a>\nint main() {\n\n  return 0;\n}\n\nThis is prose.", [("code", "#include <a>\nint main() {\n\n  return 0;\n}")]),
    ("import os\n\ndef f(x):\n    # why\n    return x", [("code", "import os\n\ndef f(x):\n    # why\n    return x")]),
    ("Wait (here);\nshe left.\nFor all of you:\nreturn soon", []),
    ("x = 5\ny = 6", []),
    ("SELECT * FROM t WHERE id = 1;", [("code", "SELECT * FROM t WHERE id = 1;")]),
    ("public class A {\n\n    int f() { return 1; }\n}", [("code", "public class A {"), ("code", "int f() { return 1; }")]),
    ("The line is:\n\nSELECT * FROM t;", []),
    ("see <?php echo $x > 1 ?> here", [("tag", "<?php echo $x > 1 ?>")]),
    ("name = 'a.txt'\nread(name)", [("code", "name = 'a.txt'\nread(name)")]),
    ("$x$ and $y_1$ are $5$, the $n$th", [("latex", s) for s in ("$x$", "$y_1$", "$5$", "$n$")]),
    ("it costs $5 and $10, or $20 for a 10$ item", []),
    ("between $5, $6, and $x$", [("latex", "$x$")]),
    ("sed s/$old/$new/ or s/$قديم/$جديد/", []),
    ("echo $HOME/bin:$PATH and $USER, costs $$ to $$$", []),
    ("$ x = 5 $ as some write", [("latex", "$ x = 5 $")]),
    (r"so \(a+b\), \[x=1\], $$y$$", [("latex", r"\(a+b\)"), ("latex", r"\[x=1\]"), ("latex", "$$y$$")]),
    ("\\begin{align}\na &= b\n\\end{align}", [("latex", "\\begin{align}\na &= b\n\\end{align}")]),
    (r"weighs 5 \text{ kg} and \n is no formula", [("latex", r"\text{ kg}")]),
    (r"it is \$5 or \`so\`", []),
    ("see (https://en.example.org/wiki/A_(b)).", [("url", "https://en.example.org/wiki/A_(b)")]),
    ("زوروا https://example.com/a، ثم www.example.org.", [("url", "https://example.com/a"), ("url", "www.example.org")]),
    ('[docs](/docs/x.html#a) [t](a.md "title") [1](see below)', [("url", "/docs/x.html#a"), ("url", "a.md")]),
    ("mail a.b+c@example.org. or @someone, 5@home", [("email", "a.b+c@example.org")]),
    ("run ./run.sh in /etc/hosts or ~/x.txt and/or he/she, 3/4", [("path", p) for p in ("./run.sh", "/etc/hosts", "~/x.txt")]),
    (r"open C:\Users\me, please", [("path", r"C:\Users\me")]),
    (
        "{name} {{user.id}} { -brand } ${HOME} %s %(n)d %1$s",
        [("placeholder", p) for p in ("{name}", "{{user.id}}", "{ -brand }", "${HOME}", "%s", "%(n)d", "%1$s")],
    ),
    (
        "set [TEMPO] of %1 to %2, %{x} {n, plural, one {# day}} { DATETIME($d) } {d, date, short}",
        [("placeholder", p) for p in ("[TEMPO]", "%1", "%2", "%{x}", "{n, plural,", "{ DATETIME($d) }", "{d, date, short}")],
    ),
    ("a long sentence in which an abbreviation [COPD] stands" + " behind its name" * 10, []),
    ("5% discount, 100%sure, {the name of the person}, {a, b}, نسبة %50", []),
    ("a <name>, <br/>, <a href='x'>y</a> and <|end|>", [("tag", t) for t in ("<name>", "<br/>", "<a href='x'>", "</a>", "<|end|>")]),
    ("a <b and c> d, x<5 and y>3, AT&T", []),
    ("&amp; &#39; <!-- a\nb -->", [("tag", "&amp;"), ("tag", "&#39;"), ("tag", "<!-- a\nb -->")]),
    ("<code>x = 1</code>", [("code", "<code>x = 1</code>")]),
    ('{"role": "user", "a": [1]}', [("json_key", '"role"'), ("json_key", '"a"')]),
    ('He said, "yes": twice.', []),
    ("", []),
    ("\n \n", []),
    ("لا شيء هنا", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), SPANS)
def test_a_span_is_found_and_prose_is_left_alone(text: str, wanted: list[tuple[str, str]]) -> None:
    found = structure.spans(text)
    assert [(s.kind, s.text) for s in found] == wanted
    assert all(text[s.start : s.end] == s.text for s in found)


def test_prose_is_what_stands_outside_the_spans() -> None:
    assert structure.prose("Run `x` now, see https://example.com.").split() == ["Run", "now,", "see", "."]


# What is compared

CONTRACT = [
    ("Use `f`.", "استخدم `f`.", {}),
    ("Use `f`.", "استخدم `g`.", {"code": (("`f`",), ("`g`",))}),
    ("`f` and `f`", "`f` و", {"code": (("`f`",), ())}),
    ("`a` then `b`", "`b` بعد `a`", {}),
    ("```\nx \n```", "```\nx\n```", {}),
    ("# A\n\n- b\n- c", "# أ\n\n- ب\n- ج", {}),
    ("# A\n\n- b\n- c", "أ\n\n- ب ج", {"skeleton": (("heading 1", "item"), ())}),
    ("1. a\n2. b", "١. أ\n٢. ب", {}),
    ("> a", "أ", {"skeleton": (("quote",), ())}),
    ("|a|b|\n|-|-|\n|1|2|", "|أ|ب|\n|-|-|\n|1|2|", {}),
    ("|a|b|\n|-|-|\n|1|2|", "|أ|ب|\n|-|-|", {"skeleton": (("row of 2",), ())}),
    ("Dear {name},", "عزيزي {الاسم}،", {"placeholder": (("{name}",), ("{الاسم}",))}),
    ("plain", "نص عادي", {}),
    ("Dear {$name },", "عزيزي { $name }،", {}),
    ("R&amp;D &lt;b&gt; at S&P", "البحث والتطوير &quot;ب&quot;", {}),
    ("%1 of %2", "%2 من %1", {}),
    ("%1 of %2", "%2 من", {"placeholder": (("%1",), ())}),
    ("5% off", "خصم %5", {}),
    ("set [TEMPO]", "اضبط [الإيقاع]", {"placeholder": (("[TEMPO]",), ())}),
    ("the dose (FHD)", "الجرعة [FHD]", {}),
    ("see https://example.org/a/", "انظر https://example.org/a", {}),
    ("see https://en.wikipedia.org/wiki/Color", "انظر https://ar.wikipedia.org/wiki/لون", {}),
    ("```\nf() // why\n```", "```\n  f() // لماذا\n```", {}),
    ("```\nf('a') # why\n```", "```\nf('ب') # لماذا\n```", {"code": (("```\nf('a')\n```",), ("```\nf('ب')\n```",))}),
    ("run `act()`", "نفذ `act()\u200e `", {}),
    ("run `act()`", "نفذ `()act`", {"code": (("`act()`",), ("`()act`",))}),
    ("He has <<48/2=24>>24 clips.", "لديه <<48/2=24>>24 مشبكًا.", {}),
    ("1. a\n2. b", "1. أ\n1. ب", {"skeleton": (("item 2",), ("item 1",))}),
    ("- a\n  - b", "- أ\n- ب", {"skeleton": (("item at 2",), ("item",))}),
    ("a\n\n---\n\nb", "أ\n\nب", {"skeleton": (("rule",), ())}),
    ("|a|b|\n|-|-|\n|1|2|", "|أ|ب|\n|-|-|\n|1 2|", {"skeleton": (("row of 2",), ("row of 1",))}),
    (
        "|a|b|\n|-|-|\n|1||",
        "|أ|ب|\n|-|-|\n||1|",
        {"skeleton": (("row of 2, empty: 2",), ("row of 2, empty: 1",))},
    ),
]


@pytest.mark.parametrize(("source", "target", "wanted"), CONTRACT)
def test_a_difference_names_what_is_lost_and_what_is_added(
    source: str, target: str, wanted: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> None:
    assert structure.difference(source, target) == wanted


ORDER = [
    ("Call `a`, then `b`.", "قبل `b` استدع `a`.", True),
    ("Call `a`. Then `b`.", "استدع `b`. ثم `a`.", False),
    ("Call `a`. Then `b`.", "استدع `b` بعد `a`.", True),
    ("First `a`.\n\nThen `b`.", "أولًا `b`.\n\nثم `a`.", False),
    ("First `a`.\n\nThen `b`.", "أولًا `a`. ثم `b`.", False),
    ("First `a`,\nthen `b`.", "أولًا `a` ثم `b`.", False),
    ("x" * 70 + " `a`,\nthen `b`.", "س" * 70 + " `a` ثم `b`.", True),
    ("First `a`\nThen `b`", "ثم `b`\nأولًا `a`", False),
    ("Use Point2D.", "استخدم Point0D.", False),
    ("Use Point2D.", "استخدم نقطة ثنائية الأبعاد.", True),
    ("x" * 70 + ':\n{"age": 1}', "س" * 70 + ': {"age": 1}', False),
    ("x" * 70 + ".\n" + "y" * 70 + ".", "س" * 70 + ". " + "ص" * 70 + ".", False),
    ("```\n# `a`\n```\n\nx\n\n```\n# `b`\n```", "```\n# `b`\n```\n\nس\n\n```\n# `a`\n```", False),
    ("Input: 7 1\nOutput: 17", "المخرجات: 17\nالمدخلات: 7 1", False),
    ("## The `f`\n\nCall `g`.", "## الدالة `f` استدع `g`.", False),
    ("- a `f`\n\nThen `g`.", "- أ `f`\nثم `g`.", False),
    ("- `a` x\n- `b` y", "- `b` س\n- `a` ص", False),
    ("- 12 cats\n- 5 dogs", "- 5 كلاب\n- 12 قطة", False),
    ("- 12 cats\n- five dogs", "- ١٢ قطة\n- 5 كلاب", True),
    ("- Rust is fast\n- Go is small", "- لغة Go صغيرة\n- لغة Rust سريعة", False),
    ("2. a\n3. b", "3. ب\n2. أ", False),
    ("|h|i|\n|-|-|\n|`a`|`b`|", "|ح|ط|\n|-|-|\n|`b`|`a`|", False),
    ("# A\n\n- b", "- ب\n\n# أ", False),
    ("x\n\n```\na()\n```\n\ny\n\n```\nb()\n```", "س\n\n```\nb()\n```\n\nص\n\n```\na()\n```", False),
    ("[`a`](/a) or [`b`](/b)", "[`b`](/b) أو [`a`](/a)", True),
    ("[`a`](/a) or [`b`](/b)", "[`a`](/b) أو [`b`](/a)", False),
    ("[React](/a) or [Vue](/b)", "[React](/b) أو [Vue](/a)", False),
    ("[one](/a) or [two](/b)", "[اثنان](/b) أو [واحد](/a)", True),
]


@pytest.mark.parametrize(("source", "target", "kept"), ORDER)
def test_spans_may_change_places_in_a_sentence_and_nowhere_else(source: str, target: str, kept: bool) -> None:
    assert (structure.difference(source, target) == {}) is kept


# What is sent


def test_code_blocks_and_display_formulas_are_not_sent() -> None:
    text = "Look:\n\n```py\nprint(1)\n```\n\nThen\n\n$$\nx^2\n$$\n\nand $y$ too.\n"
    assert [s.text for s in structure.segments(text, 1000) if s.sent] == ["Look:", "Then", "and $y$ too."]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("## A title  \n", ["A title"]),
        ("- [ ] a task", ["a task"]),
        ("1. first", ["first"]),
        ("> quoted", ["quoted"]),
        (">\rquoted", ["quoted"]),
        ("- a\n- b", ["- a\n- b"]),
        ("12 + 5 = 17", []),
        ("https://example.com `x`", []),
        ("  \n", []),
    ],
)
def test_one_line_travels_without_its_markers_and_a_letterless_one_not_at_all(text: str, sent: list[str]) -> None:
    assert [s.text for s in structure.segments(text, 1000) if s.sent] == sent


def test_cut_by_line_markers_and_pipes_stay_and_cut_by_span_spans_stay_too() -> None:
    text = "- see `x` now\n\n| a cell | `y` is |\n|---|---|\n"
    assert [s.text for s in structure.segments(text, 99, "line") if s.sent] == ["see `x` now", "a cell", "`y` is"]
    assert [s.text for s in structure.segments(text, 99, "span") if s.sent] == ["see", "now", "a cell", "is"]


def test_long_prose_is_cut_at_paragraphs_then_sentences_and_never_inside_a_span() -> None:
    text = "One is here. Two is there.\n\nثلاثة هنا؟ أربعة هناك. " + "X" * 50 + " `" + "y " * 30 + "z`"
    sent = [s.text for s in structure.segments(text, 30) if s.sent]
    assert sent == ["One is here. Two is there.", "ثلاثة هنا؟ أربعة هناك.", "X" * 30, "X" * 20]


def test_without_protection_everything_is_sent() -> None:
    assert [s.text for s in structure.segments("a\n\n```\ncode\n```", 99, protect=False) if s.sent] == [
        "a\n\n```\ncode\n```"
    ]


# Masks


def test_a_mark_stands_for_each_span_and_cannot_be_in_the_text_already() -> None:
    masked, held = structure.mask("Let `a` be <X1/> or x.")
    assert masked == "Let <y1/> be <y2/> or x."
    assert held == {"<y1/>": "`a`", "<y2/>": "<X1/>"}


MARKS = [
    ("ليكن <x1/> و<x2/>", "ليكن `a` و{b}", 0),
    ("<x2/> قبل <x1/>", "{b} قبل `a`", 0),
    ("< X1 > ثم <x٢/>", "`a` ثم {b}", 2),
    ("<x1></x1> ثم </x2>", "`a` ثم {b}", 2),
    ("&lt;x1/&gt; ثم ‹x2/›", "`a` ثم {b}", 2),
    ("<\u200ex1\u200e/> ثم <x2/>", "`a` ثم {b}", 1),
    ("x1 ثم <x2/>", "`a` ثم {b}", 1),
    ("(x1/) ثم <x2/", "(`a`) ثم {b}", 2),
    ("وx1 > x2", "و`a` > {b}", 2),
    ("x1x2", None, 0),
    ("<x1 ثم <x2/>", None, 0),
    ("<إكس1/> ثم <x2/>", "`a` ثم {b}", 1),
    ("`<x1/>` ثم <x2/>", "`a` ثم {b}", 1),
    ("<x1/> <x1/> <x2/>", "`a` {b}", 1),
    ("<x1/> فقط", None, 0),
    ("<x1/> ثم <x2/> ثم <x1/>", None, 0),
    ("<x1/> <x2/> <x3/>", None, 0),
    ("<x12/>", None, 0),
    ("<ب/> ثم <x2/>", None, 0),
    ("1 ثم <x2/>", None, 0),
    ("", None, 0),
]


@pytest.mark.parametrize(("answer", "wanted", "repairs"), MARKS)
def test_marks_must_come_back_once_each_and_what_can_mean_one_thing_only_is_repaired(
    answer: str, wanted: str | None, repairs: int
) -> None:
    _, held = structure.mask("Let `a` and {b}")
    assert structure.unmask(answer, held) == (None if wanted is None else (wanted, repairs))


def test_a_text_with_a_word_like_a_mark_gets_other_marks() -> None:
    masked, held = structure.mask("Let x1 be `a`.")
    assert masked == "Let x1 be <y1/>."
    assert structure.unmask("ليكن x1 هو y1.", held) == ("ليكن x1 هو `a`.", 1)


REPAIRS = [
    ("Use `f(1)`.", "استخدم `f(١)`.", "استخدم `f(1)`.", 1),
    ("Use `f`.", "استخدم ``f``.", "استخدم `f`.", 1),
    ("Use `f('a')`.", "استخدم `f(‘a’)`.", "استخدم `f('a')`.", 1),
    ("Dear {name_1},", "عزيزي { name_١ }،", "عزيزي {name_1}،", 1),
    ("It is %s of %d.", "إنه ٪s من ٪ d.", "إنه %s من %d.", 2),
    ("See <b>it</b>.", "انظر &lt;b&gt;هذا</b>.", "انظر <b>هذا</b>.", 1),
    ("`a` or `a`", "`a` أو ``a``", "`a` أو `a`", 1),
    ("`a` or b", "``a`` أو ``a``", None, 0),
    ("Use `f`.", "استخدم f.", None, 0),
    ("Use `f(1)`.", "استخدم `f(2)`.", None, 0),
    ("Use `f`.", "استخدم `ف`.", None, 0),
    ("Use `f`.", "استخدم `f`.", None, 0),
]


@pytest.mark.parametrize(("source", "target", "wanted", "count"), REPAIRS)
def test_a_span_in_another_spelling_is_put_right_and_a_wrong_one_is_left(
    source: str, target: str, wanted: str | None, count: int
) -> None:
    assert structure.repair(source, target) == (target if wanted is None else wanted, count)


# Properties

WORDS = st.sampled_from(
    ["word", "The", "كلمة", "costs $5", "e.g. this", "is fine.", "Really?", "نعم،", "50%", "a_b", "it's", "ß"]
)
PROSE = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
INLINE = st.sampled_from(
    [
        "`f(x)`",
        "``a`b``",
        "$x^2$",
        r"\(a\)",
        "https://example.com/a?b=1",
        "me@example.org",
        "{name}",
        "%s",
        "<b>",
        "&amp;",
        "<slot>",
    ]
)
SENTENCE = st.tuples(PROSE, INLINE, PROSE).map(" ".join)
BLOCK = st.one_of(
    PROSE,
    SENTENCE,
    SENTENCE.map("## {}".format),
    st.lists(SENTENCE, min_size=1, max_size=3).map(lambda items: "\n".join(f"- {i}" for i in items)),
    SENTENCE.map("> {}".format),
    SENTENCE.map(lambda s: f"| a | b |\n|---|---|\n| {s} | c |"),
    st.sampled_from(["```py\nx = 'a'\n\nprint(x)\n```", "$$\n\\frac{a}{b}\n$$", "\\[ x = 1 \\]", "import os\nprint(os.name)"]),
)  # fmt: skip
MARKDOWN = st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join)
NOISE = st.text(alphabet='ab \n\r\t`$<>{}\\()[]&%@/"|*#-.:=;1٢؟كx~!', max_size=200)


@given(text=MARKDOWN | NOISE, most=st.integers(1, 120), cut=st.sampled_from(["block", "line", "span"]))
@settings(max_examples=200, deadline=None)
def test_segments_joined_are_the_text(text: str, most: int, cut: structure.Cut) -> None:
    parts = structure.segments(text, most, cut)
    assert "".join(p.text for p in parts) == text
    assert all(p.text == p.text.strip() and p.text for p in parts if p.sent)


@given(text=MARKDOWN | NOISE)
@settings(max_examples=200, deadline=None)
def test_spans_are_sorted_apart_and_true_and_masking_is_undone(text: str) -> None:
    found = structure.spans(text)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(text[s.start : s.end] == s.text and s.text for s in found)
    masked, held = structure.mask(text)
    assert structure.unmask(masked, held) == (text, 0)
    assert structure.difference(text, text) == {}


@given(text=st.lists(SENTENCE, min_size=1, max_size=5).map("\n\n".join), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_span_dropped_doubled_or_altered_is_always_found(text: str, data: st.DataObject) -> None:
    # An entity may become its character, and the others may not change at all.
    span = data.draw(st.sampled_from([s for s in structure.spans(text) if s.text != "&amp;"] or [None]))
    assume(span)
    other = data.draw(st.sampled_from(["", f"{span.text} {span.text}", " `zzz` "]))
    assert structure.difference(text, text[: span.start] + other + text[span.end :])


def upper(text: str) -> str:
    """A translator that is easy to check: prose in capitals, marks as they were."""
    return "".join(part if part.startswith("<") else part.upper() for part in re.split(r"(<[a-z]+\d+/>)", text))


def shouted(text: str, most: int, cut: structure.Cut) -> str:
    done = []
    for part in structure.segments(text, most, cut):
        if not part.sent:
            done.append(part.text)
            continue
        masked, held = structure.mask(part.text)
        back = structure.unmask(upper(masked), held)
        assert back is not None
        done.append(back[0])
    return "".join(done)


@given(text=MARKDOWN, most=st.integers(40, 400), cut=st.sampled_from(["block", "line", "span"]))
@settings(max_examples=150, deadline=None)
def test_a_translator_that_changes_all_prose_keeps_the_structure(text: str, most: int, cut: structure.Cut) -> None:
    assert structure.difference(text, shouted(text, most, cut)) == {}


HOSTILE = [
    "`",
    "` `` ",
    "$x ",
    "<a ",
    "<!-- ",
    "{a ",
    "\\(",
    "\\[",
    "\\begin{a}",
    "<pre>",
    "<?php ",
    "](",
    "a@a.",
    '"a',
    "http://",
    "/a",
    "f(",
    "a: ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_makes_the_search_lose_its_way(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert all(text[s.start : s.end] == s.text for s in structure.spans(text))
    assert "".join(p.text for p in structure.segments(text, 1500)) == text


# Real texts


def real_texts() -> Iterator[str]:
    for page in sorted((DATA / "react-docs-en").rglob("*.md")):
        yield page.read_text(encoding="utf-8")
    programs = DATA / "gpteacher/files/Codegen/codegen-instruct.json.gz"
    if programs.exists():
        with gzip.open(programs, "rt", encoding="utf-8") as file:
            yield from (row["response"] for row in json.load(file)[:400])
    for page in sorted((DATA / "l10n-mozilla-www/files/en").rglob("*.ftl"))[:60]:
        lines = page.read_text(encoding="utf-8").splitlines()
        yield from (line.split(" = ", 1)[1] for line in lines if " = " in line and not line.startswith("#"))


@pytest.mark.skipif(not DATA.exists(), reason="the real data is not here")
def test_real_pages_programs_and_strings_keep_their_structure() -> None:
    texts = list(real_texts())
    assert len(texts) > 400
    broken = [t[:80] for t in texts if structure.difference(t, shouted(t, 1500, "block"))]
    assert broken == []
