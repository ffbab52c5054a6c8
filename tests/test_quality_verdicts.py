"""Verdicts are read strictly: one object of the form that was asked for, or none; none is never taken for one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.completion import spoken
from hala_factory.quality.prompts import filled
from hala_factory.quality.verdicts import Form, Verdict, ask_verdict
from tests.speaking import Fake

ACCEPT = Form({"verdict": ("accept", "reject")})
SCORES = Form({"fluency": (1, 2, 3, 4, 5), "accuracy": (1, 2, 3, 4, 5)})
TOLD = Form({"verdict": ("accept", "reject")}, explained=True)

READ: list[tuple[Form, str, dict[str, Any] | str]] = [
    (ACCEPT, '{"verdict": "accept"}', {"verdict": "accept"}),
    (ACCEPT, ' {"verdict":"reject"}\n', {"verdict": "reject"}),
    (ACCEPT, '```json\n{"verdict": "reject"}\n```', {"verdict": "reject"}),
    (ACCEPT, "accept", "not JSON"),
    (ACCEPT, "", "not JSON"),
    (ACCEPT, 'Sure! {"verdict": "accept"}', "not JSON"),
    (ACCEPT, '{"verdict": "accept"} {"verdict": "reject"}', "not JSON"),
    (ACCEPT, '{"verdict": "acc', "not JSON"),
    (ACCEPT, "[" * 100_000, "JSON"),
    (ACCEPT, '["accept"]', "no JSON object"),
    (ACCEPT, "null", "no JSON object"),
    (ACCEPT, "{}", "no 'verdict'"),
    (ACCEPT, '{"verdict": "Accept"}', "'verdict' is \"Accept\""),
    (ACCEPT, '{"verdict": ["accept"]}', "'verdict' is"),
    (ACCEPT, '{"verdict": null}', "'verdict' is null"),
    (ACCEPT, '{"verdict": "accept", "sure": 1}', "'sure' was not asked for"),
    (ACCEPT, '{"verdict": "reject", "verdict": "accept"}', "a key stands twice"),
    (SCORES, '{"fluency": 5, "accuracy": 1}', {"fluency": 5, "accuracy": 1}),
    (SCORES, '{"fluency": 0, "accuracy": 1}', "'fluency' is 0"),
    (SCORES, '{"fluency": 6, "accuracy": 1}', "'fluency' is 6"),
    (SCORES, '{"fluency": 4.5, "accuracy": 1}', "'fluency' is 4.5"),
    (SCORES, '{"fluency": true, "accuracy": 1}', "'fluency' is true"),
    (SCORES, '{"fluency": "5", "accuracy": 1}', "'fluency' is \"5\""),
    (SCORES, '{"fluency": NaN, "accuracy": 1}', "'fluency' is NaN"),
    (SCORES, '{"fluency": 5}', "no 'accuracy'"),
    (TOLD, '{"reason": "fine", "verdict": "accept"}', {"reason": "fine", "verdict": "accept"}),
    (TOLD, '{"verdict": "accept"}', "no 'reason'"),
    (TOLD, '{"reason": 1, "verdict": "accept"}', "'reason' is no text"),
]


@pytest.mark.parametrize(("form", "text", "wanted"), READ)
def test_an_answer_is_the_verdict_or_none(form: Form, text: str, wanted: dict[str, Any] | str) -> None:
    if isinstance(wanted, dict):
        assert form.read(text) == wanted
    else:
        with pytest.raises(ValueError, match=re.escape(wanted)):
            form.read(text)


@given(st.text())
def test_no_text_makes_reading_end_in_anything_but_a_verdict_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert SCORES.read(text).keys() == SCORES.fields.keys()


@given(st.dictionaries(st.sampled_from(["fluency", "accuracy", "style"]), st.integers(-1, 7) | st.none()))
def test_what_is_read_is_what_the_schema_allows(said: dict[str, Any]) -> None:
    schema = SCORES.schema
    fits = set(said) == set(schema["required"]) and all(v in schema["properties"][k]["enum"] for k, v in said.items())
    try:
        assert (SCORES.read(json.dumps(said)) == said) is fits
    except ValueError:
        assert not fits


def test_a_schema_has_its_reason_before_its_verdict_and_nothing_besides() -> None:
    assert TOLD.schema == {
        "type": "object",
        "properties": {
            "reason": {"type": "string", "maxLength": 300},
            "verdict": {"type": "string", "enum": ["accept", "reject"]},
        },
        "required": ["reason", "verdict"],
        "additionalProperties": False,
    }
    assert list(TOLD.schema["properties"]) == ["reason", "verdict"]
    assert SCORES.schema["properties"]["fluency"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}


def asked(fake: Fake, retries: int = 2, form: Form = ACCEPT) -> Verdict:
    messages = [{"role": "user", "content": "Is it good?"}]
    return asyncio.run(ask_verdict(fake, messages, form, max_tokens=64, retries=retries))


def test_what_is_no_verdict_is_asked_for_again_warm_and_with_another_seed() -> None:
    fake = Fake("Well…", "accept", '{"verdict": "reject"}')
    assert asked(fake) == Verdict({"verdict": "reject"}, requests=3)
    assert [(a["temperature"], a["seed"]) for a in fake.asked] == [(0, None), (0.3, 1), (0.3, 2)]
    assert {json.dumps(a["schema"]) for a in fake.asked} == {json.dumps(ACCEPT.schema)}


@pytest.mark.parametrize(
    ("answer", "failure", "detail", "requests"),
    [
        ("I think it is good.", "unparseable", "not JSON: 'I think it is good.'", 3),
        (Answer('{"verdict"', "length", 10, 64), "unparseable", "not JSON, cut at 64 tokens: '{\"verdict\"'", 3),
        (Answer("", "error", error="HTTP 400: too long"), "engine_error", "HTTP 400: too long", 1),
        (Answer("", "miss"), "missing", "nothing is recorded for this text", 1),
        ("x" * 10_000, "unparseable", "not JSON: '" + "x" * 499 + "…'", 3),
    ],
)
def test_no_verdict_is_a_failure_that_shows_what_came(answer: Any, failure: str, detail: str, requests: int) -> None:
    assert asked(Fake(answer)) == Verdict(None, failure, detail, requests)


# The request


MODEL = ModelIdentity("tiny", {"model": "tiny"})


def test_a_schema_is_part_of_the_key_and_its_absence_leaves_the_key_as_it_was() -> None:
    plain = Request((("user", "a"),), 0, 9)
    assert plain.key(MODEL) == "73a0b59eb1d9ebbc393e8ecb0794a49481353ec1387ff5d2b783c6bdc84a7ce8"
    keys = {Request((("user", "a"),), 0, 9, schema=s).key(MODEL) for s in (None, "{}", '{"type":"object"}')}
    assert len(keys) == 3


def test_a_schema_goes_over_the_wire_in_openai_form() -> None:
    body = spoken("tiny", Request((("user", "a"),), 0, 9, schema=json.dumps(ACCEPT.schema)))
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": ACCEPT.schema, "strict": True},
    }
    assert "response_format" not in spoken("tiny", Request((("user", "a"),), 0, 9))


def test_a_text_with_braces_in_it_is_not_filled_in() -> None:
    assert filled("{source} → {target}", source="{target} {x}", target="y") == "{target} {x} → y"
