"""A conversation as a model reads it: its tokens through the chat template, and which of them are trained.

The model:
- The tokenizer's chat template writes the text, and nothing is added when it is tokenised: a template writes its own
  beginning-of-text.
- Trained is what the assistant says, with the token that ends its turn and without the white space after that.
- Where the template marks that with `{% generation %}`, it is as marked. Else the template is asked for the
  conversation up to a turn, with the beginning of an answer; what the whole conversation has after that is the answer.
- At inference a model stands before exactly those tokens. A template or a text of which that is not true is refused
  with a TemplateFailure, for a model trained so would be asked other than it learnt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hala_factory.train.turns import Message, Span, TemplateFailure, Written, write


@dataclass(frozen=True)
class Tokens:
    """A conversation in tokens."""

    ids: list[int]
    trained: list[bool]
    """Of each token, whether it is learnt."""
    text: str = field(repr=False, compare=False)
    """What the template wrote."""
    offsets: list[Span] = field(repr=False, compare=False)
    """Where in the text each token stands, in characters."""


@dataclass(frozen=True)
class Borders:
    """What is known of a tokenizer where a question ends and an answer begins."""

    special: frozenset[int]
    """See `special_ids`."""
    alone: dict[str, list[int]]
    """The tokens of questions' ends; of most templates there is one."""


def tokens_of(tokenizer: Any, messages: Sequence[Message]) -> Tokens:
    """The tokens of one conversation, `role` and `content` of each message. Raises TemplateFailure."""
    (found,) = tokens_of_all(tokenizer, [messages])
    if isinstance(found, TemplateFailure):
        raise found
    return found


def tokens_of_all(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[Tokens | TemplateFailure]:
    """The tokens of many conversations, much faster than one by one; for one that fails, how."""
    found = [_tried(write, tokenizer, messages) for messages in conversations]
    whole = [w for w in found if isinstance(w, Written)]
    if not whole:
        return [w for w in found if isinstance(w, TemplateFailure)]
    encoded = iter(tokenizer([w.text for w in whole], add_special_tokens=False, verbose=False).encodings)
    known = Borders(special_ids(tokenizer), {})
    return [
        w if isinstance(w, TemplateFailure) else _tried(_tokens, tokenizer, w, next(encoded), known) for w in found
    ]


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The tokens that stand for something and are no text."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(added | set(tokenizer.all_special_ids))


def _tokens(tokenizer: Any, written: Written, encoding: Any, known: Borders) -> Tokens:
    ids, offsets = encoding.ids, encoding.offsets
    trained = [False] * len(ids)
    for start, end in written.spans:
        first, last = bisect_left(offsets, (start,)), bisect_left(offsets, (end,))
        _expect_border(tokenizer, written.text, start, ids[:first], offsets, known)
        length = last - first
        if not written.marked:
            length = _without_space_after(ids[first:last], offsets[first:last], written.text, known.special)
        trained[first : first + length] = [True] * length
    return Tokens(ids, trained, written.text, offsets)


def _without_space_after(ids: list[int], offsets: list[Span], text: str, special: frozenset[int]) -> int:
    """How many tokens of a turn there are up to the one that ends it, if only white space follows that."""
    for n in range(len(ids), 0, -1):
        if ids[n - 1] in special:
            return n
        if not text[slice(*offsets[n - 1])].isspace():
            break
    return len(ids)


def _expect_border(tokenizer: Any, text: str, start: int, ids: list[int], offsets: list[Span], known: Borders) -> None:
    """End where what is asked is other tokens when the answer follows than it is alone.

    `ids` are those that begin before the answer; what stands before the last special token of them decides nothing.
    """
    begin = next((n for n in range(len(ids) - 1, -1, -1) if ids[n] in known.special), 0)
    asked = text[offsets[begin][0] if begin else 0 : start]
    if asked not in known.alone:
        known.alone[asked] = tokenizer(asked, add_special_tokens=False, verbose=False).input_ids
    if known.alone[asked] != ids[begin:]:
        raise TemplateFailure(
            "other_tokens",
            f"{asked[-20:]!r} is other tokens before the answer {text[start : start + 10]!r} than when the model is "
            "asked; take away the white space where the two meet",
        )


def _tried(work: Callable[..., Any], *given: Any) -> Any:
    try:
        return work(*given)
    except TemplateFailure as failure:
        return failure
