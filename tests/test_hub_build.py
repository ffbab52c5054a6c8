"""A build from the Hub: revisions are resolved, locked into the corpus, and kept for a published version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import polars as pl
import pytest

from hala_factory.catalog import load
from hala_factory.plan import plan
from hala_factory.recipe import load as load_recipe
from hala_factory.store import Store
from tests.stand_in_hub import COMMIT, Hub, running
from tests.workshop import Workshop, alpaca, balanced

LENGTH = {"step": "length", "min_chars": 20}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield hub


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = BytesIO()
    pl.DataFrame(rows).write_parquet(out, row_group_size=100)
    return out.getvalue()


def bench(workshop: Workshop, hub: Hub, **recipe: Any) -> None:
    hub.datasets["maker/set"] = {"data/a.parquet": parquet(alpaca(300)), "data/b.parquet": parquet(alpaca(300, "b"))}
    workshop.catalog({"from-hub": {"hub": "maker/set", "files": ["data/*.parquet"]}})
    workshop.recipe(["from-hub"], [LENGTH, "exact_dedup"], **recipe)


def test_rows_come_from_the_hub_and_the_commit_is_locked(workshop: Workshop, hub: Hub) -> None:
    bench(workshop, hub, version="1.0.0")
    told = workshop.build()
    assert told["rows"]["in"] == told["rows"]["kept"] == 600
    assert balanced(told["rows"])
    lock = workshop.manifest("1.0.0")["lock"]["sources"]["from-hub"]
    assert lock["revision"] == COMMIT
    assert set(lock["files"]) == {"data/a.parquet", "data/b.parquet"}
    again = workshop.build()
    assert {s["status"] for s in again["stages"]} == {"stored"}
    assert again["digest"] == told["digest"]


def test_a_published_version_keeps_its_commit_and_dev_takes_the_newest(workshop: Workshop, hub: Hub) -> None:
    for version, asks in (("1.0.0", False), ("dev", True)):
        bench(workshop, hub, version=version)
        workshop.build()
        hub.asked.clear()
        workshop.build()
        assert any("/revision/" in a or a.endswith("maker/set") for a in hub.asked) is asks


def test_a_limit_reads_the_first_rows_only(workshop: Workshop, hub: Hub) -> None:
    bench(workshop, hub)
    told = workshop.build("--limit", "40")
    assert told["rows"]["in"] == 40
    assert set(workshop.kept()["origin"].struct.field("file")) == {"data/a.parquet"}


@pytest.mark.parametrize("engine", ["vllm", "local"])
def test_a_model_of_the_hub_is_known_by_its_commit(workshop: Workshop, hub: Hub, engine: str) -> None:
    bench(workshop, hub)
    hub.models.add("maker/model")
    model = {"engine": engine, "hub": "maker/model", "licence": "Apache-2.0"}
    workshop.catalog({"from-hub": {"hub": "maker/set", "files": ["data/*.parquet"]}}, {"translator": model})
    workshop.recipe(["from-hub"], [{"step": "translate", "to": "ar", "model": "translator"}])
    ready = load_recipe(workshop.folder / "recipe.yaml", load(workshop.folder / "catalog.yaml"))
    stage = plan(ready, Store.at(workshop.folder / "store")).stage("translate")
    assert stage.engines["model"].identity["revision"] == COMMIT


def test_a_dataset_that_is_not_there_is_told_before_anything_runs(workshop: Workshop, hub: Hub) -> None:
    workshop.catalog({"from-hub": {"hub": "maker/sat", "files": ["*.parquet"]}})
    workshop.recipe(["from-hub"], [LENGTH])
    said = workshop.run("build", "recipe.yaml")
    assert said.code == 2
    assert "there is no dataset 'maker/sat' on the Hub, or it is private" in said.err
    assert not json.loads(workshop.run("versions", "--json").out)
