"""Answers to a review: kept in rounds that are only added to, under pseudonyms, and what they decide is a gate."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hala_factory import seal
from hala_factory.errors import BuildError, InputError
from hala_factory.review.decks import joined
from hala_factory.review.keeping import Kept, kept
from hala_factory.review.recording import record
from hala_factory.review.standing import Standing, standing
from tests.reviewed import PLAN, all_answer, answer, deck, reviewed, store
from tests.workshop import Workshop


def folder(workshop: Workshop) -> Kept:
    (found,) = kept(store(workshop), "small")
    return found


def stands(workshop: Workshop, version: str = "dev") -> Standing:
    return standing(store(workshop), workshop.manifest(version))


def deciding(workshop: Workshop, version: str = "dev", batch: str = "single") -> list[str]:
    sample = pl.read_parquet(workshop.corpus(version) / "review" / "sample.parquet")
    return sample.filter((pl.col("kind") == "accept") & (pl.col("batch") == batch))["task"].to_list()


def test_only_what_is_new_or_changed_is_kept(workshop: Workshop) -> None:
    reviewed(workshop).build()
    first = all_answer(workshop)
    assert (first.new, first.changed, first.round, first.annotators) == (first.submitted, 0, 1, 2)
    again = all_answer(workshop)
    assert (again.submitted, again.new, again.changed, again.round) == (first.submitted, 0, 0, None)
    task = deck(workshop).tasks[0].id
    changed = record(store(workshop), deck(workshop), [answer(task, verdict="bad", minutes=5)])
    assert (changed.new, changed.changed, changed.round) == (0, 1, 2)
    assert all_answer(workshop).round is None, "an old answer that comes again changes nothing"
    state = folder(workshop).answers()
    assert state.height == first.submitted
    assert state.filter(pl.col("verdict") == "bad")["task"].to_list() == [task]
    assert folder(workshop).history().height == first.submitted + 1


def test_the_last_answer_counts_in_whatever_order_places_are_pulled(workshop: Workshop) -> None:
    reviewed(workshop).build()
    task = deck(workshop).tasks[0].id
    for minutes, verdict in ((5, "bad"), (1, "good"), (3, "fix")):
        record(store(workshop), deck(workshop), [answer(task, verdict=verdict, minutes=minutes)])
    assert folder(workshop).answers()["verdict"].to_list() == ["bad"]
    assert folder(workshop).history()["verdict"].to_list() == ["bad", "good", "fix"]


def test_drafts_and_discards_are_counted_and_judge_nothing(workshop: Workshop) -> None:
    reviewed(workshop).build()
    one, two, three = deciding(workshop)[:3]
    given = [answer(one), answer(two, verdict=None, status="draft"), answer(three, verdict="bad", status="discarded")]
    counts = record(store(workshop), deck(workshop), given)
    assert (counts.submitted, counts.draft, counts.discarded) == (1, 1, 1)
    assert stands(workshop).words.startswith("2 of 12 tasks that decide are answered; 0 bad and 1 that everybody")


def test_a_correction_that_changes_nothing_is_none(workshop: Workshop) -> None:
    reviewed(workshop).build()
    shown = deck(workshop)
    same, other = shown.tasks[:2]
    given = [
        answer(same.id, correction=joined(same.turns, "target") + "\n"),
        answer(other.id, correction=joined(other.turns, "target") + " نعم"),
    ]
    record(store(workshop), shown, given)
    found = dict(folder(workshop).answers().select("task", "correction").iter_rows())
    assert found[same.id] is None
    assert str(found[other.id]).endswith(" نعم")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"task": "0123456789abcdef"}, "task '0123456789abcdef': the sample has no such task"),
        ({"verdict": None}, "it was submitted without a verdict"),
        ({"verdict": "great"}, "'great' is no answer that was asked for"),
        ({"errors": ("speling",)}, "'speling' is no answer that was asked for"),
        ({"severity": "fatal"}, "'fatal' is no answer that was asked for"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_the_others_are_kept(
    workshop: Workshop, wrong: dict[str, Any], why: str
) -> None:
    reviewed(workshop).build()
    one, two = (t.id for t in deck(workshop).tasks[:2])
    given = [answer(one), answer(**{"task": two, **wrong})]
    with pytest.raises(InputError) as error:
        record(store(workshop), deck(workshop), given)
    assert "1 of 2 answers are not to small@dev and were refused; the others are kept" in str(error.value)
    assert why in str(error.value)
    assert folder(workshop).answers()["task"].to_list() == [one]


def test_answers_to_another_sample_are_refused(workshop: Workshop) -> None:
    reviewed(workshop).build()
    old = deck(workshop)
    reviewed(workshop, rows=61).build()
    with pytest.raises(InputError, match=r"these are answers to the sample .*it was built again since; nothing was"):
        record(store(workshop), deck(workshop), [answer(old.tasks[0].id)], digest=old.digest)
    assert kept(store(workshop), "small") == []


def test_people_stand_under_pseudonyms_that_no_name_can_be_read_from(workshop: Workshop) -> None:
    reviewed(workshop).build()
    all_answer(workshop, people=("Ann Example", "bob@example.org"))
    where = folder(workshop)
    assert len({where.pseudonym(n) for n in ("Ann Example", "bob@example.org", "ann example")}) == 3
    assert set(where.answers()["annotator"]) == {where.pseudonym(n) for n in ("Ann Example", "bob@example.org")}
    for path in where.path.iterdir():
        assert b"Ann Example" not in path.read_bytes()
        assert b"bob@example" not in path.read_bytes()
    assert (where.path / ".key").stat().st_mode & 0o777 == 0o600
    key = (where.path / ".key").read_bytes()
    assert len(key) == 32
    assert key.hex() not in json.dumps(workshop.manifest())
    (where.path / ".key").unlink()
    with pytest.raises(BuildError, match="other pseudonyms than before"):
        all_answer(workshop, lambda task: "fix", people=("Ann Example", "bob@example.org"))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace('"answers": ', '"answers": 1'))


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("round-00001.parquet", torn),
        ("round-00001.parquet", gone),
        ("round-00001.json", edited),
        ("round-00001.json", torn),
        ("round-00001.json", gone),
        ("plan.json", torn),
        ("sample.parquet", torn),
    ],
)
def test_a_damaged_round_is_named_and_never_taken_for_less(workshop: Workshop, name: str, harm: Any) -> None:
    reviewed(workshop).build()
    all_answer(workshop)
    record(store(workshop), deck(workshop), [answer(deck(workshop).tasks[0].id, "eve")])
    path = folder(workshop).path / name
    harm(path)
    with pytest.raises((BuildError, InputError), match=re.escape(name)):
        stands(workshop)
    said = workshop.run("verify", "small@dev")
    assert said.code == 1
    assert name in said.out
    assert workshop.run("review", "report", "small@dev").code in (1, 2)


def test_a_round_that_was_killed_before_its_record_is_written_again(workshop: Workshop) -> None:
    reviewed(workshop).build()
    all_answer(workshop)
    where = folder(workshop).path
    (where / "round-00002.parquet").write_bytes(b"half")
    (where / ".tmp-12345678-round-00002.parquet").write_bytes(b"less")
    record(store(workshop), deck(workshop), [answer(deck(workshop).tasks[0].id, "eve")])
    assert folder(workshop).rounds() == [1, 2]
    assert workshop.run("verify", "small@dev").code == 0


def test_pulls_at_the_same_time_lose_nothing(workshop: Workshop) -> None:
    reviewed(workshop).build()
    shown, here = deck(workshop), store(workshop)

    def pull(number: int) -> None:
        record(here, shown, [answer(task.id, f"person {number}") for task in shown.tasks])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(pull, range(6)))
    assert folder(workshop).answers().height == 6 * len(shown.tasks)
    assert folder(workshop).rounds() == [1, 2, 3, 4, 5, 6]


def test_a_clean_up_leaves_answers_alone_and_a_rebuilt_dev_loses_none(workshop: Workshop) -> None:
    reviewed(workshop).build()
    all_answer(workshop)
    before = folder(workshop).answers()
    assert workshop.run("gc", "--yes").code == 0
    shutil.rmtree(workshop.corpus())
    workshop.build()
    assert folder(workshop).answers().equals(before)
    assert stands(workshop).state == "accepted"


# The gate


def test_a_version_stands_as_its_answers_say(workshop: Workshop) -> None:
    reviewed(workshop).build()
    assert stands(workshop).state == "missing"
    assert "begin with: review push small@dev" in stands(workshop).words
    first, second, *rest = deciding(workshop)
    record(store(workshop), deck(workshop), [answer(first), answer(second, verdict="bad")])
    assert stands(workshop).state == "open"
    all_answer(workshop, lambda task: "bad" if task.id == second else "good")
    assert stands(workshop) == Standing("accepted", "1 bad of 12 draws, and 1 may be")
    assert stands(workshop).may_be_published
    record(store(workshop), deck(workshop), [answer(rest[0], verdict="bad", minutes=9)])
    assert stands(workshop).state == "rejected"
    assert not stands(workshop).may_be_published
    assert "  review  rejected: 2 of 12 draws are bad, and 1 may be" in workshop.run("show", "small@dev").out


def test_a_corpus_that_asks_for_no_review_may_be_published(workshop: Workshop) -> None:
    reviewed(workshop)
    workshop.recipe(["first"], ["chat_shape"])
    workshop.build()
    assert (stands(workshop).state, stands(workshop).may_be_published) == ("not asked", True)


@pytest.mark.parametrize("away", ["another seed", "other rows", "a deleted corpus", "no review"])
def test_a_rejected_sample_cannot_be_drawn_again(workshop: Workshop, away: str) -> None:
    reviewed(workshop).build()
    all_answer(workshop, lambda task: "bad")
    assert stands(workshop).state == "rejected"
    if away == "a deleted corpus":
        shutil.rmtree(workshop.corpus())
    again = {"another seed": {**PLAN, "seed": 2}, "a deleted corpus": {**PLAN, "seed": 3}}.get(away, PLAN)
    reviewed(workshop, again, rows=63 if away == "other rows" else 60)
    if away == "no review":
        workshop.recipe(["first"], ["chat_shape"])
    workshop.build()
    found = stands(workshop)
    assert found.state == "rejected"
    assert "an earlier build of small@dev was rejected by its review" in found.words
    assert "build it as a new version" in found.words


def test_a_sample_with_bad_rows_is_not_left_for_another(workshop: Workshop) -> None:
    """Else one would answer until one bad row before the end, and draw again."""
    reviewed(workshop).build()
    record(store(workshop), deck(workshop), [answer(deciding(workshop)[0], verdict="bad")])
    reviewed(workshop, {**PLAN, "seed": 2}).build()
    all_answer(workshop)
    assert stands(workshop).state == "open"
    assert "was left open with bad rows found" in stands(workshop).words


def test_a_new_version_tells_which_were_rejected_before(workshop: Workshop) -> None:
    reviewed(workshop, version="1.0.0").build()
    all_answer(workshop, lambda task: "bad", version="1.0.0")
    assert stands(workshop, "1.0.0").state == "rejected"
    reviewed(workshop, version="1.1.0", rows=61).build()
    assert stands(workshop, "1.1.0").state == "missing"
    (old,) = workshop.manifest("1.1.0")["review"]["earlier"]
    assert (old["version"], old["at"]) == ("1.0.0", "2026-11-22")
    assert "are bad, and 1 may be" in old["words"]
    said = workshop.run("review", "report", "small@1.1.0").out
    assert "before  1.0.0 was rejected on 2026-11-22" in said


def test_answers_changed_after_a_rejection_are_told(workshop: Workshop) -> None:
    reviewed(workshop).build()
    tasks = deciding(workshop)
    all_answer(workshop, lambda task: "bad" if task.id in tasks[:2] else "good")
    assert stands(workshop).state == "rejected"
    record(store(workshop), deck(workshop), [answer(t, verdict="good", minutes=9) for t in tasks[:2]])
    found = stands(workshop)
    assert found.state == "accepted"
    assert "it had been rejected in round 1, before answers were changed" in found.words


# The report


def test_the_report_tells_everything_in_figures_and_words(workshop: Workshop) -> None:
    asked = {**PLAN, "accept_if": {"sample": 40, "allowed": 3}, "gold_share": 0.1, "repeat_share": 0.1}
    reviewed(workshop, asked).build()
    sample = pl.read_parquet(workshop.corpus() / "review" / "sample.parquet")
    kinds = dict(sample.select("task", "kind").iter_rows())
    bad = set(deciding(workshop)[:2])

    def says(task: Any) -> str:
        return "bad" if task.id in bad or kinds[task.id] == "gold" else "good"

    all_answer(workshop, says)
    found = workshop.run("review", "report", "small@dev", "--json").json
    assert found["standing"]["state"] == found["decision"]["state"] == "accepted"
    assert (found["decision"]["bad"], found["decision"]["draws"]) == (2, 40)
    assert found["defects"]["exact"]["low"] < 0.05 < found["defects"]["exact"]["high"]
    assert {s["source"] for s in found["defects"]["by_source"]} == {"first", "second"}
    assert len(found["defects"]["by_score"]) == 2
    assert sum(s["bad"] for s in found["defects"]["by_source"]) == 2
    ann, bob = found["annotators"]
    assert (ann["gold"]["count"], ann["gold"]["of"]) == (4, 4)
    assert (ann["repeats"]["count"], ann["repeats"]["of"]) == (4, 4)
    assert (bob["submitted"], bob["gold"]["of"]) == (6, 0)
    assert found["agreement"]["raw"] == 1.0
    assert found["false_drops"]["all"]["share"] == 1.0
    assert found["calibration"]["enough"] is False
    said = workshop.run("review", "report", "small@dev").out
    for words in ("small@dev: ACCEPTED", "by strata (Wilson)", "Clopper-Pearson", "MQM", "Gwet's AC1", "gold right"):
        assert words in said
    assert "2 bad rows and" in said
    assert "are too few to set any by" in said


def test_the_threshold_that_is_implied_can_be_asked_of_whatif(workshop: Workshop) -> None:
    reviewed(workshop, {"accept_if": {"sample": 70}}).build()
    chars = dict(workshop.kept().select("id", "length_ar.chars").iter_rows())
    rows = pl.read_parquet(workshop.corpus() / "review" / "sample.parquet")
    row = {t: r for t, r in rows.select("task", "row").iter_rows()}
    middle = sorted(chars.values())[25]
    all_answer(workshop, lambda task: "bad" if chars.get(row[task.id] or "", 999) <= middle else "good")
    found = workshop.run("review", "report", "small@dev", "--json").json["calibration"]
    assert found["enough"]
    best = next(t for t in found["thresholds"] if t["measure"] == "length_ar.chars")
    assert best["set"].startswith("length_ar.min_chars=")
    assert best["share_after"] == 0
    words = best["whatif"].split()[1:]
    answered = workshop.run(*words, "--json").json
    assert answered["kept"]["after"] < answered["kept"]["before"]


def test_the_seal_of_a_plan_is_that_of_a_manifest(workshop: Workshop) -> None:
    reviewed(workshop).build()
    all_answer(workshop)
    for path in folder(workshop).path.glob("*.json"):
        assert seal.broken(path.read_bytes()) == ""
