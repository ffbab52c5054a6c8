"""The questions of a stage under way: as many as the engines' capacity wants, in any order, the corpus in its own."""

import asyncio
from types import SimpleNamespace

import pytest

from hala_factory.run.asking import AHEAD, LEAST_AHEAD, MOST_AHEAD, Gate, look_ahead
from tests.speaking import model, speaking
from tests.workshop import Workshop, alpaca, balanced

KEY = "sk-secret-0123456789"


def askers(*capacities):
    return {f"field {n}": SimpleNamespace(capacity=c) for n, c in enumerate(capacities)}


@pytest.mark.parametrize(
    ("capacities", "questions"),
    [
        ((1,), LEAST_AHEAD),
        ((256,), AHEAD * 256),
        ((4 * 256,), AHEAD * 1024),
        ((256, 64), AHEAD * 320),
        ((8 * 1024,), MOST_AHEAD),
        ((), LEAST_AHEAD),
    ],
)
def test_questions_under_way_follow_what_the_engines_take(capacities, questions):
    assert look_ahead(askers(*capacities)) == questions


def test_a_model_that_is_asked_for_two_things_counts_once():
    (asker,) = askers(1000).values()
    assert look_ahead({"model": asker, "judge_model": asker}) == AHEAD * 1000


def test_a_gate_lets_in_as_many_as_there_are_places_for_by_then():
    size, inside, most = 3, 0, []

    async def visitor(gate):
        nonlocal inside
        inside += 1
        most.append(inside)
        await asyncio.sleep(0)
        inside -= 1
        gate.leave()

    async def go():
        nonlocal size
        gate = Gate(lambda: size)
        async with asyncio.TaskGroup() as group:
            for n in range(200):
                await gate.enter()
                group.create_task(visitor(gate))
                if n == 99:
                    assert max(most) == 3
                    size = 10

    asyncio.run(go())
    assert len(most) == 200
    assert max(most) == 10


def test_what_is_asked_first_makes_no_difference_to_the_corpus_and_nothing_is_asked_twice(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEACHER_KEY", KEY)
    rows = [row | {"instruction": row["instruction"] + " Please." * (n % 7)} for n, row in enumerate(alpaca(300))]
    workshop.rows("rows.jsonl", rows)
    with speaking(lambda request: "Answered: " + request["messages"][-1]["content"]) as server:
        teacher = model(server) | {"api_key_env": "TEACHER_KEY", "max_concurrency": 4}
        workshop.catalog({"own": {"path": "rows.jsonl"}}, {"teacher": teacher})
        workshop.recipe(["own"], [{"step": "generate", "model": "teacher"}], language="en")
        said = workshop.run("build", "recipe.yaml", "--json", "--workers", "1", "--shard-rows", "20")
    asked = [s["messages"][-1]["content"] for s in server.seen]
    kept = [row["messages"] for row in workshop.kept().iter_rows(named=True)]
    assert balanced(said.json["rows"])
    assert [m[0]["content"] for m in kept] == [row["instruction"] for row in rows]
    assert [m[1]["content"] for m in kept] == ["Answered: " + row["instruction"] for row in rows]
    assert len(asked) == len(set(asked)) == 300
    assert asked != [row["instruction"] for row in rows]
    assert server.keys == {f"Bearer {KEY}"}
    texts = [p for p in workshop.folder.rglob("*") if p.is_file()]
    assert len(texts) > 20
    assert not [p for p in texts if KEY.encode() in p.read_bytes()]
    assert KEY not in said.out + said.err
