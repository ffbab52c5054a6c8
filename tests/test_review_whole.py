"""A review from end to end by the commands: a corpus, a real Argilla server, two people, the report and the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.reviewed import reviewed
from tests.reviewing import Served, answer, dataset_id, needs_argilla, records
from tests.workshop import Said, Workshop

pytestmark = needs_argilla


@pytest.fixture
def shop(workshop: Workshop, argilla: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv("HALA_ARGILLA_URL", argilla.url)
    monkeypatch.setenv("HALA_ARGILLA_KEY", argilla.key)
    reviewed(workshop, version="1.0.0").build()
    yield workshop
    with argilla.owner as owner:
        for dataset in owner.get("/me/datasets").json()["items"]:
            if dataset["name"].startswith("small-1.0.0-"):
                owner.delete(f"/datasets/{dataset['id']}")


def run(shop: Workshop, *words: str) -> Said:
    command, *rest = words
    return shop.run("review", command, "small@1.0.0", *rest)


def everybody_answers(argilla: Served, told: dict[str, object], bad: set[str]) -> int:
    """Amira answers all tasks, Bilal those for two."""
    given = 0
    for made in told["datasets"]:  # type: ignore[attr-defined]
        for who in ("amira", "bilal") if made["batch"] == "double" else ("amira",):
            with argilla.annotator(who) as client:
                for record in records(client, dataset_id(argilla, made["name"])):
                    answer(client, record["id"], "bad" if record["external_id"] in bad else "good")
                    given += 1
    return given


def sample_of(shop: Workshop) -> pl.DataFrame:
    return pl.read_parquet(shop.corpus("1.0.0") / "review" / "sample.parquet")


@pytest.mark.parametrize(("bad", "state"), [(1, "accepted"), (2, "rejected")])
def test_two_people_answer_in_argilla_and_the_gate_opens_or_stays_shut(
    shop: Workshop, argilla: Served, bad: int, state: str
) -> None:
    told = run(shop, "push", "--json").json
    assert sum(made["added"] for made in told["datasets"]) == told["tasks"]
    assert sum(made["added"] for made in run(shop, "push", "--json").json["datasets"]) == 0
    sample = sample_of(shop)
    found = set(sample.filter((pl.col("kind") == "accept") & (pl.col("batch") == "single"))["task"].to_list()[:bad])
    planted = set(sample.filter(pl.col("kind") == "gold")["task"].to_list())
    given = everybody_answers(argilla, told, found | planted)
    pulled = run(shop, "pull", "--json").json
    assert (pulled["submitted"], pulled["new"], pulled["round"], pulled["warnings"]) == (given, given, 1, [])
    assert run(shop, "pull", "--json").json["round"] is None
    report = run(shop, "report", "--json").json
    assert report["decision"]["state"] == state
    assert state.upper() in run(shop, "report").out
    said = shop.run("publish", "small@1.0.0", "--to", f"file://{shop.folder}/out")
    assert (said.code == 0) == (state == "accepted")
    assert (shop.folder / "out").exists() == (state == "accepted")
    kept = [p for p in (shop.folder / "store").rglob("*") if p.is_file() and p.name != ".key"]
    assert not [p for p in kept if argilla.key.encode() in p.read_bytes() or b"amira" in p.read_bytes()]


def test_answers_of_a_file_and_of_argilla_come_together(shop: Workshop, argilla: Served) -> None:
    run(shop, "push", "--to", "tasks.jsonl")
    told = run(shop, "push", "--json").json
    lines = [json.loads(line) for line in Path("tasks.jsonl").read_text(encoding="utf-8").splitlines()]
    double = next(made for made in told["datasets"] if made["batch"] == "double")
    with argilla.annotator("bilal") as bilal:
        for record in records(bilal, dataset_id(argilla, double["name"])):
            answer(bilal, record["id"], "good")
    shop.rows("tasks.jsonl", [{**line, "annotator": "amira", "verdict": "good"} for line in lines])
    assert run(shop, "pull").code == 0
    assert run(shop, "report", "--json").json["decision"]["state"] == "open"
    said = run(shop, "pull", "--from", "tasks.jsonl")
    assert f"; {double['tasks']} answers that were kept before stay" in said.out
    assert run(shop, "report", "--json").json["decision"]["state"] == "accepted"


def test_no_server_and_two_places_are_told(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HALA_ARGILLA_URL", "HALA_ARGILLA_KEY"):
        monkeypatch.delenv(name, raising=False)
    reviewed(workshop, version="1.0.0").build()
    said = run(workshop, "push")
    assert (said.code, "there is no Argilla server: give its address with --url" in said.err) == (2, True)
    said = run(workshop, "push", "--to", "r.html", "--url", "http://127.0.0.1:1")
    assert (said.code, said.err) == (2, "give either --to FILE, or the server by --url or --data\n")
    monkeypatch.setenv("HALA_ARGILLA_KEY", "k" * 20)
    said = run(workshop, "pull", "--url", "http://127.0.0.1:1")
    assert (said.code, "does not answer" in said.err, "kkkk" in said.err) == (1, True, False)
