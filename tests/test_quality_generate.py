"""`generate` takes the best good answer of a teacher; what is wrong with the others has a type."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hala_factory import rows
from hala_factory.generate.answers import Answer
from hala_factory.quality.generate import Generate
from hala_factory.quality.teacher import FAULTS, RETRIES, Reply, Turns
from tests.speaking import Fake, model, speaking
from tests.workshop import Workshop, alpaca, balanced

ASKED: Turns = (("user", "Name a long river in Egypt, please."),)
ANSWER = "The Nile, which runs from the south of the country to the sea."


def step(**fields: Any) -> Generate:
    return Generate.model_validate({"model": "m", **fields})


def answered(fake: Fake, turns: Turns = ASKED, **fields: Any) -> Reply:
    return asyncio.run(step(**fields).reply(turns, {"model": fake}))


# One instruction


def test_the_conversation_is_sent_with_a_seed_and_the_answer_taken() -> None:
    fake = Fake(f"  {ANSWER}\n")
    assert answered(fake, system="Be brief.", max_tokens=99) == Reply(ANSWER, None, "", "stop", 1, 1, None, 1)
    (asked,) = fake.asked
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED[0][1]}]
    assert (asked["temperature"], asked["max_tokens"], asked["seed"], asked["schema"]) == (0, 99, 1, None)


def test_a_conversation_keeps_its_own_system_message() -> None:
    fake = Fake(ANSWER)
    answered(fake, (("system", "Be exact."), *ASKED), system="Be brief.")
    assert [m["content"] for m in fake.asked[0]["messages"]] == ["Be exact.", ASKED[0][1]]


REFUSAL = "I'm sorry, but I can't help with that."
LOOP = "It begins here and then " + "goes on and on again " * 12
WRONG: list[tuple[str, str | Answer, dict[str, Any]]] = [
    ("refusal", REFUSAL, {}),
    ("refusal", "عذرًا، لا أستطيع مساعدتك في هذا الطلب.", {}),
    ("empty", " \n", {}),
    ("truncated", Answer(ANSWER, "length", 10, 99), {}),
    ("loop", LOOP, {}),
    ("loop", Answer(LOOP, "length", 10, 99), {}),
    ("echo", "name a long river in Egypt please", {}),
    ("wrong_language", ANSWER, {"language": "ar"}),
    ("wrong_language", "إنه نهر النيل، وهو أطول أنهار القارة كلها.", {"language": "en"}),
    ("engine_error", Answer("", "error", error="HTTP 400: too long"), {}),
    ("missing", Answer("", "miss"), {}),
]


@pytest.mark.parametrize(("failure", "answer", "fields"), WRONG)
def test_a_bad_answer_is_typed_and_its_text_is_kept(failure: str, answer: Any, fields: dict[str, Any]) -> None:
    done = answered(Fake(answer), retries={}, **fields)
    assert (done.failure, done.finished, done.requests) == (failure, 0, 1)
    assert done.detail
    assert done.text == (answer if isinstance(answer, str) else answer.text).strip()


def test_every_fault_is_provoked_here_and_all_but_the_engines_are_drawn_again() -> None:
    assert {failure for failure, _, _ in WRONG} == set(FAULTS)
    assert set(FAULTS) - set(RETRIES) == {"engine_error", "missing"}


@pytest.mark.parametrize(
    ("asked", "answer", "fields"),
    [
        (ASKED[0][1], "النيل", {"language": "en"}),  # too short to tell
        ("Hello", "Hello", {}),
        ("Say «yes» ten times.", "yes " * 7, {}),
        (ASKED[0][1], REFUSAL, {"keep_refusals": True}),
        ("Write it in Python.", "```py\nprint('Hello, world, how are you today?')\n```\nهكذا.", {"language": "ar"}),
    ],
)
def test_a_good_answer_is_not_taken_for_a_bad_one(asked: str, answer: str, fields: dict[str, Any]) -> None:
    assert answered(Fake(answer), (("user", asked),), **fields).failure is None


def test_what_is_bad_is_drawn_again_warm_with_the_next_seed() -> None:
    fake = Fake(LOOP, "", ANSWER)
    done = answered(fake)
    assert (done.text, done.failure, done.samples, done.finished) == (ANSWER, None, 3, 1)
    assert [(a["temperature"], a["seed"]) for a in fake.asked] == [(0, 1), (0.3, 2), (0.3, 3)]


def test_drawing_again_ends_and_the_last_failure_tells_of_those_before() -> None:
    done = answered(Fake(LOOP, "", REFUSAL))
    assert (done.failure, done.samples) == ("refusal", 4)
    assert done.detail.endswith("(before: loop, empty, refusal)")


def test_with_first_no_more_are_drawn_than_are_needed_and_with_longest_all() -> None:
    short, long = "The Nile.", ANSWER
    fake = Fake(REFUSAL, short, long)
    assert answered(fake, samples=3, temperature=0.7).text == short
    assert len(fake.asked) == 2
    fake = Fake(short, long, Answer(long * 2, "length", 1, 9))
    done = answered(fake, samples=3, temperature=0.7, pick="longest")
    assert (done.text, done.samples, done.finished) == (long, 3, 2)
    assert [a["seed"] for a in fake.asked] == [1, 2, 3]
    assert {a["temperature"] for a in fake.asked} == {0.7}


# The referee


def refereed(teacher: Fake, referee: Fake, **fields: Any) -> Reply:
    some = step(judge_model="r", temperature=0.7, **fields)
    return asyncio.run(some.reply(ASKED, {"model": teacher, "judge_model": referee}))


def test_the_answer_with_the_best_score_is_taken_and_of_equals_the_first() -> None:
    referee = Fake('{"score": 2}', '{"score": 5}', '{"score": 5}')
    done = refereed(Fake("one", "two", "three", REFUSAL), referee, samples=4)
    assert (done.text, done.score, done.samples, done.finished, done.requests) == ("two", 5, 4, 3, 7)
    assert ASKED[0][1] in referee.asked[0]["messages"][0]["content"]
    assert [a["messages"][0]["content"].count("<answer>\ntwo\n") for a in referee.asked] == [0, 1, 0]
    assert referee.asked[0]["schema"]["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]


def test_an_answer_without_a_score_loses_to_one_with_the_lowest() -> None:
    done = refereed(Fake("one", "two"), Fake("great!", '{"score": 1}'), samples=2, judge_retries=0)
    assert (done.text, done.score, done.failure) == ("two", 1, None)


def test_where_the_referee_gives_no_score_at_all_the_row_fails() -> None:
    done = refereed(Fake("one", "two"), Fake("great!"), samples=2, judge_retries=1)
    assert (done.text, done.score, done.failure, done.requests) == ("one", None, "unparseable", 6)
    assert done.detail == "the referee: not JSON: 'great!'"


def test_a_referee_reads_all_turns_with_their_roles() -> None:
    turns: Turns = (("user", "Hi"), ("assistant", "Hello."), ("user", "And {answer}?"))
    referee = Fake('{"score": 4}')
    asyncio.run(step(judge_model="r").reply(turns, {"model": Fake("Fine."), "judge_model": referee}))
    content = referee.asked[0]["messages"][0]["content"]
    assert "user: Hi\n\nassistant: Hello.\n\nuser: And {answer}?" in content
    assert "<answer>\nFine.\n</answer>" in content


# Rows


def talk(*texts: str | None) -> list[dict[str, str | None]]:
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]


def frame(*messages: Any) -> pl.DataFrame:
    return pl.DataFrame({"messages": list(messages)}, schema={"messages": rows.MESSAGES})


def test_instructions_are_asked_once_and_only_where_there_is_one() -> None:
    there = frame(talk("a", "old"), talk("a"), talk("a", "b", "c", "d"), talk(None), talk(" "), [], None)
    there = pl.concat([there, frame([{"role": "assistant", "content": "x"}], talk("a", None, "c"))])
    first: Turns = (("user", "a"),)
    assert step().questions(there) == [first, (*first, ("assistant", "b"), ("user", "c"))]


def test_the_answer_takes_the_place_of_what_stood_behind_the_instruction() -> None:
    there = frame(talk("a", "old"), talk("a"), talk("a", "b", "c", "d"), None)
    said = {
        (("user", "a"),): Reply("new", None, "", "stop", 1, 1, 4, 2),
        (("user", "a"), ("assistant", "b"), ("user", "c")): Reply(LOOP, "loop", "12 times", "stop", 2, 0, None, 2),
    }
    some = step(name="g")
    after = some.apply(there, said, {"model": "m"})
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}
    assert some.apply(there.clear(), {}, {"model": "m"}).schema == after.schema
    assert after["messages"].to_list() == [talk("a", "new"), talk("a", "new"), talk("a", "b", "c", LOOP), None]
    assert after["messages_before"].to_list() == there["messages"].to_list()
    assert after["teacher"].to_list() == ["m"] * 4
    assert after["g.failure"].to_list() == [None, None, "loop", "no_instruction"]
    assert after["g.detail"].to_list()[:3] == [None, None, "12 times"]
    assert after.select("g.samples", "g.finished", "g.score", "g.finish", "g.requests").rows() == [
        (1, 1, 4, "stop", 2),
        (1, 1, 4, "stop", 2),
        (2, 0, None, "stop", 2),
        (0, 0, None, None, 0),
    ]
    assert "messages_before" not in step(keep=None).apply(there, said, {"model": "m"}).columns


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": 2}, "at temperature 0"),
        ({"min_score": 3}, "needs a 'judge_model'"),
        ({"judge_prompt": "Rate {answer}"}, "expected {instruction} once"),
        ({"retries": {"bored": 1}}, "bored"),
    ],
)
def test_a_step_that_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        step(**fields)


def test_pairs_and_taken_columns_are_told_before_anything_runs() -> None:
    there = {"messages": rows.MESSAGES}
    assert step().faults(there) == []
    assert [f for f, _ in step().faults({**there, "messages_before": rows.MESSAGES})] == ["keep"]
    assert [f for f, _ in step().faults({"translation": rows.translation_type(["en", "ar"])})] == ["step"]


# Whole builds, over HTTP


def bench(workshop: Workshop, teacher: Any, referee: Any, **fields: Any) -> None:
    workshop.rows("rows.jsonl", alpaca(6))
    workshop.catalog({"rows": {"path": "rows.jsonl"}}, {"big": model(teacher), "small": model(referee)})
    asked = {"samples": 2, "temperature": 0.7, "judge_model": "small", "min_score": 3, "judge_retries": 1}
    workshop.recipe(["rows"], [{"step": "generate", "model": "big", **asked, **fields}])


def about(which: dict[int, Any], otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Says `which` of the row whose number stands in the request, if any."""

    def say(request: Any) -> Any:
        number = int(re.findall(r"number (\d+)", request["messages"][-1]["content"])[0])
        said = which.get(number, otherwise)
        return said(request) if callable(said) else said

    return say


def test_a_build_balances_asks_nothing_twice_and_outlives_a_server_that_breaks(workshop: Workshop) -> None:
    broken = iter([500, 503])

    def mended(request: Any) -> Any:
        return next(broken, f"This is an answer with the seed {request['seed']}.")

    said = {1: REFUSAL, 2: ("Row number two is cut sho", "length"), 3: mended}
    rated = {4: '{"score": 2}', 5: "five of five"}
    with (
        speaking(about(said, lambda r: f"This is an answer with the seed {r['seed']}.")) as teacher,
        speaking(about(rated, lambda r: '{"score": 4}' if "seed 1" in str(r) else '{"score": 5}')) as referee,
    ):
        bench(workshop, teacher, referee)
        told = workshop.build()
        assert told["rows"] == {
            "in": 6,
            "kept": 2,
            "dropped": {"generate.low_score": 1},
            "failed": {"generate.refusal": 1, "generate.truncated": 1, "generate.unparseable": 1},
        }
        assert balanced(told["rows"])
        kept = workshop.kept()
        assert [m[-1]["content"] for m in kept["messages"].to_list()] == ["This is an answer with the seed 2."] * 2
        assert kept["generate.score"].to_list() == [5, 5]
        assert [m[-1]["content"][:13] for m in kept["messages_before"].to_list()] == ["There is a lo"] * 2
        cut = workshop.lost().filter(reason="truncated")["messages"].to_list()[0][-1]["content"]
        assert cut == "Row number two is cut sho"
        (stage,) = [s for s in workshop.manifest()["stages"] if s["kind"] == "ask"]
        assert stage["generation"]["model"]["requests"] == 6 * 2 + 2  # two were drawn again
        assert stage["generation"]["judge_model"]["requests"] == 4 * 2 + 2  # two draws of row 5 asked again
        asked = len(teacher.seen), len(referee.seen)
        guessed = workshop.run("whatif", "small@dev", "--set", "generate.min_score=2", "--json").json
        bench(workshop, teacher, referee, min_score=2)
        again = workshop.build()
        assert guessed["kept"] == {"before": 2, "after": again["rows"]["kept"]}
        assert again["generation"]["from_store"] == again["generation"]["requests"]
        assert (len(teacher.seen), len(referee.seen)) == asked
