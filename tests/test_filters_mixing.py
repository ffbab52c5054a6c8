"""Rows among rows: attractors, shifted stretches, samples, mixtures, and scores of models of one's own."""

from __future__ import annotations

import csv
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hala_factory import lots, rows, text
from hala_factory.errors import BuildError, InputError
from hala_factory.filters import misaligned
from hala_factory.filters.attractor import Attractor
from hala_factory.filters.misaligned import Misaligned
from hala_factory.filters.mix import Mix
from hala_factory.filters.quality_estimate import QualityEstimate
from hala_factory.filters.sample import Sample
from hala_factory.run.passing import judge
from hala_factory.step import Barrier
from tests.scorers import likeness
from tests.test_filters import pairs, verdicts
from tests.test_real_data import TATOEBA, raw

SIDES = {"source": "translation.en", "target": "translation.ar"}


def placed(body: pl.DataFrame, names: list[str] | None = None, start: int = 1) -> pl.DataFrame:
    """Rows with their head: sources' names (one source if none), ids, and positions in one file."""
    sources = names or ["pairs"] * body.height
    head = {
        "id": [f"{name}-{n}" for n, name in enumerate(sources)],
        "source": sources,
        "origin": [{"file": "file", "position": n + start, "part": 0} for n in range(body.height)],
    }
    return pl.DataFrame(head, schema={name: rows.HEAD[name] for name in head}).hstack(body)


def decided(step: Barrier, frame: pl.DataFrame, shards: int = 1) -> pl.DataFrame:
    """What the step has to say of the rows, with their number among all, from an index of so many shards."""
    cuts = [n * frame.height // shards for n in range(shards + 1)]
    parts = []
    for shard, (start, end) in enumerate(pairwise(cuts)):
        part = frame[start:end]
        head = part.select(
            pl.lit(shard, pl.UInt32).alias("shard"),
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
            "id",
            "source",
        )
        parts.append(head.with_columns(earlier=pl.lit(False)).hstack(step.index(part)))
    index = pl.concat(parts)
    found = step.decide(index.lazy(), list(dict.fromkeys(frame["source"]))).collect()
    assert {"shard", "row", "reason", "detail"} == set(found.columns)
    assert found.select("shard", "row").is_duplicated().sum() == 0
    numbers = index.select("shard", "row", pl.int_range(pl.len()).alias("number"))
    return found.join(numbers, on=["shard", "row"]).sort("number").select("number", "reason", "detail")


def reasons(step: Barrier, frame: pl.DataFrame) -> list[str | None]:
    found = decided(step, frame)
    known = dict(found.select("number", "reason").iter_rows())
    return [known.get(number) for number in range(frame.height)]


# Attractors

SPOOFED = "كيف يتم اكتشاف تزوير عنوان بروتوكول الإنترنت؟"
MANY = [
    "Which muscle flexes the knee?",
    "What did Keynes think of saving?",
    "Name the capital of Mongolia.",
    "How many moons has Mars?",
]
TARGETS: list[tuple[str, Attractor, list[tuple[str, str]], list[str | None]]] = [
    ("many unlike sources", Attractor(**SIDES), [(s, SPOOFED) for s in MANY], ["attractor"] * 4),
    ("not more than are allowed", Attractor(**SIDES), [(s, SPOOFED) for s in MANY[:3]], [None] * 3),
    ("no bound", Attractor(**SIDES, max_sources=None), [(s, SPOOFED) for s in MANY], [None] * 4),
    (
        "marks and case make no other target",
        Attractor(**SIDES),
        [*((s, SPOOFED) for s in MANY[:3]), (MANY[3], "كيفَ يتمّ اكتشافُ تزويرِ عنوان بروتوكول الانترنت")],
        ["attractor"] * 4,
    ),
    ("one source many times is one", Attractor(**SIDES), [(MANY[0], SPOOFED)] * 9, [None] * 9),
    (
        "paraphrases share a translation",
        Attractor(**SIDES, max_sources=1),
        [
            ("Please complete the attached application form.", "يرجى ملء نموذج طلب الوظيفة المرفق."),
            ("Please fill out the attached application form.", "يرجى ملء نموذج طلب الوظيفة المرفق."),
            ("Kindly fill out the attached job application form.", "يرجى ملء نموذج طلب الوظيفة المرفق."),
        ],
        [None] * 3,
    ),
    (
        "numbers do not tell apart",
        Attractor(**SIDES),
        [(source, f"انتقل إلى الصفحة رقم {n} من الكتاب المرفق") for n, source in enumerate(MANY)],
        ["attractor"] * 4,
    ),
    (
        "forms with other numbers are alike",
        Attractor(**SIDES, max_sources=1),
        [(f"Turn to page {n} of the enclosed book", f"انتقل إلى الصفحة رقم {n} من الكتاب المرفق") for n in range(9)],
        [None] * 9,
    ),
    (
        "a short text has many sources",
        Attractor(**SIDES),
        [(s, "لا تقلق أبدا") for s in ("Never worry.", "Take it easy!", "No fear", "Relax, please", "Cheer up")],
        [None] * 5,
    ),
    (
        "a very short one is not judged",
        Attractor(**SIDES, max_sources=1, long_chars=1),
        [(s, "نعم") for s in ("Yes.", "Yeah", "Aye", "Sure")],
        [None] * 4,
    ),
    ("a very long one has one source", Attractor(**SIDES), [(s, SPOOFED * 2) for s in MANY[:2]], ["attractor"] * 2),
    (
        "near-targets count with it",
        Attractor(**SIDES),
        [
            (MANY[0], "كيف يتم اكتشاف تزوير عنوان IP؟"),
            (MANY[1], "كيف يتم اكتشاف تزوير عنوان IP؟"),
            (MANY[2], "كيف يتم كشف تزوير عنوان IP؟"),
            (MANY[3], "كيف يتم اكتشاف التزوير في عنوان IP؟"),
            ("Who wrote Hamlet?", "كيف يمكن اكتشاف تزوير عنوان IP؟"),
            ("Where do storks winter?", "أين تقضي اللقالق فصل الشتاء؟"),
        ],
        ["attractor"] * 5 + [None],
    ),
    (
        "unless they are not wanted",
        Attractor(**SIDES, near=False),
        [
            (MANY[0], "كيف يتم اكتشاف تزوير عنوان IP؟"),
            (MANY[1], "كيف يتم اكتشاف تزوير عنوان IP؟"),
            (MANY[2], "كيف يتم كشف تزوير عنوان IP؟"),
            (MANY[3], "كيف يتم اكتشاف التزوير في عنوان IP؟"),
            ("Who wrote Hamlet?", "كيف يمكن اكتشاف تزوير عنوان IP؟"),
        ],
        [None] * 5,
    ),
    (
        "it names what another source names",
        Attractor(**SIDES),
        [("South Africa", "جنوب إفريقيا"), ("South Korea", "جنوب إفريقيا")],
        [None, "copied"],
    ),
    (
        "a c may be a k",
        Attractor(**SIDES),
        [("North Korea", "مقدونيا الشمالية"), ("North Macedonia", "مقدونيا الشمالية")],
        ["copied", None],
    ),
    (
        "a part of a name names it",
        Attractor(**SIDES),
        [("Blissymbols", "رموز بليس"), ("Symbols", "رموز بليس")],
        [None, "copied"],
    ),
    (
        "unless that is not looked for",
        Attractor(**SIDES, copied=False),
        [("South Africa", "جنوب إفريقيا"), ("South Korea", "جنوب إفريقيا")],
        [None, None],
    ),
    (
        "names that both have say nothing",
        Attractor(**SIDES),
        [("Tom likes to travel.", "يحب توم السفر."), ("Tom is fond of travelling.", "يحب توم السفر.")],
        [None, None],
    ),
    ("no names say nothing", Attractor(**SIDES), [("i see", "فهمت ذلك"), ("understood", "فهمت ذلك")], [None, None]),
    (
        "odd texts",
        Attractor(**SIDES, max_sources=1),
        [("İstanbul", "مدينة كبيرة جدا"), ("", "مدينة كبيرة جدا"), ("...", "مدينة كبيرة جدا"), ("x", ""), ("", "")],
        [None] * 5,
    ),
]


@pytest.mark.parametrize(("step", "texts", "expected"), [c[1:] for c in TARGETS], ids=[c[0] for c in TARGETS])
def test_a_target_of_many_unlike_sources_falls(
    step: Attractor, texts: list[tuple[str, str]], expected: list[str | None]
) -> None:
    assert reasons(step, placed(pairs(*texts))) == expected


def test_a_row_falls_with_one_of_its_messages_and_is_told_why() -> None:
    english = [[("user", "Hello to all of you"), ("assistant", source)] for source in MANY]
    arabic = [[("user", "أهلا بكم جميعا"), ("assistant", SPOOFED)] for _ in MANY]

    def spelt(rows_: list[list[tuple[str, str]]]) -> list[list[dict[str, str]]]:
        return [[{"role": role, "content": content} for role, content in row] for row in rows_]

    schema = {"messages_en": rows.MESSAGES, "messages": rows.MESSAGES}
    body = pl.DataFrame({"messages_en": spelt(english), "messages": spelt(arabic)}, schema=schema)
    found = decided(Attractor(), placed(pl.concat([body, body.clear(), body[:0]])))
    assert found["reason"].to_list() == ["attractor"] * 4
    assert "stands beside 4 sources, such as “How many moons has Mars?”" in found["detail"][0]
    assert decided(Attractor(), placed(body[:0])).height == 0


@given(st.permutations(range(8)), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_shards_decide_what_is_an_attractor(order: list[int], shards: int) -> None:
    texts = [*((s, SPOOFED) for s in MANY), ("Paris", "مدينة باريس"), ("Rome", "مدينة باريس"), ("a", "ب"), ("", "")]
    shuffled = placed(pairs(*(texts[n] for n in order)))
    found = decided(Attractor(**SIDES), shuffled, shards)
    told = {order[number]: (reason, detail) for number, reason, detail in found.iter_rows()}
    alone = decided(Attractor(**SIDES), placed(pairs(*texts)))
    assert told == {number: (reason, detail) for number, reason, detail in alone.iter_rows()}
    assert set(told) == {0, 1, 2, 3, 5}


CONSONANTS = [
    ("Scotland", "اسكتلندا", "SKTLNT"),
    ("Philippe Schröder", "فيليب شرودر", "FLB SRTR"),
    ("Geneva!", "جنيف", "KNF"),
    ("İstanbul", "إسطنبول", "STNBL"),
    ("Churchill", "تشرشل", "SRSL"),
    ("a, e, i: 12", "و١٢ا", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("english", "arabic", "sounds"), CONSONANTS)
def test_names_sound_alike_in_both_scripts(english: str, arabic: str, sounds: str) -> None:
    frame = pl.DataFrame({"text": [english, arabic]}).select(text.consonants(pl.col("text")).str.strip_chars())
    assert frame["text"].to_list() == [sounds, sounds]


# Shifted stretches

NUMBERED = [
    (f"Chapter {n} was read by {'all of ' * (n % 7)}us.", f"قرأنا {'كلنا ' * (n % 7)}الفصل {n}.")
    for n in range(10, 90)
]


def shifted(texts: list[tuple[str, str]], start: int, end: int, by: int) -> list[tuple[str, str]]:
    """The targets of a stretch, each so many rows away from its source."""
    targets = [target for _, target in texts]
    stretch = targets[start:end]
    targets[start:end] = stretch[-by:] + stretch[:-by]
    return list(zip((source for source, _ in texts), targets, strict=True))


@pytest.mark.parametrize("by", [1, -1, 2, 3])
def test_a_stretch_that_fits_its_neighbours_falls(by: int) -> None:
    found = decided(Misaligned(**SIDES), placed(pairs(*shifted(NUMBERED, 20, 50, by))))
    gone = set(found["number"])
    assert len(gone & set(range(20, 50))) >= 30 - abs(by)
    assert len(gone - set(range(20, 50))) <= abs(by)
    assert set(found["reason"]) == {"shifted"}
    where = "after" if by > 0 else "before"
    assert f"fit the targets {abs(by)} {where} their own" in found["detail"][0]


ALIGNED: list[tuple[str, Misaligned, list[tuple[str, str]]]] = [
    ("an aligned file", Misaligned(**SIDES), NUMBERED),
    ("a shift farther than is looked for", Misaligned(**SIDES, max_shift=1), shifted(NUMBERED, 20, 50, 3)),
    ("a stretch that is too short", Misaligned(**SIDES, min_rows=40), shifted(NUMBERED, 20, 50, 1)),
    ("too little evidence", Misaligned(**SIDES, min_evidence=1_000), shifted(NUMBERED, 20, 50, 1)),
    ("no evidence", Misaligned(**SIDES), [("the same old words", "الكلمات نفسها دائما")] * 60),
    ("no targets", Misaligned(**SIDES), [(source, "") for source, _ in NUMBERED]),
    ("no texts", Misaligned(**SIDES), [("", "")] * 9),
    ("one row", Misaligned(**SIDES), NUMBERED[:1]),
    ("no row", Misaligned(**SIDES), []),
]


@pytest.mark.parametrize(("step", "texts"), [case[1:] for case in ALIGNED], ids=[case[0] for case in ALIGNED])
def test_what_is_not_shifted_stays(step: Misaligned, texts: list[tuple[str, str]]) -> None:
    assert decided(step, placed(pairs(*texts))).height == 0


def test_a_line_too_many_shifts_the_rest_of_its_file_and_no_other() -> None:
    targets = [target for _, target in NUMBERED]
    late = [*targets[:30], "سطر زائد.", *targets[30:-1]]
    bad = list(zip((source for source, _ in NUMBERED), late, strict=True))
    frame = placed(pairs(*NUMBERED, *bad, *NUMBERED), ["a"] * 80 + ["b"] * 80 + ["c"] * 80)
    gone = decided(Misaligned(**SIDES), frame)["number"].to_list()
    assert gone == list(range(gone[0], 160))
    assert 108 <= gone[0] <= 111
    files = frame.with_columns(
        pl.struct(
            file=pl.col("source"), position=pl.col("origin").struct.field("position"), part=pl.lit(0, pl.Int32)
        ).alias("origin"),
        source=pl.lit("one"),
    )
    assert decided(Misaligned(**SIDES), files)["number"].to_list() == gone


def test_rows_that_fell_before_do_not_shift_their_neighbours() -> None:
    whole = placed(pairs(*shifted(NUMBERED, 20, 60, 1)))
    thinned = whole.filter(pl.int_range(pl.len()) % 4 != 1)
    gone = {whole["id"][n] for n in decided(Misaligned(**SIDES), whole)["number"]}
    still = {thinned["id"][n] for n in decided(Misaligned(**SIDES), thinned)["number"]}
    assert still <= gone
    assert len(gone & set(thinned["id"]) - still) <= 2
    assert decided(Misaligned(**SIDES), placed(pairs(*NUMBERED)).gather_every(2)).height == 0


@pytest.mark.parametrize("shards", [2, 7])
def test_a_stretch_is_the_same_in_any_shards(shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = placed(pairs(*shifted(NUMBERED, 20, 50, 2)))
    whole = decided(Misaligned(**SIDES), frame)
    assert whole.height >= 28
    assert decided(Misaligned(**SIDES), frame, shards).equals(whole)
    monkeypatch.setattr(misaligned, "_CHUNK", 13)
    assert decided(Misaligned(**SIDES), frame, shards).equals(whole)


def test_messages_and_parts_of_a_record_are_followed_in_their_order() -> None:
    def message(content: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": content}]

    texts = shifted(NUMBERED, 20, 50, 1)
    body = pl.DataFrame(
        {"messages_en": [message(s) for s, _ in texts], "messages": [message(t) for _, t in texts]},
        schema={"messages_en": rows.MESSAGES, "messages": rows.MESSAGES},
    )
    parts = [{"file": "f", "position": n // 2, "part": n % 2} for n in range(80)]
    frame = placed(body).with_columns(origin=pl.Series(parts, dtype=rows.HEAD["origin"]))
    assert decided(Misaligned(), frame)["number"].to_list() == decided(Misaligned(), placed(body))["number"].to_list()


# Samples

SIZES = {"big": 1_000, "middle": 100, "small": 7}


def mixed(sizes: dict[str, int], seed: int = 0) -> pl.DataFrame:
    """Rows of sources of these sizes, with a subset, a label and a length."""
    names = [name for name, size in sizes.items() for _ in range(size)]
    body = pl.DataFrame(
        {
            "subset": [("x", "y", None)[n % 3] for n in range(len(names))],
            "language.label": [("ar", "arz")[n % 5 == 0] for n in range(len(names))],
            "length.chars": list(range(len(names))),
            "exact": [n % 2 == 0 for n in range(len(names))],
        },
        schema_overrides={"length.chars": pl.Int32},
    )
    return placed(body, names)


def left(step: Barrier, frame: pl.DataFrame, shards: int = 1) -> pl.DataFrame:
    return frame.with_row_index("number").join(decided(step, frame, shards), on="number", how="anti")


def counted(frame: pl.DataFrame, column: str = "source") -> dict[Any, int]:
    return dict(sorted(Counter(frame[column].to_list()).items(), key=str))


DRAWN: list[tuple[Sample | Mix, dict[str, int], set[str]]] = [
    (Sample(), SIZES, set()),
    (Sample(limits={"big": 10}), {"big": 10, "middle": 100, "small": 7}, {"over_limit"}),
    (Sample(max_rows_each=50), {"big": 50, "middle": 50, "small": 7}, {"over_cap"}),
    (Sample(max_rows_each=0), {}, {"over_cap"}),
    (Sample(max_rows=100), {"big": 90, "middle": 9, "small": 1}, {"not_sampled"}),
    (Sample(max_rows=2_000), SIZES, set()),
    (Sample(max_rows=0), {}, {"not_sampled"}),
    (Sample(share=0.5), {"big": 500, "middle": 50, "small": 4}, {"not_sampled"}),
    (Sample(share=0.5, max_rows=11), {"big": 10, "middle": 1}, {"not_sampled"}),
    (
        Sample(limits={"big": 200}, max_rows_each=100, share=0.1),
        {"big": 10, "middle": 10, "small": 1},
        {"over_limit", "over_cap", "not_sampled"},
    ),
    (Mix(weights={"big": 2, "middle": 1, "small": 0}), {"big": 200, "middle": 100}, {"over_share"}),
    (Mix(weights={"big": 1, "middle": 1, "small": 1}), {"big": 7, "middle": 7, "small": 7}, {"over_share"}),
    (
        Mix(weights={"big": 6, "middle": 3, "small": 1}, max_rows=50),
        {"big": 30, "middle": 15, "small": 5},
        {"over_share"},
    ),
    (
        Mix(weights={"big": 1, "middle": 1, "small": 1}, max_rows=300),
        {"big": 193, "middle": 100, "small": 7},
        {"over_share"},
    ),
    (
        Mix(weights={"big": 1, "middle": 1, "small": 1}, max_rows=10),
        {"big": 4, "middle": 3, "small": 3},
        {"over_share"},
    ),
    (Mix(weights={"big": 0, "middle": 0, "small": 5}, max_rows=90), {"small": 7}, {"over_share"}),
    (Mix(weights={"big": 1, "middle": 0, "small": 0}), {"big": 1_000}, {"over_share"}),
    (Mix(weights={"big": 1, "middle": 1, "small": 1}, max_rows=0), {}, {"over_share"}),
    (Mix(temperature=1), SIZES, set()),
    (Mix(temperature=2), {"big": 84, "middle": 26, "small": 7}, {"over_share"}),
    (Mix(temperature=1_000), {"big": 7, "middle": 7, "small": 7}, {"over_share"}),
    (Mix(temperature=1, max_rows=111), {"big": 100, "middle": 10, "small": 1}, {"over_share"}),
]


@pytest.mark.parametrize(("step", "stays", "why"), DRAWN, ids=lambda v: repr(v) if isinstance(v, Sample | Mix) else "")
def test_exactly_the_stated_numbers_stay(step: Barrier, stays: dict[str, int], why: set[str]) -> None:
    frame = mixed(SIZES)
    found = decided(step, frame)
    assert counted(left(step, frame)) == stays
    assert set(found["reason"]) == why
    assert found["detail"].null_count() == 0


@pytest.mark.parametrize(
    "step", [Sample(share=0.3, by=["source", "subset"]), Mix(temperature=2), Sample(max_rows_each=20)], ids=repr
)
def test_neither_shards_nor_the_order_of_the_rows_decide_who_is_drawn(step: Barrier) -> None:
    frame = mixed(SIZES)
    ids = set(left(step, frame)["id"])
    assert set(left(step, frame, 5)["id"]) == ids
    assert set(left(step, frame.reverse(), 3)["id"]) == ids
    other = step.model_copy(update={"seed": 1})
    assert set(left(other, frame)["id"]) != ids


def test_equal_rows_of_a_source_draw_lots_of_their_own() -> None:
    frame = mixed({"big": 200}).with_columns(id=pl.lit("the same"))
    assert left(Sample(share=0.5), frame).height == 100
    assert lots.draw(frame, 0).n_unique() == 200


def test_a_sample_is_drawn_from_all_over_the_rows() -> None:
    places = left(Sample(max_rows=100), mixed({"big": 10_000}))["number"]
    assert 4_000 < float(places.cast(pl.Float64).mean()) < 6_000  # type: ignore[arg-type]
    assert places.cast(pl.Float64).diff().max() < 1_000  # type: ignore[operator]


def test_strata_are_made_of_columns_measures_and_intervals() -> None:
    frame = mixed(SIZES)
    step = Sample(
        by=["subset", "exact", "language.label", "length.chars"], edges={"length.chars": [100, 1_000]}, max_rows_each=3
    )
    assert step.faults(dict(frame.schema)) == []
    parts = left(step, frame).with_columns(
        part=(pl.col("length.chars") >= 100).cast(pl.Int8) + (pl.col("length.chars") >= 1_000)
    )
    sizes = parts.group_by("subset", "exact", "language.label", "part").len()["len"]
    assert sizes.max() == 3
    assert sizes.len() == 3 * 2 * 2 * 3
    told = decided(step, frame)["detail"].to_list()
    assert any(
        t.startswith('{"subset":null,"exact":"true","language.label":"ar","length.chars":"100 to 1000"}: 3 of ')
        for t in told
    )


def test_a_mixture_of_labels_tells_the_shares_asked_for_and_reached() -> None:
    frame = mixed({"big": 1_000})
    step = Mix(by="language.label", weights={"ar": 1, "arz": 1}, max_rows=500)
    assert counted(left(step, frame), "language.label") == {"ar": 300, "arz": 200}
    (detail,) = set(decided(step, frame)["detail"])
    assert detail == '"ar": share 0.5000 asked for, 0.6000 reached; 300 of 800 rows stay'
    assert counted(left(Mix(by="subset", weights={"x": 1, "y": 1, "": 0}), frame), "subset") == {"x": 333, "y": 333}


WRONG: list[tuple[Callable[[], Barrier], str, str]] = [
    (lambda: Sample(by=["sourec"]), "by", "no column 'sourec' to part them by; did you mean 'source'?"),
    (lambda: Sample(by=["length.chars"]), "by", "is a number: say where its strata part, e.g. edges: {length.chars: "),
    (lambda: Sample(by=["origin"]), "by", "no column 'origin'"),
    (lambda: Sample(by=["id"]), "by", "no column 'id'"),
    (lambda: Sample(edges={"length.chars": [1]}), "edges", "does not stand in 'by'"),
    (lambda: Sample(edges={"source": [1]}), "edges", "'source' is no number"),
    (lambda: Mix(by="label", temperature=2), "by", "no column 'label'"),
]


@pytest.mark.parametrize(("made", "field", "message"), WRONG)
def test_columns_that_make_no_strata_are_found_before_anything_runs(
    made: Callable[[], Barrier], field: str, message: str
) -> None:
    ((at, said),) = made().faults(dict(mixed({"big": 1}).schema))
    assert at == field
    assert message in said


UNKNOWN: list[tuple[Barrier, str]] = [
    (Sample(limits={"bigg": 1}), "'limits' has no source 'bigg'; did you mean 'big'?"),
    (
        Mix(weights={"big": 1, "smal": 1, "small": 1, "middle": 1}),
        "'weights' names 'smal', which no row has as its source",
    ),
    (Mix(weights={"big": 1}), "'weights' has none for 'middle'; 0 leaves its rows out"),
    (Mix(by="subset", weights={"x": 1, "y": 1}), "'weights' has none for ''"),
]


@pytest.mark.parametrize(("step", "message"), UNKNOWN)
def test_a_name_that_no_row_has_is_an_error(step: Barrier, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        decided(step, mixed(SIZES))


def test_a_source_whose_rows_are_all_gone_does_not_empty_the_mixture() -> None:
    frame = mixed({"big": 30, "middle": 10})
    step = Mix(weights={"big": 1, "middle": 1, "small": 1})
    index = frame.select(
        pl.lit(0, pl.UInt32).alias("shard"), pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), "id", "source"
    ).hstack(step.index(frame))
    found = step.decide(index.lazy(), ["big", "middle", "small"]).collect()
    assert found.height == 20


@pytest.mark.parametrize(
    "options", [{}, {"weights": {"a": 1}, "temperature": 2}, {"weights": {"a": 0}}, {"temperature": 0.5}]
)
def test_a_mixture_has_weights_or_a_temperature(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Mix(**options)


weighed = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6).map(lambda w: round(w, 3)), min_size=1)


@given(weighed, st.integers(0, 10_000))
def test_parts_are_whole_and_nowhere_a_row_from_what_the_weights_say(weights: dict[str, float], total: int) -> None:
    parts = lots.apportioned(weights, total)
    whole = sum(map(Fraction, weights.values()))
    assert sum(parts.values()) == (total if whole else 0)
    for name, weight in weights.items():
        assert abs(parts[name] - (Fraction(weight) * total / whole if whole else 0)) < 1


@given(weighed, st.integers(0, 3_000), st.data())
def test_what_is_filled_up_takes_no_row_twice_and_misses_none(
    weights: dict[str, float], total: int, data: st.DataObject
) -> None:
    sizes = {name: data.draw(st.integers(0, 900)) for name in weights}
    parts = lots.filled(weights, sizes, total)
    assert all(0 <= parts.get(name, 0) <= size for name, size in sizes.items())
    assert sum(parts.values()) == min(total, sum(size for name, size in sizes.items() if weights[name]))
    assert lots.filled(weights, sizes, 10**6).items() >= {n: s for n, s in sizes.items() if weights[n]}.items()


@given(weighed.filter(lambda weights: any(weights.values())), st.data())
def test_the_largest_mixture_cannot_be_larger(weights: dict[str, float], data: st.DataObject) -> None:
    sizes = {name: data.draw(st.integers(1, 900)) for name in weights}
    most = lots.most_within(weights, sizes)
    whole = sum(map(Fraction, weights.values()))
    assert all(Fraction(w) * most / whole <= sizes[name] for name, w in weights.items())
    assert any(Fraction(w) * (most + 1) / whole > sizes[name] for name, w in weights.items() if w)


# Scores of a model of one's own


HERE = "tests.scorers:likeness"


def test_a_score_is_measured_and_judged() -> None:
    step = QualityEstimate(**SIDES, scorer=HERE, min_score=0.5)
    frame = pairs(("abcd", "ابجد"), ("abcd", "ا"), ("abcd", "ابجد"), ("", "ا"))
    assert step.faults(dict(frame.schema)) == []
    assert step.measure(frame).to_dict(as_series=False) == {"score": [1.0, 0.25, 1.0, 0.0], "pairs": [1, 1, 1, 1]}
    assert verdicts(step, frame) == [None, "low_score", None, "low_score"]
    assert QualityEstimate(**SIDES, scorer=HERE).rules() == []
    empty = pl.DataFrame(
        {"messages": [[]], "messages_en": [[]]}, schema={"messages": rows.MESSAGES, "messages_en": rows.MESSAGES}
    )
    assert verdicts(QualityEstimate(scorer=HERE, min_score=0.5), empty) == [None]


def test_the_version_of_the_scorer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    step = QualityEstimate(**SIDES, scorer=HERE)
    before = step.identity()
    assert before == QualityEstimate(**SIDES, scorer=HERE).identity()
    monkeypatch.setattr(likeness, "version", "2")
    assert step.identity() != before


@pytest.fixture
def scorers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module of functions that answer badly."""

    def picky(sources: list[str], targets: list[str]) -> list[float]:
        if "bad" in sources:
            raise KeyError("bad")
        return [1.0] * len(sources)

    def naught(sources: list[str], targets: list[str]) -> list[float]:
        return [float("nan") if s == "bad" else 1.0 for s in sources]

    def words(sources: list[str], targets: list[str]) -> list[str]:
        return ["good"] * len(sources)

    def short(sources: list[str], targets: list[str]) -> list[float]:
        return [1.0] * (len(sources) - 1)

    def nothing(sources: list[str], targets: list[str]) -> None:
        return None

    module = SimpleNamespace(picky=picky, naught=naught, words=words, short=short, nothing=nothing, text="text")
    for function in (picky, naught, words, short, nothing):
        function.version = "1"  # type: ignore[attr-defined]
    module.unversioned = lambda sources, targets: [1.0] * len(sources)
    monkeypatch.setitem(sys.modules, "bad_scorers", module)
    return module


@pytest.mark.parametrize("name", ["picky", "naught"])
def test_a_pair_that_has_no_score_is_a_failed_row_and_its_neighbours_are_judged(name: str, scorers: object) -> None:
    step = QualityEstimate(**SIDES, scorer=f"bad_scorers:{name}", min_score=0.5)
    kept, gone = judge(placed(pairs(("good", "ا"), ("bad", "ب"), ("fine", "ج"))), [step])
    assert kept["id"].to_list() == ["pairs-0", "pairs-2"]
    assert gone.select("id", "status", "reason").rows() == [("pairs-1", "failed", "error")]
    assert "bad" in gone["detail"][0]


@pytest.mark.parametrize(
    ("name", "message"),
    [("short", "answered 1 scores for 2 pairs"), ("words", "no list of numbers"), ("nothing", "no list of numbers")],
)
def test_a_scorer_that_breaks_its_promise_ends_the_build(name: str, message: str, scorers: object) -> None:
    step = QualityEstimate(**SIDES, scorer=f"bad_scorers:{name}")
    with pytest.raises(BuildError, match=message):
        step.measure(pairs(("a", "ا"), ("b", "ب")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:score", "cannot be loaded: No module named 'no_such_module'"),
        ("json:score", "has no attribute 'score'"),
        ("cometkiwi", "no scorer 'cometkiwi'; none is installed in the group hala_factory.scorers"),
        ("bad_scorers:text", "is a str, not a function"),
        ("bad_scorers:unversioned", "has no attribute 'version'"),
        (":", "cannot be loaded"),
    ],
)
def test_a_scorer_that_is_none_is_found_before_anything_runs(name: str, message: str, scorers: object) -> None:
    ((field, said),) = QualityEstimate(**SIDES, scorer=name).faults(dict(pairs().schema))
    assert field == "scorer"
    assert message in said


def test_a_scorer_may_be_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = SimpleNamespace(name="likeness", load=lambda: likeness)
    monkeypatch.setattr("hala_factory.filters.quality_estimate.entry_points", lambda group: [point])
    assert QualityEstimate(**SIDES, scorer="likeness").measure(pairs(("ab", "اب")))["score"].to_list() == [1.0]
    ((_, said),) = QualityEstimate(**SIDES, scorer="likenes").faults(dict(pairs().schema))
    assert "did you mean 'likeness'?" in said


# Real data


def parallel(shared: Path, name: str) -> list[tuple[str, str]]:
    """Real pairs in the order of their documents."""
    if name == "tatoeba":
        return list(zip(*(raw(shared, f"{TATOEBA}.{code}").splitlines() for code in ("eng", "ara")), strict=True))
    if name == "manythings":
        found = (line.split("\t") for line in raw(shared, "manythings-ara/files/seq2seqBasic/ara.txt.gz").splitlines())
        return [(cells[0], cells[1]) for cells in found]
    if name == "winomt":
        cut = (
            line.split(" ||| ") for line in raw(shared, "winomt-mt/files/translations/google/en-ar.txt").splitlines()
        )
        return [(sides[0], sides[1]) for sides in cut if len(sides) == 2]
    folder = "ntrex128/files/NTREX-128/newstest2019-ref"
    sides = [raw(shared, f"{folder}.{code}").split("\n") for code in ("eng-US.txt.gz", "arb.txt")]
    return [(a.strip(), b.strip()) for a, b in zip(*sides, strict=False) if a]


@pytest.mark.parametrize(("name", "most"), [("ntrex", 0), ("tatoeba", 5), ("manythings", 5), ("winomt", 0)])
def test_good_translations_are_no_attractors(shared: Path, name: str, most: int) -> None:
    assert decided(Attractor(**SIDES), placed(pairs(*parallel(shared, name)))).height <= most


@pytest.mark.parametrize("name", ["ntrex", "tatoeba", "manythings", "winomt"])
def test_nothing_falls_of_files_that_are_not_shifted(shared: Path, name: str) -> None:
    assert decided(Misaligned(**SIDES), placed(pairs(*parallel(shared, name)))).height == 0


@pytest.mark.parametrize(("length", "least"), [(12, 0.88), (20, 0.95), (60, 0.98)])
def test_shifted_stretches_of_news_are_found(shared: Path, length: int, least: float) -> None:
    texts, moved, start = parallel(shared, "ntrex"), set(), 50
    drawn = random.Random(length)
    while start + length < len(texts) - 40:
        texts = shifted(texts, start, start + length, 1)
        moved |= set(range(start, start + length))
        start += length + drawn.randrange(40, 90)
    gone = set(decided(Misaligned(**SIDES), placed(pairs(*texts)))["number"])
    assert len(gone & moved) >= least * len(moved)
    assert len(gone - moved) <= 0.006 * (len(texts) - len(moved))  # beside the edges of stretches


def test_the_targets_that_a_published_translation_fell_back_on_are_found(shared: Path) -> None:
    """Hundreds of wordings of one question, put beside a tenth of the sources of real pairs."""
    files = sorted(shared.glob("acegpt-bench/files/MMLUArabic/*/*.csv"))
    asked = [line[0] for f in files for line in csv.reader(f.read_text(encoding="utf-8").splitlines()) if line]
    family = [
        q for q in asked if re.search(r"\bIP\b|بروتوكول ال[إا]نترنت", q) and re.search("تزو|تزي|مزور|مزيف|خداع", q)
    ]
    assert len(family) > 300
    assert len(set(family)) > 90
    texts, drawn = parallel(shared, "ntrex") + parallel(shared, "tatoeba"), random.Random(0)
    hit = set(drawn.sample(range(len(texts)), len(texts) // 10))
    texts = [(source, drawn.choice(family) if n in hit else target) for n, (source, target) in enumerate(texts)]
    gone = set(decided(Attractor(**SIDES), placed(pairs(*texts)))["number"])
    assert len(gone & hit) >= 0.97 * len(hit)
    assert len(gone - hit) <= 5


def test_targets_copied_from_another_entry_are_found_among_fuzzy_ones(shared: Path) -> None:
    import polib

    files = sorted(shared.glob("iso-codes/files/*/ar.po"))
    entries = [entry for f in files for entry in polib.pofile(str(f)) if not entry.obsolete]
    frame = placed(pairs(*((entry.msgid, entry.msgstr) for entry in entries)))
    gone = decided(Attractor(**SIDES), frame)["number"].to_list()
    assert len(gone) >= 6
    assert all("fuzzy" in entries[n].flags for n in gone)
    strict = decided(Attractor(**SIDES, max_sources=1, long_chars=1), frame)["number"].to_list()
    flagged = ["fuzzy" in entries[n].flags for n in strict]
    assert sum(flagged) >= 12
    assert len(flagged) - sum(flagged) <= 4  # of a target with two sources one may be right, and both fall
