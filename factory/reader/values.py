"""Single values of a raw record: where they stand, what they are, and how they are spelt."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_SURROGATE = re.compile("[\ud800-\udfff]")  # how bytes that are not UTF-8 stand in Python text
_NONE = object()


def value_at(record: Any, path: str, default: Any = _NONE) -> Any:
    """The value at a dotted path; a column whose own name has a dot in it comes first.

    Below a null everything is null. Raises KeyError (or gives `default`) where the record lacks it.
    """
    if not isinstance(record, dict):
        raise TypeError("expected an object")
    if path in record:
        return record[path]
    head, dot, tail = path.partition(".")
    if dot and head in record:
        inner = record[head]
        if inner is None:
            return None
        if isinstance(inner, dict):
            return value_at(inner, tail, default)
    if default is _NONE:
        raise KeyError(path)
    return default


def names_in(record: dict[str, Any]) -> list[str]:
    """The columns of a record, nested ones dotted."""
    names = []
    for name, value in record.items():
        names.append(name)
        if isinstance(value, dict):
            names += [f"{name}.{inner}" for inner in names_in(value)]
    return names


def spell_scalar(value: Any) -> str:
    """A scalar as text, the same for every form: `true`, `3` (also for 3.0), `0.5`; anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    return spell(value)


def spell(record: Any) -> str:
    """A record as text, for the detail of a failed row."""
    try:
        return orjson.dumps(record, default=str).decode()
    except TypeError:  # text that is not Unicode, numbers over 64 bits
        return json.dumps(record, default=str, ensure_ascii=True)


def kind(value: Any) -> str:
    """What a value is, in a person's words."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Text that can be stored: bytes that were not UTF-8 stand as the replacement character."""
    return text if is_unicode(text) else _SURROGATE.sub("\ufffd", text)
