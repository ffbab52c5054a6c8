"""A conversation as its chat template writes it, and where in that text the assistant speaks; see `template`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

Message = dict[str, str]
Span = tuple[int, int]
Kind = Literal[
    "no_template", "no_offsets", "refused", "broken", "prompt_differs", "rewritten", "misplaced", "other_tokens"
]
_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Written:
    """A conversation as its template writes it."""

    text: str
    spans: list[Span]
    """Where the assistant speaks, in characters."""
    marked: bool
    """Whether the template says so itself."""


class TemplateFailure(ValueError):
    """A conversation that cannot be trained on through this template; `kind` is stable, the message says how."""

    def __init__(self, kind: Kind, message: str) -> None:
        """Of a kind, which reports count by."""
        super().__init__(message)
        self.kind: Kind = kind


def write(tokenizer: Any, messages: Sequence[Message]) -> Written:
    """The text of a conversation, and where the assistant speaks. Raises TemplateFailure."""
    from transformers.utils.chat_template_utils import render_jinja_template

    if not tokenizer.is_fast:
        raise TemplateFailure("no_offsets", f"{type(tokenizer).__name__} does not tell where in a text a token is")
    if not tokenizer.chat_template:
        raise TemplateFailure("no_template", "the tokenizer has no chat template: no chat_template.jinja beside it")
    for i, message in enumerate(messages):
        if not isinstance(message.get("content"), str) or not isinstance(message.get("role"), str):
            raise TemplateFailure("broken", f"message {i + 1} has no role and text: {message!r:.80}")
    template = tokenizer.get_chat_template()
    marked = bool(_MARKED.search(template))

    def render(turns: Sequence[Message], *, ask: bool = False, mark: bool = False) -> tuple[str, list[Span]]:
        try:
            (text,), spans = render_jinja_template(
                [list(turns)],
                chat_template=template,
                return_assistant_tokens_mask=mark,
                add_generation_prompt=ask,
                **tokenizer.special_tokens_map,
            )
        except Exception as error:  # a template is a program, and may raise anything
            raise _refusal(error, len(turns)) from None
        return text, [(start, end) for start, end in spans[0]] if mark else []

    text, spans = render(messages, mark=marked)
    if marked:
        _expect_answers(messages, text, spans)
    else:
        spans = list(_by_prefixes(lambda turns, ask: render(turns, ask=ask)[0], messages, text, tokenizer.eos_token))
    return Written(text, spans, marked)


def role_order(roles: Sequence[str | None]) -> str | None:
    """How roles differ from [system] user assistant … assistant, in a word; None where they do not."""
    turns = list(roles[1:] if roles and roles[0] == "system" else roles)
    wrong = {
        "no_turns": not turns,
        "late_system": "system" in turns,
        "other_role": not set(turns) <= {"system", "user", "assistant"},
        "assistant_first": turns[:1] == ["assistant"],
        "repeated": any(len(list(same)) > 1 for _, same in groupby(turns)),
        "question_last": turns[-1:] == ["user"],
    }
    return next((word for word, true in wrong.items() if true), None)


def _refusal(error: Exception, turns: int) -> TemplateFailure:
    from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TemplateError) and not isinstance(error, UndefinedError | TemplateSyntaxError):
        return TemplateFailure("refused", f"the template refuses the first {turns} messages: {error}")
    return TemplateFailure("broken", f"the template fails on the first {turns} messages: {said}")


def _by_prefixes(
    render: Callable[[Sequence[Message], bool], str], messages: Sequence[Message], text: str, end: str | None
) -> Iterator[Span]:
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        asked = render(messages[:i], True)
        said = text if i + 1 == len(messages) else render(messages[: i + 1], False)
        if not said.startswith(asked):
            raise TemplateFailure("prompt_differs", _where("asking for", i, asked, said))
        if not text.startswith(said) and end:
            said = said.rstrip().removesuffix(end)  # some templates end a conversation so, and not a turn
        if not text.startswith(said):
            raise TemplateFailure("rewritten", _where("the conversation up to", i, said, text))
        yield len(asked), len(said)


def _where(what: str, turn: int, expected: str, found: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), len(found))
    near = slice(max(0, at - 20), at + 20)
    return (
        f"{what} message {turn + 1}, the template writes {expected[near]!r}, and {found[near]!r} once there is more "
        "of the conversation; expected the same text"
    )


def _expect_answers(messages: Sequence[Message], text: str, spans: list[Span]) -> None:
    """End where an answer stands in the text and outside of what the template marks."""
    marked = [text[start:end] for start, end in spans]
    for i, message in enumerate(messages):
        said = message["content"].strip()
        if message["role"] == "assistant" and said in text and not any(said in part for part in marked):
            raise TemplateFailure(
                "misplaced",
                f"message {i + 1} is the assistant's, and the template writes it outside of {{% generation %}}",
            )
