"""Verdicts: what a model says of a text as JSON of a fixed form, read strictly, and asked for again if need be.

The model:
- A form is its fields and the values that each may have; servers get it as a JSON Schema and hold the model to it.
- What comes is read as if no server did: one JSON object with exactly these fields, or no verdict at all.
- No verdict is a failure, never a good or a bad one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hala_factory.generate.answers import Answer
from hala_factory.generate.asking import Answerer

REASON = "reason"
LONGEST_REASON = 300
"""Characters; a reason is a sentence, and a model that is held to a schema needs an end to it."""
WARM = 0.3
"""Temperature of what is asked again: at 0 another seed would get the same answer."""
_FENCED = re.compile(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*", re.S)
_SHOWN = 500

Value = str | int


@dataclass(frozen=True)
class Form:
    """The fields of a verdict, each with its values, in the order in which they are to be said."""

    fields: Mapping[str, tuple[Value, ...]]
    explained: bool = False
    """Whether a reason is said first, in a sentence."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema, of words that every server knows (OpenAI's strict subset, vLLM's grammars)."""
        properties: dict[str, Any] = {}
        if self.explained:
            properties[REASON] = {"type": "string", "maxLength": LONGEST_REASON}
        for name, values in self.fields.items():
            kind = "integer" if isinstance(values[0], int) else "string"
            properties[name] = {"type": kind, "enum": list(values)}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    @property
    def described(self) -> str:
        """The form in words, for a model whose server does not know schemas."""
        reason = [f'"{REASON}": "one sentence"'] if self.explained else []
        fields = [f'"{name}": {_choice(values)}' for name, values in self.fields.items()]
        return f"Answer with one JSON object and nothing else: {{{', '.join([*reason, *fields])}}}"

    def read(self, text: str) -> dict[str, Value]:
        """The verdict in an answer, of which a fence of code may be round. Raises ValueError with what is wrong."""
        fenced = _FENCED.fullmatch(text)
        try:
            said = json.loads(fenced[1] if fenced else text, strict=False, object_pairs_hook=_once)
        except json.JSONDecodeError:
            raise ValueError("not JSON") from None
        except RecursionError:
            raise ValueError("JSON without end") from None
        if not isinstance(said, dict):
            raise ValueError("no JSON object")
        wanted = [*([REASON] if self.explained else []), *self.fields]
        if odd := [f"no {name!r}" for name in wanted if name not in said] + [
            f"{name!r} was not asked for" for name in said if name not in wanted
        ]:
            raise ValueError(", ".join(odd))
        for name, values in self.fields.items():
            if not any(said[name] == v and type(said[name]) is type(v) for v in values):
                raise ValueError(f"{name!r} is {json.dumps(said[name], ensure_ascii=False)[:60]}")
        if self.explained and not isinstance(said[REASON], str):
            raise ValueError(f"{REASON!r} is no text")
        return said


@dataclass(frozen=True)
class Verdict:
    """What a model said, or why nothing that it said is a verdict."""

    values: Mapping[str, Value] | None
    failure: str | None = None
    """`unparseable`, `engine_error` or `missing`; None with `values`."""
    detail: str = ""
    """What was wrong, and what was said instead."""
    requests: int = 0

    @property
    def reason(self) -> str:
        """Why, in the model's words; '' where it was not asked."""
        return str(self.values.get(REASON, "")) if self.values else ""


async def ask_verdict(
    ask: Answerer,
    messages: Sequence[Mapping[str, str]],
    form: Form,
    *,
    max_tokens: int,
    retries: int,
    text: str | None = None,
) -> Verdict:
    """The verdict of a model: first as it is likeliest, then up to `retries` times warm, each with a seed.

    `text` is the bare text that is judged, for engines that take no prompt.
    """
    wrong = ""
    for attempt in range(retries + 1):
        answer = await ask(
            messages,
            temperature=WARM if attempt else 0,
            max_tokens=max_tokens,
            seed=attempt or None,
            text=text,
            schema=form.schema,
        )
        if answer.finish_reason == "miss":
            return Verdict(None, "missing", "nothing is recorded for this text", attempt + 1)
        if answer.finish_reason == "error" or answer.error is not None:
            return Verdict(None, "engine_error", answer.error or "the engine gave no reason", attempt + 1)
        try:
            return Verdict(form.read(answer.text), requests=attempt + 1)
        except ValueError as error:
            wrong = _told(error, answer)
    return Verdict(None, "unparseable", wrong, retries + 1)


def _told(error: ValueError, answer: Answer) -> str:
    cut = f", cut at {answer.output_tokens} tokens" if answer.finish_reason == "length" else ""
    shown = answer.text if len(answer.text) <= _SHOWN else answer.text[: _SHOWN - 1] + "…"
    return f"{error}{cut}: {shown!r}"


def _choice(values: tuple[Value, ...]) -> str:
    if isinstance(values[0], int):
        return f"a whole number from {values[0]} to {values[-1]}"
    return " or ".join(json.dumps(v, ensure_ascii=False) for v in values)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose keys stands twice: of two verdicts in one answer neither counts."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a key stands twice")
    return said
