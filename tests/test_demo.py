"""The first corpus, built as `make demo` builds it: what its samples plant must be found, and nothing else lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workshop import Workshop, balanced

ROOT = Path(__file__).resolve().parents[1]

CATCHERS = {
    "prompt_leak": {"translate.prompt_leak"},
    "refusal": {"translate.refusal"},
    "loop": {"translate.loop"},
    "untranslated": {"translate.echo", "translate.wrong_language"},
    "digits_changed": {"numbers.missing_numbers", "numbers.added_numbers"},
    "code_translated": {"structure.lost_code", "source.where"},
    "placeholder_lost": {"structure.lost_placeholder", "structure.lost_url", "structure.lost_tag"},
    "cut_short": {
        "length_ratio.too_short",
        "numbers.missing_numbers",
        "structure.lost_latex",
        "structure.lost_skeleton",
    },
}
"""For each fault planted among the recorded translations, what may catch it."""

DIRT = {
    "exact_duplicate": {"exact_dedup.duplicate"},
    "cross_source_duplicate": {"exact_dedup.duplicate"},
    "empty_answer": {"chat_shape.empty_turn"},
    "empty_input": {"chat_shape.empty_turn"},
    "placeholder_answer": {"chat_shape.placeholder_answer"},
    "placeholder_input": {"chat_shape.placeholder_input"},
    "null": {"source.null"},
    "wrong_language": {"language.language"},
    "native_arabic": {"kept"},
    "role_order": {"chat_shape.role_order"},
    "end_of_text_tail": {"kept"},
    "junk_symbols": {"language.language", "gopher_quality.too_few_alphabetic_words"},
    "too_short": {"length.too_short", "language.language", "language.low_score"},
    "repetition_loop": {"repetition.top_2_gram", "repetition.top_3_gram", "repetition.top_4_gram"},
    "near_duplicate": {"near_dedup.near_duplicate"},
    "other_numbers": {"kept"},
    "refusal": {"refusal.refusal", "refusal.boilerplate"},
    "rhyme": {"self_destruction.task_breaks"},
    "test_question": {"decontaminate.contaminated", "decontaminate_ar.same_question"},
}
"""For each kind of dirt planted among the sources' rows, what must become of it in this recipe."""


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / "samples" / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo")
    said = Workshop(folder).run(
        "build", str(ROOT / "recipes" / "arabic-instruct-v1.yaml"), "--profile", "demo",
        "--catalog", str(ROOT / "catalog.yaml"), "--store", str(folder / "store"), "--json",
    )  # fmt: skip
    told: dict[str, Any] = said.json
    corpus = Path(told["path"])
    told["kept"] = pl.read_parquet(corpus / "data" / "*.parquet")
    told["lost"] = pl.read_parquet(corpus / "dropped" / "*.parquet")
    told["corpus"] = corpus
    return told


def fates(demo: dict[str, Any], column: str) -> dict[str, str]:
    """What became of every message text in a column: `kept`, or step and reason."""
    found = {}
    for row in demo["lost"].iter_rows(named=True):
        found |= {m["content"]: f"{row['step']}.{row['reason']}" for m in row[column] or []}
    for row in demo["kept"].iter_rows(named=True):
        found |= {m["content"]: "kept" for m in row[column] or []}
    return found


def test_every_row_of_every_sample_is_accounted_for(demo: dict[str, Any]) -> None:
    written = sum(len(lines(f"written/{p.stem}.jsonl")) for p in (ROOT / "samples" / "written").glob("[!o]*.jsonl"))
    written += len(lines("written/open-orca.jsonl"))
    assert demo["rows"]["in"] == written
    assert balanced(demo["rows"])
    assert all(balanced(s) for s in json.loads((demo["corpus"] / "manifest.json").read_text())["sources"].values())


@pytest.mark.parametrize("planted", lines("faults.jsonl"), ids=lambda f: f"{f['source']}-{f['fault']}")
def test_a_bad_translation_is_caught_by_a_step_that_is_meant_to(demo: dict[str, Any], planted: dict[str, str]) -> None:
    fate = fates(demo, "messages_en").get(planted["text"]) or fates(demo, "messages")[planted["text"]]
    assert fate in CATCHERS[planted["fault"]]


def test_no_good_translation_is_dropped(demo: dict[str, Any]) -> None:
    bad = {f["text"] for f in lines("faults.jsonl")}
    dirty = {(d["source"], d["position"] + 1) for d in lines("dirt.jsonl")}
    after = demo["lost"].filter(pl.col("messages_en").is_not_null())
    wrong = [
        (row["source"], row["step"], row["reason"])
        for row in after.iter_rows(named=True)
        if not bad & {m["content"] for m in row["messages_en"]}
        and (row["source"], row["origin"]["position"]) not in dirty
    ]
    assert after.height
    assert wrong == []


@pytest.mark.parametrize(
    "planted",
    [d for d in lines("dirt.jsonl") if d["source"] != "opus-100"],
    ids=lambda d: f"{d['source']}-{d['position']}-{d['dirt']}",
)
def test_dirt_in_a_source_meets_its_step(demo: dict[str, Any], planted: dict[str, Any]) -> None:
    place = (pl.col("source") == planted["source"]) & (
        pl.col("origin").struct.field("position") == planted["position"] + 1
    )
    gone = demo["lost"].filter(place)
    fate = f"{gone['step'][0]}.{gone['reason'][0]}" if gone.height else "kept"
    assert demo["kept"].filter(place).height + gone.height == 1
    assert fate in DIRT[planted["dirt"]] | ({"source.where"} if planted["source"] == "hermes-3" else set())


def test_good_english_rows_reach_the_translator(demo: dict[str, Any]) -> None:
    dirty = {(d["source"], d["position"] + 1) for d in lines("dirt.jsonl")}
    before = demo["lost"].filter(pl.col("messages_en").is_null(), pl.col("reason") != "where")
    clean = [
        (r["source"], r["origin"]["position"], r["reason"])
        for r in before.iter_rows(named=True)
        if (r["source"], r["origin"]["position"]) not in dirty
    ]
    assert clean == []


def test_native_arabic_is_kept_as_it_was_and_says_so(demo: dict[str, Any]) -> None:
    native = demo["kept"].filter("native")
    assert {(r["source"], r["subset"]) for r in native.iter_rows(named=True)} == {
        ("tulu-3", "ai2-adapt-dev/tulu_v3.9_aya_100k")
    }
    written = {d["messages"][0]["content"]: d["messages"] for d in lines("written/tulu-3.jsonl") if d["messages"]}
    assert native.height == 3
    for row in native.iter_rows(named=True):
        assert row["messages"] == written[row["messages"][0]["content"]]
        assert (row["messages_en"], row["translator"]) == (None, None)
        assert row["language_ar.label"] == "ar"


def test_the_english_stands_beside_the_arabic_with_model_and_licence(demo: dict[str, Any]) -> None:
    kept = demo["kept"].filter(~pl.col("native"))
    assert set(kept["translator"]) == {"recorded-samples"}
    assert set(kept["licence"]) == {"Apache-2.0"}
    for row in kept.iter_rows(named=True):
        assert [m["role"] for m in row["messages"]] == [m["role"] for m in row["messages_en"]]
        assert len(row["messages"]) >= 2


def test_conversations_are_the_same_rows_in_the_published_form(demo: dict[str, Any]) -> None:
    published = pl.read_parquet(demo["corpus"] / "conversations" / "*.parquet")
    assert published["id"].to_list() == demo["kept"]["id"].to_list()
    roles = {"system": "system", "user": "human", "assistant": "gpt"}
    for ours, theirs in zip(demo["kept"]["messages"], published["conversations"], strict=True):
        assert [{"from": roles[m["role"]], "value": m["content"]} for m in ours] == list(theirs)


def test_the_card_says_who_translated(demo: dict[str, Any]) -> None:
    card = (demo["corpus"] / "README.md").read_text(encoding="utf-8")
    assert "recorded answers by the authors of hala-factory; not a translator model's output" in card
    assert "**A demonstration.**" in card
