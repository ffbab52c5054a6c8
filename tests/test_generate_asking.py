"""Asking: nothing twice, nothing lost, and recorded answers as exact as their files."""

import asyncio
import json

import polars as pl
import pytest

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate.answers import Answer, ModelIdentity
from hala_factory.generate.asking import Asker
from hala_factory.generate.engines import make_engine
from hala_factory.generate.recorded import RecordedEngine
from hala_factory.generate.store import GenerationStore


class Parrot:
    """An engine of ten lines: answers with the prompt, and notes what it was asked."""

    unit, prompted, capacity, identity = "segment", True, 8, {"model": "parrot"}

    def __init__(self, answers=None, delay=0.0):
        self.asked, self.answers, self.delay, self.started, self.stopped = [], answers or {}, delay, 0, 0

    async def __aenter__(self):
        self.started += 1
        return self

    async def __aexit__(self, *_):
        self.stopped += 1

    async def answer(self, request):
        self.asked.append(request)
        await asyncio.sleep(self.delay)
        answer = self.answers.get(request.last_user_text, Answer(request.last_user_text, "stop", 5, 3))
        if isinstance(answer, Exception):
            raise answer
        return answer


def asker(engine, root):
    return Asker(engine, GenerationStore(root, ModelIdentity("parrot", engine.identity)))


def ask(engine, root, *texts, **options):
    """What each text is answered, asked all at once, and the counts."""

    async def go():
        async with asker(engine, root) as it:
            options.setdefault("max_tokens", 9)
            questions = [it([{"role": "user", "content": t}], temperature=0.0, **options) for t in texts]
            return await asyncio.gather(*questions), it.counts.told()

    return asyncio.run(go())


def test_what_is_stored_is_not_asked_again_and_the_engine_is_not_even_started(tmp_path):
    first, second = Parrot(), Parrot()
    answers, counts = ask(first, tmp_path, "a", "b")
    again, counted_again = ask(second, tmp_path, "b", "a")
    assert [a.text for a in answers] == ["a", "b"]
    assert again == answers[::-1]
    assert counts == {"requests": 2, "from_store": 0, "prompt_tokens": 10, "output_tokens": 6, "failures": 0}
    assert counted_again == {"requests": 2, "from_store": 2, "prompt_tokens": 0, "output_tokens": 0, "failures": 0}
    assert (first.started, first.stopped, second.started, second.stopped) == (1, 1, 0, 0)


def test_equal_prompts_under_way_are_asked_once(tmp_path):
    engine = Parrot(delay=0.02)
    answers, counts = ask(engine, tmp_path, *["same"] * 50, "other")
    assert len(engine.asked) == 2
    assert {a.text for a in answers} == {"same", "other"}
    assert (counts["requests"], counts["from_store"], counts["output_tokens"]) == (51, 49, 6)


def test_an_answer_outlives_the_caller_that_gave_up(tmp_path):
    async def go():
        engine = Parrot(delay=0.05)
        async with asker(engine, tmp_path) as it:
            impatient = asyncio.create_task(it([{"role": "user", "content": "a"}], temperature=0.0, max_tokens=9))
            await asyncio.sleep(0.01)
            impatient.cancel()
            await asyncio.sleep(0.1)
            return await it([{"role": "user", "content": "a"}], temperature=0.0, max_tokens=9), len(engine.asked)

    answer, asked = asyncio.run(go())
    assert (answer.text, asked) == ("a", 1)


REFUSAL = Answer("", "error", error="HTTP 400: too long")


@pytest.mark.parametrize(
    ("answer", "asked_again"),
    [
        (Answer("cut", "length", 1, 1), False),
        (REFUSAL, False),
        (Answer("", "error", error="the server broke", final=False), True),
        (Answer("", "miss"), True),
    ],
    ids=["cut", "refused", "broken", "missing"],
)
def test_only_real_answers_and_refusals_are_stored(tmp_path, answer, asked_again):
    async def go(engine):
        async with asker(engine, tmp_path) as it:
            for text in ("good", "this one"):
                last = await it([{"role": "user", "content": text}], temperature=0.0, max_tokens=9)
            return last

    assert asyncio.run(go(Parrot({"this one": answer}))) == answer
    second = Parrot({"this one": answer})
    assert asyncio.run(go(second)) == answer
    assert len(second.asked) == asked_again


def test_what_an_engine_refuses_that_never_answered_is_asked_again(tmp_path):
    assert ask(Parrot({"a": REFUSAL}), tmp_path, "a")[0] == [REFUSAL]
    assert ask(Parrot(), tmp_path, "a")[0][0].text == "a"


def test_an_engine_beyond_help_ends_the_asking_and_keeps_what_was_answered(tmp_path):
    with pytest.raises(BuildError, match="all down"):
        ask(Parrot({"b": BuildError("all down")}), tmp_path, "a", "b")
    second = Parrot()
    ask(second, tmp_path, "a", "b")
    assert [r.last_user_text for r in second.asked] == ["b"]


def test_an_engine_that_does_not_start_is_started_once(tmp_path):
    class Broken(Parrot):
        async def __aenter__(self):
            self.started += 1
            await asyncio.sleep(0.01)
            raise BuildError("no start")

    engine = Broken()

    async def go():
        async with asker(engine, tmp_path) as it:
            questions = [it([{"role": "user", "content": str(n)}], temperature=0.0, max_tokens=9) for n in range(5)]
            return await asyncio.gather(*questions, return_exceptions=True)

    assert [str(e) for e in asyncio.run(go())] == ["no start"] * 5
    assert (engine.started, engine.stopped) == (1, 0)


def test_an_engine_without_a_prompt_is_keyed_by_the_bare_text(tmp_path):
    class Bare(Parrot):
        prompted = False

    ask(Bare(), tmp_path, "Translate: hello", text="hello")
    second = Bare()
    (answer,), _ = ask(second, tmp_path, "Another prompt: hello", text="hello")
    assert (answer.text, second.asked) == ("hello", [])


def recorded(folder, files):
    return RecordedEngine("samples", files, folder)


def lines(path, *rows):
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in rows), encoding="utf-8")


def test_recorded_answers_are_found_by_the_exact_text_and_another_is_a_miss(tmp_path):
    lines(
        tmp_path / "one.jsonl", {"text": "Hi.\n", "answer": "مرحبا"}, "\n", {"text": "Bye", "answer": "", "by": "us"}
    )
    pl.DataFrame({"text": ["Yes"], "answer": ["نعم"], "note": [1]}).write_parquet(tmp_path / "two.parquet")
    engine = make_engine(
        "samples",
        Model(licence="Apache-2.0", engine="recorded", path=["*.jsonl", "two.parquet"]),
        tmp_path,
        work=tmp_path / "store",
    )
    answers, counts = ask(engine, tmp_path / "store", "Hi.\n", "Hi.", "Yes", "Bye")
    assert [(a.text, a.finish_reason) for a in answers] == [
        ("مرحبا", "stop"),
        ("", "miss"),
        ("نعم", "stop"),
        ("", "stop"),
    ]
    assert engine.unit == "text"
    assert counts["failures"] == 1


def test_the_identity_of_recorded_answers_is_their_content(tmp_path):
    rows = [{"text": "a", "answer": "1"}, {"text": "b", "answer": "2"}]
    lines(tmp_path / "one.jsonl", *rows)
    lines(tmp_path / "split-1.jsonl", rows[1])
    lines(tmp_path / "split-2.jsonl", rows[0], rows[0])
    lines(tmp_path / "changed.jsonl", rows[0], {"text": "b", "answer": "3"})
    one, split, changed = (recorded(tmp_path, f).identity for f in ("one.jsonl", "split-*.jsonl", "changed.jsonl"))
    assert one == split != changed


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "a", "answer": \n', "one.jsonl:2:1: not JSON"),
        ('["a", "b"]\n', "one.jsonl:2:1: expected an object with 'text' and 'answer'"),
        ('{"text": "a"}\n', "one.jsonl:2:1: field 'answer': expected text, found nothing"),
        ('{"text": "a", "answer": null}\n', "one.jsonl:2:1: field 'answer': expected text, found None"),
        ('{"text": 5, "answer": "x"}\n', "one.jsonl:2:1: field 'text': expected text, found 5"),
        ('{"text": "good", "answer": "x"}\n', "one.jsonl:2:1: another answer to the text of one.jsonl:1: 'good'"),
    ],
)
def test_a_fault_in_recorded_answers_is_named_with_file_and_line(tmp_path, monkeypatch, row, message):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "one.jsonl", {"text": "good", "answer": "جيد"}, row, '"last"\n')
    with pytest.raises(InputError) as e:
        _ = recorded(tmp_path, "one.jsonl").identity
    assert message in str(e.value)
    assert [f.line for f in e.value.faults] == [2, 3]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("none-*.jsonl", "no file of recorded answers at none-"),
        ("answers.csv", "recorded answers are .jsonl or .parquet files"),
        ("torn.parquet", "torn.parquet: cannot be read"),
        ("columns.parquet", "no column 'answer'; it has \\['text'\\]"),
        ("null.parquet", "null.parquet:2:1: field 'text': expected text, found None"),
    ],
)
def test_files_of_recorded_answers_that_cannot_be_used_are_named(tmp_path, monkeypatch, files, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.csv").write_text("text,answer\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    pl.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "columns.parquet")
    pl.DataFrame({"text": ["a", None], "answer": ["x", "y"]}).write_parquet(tmp_path / "null.parquet")
    with pytest.raises(InputError, match=message):
        _ = recorded(tmp_path, files).answers
