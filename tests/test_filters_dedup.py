"""Dedup: what counts as the same, which row stays, and that nothing else goes; on tables, at random, on real data."""

from __future__ import annotations

import functools
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from hala_factory import rows, shingles, text
from hala_factory.filters.conflicting_answers import ConflictingAnswers
from hala_factory.filters.exact_dedup import ExactDedup
from hala_factory.filters.near_dedup import NearDedup
from hala_factory.filters.template_cap import TemplateCap
from hala_factory.step import Barrier
from tests.test_filters import ARABIC, PROSE, instructions, pairs, translated
from tests.test_real_data import ALPACA, CODEALPACA, GPTEACHER, raw, raw_pairs

NEWS = (
    "Winds of ninety kilometres an hour tore roofs off houses along the coast on Tuesday night, and some four thousand "
    "people slept in schools and mosques while crews cleared fallen trees from the only road that leads inland."
)
HEAD = {"shard": pl.UInt32, "row": pl.UInt32, "id": pl.String, "source": pl.String, "earlier": pl.Boolean}


def said(*contents: str) -> pl.DataFrame:
    return instructions(*([("user", c)] for c in contents))


def asked(*turns: tuple[str, str]) -> pl.DataFrame:
    return instructions(*([("user", question), ("assistant", answer)] for question, answer in turns))


def indexed(step: Barrier, *shards: tuple[str, pl.DataFrame], earlier: int = 0, batch: int = 8_192) -> pl.DataFrame:
    """The index of shards, each of one source; the last `earlier` of them are of an earlier version."""
    found = []
    for number, (source, frame) in enumerate(shards):
        head = pl.DataFrame(
            {
                "shard": [number] * frame.height,
                "row": range(frame.height),
                "id": [f"{source}{i}" for i in range(frame.height)],
                "source": [source] * frame.height,
                "earlier": [number >= len(shards) - earlier] * frame.height,
            },
            schema=HEAD,
        )
        parts = [step.index(part) for part in frame.iter_slices(batch)] or [step.index(frame)]
        found.append(head.hstack(pl.concat(parts)))
    return pl.concat(found)


def decided(step: Barrier, *shards: tuple[str, pl.DataFrame], earlier: int = 0) -> pl.DataFrame:
    """Every verdict, with the id of its row."""
    index = indexed(step, *shards, earlier=earlier)
    sources = list(dict.fromkeys(source for source, _ in shards[: len(shards) - earlier]))
    verdicts = step.decide(index.lazy(), sources).collect()
    expected = {"shard": pl.UInt32, "row": pl.UInt32, "reason": pl.String, "detail": pl.String, **step.measures()}
    assert dict(verdicts.schema) == {name: verdicts.schema[name] for name in verdicts.columns}
    assert set(verdicts.columns) == set(expected)
    assert all(verdicts.schema[name] == dtype for name, dtype in expected.items())
    assert verdicts.select("shard", "row").is_duplicated().sum() == 0
    named = verdicts.join(index.select(*HEAD), on=["shard", "row"], how="left")
    assert not named["earlier"].any()
    return named.sort("shard", "row")


def gone(step: Barrier, *contents: str) -> list[int]:
    """Which of these texts are dropped."""
    return decided(step, ("a", said(*contents))).filter(pl.col("reason").is_not_null())["row"].to_list()


EXACT: list[tuple[list[str], list[int]]] = [
    (["One", "Other", "one.", " ONE\n"], [2, 3]),
    (["مُحَمَّد يقرأ كتابًا", "محمد  يقرأ كتابا.", "محمد يكتب كتابا"], [1]),
    (["...", "!!!", "...", "…"], [2]),
    (["", "", " "], [1]),
    (["C++", "C#", "C", "-5", "5"], []),
]


@pytest.mark.parametrize(("contents", "dropped"), EXACT)
def test_texts_that_read_the_same_are_kept_once(contents: list[str], dropped: list[int]) -> None:
    assert gone(ExactDedup(), *contents) == dropped


SIDES = asked(("Q", "A"), ("Q", "B"), ("P", "A"), ("q", "a"))


@pytest.mark.parametrize(
    ("on", "dropped"), [("messages", [3]), ("messages.user", [1, 3]), ("messages.assistant", [2, 3])]
)
def test_prompts_answers_or_both_are_compared(on: str, dropped: list[int]) -> None:
    assert decided(ExactDedup(on=on), ("a", SIDES))["row"].to_list() == dropped


def test_of_sentence_pairs_one_side_or_both_are_compared() -> None:
    frame = pairs(("Yes", "نعم"), ("Yes", "أجل"), ("yes.", "نعم."))
    assert decided(ExactDedup(on="translation"), ("a", frame))["row"].to_list() == [2]
    assert decided(ExactDedup(on="translation.en"), ("a", frame))["row"].to_list() == [1, 2]


COPIES: list[tuple[Callable[..., Barrier], str, str]] = [
    (lambda **options: ExactDedup(clusters=True, **options), "duplicate", "same text as {}"),
    (NearDedup, "near_duplicate", "similarity 1.0 with {}"),
]


@pytest.mark.parametrize(("step", "reason", "detail"), COPIES)
@pytest.mark.parametrize(("prefer", "stays"), [([], "first"), (["second"], "second")])
def test_the_row_that_stays_is_of_the_preferred_source_and_its_earliest(
    step: Callable[..., Barrier], reason: str, detail: str, prefer: list[str], stays: str
) -> None:
    shards = [(name, said("Something else entirely, you see", NEWS, NEWS)) for name in ("first", "second")]
    told = decided(step(prefer=prefer), *shards).filter(pl.col("row") > 0)
    assert set(told["cluster"]) == {f"{stays}1"}
    assert set(told["size"]) == {4}
    left = told.filter(pl.col("reason").is_null())
    assert left["id"].to_list() == [f"{stays}1"]
    dropped = told.filter(pl.col("reason").is_not_null())
    assert dropped.select("reason", "detail").unique().rows() == [(reason, detail.format(f"{stays}1 of {stays}"))]


@pytest.mark.parametrize(("step", "reason", "detail"), COPIES)
def test_what_an_earlier_version_holds_is_dropped_and_nothing_is_said_of_that_version(
    step: Callable[..., Barrier], reason: str, detail: str
) -> None:
    assert step(against="small@1.0.0").earlier() == "small@1.0.0"
    shards = [("now", said(NEWS, PROSE, PROSE)), ("then", said(NEWS, NEWS, ARABIC))]
    told = decided(step(against="small@1.0.0"), *shards, earlier=1)
    assert told.select("id", "reason").rows() == [("now0", "in_earlier_version"), ("now1", None), ("now2", reason)]
    assert told["detail"][0] == detail.format("then0 of then in small@1.0.0")


@pytest.mark.parametrize("step", [ExactDedup, NearDedup])
def test_an_earlier_version_may_hold_the_text_under_another_name(step: Callable[..., Barrier]) -> None:
    now, then = asked((NEWS, PROSE)), translated((NEWS, ARABIC), (PROSE, ARABIC))
    moved = step(against="small@1.0.0", on="messages.user", against_on="messages_en.user")
    (told,) = decided(moved, ("now", now), ("then", then), earlier=1)["reason"].to_list()
    assert told == "in_earlier_version"
    assert moved.faults(rows.schema("instruction")) == []
    assert [f for f, _ in moved.faults({c: rows.MESSAGES for c in ("messages", "messages_en")})] == ["against_on"]


def words(n: int, name: str = "w") -> list[str]:
    return [f"{name}{i}" for i in range(n)]


def text_of(*parts: Iterable[str]) -> str:
    return " ".join(word for part in parts for word in part)


# 12 words have 8 shingles of 5. A word more is a ninth: 8/9. Two words more, 8/10.
NEAR: list[tuple[str, dict[str, Any], list[str], list[int]]] = [
    ("word for word", {}, [NEWS, PROSE, NEWS], [2]),
    ("case, marks and space do not count", {}, [NEWS, NEWS.upper().replace(",", " ;").replace(" ", "\n")], [1]),
    ("one word more", {}, [NEWS, NEWS + " Today"], [1]),
    ("just similar enough", {}, [text_of(words(12)), text_of(words(14))], [1]),
    ("not quite", {"min_similarity": 0.81}, [text_of(words(12)), text_of(words(14))], []),
    ("three words more", {}, [text_of(words(12)), text_of(words(15))], []),
    ("another order of sentences", {"min_similarity": 0.5}, ["A b c d e f. G h i j k l", "G h i j k l. A b c d e f"], []),
    ("Arabic in two spellings", {}, [ARABIC, "يَنبُع النهـــر من التلال الواقعه جنوب المدينه وقد عاش المزارعون علي ضفافه منذ زمن بعيد"], [1]),
    ("digits in two scripts", {}, ["In 1999 there were 25 such houses", "In ١٩٩٩ there were ۲۵ such houses"], [1]),
    ("signs count", {}, ["x + y is what we need here", "x - y is what we need here"], []),
    ("a word in a script without spaces is a character", {}, ["我们今天去学校学习汉语", "我们今天去学校学习汉语。", "我们明天去医院看望朋友"], [1]),
    ("a long text and a part of it", {}, [NEWS + " " + PROSE, NEWS], []),
    ("short texts that differ in a word", {}, ["Name a fruit", "Name a river"], []),
    ("short texts that read the same", {}, ["Name a fruit", "name a fruit!"], [1]),
    ("texts of punctuation", {}, ["?!", "...", "?!", ""], [2]),
    ("short texts by characters", {"unit": "char", "ngram": 4}, ["Name three kinds of fruit", "Name three kinds of fruits"], [1]),
    ("runs of one word", {"ngram": 1}, ["red green blue", "blue, red, green", "red green"], [1]),
    ("similar is what one asks for", {"min_similarity": 0.3}, [text_of(words(12)), text_of(words(20))], [1]),
    ("only the same set", {"min_similarity": 1.0}, [NEWS, NEWS + " Today", NEWS.lower()], [2]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "options", "contents", "dropped"), NEAR, ids=[c[0] for c in NEAR])
def test_texts_that_say_almost_the_same_are_kept_once(
    claim: str, options: dict[str, Any], contents: list[str], dropped: list[int]
) -> None:
    assert gone(NearDedup(**options), *contents) == dropped


def test_three_hundred_short_instructions_stay_and_their_copies_go() -> None:
    """Others lump together all texts that are shorter than a shingle, or never drop one of them."""
    short = [f"Describe {a} {b}" for a, b in combinations("abcdefghijklmnopqrstuvwxyz", 2)][:300]
    assert gone(NearDedup(), *short) == []
    assert gone(NearDedup(), *short, *short) == list(range(300, 600))


def test_a_row_goes_only_for_one_that_stays_and_is_itself_similar() -> None:
    chain = [text_of(words(40)[i : i + 30]) for i in range(0, 10, 2)]  # each 24/28 to the next, 22/30 to the one after
    told = decided(NearDedup(), ("a", said(*chain)))
    stays = told.filter(pl.col("reason").is_null())["id"].to_list()
    assert stays == ["a0", "a2"]  # the last has nothing like it left, so nothing is said of it
    dropped = told.filter(pl.col("reason").is_not_null())
    assert dropped.select("id", "cluster").rows() == [("a1", "a0"), ("a3", "a2")]
    assert dropped["similarity"].to_list() == pytest.approx([0.8571] * 2, abs=1e-4)


def test_two_similar_rows_of_an_earlier_version_both_speak_against_a_new_one() -> None:
    chain = [text_of(words(40)[i : i + 30]) for i in (0, 2, 4)]
    then, now = said(*chain[:2]), said(chain[2])
    (told,) = decided(NearDedup(against="small@1.0.0"), ("now", now), ("then", then), earlier=1).rows(named=True)
    assert (told["reason"], told["cluster"]) == ("in_earlier_version", "then1")


def test_questions_on_one_passage_stay_where_the_answers_have_to_be_similar_too() -> None:
    frame = asked(
        (f"{PROSE} Where does it rise?", "In the hills"),
        (f"{PROSE} When does it flood?", "In the spring"),
        (f"{PROSE} Where does the river rise?", "in the hills."),
        (f"{PROSE} Tell me more.", NEWS),
        (f"{PROSE} Tell me more!", NEWS + " Today"),
        (f"{PROSE} Tell me yet more", NEWS.replace("houses", "barns").replace("people", "men").replace("road", "way")),
    )
    alone = NearDedup(on="messages.user")
    both = NearDedup(on="messages.user", also_on="messages.assistant")
    assert decided(alone, ("a", frame)).filter(pl.col("reason").is_not_null())["row"].to_list() == [1, 2, 3, 4, 5]
    told = decided(both, ("a", frame)).filter(pl.col("reason").is_not_null())
    assert told.select("row", "cluster").rows() == [(2, "a0"), (4, "a3")]
    assert [f for f, _ in NearDedup(also_on="messages.judge").faults(rows.schema("instruction"))] == ["also_on"]


def crowd(n: int, numbers: int) -> list[str]:
    """Texts of 80 words in which so many words are a number of their own."""
    drawn = np.random.default_rng(7).integers(0, 10**9, (n, numbers))
    places = [(2 * i + 1) * 80 // (2 * numbers) for i in range(numbers)]
    found = []
    for row in drawn.tolist():
        content = words(80)
        for place, number in zip(places, row, strict=True):
            content[place] = str(number)
        found.append(text_of(content))
    return found


@pytest.mark.parametrize(("numbers", "planted", "dropped"), [(1, 0, 19_999), (3, 200, 200)])
def test_a_crowd_of_boilerplate_is_compared_in_linear_time(
    numbers: int, planted: int, dropped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one number all are similar (71/81 shingles); with three none are (61/91), but for those planted."""
    contents = crowd(20_000, numbers)
    contents += [f"{c} {i}" for i, c in enumerate(contents[: planted * 50 : 50] if planted else [])]
    compared = []
    real = shingles.Sets.jaccard

    def counted(sets: shingles.Sets, first: Any, second: Any) -> Any:
        compared.append(len(first))
        return real(sets, first, second)

    monkeypatch.setattr(shingles.Sets, "jaccard", counted)
    told = decided(NearDedup(), ("a", said(*contents)))
    found = told.filter(pl.col("reason") == "near_duplicate")
    assert found.height == dropped
    assert set(found.filter(pl.col("similarity") < 0.8)["row"]) == set()
    assert sum(compared) < 150 * len(contents)  # all pairs would be 10,000 a row


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    return len(a & b) / len(a | b)


WORD = regex.compile(r"(?:(?![\u3400-\u9fff])[\w\p{M}])+|[\u3400-\u9fff]|[^\w\p{M}\s.,;:!?\"'“”‘’«»()\[\]{}؟،؛۔…¿¡]+")


def shingled(contents: list[str], n: int = 5) -> list[frozenset[tuple[str, ...]]]:
    """The shingles of each text, computed in another way."""
    keys = pl.DataFrame({"text": contents}, schema={"text": pl.String})
    found = [WORD.findall(key) for (key,) in keys.select(text.matching_key(text.fold_digits(pl.col("text")))).rows()]
    return [frozenset(zip(*(words_[i:] for i in range(n)), strict=False)) for words_ in found]


tokens = st.sampled_from(
    [
        *(
            "the",
            "The",
            "of",
            "don't",
            "3.5",
            "10,000",
            "١٢",
            "سلام",
            "مُحَمَّد",
            "كـــلام",
            "ﻻ",
            "é",
            "e\u0301",
            "+",
            "->",
        ),
        *("C++", "\u200f", "...", "؟", "\n", "中文", "🎉", "x_y", "", "ß", "İ", "Straße"),
    ]
)
texts = st.lists(tokens, max_size=14).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(contents=st.lists(texts, max_size=6))
def test_shingles_are_counted_as_in_a_plain_reckoning_whatever_stands_beside_a_text(contents: list[str]) -> None:
    bands = shingles.Bands(3, 4)
    series = pl.Series(contents, dtype=pl.String)
    made = shingles.sketched(series, "word", 2, bands)
    plain = shingled(contents, 2)
    assert made["shingles"].list.len().to_list() == [len(p) for p in plain]
    assert made["whole"].is_null().to_list() == [not p for p in plain]
    for i, j in combinations(range(len(contents)), 2):
        both = set(made["shingles"][i]) & set(made["shingles"][j])
        assert len(both) == len(plain[i] & plain[j])
        assert (plain[i] == plain[j]) == (made["whole"].to_list()[i] == made["whole"].to_list()[j])
    for i in range(len(contents)):
        assert shingles.sketched(series[i : i + 1], "word", 2, bands).equals(made[i : i + 1])


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_bands_find_as_many_pairs_as_they_should(similarity: float) -> None:
    """Pairs of sets of all sizes, of just this similarity: at least 98 of 100 agree in a band (99 are expected)."""
    bands = shingles.Bands.finding(similarity)
    found = total = 0
    for size in (4, 19, 60, 400):
        common = round(2 * size * similarity / (1 + similarity))
        one, other = [], []
        for number in range(150):
            shared = [f"s{number}_{i}" for i in range(common)]
            one.append(text_of(shared, words(size - common, f"a{number}_")))
            other.append(text_of(shared, words(size - common, f"b{number}_")))
        if common / (2 * size - common) < similarity:
            continue
        keys = [shingles.sketched(pl.Series(side), "word", 1, bands).select(bands.names) for side in (one, other)]
        found += int((keys[0].to_numpy() == keys[1].to_numpy()).any(axis=1).sum())
        total += len(one)
    assert total >= 300
    assert found >= 0.98 * total


def test_the_verdicts_depend_neither_on_shards_nor_on_batches() -> None:
    contents = [*crowd(60, 1), NEWS, PROSE, NEWS + " Today", *crowd(60, 2), PROSE + " Now"]
    step = NearDedup()
    whole = indexed(step, ("a", said(*contents)))
    expected = step.decide(whole.lazy(), ["a"]).collect().sort("row").drop("shard")
    for cut in (1, 50, 123):
        shards = [("a", said(*contents[:cut])), ("a", said(*contents[cut:]))]
        index = indexed(step, *shards, batch=7).with_columns(id=whole["id"])
        told = step.decide(index.lazy(), ["a"]).collect().sort("shard", "row")
        told = told.with_columns(row=pl.col("row") + pl.col("shard") * cut).drop("shard")
        assert told.equals(expected)


def test_pairs_are_verified_in_parts_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [*crowd(40, 1), NEWS, PROSE, NEWS + " Today"]
    expected = decided(NearDedup(), ("a", said(*contents)))
    monkeypatch.setattr(shingles, "_CHARS", 64)
    assert decided(NearDedup(), ("a", said(*contents))).equals(expected)


@pytest.mark.parametrize(
    "step", [ExactDedup(), ExactDedup(clusters=True), NearDedup(), NearDedup(also_on="messages.user"), TemplateCap()]
)
def test_no_rows_get_no_verdicts(step: Barrier) -> None:
    assert decided(step, ("a", instructions())).height == 0


BOTH = {0: "conflicting_answer", 1: "conflicting_answer"}
NEITHER: dict[int, str | None] = {0: None, 1: None}
CONFLICTS: list[tuple[dict[str, Any], list[tuple[str, str]], dict[int, str | None]]] = [
    ({}, [("Is it?", "Yes"), ("is it", "no."), ("Was it?", "Yes")], BOTH),
    ({}, [("هل هذا صحيح؟", "نعم، هو كذلك."), ("هل هذا صحيح", "لا")], BOTH),
    ({}, [("How many?", "1,200"), ("How many?", "١٣٠٠")], BOTH),
    ({}, [("How many?", "1,200"), ("How many?", "١٢٠٠")], NEITHER),
    ({}, [("A, B or C?", "B"), ("A, B or C?", "(c)")], BOTH),
    ({}, [("Is it?", "Yes"), ("Is it?", "Yes, it is."), ("Is it?", "True")], dict.fromkeys(range(3))),
    ({}, [("Is it?", "Yes"), ("Is it?", "No."), ("Is it?", "Perhaps")], {**BOTH, 2: "conflicting_answer"}),
    ({"keep": "first"}, [("Is it?", "Yes"), ("Is it?", "No"), ("Is it?", "Yes, so it is")], {0: None, 1: "conflicting_answer", 2: None}),
    ({}, [("Is it?", "Yes"), ("Is it?", "YES.")], {}),
    ({}, [("Make up a question", "Who murdered Jamie?"), ("Make up a question", "Who left?")], NEITHER),
    ({}, [("We all know", "نعرف كلنا"), ("We all know", "كلنا نعلم")], NEITHER),
    ({}, [("Go on", "No problem is without a solution"), ("Go on", "Yes men abound")], NEITHER),
    ({}, [("Tell a story", PROSE), ("Tell a story", NEWS)], NEITHER),
    ({"max_words": 5}, [("Who wrote it?", "Taha Hussein"), ("Who wrote it?", "Naguib Mahfouz")], BOTH),
    ({"max_words": 5}, [("Tell a story", PROSE), ("Tell a story", "A man left.")], NEITHER),
]  # fmt: skip


@pytest.mark.parametrize(("options", "turns", "verdicts"), CONFLICTS)
def test_answers_that_exclude_each_other_conflict_and_others_that_differ_do_not(
    options: dict[str, Any], turns: list[tuple[str, str]], verdicts: dict[int, str | None]
) -> None:
    told = decided(ConflictingAnswers(**options), ("a", asked(*turns)))
    assert dict(told.select("row", "reason").iter_rows()) == verdicts
    assert set(told["answers"]) <= {2, 3}


def named(n: int) -> str:
    """A made-up word, another for every number."""
    return "".join(chr(97 + int(digit)) for digit in str(n))


def filled(template: str, n: int) -> list[str]:
    """A template filled in with words that no other row has."""
    return [template.format(f"some {named(i)}x other {named(i)}y thing {named(i)}z") for i in range(n)]


TEMPLATES: list[tuple[str, int]] = [
    ("Summarize: {}", 7),
    ("{}\n\nTL;DR:", 7),
    ("Is this review positive?\nReview: {}\nAnswer:", 7),
    ("I know that the answer to the question “{}” is in the text.", 7),
    ("لخص النص التالي:\n{}", 7),
    ("{}\nHow would you rephrase that in a few words?", 7),
    ("Write a story about {}", 0),
    ("What is the capital of {}?", 0),
    ("{}\n42", 0),
    ("Hello! {}", 0),
]


@pytest.mark.parametrize(("template", "dropped"), TEMPLATES)
def test_rows_of_a_template_are_capped_and_common_ways_to_ask_are_not(template: str, dropped: int) -> None:
    others = [f"Something of its own is asked of {named(i)}, is it not" for i in range(20)]
    told = decided(TemplateCap(max_rows=5), ("a", said(*filled(template, 12), *others)))
    assert told.filter(pl.col("reason") == "template_full").height == dropped
    assert set(told["row"]) == (set(range(12)) if dropped else set())
    assert set(told["size"]) == ({12} if dropped else set())
    assert told["template"].n_unique() == bool(dropped)


def test_templates_that_begin_alike_are_told_apart_by_their_ends() -> None:
    contents = [c for end in ("Answer:", "Topic:") for c in filled("Question: {}\n" + end, 9)]
    told = decided(TemplateCap(max_rows=5), ("a", said(*contents)))
    assert Counter(told["template"]) == {"question: … answer:": 9, "question: … topic:": 9}
    assert told.filter(pl.col("reason").is_not_null()).height == 8
    assert told["detail"].drop_nulls()[0] == "one of 9 made from: question: … answer:"


def test_which_rows_of_a_template_stay_depends_on_their_ids_and_the_seed_alone() -> None:
    contents = filled("Summarize: {}", 30)
    left = [
        set(decided(TemplateCap(max_rows=9, seed=seed), ("a", said(*c))).filter(pl.col("reason").is_null())["id"])
        for seed, c in ((0, contents), (0, contents[::-1]), (1, contents))
    ]
    assert left[0] == left[1] != left[2]
    assert len(left[2]) == 9


T0 = "t0-50k/files/data_per_template"


@functools.cache
def t0(shared: Path) -> list[tuple[str, str, str]]:
    """Template, prompt and answer of every row."""
    paths = sorted((shared / T0).glob("*.jsonl.gz"))
    read = [(path.name, json.loads(row)) for path in paths for row in gzip.decompress(path.read_bytes()).splitlines()]
    return [(name, row["prompt"], row["completion"].removesuffix("<|endoftext|>")) for name, row in read]


def alpaca(shared: Path, name: str, answer: str = "output") -> list[tuple[str, str]]:
    records = json.loads(raw(shared, name))
    return [("\n\n".join(t for t in (r["instruction"], r["input"]) if t.strip()), r[answer]) for r in records]


def test_prompts_of_one_source_are_found_in_another_that_sells_them_too(shared: Path) -> None:
    ours, theirs = alpaca(shared, GPTEACHER[0], "response"), alpaca(shared, CODEALPACA)
    assert len({q for q, _ in ours} & {q for q, _ in theirs}) == 4_535
    for step in (ExactDedup(on="messages.user"), NearDedup(on="messages.user"), NearDedup()):
        told = decided(step, ("gpteacher", asked(*ours)), ("codealpaca", asked(*theirs)))
        dropped = told.filter(pl.col("reason").is_not_null())
        assert dropped.filter(source="codealpaca").height == 4_535
        assert dropped.filter(source="gpteacher").height < 0.02 * len(ours)


def test_sentence_pairs_of_two_collections_are_found(shared: Path) -> None:
    ours, theirs = raw_pairs(shared, "tatoeba"), raw_pairs(shared, "manythings")
    common = set(ours) & set(theirs)
    assert len(common) > 3_800
    spelt = [pair for pair in theirs if pair in common]
    for step in (ExactDedup(on="translation"), NearDedup(on="translation")):
        told = decided(step, ("tatoeba", pairs(*ours)), ("manythings", pairs(*theirs)))
        dropped = told.filter(pl.col("reason").is_not_null(), source="manythings")
        found = [theirs[i] for i in dropped["row"]]
        assert set(spelt) <= set(found)


def test_near_duplicates_of_real_rows_are_those_that_a_count_of_all_pairs_finds(shared: Path) -> None:
    rows_ = t0(shared)[::40] + [("", *row) for row in alpaca(shared, ALPACA)[::12]]
    contents = [f"{question}\n\n{answer}" for _, question, answer in rows_]
    sets = shingled(contents)
    holders: dict[tuple[str, ...], list[int]] = {}
    for number, found in enumerate(sets):
        for one in found:
            holders.setdefault(one, []).append(number)
    pairs_ = {pair for held in holders.values() if len(held) < 100 for pair in combinations(held, 2)}
    similar = {(a, b) for a, b in pairs_ if jaccard(sets[a], sets[b]) >= 0.8}
    assert len(similar) > 300
    told = decided(NearDedup(), ("a", asked(*((q, a) for _, q, a in rows_)))).filter(pl.col("reason").is_not_null())
    keepers = {row: int(cluster[1:]) for row, cluster in told.select("row", "cluster").iter_rows()}
    missed = [pair for pair in similar if not keepers.keys() & set(pair)]
    assert len(missed) <= 0.005 * len(similar)
    for (row, keeper), similarity in zip(keepers.items(), told["similarity"], strict=True):
        assert keeper not in keepers
        if sets[row]:
            assert jaccard(sets[row], sets[keeper]) == pytest.approx(similarity, abs=0.005)
            assert similarity >= 0.8


def test_the_templates_of_t0_are_found_and_few_instructions_of_alpaca_are_lost(shared: Path) -> None:
    templated, varied = t0(shared), alpaca(shared, ALPACA)
    shards = [("t0", asked(*((q, a) for _, q, a in templated))), ("alpaca", asked(*varied))]
    dropped = decided(TemplateCap(), *shards).filter(pl.col("reason") == "template_full")
    assert dropped.filter(source="alpaca").height <= 0.005 * len(varied)
    left = Counter(name for name, _, _ in templated)
    above = sum(max(n - 100, 0) for n in left.values())
    assert 0.95 * above < dropped.filter(source="t0").height < 1.02 * above
    left.subtract(templated[row][0] for row in dropped.filter(source="t0")["row"])
    assert sum(n <= 110 for n in left.values()) >= 0.8 * len(left)  # the others begin and end with what was filled in


def test_t0s_many_questions_on_one_text_do_not_conflict_and_its_yes_and_no_do(shared: Path) -> None:
    found = t0(shared)
    told = decided(ConflictingAnswers(), ("t0", asked(*((q, a) for _, q, a in found))))
    assert 1_100 < told.height < 1_200
    dropped = [found[row][2] for row in told.filter(pl.col("reason").is_not_null())["row"]]
    assert sorted(dropped) == ["No", "Yes"]
