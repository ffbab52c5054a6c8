"""Argilla's search engine answered from Argilla's own database: its registry is open to engines from outside."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import MetadataPropertyType, SimilarityOrder
from argilla_server.models import Record, Response
from argilla_server.search_engine import (
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TermsMetrics,
    TextQuery,
)
from sqlalchemy import Select, func, select

from hala_factory.review.server import matching, rows, text

NAME = "database"


@SearchEngine.register(NAME)
class DatabaseSearchEngine(SearchEngine):  # type: ignore[misc]
    """The database is the index: what has to be kept in step elsewhere is in step here."""

    @classmethod
    async def new_instance(cls) -> DatabaseSearchEngine:
        return cls()

    async def close(self) -> None: ...

    async def ping(self) -> bool:
        async with AsyncSessionLocal() as db:
            return bool(await db.scalar(select(1)) == 1)

    async def info(self) -> dict[str, Any]:
        return {"name": NAME, "version": {"number": "1", "distribution": "hala-factory"}}

    async def create_index(self, dataset: Any) -> None: ...
    async def delete_index(self, dataset: Any) -> None: ...
    async def configure_metadata_property(self, dataset: Any, metadata_property: Any) -> None: ...
    async def configure_index_vectors(self, vector_settings: Any) -> None: ...
    async def index_records(self, dataset: Any, records: Any) -> None: ...
    async def partial_record_update(self, record: Any, **update: Any) -> None: ...
    async def delete_records(self, dataset: Any, records: Any) -> None: ...
    async def update_record_response(self, response: Any) -> None: ...
    async def delete_record_response(self, response: Any) -> None: ...
    async def update_record_suggestion(self, suggestion: Any) -> None: ...
    async def delete_record_suggestion(self, suggestion: Any) -> None: ...

    async def get_dataset_progress(self, dataset: Any) -> dict[str, int]:
        asked = select(Record.status, func.count()).where(Record.dataset_id == dataset.id)
        return await _counts(dataset, asked.group_by(Record.status))

    async def get_dataset_user_progress(self, dataset: Any, user: Any) -> dict[str, int]:
        asked = select(Response.status, func.count()).join(Record, Record.id == Response.record_id)
        asked = asked.where(Record.dataset_id == dataset.id, Response.user_id == user.id)
        return await _counts(dataset, asked.group_by(Response.status))

    async def search(
        self,
        dataset: Any,
        query: TextQuery | str | None = None,
        filter: Any = None,
        sort: list[Any] | None = None,
        offset: int = 0,
        limit: int = 100,
        user_id: UUID | None = None,
    ) -> SearchResponses:
        found = await _found(dataset.id, query, filter, sort or [])
        if sort:
            order = matching.ordered([row for row, _ in found], sort)
        elif user_id:
            order = matching.shuffled([row for row, _ in found], user_id)
        else:  # best first, and of the same score the oldest
            order = [row for row, _ in sorted(found, key=lambda pair: -pair[1])]
        scores = {row.id: score for row, score in found}
        items = [SearchResponseItem(record_id=r.id, score=scores[r.id]) for r in order[offset : offset + limit]]
        return SearchResponses(items=items, total=len(found))

    async def similarity_search(
        self,
        dataset: Any,
        vector_settings: Any,
        value: list[float] | None = None,
        record: Any = None,
        query: TextQuery | str | None = None,
        filter: Any = None,
        max_results: int = 100,
        order: SimilarityOrder = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> SearchResponses:
        target = value or (record.vector_value_by_vector_settings(vector_settings) if record is not None else None)
        if not target or (value and record is not None):
            raise ValueError("a similarity search wants one vector: a value, or a record that has one")
        sign = -1 if order == SimilarityOrder.least_similar else 1
        scored = []
        for row, _ in await _found(dataset.id, query, filter, [], vectors=True):
            vector = row.vectors.get(vector_settings.id)
            if vector and not (record is not None and row.id == record.id):
                scored.append(((1 + sign * _cosine(vector, target)) / 2, row.id))  # as Elasticsearch scores a cosine
        scored.sort(key=lambda pair: -pair[0])
        best = [pair for pair in scored[:max_results] if threshold is None or pair[0] >= threshold]
        return SearchResponses(items=[SearchResponseItem(record_id=i, score=s) for s, i in best], total=len(best))

    async def compute_metrics_for(self, metadata_property: Any) -> Any:
        """What the page's widgets need to offer a filter: the terms with their counts, or the smallest and largest."""
        name, loaded = metadata_property.name, await rows.load(metadata_property.dataset_id, {"metadata"})
        values = [row.metadata[name] for row in loaded if row.metadata.get(name) is not None]
        values = [v for value in values for v in (value if isinstance(value, list) else [value])]
        if metadata_property.type == MetadataPropertyType.terms:
            counted = [TermsMetrics.TermCount(term=t, count=c) for t, c in Counter(map(str, values)).most_common()]
            return TermsMetrics(total=len(values), values=counted)
        integer = metadata_property.type == MetadataPropertyType.integer
        kind = IntegerMetadataMetrics if integer else FloatMetadataMetrics
        return kind(min=min(values, default=None), max=max(values, default=None))


async def _counts(dataset: Any, asked: Select[Any]) -> dict[str, int]:
    if dataset.is_draft:
        return {}
    async with AsyncSessionLocal() as db:
        counted = {str(status.value): n for status, n in (await db.execute(asked)).all()}
    return {"total": sum(counted.values()), **counted}


async def _found(
    dataset: UUID, query: TextQuery | str | None, filters: Any, sort: list[Any], *, vectors: bool = False
) -> list[tuple[rows.Row, float]]:
    """The rows that pass, oldest first, each with how well it matches the text."""
    parts = matching.parts(filters, sort) | ({"vectors"} if vectors else set())
    if query is None:
        return [(row, 1.0) for row in await rows.load(dataset, parts) if matching.matches(row, filters)]
    asked = query if isinstance(query, TextQuery) else TextQuery(q=query)
    match, found = text.query(asked.q), []
    for row in await rows.load(dataset, {*parts, "fields"}) if match else []:
        held = [row.fields.get(asked.field)] if asked.field else list(row.fields.values())
        score = match(text.words_of(held)) if match and matching.matches(row, filters) else None
        if score is not None:
            found.append((row, score))
    return found


def _cosine(one: list[float], other: list[float]) -> float:
    norm = math.sqrt(math.fsum(x * x for x in one) * math.fsum(x * x for x in other))
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / norm if norm else 0.0
