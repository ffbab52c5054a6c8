"""`respond_natively` translates the question with one model and has another answer it in the language itself."""

from __future__ import annotations

import asyncio
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hala_factory import rows
from hala_factory.quality.respond_natively import Native, RespondNatively
from hala_factory.quality.teacher import Reply, Turns
from tests.speaking import Fake, model, speaking
from tests.workshop import Workshop, alpaca, balanced

RIVER, RIVER_AR = "Name a long river in Egypt.", "اذكر نهرًا طويلًا في مصر."
NILE, NILE_AR = "The Nile runs through Egypt.", "نهر النيل هو أطول أنهار مصر، ويجري من الجنوب إلى البحر."


def step(**fields: Any) -> RespondNatively:
    return RespondNatively.model_validate({"model": "m", "translator": "t", **fields})


def replied(turns: Turns, translator: Fake, teacher: Fake, **fields: Any) -> Native:
    return asyncio.run(step(**fields).reply(turns, {"model": teacher, "translator": translator}))


def test_the_turns_are_translated_and_the_answer_is_asked_for_in_arabic() -> None:
    known = {"Be kind.": "كن لطيفًا.", RIVER: RIVER_AR}
    translator = Fake(lambda m: known[m[-1]["content"].partition("\n\n")[2]])
    teacher = Fake(NILE_AR)
    done = replied((("system", "Be kind."), ("user", RIVER)), translator, teacher)
    turns = (("system", "كن لطيفًا."), ("user", RIVER_AR))
    assert done == Native(turns, Reply(NILE_AR, None, "", "stop", 1, 1, None, 3))
    assert translator.asked[0]["messages"][-1]["content"] == (
        "Translate everything that follows into Arabic:\n\nBe kind."
    )
    assert [(m["role"], m["content"]) for m in teacher.asked[0]["messages"]] == list(turns)


def test_a_turn_without_a_letter_stays_as_it_is() -> None:
    translator = Fake(RIVER_AR)
    done = replied((("user", "12 + 5"),), translator, Fake("17"))
    assert (done.turns, done.reply.text, translator.asked) == ((("user", "12 + 5"),), "17", [])


def test_where_the_translation_fails_the_teacher_is_not_asked() -> None:
    teacher = Fake(NILE_AR)
    done = replied((("user", RIVER),), Fake("I'm sorry, but I can't translate that."), teacher)
    assert (done.reply.failure, teacher.asked) == ("refusal", [])
    assert done.reply.detail.startswith("translating message 1 (user): ")
    assert done.turns == (("user", "I'm sorry, but I can't translate that."),)


def test_an_answer_in_the_language_of_the_original_fails() -> None:
    done = replied((("user", RIVER),), Fake(RIVER_AR), Fake(NILE), retries={})
    assert (done.reply.failure, done.reply.text) == ("wrong_language", NILE)


def talk(*texts: str | None) -> list[dict[str, str | None]]:
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]


def test_rows_are_native_and_the_originals_kept_beside() -> None:
    there = pl.DataFrame({"messages": [talk(RIVER, NILE), talk("a"), []]}, schema={"messages": rows.MESSAGES})
    said = {
        (("user", RIVER),): Native((("user", RIVER_AR),), Reply(NILE_AR, None, "", "stop", 1, 1, None, 2)),
        (("user", "a"),): Native((("user", "a"),), Reply("", "echo", "the source came back", requests=2)),
    }
    some = step(name="n")
    after = some.apply(there, said, {"model": "m", "translator": "t"})
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}
    assert some.apply(there.clear(), {}, {"model": "m", "translator": "t"}).schema == after.schema
    assert after["messages"].to_list() == [talk(RIVER_AR, NILE_AR), talk("a", ""), []]
    assert after["messages_en"].to_list() == there["messages"].to_list()
    assert after["n.failure"].to_list() == [None, "echo", "no_instruction"]
    assert after.select("translator", "teacher").row(0) == ("t", "m")


def test_the_columns_are_written_in_the_order_that_was_announced() -> None:
    measures = ("samples", "finished", "score", "finish", "requests", "failure", "detail")
    announced = ["messages", "messages_en", "translator", "teacher", *(f"respond_natively.{m}" for m in measures)]
    assert list(step().writes({"messages": rows.MESSAGES})) == announced
    there = pl.DataFrame({"messages": [[]]}, schema={"messages": rows.MESSAGES})
    assert set(step().apply(there, {}, {"translator": "t", "model": "m"}).columns) == set(announced)


def test_a_step_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValidationError, match="both 'en'"):
        step(to="en")
    there = {"messages": rows.MESSAGES}
    assert step().faults(there) == []
    assert [f for f, _ in step().faults({**there, "messages_en": rows.MESSAGES})] == ["keep"]
    assert [f for f, _ in step().faults({"translation": rows.translation_type(["en", "ar"])})] == ["step"]
    assert step().asked() == {"translator": "t", "model": "m"}


def test_a_build_asks_two_models_and_its_questions_can_be_compared(workshop: Workshop) -> None:
    def translate(request: Any) -> str:
        text = request["messages"][-1]["content"].partition("\n\n")[2]
        number = text.split()[-1].rstrip(".")
        return text if number == "1" else f"أخبرني بشيء عن الصف رقم {number} من فضلك."

    def answer(request: Any) -> Any:
        asked = request["messages"][-1]["content"]
        return "There is nothing to say about it in Arabic." if "رقم 2 " in asked else f"إليك ما أعرفه. {asked}"

    with speaking(translate) as small, speaking(answer) as big:
        workshop.rows("rows.jsonl", alpaca(4))
        workshop.catalog({"rows": {"path": "rows.jsonl"}}, {"small": model(small), "big": model(big)})
        native = {"step": "respond_natively", "model": "big", "translator": "small"}
        numbers = {"step": "numbers", "source": "messages_en.user", "target": "messages.user"}
        workshop.recipe(["rows"], [native, numbers])
        told = workshop.build()
        failed = {"respond_natively.echo": 1, "respond_natively.wrong_language": 1}
        assert told["rows"] == {"in": 4, "kept": 2, "dropped": {}, "failed": failed}
        assert balanced(told["rows"])
        (stage,) = [s for s in workshop.manifest()["stages"] if s["kind"] == "ask"]
        assert stage["generation"]["translator"]["requests"] == len(small.seen)
        assert stage["generation"]["model"]["requests"] == len(big.seen) == 5  # row 2 was drawn three times
        asked = len(small.seen), len(big.seen)
        recipe = workshop.folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("translator: small", "translator: small\n  max_chars: 900"))
        again = workshop.build()
        assert again["digest"] == told["digest"]
        assert again["generation"]["from_store"] == again["generation"]["requests"] > 0
        assert (len(small.seen), len(big.seen)) == asked
