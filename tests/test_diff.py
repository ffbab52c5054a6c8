"""`diff`: exactly the rows that differ between two versions, each with its cause; what was set otherwise; drift."""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hala_factory import diff, rows
from hala_factory.diff.drift import MIN_ROWS, psi
from tests.workshop import Workshop, alpaca, answers

# Generated versions: written as folders, so that hundreds of pairs take seconds

STEPS = [{"step": "length", "label": "length", "min_chars": 5, "name": None, "on": "messages"}]
SCHEMA = {**rows.schema("instruction"), "length.chars": pl.Int32()}


def written(folder: Path, kept: list[dict[str, Any]], lost: list[dict[str, Any]], digest: str = "1") -> diff.Version:
    """A version of these rows, each with id, source, position, text and (if lost) reason."""

    def frame(some: list[dict[str, Any]], head: dict[str, pl.DataType]) -> pl.DataFrame:
        lines = [
            {
                "id": r["id"],
                "source": r["source"],
                "licence": "CC0-1.0",
                "origin": {"file": "f", "position": r["position"], "part": 0},
                "messages": [{"role": "user", "content": r["text"]}],
                "length.chars": len(r["text"]),
                **({"stage": "length", "status": "dropped", "step": "length", "reason": r["reason"]} if head else {}),
            }
            for r in some
        ]
        return (
            pl.DataFrame(lines, schema={**head, **SCHEMA}, orient="row")
            if lines
            else pl.DataFrame(schema={**head, **SCHEMA})
        )

    for word, some in (("data", kept), ("dropped", lost)):
        (folder / word).mkdir(parents=True)
        head = {} if word == "data" else {"stage": pl.String(), **rows.LEDGER}
        frame(some, head).write_parquet(folder / word / "0.parquet")
    sources = ["s"]
    lock = {
        n: {"hub": None, "revision": None, "licence": "x", "files": {"f": {"bytes": 1, "digest": digest}}}
        for n in sources
    }
    stages = [{"name": "length", "kind": "filter", "steps": ["length"]}]
    manifest = {
        "name": folder.name, "version": "dev", "digest": "", "built_at": "", "steps": STEPS, "stages": stages,
        "lock": {"sources": lock, "models": {}, "benchmarks": {}}, "rows": {"kept": len(kept)}, "licences": {},
        "generation": {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}, "contracts": [], "software": {},
        "files": {f"{w}/0.parquet": {"bytes": 1} for w in ("data", "dropped")},
    }  # fmt: skip
    return diff.Version(folder, manifest)


TEXTS = st.text(max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from([f"{i:024x}" for i in range(8)]),
            "source": st.just("s"),
            "position": st.integers(1, 6),
            "text": TEXTS,
            "kept": st.booleans(),
            "reason": st.sampled_from(["too_short", "too_long"]),
        }
    ),
    max_size=14,
    unique_by=lambda r: (r["id"], r["position"]),
)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "change", "lose", "keep", "move"]), st.integers(0, 99), TEXTS),
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(ROWS, OPERATIONS)
def test_diff_tells_exactly_what_was_done_to_a_version(before: list[dict[str, Any]], operations: list[Any]) -> None:
    after = copy.deepcopy(before)
    for number, row in enumerate(before):
        row["was"] = after[number]["was"] = number
    for verb, which, text in operations:
        if verb == "add":
            after.append(
                {
                    "id": f"new{which}",
                    "source": "s",
                    "position": 1000 + len(after),
                    "text": text,
                    "kept": True,
                    "reason": "too_short",
                    "was": None,
                }
            )
        elif after:
            row = after[which % len(after)]
            if verb == "remove":
                after.remove(row)
            elif verb == "change":
                row["text"] = text
            elif verb == "move" and Counter(r["id"] for r in before)[row["id"]] == 1:
                row["position"] += 2000
            elif verb in ("lose", "keep"):
                row["kept"] = verb == "keep"
    expected: Counter[tuple[str, str, Any]] = Counter()
    for row in after:
        old = before[row["was"]] if row["was"] is not None else None
        was, now = bool(old and old["kept"]), row["kept"]
        if now and not was:
            expected["added", row["id"], "was_dropped" if old else "not_read"] += 1
        elif was and not now:
            expected["removed", row["id"], "now_dropped"] += 1
        elif was and now and old and old["text"] != row["text"]:
            expected["changed", row["id"], "unexplained"] += 1
    still = {row["was"] for row in after}
    for row in before:
        if row["was"] not in still and row["kept"]:
            expected["removed", row["id"], "no_longer_read"] += 1
    with tempfile.TemporaryDirectory() as name:
        a, b = (
            written(Path(name) / word, [r for r in some if r["kept"]], [r for r in some if not r["kept"]])
            for word, some in (("a", before), ("b", after))
        )
        compared, told = diff.diff(a, b, 100)
    lists = [n for n, count in Counter(r["id"] for r in before).items() if count > 1]
    found = Counter(compared.rows.select("change", "id", "why").iter_rows())
    exact = {k: n for k, n in expected.items() if k[1] not in lists}
    assert {k: n for k, n in found.items() if k[1] not in lists} == exact
    if not any(verb == "remove" for verb, *_ in operations):  # a copy that is gone may be any of its equals
        assert found == expected
    kept = [sum(r["kept"] for r in some) for some in (before, after)]
    totals = compared.totals()
    assert kept[1] - kept[0] == totals["added"] - totals["removed"]
    assert compared.same + totals["changed"] + totals["removed"] == kept[0]
    assert len(told["examples"]) == min(100, compared.rows.height)
    assert sum(c["rows"] for c in told["counts"]) == compared.rows.height


def test_a_version_does_not_differ_from_itself(workshop: Workshop) -> None:
    workshop.rows("first.jsonl", [*alpaca(30), *alpaca(5)])
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], ["chat_shape", {"step": "length", "min_chars": 40}])
    workshop.build()
    told = workshop.run("diff", "small@dev", "small@dev", "--json").json
    assert told["rows"] == {"added": 0, "removed": 0, "changed": 0, "same": 35, "moved": 0}
    assert not (told["counts"])
    assert not (told["settings"])
    assert not (told["examples"])
    assert not (told["other_reasons"])


# Causes, each brought about by a real change and two real builds

PLAIN = {"first": alpaca(30), "second": alpaca(10, "thing")}
PEOPLE = {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}}
OTHERS = {"others": {"engine": "recorded", "path": "others.jsonl", "licence": "CC0-1.0"}}
TRANSLATE = {"step": "translate", "to": "ar", "model": "people"}
SPACED = [{**r, "output": r["output"].replace(" many", "  many")} for r in alpaca(30)]
EDITED = [
    *alpaca(30)[:7],
    {"instruction": "Quite another thing?", "input": "", "output": "Yes, quite another."},
    *alpaca(30)[8:],
]
STARRED = [{**r, "answer": f"{r['answer']} *"} for r in answers(30)]

CAUSES: dict[str, tuple[dict[str, Any], dict[str, Any], set[tuple[str, int, str, str | None, str]]]] = {
    "a source that is new": ({"sources": ["first"]}, {"sources": ["first", "second"]}, {("added", 10, "new_source", None, "new in")}),
    "a source that is gone": ({"sources": ["first", "second"]}, {"sources": ["first"]}, {("removed", 10, "source_gone", None, "not in")}),
    "rows that are new in a source": ({"first": alpaca(25)}, {"first": alpaca(30)}, {("added", 5, "new_in_source", None, "more rows")}),
    "rows inserted at the top, which move the others": ({"first": alpaca(30)[3:]}, {"first": alpaca(30)}, {("added", 3, "new_in_source", None, "more rows")}),
    "rows that a source lost": ({"first": alpaca(30)}, {"first": alpaca(25)}, {("removed", 5, "gone_from_source", None, "files changed")}),
    "a row edited in the source": (
        {"first": alpaca(30)},
        {"first": EDITED},
        {("added", 1, "edited_in_source", None, "edited"), ("removed", 1, "edited_away", None, "edited")},
    ),
    "a limit that is higher": ({"sources": [{"source": "first", "limit": 20}]}, {}, {("added", 10, "not_read", None, "did not read")}),
    "a limit that is lower": ({}, {"sources": [{"source": "first", "limit": 20}]}, {("removed", 10, "no_longer_read", None, "does not read")}),
    "a threshold": (
        {"steps": [{"step": "length", "min_chars": 10}]},
        {"steps": [{"step": "length", "min_chars": 115}]},
        {("removed", 10, "now_dropped", "length.too_short", "min_chars 10 → 115")},
    ),
    "a threshold, the other way": (
        {"steps": [{"step": "length", "min_chars": 115}]},
        {"steps": [{"step": "length", "min_chars": 10}]},
        {("added", 10, "was_dropped", "length.too_short", "min_chars 115 → 10")},
    ),
    "a step that is new": (
        {"steps": ["chat_shape"]},
        {"steps": ["chat_shape", {"step": "length", "min_chars": 115}]},
        {("removed", 10, "now_dropped", "length.too_short", "no such step")},
    ),
    "another row that stays of its copies": (
        {"sources": ["first", "copies"], "copies": SPACED, "steps": [{"step": "exact_dedup", "prefer": ["first"]}]},
        {"sources": ["first", "copies"], "copies": SPACED, "steps": [{"step": "exact_dedup", "prefer": ["copies"]}]},
        {
            ("added", 30, "was_dropped", "exact_dedup.duplicate", "prefer first → copies"),
            ("removed", 30, "now_dropped", "exact_dedup.duplicate", "prefer first → copies"),
        },
    ),
    "a copy that is new in an earlier source": (
        {"sources": ["first", "copies"], "first": alpaca(20), "copies": SPACED, "steps": ["exact_dedup"]},
        {"sources": ["first", "copies"], "first": alpaca(30), "copies": SPACED, "steps": ["exact_dedup"]},
        {
            ("added", 10, "new_in_source", None, "more rows"),
            ("removed", 10, "now_dropped", "exact_dedup.duplicate", "another row stays"),
        },
    ),
    "a normaliser that is new": (
        {"first": SPACED},
        {"first": SPACED, "steps": ["normalise_space"]},
        {("changed", 30, "other_steps", "normalise_space", "only small@2.0.0 has it")},
    ),
    "another model": (
        {"steps": [TRANSLATE]},
        {"steps": [{**TRANSLATE, "model": "others"}]},
        {("changed", 30, "other_model", "translate", "people → others")},
    ),
    "other answers of the same people": (
        {"steps": [TRANSLATE]},
        {"steps": [TRANSLATE], "answers": STARRED},
        {("changed", 30, "other_model", "translate", "people, of another revision")},
    ),
    "a step before it, so that the same rule measures otherwise": (
        {"first": SPACED, "steps": [{"step": "length", "max_chars": 116}]},
        {"first": SPACED, "steps": ["normalise_space", {"step": "length", "max_chars": 116}]},
        {
            ("added", 20, "was_dropped", "length.too_long", "its text came there otherwise"),
        },
    ),
}  # fmt: skip


def built(workshop: Workshop, version: str, told: dict[str, Any]) -> None:
    for name in ("first", "second", "copies"):
        workshop.rows(f"{name}.jsonl", told.get(name, PLAIN.get(name, [])))
    workshop.rows("answers.jsonl", told.get("answers", answers(30)))
    workshop.rows("others.jsonl", STARRED)
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("first", "second", "copies")}, {**PEOPLE, **OTHERS})
    workshop.recipe(told.get("sources", ["first"]), told.get("steps", []), version=version)
    workshop.build()


@pytest.mark.parametrize("what", CAUSES)
def test_a_difference_is_told_with_its_cause(workshop: Workshop, what: str) -> None:
    before, after, expected = CAUSES[what]
    built(workshop, "1.0.0", before)
    built(workshop, "2.0.0", after)
    told = workshop.run("diff", "small@1.0.0", "small@2.0.0", "--json").json
    found: dict[tuple[str, str, str | None], int] = {}
    for c in told["counts"]:
        key = (c["change"], c["why"], c["by"])
        found[key] = found.get(key, 0) + c["rows"]
    changes = {(change, why, by): rows for change, rows, why, by, _ in expected}
    if "so that the same rule" in what:  # the rows that both keep are changed, too
        assert found.pop(("changed", "other_steps", "normalise_space"))
    assert found == changes
    for change, _, why, by, words in expected:
        said = [c["words"] for c in told["counts"] if (c["change"], c["why"], c["by"]) == (change, why, by)]
        assert all(words in s for s in said), said


def test_settings_stand_side_by_side_and_licences_and_sizes_are_counted(workshop: Workshop) -> None:
    built(workshop, "1.0.0", {"steps": [TRANSLATE, {"step": "length", "min_chars": 10}]})
    built(
        workshop,
        "2.0.0",
        {
            "sources": ["first", "second"],
            "steps": [{**TRANSLATE, "model": "others"}, {"step": "length", "min_chars": 20}],
        },
    )
    told = workshop.run("diff", "small@1.0.0", "small@2.0.0", "--json").json
    differing = {(d["of"], d["what"]): (d["a"], d["b"]) for d in told["settings"]}
    assert differing["steps", "length.min_chars"] == (10, 20)
    assert differing["steps", "translate.model"] == ("people", "others")
    assert differing["models", "people"][1] is None
    assert differing["models", "others"][0] is None
    assert differing["sources", "second"][0] is None
    assert differing["catalog", "second"][1]["licence"] == "CC0-1.0"
    assert told["licences"] == [{"licence": "CC0-1.0", "a": 30, "b": 30}]
    text = pl.col("messages").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum().sum()
    chars = {v: workshop.kept(v).select(text).item() for v in ("1.0.0", "2.0.0")}
    (size,) = told["sizes"]
    assert size == {"source": "first", "rows": {"a": 30, "b": 30}, "chars": {"a": chars["1.0.0"], "b": chars["2.0.0"]}}


def test_every_row_that_differs_can_be_written_and_the_terminal_shows_examples(workshop: Workshop) -> None:
    built(workshop, "1.0.0", {"first": alpaca(25)})
    built(workshop, "2.0.0", {"first": alpaca(30)})
    said = workshop.run("diff", "small@1.0.0", "small@2.0.0", "--rows", "2", "--out", "rows.parquet")
    assert "25 → 30 (+5): 5 added, 0 removed, 0 changed" in said.out
    listed = pl.read_parquet(workshop.folder / "rows.parquet")
    assert sorted(listed["origin"].struct.field("position")) == [26, 27, 28, 29, 30]
    assert sum(said.out.count(i) for i in listed["id"]) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("small@1.0.0", "small@3.0.0"), "holds no 'small@3.0.0'; did you mean"),
        (("small@1.0.0", "small@1.0.0", "--out", "no/such/rows.parquet"), "no/such/rows.parquet: cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_told(workshop: Workshop, words: tuple[str, ...], expected: str) -> None:
    built(workshop, "1.0.0", {"first": alpaca(5)})
    said = workshop.run("diff", *words)
    assert said.code in (1, 2)
    assert expected in said.err


def test_a_missing_file_of_a_version_is_named(workshop: Workshop) -> None:
    built(workshop, "1.0.0", {"first": alpaca(5)})
    (gone,) = (workshop.corpus("1.0.0") / "data").iterdir()
    gone.unlink()
    said = workshop.run("diff", "small@1.0.0", "small@1.0.0")
    assert said.code == 2
    assert f"{gone}: missing" in said.err


# Drift


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0, "the same, for practical purposes"), (0.4, "moved"), (1.5, "another distribution")],
)
def test_drift_follows_the_rule_of_thumb(tmp_path: Path, shift: float, verdict: str) -> None:
    random = np.random.default_rng(7)

    def version(name: str, by: float) -> diff.Version:
        lengths = np.clip(random.normal(100 + 20 * by, 20, 3_000), 1, None).astype(int)
        return written(
            tmp_path / name,
            [{"id": f"{i}", "source": "s", "position": i, "text": "x" * n} for i, n in enumerate(lengths)],
            [],
        )

    _, told = diff.diff(version("a", 0), version("b", shift))
    found = {d["measure"]: d for d in told["drift"]}
    assert found["length.chars"]["verdict"] == verdict
    assert found["text.chars"]["psi"] == found["length.chars"]["psi"]
    assert found["length.chars"]["b"]["mean"] - found["length.chars"]["a"]["mean"] == pytest.approx(20 * shift, abs=2)


def test_psi_is_that_of_its_definition() -> None:
    p, q = np.array([100_000, 300_000]), np.array([200_000, 200_000])
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert psi(p, q) == pytest.approx(expected, abs=1e-4)


def test_few_rows_are_not_judged(tmp_path: Path) -> None:
    some = [{"id": f"{i}", "source": "s", "position": i, "text": "x"} for i in range(MIN_ROWS - 1)]
    _, told = diff.diff(written(tmp_path / "a", some, []), written(tmp_path / "b", some, []))
    assert told["drift"] == []


def test_json_is_plain(workshop: Workshop) -> None:
    built(workshop, "1.0.0", {"first": alpaca(3)})
    assert (
        json.loads(workshop.run("diff", "small@1.0.0", "small@1.0.0", "--json").out)["a"]["artifact"] == "small@1.0.0"
    )
