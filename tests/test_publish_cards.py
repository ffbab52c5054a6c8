"""Cards and `croissant.json` as they are published: valid for the Hub and for Croissant, true, and with pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from hala_factory.publish import around
from tests.publishing import REPO, environment, publish
from tests.publishing import hub as hub
from tests.publishing import shop as shop
from tests.publishing import template as template
from tests.stand_in_writable_hub import Hub, faults_of
from tests.test_models import chain
from tests.test_models import shop as model_shop
from tests.workshop import Workshop, alpaca, answers

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # httpx, of the Hub's own client
model_shop = model_shop  # a fixture


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A corpus with a model, a translation and every kind of loss."""
    folder = tmp_path_factory.mktemp("translated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = Workshop(folder)
        made.rows("a.jsonl", [*alpaca(60), *alpaca(5), {"instruction": None, "output": "x"}])
        made.rows("answers.jsonl", answers(58))
        made.catalog(
            {"plain": {"path": "a.jsonl"}},
            {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0", "by": "A. Person"}},
        )
        steps = ["exact_dedup", {"step": "translate", "to": "ar", "model": "people"}]
        made.recipe(["plain"], steps, version="1.0.0", exports=["messages", "conversations"])
        made.build()
        made.run("publish", "small@1.0.0", "--to", str(folder / "away"))
    return made


def page(made: Workshop, name: str) -> bytes:
    return (made.folder / "away/small/1.0.0" / name).read_bytes()


def known(resource: str) -> set[str]:
    import datasets

    folder = Path(datasets.__file__).parent / "utils" / "resources"
    return set(json.loads((folder / f"{resource}.json").read_text()))


def test_the_head_of_a_card_is_what_the_hub_takes(demo: Workshop) -> None:
    from huggingface_hub import DatasetCard

    text = page(demo, "README.md").decode()
    assert faults_of(text) == []
    told = DatasetCard(text).data.to_dict()
    assert told["license"] == "cc0-1.0"
    assert told["language"] == ["ar"]
    assert set(told["language"]) <= known("languages")
    assert set(told["size_categories"]) <= known("size_categories")
    assert set(told["multilinguality"]) <= known("multilingualities")
    for word in ("annotations_creators", "language_creators"):
        assert set(told[word]) <= known("creators") | {"machine-generated"}
    assert [c["config_name"] for c in told["configs"]] == ["default", "conversations"]
    assert {"hala-factory", "synthetic"} <= set(told["tags"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (4_500_000, "1M<n<10M"), (10_000_000, "10M<n<100M"), (2 * 10**9, "1B<n<10B")],
)
def test_every_size_has_a_word_that_the_hub_knows(rows: int, words: str) -> None:
    from hala_factory.card_head import size

    assert size(rows) == words
    assert words in known("size_categories")


def test_a_card_says_how_the_rows_were_made_and_what_they_cannot_promise(demo: Workshop) -> None:
    text = page(demo, "README.md").decode()
    for part in (
        "1. `exact_dedup`: Drop rows whose text equals another row's",
        "; 5 rows went.",
        "## Limits and known failures",
        "of 66 rows could not be translated",
        "Near duplicates were not looked for.",
        "Personal data was not looked for",
        "No row was held against a benchmark",
        "People have not looked at a sample of it",
        "@misc{small-1.0.0,",
        "![How many rows are left after every step](figures/waterfall.png)",
    ):
        assert part in text, part


def test_the_published_card_holds_the_built_one_whole(demo: Workshop) -> None:
    built = (demo.corpus("1.0.0") / "README.md").read_text()
    assert around.without(page(demo, "README.md").decode()) == built
    assert built.count("published: begin") == 0


@pytest.mark.parametrize(
    "built", ["# T\n", "---\na: 1\n---\n\n# T 1\n\ntext\n", "no title", "# T\n\n# U\n", "\r\n# T\r\n"]
)
def test_blocks_go_in_and_out_without_a_trace(built: str) -> None:
    made = around.put(built, "above\n\nmore", "below")
    assert "above\n\nmore" in made
    assert around.without(made) == built
    with pytest.raises(Exception, match="holds the mark"):
        around.put(made, "x", "y")


def test_pictures_are_pictures_and_the_same_every_time(demo: Workshop) -> None:
    from hala_factory.publish import pictures

    manifest = demo.manifest("1.0.0")
    for name, content in pictures.draw(manifest).items():
        assert content == page(demo, name)
        image = Image.open(io.BytesIO(content))
        image.load()
        assert image.width > 800
        assert len(image.getcolors(1 << 20) or []) > 10


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_croissant_is_valid_and_reads_the_rows_of_the_store(shop: Workshop, tmp_path: Path) -> None:
    import mlcroissant

    shop.run("publish", "small@1.0.0", "--to", str(tmp_path / "away"))
    described = mlcroissant.Dataset(jsonld=tmp_path / "away/small/1.0.0/croissant.json")
    issues = described.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    rows = sorted(described.records("data"), key=lambda row: row["data/id"])
    stored = pl.read_parquet(shop.corpus("1.0.0") / "data" / "*.parquet").sort("id").to_dicts()
    assert len(rows) == 300
    for row, want in zip(rows, stored, strict=True):
        assert row["data/id"].decode() == want["id"]
        turns = [(t["data/messages/role"], t["data/messages/content"]) for t in row["data/messages"]]
        assert [(r.decode(), c.decode()) for r, c in turns] == [(m["role"], m["content"]) for m in want["messages"]]
        assert row["data/origin"]["data/origin/position"] == want["origin"]["position"]
        assert row["data/length.chars"] == want["length.chars"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_croissant_on_the_hub_is_valid_and_names_files_at_the_tag(shop: Workshop, hub: Hub, tmp_path: Path) -> None:
    import mlcroissant

    publish(shop)
    (tmp_path / "croissant.json").write_bytes(hub.repo(REPO).files["croissant.json"])
    described = mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")
    assert described.metadata.ctx.issues.errors == set()
    files = {f.id: f for f in described.metadata.distribution if hasattr(f, "sha256") and f.id != "repo"}
    manifest = json.loads((shop.corpus("1.0.0") / "manifest.json").read_text())["files"]
    assert {name: f.sha256 for name, f in files.items()} == {
        n: f["sha256"] for n, f in manifest.items() if n != "README.md"
    }
    assert files["lock.yaml"].content_url == f"{hub.url}/datasets/{REPO}/resolve/v1.0.0/lock.yaml"


def test_rows_that_may_not_be_passed_on_are_not_published_in_dropped_either(shop: Workshop, hub: Hub) -> None:
    shop.rows("b.jsonl", [{"instruction": "No.", "input": "", "output": "No."}])
    shop.catalog({"plain": {"path": "a.jsonl"}, "short": {"path": "b.jsonl", "licence": "CC-BY-NC-4.0"}})
    shop.recipe(["plain", "short"], [{"step": "length", "min_chars": 20}], version="2.0.0", language="en")
    shop.build()
    said = shop.run("publish", "small@2.0.0", "--repo", REPO)
    assert said.code == 1
    assert "dropped/ holds 1 row of short (CC-BY-NC-4.0), which may not be passed on under CC0-1.0" in said.err
    assert hub.writes == []


def test_an_empty_corpus_and_one_of_many_sources_have_pictures_too(shop: Workshop) -> None:
    from hala_factory.publish import pictures

    manifest: dict[str, Any] = json.loads((shop.corpus("1.0.0") / "manifest.json").read_text())
    empty = {"in": 0, "kept": 0, "dropped": {}, "failed": {}}
    for sources in ({"plain": empty}, {f"s{n}": {**empty, "in": n, "kept": n} for n in range(60)}):
        for content in pictures.draw({**manifest, "sources": sources}).values():
            assert Image.open(io.BytesIO(content)).height < 1_500


# Models


def test_a_model_is_published_with_its_card_and_comes_in_one_commit(
    model_shop: Workshop, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import ModelCard

    chain(model_shop)
    model_shop.run("build", "recipe.yaml", "--json")
    for name, value in environment(hub).items():
        monkeypatch.setenv(name, value)
    words = ("publish", "small@1.0.0", "--repo", "me/small-fp8", "--json")
    told = model_shop.run(*words).json
    folder = model_shop.folder / "store/models/small/1.0.0"
    repo = hub.repo("me/small-fp8", "model")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert {n: c for n, c in repo.files.items() if n not in ("README.md", ".gitattributes")} == {
        n: c for n, c in files.items() if n != "README.md"
    }
    card = repo.files["README.md"].decode()
    assert faults_of(card) == []
    assert ModelCard(card).data.to_dict()["license"] == "cc-by-nc-4.0"
    assert 'from_pretrained("me/small-fp8", revision="v1.0.0")' in card
    assert around.without(card) == files["README.md"].decode()
    assert repo.tags == {"v1.0.0": told["commit"]}
    assert not model_shop.run(*words).json["committed"]


def test_a_damaged_or_unmeasured_model_is_refused(
    model_shop: Workshop, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain(model_shop)
    model_shop.run("build", "recipe.yaml", "--json")
    folder = model_shop.folder / "store/models/small/1.0.0"
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # it is one file with that of the stage
    weights.write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "gates": []}))
    said = model_shop.run("publish", "small@1.0.0", "--repo", "me/small-fp8")
    assert said.code == 1
    assert "whole: model.safetensors: is not as its manifest says" in said.err
    assert "acceptance: no gate of 'accept' is on record as passed" in said.err
    assert hub.writes == []


def test_texts_that_were_taken_out_for_a_reason_are_told_before_they_are_public(shop: Workshop, hub: Hub) -> None:
    shop.rows(
        "a.jsonl", [*alpaca(30), {"instruction": "Write to me.", "input": "", "output": "write to maha.s@gmail.com"}]
    )
    shop.recipe(["plain"], [{"step": "pii", "action": "drop"}], version="2.0.0", language="en")
    shop.build()
    for words in (("--repo", REPO), ("--to", "away")):
        told = shop.run("publish", "small@2.0.0", *words, "--dry-run", "--json").json
        assert told["notes"] == ["dropped/ goes along, with 1 row that 'pii' took out for personal data"]
