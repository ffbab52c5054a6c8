"""Faults of servers, disks and neighbours, caused in real builds: each ends in the digest of an undisturbed one.

A server is a process of its own, and its log outlives it: so it is known what was asked twice, and why.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_kill import gone, members
from tests.workshop import Workshop, alpaca, answers, balanced, parquet_digests, stored

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROWS = 40
QUESTIONS = 2 * ROWS
AT_ONCE = 4
SEED = 20261121
BUILD = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", "--shard-rows", "25")
PROGRAM = """
from hala_factory.generate import client
client.ChatClient.__init__.__kwdefaults__["deadline"] = 3.0
from hala_factory.cli import main
main()
"""
"""The command line, with three seconds for a request."""


def prompt(request: str) -> str:
    return str(json.loads(request)["messages"][-1]["content"])


class Server:
    """The stand-in as a process on a port of its own, which it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        self.known = folder / "known.jsonl"
        self.known.write_text("".join(json.dumps(r) + "\n" for r in answers(ROWS)), encoding="utf-8")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **fields: Any) -> Server:
        told = {"known": str(self.known), "log": str(self.log), "crash": None, "delay": 0.05, **fields}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "stand_in_openai.py"), "--port", str(self.port)],
            env={**os.environ, "STAND_IN": json.dumps(told)},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process:
            for pid in members(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def heard(self, what: str) -> Counter[str]:
        """How often each request was `asked` or `answered`."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        told = map(json.loads, lines)
        return Counter(t["request"] for t in told if t["what"] == what)

    def asked(self) -> set[str]:
        """The prompts that came."""
        return {prompt(request) for request in self.heard("asked")}

    def twice(self) -> set[str]:
        """The prompts that came more than once."""
        return {prompt(request) for request, n in self.heard("asked").items() if n > 1}

    def under_way(self) -> set[str]:
        """The prompts that came and were not answered."""
        return {prompt(request) for request in self.heard("asked") - self.heard("answered")}

    def wait(self, what: str, count: int, build: subprocess.Popen[bytes]) -> None:
        """Until so many requests were asked or answered."""
        while self.heard(what).total() < count:
            assert build.poll() is None, build.communicate()
            time.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.kill()


def bench(workshop: Workshop, server: Server, name: str = "small", most: int = 200) -> None:
    """A recipe in `<name>.yaml` that has the server translate."""
    workshop.rows("plain.jsonl", alpaca(ROWS))
    endpoint = f"http://127.0.0.1:{server.port}/v1"
    model = {"engine": "openai", "model": "m", "endpoints": [endpoint], "licence": "MIT", "max_concurrency": AT_ONCE}
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"translator": model})
    translate = {"step": "translate", "to": "ar", "model": "translator", "max_tokens": 100}
    length = {"step": "length", "max_chars": most}
    workshop.recipe(["plain"], [length, translate, "length_ratio"], name=name).rename(workshop.folder / f"{name}.yaml")


def spawn(workshop: Workshop, recipe: str = "small", program: str = PROGRAM, **env: str) -> subprocess.Popen[bytes]:
    return workshop.spawn(BUILD[0], f"{recipe}.yaml", *BUILD[2:], program=("-c", program), **env)


def told(build: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a build that ended well said; nothing of it is left."""
    out, err = build.communicate(timeout=120)
    assert build.returncode == 0, err.decode()
    assert gone(build.pid), members(build.pid)
    return dict(json.loads(out))


def whole(workshop: Workshop, digests: dict[str, str], name: str = "small") -> None:
    """The corpus of the undisturbed build, every ledger balanced, nothing half-written beside it."""
    assert parquet_digests(workshop.corpus(name=name)) == digests
    manifest = workshop.manifest(name=name)
    assert all(balanced(stage["rows"]) for stage in manifest["stages"])
    assert all(balanced(source) for source in manifest["sources"].values())
    assert not [p for p in Path("store").rglob("*") if ".tmp-" in p.name or p.name.startswith("progress")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """The files of a build of the same recipe with a server without a fault, made once for each."""
    made: dict[str, dict[str, str]] = {}

    def files(name: str = "small", most: int = 200, **fields: Any) -> dict[str, str]:
        key = f"{name}-{most}-{sorted(fields)}"
        if key not in made:
            workshop = Workshop(tmp_path_factory.mktemp("undisturbed"))
            server = Server(workshop.folder)
            try:
                bench(workshop, server.start(**fields), name, most)
                rows = told(spawn(workshop, name))["rows"]
            finally:
                server.kill()
            assert fields or rows == {"in": ROWS, "kept": ROWS, "dropped": {}, "failed": {}}
            assert max(server.heard("asked").values()) == 1
            made[key] = parquet_digests(workshop.corpus(name=name))
        return made[key]

    return files


# ---- A server that misbehaves and comes to itself ----

TROUBLES: dict[str, dict[str, Any]] = {
    "500": {"script": [None, "500", "500"] * 4},
    "429": {"script": [None] * 5 + ["429"] * 4},
    "429 with Retry-After": {"script": [None] * 5 + ["429:1"] * 4},
    "503": {"script": ["503"] * 2 + [None] * 5 + ["503"] * 2},
    "garbage": {"script": [None, "garbage"] * 4},
    "another shape": {"script": [None, "shape"] * 4},
    "empty": {"script": [None, "empty"] * 4},
    "no text": {"script": [None, "null", "no finish"] * 3},
    "torn": {"script": [None, "torn"] * 4},
    "closed": {"script": [None, "close"] * 4},
    "hanging requests": {"script": [None] * 6 + ["hang"] * 2},
    "slow": {"delay": 0.5},
    "out of order": {"jitter": 0.6},
    "all of it": {
        "script": random.Random(SEED).choices(
            [None, "500", "429:1", "503", "garbage", "shape", "empty", "torn", "close"], [9] + [1] * 8, k=60
        ),
        "jitter": 0.2,
    },
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_trouble_that_passes_leaves_no_trace(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]], trouble: dict[str, Any]
) -> None:
    bench(workshop, server.start(**trouble))
    build = told(spawn(workshop))
    whole(workshop, undisturbed())
    faults = sum(word is not None for word in trouble.get("script", []))
    assert server.heard("answered") == dict.fromkeys(server.heard("asked"), 1)
    assert server.heard("asked").total() == QUESTIONS + faults  # nothing is asked again without a cause
    assert (build["generation"]["requests"], build["generation"]["from_store"]) == (QUESTIONS, 0)


# ---- A server that is gone for a while ----


@pytest.mark.parametrize("how", ["killed", "hung", "stopped"])
def test_a_server_lost_in_the_middle_and_started_again_costs_what_was_under_way(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]], how: str
) -> None:
    fields = {"hangs": str(workshop.folder / "hung"), "hang_after": 30} if how == "hung" else {}
    bench(workshop, server.start(**fields))
    build = spawn(workshop)
    server.wait("asked" if how == "hung" else "answered", 30, build)
    if how == "stopped":
        assert server.process
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
    server.kill()
    under_way = server.under_way()
    time.sleep(0.5)
    assert server.heard("answered").total() < QUESTIONS
    server.start()
    told(build)
    whole(workshop, undisturbed())
    assert server.twice() <= under_way
    assert len(under_way) <= AT_ONCE
    assert server.heard("answered") == dict.fromkeys(server.heard("asked"), 1)


def test_a_server_that_never_comes_back_ends_the_build_which_goes_on_when_it_does(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]]
) -> None:
    bench(workshop, server.start())
    impatient = PROGRAM.replace(
        "from hala_factory.cli", 'client.ChatClient.__init__.__kwdefaults__["patience"] = 1.0\nfrom hala_factory.cli'
    )
    build = spawn(workshop, program=impatient)
    server.wait("answered", 30, build)
    server.kill()
    under_way = server.under_way()
    out, err = build.communicate(timeout=120)
    assert (build.returncode, out) == (1, b"")
    assert "model 'translator': the endpoint has given nothing for" in err.decode()
    assert err.decode().endswith("every answer so far is stored, run the same command again to go on\n")
    server.start()
    told(spawn(workshop))
    whole(workshop, undisturbed())
    assert server.twice() <= under_way


# ---- Answers that are cut ----


def test_cut_answers_fail_their_rows_and_a_kill_changes_nothing_about_it(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]]
) -> None:
    fields = {"cut": "number 7"}
    digests = undisturbed(**fields)
    bench(workshop, server.start(**fields))
    build = spawn(workshop)
    server.wait("answered", 30, build)
    os.killpg(build.pid, signal.SIGKILL)
    build.communicate()
    assert gone(build.pid)
    lost = server.asked() - stored()
    rows = told(spawn(workshop))["rows"]
    whole(workshop, digests)
    assert rows == {"in": ROWS, "kept": ROWS - 1, "dropped": {}, "failed": {"translate.truncated": 1}}
    assert server.twice() <= lost
    assert len(lost) <= AT_ONCE


# ---- A disk that is full ----

FILLED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))
"""
"""On a disk that takes no file larger than so many bytes: the journal of the answers is the first to grow so large."""


def test_a_disk_that_is_full_of_answers_ends_the_build_and_costs_what_was_under_way(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]]
) -> None:
    bench(workshop, server.start())
    build = spawn(workshop, program=FILLED + PROGRAM)
    out, err = build.communicate(timeout=120)
    assert (build.returncode, out) == (1, b"")
    assert "the disk is full; free some space and run the same command again; every answer so far is kept" in str(err)
    lost = server.asked() - stored()
    assert len(stored()) > AT_ONCE
    again = told(spawn(workshop))
    whole(workshop, undisturbed())
    assert again["generation"]["from_store"] > AT_ONCE
    assert server.twice() <= lost
    assert len(lost) <= 2 * AT_ONCE  # those under way, and those that took their places


IN_A_SMALL_DISK = """
mkdir -p store/generations && mount -t tmpfs -o size=32k none store/generations || exit 77
"$@"; echo "first: $?"
mount -o remount,size=64m store/generations && "$@"
"""


def test_a_small_disk_that_is_made_larger_goes_on(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]]
) -> None:
    bench(workshop, server.start())
    command = [sys.executable, "-c", PROGRAM, BUILD[0], "small.yaml", *BUILD[2:]]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", IN_A_SMALL_DISK, "sh", *command], capture_output=True, text=True, timeout=200
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no disk of our own can be mounted here: {done.stderr.strip()}")
    first, _, again = done.stdout.partition("\n")
    assert (done.returncode, first) == (0, "first: 1"), done.stderr
    assert "the disk is full" in done.stderr or "No space left on device" in done.stderr
    assert json.loads(again)["generation"]["from_store"] > 0
    whole(workshop, undisturbed())
    assert len(server.twice()) <= 2 * AT_ONCE


# ---- Neighbours ----


def test_two_builds_of_different_recipes_share_one_store_and_what_it_costs(
    workshop: Workshop, server: Server, undisturbed: Callable[..., dict[str, str]]
) -> None:
    bench(workshop, server.start(delay=0.1), "small", 200)
    bench(workshop, server, "other", 150)
    builds = {name: spawn(workshop, name) for name in ("small", "other")}
    said = {name: told(build) for name, build in builds.items()}
    whole(workshop, undisturbed(), "small")
    whole(workshop, undisturbed("other", 150), "other")
    assert server.heard("asked") == dict.fromkeys(server.heard("asked"), 1)
    assert len(server.heard("asked")) == QUESTIONS
    assert sum(s["generation"]["from_store"] for s in said.values()) == QUESTIONS
