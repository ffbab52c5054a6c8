"""`gc`: what nothing needs goes, what a version or a running build needs stays, and nothing is half-removed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hala_factory import claims, collecting
from hala_factory.store import Store
from tests.workshop import STEPS, Workshop, alpaca, parquet_digests, troubled


def fates(workshop: Workshop, *words: str) -> dict[str, str]:
    told = workshop.run("gc", "--json", *words).json
    return {item["name"].rpartition("-")[0] or item["name"]: item["fate"] for item in told["items"]}


def stages(workshop: Workshop) -> set[str]:
    return {p.name for p in (workshop.folder / "store" / "stages").glob("*")}


def test_only_what_a_version_is_asked_again_by_stays(workshop: Workshop) -> None:
    troubled(workshop).build()
    assert fates(workshop) == {
        "source-first": "unused",
        "source-second": "unused",
        "source-third": "unused",
        "chat_shape-to-brief": "unused",
        "exact_dedup": "needed",  # `whatif` decides over its index
        "translate": "unused",
        "length_ar": "unused",
    }


def test_a_dry_run_is_the_default_and_removes_nothing(workshop: Workshop) -> None:
    troubled(workshop).build()
    before = sorted(p for p in (workshop.folder / "store").rglob("*") if p.is_file() and "builds" not in p.parts)
    said = workshop.run("gc")
    assert "MB could go; do it with --yes" in said.out
    assert "needed by small@dev" in said.out
    assert (
        sorted(p for p in (workshop.folder / "store").rglob("*") if p.is_file() and "builds" not in p.parts) == before
    )
    assert workshop.run("gc", "--yes", "--dry-run").code == 2


def test_what_is_freed_is_what_was_foretold(workshop: Workshop) -> None:
    troubled(workshop).build()
    root = workshop.folder / "store" / "stages"
    size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    foretold = workshop.run("gc", "--json").json
    done = workshop.run("gc", "--yes", "--json").json
    left = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    assert foretold["freed_bytes"] == done["freed_bytes"] == size - left > 0
    assert {i["name"] for i in foretold["items"] if i["fate"] == "unused"} == {
        i["name"] for i in done["items"] if i["fate"] == "gone"
    }


def test_after_a_clean_up_a_version_is_stored_and_answers_as_before(workshop: Workshop) -> None:
    troubled(workshop, version="1.0.0").build()
    asked = ["--set", "length.min_chars=10", "--set", "exact_dedup.prefer=[third]", "--json"]
    row = workshop.kept("1.0.0")["id"][0]
    questions: list[tuple[str, ...]] = [
        ("why", row, "small@1.0.0", "--json"),
        ("why", "--example", "small@1.0.0", "--json"),
        ("show", "small@1.0.0", "--json"),
    ]
    before = [workshop.run(*q).json for q in questions]
    flips = {**workshop.run("whatif", "small@1.0.0", *asked).json, "seconds": 0}
    assert flips["flips"] > 0
    digests = parquet_digests(workshop.corpus("1.0.0"))
    assert workshop.run("gc", "--yes").code == 0
    assert [workshop.run(*q).json for q in questions] == before
    assert {**workshop.run("whatif", "small@1.0.0", *asked).json, "seconds": 0} == flips
    assert {s["status"] for s in workshop.build()["stages"]} == {"stored"}
    assert workshop.run("verify", "small@1.0.0", "--regenerate", "3", "--json").json["regenerated"]["rows"] == 3
    assert parquet_digests(workshop.corpus("1.0.0")) == digests


def test_what_is_gone_is_made_again_to_the_same_digest_and_no_answer_is_asked_twice(workshop: Workshop) -> None:
    before = troubled(workshop).build()["digest"]
    stored = [m["answers"] for m in workshop.run("generations", "ls", "--json").json]
    workshop.run("gc", "--yes")
    shutil.rmtree(workshop.corpus())
    workshop.run("gc", "--yes")  # and now the barrier, too
    assert stages(workshop) == set()
    again = workshop.build()
    assert again["digest"] == before
    assert again["generation"]["from_store"] >= stored[0] > 0
    assert [m["answers"] for m in workshop.run("generations", "ls", "--json").json] == stored


def test_tables_of_benchmarks_stay_as_long_as_a_version_was_held_against_them(workshop: Workshop) -> None:
    workshop.rows("s.jsonl", alpaca(6))
    workshop.rows("exam.jsonl", [{"q": "Tell me something about row number 3."}, {"q": "Which river is longest?"}])
    exam = {"path": "exam.jsonl", "columns": {"question": "q"}, "language": "en", "licence": "MIT"}
    workshop.catalog({"s": {"path": "s.jsonl"}}, benchmarks={"exam": exam})
    workshop.recipe(["s"], ["chat_shape", {"step": "decontaminate", "texts": {"en": "messages"}}])
    workshop.build()
    (table,) = (workshop.folder / "store" / "benchmarks").iterdir()
    workshop.run("gc", "--yes")
    assert table.exists()
    workshop.run("whatif", "small@dev", "--set", "decontaminate.max_share=0.9")
    shutil.rmtree(workshop.corpus())
    workshop.run("gc", "--yes")
    assert not table.exists()


# ---- Beside running builds ----

SLOW = """
import sys, time
from hala_factory.run import building
from hala_factory.cli import main

assemble = building.assemble

def slow(*words, **named):
    open("assembling", "w").close()
    while not __import__("os").path.exists("go"):
        time.sleep(0.01)
    return assemble(*words, **named)

building.assemble = slow
main(sys.argv[1:])
"""


def waited_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.fixture
def building(workshop: Workshop) -> Any:
    """A build that has made all its stages, and waits before it puts the corpus together."""
    troubled(workshop, version="1.0.0")
    workshop.write("slow.py", SLOW)
    process = workshop.spawn("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", program=("slow.py",))
    waited_for(workshop.folder / "assembling", process)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_running_build_keeps_all_its_stages(workshop: Workshop, building: subprocess.Popen[bytes]) -> None:
    before = stages(workshop)
    assert set(fates(workshop, "--yes").values()) == {"in use"}
    assert stages(workshop) == before
    workshop.write("go", "")
    out, _ = building.communicate()
    assert building.returncode == 0
    assert json.loads(out)["digest"] == troubled(workshop).build()["digest"]


def test_a_build_that_was_killed_keeps_nothing(workshop: Workshop, building: subprocess.Popen[bytes]) -> None:
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()
    assert set(fates(workshop, "--yes").values()) == {"gone"}
    assert not list((workshop.folder / "store" / "builds").glob("*.json"))
    assert workshop.build()["digest"]


def test_no_claim_is_made_while_a_clean_up_is_at_work(workshop: Workshop) -> None:
    store = Store.at(workshop.folder / "store")
    with claims.alone(store), (store.root / "builds" / ".lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as a build that begins does, without waiting


def test_a_build_that_waited_for_a_clean_up_finds_gone_what_is_gone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = troubled(workshop, version="1.0.0").build()["digest"]
    shutil.rmtree(workshop.corpus("1.0.0"))
    claimed = claims.claimed

    @contextlib.contextmanager
    def late(store: Store, *words: Any) -> Iterator[None]:
        collecting.collect(store, really=True)  # all was stored when the build was planned
        assert stages(workshop) == set()
        with claimed(store, *words):
            yield

    monkeypatch.setattr(claims, "claimed", late)
    assert workshop.build()["digest"] == before


def test_beside_a_build_that_cannot_say_what_it_needs_everything_stays(workshop: Workshop) -> None:
    troubled(workshop).build()
    store = Store.at(workshop.folder / "store")
    with claims.claimed(store, everything=True):  # as the build of a model, or a calibration
        fates_ = {i.fate for i in collecting.collect(store, really=True)}
    assert fates_ == {"in use", "needed"}
    assert len(stages(workshop)) == 7


def test_a_stage_whose_lock_is_held_stays(workshop: Workshop) -> None:
    troubled(workshop).build()
    store = Store.at(workshop.folder / "store")
    (folder,) = (store.root / "stages").glob("translate-*")
    with store.stage("translate", folder.name.rpartition("-")[2]).lock():
        found = {i.name: i.fate for i in collecting.collect(store, really=True)}
    assert found[folder.name] == "in use"
    assert folder.exists()


def test_a_clean_up_that_was_killed_is_finished_by_the_next_one(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled(workshop).build()
    store = Store.at(workshop.folder / "store")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hala_factory.collecting.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        collecting.collect(store, really=True)
    monkeypatch.undo()
    os.chdir(workshop.folder)
    assert all(name.startswith((".tmp-", "exact_dedup-")) for name in stages(workshop))
    assert workshop.run("gc").code == 0
    left = [i for i in collecting.collect(store, really=True) if i.kind == "leftover"]
    assert {i.fate for i in left} == {"gone"}
    assert {name.rpartition("-")[0] for name in stages(workshop)} == {"exact_dedup"}
    assert {s["status"] for s in workshop.build()["stages"]} == {"stored"}


def test_versions_that_share_a_barrier_both_need_it(workshop: Workshop) -> None:
    troubled(workshop, version="1.0.0").build()
    steps = [*STEPS[:-1], {"step": "length", "name": "length_ar", "on": "messages.user", "max_chars": 40}]
    recipe = workshop.folder / "recipe.yaml"
    troubled(workshop, version="1.1.0")
    workshop.recipe([{"source": "first", "where": {"kind": ["main", ""]}}, "second", "third"], steps, version="1.1.0")
    assert recipe.exists()
    workshop.build()
    needed = [i for i in workshop.run("gc", "--json").json["items"] if i["fate"] == "needed"]
    assert [(i["name"].rpartition("-")[0], i["versions"]) for i in needed] == [
        ("exact_dedup", ["small@1.0.0", "small@1.1.0"])
    ]
    shutil.rmtree(workshop.corpus("1.0.0"))
    assert fates(workshop, "--yes")["exact_dedup"] == "needed"
