"""The search engine of the review server, over the real server's API: filters, orders, texts, pages, progress, crowds."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hala_factory.review.server import text
from tests.reviewing import Served, answer, needs_argilla, records

TEXTS = {
    0: "The museum of the old town",
    1: "A town has two museums, and a zoo",
    2: "الْمَدْرَسَةُ الكبيرة في المدينة",
    3: "ذهب إلى المدرسه أمس مع ٣ أصدقاء",
    4: "She reads: state-of-the-art, by 3 p.m.",
    5: 'قال: "اللغة العربية لغتي"',
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("museum", [0]),
        ("MUSEUM*", [0, 1]),
        ("town museum", [0]),
        ("museum | zoo", [0, 1]),
        ("town -zoo", [0]),
        ("town (museum | museums) +zoo", [1]),
        ('"old town"', [0]),
        ('"town old"', []),
        ("state-of-the-art", [4]),
        ("المدرسة", [2, 3]),
        ("مدرسة", []),
        ("*", []),
        ("الى", [3]),
        ("إلي", [3]),
        ("3", [3, 4]),
        ('"اللغه العربيه"', [5]),
        ("الــلــغة", [5]),
        ("مدينة*", []),
        ("المدين*", [2]),
        (") museum (", [0]),
        ("", []),
        ("-", []),
        ("(", []),
        ('"old', [0]),
    ],
)
def test_a_query_finds_what_elasticsearch_would_and_arabic_however_it_is_spelt(query: str, found: list[int]) -> None:
    match = text.query(query)
    assert [n for n, held in TEXTS.items() if match and match(text.words_of([held])) is not None] == found


def test_more_hits_count_more_and_no_phrase_spans_two_texts() -> None:
    match = text.query('town "town has"')
    assert match
    assert (match(text.words("a town has a town")) or 0) > (match(text.words("a town has")) or 0) > 0
    assert match(text.words_of(["a town", {"content": "has it"}])) is None


@pytest.fixture(scope="module")
def dataset(argilla: Served) -> str:
    """30 records with metadata, suggestions and vectors; of amira's answers 4 are submitted, 2 discarded, 1 a draft."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import argilla as rg

        client = rg.Argilla(api_url=argilla.url, api_key=argilla.key)
        settings = rg.Settings(
            fields=[rg.TextField("text", client=client), rg.ChatField("chat", required=False, _client=client)],
            questions=[
                rg.LabelQuestion("verdict", ["good", "bad"], client=client),
                rg.RatingQuestion("stars", [1, 2, 3, 4, 5], required=False, client=client),
            ],
            metadata=[
                rg.TermsMetadataProperty("origin", client=client),
                rg.IntegerMetadataProperty("length", client=client),
                rg.FloatMetadataProperty("score", client=client),
            ],
            vectors=[rg.VectorField("place", dimensions=2, _client=client)],
            distribution=rg.TaskDistribution(min_submitted=2),
        )
        made = rg.Dataset("search", workspace="review", settings=settings, client=client).create()
        made.records.log(
            [
                rg.Record(
                    id=f"r{n:02d}",
                    fields={
                        "text": TEXTS.get(n, f"Record number {n}"),
                        "chat": [{"role": "user", "content": f"turn {n % 3}"}],
                    },
                    metadata={"origin": ["wiki", "news"][n % 2], **({"length": n, "score": n / 10} if n < 20 else {})},
                    vectors={"place": [1.0, n / 10]},
                    suggestions=[rg.Suggestion("stars", 1 + n % 5, score=n / 30, agent=f"judge-{n % 2}")],
                )
                for n in range(30)
            ]
        )
        client.http_client.close()
    with argilla.annotator("amira") as amira, argilla.annotator("bilal") as bilal:
        ids = {r["external_id"]: r["id"] for r in records(amira, str(made.id))}
        for n, status in enumerate(["submitted"] * 4 + ["discarded"] * 2 + ["draft"]):
            more = {"stars": n + 1} if n < 4 else {}
            answer(amira, ids[f"r{n:02d}"], "good" if n % 2 else "bad", status, **more)
        answer(bilal, ids["r00"], "good", stars=5)
    return str(made.id)


def named(client: httpx.Client, dataset: str, mine: bool = False, **asked: Any) -> list[str]:
    path = f"{'/me' if mine else ''}/datasets/{dataset}/records/search"
    told = client.post(path, params={"limit": asked.pop("limit", 100), "offset": asked.pop("offset", 0)}, json=asked)
    assert told.status_code == 200, told.text
    assert told.json()["total"] >= len(told.json()["items"])
    return [item["record"]["external_id"] for item in told.json()["items"]]


def terms(entity: str, values: list[Any], **scope: Any) -> dict[str, Any]:
    return {"type": "terms", "scope": {"entity": entity, **scope}, "values": values}


def within(entity: str, ge: Any = None, le: Any = None, **scope: Any) -> dict[str, Any]:
    bounds = {name: value for name, value in (("ge", ge), ("le", le)) if value is not None}
    return {"type": "range", "scope": {"entity": entity, **scope}, **bounds}


STATUS = {"property": "status"}
FILTERS: list[tuple[list[dict[str, Any]], set[int]]] = [
    ([terms("record", ["completed"], **STATUS)], {0}),
    ([terms("record", ["pending"], **STATUS)], set(range(1, 30))),
    ([terms("response", ["submitted"], **STATUS)], {0, 1, 2, 3}),
    ([terms("response", ["discarded", "draft"], **STATUS)], {4, 5, 6}),
    ([terms("response", ["pending"], **STATUS)], set(range(7, 30))),
    ([terms("response", ["pending", "draft"], **STATUS)], set(range(6, 30))),
    ([terms("response", ["bad"], question="verdict")], {0, 2, 4, 6}),
    ([within("response", 2, 4, question="stars")], {1, 2, 3}),
    ([terms("suggestion", ["judge-1"], question="stars", property="agent")], set(range(1, 30, 2))),
    ([within("suggestion", 0.5, question="stars", property="score")], set(range(15, 30))),
    ([within("suggestion", 5, question="stars", property="value")], {4, 9, 14, 19, 24, 29}),
    ([terms("metadata", ["wiki"], metadata_property="origin")], set(range(0, 30, 2))),
    ([within("metadata", 5, 8, metadata_property="length")], {5, 6, 7, 8}),
    ([within("metadata", le=0.25, metadata_property="score")], {0, 1, 2}),
    (
        [terms("metadata", ["wiki"], metadata_property="origin"), within("metadata", 1.5, metadata_property="score")],
        {16, 18},
    ),
    ([within("record", "2020-01-01T00:00:00", property="inserted_at")], set(range(30))),
    ([within("record", le="2020-01-01T00:00:00", property="inserted_at")], set()),
]


@needs_argilla
@pytest.mark.parametrize(("filters", "found"), FILTERS)
def test_a_filter_finds_the_records_that_it_names(
    argilla: Served, dataset: str, filters: list[dict[str, Any]], found: set[int]
) -> None:
    with argilla.owner as owner:
        assert set(named(owner, dataset, filters={"and": filters})) == {f"r{n:02d}" for n in found}


@needs_argilla
def test_each_annotator_has_a_queue_of_their_own_that_stays_in_its_order(argilla: Served, dataset: str) -> None:
    pending = {"filters": {"and": [terms("response", ["pending"], **STATUS)]}}
    with argilla.annotator("amira") as amira, argilla.annotator("bilal") as bilal:
        hers, his = named(amira, dataset, True, **pending), named(bilal, dataset, True, **pending)
        assert set(hers) == {f"r{n:02d}" for n in range(7, 30)}
        assert set(his) == {f"r{n:02d}" for n in range(1, 30)}
        assert [r for r in his if r in hers] != hers
        paged = [r for at in range(0, 23, 5) for r in named(amira, dataset, True, limit=5, offset=at, **pending)]
        assert paged == hers
        assert named(amira, dataset, True, filters={"and": [terms("response", ["good"], question="verdict")]}) != []
        assert named(bilal, dataset, True, filters={"and": [terms("response", ["discarded"], **STATUS)]}) == []


@needs_argilla
def test_orders_put_what_is_missing_last(argilla: Served, dataset: str) -> None:
    def by(order: str, entity: str, **scope: Any) -> list[dict[str, Any]]:
        return [{"scope": {"entity": entity, **scope}, "order": order}]

    with argilla.owner as owner:
        length = {"metadata_property": "length"}
        assert named(owner, dataset, sort=by("desc", "metadata", **length), limit=3) == ["r19", "r18", "r17"]
        assert named(owner, dataset, sort=by("asc", "metadata", **length), limit=2, offset=19) == ["r19", "r20"]
        assert named(owner, dataset, sort=by("desc", "response", question="stars"), limit=2) == ["r03", "r00"]
        both = by("asc", "metadata", metadata_property="origin") + by("desc", "record", property="inserted_at")
        assert named(owner, dataset, sort=both, limit=2) == ["r29", "r27"]


@needs_argilla
def test_texts_are_found_in_one_field_or_all_with_filters_and_best_first(argilla: Served, dataset: str) -> None:
    with argilla.owner as owner:
        assert named(owner, dataset, query={"text": {"q": "المدرسة"}}) == ["r02", "r03"]
        assert named(owner, dataset, query={"text": {"q": "المدرسة", "field": "chat"}}) == []
        assert len(named(owner, dataset, query={"text": {"q": '"turn 2"', "field": "chat"}})) == 10
        wiki = {"and": [terms("metadata", ["wiki"], metadata_property="origin")]}
        assert named(owner, dataset, query={"text": {"q": "town"}}, filters=wiki) == ["r00"]
        near = {"vector": {"name": "place", "value": [1.0, 0.0]}}
        assert named(owner, dataset, query=near, limit=3) == ["r00", "r01", "r02"]


@needs_argilla
def test_progress_and_metrics_are_counted(argilla: Served, dataset: str) -> None:
    with argilla.owner as owner, argilla.annotator("amira") as amira:
        assert owner.get(f"/datasets/{dataset}/progress").json()["completed"] == 1
        told = amira.get(f"/me/datasets/{dataset}/metrics").json()["responses"]
        assert told == {"total": 30, "submitted": 4, "discarded": 2, "draft": 1, "pending": 23}
        properties = {
            p["name"]: p["id"] for p in amira.get(f"/me/datasets/{dataset}/metadata-properties").json()["items"]
        }
        told = owner.get(f"/metadata-properties/{properties['origin']}/metrics").json()
        assert {v["term"]: v["count"] for v in told["values"]} == {"wiki": 15, "news": 15}
        told = owner.get(f"/metadata-properties/{properties['score']}/metrics").json()
        assert (told["min"], told["max"]) == (0.0, 1.9)


@needs_argilla
def test_a_changed_distribution_is_worked_through_by_the_queue_in_the_process(argilla: Served, dataset: str) -> None:
    with argilla.owner as owner:
        body = {"distribution": {"strategy": "overlap", "min_submitted": 1}}
        assert owner.patch(f"/datasets/{dataset}", json=body).status_code == 200
        wait(lambda: owner.get(f"/datasets/{dataset}/progress").json()["completed"] == 4)


def wait(done: Callable[[], bool]) -> None:
    for _ in range(200):
        if done():
            return
        threading.Event().wait(0.1)
    raise AssertionError("the job was not done")


@needs_argilla
def test_six_people_answer_forty_records_each_at_once_and_nothing_is_lost(argilla: Served, dataset: str) -> None:
    from hala_factory.review import argilla_place
    from tests.reviewing import dataset_id, deck

    crowd = deck("crowd", 40)
    argilla_place.push(crowd, argilla.server)
    place = dataset_id(argilla, "crowd-1.0.0-a1b2c3d4-single")
    names, together = ("amira", "bilal", "carim", "dalia", "emad", "fadwa"), threading.Barrier(6)
    codes: dict[str, list[int]] = {}
    with argilla.owner as owner:
        everything = [r["id"] for r in owner.get(f"/datasets/{place}/records", params={"limit": 100}).json()["items"]]

    def answers(name: str) -> None:
        with argilla.annotator(name) as person:
            together.wait()
            body = {"status": "submitted", "values": {"verdict": {"value": "fix"}, "correction": {"value": name}}}
            codes[name] = [person.post(f"/records/{r}/responses", json=body).status_code for r in everything]

    threads = [threading.Thread(target=answers, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {name: [201] * 40 for name in names}
    told = argilla_place.pull(crowd, argilla.server)
    assert len(told.answers) == 240
    assert all(a.correction == a.annotator for a in told.answers)
    assert {(a.task, a.annotator) for a in told.answers} == {(t.id, name) for t in crowd.tasks for name in names}
    assert not told.warnings
