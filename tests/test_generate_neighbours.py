"""Neighbours: what two processes ask of one model at the same time is asked once, however either of them ends."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hala_factory.generate import asking, neighbours
from hala_factory.generate.answers import Answer, ModelIdentity
from hala_factory.generate.asking import Asker
from hala_factory.generate.store import GenerationStore
from tests.test_generate_asking import Parrot

MODEL = ModelIdentity("parrot", Parrot.identity)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(asking, "LOOK", 0.01)


def asker(engine, root, **options):
    return Asker(engine, GenerationStore(root, MODEL, **options))


async def ask(one, *texts):
    said = [one([{"role": "user", "content": t}], temperature=0.0, max_tokens=9) for t in texts]
    return [answer.text for answer in await asyncio.gather(*said)]


@pytest.mark.parametrize("segment_rows", [8_192, 5], ids=["from its journal", "from its segments"])
def test_what_two_ask_at_the_same_time_is_asked_once(tmp_path, segment_rows):
    texts = [f"text {n}" for n in range(40)]

    async def go():
        engines = Parrot(delay=0.02), Parrot(delay=0.02)
        async with (
            asker(engines[0], tmp_path, segment_rows=segment_rows) as one,
            asker(engines[1], tmp_path, segment_rows=segment_rows) as other,
        ):
            answers = await asyncio.gather(ask(one, *texts), ask(other, *reversed(texts)))
            return answers, [r.last_user_text for e in engines for r in e.asked], [one.counts, other.counts]

    answers, asked, counts = asyncio.run(go())
    assert answers == [texts, texts[::-1]]
    assert sorted(asked) == sorted(texts)
    assert sum(c.from_store for c in counts) == len(texts)
    assert sum(c.output_tokens for c in counts) == sum(c.saved_output_tokens for c in counts) == 3 * len(texts)


@pytest.mark.parametrize(
    "answer", [Answer("", "error", error="the server broke", final=False), RuntimeError("a fault of ours")]
)
def test_what_comes_to_nothing_for_one_is_asked_by_the_other(tmp_path, answer):
    async def go():
        async with (
            asker(Parrot({"a": answer}, delay=0.05), tmp_path) as one,
            asker(Parrot(delay=0.05), tmp_path) as other,
        ):
            first = asyncio.create_task(ask(one, "a"))
            await asyncio.sleep(0.02)
            return (await asyncio.gather(ask(other, "a"), first, return_exceptions=True))[0], other.counts.from_store

    assert asyncio.run(go()) == (["a"], 0)


def test_what_was_answered_to_another_since_we_opened_is_not_asked(tmp_path):
    async def go():
        engine = Parrot()
        async with asker(engine, tmp_path) as late:
            async with asker(Parrot(), tmp_path) as early:
                await ask(early, "a", "b")
            return await ask(late, "a", "b"), engine.asked

    assert asyncio.run(go()) == (["a", "b"], [])


HOLDER = """
    import asyncio, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from tests.test_generate_neighbours import Parrot, ask, asker
    async def go():
        async with asker(Parrot(delay=600), Path(sys.argv[1])) as one:
            asked = asyncio.create_task(ask(one, "a"))
            while not one.engine.asked:
                await asyncio.sleep(0.01)
            print("asked", flush=True)
            await asked
    asyncio.run(go())
"""


def test_what_a_killed_process_asked_is_asked_again(tmp_path):
    script = textwrap.dedent(HOLDER).format(root=str(Path(__file__).parents[1]))
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"asked\n"

        async def go():
            async with asker(Parrot(), tmp_path) as one:
                waiting = asyncio.create_task(ask(one, "a"))
                await asyncio.sleep(0.2)
                waited = not one.engine.asked
                holder.kill()
                return waited, await waiting

        assert asyncio.run(go()) == (True, ["a"])


def test_who_is_silent_for_too_long_is_waited_for_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)

    async def go():
        async with asker(Parrot(delay=5), tmp_path) as one, asker(Parrot(), tmp_path) as other:
            first = asyncio.create_task(ask(one, "a"))
            await asyncio.sleep(0.02)
            answer = await ask(other, "a")
            first.cancel()
            return answer

    assert asyncio.run(go()) == ["a"]


def test_where_the_system_knows_no_such_locks_both_are_answered(tmp_path, monkeypatch):
    monkeypatch.delattr(neighbours.fcntl, "F_OFD_SETLK")

    async def go():
        engines = Parrot(delay=0.02), Parrot(delay=0.02)
        async with asker(engines[0], tmp_path) as one, asker(engines[1], tmp_path) as other:
            return await asyncio.gather(ask(one, "a"), ask(other, "a")), [len(e.asked) for e in engines]

    assert asyncio.run(go()) == ([["a"], ["a"]], [1, 1])


def test_a_claim_is_let_go_with_the_answer_and_with_the_store(tmp_path):
    async def go():
        async with asker(Parrot(), tmp_path) as one:
            await ask(one, "a")
            key = one.engine.asked[0].key(MODEL)
            with GenerationStore(tmp_path, MODEL) as other:
                free = other.claim(key)
                taken = one.store.claim(key)
            return free, taken, one.store.claim(key)

    assert asyncio.run(go()) == (True, False, True)
