"""The sample of a review: what the build draws, that it is the same again, and that nobody can change it unseen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hala_factory.acceptance import Review
from hala_factory.errors import InputError
from hala_factory.quality.controls import BAD
from hala_factory.review import frame as frames
from hala_factory.review.decks import Turn
from hala_factory.review.drawing import Drawn, draw, spread
from hala_factory.review.frame import Frame, edges
from hala_factory.review.gold import planted
from hala_factory.review.loading import load
from hala_factory.rows import HEAD
from hala_factory.store import Store
from tests.reviewed import PLAN, deck, reviewed
from tests.workshop import Workshop


def sample(workshop: Workshop, version: str = "dev") -> pl.DataFrame:
    return pl.read_parquet(workshop.corpus(version) / "review" / "sample.parquet")


def test_a_build_draws_the_sample_and_seals_it_with_the_corpus(workshop: Workshop) -> None:
    reviewed(workshop).build()
    told, drawn = workshop.manifest()["review"], sample(workshop)
    assert told["words"].startswith("people judge 12 of 80 rows; the corpus is accepted if at most one is bad")
    assert told["tasks"] == dict(Counter(drawn["kind"]))
    assert {k: n for k, n in told["tasks"].items() if k != "thin"} == {
        "accept": 12,
        "dropped": 4,
        "gold": 1,
        "repeat": 1,
    }
    assert sum(s["rows"] for s in told["strata"]) == 80
    assert sum(s["drawn"] for s in told["strata"]) == 12
    assert "review/sample.parquet" in workshop.manifest()["files"]
    assert workshop.run("verify", "small@dev").code == 0


def test_a_deck_shows_source_and_target_and_nothing_of_why_it_asks(workshop: Workshop) -> None:
    reviewed(workshop, {**PLAN, "guidelines": "Be **kind**."}).build()
    shown, drawn = deck(workshop), sample(workshop)
    assert (shown.source_language, shown.target_language, shown.guidelines) == ("en", "ar", "Be **kind**.")
    assert {"".join(sorted(set(vars(task)))) for task in shown.tasks} == {"".join(sorted(["id", "batch", "turns"]))}
    assert [t.id for t in shown.tasks] == drawn["task"].to_list()
    kept = {t.id: t for t in shown.tasks}
    row = drawn.filter(pl.col("kind") == "accept").row(0, named=True)
    turns = kept[row["task"]].turns
    there = workshop.kept().filter(pl.col("id") == row["row"]).row(0, named=True)
    assert [t.target for t in turns] == [m["content"] for m in there["messages"]]
    assert [t.source for t in turns] == [m["content"] for m in there["messages_en"]]
    gone = kept[drawn.filter(pl.col("kind") == "dropped")["task"][0]]
    assert gone.turns[0].source is None


def test_what_is_asked_besides_is_marked_apart(workshop: Workshop) -> None:
    reviewed(workshop, {**PLAN, "double": 0.2, "gold_share": 0.2, "repeat_share": 0.1}).build()
    drawn = sample(workshop)
    of = {kind: drawn.filter(pl.col("kind") == kind) for kind in drawn["kind"].unique()}
    assert (of["accept"]["draws"].sum(), drawn["draws"].sum()) == (12, 12)
    assert of["accept"].filter(pl.col("batch") == "double").height == 3
    assert set(drawn.filter(pl.col("kind") != "accept")["batch"]) == {"single"}
    again = of["repeat"].join(of["accept"], left_on="of", right_on="task")
    assert (again.height, again["turns"].equals(again["turns_right"], check_names=False)) == (2, True)
    assert set(again["batch_right"]) == {"double"}
    place = {task: i for i, task in enumerate(drawn["task"])}
    assert all(place[t] > place[o] for t, o in of["repeat"].select("task", "of").iter_rows())
    assert set(of["gold"]["expected"]) == {"bad"}
    assert of["gold"]["row"].null_count() == of["gold"].height == 3
    assert not set(of["accept"]["row"]) & set(of["thin"]["row"])
    barred = {"exact_dedup", "source"}
    assert not {s.split(".")[0] for s in of["dropped"]["stratum"]} & barred


def test_the_same_rows_and_plan_draw_the_same_sample_and_others_another(workshop: Workshop) -> None:
    reviewed(workshop).build()
    first, digest = sample(workshop), deck(workshop).digest
    workshop.corpus().rename(workshop.folder / "gone")
    workshop.build("--shard-rows", "7")
    assert sample(workshop).equals(first)
    assert deck(workshop).digest == digest
    reviewed(workshop, {**PLAN, "seed": 1}).build()
    assert deck(workshop).digest != digest
    assert set(sample(workshop)["row"]) != set(first["row"])
    reviewed(workshop, rows=61).build()
    assert set(sample(workshop)["task"]).isdisjoint(first["task"]), "another corpus has other tasks"


@pytest.mark.parametrize("edit", ["sample", "manifest", "torn"])
def test_a_deck_of_an_edited_corpus_is_refused(workshop: Workshop, edit: str) -> None:
    reviewed(workshop).build()
    path = workshop.corpus() / ("manifest.json" if edit == "manifest" else "review/sample.parquet")
    if edit == "sample":
        sample(workshop).with_columns(draws=pl.lit(1, pl.Int32)).write_parquet(path)
    elif edit == "manifest":
        path.write_text(path.read_text().replace('"allowed": 1,\n  "method"', '"allowed": 9,\n  "method"'))
    else:
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError) as error:
        deck(workshop)
    expected = {"sample": "edited or damaged", "manifest": "was edited", "torn": "cannot be read"}
    assert path.name in str(error.value)
    assert expected[edit] in str(error.value)
    said = workshop.run("verify", "small@dev")
    assert said.code == 1
    assert path.name in said.out


def test_a_corpus_without_a_review_has_no_deck(workshop: Workshop) -> None:
    reviewed(workshop)
    workshop.recipe(["first"], ["chat_shape"], name="bare")
    workshop.run("build", "recipe.yaml", "--quiet")
    with pytest.raises(InputError, match=r"bare@dev was built without a review plan.*put 'review:' into its recipe"):
        load(Store.at("store"), "bare@dev")
    with pytest.raises(InputError, match="holds no 'bear@dev'; did you mean 'bare@dev'"):
        load(Store.at("store"), "bear@dev")


def test_pairs_are_shown_with_their_two_languages(workshop: Workshop) -> None:
    pairs = [
        {"en": f"Sentence number {i} is long enough.", "ar": f"الجملة رقم {i} طويلة بما يكفي."} for i in range(30)
    ]
    workshop.rows("pairs.jsonl", pairs)
    workshop.catalog({"pairs": {"path": "pairs.jsonl", "columns": {"en": "en", "ar": "ar"}, "rows": "pair"}})
    workshop.recipe(["pairs"], [{"step": "length", "on": "translation.ar"}], review={"accept_if": {"sample": 6}, "gold_share": 0.2})  # fmt: skip
    built = workshop.run("build", "recipe.yaml", "--quiet")
    if built.code:
        pytest.fail(built.err)
    shown = deck(workshop)
    assert (shown.source_language, shown.target_language) == ("en", "ar")
    (turn,) = shown.tasks[0].turns
    assert (turn.role, (turn.source or "")[:8], turn.target.startswith("الجملة")) == ("text", "Sentence", True)


def corpus(folder: Path, sources: dict[str, int], files: int = 1, seed: int = 0) -> Path:
    """A folder with `data/` of so many rows by source, each with a score, in several files."""
    lines = [
        {"id": f"{source}{i}", "source": source, "origin": {"file": "f", "position": i, "part": 0}, "m.score": (i * 7919 + seed) % 101 / 100}
        for source, n in sources.items()
        for i in range(n)
    ]  # fmt: skip
    schema = {n: HEAD[n] for n in ("id", "source", "origin")} | {"m.score": pl.Float32()}
    whole = pl.DataFrame(lines, schema=schema)
    (folder / "data").mkdir(parents=True)
    size = -(-whole.height // files) or 1
    for i in range(files):
        whole.slice(i * size, size).write_parquet(folder / "data" / f"{i}.parquet")
    return folder


def drawn(folder: Path, review: Review) -> Drawn:
    return draw(folder, review, "salt", 3, [])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 400), min_size=1),
    st.integers(1, 60),
    st.integers(0, 8),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(2, 4)),
)
def test_every_draw_keeps_what_the_plan_promises(
    tmp_path_factory: pytest.TempPathFactory,
    sources: dict[str, int],
    n: int,
    least: int,
    files: int,
    bins: int | None,
) -> None:
    asked: dict[str, Any] = {"accept_if": {"sample": n}, "min_per_stratum": least}
    asked |= {"score": "m.score", "bins": bins} if bins else {}
    review = Review.model_validate(asked)
    one = drawn(corpus(tmp_path_factory.mktemp("one"), sources), review)
    keys = [(p.source, p.id) for p in one.rows]
    assert len(set(keys)) == len(keys)
    assert sum(p.draws for p in one.rows) == one.plan.draws == min(n, sum(sources.values()))
    assert sum(s["rows"] for s in one.strata) == sum(sources.values())
    for stratum in one.strata:
        mine = [p for p in one.rows if (p.source, p.stratum) == (stratum["source"], stratum["bin"])]
        assert len(mine) == stratum["asked"] >= min(least, stratum["rows"])
        assert sum(p.kind == "accept" for p in mine) == stratum["drawn"]
        assert all(p.inclusion == pytest.approx(stratum["asked"] / stratum["rows"]) for p in mine)
        if mine and bins:
            assert all(_within(p.score, stratum["bin"]) for p in mine)
    assert not {(p.source, p.id) for p in one.spare} & set(keys)
    if bins is None:  # the ranges of a score are of evenly taken rows, file by file
        other = drawn(corpus(tmp_path_factory.mktemp("two"), sources, files), review)
        assert [(p.id, p.kind) for p in other.rows] == [(p.id, p.kind) for p in one.rows], "files do not matter"


def _within(score: float | None, told: str) -> bool:
    words = told.split()
    assert score is not None
    if told in ("all", "no score"):
        return told == "all"
    if words[0] == "below":
        return score < float(words[1]) + 1e-4
    low, high = (float(words[1]), 2.0) if words[0] == "from" else (float(words[0]), float(words[2]))
    return low - 1e-4 <= score < high + 1e-4


def test_any_row_of_a_corpus_may_be_drawn(tmp_path: Path) -> None:
    folder = corpus(tmp_path, {"a": 30, "b": 10})
    seen: Counter[str] = Counter()
    for seed in range(200):
        review = Review.model_validate({"accept_if": {"sample": 10}, "seed": seed, "min_per_stratum": 0})
        seen.update(p.id for p in drawn(folder, review).rows)
    assert len(seen) == 40
    assert all(20 <= n <= 80 for n in seen.values()), "a quarter of 200, give or take five standard deviations"


def test_texts_and_memory_do_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch at a time, and only the columns that the draw needs: a text column that cannot be read is never read."""
    folder = corpus(tmp_path, {"a": 3000})
    path = folder / "data" / "0.parquet"
    pl.read_parquet(path).with_columns(messages=pl.lit("text")).write_parquet(path, row_group_size=100)
    monkeypatch.setattr(frames, "BATCH", 100)
    held: list[int] = []
    real = Frame.batches

    def spying(self: Frame, columns: list[str]) -> Any:
        for batch in real(self, columns):
            held.append(batch.height)
            assert "messages" not in batch.columns
            yield batch

    monkeypatch.setattr(Frame, "batches", spying)
    made = drawn(folder, Review.model_validate({"accept_if": {"sample": 20}}))
    assert len(made.rows) == 20
    assert max(held) == 100
    assert len(held) == 60, "the rows are read twice: counted, and drawn"


def test_ranges_of_a_score_hold_about_equal_numbers(tmp_path: Path) -> None:
    folder = corpus(tmp_path, {"a": 1010})
    files = tuple((folder / "data").glob("*"))
    bounds = edges(files, "m.score", 4)
    assert bounds == pytest.approx((0.25, 0.5, 0.75), abs=0.011)
    counts = Frame(files, "", score="m.score", edges=bounds).counts()
    assert all(n == pytest.approx(252, abs=15) for n in counts.values())


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        ({}, 5, {}),
        ({"a": 100, "b": 100}, 1, {"a": 1}),
        ({"a": 2, "b": 1}, 9, {"a": 2, "b": 1}),
        ({"a": 900, "b": 100, "c": 1}, 9, {"a": 6, "b": 2, "c": 1}),
    ],
)
def test_dropped_rows_are_taken_of_every_reason(sizes: dict[str, int], count: int, shares: dict[str, int]) -> None:
    assert spread(sizes, count) == shares


def test_planted_defects_are_of_every_kind_and_spoil_the_text() -> None:
    rows = [
        (Turn("user", f"Say {i}", f"قل {i}"), Turn("assistant", f"It is {i} now.", f"الساعة الآن {i} تماما يا صديقي."))
        for i in range(8)
    ]
    made = planted(rows, 6)
    assert [g.how for g in made] == [*BAD, *BAD][:6]
    for item, turns in zip(made, rows, strict=False):
        assert item.turns[0] == turns[0]
        assert item.turns[1].target != turns[1].target
        assert item.turns[1].source == turns[1].source
    assert planted([], 3) == []
