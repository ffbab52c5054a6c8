"""kill -9 at any moment: the same command then ends in the digest of an undisturbed build, and nothing is paid twice.

The moments are drawn over the length of an undisturbed build. `group` is what happens when a machine or a
container goes down; `parent` is what an out-of-memory killer does: one process of several.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.workshop import Workshop, alpaca, answers, parquet_digests, stored, troubled

BUILD = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "2", "--shard-rows", "30")
SEED = 20261121
PARTLY = "import hala_factory.run.building as b; b.SMALL_BYTES = 0; from hala_factory.cli import main; main()"
"""The command line, in which so few rows go to worker processes too."""


def spawn(workshop: Workshop) -> subprocess.Popen[bytes]:
    return workshop.spawn(*BUILD, program=("-c", PARTLY))


def finish(workshop: Workshop) -> dict[str, Any]:
    process = spawn(workshop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    return dict(json.loads(out))


def kill(process: subprocess.Popen[bytes], whole_group: bool) -> bool:
    """Whether it was still at work."""
    at_work = process.poll() is None
    if whole_group:
        with contextlib.suppress(ProcessLookupError):  # all of it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):  # not read to their end: those who outlive it would keep them open
        assert pipe
        pipe.close()
    return at_work


def members(group: int) -> dict[int, str]:
    """The processes of a group that are alive, with their command lines."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ")
    return found


def gone(group: int, seconds: float = 5) -> bool:
    """Whether every process of the group ends within that time."""
    until = time.monotonic() + seconds
    while members(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def leftovers() -> list[Path]:
    """What looks temporary in the store."""
    return [p for p in Path("store").rglob("*") if ".tmp-" in p.name or p.name.startswith("progress")]


def moments(length: float, n: int) -> list[float]:
    """`n` random moments, one in each `n`-th of the length."""
    draw = random.Random(SEED)
    return [(i + draw.random()) * length / n for i in range(n)]


@pytest.mark.slow
def test_a_build_killed_at_any_moment_ends_in_the_same_digest(workshop: Workshop) -> None:
    troubled(workshop, 80)
    started = time.monotonic()
    whole = finish(workshop)
    length, files = time.monotonic() - started, parquet_digests(workshop.corpus())
    at_work = 0
    for number, moment in enumerate(moments(length, 6)):
        (workshop.folder / "store").rename(workshop.folder / f"store-{number}")
        for wait in (moment, length / 2):  # and once more in what is left
            process = spawn(workshop)
            time.sleep(wait)
            at_work += kill(process, whole_group=number % 2 == 0)
            assert gone(process.pid), members(process.pid)
        again = finish(workshop)
        assert again["digest"] == whole["digest"]
        assert again["rows"] == whole["rows"]
        assert parquet_digests(workshop.corpus()) == files
        assert leftovers() == []
    assert at_work >= 3  # of 12; on a busy machine some builds are over before their moment


# ---- Never pay twice ----


class Translator(ThreadingHTTPServer):
    """An OpenAI-compatible server that translates what `alpaca` says, takes its time, and counts what it is asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, known: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.known = known
        self.asked: Counter[str] = Counter()
        self.turn = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that is killed in the middle of a sentence is what is tested here."""


class Asked(BaseHTTPRequestHandler):
    """One request to it."""

    protocol_version = "HTTP/1.1"
    server: Translator

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][-1]["content"]
        with self.server.turn:
            self.server.asked[prompt] += 1
        time.sleep(0.3)
        text = prompt.partition(":\n\n")[2]
        choice = {"message": {"role": "assistant", "content": self.server.known[text]}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def translator() -> Iterator[Translator]:
    with Translator({r["text"]: r["answer"] for r in answers(300)}) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_no_prompt_is_asked_twice_but_those_in_flight_at_the_kill(workshop: Workshop, translator: Translator) -> None:
    workshop.rows("plain.jsonl", alpaca(300))
    endpoint = f"http://127.0.0.1:{translator.server_port}/v1"
    model = {"engine": "openai", "model": "m", "endpoints": [endpoint], "licence": "MIT", "max_concurrency": 64}
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"translator": model})
    workshop.recipe(["plain"], ["length", {"step": "translate", "to": "ar", "model": "translator"}, "length_ratio"])
    begun = time.monotonic()
    whole = finish(workshop)
    length = time.monotonic() - begun
    assert translator.asked.total() == len(translator.asked) == 600
    (workshop.folder / "store").rename(workshop.folder / "undisturbed")

    translator.asked.clear()
    lost: set[str] = set()
    asking = 0
    for number, moment in enumerate(moments(length / 12, 12)):
        process = spawn(workshop)
        before = translator.asked.total()
        while translator.asked.total() == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment / 2)
        asking += kill(process, whole_group=number % 2 == 0)
        assert gone(process.pid), members(process.pid)
        lost_now = set(translator.asked) - stored()
        assert len(lost_now) <= 2 * 64  # those under way, and those that just took their places
        lost |= lost_now
    again = finish(workshop)
    assert again["digest"] == whole["digest"]
    assert leftovers() == []
    assert asking >= 10
    assert len(translator.asked) == 600
    assert {p for p, n in translator.asked.items() if n > 1} <= lost


# ---- A worker that dies ----


def test_a_worker_that_is_killed_ends_the_build_with_what_to_do(workshop: Workshop) -> None:
    troubled(workshop, 80)
    process = spawn(workshop)
    while len(workers := [pid for pid, said in members(process.pid).items() if "forkserver" in said]) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(max(workers), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.decode()) == (1, b"", KILLED)
    assert finish(workshop)["rows"]["kept"] > 0
    assert leftovers() == []


ASLEEP = """
import time
from hala_factory.run.shards import Crew
if __name__ == "__main__":
    with Crew(2) as crew:
        crew.run(time.sleep, [60, 60])
"""


def test_workers_in_the_middle_of_a_shard_die_with_the_build(workshop: Workshop) -> None:
    process = workshop.spawn(program=("-c", ASLEEP))
    while sum("forkserver" in said for said in members(process.pid).values()) < 3:  # the server and two workers
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(2)  # until they sleep
    assert kill(process, whole_group=False)
    assert gone(process.pid), members(process.pid)


KILLED = (
    "a worker process died; unless a reason stands above, the machine is probably out of memory: "
    "run the same command again, with fewer --workers\n"
)
