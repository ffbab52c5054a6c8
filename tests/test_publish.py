"""`publish` to the Hub, against a stand-in on the loopback that speaks the upload protocol."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.publishing import REPO, SECRETS, built, environment, publish, reseal, version_files
from tests.publishing import hub as hub
from tests.publishing import shop as shop
from tests.publishing import template as template
from tests.stand_in_writable_hub import TOKEN, Fault, Hub, Repo
from tests.workshop import Said, Workshop

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # httpx, of the Hub's own client
AROUND = {"README.md", "croissant.json", "figures/waterfall.png"}


def test_a_version_is_published_byte_for_byte_in_one_commit_with_its_tag(shop: Workshop, hub: Hub) -> None:
    told = publish(shop)
    repo = hub.repo(REPO)
    files = version_files(shop)
    assert {n: repo.files[n] for n in files if n not in AROUND} == {n: f for n, f in files.items() if n not in AROUND}
    assert set(repo.files) == {*files, *AROUND, ".gitattributes"}
    assert repo.messages == ["Publish small@1.0.0"]
    assert repo.tags == {"v1.0.0": repo.branches["main"]} == {"v1.0.0": told["commit"]}
    assert told["committed"]
    assert told["verified"]["files"] == len(files) + 2
    assert all(gate["passed"] for gate in told["gates"])
    assert len([n for n in files if n.startswith("data/")]) == 3
    assert not repo.private


def test_the_same_again_makes_no_commit_and_sends_nothing(shop: Workshop, hub: Hub) -> None:
    first = publish(shop)
    hub.asked.clear()
    again = publish(shop)
    assert hub.writes == []
    assert not again["committed"]
    assert again["commit"] == first["commit"]
    assert {f["state"] for f in again["files"]} == {"same"}


def test_a_new_version_sends_what_is_new_and_leaves_the_old_tag_with_the_old_rows(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    old = dict(hub.repo(REPO).files)
    hub.repo(REPO).files["notes.txt"] = b"of a person"
    hub.asked.clear()
    built(shop, rows=150, version="1.1.0")
    told = shop.run("publish", "small@1.1.0", "--repo", REPO, "--json").json
    repo = hub.repo(REPO)
    assert {f["path"] for f in told["files"] if f["state"] == "delete"} == {
        f"{export}/train-0000{n}-of-00003.parquet" for export in ("data", "conversations") for n in range(3)
    }
    assert {n for n in repo.files if n.startswith("data/")} == {
        f"data/train-0000{n}-of-00002.parquet" for n in range(2)
    }
    assert repo.files["notes.txt"] == b"of a person"
    assert set(repo.tags) == {"v1.0.0", "v1.1.0"}
    kept = repo.commits[repo.tags["v1.0.0"]]
    assert {n: kept[n] for n in old} == old
    first = next(f["sha256"] for f in told["files"] if f["path"] == "data/train-00000-of-00002.parquet")
    assert first not in hub.sent()  # the first 100 rows are those of the old version, under another name


def test_a_published_version_never_changes(shop: Workshop, hub: Hub) -> None:
    publish(shop)
    before = dict(hub.repo(REPO).files)
    hub.asked.clear()
    reseal(shop, {"digest": "sha256:" + "0" * 64})
    said = shop.run("publish", "small@1.0.0", "--repo", REPO)
    assert said.code == 1
    assert "whole" in said.err  # a version that is not as it was built goes nowhere at all
    for path in (shop.folder / "store").glob("corpora/small/1.0.0"):
        path.rename(shop.folder / "elsewhere")
    built(shop, rows=120)
    said = shop.run("publish", "small@1.0.0", "--repo", REPO)
    assert said.code == 1
    assert "holds v1.0.0 already" in said.err
    assert "bump the version" in said.err
    assert hub.writes == []
    assert hub.repo(REPO).files == before


def test_an_upload_killed_halfway_goes_on_and_sends_no_object_twice(shop: Workshop, hub: Hub) -> None:
    hub.stall_after = 3
    hub.go.clear()
    process = shop.spawn("publish", "small@1.0.0", "--repo", REPO, **environment(hub))
    assert hub.stalled.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    taken = set(hub.objects)
    assert len(taken) >= 3
    assert set(hub.repo(REPO).files) == {".gitattributes"}, "nothing of a half-sent version is visible"
    hub.stall_after = None
    hub.asked.clear()
    hub.go.set()
    told = publish(shop)
    assert told["committed"]
    assert not taken & set(hub.sent())
    assert set(hub.sent()), "and something was left to send"
    assert hub.repo(REPO).messages == ["Publish small@1.0.0"]
    assert not leaked(out.decode() + err.decode())


def test_a_commit_of_somebody_else_in_between_is_kept_and_ours_comes_after_it(shop: Workshop, hub: Hub) -> None:
    def between(repo: Repo) -> None:
        hub.commit(repo, "main", {**repo.files, "notes.txt": b"of a person"}, "Notes")

    hub.before_commit.append(between)
    assert publish(shop)["committed"]
    repo = hub.repo(REPO)
    assert repo.messages == ["Notes", "Publish small@1.0.0"]
    assert repo.files["notes.txt"] == b"of a person"
    assert "POST /api/datasets/me/small/commit/main" in hub.asked


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /api/datasets/me/small/refs", 503),
        Fault("POST .*/preupload/", 500),
        Fault("POST .*/objects/batch", 502),
        Fault("PUT /lfs/", 503, times=2),
        Fault("POST .*/commit/", 500),
        Fault("POST .*/commit/", 504, done=True),
        Fault("POST .*/commit/", 429),
        Fault("POST /api/repos/create", 500),
        Fault("GET .*/tree/", 500),
    ],
    ids=lambda fault: f"{fault.call}-{fault.status}{'-done' * fault.done}",
)
def test_a_hub_that_stumbles_is_asked_again_and_one_commit_stands(shop: Workshop, hub: Hub, fault: Fault) -> None:
    hub.faults.append(fault)
    publish(shop)
    assert fault.times == 0, "the fault was met"
    repo = hub.repo(REPO)
    assert repo.messages == ["Publish small@1.0.0"]
    assert repo.tags["v1.0.0"] == repo.branches["main"]


@pytest.mark.parametrize(
    ("call", "status", "code", "words"),
    [
        ("POST .*/commit/", 500, 1, "run the same command again"),
        ("PUT /lfs/", 500, 1, "run the same command again"),
        ("POST .*/preupload/", 403, 2, "HF_TOKEN may not do that"),
        ("POST /api/repos/create", 401, 2, "make a token that may write"),
        ("POST .*/commit/", 400, 1, "run the same command again"),
        ("GET /api/datasets/me/small$", 500, 1, "failed"),
    ],
)
def test_a_hub_that_refuses_is_told_in_words_without_the_token(
    shop: Workshop,
    hub: Hub,
    caplog: pytest.LogCaptureFixture,
    call: str,
    status: int,
    code: int,
    words: str,
) -> None:
    caplog.set_level("DEBUG")
    hub.faults.append(Fault(call, status, times=1000))
    said = shop.run("publish", "small@1.0.0", "--repo", REPO, "--json")
    assert (said.code, words in said.err) == (code, True), said.err
    assert not leaked(said.out + said.err + "".join(p.read_text(errors="ignore") for p in texts(shop.folder)))
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("hala_factory"))
    assert not leaked(ours)
    assert not any("v1.0.0" in repo.tags or "manifest.json" in repo.files for repo in hub.repos.values())


def test_no_answer_and_no_published_file_holds_the_token(shop: Workshop, hub: Hub) -> None:
    said = shop.run("publish", "small@1.0.0", "--repo", REPO, "--json")
    assert not leaked(said.out + said.err)
    assert not any(secret.encode() in content for content in hub.repo(REPO).files.values() for secret in (TOKEN,))


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def texts(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".md", ".yaml", ".log", ".html")]


def test_without_a_token_nothing_is_asked(shop: Workshop, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    said = shop.run("publish", "small@1.0.0", "--repo", REPO)
    assert said.code == 2
    assert "HF_TOKEN is not set" in said.err
    assert hub.asked == []


def conflicting(shop: Workshop) -> str:
    shop.catalog({"plain": {"path": "a.jsonl", "licence": "unknown"}})
    shop.recipe(["plain"], ["exact_dedup"], version="2.0.0", language="en")
    shop.build()
    return "small@2.0.0"


def development(shop: Workshop) -> str:
    built(shop, version="dev")
    return "small@dev"


def damaged(shop: Workshop) -> str:
    path = shop.corpus("1.0.0") / "data" / "train-00000-of-00003.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    return "small@1.0.0"


def unreviewed(shop: Workshop) -> str:
    shop.recipe(
        ["plain"], ["exact_dedup"], version="2.0.0", language="en", review={"accept_if": {"max_bad_share": 0.1}}
    )
    shop.build()
    return "small@2.0.0"


def of_samples(shop: Workshop) -> str:
    reseal(shop, {"samples": True})
    return "small@1.0.0"


@pytest.mark.parametrize(
    ("spoil", "gate", "words"),
    [
        (conflicting, "licence", r"300 rows of plain \(unknown\)"),
        (development, "version", "version x.y.z, or say --allow-dev"),
        (of_samples, "version", "samples that stand in for the sources"),
        (damaged, "whole", r"data/train-00000-of-00003.parquet: was changed: its SHA-256"),
        (unreviewed, "review", "its review is missing"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_gate_refuses_with_its_reason_and_nothing_is_sent(
    shop: Workshop, hub: Hub, spoil: Any, gate: str, words: str
) -> None:
    artifact = spoil(shop)
    said = shop.run("publish", artifact, "--repo", REPO)
    assert said.code == 1
    assert re.search(rf"  {gate}: .*{words}", said.err), said.err
    assert hub.writes == []
    dry = shop.run("publish", artifact, "--repo", REPO, "--dry-run", "--json")
    assert dry.code == 1
    assert [g["gate"] for g in json.loads(dry.out)["gates"] if not g["passed"]] == [gate]


def test_a_broken_hard_contract_and_a_licence_are_told_together(shop: Workshop, hub: Hub) -> None:
    contract = {"contract": {"per": "corpus", "max_drop_share": 0.1, "soft": False}, "against": None}
    kept = {
        "contract": {"holds": "tokens", "min": 1_000, "soft": False},
        "words": "1,000 tokens or more",
        "found": 7.0,
    }
    held = [{**contract, "broken": [{}], "warning": "half of it is gone"}, kept]
    soft = [{**each, "contract": {**each["contract"], "soft": True}} for each in held]
    reseal(shop, {"contracts": [*held, *soft], "samples": True})
    said = shop.run("publish", "small@1.0.0", "--repo", REPO)
    assert "contracts: a contract is broken: half of it is gone" in said.err
    assert "contracts: a contract is broken: 1,000 tokens or more, found 7.0" in said.err
    assert said.err.count("contracts:") == 2
    assert "version: its rows are samples" in said.err


def test_a_signed_override_opens_the_licence_gate_and_lands_in_the_published_card(shop: Workshop, hub: Hub) -> None:
    shop.catalog({"plain": {"path": "a.jsonl", "licence": "unknown"}})
    signed = {"by": "A. Person", "reason": "I wrote the rows.", "licence": "CC-BY-4.0"}
    shop.recipe(["plain"], ["exact_dedup"], version="2.0.0", language="en", licence_override=signed)
    shop.build()
    assert shop.run("publish", "small@2.0.0", "--repo", REPO).code == 0
    assert "by A. Person: I wrote the rows." in hub.repo(REPO).files["README.md"].decode()


def test_allow_dev_publishes_dev_without_a_tag_and_again_with_other_rows(shop: Workshop, hub: Hub) -> None:
    for rows in (300, 110):
        built(shop, rows=rows, version="dev")
        told = shop.run("publish", "small@dev", "--repo", REPO, "--allow-dev", "--branch", "trial", "--json").json
        assert told["committed"]
    repo = hub.repo(REPO)
    assert repo.tags == {}
    assert set(repo.files) == {".gitattributes"}
    assert len([n for n in repo.commits[repo.branches["trial"]] if n.startswith("data/")]) == 2


def test_a_dry_run_writes_nothing_and_says_what_would_go(shop: Workshop, hub: Hub) -> None:
    told = publish(shop, "--dry-run")
    assert hub.writes == []
    assert hub.repos == {}
    assert {f["path"]: f["bytes"] for f in told["files"] if f["path"] not in AROUND} == {
        n: len(c) for n, c in version_files(shop).items() if n not in AROUND
    }
    assert {f["state"] for f in told["files"]} == {"add"}
    assert told["to_send"]["bytes"] == sum(f["bytes"] for f in told["files"])
    publish(shop)
    hub.asked.clear()
    again = publish(shop, "--dry-run")
    assert again["to_send"] == {"files": 0, "bytes": 0}
    assert hub.writes == []
    table = shop.run("publish", "small@1.0.0", "--repo", REPO, "--dry-run").out
    assert "data/train-00000-of-00003.parquet" in table


def test_a_repository_of_something_else_is_left_alone(shop: Workshop, hub: Hub) -> None:
    for files, words in (
        ({"manifest.json": b'{"name": "another", "files": {}}'}, "holds 'another'"),
        ({"data/old.parquet": b"PAR1"}, "data/old.parquet"),
        ({"recipe.yaml": b"mine"}, "recipe.yaml"),
    ):
        repo = hub.make(REPO)
        hub.commit(repo, "main", {**repo.files, **files}, "By hand")
        hub.asked.clear()
        said = shop.run("publish", "small@1.0.0", "--repo", REPO)
        assert said.code == 1
        assert words in said.err
        assert hub.writes == []


def test_private_makes_a_private_repository_and_refuses_a_public_one(shop: Workshop, hub: Hub) -> None:
    publish(shop, "--private")
    assert hub.repo(REPO).private
    assert not publish(shop, "--private")["committed"]
    hub.make("me/open")
    said = shop.run("publish", "small@1.0.0", "--repo", "me/open", "--private")
    assert said.code == 1
    assert "'me/open' is public" in said.err


@pytest.mark.parametrize("path", ["data/train-00001-of-00003.parquet", "README.md", "lock.yaml"])
def test_what_reads_back_otherwise_is_named_and_gets_no_tag(shop: Workshop, hub: Hub, path: str) -> None:
    hub.damage[path] = b"damaged on the way"
    said = shop.run("publish", "small@1.0.0", "--repo", REPO)
    assert said.code == 1
    assert "is not what was sent" in said.err
    assert path in said.err
    assert hub.repo(REPO).tags == {}
    hub.damage.clear()
    told = publish(shop)
    assert [f["path"] for f in told["files"] if f["state"] == "change"] == [path]
    assert set(hub.repo(REPO).tags) == {"v1.0.0"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("publish", "small@1.0.0"), "either --repo OWNER/NAME or --to URL"),
        (("publish", "small@1.0.0", "--repo", "small"), "expected owner/name"),
        (("publish", "smal@1.0.0", "--repo", REPO), "did you mean 'small@1.0.0'?"),
        (("publish", "small@1.0.0", "--to", "s3://key:secret@bucket/x"), "the address holds credentials"),
        (("publish", "small@1.0.0", "--to", "nosuch://x"), "expected e.g. file:///folder"),
    ],
)
def test_a_wrong_wish_says_what_was_expected(shop: Workshop, hub: Hub, words: tuple[str, ...], expected: str) -> None:
    said: Said = shop.run(*words)
    assert said.code == 2
    assert expected in said.err
    assert "secret@" not in said.err
    assert hub.writes == []


READ = """
import json, sys
import datasets
datasets.disable_progress_bars()
told = {}
for config, streaming in (("default", False), ("default", True), ("conversations", False), ("conversations", True)):
    rows = datasets.load_dataset("me/small", config, revision="v1.0.0", split="train", streaming=streaming)
    told[f"{config} {streaming}"] = list(rows)
json.dump(told, sys.stdout)
"""


def test_what_datasets_loads_is_the_store_row_for_row(shop: Workshop, hub: Hub, tmp_path: Path) -> None:
    publish(shop)
    made = subprocess.run(
        [sys.executable, "-c", READ],
        env={**os.environ, **environment(hub), "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr.decode()
    told = json.loads(made.stdout)
    for config, folder in (("default", "data"), ("conversations", "conversations")):
        stored = pl.read_parquet(shop.corpus("1.0.0") / folder / "*.parquet").to_dicts()
        assert len(stored) == 300
        for streaming in (False, True):
            assert told[f"{config} {streaming}"] == stored
