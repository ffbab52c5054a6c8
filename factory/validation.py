"""Validation: what pydantic finds wrong with a YAML file, re-told in the file's own words and places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from hala_factory import yamlfile
from hala_factory.errors import Fault, did_you_mean

T = TypeVar("T", bound=BaseModel)


class FieldError(ValueError):
    """What a model's own check has to say about one of its fields, so that the fault is shown there."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def validate(model: type[T], document: yamlfile.Document, data: Any = None) -> tuple[T | None, list[Fault]]:
    """`model` made from a document, or every fault of it, re-told in the file's own words and places."""
    data = document.data if data is None else data
    try:
        return TypeAdapter(model).validate_python(data), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [_retold(model, document, data, alike) for alike in _per_place(data, found)]


def _per_place(data: Any, errors: Sequence[Any]) -> list[list[dict[str, Any]]]:
    """Errors that are one fault to a person: where a value may be of several types, pydantic has one for each."""
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # it is only short of the items that are wrong, which are told themselves
        places.setdefault(_standing(data, error), []).append(error)
    told: list[list[dict[str, Any]]] = []
    for place, found in places.items():
        fitting = [e for e in found if not _wrong_type(e)]
        if fitting:
            told += [[e] for e in fitting]
        elif not any(len(p) > len(place) and p[: len(place)] == place for p in places):
            told.append(found)  # else the value is of another of its types, in which something else is wrong
    return told


def _standing(data: Any, error: dict[str, Any]) -> tuple[Any, ...]:
    """A pydantic location without the branches of unions that it names: what of it stands, or should, in the file."""
    place = []
    for part in error["loc"]:
        if _holds(data, part):
            data = data[part]
            place.append(part)
    if error["type"] == "missing" or error["loc"][-1:] == ("[key]",):
        place.append(error["loc"][-1])
    return tuple(place)


def _holds(data: Any, part: Any) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _wrong_type(error: dict[str, Any]) -> bool:
    kind = str(error["type"])
    return kind.endswith(("_type", "_parsing")) or (kind == "literal_error" and not isinstance(error["input"], str))


def _retold(model: type[BaseModel], document: yamlfile.Document, data: Any, alike: list[dict[str, Any]]) -> Fault:
    error = alike[0]
    path, found, context = tuple(error["loc"]), error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(path[-1]), fields_at(model, path[:-1]))
            return document.fault(path, f"unknown field {path[-1]!r}{hint}", key=True)
        case "missing":
            return document.fault(path[:-1], f"field {path[-1]!r} is missing", key=True)
        case "string_pattern_mismatch" if path and path[-1] == "[key]":
            wanted = "use lower-case letters, digits, '.', '_' and '-'"
            return document.fault(path[:-1], f"{found!r} is not a name: {wanted}", key=True)
        case "union_tag_invalid":
            field, tag = context["discriminator"].strip("'"), str(context["tag"])
            hint = did_you_mean(tag, _options(context["expected_tags"]))
            return document.fault((*path, field), f"unknown {field} {tag!r}{hint}")
        case "union_tag_not_found":
            field = context["discriminator"].strip("'")
            return document.fault(path, f"a {field} begins with '{field}: ' and the name of a {field}")
        case "literal_error" if len(alike) == 1 and isinstance(found, str):
            hint = did_you_mean(found, _options(context["expected"]))
            return document.fault(path, f"{_named(data, path)}: {found!r} is not known{hint}")
        case "value_error":
            cause = context["error"]
            if isinstance(cause, FieldError):
                return document.fault((*path, cause.field), str(cause))
            return document.fault(path, str(cause), key=isinstance(found, dict))
    wanted = " or ".join(dict.fromkeys(_wanted(e) for e in alike))
    quotes = "; put it in quotes" if wanted.startswith("text") and isinstance(found, int | float) else ""
    return document.fault(path, f"{_named(data, path)}: expected {wanted}, found {_shown(found)}{quotes}")


FORMS = {
    r"^[a-z0-9][a-z0-9._-]*$": "lower-case letters, digits, '.', '_' and '-'",
    r"^[a-z][a-z0-9_]*$": "lower-case letters, digits and '_'",
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)?$": "a text of the rows, such as 'messages' or 'messages.user'",
    r"^[a-z][a-z0-9_]*(\.(\*|[a-z][a-z0-9_-]*))?(\.content)?$": "texts of the rows, such as 'messages.*.content'",
    r"\{text\}": "a prompt that holds {text}",
    r"\S": "text that is not empty",
    r"^[a-z]{2,3}$": "a language code, such as 'ar'",
    r"^(dev|\d+\.\d+\.\d+(-[0-9a-z.-]+)?)$": "a version, such as '1.2.3' or 'dev'",
}
"""What the patterns of fields ask for, in words."""

_WANTED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "at least {min_length}",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def _wanted(error: dict[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return f"one of {', '.join(_options(context['expected']))}"
    if kind == "string_pattern_mismatch":
        return FORMS.get(context["pattern"], f"text that matches {context['pattern']}")
    if kind in _WANTED:
        whole = {k: int(v) for k, v in context.items() if isinstance(v, float) and v.is_integer()}
        return _WANTED[kind].format(**{**context, **whole})
    return str(error["msg"]).removeprefix("Input should be ").removeprefix("a valid ")


def _options(expected: str) -> list[str]:
    return sorted(re.findall(r"'([^']*)'", expected))


def _named(data: Any, path: tuple[Any, ...]) -> str:
    """The last field of `path` that stands in the file, and which item of it is meant."""
    field, item = "the file", ""
    for part in path:
        if _holds(data, part):
            data = data[part]
            field, item = (field, f", item {part + 1}") if isinstance(part, int) else (str(part), "")
    return field + item


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if len(str(value)) <= 60 else repr(str(value)[:60]) + "…"


def fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> set[str]:
    """The fields that may stand at `path` below `model` (looks through mappings, lists and unions)."""
    schema = model.model_json_schema()
    defs = schema.get("$defs", {})
    nodes = [schema]

    def spread(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return spread(defs[node["$ref"].rsplit("/", 1)[-1]])
        inner = [s for key in ("anyOf", "oneOf", "allOf") for s in node.get(key, [])]
        return [s for i in inner for s in spread(i)] if inner else [node]

    for part in path:
        below = []
        for node in (s for n in nodes for s in spread(n)):
            if isinstance(part, int):
                below += [node["items"]] if "items" in node else []
            elif part in node.get("properties", {}):
                below.append(node["properties"][part])
            elif isinstance(node.get("additionalProperties"), dict):
                below.append(node["additionalProperties"])
            elif "patternProperties" in node:  # a mapping whose keys must look like names
                below += node["patternProperties"].values()
            elif node.get("properties", {}).get("step", {}).get("const") == part:
                below.append(node)  # the tag of a discriminated union
        nodes = below or nodes
    return {name for n in nodes for s in spread(n) for name in s.get("properties", {})}
