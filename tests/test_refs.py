"""A corpus of the store as a source: its rows come as they are, or each of their translated messages as a pair."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hala_factory import rows
from hala_factory.catalog import Source
from hala_factory.reader import Corpus, corpora, mapping
from tests.workshop import Workshop, alpaca, answers, balanced

PAIRS = {"ref": "first@1.0.0", "rows": "pair", "language": ["en", "ar"]}
AS_THEY_ARE = {"ref": "first@1.0.0", "language": "ar"}
PEOPLE = {"engine": "recorded", "path": "answers.jsonl", "licence": "CC-BY-4.0", "by": "two people"}
DEDUP = {"step": "exact_dedup", "on": "translation"}
TRANSLATED = [{"step": "length", "min_chars": 10}, {"step": "translate", "to": "ar", "model": "people"}]


def shop(workshop: Workshop, ref: dict[str, Any] = PAIRS, n: int = 12, **second: Any) -> Workshop:
    """The corpora `first` of two sources, translated, in `recipe.yaml`; and `second` of it, in `second.yaml`."""
    workshop.rows("open.jsonl", alpaca(n))
    workshop.rows("closed.jsonl", alpaca(n, "thing"))
    workshop.rows("answers.jsonl", [*answers(n), *answers(n, "thing")])
    workshop.yaml(
        "catalog.yaml",
        {
            "sources": {
                "open": {"path": "open.jsonl", "columns": "alpaca", "language": "en", "licence": "MIT"},
                "closed": {"path": "closed.jsonl", "columns": "alpaca", "language": "en", "licence": "CC-BY-NC-4.0"},
                "pairs": {
                    "path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"},
                    "language": ["en", "ar"], "licence": "CC0-1.0",
                },
                "corpus": ref,
            },
            "models": {"people": PEOPLE},
        },
    )  # fmt: skip
    workshop.rows("pairs.jsonl", [{"en": "A well is deep.", "ar": "البئر عميقة."}])
    workshop.recipe(["open", "closed"], TRANSLATED, name="first", version="1.0.0")
    return chained(workshop, **second)


def chained(workshop: Workshop, steps: list[Any] | None = None, file: str = "second.yaml", **fields: Any) -> Workshop:
    """`second.yaml`, which reads the corpus."""
    head = {"name": "second", "kind": "corpus", "version": "dev", "language": "ar"}
    uses = fields.pop("sources", [{"source": "corpus"}])
    steps = [{"step": s} if isinstance(s, str) else s for s in steps or []]
    workshop.yaml(file, {**head, "sources": uses, "steps": steps, **fields})
    return workshop


def second(workshop: Workshop, *words: str, file: str = "second.yaml") -> dict[str, Any]:
    said = workshop.run("build", file, "--json", "--quiet", "--workers", "1", *words)
    return dict(said.json)


def first_version(workshop: Workshop) -> pl.DataFrame:
    return workshop.kept("1.0.0", "first")


# ---- Rows as they are ----


def test_rows_of_a_corpus_keep_id_licence_and_source(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE).build()
    told = second(workshop)
    before, after = first_version(workshop), workshop.kept(name="second")
    facts = ["id", "source", "subset", "licence", "messages"]
    assert after.select(facts).equals(before.select(facts))
    assert told["rows"] == {"in": 24, "kept": 24, "dropped": {}, "failed": {}}
    assert after["origin"].to_list()[5] == {
        "file": "corpus:train-00000-of-00001.parquet", "position": 6, "part": 0,
    }  # fmt: skip


def test_a_corpus_brings_its_licences_and_its_models(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE).build()
    second(workshop)
    manifest = workshop.manifest(name="second")
    parts = [(p["kind"], p["name"], p["licence"], p["rows"]) for p in manifest["licence"]["parts"]]
    assert parts == [
        ("source", "closed", "CC-BY-NC-4.0", 12),
        ("source", "open", "MIT", 12),
        ("model", "people", "CC-BY-4.0", 24),
    ]
    assert manifest["licence"]["licence"] == "CC-BY-NC-4.0"
    page = (workshop.corpus(name="second") / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert page.count("came with first@1.0.0") == 3
    assert "from two people" in page


def test_rows_that_are_left_out_take_their_licence_with_them(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE, sources=[{"source": "corpus", "where": {"licence": "MIT"}}]).build()
    told = second(workshop)
    assert told["rows"]["dropped"] == {"source.where": 12}
    assert workshop.manifest(name="second")["licence"]["licence"] == "CC-BY-4.0"  # that of whoever translated


def test_manifest_lock_and_card_name_the_corpus_and_what_it_was_made_of(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE).build()
    second(workshop)
    locked = workshop.manifest(name="second")["lock"]["sources"]["corpus"]
    digest = workshop.manifest("1.0.0", "first")["digest"].removeprefix("sha256:")
    assert (locked["corpus"], list(locked["origins"]), list(locked["models"])) == (
        "first@1.0.0", ["open", "closed"], ["people"],
    )  # fmt: skip
    assert {f["digest"] for f in locked["files"].values()} == {digest}
    card = (workshop.corpus(name="second") / "README.md").read_text(encoding="utf-8")
    assert "| open | first@1.0.0 | MIT | 12 | 12 | 0 | 0 |" in card


def test_rows_of_one_source_may_come_directly_and_with_a_corpus(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE, steps=["exact_dedup"], sources=[{"source": "corpus"}, {"source": "open"}]).build()
    told = second(workshop)
    counts = workshop.manifest(name="second")["sources"]
    assert told["rows"]["in"] == 36
    assert (counts["open"]["in"], counts["closed"]["in"]) == (24, 12)
    assert all(map(balanced, counts.values()))
    assert workshop.run("verify", "second@dev").code == 0


def test_a_corpus_of_a_corpus_tells_the_first_sources(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE, version="1.0.0").build()
    second(workshop)
    catalog = workshop.folder / "catalog.yaml"
    again = "sources:\n  again: {ref: second@1.0.0, language: ar}\n"
    catalog.write_text(catalog.read_text().replace("sources:\n", again))
    chained(workshop, name="third", file="third.yaml", sources=[{"source": "again"}])
    second(workshop, file="third.yaml")
    manifest = workshop.manifest(name="third")
    assert list(manifest["lock"]["sources"]["again"]["origins"]) == ["open", "closed"]
    assert manifest["licence"]["licence"] == "CC-BY-NC-4.0"
    assert ("model", "people", 24) in [(p["kind"], p["name"], p["rows"]) for p in manifest["licence"]["parts"]]
    row = workshop.kept(name="third")["id"][0]
    told = workshop.run("why", row, "third@dev", "--json").json
    assert [j["artifact"] for j in told] == ["third@dev", "second@1.0.0", "first@1.0.0"]


# ---- Messages as pairs ----


def test_every_translated_message_becomes_a_pair(workshop: Workshop) -> None:
    shop(workshop).build()
    told = second(workshop)
    before, pairs = first_version(workshop), workshop.kept(name="second")
    assert told["rows"] == {"in": 48, "kept": 48, "dropped": {}, "failed": {}}
    expected = [
        (row["source"], row["licence"], number + 1, part, english["content"], arabic["content"])
        for number, row in enumerate(before.iter_rows(named=True))
        for part, (english, arabic) in enumerate(zip(row["messages_en"], row["messages"], strict=True))
    ]
    assert expected == [
        (r["source"], r["licence"], r["origin"]["position"], r["origin"]["part"], r["translation"]["en"],
         r["translation"]["ar"])
        for r in pairs.iter_rows(named=True)
    ]  # fmt: skip
    assert pairs["id"].n_unique() == 48
    assert not set(pairs["id"]) & set(before["id"])


def test_the_languages_of_a_pair_stand_in_the_order_of_the_source(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "language": ["ar", "en"]}).build()
    second(workshop)
    first = workshop.kept(name="second")["translation"][0]
    assert list(first) == ["ar", "en"]
    assert first["en"].isascii()


def test_a_pair_tells_its_journey_into_the_corpus_it_came_from(workshop: Workshop) -> None:
    shop(workshop, steps=[{"step": "length", "on": "translation.en", "max_chars": 45}]).build()
    second(workshop)
    line = workshop.lost(name="second").row(0, named=True)
    told = workshop.run("why", line["id"], "second@dev", "--json").json
    assert [(j["artifact"], j["status"]) for j in told] == [("second@dev", "dropped"), ("first@1.0.0", "kept")]
    assert told[1]["id"] == first_version(workshop)["id"][line["origin"]["position"] - 1]
    assert "message 2" in workshop.run("why", line["id"], "second@dev").out


def test_a_journey_ends_where_the_corpus_is_gone(workshop: Workshop) -> None:
    shop(workshop).build()
    second(workshop)
    shutil.rmtree(workshop.corpus("1.0.0", "first"))
    row = workshop.kept(name="second")["id"][0]
    assert [j["artifact"] for j in workshop.run("why", row, "--json").json] == ["second@dev"]


def test_pairs_from_both_kinds_of_sources_stand_in_one_corpus(workshop: Workshop) -> None:
    shop(workshop, sources=[{"source": "pairs"}, {"source": "corpus", "limit": 7}]).build()
    second(workshop)
    assert workshop.kept(name="second")["source"].to_list() == ["pairs", *["open"] * 7]


MESSAGE = st.sampled_from(["A well.", "  A well. ", "بئر.", "", " ", "$x$"])
TURN = st.tuples(st.sampled_from(["user", "assistant", "system"]), MESSAGE, MESSAGE)
ROW = st.fixed_dictionaries(
    {
        "turns": st.none() | st.lists(TURN, max_size=4),
        "native": st.booleans(),
        "torn": st.booleans(),
        "translator": st.sampled_from([None, "m"]),
        "teacher": st.sampled_from([None, "t"]),
    }
)
CORPUS = Corpus("first@1.0.0", "sha256:0", (), {}, {}, {}, {"en": "messages_en", "ar": "messages"})
SOURCE = Source.model_validate(PAIRS)


def taken(made: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a corpus as they are taken from its file."""

    def side(row: dict[str, Any], which: int) -> list[dict[str, str]] | None:
        if row["turns"] is None or (which == 1 and row["native"]):
            return None
        turns = row["turns"][1:] if which == 1 and row["torn"] else row["turns"]
        return [{"role": turn[0], "content": turn[which]} for turn in turns]

    n = len(made)
    head = {"id": [f"{i:024}" for i in range(n)], "source": ["s"] * n, "subset": ["p"] * n, "licence": ["MIT"] * n}
    texts = {"messages_en": [side(r, 1) for r in made], "messages": [side(r, 2) for r in made]}
    by = {word: [r[word] for r in made] for word in ("translator", "teacher")}
    schema = {**dict.fromkeys(head, pl.String), **dict.fromkeys(texts, rows.MESSAGES), **dict.fromkeys(by, pl.String)}
    frame = pl.DataFrame({**head, **texts, **by}, schema=schema)
    return corpora._taken(frame, "f", pl.int_range(1, n + 1, dtype=pl.Int64), 0, ())


@given(st.lists(ROW, min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_every_message_is_a_pair_or_a_line_in_the_ledger(made: list[dict[str, Any]]) -> None:
    told = corpora.to_rows(taken(made), name="corpus", source=SOURCE, corpus=CORPUS, where=mapping.conditions({}))
    again = corpora.to_rows(taken(made), name="corpus", source=SOURCE, corpus=CORPUS, where=mapping.conditions({}))
    assert told.equals(again)
    by_row = told.partition_by("record", as_dict=True)
    assert len(by_row) == len(made)
    for number, row in enumerate(made, 1):
        lines = by_row[number,]
        turns, torn = row["turns"], bool(row["torn"] and row["turns"] and not row["native"])
        if turns is None or torn:
            assert lines["status"].to_list() == ["failed"]
            assert lines["reason"].to_list() == ["null" if turns is None else "unmatched"]
            continue
        assert lines["origin"].struct.field("part").to_list() == list(range(max(1, len(turns))))
        assert set(lines["licence"]) == {"MIT"}
        for (role, english, arabic), line in zip(turns, lines.iter_rows(named=True), strict=False):
            fine = (
                not row["native"] and row["translator"] is not None
                and not (role == "assistant" and row["teacher"]) and english.strip() and arabic.strip()
                and english.strip() != arabic.strip()
            )  # fmt: skip
            if fine:
                assert (line["status"], line["translation"]) == (None, {"en": english, "ar": arabic})
            else:
                assert (line["status"], line["reason"]) == ("dropped", "not_translated")
                assert line["detail"].startswith(f"message {line['origin']['part'] + 1} ({role}): ")


@given(st.lists(ROW, min_size=2, max_size=6))
@settings(max_examples=50, deadline=None)
def test_the_id_of_a_pair_is_that_of_its_content_wherever_it_stands(made: list[dict[str, Any]]) -> None:
    def ids(order: list[dict[str, Any]]) -> dict[str, set[str]]:
        told = corpora.to_rows(
            taken(order), name="corpus", source=SOURCE, corpus=CORPUS, where=mapping.conditions({})
        ).filter(pl.col("status").is_null())
        found: dict[str, set[str]] = {}
        for own, pair in told.select("id", "translation").iter_rows():
            found.setdefault(json.dumps(pair), set()).add(own)
        return found

    forward, backward = ids(made), ids(made[::-1])
    assert forward == backward
    assert all(len(own) == 1 for own in forward.values())
    assert len({own for each in forward.values() for own in each}) == len(forward)


@pytest.mark.parametrize("shard_rows", [1, 5, 100])
def test_pairs_are_the_same_however_the_corpus_is_cut(workshop: Workshop, shard_rows: int) -> None:
    shop(workshop, steps=[DEDUP]).build()
    told = second(workshop, "--shard-rows", str(shard_rows))
    shutil.rmtree("store/stages")
    shutil.rmtree(workshop.corpus(name="second"))
    again = second(workshop, "--shard-rows", "7")
    assert told["digest"] == again["digest"]
    assert told["rows"]["kept"] == 48


def test_a_killed_reading_goes_on_at_the_row_it_stood_at(workshop: Workshop) -> None:
    """Part records of a source stage are removed; the rest is read from there, and the digest is the same."""
    shop(workshop).build()
    whole = second(workshop, "--shard-rows", "6")
    (stage,) = Path("store/stages").glob("source-corpus-*")
    for record in (stage / "stage.json", *sorted(stage.glob("done-*.json"))[3:]):
        record.unlink()
    (workshop.corpus(name="second") / "manifest.json").unlink()
    assert second(workshop, "--shard-rows", "6")["digest"] == whole["digest"]


# ---- What runs again ----


def statuses(told: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in told["stages"]}


def test_a_changed_corpus_runs_what_follows_it_and_nothing_else(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "ref": "first@dev"})
    workshop.recipe(["open", "closed"], TRANSLATED, name="first")
    chained(workshop, [DEDUP], sources=[{"source": "pairs"}, {"source": "corpus"}])
    workshop.build()
    second(workshop)
    assert set(statuses(second(workshop)).values()) == {"stored"}
    # another bound over the same rows: what is measured is the same, and so are the rows
    workshop.recipe(["open", "closed"], [{"step": "length", "min_chars": 11}, TRANSLATED[1]], name="first")
    workshop.build()
    assert set(statuses(second(workshop)).values()) == {"stored"}
    workshop.recipe(["open"], TRANSLATED, name="first")
    workshop.build()
    plan = workshop.run("plan", "second.yaml", "--json").json
    assert {s["name"]: s["status"] for s in plan["stages"]} == {
        "source-pairs": "stored", "source-corpus": "to run", "exact_dedup": "to run", "corpus": "to run",
    }  # fmt: skip
    assert statuses(second(workshop)) == {
        "source-pairs": "stored", "source-corpus": "run", "exact_dedup": "run", "corpus": "run",
    }  # fmt: skip


def test_a_version_made_of_another_corpus_asks_for_a_new_version(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "ref": "first@dev"})
    workshop.recipe(["open", "closed"], TRANSLATED, name="first")
    chained(workshop, version="1.0.0")
    workshop.build()
    second(workshop)
    workshop.recipe(["open"], TRANSLATED, name="first")
    workshop.build()
    said = workshop.run("build", "second.yaml", "--quiet")
    assert said.code == 2
    assert "first difference: stage 'source-corpus'" in said.err
    assert "bump the version" in said.err


def test_diff_says_that_a_corpus_changed(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "ref": "first@dev"})
    workshop.recipe(["open", "closed"], TRANSLATED, name="first")
    chained(workshop, version="1.0.0")
    workshop.build()
    second(workshop)
    workshop.recipe(["open"], TRANSLATED, name="first")
    workshop.build()
    chained(workshop, version="1.1.0")
    second(workshop)
    told = workshop.run("diff", "second@1.0.0", "second@1.1.0", "--json").json
    (cause,) = told["counts"]
    assert (cause["change"], cause["source"], cause["rows"]) == ("removed", "closed", 24)
    assert cause["why"] == "gone_from_source"


def test_whatif_asks_a_dedup_again_over_rows_of_a_corpus(workshop: Workshop) -> None:
    steps = [{"step": "length", "on": "translation.en", "max_chars": 45}, DEDUP]
    uses = [{"source": "corpus"}, {"source": "pairs"}]
    shop(workshop, steps=steps, sources=uses).build()
    second(workshop)
    told = workshop.run("whatif", "second@dev", "--set", "length.max_chars=1000", "--json").json
    chained(workshop, [{**steps[0], "max_chars": 1000}, DEDUP], sources=uses)
    assert told["kept"]["after"] == second(workshop)["rows"]["kept"] == 49


def test_a_lock_pins_the_rows_of_a_corpus(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "ref": "first@dev"})
    workshop.recipe(["open", "closed"], TRANSLATED, name="first")
    workshop.build()
    assert workshop.run("lock", "second.yaml").code == 0
    assert workshop.run("build", "second.yaml", "--locked", "--quiet").code == 0
    workshop.recipe(["open"], TRANSLATED, name="first")
    workshop.build()
    said = workshop.run("build", "second.yaml", "--locked", "--quiet")
    assert said.code == 2
    assert "sources.corpus.files.train-00000-of-00001.parquet.digest: locked" in said.err


def test_plan_tells_rows_and_licence_of_a_corpus(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE, steps=["exact_dedup", {**TRANSLATED[1], "to": "en", "from": "ar", "prompt": "{text}"}])
    workshop.build()
    told = workshop.run("plan", "second.yaml", "--json").json
    assert told["licence"]["licence"] == "CC-BY-NC-4.0"
    assert told["cost"]["rows"] if "rows" in told["cost"] else told["cost"] is not None


# ---- What is wrong ----

MISSING = [
    ("never built", {**PAIRS, "ref": "absent@1.0.0"}, "'ref' names absent@1.0.0, which is not in"),
    ("what to do", {**PAIRS, "ref": "absent@1.0.0"}, "build it first: hala-factory build absent"),
    ("another version", {**PAIRS, "ref": "first@1.0.1"}, "did you mean 'first@1.0.0'?"),
    ("no version", {**PAIRS, "ref": "first"}, "ref 'first': there is no recipe 'first' beside it"),
]


@pytest.mark.parametrize(("ref", "message"), [m[1:] for m in MISSING], ids=[m[0] for m in MISSING])
def test_a_corpus_that_is_not_there_is_told_with_what_to_do(
    workshop: Workshop, ref: dict[str, Any], message: str
) -> None:
    shop(workshop, ref).build()
    said = workshop.run("build", "second.yaml", "--quiet")
    assert said.code == 2
    assert message in said.err


def test_check_needs_no_store(workshop: Workshop) -> None:
    shop(workshop, {**PAIRS, "ref": "first@1.0.0"}, steps=[{"step": "length", "on": "translation.en", "min_chars": 1}])
    assert workshop.run("check", "second.yaml").code == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.unlink(), "data/train-00000-of-00001.parquet is missing"),
        (lambda f: f.write_bytes(f.read_bytes()[:-20]), "bytes; expected"),
        (lambda f: f.write_bytes(f.read_bytes()[::-1]), "is not as it was written"),
    ],
    ids=["gone", "torn", "changed"],
)
def test_a_damaged_corpus_is_named_and_nothing_is_read(workshop: Workshop, spoil: Any, message: str) -> None:
    shop(workshop).build()
    spoil(workshop.corpus("1.0.0", "first") / "data" / "train-00000-of-00001.parquet")
    said = workshop.run("build", "second.yaml", "--quiet")
    assert said.code == 2
    assert message in said.err
    assert "build it again: hala-factory build first" in said.err
    assert not workshop.corpus(name="second").exists()


def test_a_corpus_that_was_not_translated_has_no_pairs(workshop: Workshop) -> None:
    shop(workshop)
    workshop.recipe(["open"], [], name="first", version="1.0.0")
    workshop.build()
    said = workshop.run("build", "second.yaml", "--quiet")
    assert said.code == 2
    assert "no step 'translate' of it went between 'en' and 'ar'" in said.err


def test_pairs_are_no_conversations(workshop: Workshop) -> None:
    shop(workshop, AS_THEY_ARE)
    workshop.recipe(["pairs"], [], name="first", version="1.0.0")
    workshop.build()
    said = workshop.run("build", "second.yaml", "--quiet")
    assert said.code == 2
    assert "first@1.0.0 holds pairs, and no messages; say 'rows: pair' of the source" in said.err


def test_a_column_that_a_corpus_lacks_is_told_before_anything_is_read(workshop: Workshop) -> None:
    shop(workshop, sources=[{"source": "corpus", "where": {"subject": "x"}}]).build()
    said = workshop.run("plan", "second.yaml")
    assert said.code == 2
    assert "has no column 'subject'" in said.err


def test_a_row_of_a_corpus_that_lacks_its_text_fails_and_costs_no_other() -> None:
    frame = pl.DataFrame(
        {
            "id": ["a", None, "c"], "source": ["s"] * 3, "subset": [None] * 3, "licence": ["MIT"] * 3,
            "translation": [{"en": "A", "ar": "ا"}, {"en": "B", "ar": "ب"}, {"en": "C", "ar": None}],
        },
        schema_overrides={"subset": pl.String},
    )  # fmt: skip
    corpus = Corpus("first@1.0.0", "sha256:0", (), {}, {}, {})
    told = corpora.to_rows(
        corpora._taken(frame, "f", pl.int_range(1, 4, dtype=pl.Int64), 0, ()),
        name="corpus", source=SOURCE, corpus=corpus, where=mapping.conditions({}),
    )  # fmt: skip
    assert told["status"].to_list() == [None, "failed", "failed"]
    assert told["detail"].to_list() == [None, "id is null", "translation is null"]


WRONG = [
    ({"path": "x.jsonl"}, "'ref' stands in place of 'hub' and 'path'"),
    ({"columns": {"en": "en", "ar": "ar"}}, "'columns' is not for a 'ref': the rows of a corpus say it themselves"),
    ({"licence": "MIT"}, "'licence' is not for a 'ref'"),
    ({"ref": "No Name"}, "expected the name of a recipe, or name@version, found 'No Name'"),
    ({"language": "en"}, "columns of a pair source name two languages"),
]


@pytest.mark.parametrize(("more", "message"), WRONG)
def test_a_ref_that_says_too_much_is_told_in_the_catalog(
    workshop: Workshop, more: dict[str, Any], message: str
) -> None:
    shop(workshop, {**PAIRS, **more})
    said = workshop.run("check", "second.yaml")
    assert said.code == 2
    assert message in said.err
    assert "catalog.yaml:" in said.err
