"""A chat completion as it goes over the wire: what a request says, and what a response comes to.

`key` is what the servers may repeat and nobody is to see.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from hala_factory.generate.answers import Answer, FinishReason, Request

_STOPPED = {"stop", "eos", "end_turn", "stop_sequence"}
_CUT = {"length", "max_tokens", "model_length"}


class Failed(Exception):
    """The request was taken, and no usable answer came back."""


def spoken(model: str, request: Request) -> dict[str, Any]:
    """The JSON of a request."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": json.loads(request.schema), "strict": True},
        }
    return body


def read(response: bytes, key: str | None) -> Answer:
    """The answer in the body of a response of status 200.

    Raises Failed where there is none in it, or one of which it is not known whether it is whole.
    """
    try:
        body = _loaded(response)
        choice, usage = body["choices"][0], body.get("usage") or {}
        text, finish = choice["message"].get("content"), choice.get("finish_reason")
        counts = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    except (ValueError, LookupError, TypeError, AttributeError):
        shown = _hidden(response.decode("utf-8", "replace"), key)[:200]
        raise Failed(f"not a chat completion: {shown!r}" if shown else "an empty answer") from None
    if text is None and finish in _CUT:
        text = ""  # the model thought until its tokens were spent
    if finish == "content_filter":
        return Answer("", "error", *counts, error="the endpoint's content filter")
    reason: FinishReason | None = "stop" if finish in _STOPPED else "length" if finish in _CUT else None
    if not isinstance(text, str):
        raise Failed("an answer without text")
    if reason is None:
        raise Failed(f"an answer with finish_reason {finish!r}: it may be cut short")
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")  # JSON may spell half a character
    return Answer(whole, reason, *counts)


def said(response: bytes, key: str | None) -> str:
    """The error in the body of a response, in its server's words."""
    try:
        body = _loaded(response)
        error = body.get("error", body)
        words = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        words = response.decode("utf-8", "replace")
    return " ".join(_hidden(str(words), key).split())[:300]


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)  # which also takes half a character, spelt as an escape


def _hidden(text: str, key: str | None) -> str:
    return text.replace(key, "***") if key else text
