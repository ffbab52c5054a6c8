"""The engine `vllm`: with a stand-in for the server where it is about processes, and with the real one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx
import pytest

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate import pulse, tools
from hala_factory.generate import vllm as vllm_module
from hala_factory.generate.answers import Request
from hala_factory.generate.engines import make_engine
from tests.stand_in_openai import reversed_words

HERE = Path(__file__).parent
PAIRS = [
    ("The door is open.", "الباب مفتوح."),
    ("Where is the library?", "أين المكتبة؟"),
    ("Tea with mint, please.", "شاي بالنعناع من فضلك."),
    ("The train leaves at 9:45.", "يغادر القطار في 9:45."),
    ("Water the plants twice a week.", "اسقِ النباتات مرتين في الأسبوع."),
    ("Hello {name}, your parcel is late.", "مرحبًا {name}، طردك متأخر."),
    ("Run `make test` before you push.", "شغّل `make test` قبل أن تدفع."),
    ("The sum of 12 and 30 is 42.", "مجموع 12 و30 هو 42."),
    ("She reads a book every month.", "تقرأ كتابًا كل شهر."),
    ("Write to help@example.org.", "اكتب إلى help@example.org."),
    ("Is the museum free on Sundays?", "هل المتحف مجاني أيام الأحد؟"),
    ("Bread needs flour, water and salt.", "يحتاج الخبز إلى دقيق وماء وملح."),
    ("The river is wide but shallow.", "النهر عريض لكنه ضحل."),
    ("My brother plays the oud.", "أخي يعزف على العود."),
    ("Turn left after the bridge.", "انعطف يسارًا بعد الجسر."),
    ("The meeting was moved to Monday.", "نُقل الاجتماع إلى يوم الاثنين."),
    ("Save the file as **notes.txt**.", "احفظ الملف باسم **notes.txt**."),
    ("It rained for 3 days.", "هطل المطر 3 أيام."),
    ("A circle has no corners.", "ليس للدائرة زوايا."),
    ("Good night, and thank you.", "تصبح على خير، وشكرًا لك."),
]
PROMPT = "Translate everything that follows into Arabic:\n\n{}"


def request(text, **changes):
    return Request((("user", text),), **{"temperature": 0.0, "max_tokens": 128, **changes})


def checkpoint(folder):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    return folder


def engine(tmp_path, path="model", **fields):
    model = Model(**{"licence": "unknown", "engine": "vllm", "path": str(path), "context": 512, **fields})
    return make_engine("tiny", model, tmp_path, work=tmp_path / "store")


def descendants(pid):
    """The processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, below = set(), {pid}
    while below:
        below = {p for p, parent in parents.items() if parent in below}
        found |= below
    return found


def alive(pids):
    def runs(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return {p for p in pids if runs(p)}


def gone(pids, seconds=20):
    deadline = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(pids)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A vllm environment whose server is the stand-in."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {HERE / "stand_in_openai.py"} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("HALA_VLLM_PYTHON", str(python))
    monkeypatch.setattr(vllm_module, "gpus", list)
    monkeypatch.setattr(vllm_module, "FIRST_WAIT", 0.01)
    checkpoint(tmp_path / "model")
    return tmp_path


def test_a_server_is_started_asked_and_ended_with_all_it_started(stand_in):
    async def go():
        async with engine(stand_in) as it:
            answer = await it.answer(request("one two"))
            return answer, descendants(os.getpid())

    answer, running = asyncio.run(go())
    assert answer.text == "two one"
    assert len(running) >= 3  # keeper, server, and the server's helper in a session of its own
    assert gone(running, 1)


def test_the_command_line_says_what_the_catalog_does_and_the_log_tells(stand_in):
    async def go():
        async with engine(stand_in, serve=["--dtype", "bfloat16", "--max-num-seqs=8"]):
            pass

    asyncio.run(go())
    (log,) = (stand_in / "store" / "logs").glob("vllm-tiny-*.log")
    command = log.read_text().splitlines()[0]
    assert "-m vllm.entrypoints.openai.api_server --model" in command
    assert "--served-model-name tiny --host 127.0.0.1" in command
    assert command.endswith("--max-model-len 512 --block-size 32 --dtype bfloat16 --max-num-seqs=8")
    assert "trust-remote-code" not in command


@pytest.mark.parametrize("victim", ["server", "keeper"])
def test_a_server_that_is_killed_is_started_again_and_every_request_is_answered(stand_in, victim):
    async def go():
        async with engine(stand_in) as it:
            server = it._servers[0]
            before = descendants(os.getpid())
            questions = [asyncio.create_task(it.answer(request(f"text {n}"))) for n in range(160)]
            await questions[40]
            os.kill(server.pid if victim == "server" else server._process.pid, signal.SIGKILL)
            answers = await asyncio.gather(*questions)
            return answers, before, descendants(os.getpid())

    answers, before, after = asyncio.run(go())
    assert [a.text for a in answers] == [reversed_words(f"text {n}") for n in range(160)]
    assert not before & after
    if victim == "server":  # who kills a keeper can leave a server's helpers; nothing else can
        assert gone(before, 1)
    assert gone(after, 1)
    for pid in alive(before):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(pulse, "LOOK", 0.1)
    monkeypatch.setattr(pulse, "PATIENCE", 1.0)


@pytest.mark.parametrize("front", [False, True], ids=["wholly", "behind a healthy front"])
def test_a_server_that_hangs_is_started_again_and_every_request_is_answered(stand_in, impatient, monkeypatch, front):
    hung = stand_in / "hung"
    monkeypatch.setenv("STAND_IN", json.dumps({"hangs": str(hung), "hang_after": 40, "front": front}))

    async def go():
        async with engine(stand_in) as it:
            before = descendants(os.getpid())
            answers = await asyncio.gather(*(it.answer(request(f"text {n}")) for n in range(100)))
            return answers, before, descendants(os.getpid())

    answers, before, after = asyncio.run(go())
    assert hung.exists()
    assert [a.text for a in answers] == [reversed_words(f"text {n}") for n in range(100)]
    assert not before & after
    assert gone(before | after, 1)
    (log,) = (stand_in / "store" / "logs").glob("vllm-tiny-*.log")
    told = log.read_text()
    assert told.count("# no sign of life for 1 s: it is ended and started again") == 1
    assert told.count("stand-in started") == 2


def test_a_server_that_is_stopped_by_a_signal_is_started_again(stand_in, impatient):
    async def go():
        async with engine(stand_in) as it:
            os.kill(it._servers[0].pid, signal.SIGSTOP)
            return await it.answer(request("one two"))

    assert asyncio.run(go()).text == "two one"


def test_a_server_that_hangs_again_and_again_ends_the_build(stand_in, impatient, monkeypatch):
    monkeypatch.setattr(pulse, "PATIENCE", 0.3)
    monkeypatch.setattr(vllm_module, "FRUITLESS", 1)

    async def go():
        async with engine(stand_in) as it:
            server = it._servers[0]
            server._env["STAND_IN"] = json.dumps({"hangs": "/dev/null/none", "hang_after": 1})
            os.kill(server.pid, signal.SIGKILL)
            await it.answer(request("one two"))

    with pytest.raises(BuildError, match=r"ended or hung again and again(?s:.)*run the same command again"):
        asyncio.run(go())


def test_a_server_that_is_only_slow_is_left_alone(stand_in, impatient, monkeypatch):
    monkeypatch.setenv("STAND_IN", json.dumps({"delay": 3.0}))

    async def go():
        async with engine(stand_in) as it:
            before = descendants(os.getpid())
            return await it.answer(request("one two")), before - descendants(os.getpid())

    answer, lost = asyncio.run(go())
    assert (answer.text, lost) == ("two one", set())


def test_a_text_that_crashes_the_server_fails_alone(stand_in, monkeypatch):
    monkeypatch.setattr("hala_factory.generate.circuit.FIRST_WAIT", 0.01)

    async def go():
        async with engine(stand_in) as it:
            crash = asyncio.create_task(it.answer(request("crash")))
            good = []
            while not crash.done():
                good.append(await it.answer(request(f"text {len(good)}")))
                await asyncio.sleep(0.05)
            return await crash, good

    crash, good = asyncio.run(go())
    assert (crash.finish_reason, crash.final) == ("error", False)
    assert {a.finish_reason for a in good} == {"stop"}


def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(stand_in, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "crash")

    async def go():
        async with engine(stand_in):
            pass

    with pytest.raises(BuildError, match=r"ended before it was ready(?s:.)*no room for the weights"):
        asyncio.run(go())


def test_a_server_that_dies_again_and_again_ends_the_build(stand_in, monkeypatch):
    async def go():
        async with engine(stand_in) as it:
            await it.answer(request("one two"))
            it._servers[0]._env["FAKE_VLLM"] = "crash"
            os.kill(it._servers[0].pid, signal.SIGKILL)
            await it.answer(request("three"))

    with pytest.raises(BuildError, match=r"again and again(?s:.)*no room(?s:.)*run the same command again"):
        asyncio.run(go())


ORPHAN = """
    import asyncio, os, sys, time
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from tests.test_generate_vllm import descendants, engine, request
    async def go():
        async with engine(Path(sys.argv[1]), sys.argv[2]) as it:
            await it.answer(request("one two"))
            print(*descendants(os.getpid()), flush=True)
            await asyncio.sleep(600)
    asyncio.run(go())
"""


def running_then_killed(tmp_path, path, how):
    script = textwrap.dedent(ORPHAN).format(root=str(HERE.parent))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = {int(p) for p in parent.stdout.readline().split()}
        assert len(alive(pids)) >= 3
        parent.send_signal(how)
    return pids


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_a_killed_parent(stand_in, how):
    assert gone(running_then_killed(stand_in, "model", how))


def test_without_an_environment_the_command_that_makes_one_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("HALA_VLLM_PYTHON", raising=False)
    monkeypatch.setenv("HALA_TOOLS", str(tmp_path / "tools"))
    checkpoint(tmp_path / "model")

    async def go():
        async with engine(tmp_path):
            pass

    with pytest.raises(InputError, match="run: hala-factory tools install vllm"):
        asyncio.run(go())


def test_the_identity_of_a_folder_is_what_decides_its_answers(tmp_path):
    folder = checkpoint(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"weights")
    first = engine(tmp_path).identity
    (folder / "README.md").write_text("a page")
    assert engine(tmp_path, serve=["--max-num-seqs", "8", "--tensor-parallel-size=2"]).identity == first
    assert engine(tmp_path, serve=["--chat-template", "x.jinja"]).identity != first
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    second = engine(tmp_path).identity
    (folder / "model.safetensors").write_bytes(b"weightz")
    assert first != second != engine(tmp_path).identity


def test_the_identity_on_the_hub_is_the_revision(tmp_path):
    fields = {"licence": "unknown", "engine": "vllm", "hub": "example/m"}
    make = lambda **more: make_engine("m", Model(**fields), tmp_path, work=tmp_path, **more).identity  # noqa: E731
    assert make(revision="abc") == {"model": "example/m", "revision": "abc", "quantisation": None}
    assert make(revision="abc") != make(revision="def")


def test_a_folder_without_a_checkpoint_is_told(tmp_path):
    with pytest.raises(InputError, match=r"'path' is no checkpoint folder: .*model, which is not there"):
        _ = engine(tmp_path).identity


def test_tools_are_kept_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("HALA_VLLM_PYTHON", raising=False)
    monkeypatch.setenv("HALA_TOOLS", str(tmp_path))
    assert tools.tools_dir() == tmp_path
    assert tools.find_vllm() is None
    monkeypatch.delenv("HALA_TOOLS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert tools.tools_dir() == tmp_path / "data" / "hala-factory" / "tools"


@pytest.mark.slow
def test_a_tool_environment_is_made_once_and_a_half_made_one_anew(tmp_path, monkeypatch):
    monkeypatch.delenv("HALA_VLLM_PYTHON", raising=False)
    monkeypatch.setenv("HALA_TOOLS", str(tmp_path))
    monkeypatch.setitem(tools.PLANS, "cpu", [["install", "no-such-package-here==1", "--no-index"]])
    with pytest.raises(BuildError, match=r"vllm.log ends with:(?s:.)*no-such-package-here"):
        tools.install_vllm(kind="cpu")
    assert tools.find_vllm() is None
    monkeypatch.setitem(tools.PLANS, "cpu", [["--version"]])
    said = []
    python = tools.install_vllm(kind="cpu", say=said.append)
    assert said[1] == "pip --version"
    assert tools.find_vllm() == python
    before = python.lstat().st_mtime_ns
    assert tools.install_vllm(kind="cpu", say=said.append) == python
    assert python.lstat().st_mtime_ns == before
    assert len(said) == 2


REAL = tools.find_vllm()
real_vllm = pytest.mark.skipif(REAL is None, reason="no vllm environment (hala-factory tools install vllm)")


def learnt(folder, known):
    """A folder with a real llama in `model` that answers these pairs by heart."""
    pairs = folder / "pairs.json"
    pairs.write_text(json.dumps([[PROMPT.format(text), answer] for text, answer in known]), encoding="utf-8")
    made = subprocess.run(
        [str(REAL), str(HERE / "tiny_models.py"), "llama", str(pairs), str(folder / "model")],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads(made.stdout)["recalled"] == len(known)
    return folder


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory):
    return learnt(tmp_path_factory.mktemp("llama"), PAIRS)


@pytest.mark.vllm
@pytest.mark.slow
@real_vllm
def test_a_real_server_answers_as_transformers_does_and_lives_through_a_kill(by_heart):
    async def go():
        async with engine(by_heart) as it:
            answers = await asyncio.gather(*(it.answer(request(PROMPT.format(text))) for text, _ in PAIRS))
            cut = await it.answer(request(PROMPT.format(PAIRS[0][0]), max_tokens=2))
            long = await it.answer(request("word " * 2000))
            before = descendants(os.getpid())
            waiting = [asyncio.create_task(it.answer(request(PROMPT.format(t)))) for t, _ in PAIRS * 20]
            await waiting[5]
            os.kill(it._servers[0].pid, signal.SIGKILL)
            after_kill = await asyncio.gather(*waiting)
            return answers, cut, long, after_kill, before, descendants(os.getpid())

    answers, cut, long, after_kill, before, after = asyncio.run(go())
    assert [a.text for a in answers] == [answer for _, answer in PAIRS]
    assert {a.finish_reason for a in answers} == {"stop"}
    assert all(a.prompt_tokens > 10 and a.output_tokens > 2 for a in answers)
    assert (cut.finish_reason, cut.output_tokens) == ("length", 2)
    assert long.finish_reason == "error"
    assert "400" in long.error
    assert [a.text for a in after_kill] == [answer for _, answer in PAIRS * 20]
    assert gone(before | after, 1)


@pytest.mark.vllm
@pytest.mark.slow
@real_vllm
def test_a_real_engine_that_hangs_behind_its_front_is_found_by_its_pulse(tmp_path, monkeypatch):
    learnt(tmp_path, PAIRS[:2])
    monkeypatch.setattr(pulse, "LOOK", 0.5)
    monkeypatch.setattr(pulse, "PATIENCE", 8.0)

    async def go():
        async with engine(tmp_path) as it, httpx.AsyncClient(trust_env=False) as client:
            root = it._servers[0].root
            counted = [await pulse._counters(client, root)]
            await it.answer(request(PROMPT.format(PAIRS[0][0])))
            counted.append(await pulse._counters(client, root))
            (core,) = [p for p in descendants(os.getpid()) if b"EngineCore" in Path(f"/proc/{p}/cmdline").read_bytes()]
            os.kill(core, signal.SIGSTOP)
            answers = await asyncio.gather(*(it.answer(request(PROMPT.format(text))) for text, _ in PAIRS[:2] * 20))
            return counted, answers, core

    (before, after), answers, core = asyncio.run(go())
    assert None not in (before, after)
    assert before != after
    assert [a.text for a in answers] == [answer for _, answer in PAIRS[:2] * 20]
    assert gone({core}, 1)
    assert "# no sign of life for 8 s" in "".join(p.read_text() for p in (tmp_path / "store" / "logs").glob("*.log"))


@pytest.mark.vllm
@pytest.mark.slow
@real_vllm
def test_no_real_server_outlives_a_killed_parent(by_heart):
    assert gone(running_then_killed(by_heart, "model", signal.SIGKILL))
