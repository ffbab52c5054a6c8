"""`judge` keeps what a model finds good; no verdict is never a good one, and the judge itself is tried first."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hala_factory import rows
from hala_factory.errors import BuildError
from hala_factory.generate import tools
from hala_factory.quality.controls import PAIRS, planted, read_pairs
from hala_factory.quality.judge import AXES, Judge
from hala_factory.quality.verdicts import Verdict
from tests.speaking import Fake, model, speaking
from tests.workshop import Workshop, balanced

PAIR = re.compile(r"<source>\n(.*)\n</source>\n<translation>\n(.*)\n</translation>", re.S)
GOOD = set(PAIRS)
ACCEPTED, REJECTED = '{"verdict": "accept"}', '{"verdict": "reject"}'


def step(**fields: Any) -> Judge:
    return Judge.model_validate({"model": "m", **fields})


def scored(*scores: int) -> str:
    return json.dumps(dict(zip(AXES, scores, strict=True)))


def pair_of(messages: list[dict[str, str]]) -> tuple[str, str]:
    found = PAIR.search(messages[-1]["content"])
    assert found
    return found[1], found[2]


def honest(messages: list[dict[str, str]]) -> str:
    return ACCEPTED if pair_of(messages) in GOOD else REJECTED


# What is asked


def test_the_prompt_names_languages_pair_and_form() -> None:
    fake = Fake(ACCEPTED)
    verdict = asyncio.run(step(system="Be strict.").reply(("Hello {target}", "مرحبًا"), {"model": fake}))
    assert verdict == Verdict({"verdict": "accept"}, requests=1)
    ((system, user),) = [a["messages"] for a in fake.asked]
    assert system == {"role": "system", "content": "Be strict."}
    assert "translations from English into Arabic" in user["content"]
    assert pair_of([user]) == ("Hello {target}", "مرحبًا")
    assert user["content"].endswith('{"verdict": "accept" or "reject"}')
    assert fake.asked[0]["schema"]["properties"]["verdict"]["enum"] == ["accept", "reject"]
    assert fake.asked[0]["text"] == "Hello {target}\n\nمرحبًا"


def frame(*pairs: Any) -> pl.DataFrame:
    """Rows of (English, Arabic) messages, user and assistant in turn."""

    def side(row: Any, which: int) -> Any:
        if row is None:
            return None
        return [{"role": ("user", "assistant")[n % 2], "content": p[which]} for n, p in enumerate(row)]

    return pl.DataFrame(
        {"messages_en": [side(r, 0) for r in pairs], "messages": [side(r, 1) for r in pairs]},
        schema={"messages_en": rows.MESSAGES, "messages": rows.MESSAGES},
    )


A, B, CODE = ("a", "أ"), ("b", "ب"), ("1 + 1", "1 + 1")


def test_pairs_are_asked_once_each_and_only_where_there_is_a_letter() -> None:
    there = frame([A, B], [A, CODE, ("c", None)], [], None, [(None, None)])
    assert step().questions(there) == [A, B, ("c", "")]
    assert step(per="row").questions(there) == [("a\n\nb", "أ\n\nب"), ("a\n\n1 + 1\n\nc", "أ\n\n1 + 1")]
    pairs = pl.DataFrame({"translation": [{"en": "a", "ar": "أ"}, {"en": None, "ar": None}]})
    assert step(source="translation.en", target="translation.ar").questions(pairs) == [A]


# What becomes of rows


def applied(there: pl.DataFrame, some: Judge, said: dict[tuple[str, str], Verdict]) -> pl.DataFrame:
    after = some.apply(there, said, {"model": "m"})
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}
    assert some.apply(there.clear(), {}, {"model": "m"}).schema == after.schema
    return after


def reasons(after: pl.DataFrame, some: Judge) -> list[str | None]:
    measured = after.select(pl.col(f"{some.label}.{m}").alias(m) for m in some.measures())
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in some.rules()]
    assert sum(sum(measured.select(rule.alias("r")).null_count().row(0)) for _, rule in some.rules()) == 0
    return measured.select(pl.coalesce([*asked, pl.lit(None, pl.String)]).alias("r"))["r"].to_list()


def test_a_row_is_rejected_with_its_worst_message() -> None:
    there = frame([A, B], [A], [CODE], [], None)
    some = step(name="j", explain=True)
    said = {
        A: Verdict({"reason": "fine", "verdict": "accept"}, requests=1),
        B: Verdict({"reason": "another sentence", "verdict": "reject"}, requests=3),
    }
    after = applied(there, some, said)
    assert after["j.verdict"].to_list() == ["reject", "accept", "none", "none", "none"]
    assert after["j.requests"].to_list() == [4, 1, 0, 0, 0]
    assert after["j.failure"].to_list() == [None] * 5
    assert after["j.detail"].to_list() == ["message 2: another sentence", "message 1: fine", None, None, None]
    assert reasons(after, some) == ["rejected", None, None, None, None]


def test_a_pair_without_a_verdict_fails_its_row_and_shows_what_came() -> None:
    said = {A: Verdict({"verdict": "accept"}, requests=1), B: Verdict(None, "unparseable", "not JSON: 'ok'", 3)}
    after = applied(frame([A, B], [A]), step(), said)
    assert after["judge.failure"].to_list() == ["unparseable", None]
    assert after["judge.detail"].to_list() == ["message 2: not JSON: 'ok'", None]


def test_scores_of_a_row_are_the_lowest_of_its_messages() -> None:
    def said(*scores: int) -> Verdict:
        return Verdict(dict(zip(AXES, scores, strict=True)), requests=1)

    there = frame([A, B], [A], [CODE])
    some = step(form="rubric", min_score=3.5, min_axis=2)
    after = applied(there, some, {A: said(5, 1, 5, 5, 5), B: said(3, 3, 3, 4, 3)})
    assert after.select(f"judge.{a}" for a in (*AXES, "mean")).rows() == [
        (3, 1, 3, 4, 3, pytest.approx(3.2)),
        (5, 1, 5, 5, 5, pytest.approx(4.2)),
        (None,) * 6,
    ]
    assert reasons(after, some) == ["low_score", "low_axis", None]
    assert reasons(after, step(form="rubric")) == [None, None, None]


def test_a_pair_that_nobody_judged_is_an_error() -> None:
    with pytest.raises(KeyError):
        step().apply(frame([A]), {}, {"model": "m"})


# Controls


def test_controls_are_half_good_and_bad_in_every_way() -> None:
    items = planted(20, PAIRS)
    assert items == planted(20, PAIRS)
    assert [i.kind for i in items].count("good") == 10
    assert {i.kind for i in items} == {"good", "other", "cut", "untranslated", "number"}
    assert not any((i.source, i.target) in GOOD for i in items if not i.good)
    assert len({i.source for i in items}) == 20
    assert len(set(planted(80, PAIRS))) == 80
    assert planted(3, (("One.", "واحد ثم آخر."), ("Two.", "اثنان ثم آخر.")))[2].kind in (
        "other",
        "cut",
        "untranslated",
    )


@pytest.mark.parametrize(
    ("say", "right"),
    [(honest, 20), (lambda _: ACCEPTED, 10), (lambda _: REJECTED, 10), (lambda _: "good", 0)],
    ids=["honest", "accepts all", "rejects all", "says nothing"],
)
def test_a_judge_is_held_against_what_is_known(say: Any, right: int) -> None:
    proof = asyncio.run(step().prove({"model": Fake(say)}))
    assert (proof["controls"], proof["agreed"], proof["agreement"]) == (20, right, right / 20)
    assert sum(k["agreed"] for k in proof["kinds"].values()) == right
    assert len(proof["wrong"]) == 20 - right


def test_scores_agree_where_they_would_keep_good_pairs_and_no_others() -> None:
    fake = Fake(lambda m: scored(5, 5, 5, 5, 5) if pair_of(m) in GOOD else scored(4, 2, 4, 4, 4))
    assert asyncio.run(step(form="rubric", min_score=4).prove({"model": fake}))["agreement"] == 1
    assert asyncio.run(step(form="rubric", min_score=3).prove({"model": fake}))["agreement"] == 0.5
    assert asyncio.run(step(form="rubric", min_axis=3).prove({"model": fake}))["agreement"] == 1


def test_a_judge_that_is_wrong_too_often_ends_the_build() -> None:
    wanted = r"right on 10 of 20 controls \(50%: 10 of 10 good, 0 of 3 other, 0 of 3 cut, 0 of 2 untranslated"
    with pytest.raises(BuildError, match=wanted):
        asyncio.run(step(min_agreement=0.8).prove({"model": Fake(ACCEPTED)}))


def test_recorded_verdicts_are_not_tried() -> None:
    fake = Fake(ACCEPTED, unit="text")
    assert asyncio.run(step().prove({"model": fake})) == {}
    assert fake.asked == []


def test_controls_can_come_from_a_file_and_count_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"source": "Bon 3", "target": "Good 3"}\n\n{"source": "Mal 4", "target": "Bad 4"}\n')
    assert read_pairs(file) == (("Bon 3", "Good 3"), ("Mal 4", "Bad 4"))
    french = step(**{"from": "fr"}, to="en", controls_path=str(file))
    fake = Fake(ACCEPTED)
    assert asyncio.run(french.prove({"model": fake}))["kinds"]["good"]["controls"] == 2
    before, moved = french.identity(), tmp_path / "moved.jsonl"
    file.rename(moved)
    assert step(**{"from": "fr"}, to="en", controls_path=str(moved)).identity() == before
    moved.write_text(moved.read_text() + '{"source": "x", "target": "y"}\n')
    assert step(**{"from": "fr"}, to="en", controls_path=str(moved)).identity() != before


@pytest.mark.parametrize("content", ["{", "[]", '{"source": "a"}', '{"source": "a", "target": ""}', ""])
def test_a_file_of_controls_that_cannot_serve_is_told_before_anything_runs(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(content)
    there = {"messages": rows.MESSAGES, "messages_en": rows.MESSAGES}
    assert [f for f, _ in step(controls_path=str(file)).faults(there)] == ["controls_path"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "Judge {source}"}, "expected {target} once"),
        ({"to": "en"}, "both 'en'"),
        ({"to": "fr"}, "there are none from 'en' to 'fr'"),
        ({"controls": 0, "min_agreement": 0.5}, "needs 'controls'"),
        ({"min_score": 6}, "less than or equal to 5"),
        ({"form": "stars"}, "accept"),
    ],
)
def test_a_step_that_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        step(**fields)


# Whole builds, over HTTP


def bench(workshop: Workshop, server: Any, judge: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    workshop.rows("pairs.jsonl", [{"en": en, "ar": ar} for en, ar in pairs])
    entry = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    workshop.catalog({"pairs": entry}, {"tiny": model(server)})
    sides = {"source": "translation.en", "target": "translation.ar"}
    workshop.recipe(["pairs"], [{"step": "judge", "model": "tiny", **sides, **judge}])


ROWS = [
    ("The tea is hot.", "الشاي ساخن."),
    ("The door is open.", "الباب مفتوح."),
    ("Nobody came.", "هطل المطر."),
    ("It is late.", "الوقت متأخر."),
    ("The tea is hot.", "الشاي ساخن."),
    ("Go home.", "اذهب إلى البيت."),
]


def test_a_build_keeps_drops_and_fails_and_asks_nothing_twice(workshop: Workshop) -> None:
    good, broken = {*GOOD, ROWS[0], ROWS[1]}, {ROWS[3]: "I would accept it."}

    def say(request: Any) -> Any:
        pair = pair_of(request["messages"])
        return broken.get(pair, ACCEPTED if pair in good else REJECTED)

    with speaking(say) as server:
        bench(workshop, server, {"retries": 1, "controls": 4}, ROWS[:5])
        told = workshop.build()
        assert told["rows"] == {
            "in": 5,
            "kept": 3,
            "dropped": {"judge.rejected": 1},
            "failed": {"judge.unparseable": 1},
        }
        assert balanced(told["rows"])
        assert max(n for text, n in server.texts.items() if "It is late" not in text) == 1
        (stage,) = [s for s in workshop.manifest()["stages"] if s["kind"] == "ask"]
        assert stage["proof"]["agreement"] == 1
        assert stage["proof"]["kinds"]["good"] == {"controls": 2, "agreed": 2}
        right = "right on 4 of 4 controls (100%: 2 of 2 good, 1 of 1 other, 1 of 1 cut)"
        assert f"\njudge: {right}\n" in workshop.run("show", "small@dev").out
        assert f"\nThe model that judged in `judge` is {right}.\n" in (workshop.corpus() / "README.md").read_text()
        lost = workshop.lost()
        (odd,) = lost.filter(pl.col("reason") == "unparseable").iter_rows(named=True)
        assert "I would accept it." in odd["detail"]
        assert odd["translation"]["ar"] == ROWS[3][1]
        asked = len(server.seen)
        again = {**told["generation"], "from_store": told["generation"]["requests"], "prompt_tokens": 0}
        recipe = workshop.folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("controls: 4", "controls: 4\n  min_agreement: 1.0"))
        assert {**workshop.build()["generation"], "from_store": again["from_store"]} == {**again, "output_tokens": 0}
        assert len(server.seen) == asked


def test_a_judge_that_fails_its_controls_is_not_asked_for_a_single_row(workshop: Workshop) -> None:
    with speaking(lambda _: ACCEPTED) as server:
        bench(workshop, server, {"min_agreement": 0.9}, ROWS)
        said = workshop.run("build", "recipe.yaml", "--json", "--quiet", "--workers", "1")
        assert said.code == 1
        assert "right on 10 of 20 controls" in said.err
        assert len(server.seen) == 20
        assert not any("Nobody came" in text for text in server.texts)


def test_whatif_on_the_lowest_score_is_a_rebuild(workshop: Workshop) -> None:
    scores = {en: n % 5 + 1 for n, (en, _) in enumerate(ROWS)}

    def say(request: Any) -> str:
        source, _ = pair_of(request["messages"])
        return "no" if source == "Go home." else scored(*[scores.get(source, 5)] * 5)

    judge = {"form": "rubric", "min_score": 2, "retries": 0, "controls": 4}
    with speaking(say) as server:
        bench(workshop, server, judge, ROWS)
        first = workshop.build()
        assert first["rows"]["failed"] == {"judge.unparseable": 1}
        for least in (1, 3.5, 5):
            guessed = workshop.run("whatif", "small@dev", "--set", f"judge.min_score={least}", "--json").json
            bench(workshop, server, {**judge, "min_score": least}, ROWS)
            (workshop.folder / "recipe.yaml").write_text(
                (workshop.folder / "recipe.yaml").read_text().replace("name: small", "name: other")
            )
            built = workshop.build("--store", "store")
            assert guessed["kept"]["after"] == built["rows"]["kept"]
            flipped = {r["id"] for r in guessed["rows"]}
            now = set(workshop.kept(name="other")["id"])
            assert flipped == set(workshop.kept()["id"]) ^ now
        assert max(server.texts.values()) == 1


# A real server


VLLM = tools.find_vllm()
TINY = Path(__file__).with_name("tiny_models.py")


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.skipif(VLLM is None, reason="no vllm environment (hala-factory tools install vllm)")
def test_a_real_server_holds_a_model_that_knows_no_json_to_the_form_of_a_verdict(workshop: Workshop) -> None:
    talk = [["Is it good?", "Well, I would say so."], ["Name a river.", "The Nile, of course."]]
    known = workshop.write("talk.json", json.dumps(talk))
    made = [str(VLLM), str(TINY), "llama", str(known), str(workshop.folder / "model")]
    done = subprocess.run(made, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    workshop.rows("pairs.jsonl", [{"en": en, "ar": ar} for en, ar in PAIRS])
    entry = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    tiny = {"engine": "vllm", "path": "model", "context": 2048, "licence": "CC0-1.0"}
    workshop.catalog({"pairs": entry}, {"tiny": tiny})
    sides = {"source": "translation.en", "target": "translation.ar"}
    rubric = {"form": "rubric", "min_score": None, "retries": 0, "max_tokens": 96}
    workshop.recipe(["pairs"], [{"step": "judge", "model": "tiny", **sides, **rubric}])
    told = workshop.build()
    assert told["rows"] == {"in": len(PAIRS), "kept": len(PAIRS), "dropped": {}, "failed": {}}
    kept = workshop.kept()
    assert kept.select(pl.col(f"judge.{axis}").is_between(1, 5).all() for axis in AXES).row(0) == (True,) * 5
    assert kept["judge.requests"].to_list() == [1] * len(PAIRS)
    (stage,) = [s for s in workshop.manifest()["stages"] if s["kind"] == "ask"]
    assert stage["proof"]["controls"] == 20
    assert not any(w["said"] == "unparseable" for w in stage["proof"]["wrong"])
