"""People decide: what they have not accepted is not published, and what they said goes along with what is."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest

from tests.reviewed import PLAN, all_answer, answer, deck, reviewed, store
from tests.workshop import Workshop

VERSION = "1.0.0"


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    reviewed(workshop, version=VERSION).build()
    return workshop


def publish(shop: Workshop, version: str = VERSION) -> Any:
    return shop.run("publish", f"small@{version}", "--to", f"file://{shop.folder}/out", "--json")


def bad_ones(shop: Workshop, count: int, version: str = VERSION) -> set[str]:
    """Tasks of as many rows of the acceptance sample."""
    sample = pl.read_parquet(shop.corpus(version) / "review" / "sample.parquet")
    return set(sample.filter(pl.col("kind") == "accept")["task"].to_list()[:count])


def test_what_nobody_has_answered_is_not_published(shop: Workshop) -> None:
    said = publish(shop)
    assert said.code == 1
    assert "  review: its review is missing: nobody has answered yet" in said.err
    assert not (shop.folder / "out").exists()


def test_what_is_answered_in_part_is_not_published(shop: Workshop) -> None:
    from hala_factory.review.recording import record

    shown = deck(shop, VERSION)
    record(store(shop), shown, [answer(task.id) for task in shown.tasks[:3]])
    assert "  review: its review is open" in publish(shop).err


def test_what_people_accepted_is_published_with_their_answers_and_without_their_names(shop: Workshop) -> None:
    counts = all_answer(shop, people=("amira-the-reviewer", "bob-the-reviewer"), version=VERSION)
    told = publish(shop).json
    assert {g["gate"]: g["passed"] for g in told["gates"]}["review"]
    out = shop.folder / "out" / "small" / VERSION
    answers = pl.read_parquet(io.BytesIO((out / "review" / "answers.parquet").read_bytes()))
    assert answers.height == counts.new
    assert set(answers["task"]) == {task.id for task in deck(shop, VERSION).tasks}
    assert json.loads((out / "review" / "results.json").read_text())["decision"]["state"] == "accepted"
    assert "Review by people: accepted" in (out / "README.md").read_text(encoding="utf-8")
    for file in out.rglob("*"):
        assert not file.is_file() or b"the-reviewer" not in file.read_bytes(), file


def test_what_people_rejected_is_not_published_nor_is_another_sample_of_it(shop: Workshop) -> None:
    bad = bad_ones(shop, 2)
    all_answer(shop, lambda task: "bad" if task.id in bad else "good", version=VERSION)
    assert "  review: its review is rejected" in publish(shop).err
    (shop.corpus(VERSION) / "manifest.json").unlink()
    reviewed(shop, review={**PLAN, "seed": 7}, version=VERSION).build()
    assert "another sample does not undo that" in publish(shop).err
    reviewed(shop, review={**PLAN, "seed": 7}, version="1.0.1", more=[{"step": "sample", "max_rows": 40}]).build()
    earlier = shop.manifest("1.0.1")["review"]["earlier"]
    assert [each["version"] for each in earlier] == [VERSION], "and the next version tells of it"
    all_answer(shop, version="1.0.1")
    assert publish(shop, "1.0.1").code == 0
