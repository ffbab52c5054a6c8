"""`whatif`: what other thresholds would make of a version, held against real rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hala_factory import recipe, rows, step
from hala_factory import whatif as judging
from hala_factory.step import Columns, Normaliser
from hala_factory.store import Store
from tests.workshop import Workshop, alpaca, answers

WORDS = ("rivers", "bread", "the old town", "Cairo", "a long walk by the sea in the evening", "x")


class Shout(Normaliser):
    """Writes in capitals, so that later steps see other texts than stood in the source."""

    example: ClassVar[dict[str, str]] = {"kept": "a", "dropped": ""}
    step: Literal["shout"] = "shout"

    def measures(self) -> Columns:
        return {"changed": pl.Int32()}

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        turn = pl.element().struct
        loud = pl.struct(role=turn.field("role"), content=turn.field("content").str.to_uppercase())
        after = frame.with_columns(pl.col("messages").list.eval(loud))
        changed = rows.text("messages").alias("t")
        same = frame.select(changed)["t"] == after.select(changed)["t"]
        return after, pl.DataFrame({"changed": (~same).cast(pl.Int32)})


@pytest.fixture
def _shouting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    recipe.load_steps()
    monkeypatch.setitem(step._STEPS, "shout", Shout)
    recipe.recipe_type.cache_clear()
    yield
    recipe.recipe_type.cache_clear()


STEPS: list[Any] = [
    "chat_shape",
    {"step": "length", "min_chars": 30, "max_chars": 90},
    {"step": "exact_dedup", "on": "messages.user"},
    {"step": "shout"},
    {"step": "length", "name": "answers", "on": "messages.assistant", "min_words": 2, "max_words": 12},
    {"step": "exact_dedup", "name": "answers_once", "on": "messages.assistant"},
    {"step": "length", "name": "last", "on": "messages.user", "max_chars": 60},
]
LENGTHS = st.one_of(st.none(), st.integers(0, 120))
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        ("length", "min_chars"): st.integers(0, 60),
        ("length", "max_chars"): st.one_of(st.none(), st.integers(60, 140)),
        ("answers", "min_words"): st.integers(0, 8),
        ("answers", "max_words"): st.one_of(st.none(), st.integers(8, 25)),
        ("last", "max_chars"): LENGTHS,
    },
).filter(bool)


def talk(i: int) -> dict[str, str]:
    """Rows of many lengths, of which some share their question and some their answer."""
    word = WORDS[i % len(WORDS)]
    return {
        "instruction": f"Say something about {word} to {'me' if i % 3 else 'my friend'}" + " please" * (i % 5) + ".",
        "input": "",
        "output": f"There is {word}, " + "and so on " * (i % 4) + ("" if i % 7 else f"of which I know number {i}."),
    }


def stood(workshop: Workshop) -> dict[tuple[str, str, int], str]:
    """Every row of the version by its source and place, and what became of it."""
    kept = workshop.kept().select("source", "origin", said=pl.lit("kept"))
    lost = workshop.lost().select("source", "origin", said=pl.concat_str("step", "reason", separator="."))
    found = {}
    for row in pl.concat([kept, lost]).iter_rows(named=True):
        found[(row["source"], row["origin"]["file"], row["origin"]["position"])] = row["said"]
    return found


def with_steps(workshop: Workshop, steps: list[Any], chosen: dict[tuple[str, str], Any]) -> None:
    changed = []
    for each in steps:
        each = {"step": each} if isinstance(each, str) else each
        label = each.get("name", each["step"])
        changed.append({**each, **{f: v for (name, f), v in chosen.items() if name == label}})
    workshop.recipe(["one", "two"], changed)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("talks"))
    made.rows("one.jsonl", [talk(i) for i in range(0, 90)])
    made.rows("two.jsonl", [talk(i) for i in range(40, 150)])
    made.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two")})
    return made


@pytest.mark.usefixtures("_shouting")
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=SETTINGS)
def test_what_if_says_what_a_rebuild_does(
    talks: Workshop, chosen: dict[tuple[str, str], Any], request: pytest.FixtureRequest
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(talks.folder)
        with_steps(talks, STEPS, {})
        talks.build("--shard-rows", "37")
        before = stood(talks)
        manifest = talks.manifest()
        written = [f"{label}.{f}={'null' if v is None else v}" for (label, f), v in chosen.items()]
        answer = judging.whatif(Store.at("store"), manifest, written)
        with_steps(talks, STEPS, chosen)
        talks.build("--shard-rows", "53")
        after = stood(talks)
    expected = {place: (before[place], said) for place, said in after.items() if before[place] != said}
    found = {
        (r["source"], r["origin"]["file"], r["origin"]["position"]): (r["was_said"], r["becomes_said"])
        for r in answer.flips.with_columns(
            judging.said(side).alias(f"{side}_said") for side in ("was", "becomes")
        ).to_dicts()
    }
    assert found == expected
    assert answer.kept_after == sum(said == "kept" for said in after.values())
    assert answer.kept_before == manifest["rows"]["kept"]


def translated(workshop: Workshop) -> Workshop:
    workshop.rows("one.jsonl", alpaca(30))
    workshop.rows("answers.jsonl", answers(30))
    workshop.catalog(
        {"one": {"path": "one.jsonl"}},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}},
    )
    steps = [
        {"step": "length", "max_chars": 115},
        {"step": "translate", "to": "ar", "model": "people"},
        {"step": "length", "name": "length_ar", "min_chars": 10},
    ]
    workshop.recipe(["one"], steps)
    return workshop


def test_rows_that_a_model_has_not_seen_are_counted_with_their_cost(workshop: Workshop) -> None:
    translated(workshop).build()
    said = workshop.run("whatif", "small@dev", "--set", "length.max_chars=null", "--json").json
    lost = workshop.lost().filter(pl.col("step") == "length").height
    assert lost > 0
    assert said["generation"]["rows"] == lost
    assert said["generation"]["texts"] == 2 * lost
    assert said["generation"]["output_tokens"] is not None
    assert said["counts"] == [
        {"source": "one", "was": "length.too_long", "becomes": "translate.to generate", "rows": lost}
    ]
    assert said["kept"]["before"] == said["kept"]["after"]


def test_the_flips_are_told_to_people_and_written_for_scripts(workshop: Workshop) -> None:
    translated(workshop).build()
    said = workshop.run("whatif", "small@dev", "--set", "length_ar.min_chars=300", "--out", "flips.parquet")
    assert said.code == 0
    flips = pl.read_parquet(workshop.folder / "flips.parquet")
    assert flips.columns == ["id", "source", "origin", "was", "becomes"]
    assert "length_ar.too_short" in said.out
    assert f"flips   {flips.height:,} rows" in said.out


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "length.max_char=3",
            "--set 'length.max_char=3': 'length' has no field 'max_char'; did you mean 'max_chars'?",
        ),
        ("lenght.max_chars=3", "--set 'lenght.max_chars=3': the version has no step 'lenght'; did you mean 'length'?"),
        ("length.max_chars", "--set 'length.max_chars': expected step.field=value, e.g. length.min_chars=30"),
        ("length.max_chars=[", "'[' is not a value as YAML has it"),
        ("length.min_chars=900", "--set length: max_chars: expected at least min_chars (900), found 115"),
        ("length.max_chars=x", "--set length: max_chars: expected a whole number, found 'x'"),
        ("length.min_words=3", "--set length: the version did not measure words, as it had no use for it"),
    ],
)
def test_a_setting_that_fits_nothing_is_told(workshop: Workshop, setting: str, message: str) -> None:
    translated(workshop).build()
    said = workshop.run("whatif", "small@dev", "--set", setting)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_a_field_that_decides_what_is_measured_needs_a_build(workshop: Workshop) -> None:
    translated(workshop).build()
    said = workshop.run("whatif", "small@dev", "--set", "length.on=messages.user")
    assert said.code == 2
    assert "change the recipe and build" in said.err


def test_a_barrier_whose_index_is_gone_is_told(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", [talk(i) for i in range(40)])
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(["one"], [{"step": "length", "min_chars": 60}, "exact_dedup"])
    workshop.build()
    for path in (workshop.folder / "store" / "stages").glob("exact_dedup-*/index-*"):
        path.unlink()
    said = workshop.run("whatif", "small@dev", "--set", "length.min_chars=10")
    assert said.code == 2
    assert "the index of 'exact_dedup' is no longer in the store" in said.err
