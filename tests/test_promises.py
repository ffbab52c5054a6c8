"""What decides the bytes of a corpus, and what runs again: content, and nothing else."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hala_factory import catalog, fingerprint, plan, recipe
from hala_factory.store import Store
from tests.workshop import Workshop, alpaca, parquet_digests, troubled

# ---- The same recipe gives the same bytes ----

BOTH = ["messages", "conversations"]
ROWS = 16


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An ordinary build in one process, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        workshop = Workshop(tmp_path_factory.mktemp("plain"))
        patch.chdir(workshop.folder)
        patch.delenv("HALA_STORE", raising=False)
        told = troubled(workshop, ROWS, exports=BOTH).build()
        return {**told, "files": parquet_digests(workshop.corpus())}


@pytest.mark.parametrize(
    ("workers", "shard_rows"),
    [
        (1, 1),
        (1, 7),
        (1, 1000),
        pytest.param(2, 7, marks=pytest.mark.slow),
        (3, 7),
        pytest.param(2, 1000, marks=pytest.mark.slow),
        pytest.param(3, 1000, marks=pytest.mark.slow),
    ],
)
def test_workers_shards_store_and_folder_do_not_change_a_byte(
    workshop: Workshop, plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch, workers: int, shard_rows: int
) -> None:
    monkeypatch.setattr("hala_factory.run.building.SMALL_BYTES", 0)  # else so few rows never reach a worker
    troubled(workshop, ROWS, exports=BOTH)
    told = workshop.build("--workers", str(workers), "--shard-rows", str(shard_rows))
    assert told["digest"] == plain["digest"]
    assert parquet_digests(workshop.corpus()) == plain["files"]


def test_rows_of_every_fate_are_among_the_bytes_that_are_compared(plain: dict[str, Any]) -> None:
    reasons = {**plain["rows"]["dropped"], **plain["rows"]["failed"]}
    assert set(reasons) == {
        *("source.where", "length.too_short", "brief.too_long", "exact_dedup.duplicate", "length_ar.too_long"),
        *("source.bad_json", "source.bad_row", "source.bad_utf8", "source.null", "source.wrong_type"),
        "translate.missing",
    }
    assert plain["rows"]["kept"] > 0
    assert set(plain["files"]) == {
        "conversations/train-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "dropped/dropped-00000.parquet",
    }


def test_dropped_rows_lie_stage_by_stage_in_the_order_of_their_source(workshop: Workshop) -> None:
    troubled(workshop, ROWS).build()
    lost = workshop.lost().rows(named=True)
    stages = [s["name"] for s in workshop.manifest()["stages"]]
    places = [(stages.index(r["stage"]), r["source"], r["origin"]["position"]) for r in lost]
    assert places == sorted(places)


# ---- What decides a fingerprint ----

SMALL = {
    "name": "small",
    "kind": "corpus",
    "version": "dev",
    "language": "ar",
    "description": "Small.",
    "sources": [{"source": "plain", "limit": 50, "where": {"kind": ["a", "b"], "lang": "en"}}],
    "steps": [
        {"step": "length", "min_chars": 3, "max_chars": 900},
        {"step": "exact_dedup"},
        {"step": "translate", "to": "ar", "model": "one"},
        {"step": "length", "name": "length_ar", "min_chars": 2},
    ],
    "profiles": {"demo": {"models": {"one": "two"}}, "other": {"models": {"one": "two"}}},
}


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """The fingerprints of the stages of a recipe (as YAML text or as data), by the names of the stages."""
    folder = tmp_path_factory.mktemp("fingerprints")
    workshop = Workshop(folder)
    rows = [{**r, "kind": "a", "lang": "en"} for r in alpaca(3)]
    workshop.rows("plain.jsonl", rows)
    workshop.rows("one.jsonl", [{"text": "a", "answer": "b"}])
    workshop.rows("two.jsonl", [{"text": "a", "answer": "c"}])
    models = {n: {"engine": "recorded", "path": f"{n}.jsonl", "licence": "MIT"} for n in ("one", "two")}
    loaded = catalog.load(workshop.catalog({"plain": {"path": "plain.jsonl"}}, models))

    def of(content: str | dict[str, Any], profile: str | None = None) -> dict[str, str]:
        text = content if isinstance(content, str) else spelt(content)
        ready = recipe.load(workshop.write("recipe.yaml", text), loaded, profile)
        return {s.name: s.fingerprint for s in plan.plan(ready, Store.at(folder / "store")).stages}

    return of


def spelt(value: Any) -> str:
    out = StringIO()
    YAML().dump(value, out)
    return out.getvalue()


def shuffled(value: Any, by: random.Random) -> Any:
    """The same content with the keys of every mapping in another order."""
    if isinstance(value, dict):
        return {k: shuffled(v, by) for k, v in by.sample(sorted(value.items()), len(value))}
    return [shuffled(v, by) for v in value] if isinstance(value, list) else value


@settings(max_examples=15, deadline=None)
@given(by=st.randoms(use_true_random=False), comment=st.text("abcäع #:-{}'", max_size=20))
def test_neither_the_order_of_keys_nor_comments_nor_style_count(
    fingerprints: Callable[..., dict[str, str]], by: random.Random, comment: str
) -> None:
    text = "".join(f"{line} # {comment}\n" for line in spelt(shuffled(SMALL, by)).splitlines())
    expected = fingerprints(SMALL)
    assert fingerprints(text) == expected
    assert fingerprints(json.dumps(shuffled(SMALL, by), indent=by.choice([1, None]))) == expected  # JSON is YAML


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4))


@given(value=VALUES, by=st.randoms(use_true_random=False))
def test_equal_content_has_one_fingerprint(value: Any, by: random.Random) -> None:
    again = json.loads(json.dumps(shuffled(value, by)))
    assert fingerprint.fingerprint(again) == fingerprint.fingerprint(value)


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), ("1", 1), (None, ""), ([], {}), (["a", "b"], ["b", "a"]), (0, False)]
)
def test_other_content_has_another_fingerprint(one: Any, other: Any) -> None:
    assert fingerprint.fingerprint(one) != fingerprint.fingerprint(other)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), {1: "a"}, b"a"])
def test_what_has_no_stable_spelling_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"stable spelling|keys must be text"):
        fingerprint.fingerprint({"value": value})


def changed(**paths: Any) -> dict[str, Any]:
    """`SMALL` with the values at these paths (`steps.0.min_chars` is written `steps__0__min_chars`) changed."""
    made = json.loads(json.dumps(SMALL))
    for path, value in paths.items():
        *way, last = path.split("__")
        node = made
        for part in way:
            node = node[int(part) if part.isdigit() else part]
        node[last] = value
    return dict(made)


LATER = ["corpus"]
AFTER_ARABIC = ["length_ar", "corpus"]
AFTER_DEDUP = ["exact_dedup", "translate", *AFTER_ARABIC]
EVERYTHING = ["source-plain", "length", *AFTER_DEDUP]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"description": "Another."}, []),
        ({"version": "1.0.0"}, []),
        ({"language": "arz"}, LATER),
        ({"profiles": {}}, []),
        ({"sources__0__limit": 49}, EVERYTHING),
        ({"sources__0__where": {"kind": "a"}}, EVERYTHING),
        ({"steps__0__max_chars": 901}, EVERYTHING[1:]),
        ({"steps__0__max_chars": 900.0}, []),
        ({"steps__1__on": "messages.user"}, AFTER_DEDUP),
        ({"steps__2__model": "two", "profiles": {}}, AFTER_DEDUP[1:]),
        ({"steps__2__temperature": 0.5}, AFTER_DEDUP[1:]),
        ({"steps__2__prompt": "{text}"}, AFTER_DEDUP[1:]),
        ({"steps__3__min_chars": 4}, AFTER_ARABIC),
        ({"steps__3__name": "arabic"}, ["arabic", "corpus"]),
        ({"exports": ["conversations"]}, LATER),
        ({"name": "other"}, LATER),
    ],
)
def test_a_change_reaches_what_follows_it_and_no_more(
    fingerprints: Callable[..., dict[str, str]], paths: dict[str, Any], expected: list[str]
) -> None:
    before, after = fingerprints(SMALL), fingerprints(changed(**paths))
    assert [n for n in after if after[n] != before.get(n)] == expected


def test_the_order_of_steps_counts(fingerprints: Callable[..., dict[str, str]]) -> None:
    before, after = fingerprints(SMALL), fingerprints(changed(steps=[SMALL["steps"][i] for i in (1, 0, 2, 3)]))
    assert {n for n in after if after[n] == before.get(n)} == {"source-plain"}


def test_the_name_of_a_profile_does_not_count_but_the_model_it_names_does(
    fingerprints: Callable[..., dict[str, str]],
) -> None:
    assert fingerprints(SMALL, "demo") == fingerprints(SMALL, "other") != fingerprints(SMALL)


# ---- Only what follows a change runs again ----

STAGES = ["source-one", "source-two", "length", "exact_dedup", "length_last", "corpus"]
THREE = [
    {"step": "length", "min_chars": 10},
    {"step": "exact_dedup", "on": "messages.user"},
    {"step": "length", "name": "length_last", "max_chars": 500},
]


def two_sources(workshop: Workshop, steps: list[Any] | None = None, **fields: Any) -> Workshop:
    workshop.rows("one.jsonl", alpaca(20))
    workshop.rows("two.jsonl", alpaca(20, "thing"))
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two")})
    workshop.recipe(["one", "two"], THREE if steps is None else steps, **fields)
    return workshop


def ran(told: dict[str, Any]) -> list[str]:
    assert [s["name"] for s in told["stages"]] == STAGES
    return [s["name"] for s in told["stages"] if s["status"] == "run"]


def why(workshop: Workshop, *words: str) -> dict[str, tuple[str, str]]:
    """Status and reason of every stage, as `plan` tells them."""
    told = workshop.run("plan", "recipe.yaml", "--json", *words).json
    return {s["name"]: (s["status"], s["reason"]) for s in told["stages"]}


def test_an_unchanged_recipe_runs_nothing(workshop: Workshop) -> None:
    first = two_sources(workshop).build()
    assert ran(first) == STAGES
    before = {p: p.stat().st_mtime_ns for p in Path("store").rglob("*") if p.is_file()}
    again = workshop.build("--workers", "2", "--shard-rows", "3")
    assert ran(again) == []
    assert again["digest"] == first["digest"]
    assert again["rows"] == first["rows"]
    assert {p: p.stat().st_mtime_ns for p in Path("store").rglob("*") if p.is_file()} == before


def test_a_changed_threshold_runs_only_what_follows(workshop: Workshop) -> None:
    two_sources(workshop).build()
    two_sources(workshop, [*THREE[:2], {**THREE[2], "max_chars": 130}])
    assert why(workshop) == {
        **{n: ("stored", "unchanged") for n in STAGES[:4]},
        "length_last": ("to run", "changed since it was built"),
        "corpus": ("to run", "what it is made from has changed"),
    }
    assert ran(workshop.build()) == ["length_last", "corpus"]


def test_going_back_to_an_earlier_threshold_finds_its_stages_stored(workshop: Workshop) -> None:
    first = two_sources(workshop).build()
    two_sources(workshop, [*THREE[:2], {**THREE[2], "max_chars": 130}]).build()
    back = two_sources(workshop).build()
    assert ran(back) == ["corpus"]
    assert back["digest"] == first["digest"]


@pytest.mark.parametrize("sly", [False, True], ids=["plainly", "with equal size and restored times"])
def test_a_replaced_source_file_is_read_again_and_the_other_is_not(workshop: Workshop, sly: bool) -> None:
    first = two_sources(workshop).build()
    file = workshop.folder / "two.jsonl"
    stat = file.stat()
    other = file.read_text().replace("thing", "thong" if sly else "other thing")
    file.unlink()
    file.write_text(other)
    if sly:
        assert file.stat().st_size == stat.st_size
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = workshop.build()
    assert ran(again) == [s for s in STAGES if s != "source-one"]
    assert again["digest"] != first["digest"]


def test_a_source_file_changed_in_place_with_restored_times_is_seen(workshop: Workshop) -> None:
    two_sources(workshop).build()
    file = workshop.folder / "two.jsonl"
    stat = file.stat()
    with file.open("r+b") as f:  # the same inode
        f.write(file.read_bytes().replace(b"thing", b"thong"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert ran(workshop.build()) == [s for s in STAGES if s != "source-one"]


def test_a_touched_or_moved_source_file_is_no_change(workshop: Workshop) -> None:
    two_sources(workshop).build()
    os.utime("two.jsonl")
    (workshop.folder / "one.jsonl").rename("elsewhere.jsonl")
    (workshop.folder / "elsewhere.jsonl").rename("one.jsonl")
    assert ran(workshop.build()) == []


DAMAGED = ("to run", "stored, but a file of it is gone or damaged")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage(pattern: str, how: Callable[[Path], None]) -> None:
    (found,) = Path("store").glob(pattern)
    how(found)


@pytest.mark.parametrize("shard_rows", [7, 1000], ids=["in equal shards", "in other shards"])
@pytest.mark.parametrize("how", [Path.unlink, truncate], ids=["deleted", "truncated"])
@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("source-one", "part-00001"),
        ("source-two", "dropped-00000"),
        ("length", "part-00003"),
        ("exact_dedup", "part-00000"),
        ("length_last", "dropped-00002"),
    ],
)
def test_a_stage_file_that_is_gone_is_seen_and_made_again(
    workshop: Workshop, stage: str, file: str, how: Callable[[Path], None], shard_rows: int
) -> None:
    first = two_sources(workshop).build("--shard-rows", "7")
    damage(f"stages/{stage}-????????????/{file}.parquet", how)
    two_sources(workshop, [*THREE[:2], {**THREE[2], "max_chars": 130}] if stage != "length_last" else None)
    damage("corpora/small/dev/data/*.parquet", how)
    assert why(workshop)[stage] == DAMAGED
    workshop.build("--shard-rows", str(shard_rows))
    again = two_sources(workshop).build("--shard-rows", str(shard_rows))
    assert again["digest"] == first["digest"]
    assert workshop.kept().height == 40


@pytest.mark.parametrize("stage", ["length", "exact_dedup"])
def test_a_shard_that_was_made_from_another_part_is_made_again(workshop: Workshop, stage: str) -> None:
    two_sources(workshop)
    workshop.rows("two.jsonl", [*alpaca(9, "thing"), *alpaca(4)[2:], *alpaca(11, "thing")])
    first = workshop.build("--shard-rows", "7")
    assert first["rows"]["dropped"] == {"exact_dedup.duplicate": 11}
    damage("stages/source-one-????????????/part-00001.parquet", Path.unlink)
    for name in STAGES[2:-1]:
        damage(f"stages/{name}-????????????/part-00005.parquet", Path.unlink)
    damage(f"stages/{stage}-????????????/dropped-00000.parquet", truncate)
    damage("corpora/small/dev/manifest.json", Path.unlink)
    again = workshop.build("--shard-rows", "1000")
    assert (again["digest"], again["rows"]) == (first["digest"], first["rows"])


def test_a_corpus_file_that_is_gone_is_seen_and_made_again(workshop: Workshop) -> None:
    first = two_sources(workshop, version="1.0.0").build()
    damage("corpora/small/1.0.0/data/*.parquet", truncate)
    assert why(workshop)["corpus"] == DAMAGED
    again = workshop.build()
    assert ran(again) == ["corpus"]
    assert again["digest"] == first["digest"]


def test_stage_outputs_may_be_cleaned_away_while_the_corpus_stands(workshop: Workshop) -> None:
    two_sources(workshop).build()
    for path in sorted(Path("store/stages").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert why(workshop)["length"] == ("to run", "not needed: the corpus is stored")
    assert ran(workshop.build()) == []


@pytest.mark.parametrize("file", ["one.jsonl", "recipe.yaml"])
def test_a_changed_recipe_under_a_published_version_is_refused(workshop: Workshop, file: str) -> None:
    two_sources(workshop, version="1.0.0").build()
    if file == "recipe.yaml":
        two_sources(workshop, [*THREE[:2], {**THREE[2], "max_chars": 130}], version="1.0.0")
        stage = "length_last"
    else:
        workshop.rows(file, alpaca(21))
        stage = "source-one"
    said = workshop.run("build", "recipe.yaml")
    assert (said.code, said.err) == (
        2,
        "recipe.yaml:3:10: small@1.0.0 stands already and was built from something else "
        f"(first difference: stage '{stage}'); bump the version\n",
    )
    assert workshop.run("plan", "recipe.yaml").code == 2
    assert workshop.kept("1.0.0").height == 40


def test_a_changed_description_under_a_published_version_is_no_change(workshop: Workshop) -> None:
    two_sources(workshop, version="1.0.0").build()
    assert ran(two_sources(workshop, version="1.0.0", description="Told better.").build()) == []


def test_dev_is_rebuilt_in_place_of_its_old_data(workshop: Workshop) -> None:
    two_sources(workshop).build()
    (workshop.corpus() / "of-old.txt").write_text("left by an older build")
    told = two_sources(workshop, THREE[:1]).build()
    assert workshop.manifest()["digest"] == told["digest"]
    assert not (workshop.corpus() / "of-old.txt").exists()
    assert sorted(p.name for p in workshop.corpus().parent.iterdir()) == [".lock", "dev"]


def test_the_old_dev_stands_until_the_new_one_is_whole(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = two_sources(workshop).build()

    def fail(manifest: dict[str, Any]) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hala_factory.card.render", fail)
    two_sources(workshop, THREE[:1])
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert said.err.endswith("corpora/small/dev: cannot be written: No space left on device; "
                             "free some space and run the same command again\n")  # fmt: skip
    assert workshop.manifest()["digest"] == first["digest"]
    assert sorted(p.name for p in workshop.corpus().parent.iterdir()) == [".lock", "dev"]
