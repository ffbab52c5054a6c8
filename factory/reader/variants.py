"""One raw record at a time: the rows it is to become, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hala_factory.reader.columns import OPTIONAL, Wanted
from hala_factory.reader.values import is_unicode, kind, value_at

TURN_KEYS = (("from", "value"), ("role", "content"))
"""The names that role and text of a turn go by: ShareGPT's, then OpenAI's."""


@dataclass(frozen=True)
class Broken:
    """A record that could not even be read as one."""

    reason: str
    detail: str
    raw: str


class Unfit(Exception):
    """Why a record cannot become a row: a reason, and what was expected and found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


Variant = tuple[dict[str, str | None], list[tuple[str, str]] | None, list[Unfit]]
"""What one row would be made of: texts by field, or turns; and what is wrong with it."""


def variants(record: Any, wanted: Wanted) -> Iterator[Variant]:
    """One for every row that the record is to become: one for each path through a tree, else exactly one."""
    if isinstance(record, Broken):
        yield {}, None, [Unfit(record.reason, record.detail)]
    elif not isinstance(record, dict):
        yield {}, None, [Unfit("wrong_type", f"expected an object, found {kind(record)}")]
    elif wanted.tree is not None:
        yield from _branches(record, wanted.tree)
    elif wanted.turns is not None:
        try:
            yield {}, _turns(_present(record, wanted.turns), wanted.turns), []
        except Unfit as fault:
            yield {}, None, [fault]
    else:
        found: dict[str, str | None] = {}
        wrong = []
        for name, path in wanted.texts.items():
            try:
                if name not in OPTIONAL:
                    found[name] = _text(_present(record, path), path)
                elif (value := value_at(record, path, None)) is not None:
                    found[name] = _text(value, path)
            except Unfit as fault:
                wrong.append(fault)
        yield found, None, wrong


def _present(record: dict[str, Any], path: str) -> Any:
    try:
        return value_at(record, path)
    except KeyError:
        there = ", ".join(sorted(map(str, record))[:12]) or "none"
        raise Unfit("missing_column", f"no column {path!r} in this record, which has {there}") from None


def _text(value: Any, what: str) -> str:
    if value is None:
        raise Unfit("null", f"{what!r} is null")
    if not isinstance(value, str):
        raise Unfit("wrong_type", f"expected text in {what!r}, found {kind(value)}")
    if not is_unicode(value):
        raise Unfit("bad_utf8", f"{what!r} is not valid UTF-8")
    return value


def _turns(value: Any, path: str) -> list[tuple[str, str]]:
    if value is None:
        raise Unfit("null", f"{path!r} is null")
    if not isinstance(value, list):
        raise Unfit("wrong_type", f"expected a list of turns in {path!r}, found {kind(value)}")
    return [_turn(turn, f"{path}.{number}") for number, turn in enumerate(value)]


def _turn(turn: Any, what: str) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise Unfit("null" if turn is None else "wrong_type", f"expected an object in {what!r}, found {kind(turn)}")
    for role, content in TURN_KEYS:
        if role in turn and content in turn:
            return _text(turn[role], f"{what}.{role}"), _text(turn[content], f"{what}.{content}")
    there = ", ".join(sorted(map(str, turn))[:12]) or "nothing"
    raise Unfit("missing_column", f"{what!r} has neither 'from' and 'value' nor 'role' and 'content', but {there}")


def _branches(record: dict[str, Any], root: str) -> Iterator[Variant]:
    """Every path from the root to a leaf, in file order; by a stack of our own, as trees may be deep."""
    try:
        stack: list[tuple[Any, list[tuple[str, str]], str]] = [(_present(record, root), [], root)]
    except Unfit as fault:
        yield {}, None, [fault]
        return
    while stack:
        node, above, what = stack.pop()
        try:
            talk = [*above, _node(node, what)]
            replies = node.get("replies") or []
            if not isinstance(replies, list):
                raise Unfit("wrong_type", f"expected a list in '{what}.replies', found {kind(replies)}")
        except Unfit as fault:
            yield {}, above or None, [fault]
            continue
        if not replies:
            yield {}, talk, []
        stack += [(reply, talk, f"{what}.replies.{n}") for n, reply in reversed(list(enumerate(replies)))]


def _node(node: Any, what: str) -> tuple[str, str]:
    if not isinstance(node, dict):
        raise Unfit("null" if node is None else "wrong_type", f"expected an object in {what!r}, found {kind(node)}")
    for key in ("role", "text"):
        if key not in node:
            raise Unfit("missing_column", f"{what!r} has no {key!r}")
    return _text(node["role"], f"{what}.role"), _text(node["text"], f"{what}.text")
