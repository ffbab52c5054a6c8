"""`verify`: whatever is done to the folder of a version is found and named; whole versions pass; models asked again."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hala_factory import seal, yamlfile
from hala_factory.run.files import Writer
from hala_factory.store import Store
from hala_factory.verify import verify
from tests.workshop import Workshop, alpaca, answers, troubled

EXPORTS = {"exports": ["messages", "conversations"]}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A version with every kind of stage, dropped and failed rows, and both exports."""
    made = Workshop(tmp_path_factory.mktemp("built"))
    before = Path.cwd()
    os.chdir(made.folder)
    try:
        troubled(made, **EXPORTS).build()
    finally:
        os.chdir(before)
    return made


@pytest.fixture
def copy(built: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A copy of that version to be damaged."""
    shutil.copytree(built.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Workshop(tmp_path / "copy")


def findings(workshop: Workshop) -> list[tuple[str, str]]:
    found = verify(Store.at(workshop.folder / "store"), "small@dev").findings
    return [(f.file, f.message) for f in found]


def named(workshop: Workshop) -> set[str]:
    return {file for file, _ in findings(workshop)}


# ---- Whole versions ----


def test_a_version_as_it_was_built_is_whole(built: Workshop) -> None:
    seen = verify(Store.at(built.folder / "store"), "small@dev")
    manifest = built.manifest()
    assert (seen.findings, seen.notes) == ([], [])
    assert seen.rows == manifest["rows"]["in"]
    assert seen.files == len(manifest["files"]) + 1


def test_the_command_answers_zero_for_a_whole_version_and_one_for_a_damaged_one(copy: Workshop) -> None:
    assert copy.run("verify", "small@dev", "--json").json["ok"] is True
    (copy.corpus() / "lock.yaml").unlink()
    (copy.corpus() / "stray").write_text("x")
    said = copy.run("verify", "small@dev")
    assert said.code == 1
    assert "fault   lock.yaml: is missing" in said.out
    assert "fault   stray: does not belong to the version" in said.out
    told = copy.run("verify", "small@dev", "--json")
    assert (told.code, [f["file"] for f in json.loads(told.out)["findings"]]) == (1, ["lock.yaml", "stray"])


@pytest.mark.parametrize("artifact", ["small@1.0.0", "smal@dev", "small", "@dev"])
def test_a_version_that_is_not_there_is_wrong_input(copy: Workshop, artifact: str) -> None:
    said = copy.run("verify", artifact)
    assert said.code == 2
    assert "holds no" in said.err


@pytest.mark.parametrize("rows", [0, 1])
def test_a_version_of_no_row_or_one_is_whole(workshop: Workshop, rows: int) -> None:
    workshop.rows("s.jsonl", alpaca(5))
    workshop.catalog({"s": {"path": "s.jsonl"}})
    workshop.recipe([{"source": "s", "limit": 1}], [{"step": "length", "min_chars": 1 if rows else 9_000}], **EXPORTS)
    assert workshop.build()["rows"]["kept"] == rows
    assert findings(workshop) == []


def test_a_version_cut_into_several_files_is_whole(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hala_factory.run.assembling.FILE_ROWS", 2)
    troubled(workshop, **EXPORTS).build()
    assert len(list(workshop.corpus().glob("data/*.parquet"))) > 2
    assert findings(workshop) == []


# ---- 200 of 200 ----


def flip(files: list[Path], random: random.Random) -> set[str]:
    path = random.choice(files)
    said = bytearray(path.read_bytes())
    said[random.randrange(len(said))] ^= 1 << random.randrange(8)
    path.write_bytes(said)
    return {path.name}


def truncate(files: list[Path], random: random.Random) -> set[str]:
    path = random.choice(files)
    said = path.read_bytes()
    path.write_bytes(said[: random.randrange(len(said))])
    return {path.name}


def append(files: list[Path], random: random.Random) -> set[str]:
    path = random.choice(files)
    path.write_bytes(path.read_bytes() + random.randbytes(random.randint(1, 9)))
    return {path.name}


def swap(files: list[Path], random: random.Random) -> set[str]:
    one, other = random.sample([f for f in files if f.name != "manifest.json"], 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return {one.name, other.name}


def remove(files: list[Path], random: random.Random) -> set[str]:
    path = random.choice(files)
    path.unlink()
    return {path.name}


def add(files: list[Path], random: random.Random) -> set[str]:
    path = random.choice(files).parent / random.choice(["extra.parquet", ".tmp-1-x", "train-00001-of-00001.parquet"])
    path.write_bytes(random.choice(files).read_bytes())
    return {path.name}


def edit_number(files: list[Path], random: random.Random) -> set[str]:
    (path,) = (f for f in files if f.name == "manifest.json")
    said = path.read_text()
    digits = [i for i, c in enumerate(said) if c.isdigit()]
    place = random.choice(digits)
    path.write_text(said[:place] + str((int(said[place]) + 1) % 10) + said[place + 1 :])
    return {path.name}


def edit_value(files: list[Path], random: random.Random) -> set[str]:
    (path,) = (f for f in files if f.name == "manifest.json")
    manifest = json.loads(path.read_text())
    manifest[random.choice([k for k in manifest if k != "seal"])] = random.choice([None, {}, "x", 7])
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
    return {path.name}


def reformat(files: list[Path], random: random.Random) -> set[str]:
    (path,) = (f for f in files if f.name == "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=random.choice([None, 2, 4])))
    return {path.name}


DAMAGES: list[Callable[[list[Path], random.Random], set[str]]] = [
    *[flip] * 4,
    truncate,
    append,
    swap,
    remove,
    add,
    edit_number,
    edit_value,
    reformat,
]


def test_200_of_200_random_corruptions_are_found_and_the_files_named(copy: Workshop) -> None:
    corpus, whole = copy.corpus(), copy.folder / "whole"
    shutil.copytree(corpus, whole)
    missed = []
    for seed in range(200):
        lots = random.Random(seed)
        damage = DAMAGES[seed % len(DAMAGES)]
        hit = damage([p for p in sorted(corpus.rglob("*")) if p.is_file()], lots)
        found = {Path(file).name for file in named(copy)}
        if not hit <= found:
            missed.append((seed, damage.__name__, hit, found))
        shutil.rmtree(corpus)
        shutil.copytree(whole, corpus)
    assert missed == []
    assert findings(copy) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_flipped_byte_is_found_and_its_file_named(copy: Workshop, data: st.DataObject) -> None:
    files = [p for p in sorted(copy.corpus().rglob("*")) if p.is_file()]
    path = data.draw(st.sampled_from(files))
    said = path.read_bytes()
    place = data.draw(st.integers(0, len(said) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda b: b != said[place]))
    path.write_bytes(said[:place] + bytes([changed]) + said[place + 1 :])
    try:
        assert path.relative_to(copy.corpus()).as_posix() in named(copy)
    finally:
        path.write_bytes(said)


def test_every_byte_of_the_manifest_counts(copy: Workshop) -> None:
    said = (copy.corpus() / "manifest.json").read_bytes()
    assert seal.broken(said) == ""
    for place in range(0, len(said), 7):
        assert seal.broken(said[:place] + bytes([said[place] ^ 1]) + said[place + 1 :]), place
    assert all(seal.broken(said[:length]) for length in range(0, len(said), 97))


def test_several_faults_are_told_at_once(copy: Workshop) -> None:
    corpus = copy.corpus()
    (corpus / "README.md").write_text("# Another card\n")
    (corpus / "recipe.yaml").unlink()
    (corpus / "data" / "more").mkdir()
    (corpus / "link").symlink_to("README.md")
    found = dict(findings(copy))
    assert set(found) == {"README.md", "recipe.yaml", "data/more", "link"}
    assert found["recipe.yaml"] == "is missing"


def test_a_file_in_place_of_which_stands_a_link_to_its_copy_is_found(copy: Workshop) -> None:
    path = copy.corpus() / "README.md"
    path.rename(copy.folder / "elsewhere.md")
    path.symlink_to(copy.folder / "elsewhere.md")
    assert findings(copy) == [("README.md", "is a link; expected a file")]


# ---- What a forger would have to get right: the manifest is sealed again, and the rows speak ----


def resealed(workshop: Workshop, change: Callable[[dict[str, Any]], None]) -> None:
    """The manifest changed by somebody who writes the digests of files, and the seal, anew."""
    corpus = workshop.corpus()
    manifest = workshop.manifest()
    change(manifest)
    for name, facts in manifest["files"].items():
        path = corpus / name
        if path.exists():
            from hala_factory.fingerprint import file_digest

            facts |= {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    seal.write(corpus / "manifest.json", manifest)


def bump(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        node: Any = manifest
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = node[path[-1]] + 1 if isinstance(node[path[-1]], int) else "other"

    return change


FORGED: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("rows", bump("rows", "kept"), "the sources add up to"),
    ("a source", bump("sources", "first", "kept"), "sources: first: "),
    ("a stage", bump("stages", 0, "sources", "first", "in"), "rows in, but"),
    ("a later stage", bump("stages", 3, "sources", "second", "in"), "came in"),
    ("a reason", bump("stages", 0, "sources", "first", "dropped", "source.where"), "source.where"),
    ("the digest", bump("digest"), "digest: the rows have"),
    ("the name", bump("name"), "expected small@dev"),
    ("licences", bump("licences", "CC0-1.0"), "licences: the parts add up to"),
    ("a licence", bump("licence", "licence"), "licence: derived again it has another licence"),
    ("obligations", lambda m: m["licence"]["obligations"].append("Pay."), "has another obligations"),
    ("a part", bump("licence", "parts", 0, "rows"), "licence"),
    ("columns", lambda m: m["columns"].pop("licence"), "has other columns"),
    ("a type", bump("columns", "licence"), "has other columns than the manifest says: licence is String"),
    ("exports", lambda m: m["exports"].remove("conversations"), "has Parquet files in"),
    ("the lock", bump("lock", "sources", "first", "licence"), "is not the lock that the manifest tells"),
    ("no stages", lambda m: m.pop("stages"), "is not the manifest of a version"),
]


@pytest.mark.parametrize(("change", "message"), [f[1:] for f in FORGED], ids=[f[0] for f in FORGED])
def test_a_manifest_that_does_not_agree_with_itself_or_the_rows_is_found(
    copy: Workshop, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    resealed(copy, change)
    assert any(message in said for _, said in findings(copy)), findings(copy)


def rewritten(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    frame = change(pl.read_parquet(path))
    with Writer(path, dict(frame.schema)) as writer:
        writer.write(frame)


def other_text(frame: pl.DataFrame) -> pl.DataFrame:
    element = pl.element().struct.with_fields(pl.lit("مرحبا").alias("content"))
    return frame.with_columns(pl.col("messages").list.eval(element))


def first_twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame.head(1), frame.head(1), frame.slice(2)])


REWRITTEN: list[tuple[str, str, Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    ("a text", "data", other_text, "digest: the rows have"),
    ("the order", "data", lambda f: f.reverse(), "digest: the rows have"),
    ("a row less", "data", lambda f: f.slice(1), "rows are kept, it says"),
    ("a row twice", "data", first_twice, "places hold several rows"),
    ("a licence", "data", lambda f: f.with_columns(licence=pl.lit("MIT")), "under MIT"),
    ("a column", "data", lambda f: f.with_columns(extra=pl.lit(1)), "has other columns"),
    ("an export", "conversations", lambda f: f.reverse(), "holds other rows than data/"),
    ("a dropped row less", "dropped", lambda f: f.slice(1), "it says"),
    ("another reason", "dropped", lambda f: f.with_columns(reason=pl.lit("x")), "it says"),
]


@pytest.mark.parametrize(("folder", "change", "message"), [r[1:] for r in REWRITTEN], ids=[r[0] for r in REWRITTEN])
def test_rows_that_were_changed_under_new_digests_are_found(
    copy: Workshop, folder: str, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    (path,) = (copy.corpus() / folder).glob("*.parquet")
    rewritten(path, change)
    resealed(copy, lambda manifest: None)
    assert any(message in said for _, said in findings(copy)), findings(copy)


def test_an_older_table_of_licences_is_a_note_and_no_fault(copy: Workshop) -> None:
    resealed(copy, lambda m: m["licence"].update(table=0, licence="MIT"))
    seen = verify(Store.at(copy.folder / "store"), "small@dev")
    assert seen.findings == []
    assert seen.notes == ["its licence was derived by an earlier table (MIT); today's derives CC0-1.0"]


# ---- Models asked again ----


def test_recorded_answers_are_byte_equal_when_asked_again(copy: Workshop) -> None:
    told = copy.run("verify", "small@dev", "--regenerate", "7", "--json").json["regenerated"]
    assert (told["drawn"], told["rows"], told["not_stored"]) == (7, 7, 0)
    assert told["byte_equal"] == told["chrf_equal"] == {"rows": 7, "share": 1.0}
    assert told["models"]["people"]["mean_chrf"] == 100.0


def test_answers_past_the_store_are_asked_of_the_model_and_not_of_the_store(
    copy: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hala_factory.generate import recorded

    answer = recorded.RecordedEngine.answer
    asked_for: list[str] = []

    async def other(self: Any, request: Any) -> Any:
        from dataclasses import replace

        said = await answer(self, request)
        asked_for.append(request.text)
        if len(asked_for) % 2:
            return said
        return replace(said, text=f" {said.text}" if len(asked_for) % 4 else "كلام آخر")

    monkeypatch.setattr(recorded.RecordedEngine, "answer", other)
    told = copy.run("verify", "small@dev", "--regenerate", "1000", "--json").json["regenerated"]
    people = told["models"]["people"]
    assert told["drawn"] == copy.manifest()["rows"]["kept"]
    assert people["requests"] == len(asked_for) == 2 * told["rows"]
    assert people["byte_equal"] == pytest.approx(0.5, abs=0.05)
    assert people["chrf_equal"] == pytest.approx(0.75, abs=0.05)  # a space more is no difference to chrF
    assert 0 < people["mean_chrf"] < 100


def test_the_same_seed_draws_the_same_rows(copy: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from hala_factory.generate import recorded

    answer = recorded.RecordedEngine.answer
    asked_for: list[str] = []

    async def noted(self: Any, request: Any) -> Any:
        asked_for.append(request.text)
        return await answer(self, request)

    monkeypatch.setattr(recorded.RecordedEngine, "answer", noted)
    drawn = []
    for seed in ("1", "1", "2"):
        asked_for.clear()
        copy.run("verify", "small@dev", "--regenerate", "3", "--seed", seed)
        drawn.append(sorted(asked_for))
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_model_that_is_another_now_is_not_asked(copy: Workshop) -> None:
    with (copy.folder / "answers.jsonl").open("a") as file:
        file.write(json.dumps({"text": "new", "answer": "جديد"}) + "\n")
    said = copy.run("verify", "small@dev", "--regenerate", "3")
    assert said.code == 2
    assert "model 'people' is not the one that answered then" in said.err


def test_rows_whose_answers_are_gone_are_counted_apart(copy: Workshop) -> None:
    shutil.rmtree(copy.folder / "store" / "generations")
    told = copy.run("verify", "small@dev", "--regenerate", "5", "--json").json["regenerated"]
    assert (told["rows"], told["not_stored"], told["byte_equal"]["share"]) == (0, 5, None)


def test_no_model_is_asked_of_a_damaged_version_or_of_one_without_models(copy: Workshop, workshop: Workshop) -> None:
    (copy.corpus() / "README.md").unlink()
    said = copy.run("verify", "small@dev", "--regenerate", "5", "--store", str(copy.folder / "store"))
    assert (said.code, "no model was asked again" in said.out) == (1, True)
    workshop.rows("s.jsonl", alpaca(3))
    workshop.catalog({"s": {"path": "s.jsonl"}})
    workshop.recipe(["s"], ["chat_shape"])
    os.chdir(workshop.folder)
    workshop.build()
    said = workshop.run("verify", "small@dev", "--regenerate", "1")
    assert (said.code, "no step of it asks a model" in said.err) == (2, True)


def test_a_later_normaliser_does_not_hide_what_was_asked(workshop: Workshop) -> None:
    workshop.rows("s.jsonl", alpaca(6))
    spoilt = [{**a, "answer": a["answer"].replace("الرقم", "\ufe8d\ufedf\ufeae\ufed7\ufee2")} for a in answers(6)]
    workshop.rows("answers.jsonl", spoilt)
    people = {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}
    workshop.catalog({"s": {"path": "s.jsonl"}}, {"people": people})
    workshop.recipe(["s"], [{"step": "translate", "to": "ar", "model": "people"}, "normalise_arabic"])
    assert workshop.build()["rows"]["kept"] == 6
    assert "\ufe8d" not in str(workshop.kept()["messages"].to_list())  # letters in a fixed shape became letters
    told = workshop.run("verify", "small@dev", "--regenerate", "6", "--json").json["regenerated"]
    assert (told["rows"], told["byte_equal"]["share"]) == (6, 1.0)


def test_the_lock_beside_a_version_reads_back_as_the_manifest_tells_it(built: Workshop) -> None:
    assert yamlfile.read(built.corpus() / "lock.yaml").data == built.manifest()["lock"]
