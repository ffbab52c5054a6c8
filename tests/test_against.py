"""`against: name@version`: a second version is built of what the first does not hold, and every row is told why."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.workshop import Workshop, alpaca, balanced

LONG = (
    "Winds of ninety kilometres an hour tore roofs off houses along the coast on Tuesday night, and some four thousand "
    "people slept in schools and mosques while crews cleared fallen trees from the only road that leads inland."
)
STEPS = ["exact_dedup", "near_dedup"]


def row(instruction: str, output: str = "A few words on it.") -> dict[str, str]:
    return {"instruction": instruction, "input": "", "output": output}


FIRST = [row(LONG), *alpaca(8)]
LATER = [
    row(LONG.upper()),  # reads the same as one of the first version
    row(f"Today, {LONG}"),  # is near it
    *alpaca(3, "thing"),
    row("Name a fruit"),
    row("name a fruit!"),
]


def two_versions(workshop: Workshop, step: str, *more: Any, **options: Any) -> dict[str, Any]:
    """Version 1.0.0 of one source; 1.1.0 of that and another, without what the first holds."""
    workshop.rows("first.jsonl", FIRST)
    workshop.rows("later.jsonl", LATER)
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("first", "later")})
    workshop.recipe(["first"], [step], version="1.0.0")
    workshop.build()
    again = {"step": step, "against": "small@1.0.0", **options}
    workshop.recipe(["first", "later"], [*more, again], version="1.1.0")
    return workshop.build("--shard-rows", "5")


def fates(workshop: Workshop, source: str) -> list[str | None]:
    """What became of the rows of a source, in its order."""
    kept = workshop.kept("1.1.0").select("source", "origin", reason=pl.lit(None, pl.String))
    lost = workshop.lost("1.1.0").select("source", "origin", "reason")
    every = pl.concat([kept, lost]).filter(pl.col("source") == source)
    return every.sort(pl.col("origin").struct.field("position"))["reason"].to_list()


@pytest.mark.parametrize(
    ("step", "copy", "later"),
    [
        ("exact_dedup", "duplicate", ["in_earlier_version", None]),
        ("near_dedup", "near_duplicate", ["in_earlier_version"] * 2),
    ],
)
def test_a_version_holds_nothing_that_an_earlier_one_holds(
    workshop: Workshop, step: str, copy: str, later: list[str | None]
) -> None:
    told = two_versions(workshop, step)
    assert fates(workshop, "first") == ["in_earlier_version"] * len(FIRST)
    assert fates(workshop, "later") == [*later, None, None, None, None, copy]
    gone = {r: (fates(workshop, "first") + fates(workshop, "later")).count(r) for r in ("in_earlier_version", copy)}
    assert told["rows"]["dropped"] == {f"{step}.{reason}": n for reason, n in gone.items()}
    assert balanced(told["rows"])


def test_every_row_says_what_it_is_like_the_ones_that_stay_too(workshop: Workshop) -> None:
    two_versions(workshop, "near_dedup")
    columns = [f"near_dedup.{m}" for m in ("cluster", "size", "similarity")]
    lost, kept = workshop.lost("1.1.0"), workshop.kept("1.1.0")
    (like,) = workshop.kept("1.0.0").filter(pl.col("messages").list.first().struct.field("content") == LONG)["id"]
    near = lost.filter(source="later", reason="in_earlier_version").sort(columns[2])
    # The first version's row, the same row in this one, its copy in capitals and the one that is near.
    assert near.select(columns[:2]).unique().rows() == [(like, 4)]
    assert near[columns[2]].to_list() == pytest.approx([39 / 40, 1.0], abs=1e-4)
    ends = f"with {like} of first in small@1.0.0"
    assert near["detail"].to_list() == [f"similarity 0.975 {ends}", f"similarity 1.0 {ends}"]
    (fruit,) = kept.filter(pl.col("near_dedup.size") > 1).select("id", *columns).rows()
    assert fruit == (fruit[0], fruit[0], 2, 1.0)
    (copy,) = lost.filter(reason="near_duplicate").select(*columns).rows()
    assert copy == (fruit[0], 2, 1.0)
    assert kept.filter(pl.col("near_dedup.size").is_null()).height == kept.height - 1


@pytest.mark.parametrize("step", STEPS)
def test_a_row_of_an_earlier_version_has_its_journey_told(workshop: Workshop, step: str) -> None:
    two_versions(workshop, step)
    (first, *_) = workshop.lost("1.1.0").filter(source="first")["id"]
    said = workshop.run("why", first, "small@1.1.0")
    assert said.code == 0
    assert "DROPPED: in_earlier_version" in said.out
    assert f"{first} of first in small@1.0.0" in said.out


@pytest.mark.parametrize("step", STEPS)
def test_what_if_compares_rescued_rows_with_the_earlier_version_too(workshop: Workshop, step: str) -> None:
    short = {"step": "length", "on": "messages.user", "max_chars": 150}
    two_versions(workshop, step, short)
    before = workshop.lost("1.1.0")
    assert before.filter(reason="too_long").height == 3  # the long text, its copy and the one that is near
    said = workshop.run("whatif", "small@1.1.0", "--set", "length.max_chars=null", "--json").json
    workshop.recipe(["first", "later"], [{"step": step, "against": "small@1.0.0"}])
    workshop.build()
    assert said["kept"] == {"before": workshop.kept("1.1.0").height, "after": workshop.kept().height}
    risen = sum(c["rows"] for c in said["counts"] if c["becomes"] == f"{step}.in_earlier_version")
    held = [lost.filter(reason="in_earlier_version").height for lost in (before, workshop.lost())]
    assert held[0] + risen == held[1]
    assert risen == (2 if step == "exact_dedup" else 3)


@pytest.mark.parametrize("step", STEPS)
def test_whom_to_prefer_is_judged_again_without_a_build(workshop: Workshop, step: str) -> None:
    workshop.rows("first.jsonl", FIRST)
    workshop.rows("later.jsonl", [*LATER, *FIRST])
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("first", "later")})
    workshop.recipe(["first", "later"], [step])
    workshop.build()
    said = workshop.run("whatif", "small@dev", "--set", f"{step}.prefer=[later]", "--json").json
    assert said["kept"]["before"] == said["kept"]["after"]
    risen = sum(c["rows"] for c in said["counts"] if c["source"] == "later" and c["becomes"] == "kept")
    assert risen == len(FIRST)
    workshop.recipe(["first", "later"], [{"step": step, "prefer": ["later"]}])
    workshop.build()
    assert set(workshop.kept()["source"]) == {"later"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "small@9.0.0"}, "there is no corpus 'small@9.0.0' in"),
        ({"against": "small@1.1.0"}, "small@1.1.0 is what this recipe builds; name an earlier version"),
    ],
)
def test_an_earlier_version_that_cannot_be_compared_with_is_told(
    workshop: Workshop, step: str, options: dict[str, str], message: str
) -> None:
    workshop.rows("first.jsonl", FIRST)
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], [], version="1.0.0")
    workshop.build()
    workshop.recipe(["first"], [{"step": step, **options}], version="1.1.0")
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_a_text_that_the_earlier_version_does_not_have_is_told_before_anything_runs(workshop: Workshop) -> None:
    workshop.rows("first.jsonl", FIRST)
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], ["exact_dedup"], version="1.0.0")
    workshop.build()
    again = {"step": "exact_dedup", "against": "small@1.0.0", "against_on": "messages_en"}
    workshop.recipe(["first"], [again], version="1.1.0")
    said = workshop.run("build", "recipe.yaml")
    assert said.code == 2
    assert "the rows of small@1.0.0 have no text 'messages_en'" in said.err
