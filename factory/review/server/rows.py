"""What a search looks at: the records of one dataset as plain rows, with only the columns that it asks for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.models import Question, Record, Response, Suggestion, Vector
from sqlalchemy import Select, select

PARTS = ("fields", "metadata", "responses", "suggestions", "vectors")


@dataclass
class Row:
    """One record; a part that was not asked for is empty."""

    id: UUID
    status: str
    external_id: str | None
    inserted_at: Any
    updated_at: Any
    fields: dict[str, Any]
    metadata: dict[str, Any]
    responses: list[dict[str, Any]] = field(default_factory=list)
    """`user`, `status`, `values` of each, in the order in which they were given."""
    suggestions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`value`, `score`, `agent`, `type` by the question's name."""
    vectors: dict[UUID, list[float]] = field(default_factory=dict)
    """By the id of the vector's settings."""


async def load(dataset: UUID, parts: Collection[str]) -> list[Row]:
    """All records of a dataset, oldest first, with the `parts` of them named in `PARTS`."""
    columns = [Record.id, Record.status, Record.external_id, Record.inserted_at, Record.updated_at]
    columns += [Record.fields] if "fields" in parts else []
    columns += [Record.metadata_] if "metadata" in parts else []
    async with AsyncSessionLocal() as db:
        every = select(*columns).where(Record.dataset_id == dataset).order_by(Record.inserted_at, Record.id)
        rows = {}
        for told in (await db.execute(every)).all():
            rest = list(told[5:])
            fields = rest.pop(0) or {} if "fields" in parts else {}
            metadata = rest.pop(0) or {} if "metadata" in parts else {}
            record, status, external_id, inserted_at, updated_at = told[:5]
            rows[record] = Row(record, status.value, external_id, inserted_at, updated_at, fields, metadata)
        if "responses" in parts:
            asked = select(Response.record_id, Response.user_id, Response.status, Response.values)
            for record, user, status, values in (await db.execute(_of(dataset, asked, Response))).all():
                if record in rows:
                    rows[record].responses.append({"user": user, "status": status.value, "values": values or {}})
        if "suggestions" in parts:
            asked = select(
                Suggestion.record_id,
                Question.name,
                Suggestion.value,
                Suggestion.score,
                Suggestion.agent,
                Suggestion.type,
            ).join(Question, Question.id == Suggestion.question_id)
            for record, question, value, score, agent, kind in (
                await db.execute(_of(dataset, asked, Suggestion))
            ).all():
                if record in rows:
                    suggested = {"value": value, "score": score, "agent": agent, "type": kind}
                    rows[record].suggestions[question] = suggested
        if "vectors" in parts:
            asked = select(Vector.record_id, Vector.vector_settings_id, Vector.value)
            for record, settings, value in (await db.execute(_of(dataset, asked, Vector))).all():
                if record in rows:
                    rows[record].vectors[settings] = value
    return list(rows.values())


def _of(dataset: UUID, asked: Select[Any], table: Any) -> Select[Any]:
    joined = asked.join(Record, Record.id == table.record_id).where(Record.dataset_id == dataset)
    return joined.order_by(table.inserted_at, table.id)
