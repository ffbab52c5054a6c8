"""kill -9 at any moment: the same command then ends in the digest of an undisturbed build, and nothing is paid twice.

The moments are drawn over the length of an undisturbed build. `group` is what happens when a machine or a
container goes down; `parent` is what an out-of-memory killer does: one process of several.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.stand_in_openai import StandIn
from tests.workshop import STEPS, Workshop, alpaca, parquet_digests, troubled

BUILD = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "2", "--shard-rows", "30")
SEED = 20261121
PARTLY = "import hala_factory.run.building as b; b.SMALL_BYTES = 0; from hala_factory.cli import main; main()"
"""The command line, in which so few rows go to worker processes too."""


def spawn(workshop: Workshop) -> subprocess.Popen[bytes]:
    return workshop.spawn(*BUILD, program=("-c", PARTLY))


def finish(workshop: Workshop) -> dict[str, object]:
    process = spawn(workshop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    return dict(json.loads(out))


def kill(process: subprocess.Popen[bytes], whole_group: bool) -> bool:
    """Whether it was still at work."""
    at_work = process.poll() is None
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    return at_work


def members(group: int) -> list[str]:
    """The processes of a group that are alive, by their command lines."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue
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
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "parent"])
def test_a_build_killed_again_and_again_ends_in_the_same_digest(workshop: Workshop, whole_group: bool) -> None:
    troubled(workshop, 80)
    started = time.monotonic()
    whole = finish(workshop)
    length, files = time.monotonic() - started, parquet_digests(workshop.corpus())
    at_work = 0
    for moment in moments(length, 5):
        (workshop.folder / "store").rename(workshop.folder / f"store-{moment}")
        # one build, killed early and then at this moment of what is left of it
        for wait in (moment / 2, moment):
            process = spawn(workshop)
            time.sleep(wait)
            at_work += kill(process, whole_group)
            assert gone(process.pid), members(process.pid)
        again = finish(workshop)
        assert again["digest"] == whole["digest"]
        assert again["rows"] == whole["rows"]
        assert parquet_digests(workshop.corpus()) == files
        assert leftovers() == []
    assert at_work >= 7


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A server that counts what it is asked, in a thread of its own."""
    made = StandIn(delay=0.01)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(made.start(), loop).result()
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
