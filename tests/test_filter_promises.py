"""What every filter promises, whatever the texts: tried on generated rows and on awkward ones."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hala_factory import filters, lid, rows, structure
from hala_factory.step import Filter, Normaliser, registered
from tests.questions import TABLES

for module in pkgutil.iter_modules(filters.__path__):
    importlib.import_module(f"hala_factory.filters.{module.name}")

OPTIONS: dict[str, dict[str, Any]] = {
    "language": {"keep": ["en", "ar", "und"]},
    "language_context": {"keep": ["en", "und"]},
    "length": {"min_chars": 3, "max_chars": 60, "min_words": 2, "max_words": 9},
    "gopher_quality": {"min_words": 4},
    "quality_estimate": {"scorer": "tests.scorers:likeness", "min_score": 0.5},
    "mix": {"weights": {"one": 1}},
    "banned_words": {"words": ["word word", "سلام", "مُحمّد", "C++", "🎉", "中文"]},
    "classifier": {"model": str(lid.bundled()), "label": "en"},
    "datatrove": {"filter": "RegexFilter", "with": {"regex_exp": "the"}},
    "decontaminate": {"words": 2, "min_shared": 2, "min_words": 1},
}
MODELLED = ("similarity",)
"""Filters that need a model which is made on the spot: their promises are tried in tests of their own."""
FILTERS = [
    cls(**OPTIONS.get(word, {})).bound(TABLES)
    for word, cls in registered().items()
    if issubclass(cls, Filter) and cls.__module__.startswith("hala_factory.filters.") and word not in MODELLED
]
NORMALISERS = [
    cls(**OPTIONS.get(word, {}))
    for word, cls in registered().items()
    if issubclass(cls, Normaliser) and cls.__module__.startswith("hala_factory.filters.")
]
COLUMNS = {"messages": rows.MESSAGES, "messages_en": rows.MESSAGES}

pieces = st.sampled_from(
    [
        *("the", "of", "and", "N/A", "word word", "don't", "U.S.", "#", "...", "…", "- ", "• ", "3.5", "١٠٬٠٠٠", "-5"),
        *("سلام", "مُحَمَّد", "كـــلام", "ﻻ", "، ", "؟", "\n", "\n\n", "\r\n", " ", "\t", "\u200f", "\x00", "\x1b"),
        *("`x`", "```\ncode\n```", "$x^2$", r"\(y\)", "https://example.com/a", "<b>", "{name}", "%s", "<|endoftext|>"),
        *("🎉", "e\u0301", "\u2028", "\ufeff", "𝒳", "中文", "\x1e", "\x1f"),
    ]
)
texts = st.one_of(
    st.none(), st.text(max_size=30), st.lists(pieces, max_size=25).map(" ".join), st.lists(pieces).map("".join)
)
roles = st.sampled_from(["user", "assistant", "system", "tool", None])


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    table: dict[str, list[list[dict[str, str | None]]]] = {"messages": [], "messages_en": []}
    for _ in range(draw(st.integers(0, 4))):
        conversation = draw(st.lists(st.tuples(roles, texts, texts), max_size=4))
        table["messages"].append([{"role": r, "content": t} for r, _, t in conversation])
        table["messages_en"].append([{"role": r, "content": s} for r, s, _ in conversation])
    return pl.DataFrame(table, schema=COLUMNS)


def reasons(step: Filter, measured: pl.DataFrame) -> list[str | None]:
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
    return measured.select(pl.coalesce([*asked, pl.lit(None, pl.String)]).alias("reason"))["reason"].to_list()


def check_whole(step: Filter, frame: pl.DataFrame) -> pl.DataFrame:
    """Measures with the promised columns, one line per row, no null and no NaN, and rules that always answer."""
    measured = step.measure(frame)
    assert dict(measured.schema) == step.measures()
    assert measured.height == frame.height
    assert sum(measured.null_count().row(0)) == 0
    for column in measured.iter_columns():
        if column.dtype.is_float():
            assert column.is_finite().all()
    verdicts = measured.select(rule.alias(f"{i}") for i, (_, rule) in enumerate(step.rules()))
    assert all(dtype == pl.Boolean for dtype in verdicts.dtypes)
    assert sum(verdicts.null_count().row(0)) == 0
    return measured


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame=frames())
def test_a_row_is_measured_alike_in_any_company(step: Filter, frame: pl.DataFrame) -> None:
    measured = check_whole(step, frame)
    backwards = step.measure(frame.reverse()).reverse()
    assert backwards.equals(measured)
    for i in range(frame.height):
        assert step.measure(frame[i : i + 1]).equals(measured[i : i + 1])


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame=frames())
def test_what_a_filter_kept_it_keeps_again(step: Filter, frame: pl.DataFrame) -> None:
    fate = pl.Series(reasons(step, step.measure(frame)), dtype=pl.String)
    kept = frame.filter(fate.is_null())
    assert reasons(step, step.measure(kept)) == [None] * kept.height


AWKWARD = [
    "",
    " \n\t ",
    "x",
    "ب",
    "\x00\x01\x1b",
    "\x0b\x0c\x85",  # white space and control characters both
    "#" * 50,
    "\n" * 50,
    "a" * 300,
    "🎉" * 20,
    "\u202e\u200f",
    "`",
    "$",
    "```",
]


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
def test_awkward_texts_are_measured(step: Filter) -> None:
    both = [(a, b) for a in AWKWARD for b in AWKWARD]
    frame = pl.DataFrame(
        {
            "messages": [[{"role": "user", "content": a}] for a, _ in both],
            "messages_en": [[{"role": "user", "content": b}] for _, b in both],
        },
        schema=COLUMNS,
    )
    check_whole(step, frame)


HUGE = {
    "prose": " ".join(f"word{i % 997} of the {i} lines\n" for i in range(40_000)),
    "one line": "the same words " * 70_000,
    "one word": "a" * 1_000_000,
    "symbols": "`$<{[(" * 170_000,
    "arabic": "كلام يطول ولا ينتهي، " * 50_000,
    "digits": "1,234.5 " * 130_000,
}


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
def test_a_text_of_a_megabyte_is_measured(step: Filter, kind: str) -> None:
    messages = {
        "messages": [[{"role": "user", "content": HUGE[kind]}]],
        "messages_en": [[{"role": "user", "content": HUGE[kind] + "."}]],
    }
    check_whole(step, pl.DataFrame(messages, schema=COLUMNS))


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
def test_a_filter_shows_a_text_it_keeps_and_one_it_drops(step: Filter) -> None:
    assert set(step.example) == {"kept", "dropped"}
    assert type(step).__doc__


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.step)
def test_no_rows_are_no_lines(step: Filter) -> None:
    assert check_whole(step, pl.DataFrame(schema=COLUMNS)).height == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sides=st.lists(st.tuples(texts.map(str), texts.map(str)), max_size=6))
def test_the_structure_filter_overlooks_no_pair(sides: list[tuple[str, str]]) -> None:
    step = next(s for s in FILTERS if s.step == "structure")
    frame = pl.DataFrame(
        {
            "messages_en": [[{"role": "user", "content": source}] for source, _ in sides],
            "messages": [[{"role": "user", "content": target}] for _, target in sides],
        },
        schema=COLUMNS,
    )
    kinds = [",".join(sorted(structure.difference(source, target))) for source, target in sides]
    assert step.measure(frame)["kinds"].to_list() == kinds


# ---------------------------------------------------------------- normalisers


def check_normaliser(step: Normaliser, frame: pl.DataFrame) -> pl.DataFrame:
    """Each row changed alike in any company, once and for all, and counted if and only if it was; answers the frame."""
    left, measured = step.normalise(frame)
    assert left.schema == frame.schema
    assert dict(measured.schema) == step.measures()
    assert set(step.measures().values()) == {pl.Int32()}
    assert (left.height, measured.height) == (frame.height, frame.height)
    assert sum(measured.null_count().row(0)) == 0
    assert all(min(counts, default=0) >= 0 for counts in measured.rows())
    again, nothing = step.normalise(left)
    assert again.equals(left)
    assert sum(map(sum, nothing.rows())) == 0
    for i in range(frame.height):
        alone, counted = step.normalise(frame[i : i + 1])
        assert alone.equals(left[i : i + 1])
        assert counted.equals(measured[i : i + 1])
        assert alone.equals(frame[i : i + 1]) == (sum(counted.row(0)) == 0)
    return left


SPANS = [
    "`a  b ، c\xa0d`",
    "```\nx  =  1 ;\n\n\n\n\ny\tـ\n```",
    "$x^2 ،  y$",
    r"\(a  ,  b\)",
    "https://example.com/a،b",
]
SPANS += ["me@example.com", "{name}", '<a href="?a=1&amp;b=2">', "/usr/lib/x", "%(name)s"]
DIRT = "e\u0301~\u0627\u0653~\u0628\u0651\u064e~\ufeff~\ufffe~\ufffc~\x00~\x1b[31m~\x07~\u00ad~\x92~â\x80\x94~Ã\x83~\x85~\xa0~\u3000~"
DIRT += "\u2028~\r\n~\r~\x0c~  ~   ~\n\n\n\n~\t~</s>~<s>~<|im_end|>~<|im_start|>user\n~[INST]~[/INST]~token ~ is~<eos>~&amp;~"
DIRT += "&amp;lt;~&lt;b&gt;~&quot;~&#39;~&#0;~&nope;~&am~<br/>~<b>~<p>~|~amp;~lt;~ـ~ــ~ﻻ~ﷲ~ﷺ~ﻫ~ﹰ~\u200f~\u202b~\u200b~\u200c~\u200d~"
DIRT += "🤦~می~ۆ~ٰ~َ~،~ ،~؟~?~,~;~:~.~!~ .~«~»~(~)~٣٫٥~1,250~۴~%~ة~هـ~ال~ل~سلام~كتاب~word~x~1. ~- ~    ~\n~ ~`~$~#~"
DIRT += "a@site.org~+201001234567"
dirt = st.sampled_from(DIRT.split("~"))
dirty = st.one_of(st.none(), st.lists(dirt, max_size=12).map("".join), st.lists(dirt, max_size=8).map(" ".join), texts)


@pytest.mark.parametrize("step", NORMALISERS, ids=lambda step: step.step)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations=st.lists(st.lists(st.tuples(roles, dirty), max_size=3), max_size=3))
def test_a_text_is_normalised_once_and_for_all(
    step: Normaliser, conversations: list[list[tuple[str | None, str | None]]]
) -> None:
    spelt = [[{"role": role, "content": content} for role, content in c] for c in conversations]
    check_normaliser(step, pl.DataFrame({"messages": spelt}, schema={"messages": rows.MESSAGES}))


@pytest.mark.parametrize("step", NORMALISERS, ids=lambda step: step.step)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(st.tuples(st.lists(dirt, max_size=4).map("".join), st.sampled_from(SPANS)), max_size=4))
def test_what_must_survive_is_never_touched(step: Normaliser, parts: list[tuple[str, str]]) -> None:
    broken = re.compile("[`$<>{%\\\\\n]|    ")  # what would open or close a span itself
    around = [(broken.sub("", before), span, "\n" if "\n" in span else " ") for before, span in parts]
    text = "\n\n".join(f"كلام {before} كلام{edge}{span}{edge}، و هو\n\n- بعده" for before, span, edge in around)
    # Entities are one normaliser's business, e-mail addresses another's.
    kinds = {*structure.KINDS} - ({"email"} if step.step == "pii" else set())
    spans = [s.text for s in structure.spans(text) if s.kind in kinds and not s.text.startswith("&")]
    left = check_normaliser(
        step, pl.DataFrame({"messages": [[{"role": "user", "content": text}]]}, schema={"messages": rows.MESSAGES})
    )
    content, at = left["messages"][0][0]["content"], 0
    for span in spans:
        bare = span.strip("\ufeff\u200f\u202b\u200b\u200c\u200d\u00ad")
        at = content.find(re.sub(r"\r+\n?", "\n", bare), at)
        assert at >= 0, span


@pytest.mark.parametrize("kind", ["symbols", "one word", "dirt"])
@pytest.mark.parametrize("step", NORMALISERS, ids=lambda step: step.step)
def test_a_text_of_a_megabyte_is_normalised(step: Normaliser, kind: str) -> None:
    text = DIRT.replace("~", "") * 2_000 + "<eos>" if kind == "dirt" else HUGE[kind]
    frame = pl.DataFrame({"messages": [[{"role": "user", "content": text}]]}, schema={"messages": rows.MESSAGES})
    left, measured = step.normalise(frame)
    assert left.equals(frame) == (sum(measured.row(0)) == 0) == (kind != "dirt")


@pytest.mark.parametrize("step", NORMALISERS, ids=lambda step: step.step)
def test_awkward_texts_and_no_rows_are_normalised(step: Normaliser) -> None:
    spelt = [[{"role": "user", "content": text}, {"role": None, "content": None}] for text in AWKWARD]
    frame = pl.DataFrame({"messages": [*spelt, [], None]}, schema={"messages": rows.MESSAGES})
    check_normaliser(step, frame)
    assert check_normaliser(step, frame.clear()).height == 0
