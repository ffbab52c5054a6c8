"""Batch files: a build writes requests, ends, and goes on when the answers lie beside them, in whatever state."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hala_factory.catalog import Model
from hala_factory.generate import batch, completion, tools
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.batch import BatchEngine, read
from tests.workshop import Workshop, alpaca, answers, balanced

KNOWN = {r["text"]: r["answer"] for r in answers(60)}
BUILD = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "1")
Line = dict[str, Any]


def bench(workshop: Workshop, rows: int, *, translate: dict[str, Any] | None = None, **batch_fields: Any) -> Workshop:
    """A source of plain instructions, and a recipe that has a batch model translate them."""
    workshop.rows("plain.jsonl", alpaca(rows))
    model = {"engine": "batch", "model": "m-1", "batch": {"folder": "box", **batch_fields}, "licence": "MIT"}
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"later": model})
    workshop.recipe(["plain"], [{"step": "translate", "to": "ar", "model": "later", **(translate or {})}])
    return workshop


def requests(workshop: Workshop, number: int) -> list[Line]:
    file = workshop.folder / "box" / f"requests-{number:05d}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def asked(request: Line) -> str:
    """The text that a request wants translated."""
    return str(request["body"]["messages"][-1]["content"]).partition(":\n\n")[2]


def given(request: Line, text: str, finish: str = "stop") -> Line:
    """A line of a batch's output file, with the fields that OpenAI's and vLLM's have."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {
        "id": f"b-{request['custom_id'][:9]}",
        "custom_id": request["custom_id"],
        "response": response,
        "error": None,
    }


def failed(request: Line, code: str = "batch_expired", round_: int = 1) -> Line:
    """A line of a batch's error file."""
    error = {"code": code, "message": "This request could not be executed before the completion window expired."}
    return {
        "id": f"e-{round_}-{request['custom_id'][:9]}",
        "custom_id": request["custom_id"],
        "response": None,
        "error": error,
    }


def translated(request: Line) -> Line:
    return given(request, KNOWN[asked(request)])


def put(workshop: Workshop, name: str, lines: list[Line | bytes]) -> None:
    spelt = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
    workshop.write(f"box/{name}", b"\n".join(spelt) + b"\n")


def test_a_build_writes_requests_ends_and_goes_on_when_the_answers_are_there(workshop: Workshop) -> None:
    bench(workshop, 10)
    said = workshop.run(*BUILD)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "model 'later': 20 requests wait for answers in box (20 new in requests-00001.jsonl); have them answered as "
        "OpenAI batches, put the answers beside them as answers*.jsonl, the errors too, and run the same command again\n"
    )
    lines = requests(workshop, 1)
    assert {asked(r) for r in lines} == {text for row in alpaca(10) for text in (row["instruction"], row["output"])}
    first = lines[0]
    assert {k: first[k] for k in ("method", "url")} == {"method": "POST", "url": "/v1/chat/completions"}
    assert {k: first["body"][k] for k in ("model", "temperature", "max_tokens")} == {
        "model": "m-1", "temperature": 0, "max_tokens": 1024,
    }  # fmt: skip
    again = workshop.run(*BUILD)
    assert "20 requests wait for answers in box (20 of earlier files)" in again.err
    assert [p.name for p in sorted((workshop.folder / "box").glob("requests*"))] == ["requests-00001.jsonl"]

    put(workshop, "answers.jsonl", [translated(r) for r in lines])
    told = workshop.build()
    assert told["rows"] == {"in": 10, "kept": 10, "dropped": {}, "failed": {}}
    assert told["generation"]["requests"] == 20
    assert (told["generation"]["prompt_tokens"], told["generation"]["output_tokens"]) == (600, 400)
    assert workshop.kept()["messages"].to_list()[0][0]["content"] == KNOWN[alpaca(1)[0]["instruction"]]

    # the store has the answers: the files may go, and another recipe asks for nothing
    for path in (workshop.folder / "box").glob("*"):
        path.unlink()
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("model: later", "model: later\n  max_chars: 900"))
    assert workshop.build()["generation"]["from_store"] == 20
    assert not list((workshop.folder / "box").glob("requests*"))


def test_the_id_of_a_request_is_its_key_in_the_store(workshop: Workshop) -> None:
    bench(workshop, 1)
    workshop.run(*BUILD)
    line = requests(workshop, 1)[0]
    engine = BatchEngine(
        "later",
        Model(engine="batch", model="m-1", batch={"folder": "box"}, licence="MIT"),  # type: ignore[arg-type]
        Path("box"),
        revision=None,
    )
    (message,) = line["body"]["messages"]
    request = Request(
        ((message["role"], message["content"]),), line["body"]["temperature"], line["body"]["max_tokens"]
    )
    assert line["custom_id"] == request.key(ModelIdentity("later", engine.identity))
    assert len(line["custom_id"]) == 64  # no vendor takes longer ones


def test_answers_in_any_state_are_read_and_what_they_lack_is_written_again(workshop: Workshop) -> None:
    bench(workshop, 20)
    workshop.run(*BUILD)
    lines = requests(workshop, 1)
    random.Random(3).shuffle(lines)
    expired, silent, torn, rest = lines[:3], lines[3:5], lines[5], lines[6:]
    stranger = {**rest[0], "custom_id": hashlib.sha256(b"stranger").hexdigest()}
    put(
        workshop,
        "answers-output.jsonl",
        [
            *(translated(r) for r in rest),
            given(stranger, "?"),
            {**given(stranger, "?"), "custom_id": "request-17"},
            given(rest[0], "a second answer to the first one, which counts"),
            b"",
            json.dumps(translated(torn)).encode()[:-40],
        ],
    )
    put(workshop, "answers-errors.jsonl", [failed(r) for r in expired] * 2)
    said = workshop.run(*BUILD)
    assert said.code == 1
    assert "6 requests wait for answers in box (3 new in requests-00002.jsonl, 3 of earlier files)" in said.err
    assert said.err.splitlines()[1:] == [
        "lines that cannot be read: answers-output.jsonl 1",
        "answers to what no file here asked for: 2",
    ]
    assert {r["custom_id"] for r in requests(workshop, 2)} == {r["custom_id"] for r in expired}
    put(workshop, "answers-2.jsonl", [translated(r) for r in [*requests(workshop, 2), *silent, torn]])
    told = workshop.build()
    assert told["rows"] == {"in": 20, "kept": 20, "dropped": {}, "failed": {}}
    assert told["generation"]["requests"] - told["generation"]["from_store"] == 6


def test_what_a_deleted_file_asked_for_is_asked_for_anew(workshop: Workshop) -> None:
    bench(workshop, 3)
    workshop.run(*BUILD)
    first = requests(workshop, 1)
    (workshop.folder / "box" / "requests-00001.jsonl").unlink()
    workshop.run(*BUILD)
    assert requests(workshop, 1) == first


def test_retries_of_the_ladder_are_written_as_a_next_file(workshop: Workshop) -> None:
    bench(workshop, 5)
    workshop.run(*BUILD)
    lines = requests(workshop, 1)
    put(
        workshop, "answers-1.jsonl", [given(lines[0], asked(lines[0])), *(translated(r) for r in lines[1:])]
    )  # an echo
    said = workshop.run(*BUILD)
    assert "1 requests wait for answers in box (1 new in requests-00002.jsonl)" in said.err
    (warm,) = requests(workshop, 2)
    assert asked(warm) == asked(lines[0])
    assert (warm["body"]["temperature"], warm["body"]["seed"]) == (0.3, 1)
    put(workshop, "answers-2.jsonl", [translated(warm)])
    assert workshop.build()["rows"]["kept"] == 5


def test_a_round_holds_every_piece_of_a_text_and_the_next_every_retry(workshop: Workshop) -> None:
    sentences = [f"Sentence number {n} of this text says something that takes up space." for n in range(40)]
    bench(workshop, 1, translate={"max_chars": 200})
    workshop.rows(
        "plain.jsonl", [{"instruction": "\n\n".join(sentences), "input": "", "output": "A plain answer, quite short."}]
    )
    assert workshop.run(*BUILD).code == 1
    first = requests(workshop, 1)
    assert len(first) > 10
    put(workshop, "answers-1.jsonl", [given(r, asked(r)) for r in first])  # echoes, every one of them
    assert workshop.run(*BUILD).code == 1
    assert len(requests(workshop, 2)) >= len(first)
    assert not (workshop.folder / "box" / "requests-00003.jsonl").exists()


def test_what_fails_in_every_batch_is_a_failed_row_in_the_end(workshop: Workshop) -> None:
    bench(workshop, 4, translate={"retries": {}})
    for number in range(1, batch.ATTEMPTS + 1):
        assert workshop.run(*BUILD).code == 1
        lines = requests(workshop, number)
        good = [translated(r) for r in lines[1:]] if number == 1 else []
        put(workshop, f"answers-{number}.jsonl", [failed(lines[0], round_=number), *good])
    told = workshop.build()
    assert told["rows"] == {"in": 4, "kept": 3, "dropped": {}, "failed": {"translate.engine_error": 1}}
    assert balanced(told["rows"])
    assert "completion window expired. (in 3 batches)" in workshop.lost()["detail"][0]


def test_what_a_model_has_to_prove_is_a_round_of_its_own(workshop: Workshop) -> None:
    pairs = [
        {"en": f"Bird number {n} sings in the old tree.", "ar": f"يغرد الطائر رقم {n} في الشجرة القديمة."}
        for n in range(6)
    ]
    workshop.rows("pairs.jsonl", pairs)
    source = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    model = {"engine": "batch", "batch": {"folder": "box"}, "licence": "MIT"}
    workshop.catalog({"pairs": source}, {"later": model})
    judge = {"step": "judge", "model": "later", "source": "translation.en", "target": "translation.ar", "controls": 4}
    workshop.recipe(["pairs"], [judge])
    assert workshop.run(*BUILD).code == 1
    controls = requests(workshop, 1)
    assert len(controls) == 4
    assert not any("Bird number" in r["body"]["messages"][-1]["content"] for r in controls)
    assert {r["body"]["response_format"]["type"] for r in controls} == {"json_schema"}
    put(workshop, "answers-1.jsonl", [given(r, '{"verdict": "accept"}') for r in controls])
    assert workshop.run(*BUILD).code == 1
    birds = requests(workshop, 2)
    assert len(birds) == 6
    put(workshop, "answers-2.jsonl", [given(r, '{"verdict": "accept"}') for r in birds])
    assert workshop.build()["rows"]["kept"] == 6


def test_requests_are_split_into_files_of_bounded_size(workshop: Workshop) -> None:
    bench(workshop, 5, max_requests=4)
    assert "10 new in requests-00001.jsonl, requests-00002.jsonl, requests-00003.jsonl" in workshop.run(*BUILD).err
    assert [len(requests(workshop, n)) for n in (1, 2, 3)] == [4, 4, 2]


def test_a_shard_whose_answers_are_there_is_done_while_others_wait(workshop: Workshop) -> None:
    bench(workshop, 6)
    small = (*BUILD, "--shard-rows", "2")
    workshop.run(*small)
    lines = requests(workshop, 1)
    put(workshop, "answers-1.jsonl", [translated(r) for r in lines[:4]])
    assert workshop.run(*small).code == 1
    assert sorted(p.name for p in (workshop.folder / "store" / "stages").glob("translate-*/done-*")) == [
        "done-00000.json"
    ]
    put(workshop, "answers-2.jsonl", [translated(r) for r in lines[4:]])
    assert workshop.run(*small).json["rows"]["kept"] == 6


def test_a_half_written_file_of_requests_is_never_taken_for_a_whole_one(workshop: Workshop) -> None:
    bench(workshop, 2)
    half = workshop.write("box/.tmp-requests.jsonl", b'{"custom_id": "00')
    workshop.run(*BUILD)
    assert not half.exists()
    assert len(requests(workshop, 1)) == 4


def test_one_build_at_a_time_writes_requests(workshop: Workshop) -> None:
    bench(workshop, 2)
    lock = workshop.write("box/.lock", b"")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = workshop.run(*BUILD)
    assert (said.code, "another build is writing requests" in said.err) == (1, True)
    assert not list((workshop.folder / "box").glob("requests*"))


HEAD = {"id": "b-1", "custom_id": "x"}
PLAIN = given({"custom_id": "x" * 9}, "نعم")["response"]


@pytest.mark.parametrize(
    ("line", "comes_to"),
    [
        ({"response": PLAIN, "error": None}, Answer("نعم", "stop", 30, 20)),
        ({"response": given({"custom_id": "x" * 9}, "cut", "length")["response"]}, Answer("cut", "length", 30, 20)),
        ({"response": {"status_code": 400, "body": {"error": {"message": "too long"}}}}, Answer("", "error", error="HTTP 400: too long")),
        ({"response": {"status_code": 400, "body": None}, "error": {"message": "too long"}}, Answer("", "error", error="HTTP 400: too long")),
        ({"response": {"status_code": 429, "body": {"error": {"message": "slow down"}}}}, "HTTP 429: slow down"),
        ({"response": {"status_code": 500}}, "HTTP 500, and nothing more"),
        ({"response": {"status_code": 200, "body": {"choices": []}}}, "not a chat completion"),
        ({"response": {"status_code": 200, "body": None}}, "an empty answer"),
        ({"response": {"status_code": "200"}}, "a line without a response"),
        ({"response": None, "error": {"code": "batch_expired"}}, "batch_expired"),
        ({"response": None, "error": None}, "a line without a response"),
        ({"response": [], "error": "x"}, "a line without a response"),
    ],
)  # fmt: skip
def test_what_a_line_of_a_batch_comes_to(line: Line, comes_to: Answer | str) -> None:
    if isinstance(comes_to, Answer):
        assert read({**HEAD, **line}) == comes_to
    else:
        with pytest.raises(completion.Failed) as caught:
            read({**HEAD, **line})
        assert comes_to in str(caught.value)


# ---- People ----


def sheet(workshop: Workshop, name: str = "requests-00001.csv") -> list[dict[str, str]]:
    text = (workshop.folder / "box" / name).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def saved(rows: list[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8-sig") -> bytes:
    """A sheet as spreadsheets save it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def filled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "translation": KNOWN[row["text"]]} for row in rows]


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("requests-00001.csv", saved),
        ("answers.csv", lambda rows: saved(rows[::-1], ";")),
        ("answers-ours.csv", lambda rows: saved([{"note": "ok", **r} for r in rows], "\t", "utf-8")),
        ("answers.jsonl", lambda rows: "".join(json.dumps(r) + "\n" for r in rows).encode()),
    ],
    ids=["filled in place", "semicolons, another order", "tabs, a column of their own", "JSON lines"],
)
def test_people_fill_in_a_sheet_and_the_build_goes_on(
    workshop: Workshop, name: str, save: Callable[[list[dict[str, str]]], bytes]
) -> None:
    bench(workshop, 6, form="csv")
    said = workshop.run(*BUILD)
    assert (said.code, said.err) == (
        1,
        "model 'later': 12 texts wait for translations in box (12 new in requests-00001.csv); fill in the column "
        "'translation', there or in files called answers*.csv, and run the same command again\n",
    )
    empty = sheet(workshop)
    assert [row["translation"] for row in empty] == [""] * 12
    workshop.write(f"box/{name}", save([*filled(empty[:7]), *empty[7:]]))
    assert "5 texts wait for translations in box (5 of earlier files)" in workshop.run(*BUILD).err
    workshop.write(f"box/{name}", save(filled(empty)))
    assert workshop.build()["rows"] == {"in": 6, "kept": 6, "dropped": {}, "failed": {}}


def test_a_corrected_translation_makes_another_corpus(workshop: Workshop) -> None:
    bench(workshop, 2, form="jsonl")
    workshop.run(*BUILD)
    path = workshop.folder / "box" / "requests-00001.jsonl"
    rows = filled([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    workshop.rows("box/requests-00001.jsonl", rows)
    before = workshop.build()["digest"]
    assert workshop.build()["digest"] == before
    rows[0]["translation"] += " شكرًا."
    workshop.rows("box/requests-00001.jsonl", rows)
    assert workshop.build()["digest"] != before


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"id,text\nt1,x\n", ["box/answers.csv:1:1: no column 'translation'; expected ['id', 'text', 'translation'], found id, text"]),
        (b"", ["box/answers.csv:1:1: no column 'id'; expected ['id', 'text', 'translation'], found nothing"]),
        ("id,text,translation\nt1,x,مرحبا\n".encode("cp1256"), ["box/answers.csv: not UTF-8; save it as 'CSV UTF-8'"]),
        (b'id,text,translation\nt1,x,"y\n', ["box/answers.csv:2:1: not CSV: unexpected end of data"]),
        (b"id,translation\nt1,a\nt1,b\nt2,a\nt2,c\n", ["box/answers.csv:3:1: another translation of t1 than in box/answers.csv:2", "box/answers.csv:5:1: another translation of t2 than in box/answers.csv:4"]),
    ],
    ids=["column", "empty", "encoding", "quote", "two translations"],
)  # fmt: skip
def test_a_sheet_that_cannot_be_read_is_told_with_every_fault(
    workshop: Workshop, content: bytes, faults: list[str]
) -> None:
    bench(workshop, 1, form="csv")
    workshop.write("box/answers.csv", content)
    said = workshop.run(*BUILD)
    assert (said.code, said.err.splitlines()) == (2, faults)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ({"engine": "batch"}, "engine 'batch' needs 'batch': the folder of its files"),
        ({"engine": "openai", "endpoints": ["http://x/v1"], "batch": {"folder": "box"}}, "'batch' is for engine 'batch' only"),
        ({"engine": "batch", "batch": {"folder": "box", "form": "xlsx"}}, "form"),
    ],
)  # fmt: skip
def test_check_tells_what_is_wrong_with_a_batch_model(workshop: Workshop, model: dict[str, Any], fault: str) -> None:
    bench(workshop, 1)
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"later": {"licence": "MIT", **model}})
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert "catalog.yaml:" in said.err
    assert fault in said.err


# ---- A real server ----

PLAIN_PAIRS = {
    "The sea is calm this morning.": "البحر هادئ هذا الصباح.",
    "My brother works in a small bakery.": "يعمل أخي في مخبز صغير.",
    "We planted three olive trees.": "زرعنا ثلاث أشجار زيتون.",
    "The train to the capital leaves at noon.": "يغادر القطار إلى العاصمة عند الظهر.",
}


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.skipif(tools.find_vllm() is None, reason="no vllm environment (hala-factory tools install vllm)")
def test_vllm_answers_the_files(workshop: Workshop, tmp_path: Path) -> None:
    python = tools.find_vllm()
    assert python is not None
    prompts = [
        (f"Translate everything that follows into Arabic:\n\n{text}", answer) for text, answer in PLAIN_PAIRS.items()
    ]
    workshop.write("pairs.json", json.dumps(prompts))
    maker = Path(__file__).parent / "tiny_models.py"
    made = subprocess.run(
        [str(python), str(maker), "llama", "pairs.json", "model"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads(made.stdout)["recalled"] == len(PLAIN_PAIRS)
    bench(workshop, 2)
    english = list(PLAIN_PAIRS)
    workshop.rows(
        "plain.jsonl",
        [{"instruction": a, "input": "", "output": b} for a, b in zip(english[::2], english[1::2], strict=True)],
    )
    assert workshop.run(*BUILD).code == 1
    command = [
        str(python), "-m", "vllm.entrypoints.openai.run_batch", "-i", "box/requests-00001.jsonl", "-o", "box/answers.jsonl",
        "--model", "model", "--served-model-name", "m-1", "--max-model-len", "1024", "--dtype", "float32",
    ]  # fmt: skip
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (workshop.folder / "box" / "requests-00002.jsonl").exists()
    told = workshop.build()
    assert told["rows"] == {"in": 2, "kept": 2, "dropped": {}, "failed": {}}
    assert {m["content"] for row in workshop.kept()["messages"] for m in row} == set(PLAIN_PAIRS.values())
