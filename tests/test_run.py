"""No row is lost: rows in = kept + dropped + failed, at every stage, and every row is found exactly once."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hala_factory import recipe, step
from hala_factory.errors import BuildError
from hala_factory.run.ledger import Ledger, Tally
from hala_factory.step import Columns, Filter
from tests.workshop import Workshop, alpaca, balanced, troubled

# ---- Filters that go wrong ----


class Faulty(Filter):
    """Goes wrong in the ways a filter can."""

    step: Literal["faulty"] = "faulty"
    fault: str

    def measures(self) -> Columns:
        return {"chars": pl.UInt32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        prompts = frame.select(pl.col("messages").list.first().struct.field("content")).to_series()
        chars = frame.select(prompts.str.len_chars().alias("chars"))
        third = prompts.str.contains("number [0-9]*3[.]")
        match self.fault:
            case "loses a row":
                return chars.head(frame.height - 1)
            case "doubles a row":
                return pl.concat([chars, chars.tail(1)])
            case "has another name":
                return chars.rename({"chars": "characters"})
            case "has another type":
                return chars.cast(pl.Int64)
            case "raises":
                if third.any():
                    raise ValueError("threes are too much")
            case "panics":
                if third.any():
                    raise pl.exceptions.PanicException("threes are too much")
            case "is null":
                return chars.with_columns(pl.when(~third).then("chars"))
            case "is at its end":
                raise BuildError("the model of this filter is gone; fetch it again")
        return chars

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [("too_long", pl.col("chars") > 38)]


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    recipe.load_steps()
    monkeypatch.setitem(step._STEPS, "faulty", Faulty)
    recipe.recipe_type.cache_clear()
    yield
    recipe.recipe_type.cache_clear()


def with_fault(workshop: Workshop, fault: str) -> Workshop:
    workshop.rows("one.jsonl", alpaca(20))
    workshop.rows("two.jsonl", alpaca(12, "thing"))
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two")})
    workshop.recipe(["one", "two"], ["length", {"step": "faulty", "fault": fault}, "exact_dedup"])
    return workshop


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("fault", "measured"),
    [
        ("loses a row", "chars (UInt32) for 19 rows"),
        ("doubles a row", "chars (UInt32) for 21 rows"),
        ("has another name", "characters (UInt32) for 20 rows"),
        ("has another type", "chars (Int64) for 20 rows"),
    ],
)
def test_a_filter_that_does_not_answer_for_every_row_fails_the_build(
    workshop: Workshop, fault: str, measured: str
) -> None:
    said = with_fault(workshop, fault).run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert (said.code, said.err) == (
        1,
        f"step 'faulty' measured {measured}; expected chars (UInt32) for 20: "
        "this is a defect of the step, and nothing was published\n",
    )
    assert not workshop.corpus().exists()
    assert workshop.run("plan", "recipe.yaml", "--json").json["stages"][2]["status"] == "to run"


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(("fault", "kind"), [("raises", "ValueError"), ("panics", "PanicException")])
@pytest.mark.parametrize("shard_rows", ["3", "1000"])
def test_a_row_on_which_a_filter_raises_fails_alone(
    workshop: Workshop, fault: str, kind: str, shard_rows: str
) -> None:
    told = with_fault(workshop, fault).build("--shard-rows", shard_rows)
    assert told["rows"] == {
        "in": 32,
        "kept": 18,
        "dropped": {"faulty.too_long": 11},
        "failed": {"faulty.error": 3},
    }
    lost = workshop.lost().filter(status="failed")
    assert lost.select("source", pl.col("origin").struct.field("position")).rows() == [
        ("one", 4),
        ("one", 14),
        ("two", 4),
    ]
    assert set(lost["detail"]) == {f"{kind}: threes are too much"}
    assert lost["length.chars"].null_count() == 0
    assert lost["faulty.chars"].null_count() == 3


@pytest.mark.usefixtures("faulty")
def test_a_row_for_which_a_rule_is_null_fails_as_not_measured(workshop: Workshop) -> None:
    told = with_fault(workshop, "is null").build()
    assert told["rows"]["failed"] == {"faulty.not_measured": 3}
    assert told["rows"]["kept"] == 18
    assert balanced(told["rows"])


@pytest.mark.usefixtures("faulty")
def test_what_a_filter_says_to_people_ends_the_build_and_is_no_failed_row(workshop: Workshop) -> None:
    said = with_fault(workshop, "is at its end").run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert (said.code, said.err) == (1, "the model of this filter is gone; fetch it again\n")


def test_a_ledger_that_does_not_balance_fails_the_build() -> None:
    ledger = Ledger(
        one=Tally(5, 3, Counter({"length.too_short": 2})), two=Tally(5, 3, Counter(), Counter({"x.error": 1}))
    )
    with pytest.raises(
        BuildError, match=r"^length: two: the ledger does not balance: 5 rows in, but 3 kept \+ 0 dropped"
    ):
        ledger.balance("length")


@pytest.mark.parametrize("table", ["kept", "dropped"])
def test_a_stage_file_with_a_row_too_few_fails_the_build(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    from hala_factory.run.files import Writer

    write = Writer.write

    def forget(self: Writer, frame: pl.DataFrame) -> None:
        wanted = "part" if table == "kept" else "dropped"
        forgets = "length-" in str(self.path) and self.path.name.startswith(wanted)
        write(self, frame.head(max(0, frame.height - 1)) if forgets else frame)

    workshop.rows("one.jsonl", [*alpaca(9), {"instruction": "Hi.", "input": "", "output": "No."}])
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(["one"], [{"step": "length", "min_chars": 10}])
    monkeypatch.setattr(Writer, "write", forget)
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert (said.code, said.err) == (
        1,
        "length, shard 0: 10 rows to read, 10 read, 9 written; nothing was published\n",
    )
    assert not workshop.corpus().exists()


# ---- The ledger of a whole build ----


def test_the_ledger_holds_for_every_stage_and_source(workshop: Workshop) -> None:
    told = troubled(workshop).build("--shard-rows", "9")
    manifest = workshop.manifest()
    assert balanced(told["rows"])
    assert balanced(manifest["rows"])
    assert list(manifest["sources"]) == ["first", "second", "third"]
    before: dict[str, int] = {}
    for stage in manifest["stages"]:
        assert balanced(stage["rows"]), stage["name"]
        for source, rows in stage["sources"].items():
            assert balanced(rows), (stage["name"], source)
            assert rows["in"] == before.get(source, rows["in"])
            before[source] = rows["kept"]
    lost = Counter(workshop.lost().select("status", "step", "reason").rows())
    assert lost == {
        (status, *reason.split(".")): n
        for status in ("dropped", "failed")
        for reason, n in manifest["rows"][status].items()
    }
    assert workshop.kept().height == manifest["rows"]["kept"]


def test_a_source_of_which_nothing_is_left_stays_in_the_ledger(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", alpaca(4))
    workshop.rows("two.jsonl", [{"instruction": "Hi.", "input": "", "output": "No."}])
    workshop.rows("three.jsonl", [{"instruction": None, "input": "", "output": "No."}])
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two", "three")})
    workshop.recipe(["one", "two", "three"], [{"step": "length", "min_chars": 20}, "exact_dedup"])
    workshop.build()
    assert workshop.manifest()["sources"] == {
        "one": {"in": 4, "kept": 4, "dropped": {}, "failed": {}},
        "three": {"in": 1, "kept": 0, "dropped": {}, "failed": {"source.null": 1}},
        "two": {"in": 1, "kept": 0, "dropped": {"length.too_short": 1}, "failed": {}},
    }


# ---- Random corpora ----

TEXTS = st.text(max_size=30) | st.sampled_from(["", " ", "a", "A", "مرحبا", "é", "e\u0301", "\x00", "\u2028", "a\nb"])
ROWS = st.fixed_dictionaries({"instruction": TEXTS, "output": TEXTS}, optional={"input": TEXTS | st.none()})
BROKEN = st.sampled_from(
    [{"instruction": None, "output": "a"}, {"instruction": 1, "output": "a"}, {}, {"output": "b"}]
)
CORPORA = st.lists(st.lists(ROWS | BROKEN, min_size=1, max_size=12), min_size=1, max_size=3)
CHAINS = st.lists(
    st.sampled_from(
        [
            {"step": "chat_shape"},
            {"step": "length", "min_chars": 2},
            {"step": "length", "max_chars": 20},
            {"step": "length", "name": "reply", "on": "messages.assistant", "min_chars": 1},
            {"step": "exact_dedup"},
            {"step": "exact_dedup", "name": "prompts", "on": "messages.user"},
            {"step": "repetition"},
            {"step": "gopher_quality", "min_words": 1, "min_stop_words": 0},
            {"step": "language", "keep": ["en", "ar"], "min_score": 0.1},
        ]
    ),
    max_size=4,
    unique_by=lambda s: s.get("name", s["step"]),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corpora=CORPORA, chain=CHAINS, shard_rows=st.sampled_from(["1", "3", "1000"]))
def test_in_any_corpus_through_any_steps_every_row_is_found_once(
    monkeypatch: pytest.MonkeyPatch, corpora: list[list[dict[str, Any]]], chain: list[Any], shard_rows: str
) -> None:
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("os.fsync", lambda handle: None)  # the disk is not what is tested here
        workshop = Workshop(Path(folder))
        names = [f"s{i}" for i in range(len(corpora))]
        for name, corpus in zip(names, corpora, strict=True):
            workshop.rows(f"{name}.jsonl", [{"instruction": None, "output": None, **r} for r in corpus])
        workshop.catalog({n: {"path": f"{n}.jsonl"} for n in names})
        workshop.recipe(names, chain)
        said = workshop.run("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", "--shard-rows", shard_rows)
        told = said.json
        kept, lost = workshop.kept(), workshop.lost()

        assert balanced(told["rows"])
        assert told["rows"]["in"] == sum(map(len, corpora))
        found = Counter(place(r) for table in (kept, lost) for r in table.iter_rows(named=True))
        assert found == {(n, i): 1 for n, c in zip(names, corpora, strict=True) for i in range(1, len(c) + 1)}
        assert [place(r) for r in kept.iter_rows(named=True)] == sorted(place(r) for r in kept.iter_rows(named=True))

        # what was kept is kept again
        rows = [{"messages": r["messages"]} for r in kept.iter_rows(named=True)]
        if rows:
            workshop.rows("kept.jsonl", rows)
            workshop.catalog({"kept": {"path": "kept.jsonl", "columns": "messages"}})
            workshop.recipe(["kept"], chain)
            again = workshop.build("--store", "again")["rows"]
            assert (again["in"], again["kept"]) == (len(rows), len(rows))


def place(row: dict[str, Any]) -> tuple[str, int]:
    return row["source"], row["origin"]["position"]


def test_equal_rows_of_one_source_share_an_id_and_are_told_apart_by_their_origin(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", alpaca(1) * 3)
    workshop.rows("two.jsonl", alpaca(1))
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two")})
    workshop.recipe(["one", "two"], ["exact_dedup"])
    workshop.build()
    rows = pl.concat([t.select("id", "source", "origin") for t in (workshop.kept(), workshop.lost())])
    assert rows["id"].n_unique() == 2
    assert rows.unique().height == 4


def test_the_record_of_a_shard_names_its_files_with_their_digests(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", alpaca(5))
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(["one"], ["length"])
    workshop.build("--shard-rows", "2")
    (folder,) = Path("store/stages").glob("length-*")
    done = json.loads((folder / "done-00002.json").read_text())
    assert set(done["files"]) == {"part-00002.parquet", "dropped-00002.parquet"}
    assert done["rows"] == {"in": 1, "kept": 1, "dropped": {}, "failed": {}}
    assert json.loads((folder / "stage.json").read_text())["shards"] == 3


HEAVY = ["pandas", "torch", "vllm", "transformers", "datasets", "datatrove", "sklearn"]
"""What a build of filters has no use for, and would take longer to load than to filter ten thousand rows."""


def test_a_build_of_filters_loads_nothing_that_it_does_not_use(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", alpaca(50))
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(["one"], ["chat_shape", "language", "length", "gopher_quality", "repetition", "exact_dedup"])
    build = "from hala_factory.cli import main; main(standalone_mode=False)"
    told = f"import sys; {build}; print(sorted(sys.modules.keys() & set({HEAVY})), file=sys.stderr)"
    with workshop.spawn("build", "recipe.yaml", "--quiet", "--workers", "1", program=("-c", told)) as process:
        _, errors = process.communicate()
    assert (process.returncode, errors.decode().splitlines()[-1]) == (0, "[]")
