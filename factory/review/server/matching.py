"""Filters and orders of a search, as Argilla hands them to its engine, judged over one row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from argilla_server.search_engine import (
    AndFilter,
    MetadataFilterScope,
    RangeFilter,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TermsFilter,
)

from hala_factory.review.server.rows import Row

_PENDING = "pending"


def parts(filters: Any, sort: Sequence[Any]) -> set[str]:
    """The parts of a row (`rows.PARTS`) that a filter and an order look at."""
    names = {MetadataFilterScope: "metadata", ResponseFilterScope: "responses", SuggestionFilterScope: "suggestions"}
    scopes = [*_scopes(filters), *(order.scope for order in sort)]
    return {names[type(scope)] for scope in scopes if type(scope) in names}


def matches(row: Row, asked: Any) -> bool:
    """Whether a row passes a filter; no filter lets every row pass."""
    if asked is None:
        return True
    if isinstance(asked, AndFilter):
        return all(matches(row, each) for each in asked.filters)
    if isinstance(asked, TermsFilter):
        wanted = {_text(value) for value in asked.values}
        if _asks_status(asked.scope):
            return _has_status(row, asked.scope, wanted)
        return any(_text(value) in wanted for value in _values(row, asked.scope))
    if isinstance(asked, RangeFilter):
        low, high = _number(asked.ge), _number(asked.le)
        numbers = [n for value in _values(row, asked.scope) if (n := _number(value)) is not None]
        return any((low is None or n >= low) and (high is None or n <= high) for n in numbers)
    raise ValueError(f"unknown filter {asked!r}")


def ordered(rows: list[Row], sort: Sequence[Any]) -> list[Row]:
    """Rows in the order asked for; those that lack what is asked come last, as in Elasticsearch."""
    for order in reversed(sort):
        keyed = [(_key(_values(row, order.scope)), row) for row in rows]
        present = [(key, row) for key, row in keyed if key is not None]
        present.sort(key=lambda pair: pair[0], reverse=_text(order.order) == "desc")
        rows = [row for _, row in present] + [row for key, row in keyed if key is None]
    return rows


def shuffled(rows: list[Row], user: UUID) -> list[Row]:
    """Rows in an order that is each annotator's own, and stays the same: so that people do not all begin alike."""
    return sorted(rows, key=lambda row: hashlib.sha256(user.bytes + row.id.bytes).digest())


def _scopes(asked: Any) -> list[Any]:
    if asked is None:
        return []
    return [s for each in asked.filters for s in _scopes(each)] if isinstance(asked, AndFilter) else [asked.scope]


def _asks_status(scope: Any) -> bool:
    return isinstance(scope, ResponseFilterScope) and not scope.question and _text(scope.property) == "status"


def _has_status(row: Row, scope: Any, wanted: set[str]) -> bool:
    responses = _responses(row, scope)
    if not wanted:
        return True
    return (_PENDING in wanted and not responses) or any(r["status"] in wanted for r in responses)


def _responses(row: Row, scope: Any) -> list[dict[str, Any]]:
    return [r for r in row.responses if scope.user is None or r["user"] == scope.user.id]


def _values(row: Row, scope: Any) -> list[Any]:
    if isinstance(scope, MetadataFilterScope):
        return _listed(row.metadata.get(scope.metadata_property))
    if isinstance(scope, RecordFilterScope):
        return _listed(getattr(row, _text(scope.property)))
    if isinstance(scope, SuggestionFilterScope):
        return _listed(row.suggestions.get(scope.question, {}).get(_text(scope.property)))
    if isinstance(scope, ResponseFilterScope):
        found = _responses(row, scope)
        if scope.question:
            return [v for r in found for v in _listed((r["values"].get(scope.question) or {}).get("value"))]
        return [r[_text(scope.property)] for r in found]
    raise ValueError(f"unknown scope {scope!r}")


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple, set)) else [value]


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return None


def _key(values: list[Any]) -> tuple[int, float, str] | None:
    if not values:
        return None
    numbers = [n for value in values if not isinstance(value, str) and (n := _number(value)) is not None]
    if len(numbers) == len(values):
        return (0, sum(numbers) / len(numbers), "")  # the mean, as Argilla asks of Elasticsearch
    return (1, 0.0, _text(values[0]))
