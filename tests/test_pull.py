"""`pull`: what was published comes back into a store as it was, proved, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hala_factory import seal
from tests.publishing import REPO, built, publish, version_files
from tests.publishing import hub as hub
from tests.publishing import shop as shop
from tests.publishing import template as template
from tests.stand_in_writable_hub import Fault, Hub
from tests.workshop import Said, Workshop

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # httpx, of the Hub's own client
OTHER = ("--store", "other")


def pull(shop: Workshop, place: str = REPO, *words: str) -> Said:
    return shop.run("pull", place, *OTHER, "--json", *words)


def pulled(shop: Workshop, version: str = "1.0.0") -> dict[str, bytes]:
    folder = shop.corpus(version, store="other")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_published_corpus_comes_back_byte_for_byte_and_verifies(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    told = pull(shop, REPO, "--revision", "v1.0.0").json
    assert not told["stored"]
    assert pulled(shop) == version_files(shop)
    assert shop.run("verify", "small@1.0.0", *OTHER).code == 0
    assert shop.run("show", "small@1.0.0", *OTHER).code == 0
    assert [p.name for p in (shop.folder / "other").glob("pulls/[!.]*")] == []
    assert pull(shop).json["stored"]


def test_a_tag_brings_its_own_version_and_no_revision_the_newest(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    old = version_files(shop)
    built(shop, rows=150, version="1.1.0")
    assert shop.run("publish", "small@1.1.0", "--repo", REPO).code == 0
    assert pull(shop).json["artifact"] == "small@1.1.0"
    assert pull(shop, REPO, "--revision", "v1.0.0").json["artifact"] == "small@1.0.0"
    assert pulled(shop) == old


def test_a_pulled_version_is_published_again_without_a_commit(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    pull(shop)
    told = shop.run("publish", "small@1.0.0", "--repo", REPO, *OTHER, "--json").json
    assert not told["committed"]


def test_a_torn_connection_is_taken_up_where_it_broke(
    shop: Workshop, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # the client writes whole ones; 10 MB
    publish(shop)
    hub.cut_after.append(50_000)
    assert pull(shop).code == 0
    assert [start for path, start in hub.ranges if path == "report.html" and start] == [50_000]
    assert pulled(shop) == version_files(shop)


def test_a_download_that_broke_off_leaves_no_version_and_the_next_one_fetches_what_is_missing(
    shop: Workshop, hub: Hub
) -> None:
    publish(shop)
    hub.cut_after.extend([0] * 40)
    said = pull(shop)
    assert said.code == 1
    assert "run the same command again" in said.err
    assert not shop.corpus("1.0.0", store="other").exists()
    assert [i["fate"] for i in shop.run("gc", *OTHER, "--json").json["items"] if i["kind"] == "pull"] == ["unused"]
    hub.cut_after.clear()
    had = {path for path, _ in hub.ranges} - {"report.html"}
    assert len(had) > 5
    hub.ranges.clear()
    assert not pull(shop).json["stored"]
    assert pulled(shop) == version_files(shop)
    assert {path for path, _ in hub.ranges} & had == {"manifest.json"}


def test_a_store_that_holds_the_version_with_another_digest_is_left_alone(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    pull(shop)
    shop.corpus("1.0.0").rename(shop.folder / "elsewhere")
    built(shop, rows=120)
    before = version_files(shop)
    said = shop.run("pull", REPO)
    assert said.code == 2
    assert "Two corpora have one name" in said.err
    assert version_files(shop) == before


@pytest.mark.parametrize(
    "path", ["data/train-00002-of-00003.parquet", "recipe.yaml", "README.md", "dropped/dropped-00000.parquet"]
)
def test_what_was_changed_over_there_is_named_and_not_taken(shop: Workshop, hub: Hub, path: str) -> None:
    publish(shop)
    repo = hub.repo(REPO)
    content = repo.files[path]
    hub.commit(repo, "main", {**repo.files, path: content[:-9] + b"!" + content[-8:]}, "By hand")
    said = pull(shop)
    assert said.code == 1
    assert f"{path} has SHA-256" in said.err
    assert not shop.corpus("1.0.0", store="other").exists()


def test_a_card_that_a_person_mended_between_the_marks_is_no_damage(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    repo = hub.repo(REPO)
    card = repo.files["README.md"].replace(b"import datasets", b"import datasets  # pip install datasets")
    hub.commit(repo, "main", {**repo.files, "README.md": card}, "By hand")
    pull(shop)
    assert pulled(shop) == version_files(shop)


def forged(shop: Workshop, **changed: Any) -> bytes:
    told = json.loads((shop.corpus("1.0.0") / "manifest.json").read_text())
    told.pop("seal")
    seal.write(shop.folder / "forged.json", {**told, **changed})
    return (shop.folder / "forged.json").read_bytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"files": {"README.md": {}, "../../outside": {"bytes": 1, "sha256": "0" * 64}}}, "outside of the version"),
        ({"files": {"README.md": {}, "/tmp/outside": {"bytes": 1, "sha256": "0" * 64}}}, "outside of the version"),
        ({"files": {"README.md": {}, "a\\b": {"bytes": 1, "sha256": "0" * 64}}}, "outside of the version"),
        ({"name": "../small"}, "cannot be that of a version"),
        ({"version": "1/0"}, "cannot be that of a version"),
        ({"kind": "model"}, "pull brings corpora"),
        ({"files": ["x"]}, "names no files"),
    ],
    ids=str,
)
def test_a_manifest_that_reaches_outside_is_refused(
    shop: Workshop, hub: Hub, changed: dict[str, Any], words: str
) -> None:
    publish(shop)
    repo = hub.repo(REPO)
    hub.commit(repo, "main", {**repo.files, "manifest.json": forged(shop, **changed)}, "By hand")
    said = pull(shop)
    assert said.code == 2
    assert words in said.err
    assert not (shop.folder / "other" / "corpora").exists()


@pytest.mark.parametrize(
    ("place", "words", "code"),
    [
        ("me/nowhere", "there is no dataset 'me/nowhere'", 2),
        ("nowhere", "expected owner/name", 2),
        ("file:///nowhere/at/all", "holds no manifest.json", 2),
    ],
)
def test_a_wrong_place_says_what_was_expected(shop: Workshop, hub: Hub, place: str, words: str, code: int) -> None:
    said = pull(shop, place)
    assert (said.code, words in said.err) == (code, True), said.err


def test_an_edited_manifest_is_not_believed(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    repo = hub.repo(REPO)
    edited = repo.files["manifest.json"].replace(b'"kept": 300', b'"kept": 301', 1)
    hub.commit(repo, "main", {**repo.files, "manifest.json": edited}, "By hand")
    said = pull(shop)
    assert said.code == 2
    assert "edited or damaged" in said.err


def test_a_hub_that_stumbles_is_asked_again(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    hub.faults.append(Fault("GET /datasets/me/small/resolve/", 503, times=2))
    assert pull(shop).code == 0
    assert pulled(shop) == version_files(shop)


def test_it_comes_back_from_a_folder_too(shop: Workshop, tmp_path: Path) -> None:
    told = shop.run("publish", "small@1.0.0", "--to", f"file://{tmp_path}/away", "--json").json
    for place in (told["to"], told["to"].removeprefix("file://")):
        assert pull(shop, place).code == 0
        assert pulled(shop) == version_files(shop)
    assert "--revision is of a repository" in pull(shop, told["to"], "--revision", "v1").err


def test_gc_clears_away_a_pull_that_broke_off(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    hub.cut_after.extend([0] * 40)
    assert pull(shop).code == 1
    assert shop.run("gc", "--yes", *OTHER).code == 0
    assert [p.name for p in (shop.folder / "other" / "pulls").glob("[!.]*")] == []
