"""`publish --to`: a folder and an S3-compatible store, where nothing half-sent has a manifest."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import polars as pl
import pytest
from moto.s3.models import S3Backend
from moto.server import ThreadedMotoServer

from tests.publishing import built, reseal, version_files
from tests.publishing import shop as shop
from tests.publishing import template as template
from tests.workshop import Workshop

AROUND = {"README.md", "croissant.json", "figures/waterfall.png"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASTANDIN", "AWS_SECRET_ACCESS_KEY": "standInSecretKey0123456789"}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """An S3 server on the loopback."""
    logging.getLogger("werkzeug").setLevel("ERROR")
    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3").Bucket(f"corpora-{uuid4().hex[:8]}")
    made.create()
    yield made
    made.meta.client.close()  # else its connections are found open by whatever test collects them


def held(bucket: Any) -> dict[str, bytes]:
    """What a bucket holds, by the name below `NAME/VERSION/`."""
    return {o.key.removeprefix("sets/small/1.0.0/"): o.get()["Body"].read() for o in bucket.objects.all()}


def publish(shop: Workshop, place: str, *words: str) -> dict[str, Any]:
    return dict(shop.run("publish", "small@1.0.0", "--to", place, "--json", *words).json)


def test_an_object_store_holds_the_version_byte_for_byte_and_gives_it_back(shop: Workshop, bucket: Any) -> None:
    told = publish(shop, f"s3://{bucket.name}/sets/")
    assert told["to"] == f"s3://{bucket.name}/sets/small/1.0.0"
    there, files = held(bucket), version_files(shop)
    assert {n: c for n, c in there.items() if n not in AROUND} == {n: c for n, c in files.items() if n not in AROUND}
    assert set(there) == {*files, *AROUND}
    assert told["verified"]["files"] == len(there)
    assert not publish(shop, f"s3://{bucket.name}/sets")["committed"]
    said = shop.run("pull", told["to"], "--store", "other", "--json")
    assert said.code == 0
    folder = shop.corpus("1.0.0", store="other")
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == files


def test_the_card_says_a_line_that_loads_the_rows_from_there(shop: Workshop, tmp_path: Path) -> None:
    told = publish(shop, str(tmp_path / "away"))
    card = (Path(told["to"]) / "README.md").read_text()
    line = next(each for each in card.splitlines() if "load_dataset" in each)
    code = f"import datasets; datasets.disable_progress_bars(); {line}; print(len(rows), rows[7]['id'])"
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert made.returncode == 0, made.stderr
    stored = pl.read_parquet(shop.corpus("1.0.0") / "data" / "*.parquet")
    assert made.stdout.split() == ["300", stored["id"][7]]


def test_the_manifest_comes_last_and_a_killed_publish_goes_on(
    shop: Workshop, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, go, came = threading.Event(), threading.Event(), []
    take = S3Backend.put_object

    def few(*args: Any, **kwargs: Any) -> Any:
        came.append(args)
        if len(came) > 3 and not go.is_set():
            stalled.set()
            go.wait(60)
            raise ConnectionError("nobody is there any more")
        return take(*args, **kwargs)

    monkeypatch.setattr(S3Backend, "put_object", few)  # the server runs in this process
    process = shop.spawn("publish", "small@1.0.0", "--to", f"s3://{bucket.name}/sets")
    assert stalled.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    go.set()
    there = held(bucket)
    assert len(there) == 3
    assert "manifest.json" not in there
    assert "holds no manifest.json" in shop.run("pull", f"s3://{bucket.name}/sets/small/1.0.0").err
    told = publish(shop, f"s3://{bucket.name}/sets")
    assert {f["path"] for f in told["files"] if f["state"] == "same"} == set(there)
    assert len(held(bucket)) == told["verified"]["files"] == len(version_files(shop)) + 2


def test_a_torn_or_damaged_file_over_there_is_found_and_sent_again(shop: Workshop, tmp_path: Path) -> None:
    place = Path(publish(shop, str(tmp_path / "away"))["to"])
    torn, flipped = place / "data" / "train-00000-of-00003.parquet", place / "lock.yaml"
    before = torn.read_bytes(), flipped.read_bytes()
    torn.write_bytes(before[0][:100])
    flipped.write_bytes(before[1][:-1] + b"#")
    (place / "README.md").unlink()
    dry = publish(shop, str(tmp_path / "away"), "--dry-run")
    assert torn.stat().st_size == 100
    told = publish(shop, str(tmp_path / "away"))
    wanted = {("data/train-00000-of-00003.parquet", "change"), ("lock.yaml", "change"), ("README.md", "add")}
    for said in (dry, told):
        assert {(f["path"], f["state"]) for f in said["files"] if f["state"] != "same"} == wanted
    assert (torn.read_bytes(), flipped.read_bytes()) == before


def test_a_dry_run_writes_nothing(shop: Workshop, bucket: Any, tmp_path: Path) -> None:
    for place in (f"s3://{bucket.name}/sets", str(tmp_path / "away")):
        assert {f["state"] for f in publish(shop, place, "--dry-run")["files"]} == {"add"}
    assert held(bucket) == {}
    assert not (tmp_path / "away").exists()


def test_a_published_version_never_changes_and_a_dev_one_may(shop: Workshop, tmp_path: Path) -> None:
    place = Path(publish(shop, str(tmp_path / "away"))["to"])
    before = (place / "manifest.json").read_bytes()
    shop.corpus("1.0.0").rename(shop.folder / "elsewhere")
    built(shop, rows=120)
    said = shop.run("publish", "small@1.0.0", "--to", str(tmp_path / "away"))
    assert said.code == 1
    assert "bump the version" in said.err
    assert (place / "manifest.json").read_bytes() == before
    for rows in (300, 110):
        built(shop, rows=rows, version="dev")
        words = ("publish", "small@dev", "--to", str(tmp_path / "away"), "--allow-dev", "--json")
        assert shop.run(*words).json["committed"]
    assert len(list((tmp_path / "away").glob("small/dev/data/*"))) == 2


def test_gates_hold_for_folders_too(shop: Workshop, tmp_path: Path) -> None:
    reseal(shop, {"samples": True})
    said = shop.run("publish", "small@1.0.0", "--to", str(tmp_path / "away"))
    assert said.code == 1
    assert "version: its rows are samples" in said.err
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("place", ["s3://no-such-bucket-here/x", "s3://{bucket}/x"])
def test_a_store_that_refuses_is_told_without_keys(
    shop: Workshop, bucket: Any, server: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if "{" in place:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody is there
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = shop.run("publish", "small@1.0.0", "--to", place.format(bucket=bucket.name))
    assert said.code == 1
    assert ("run the same command again" if "{" in place else "make the bucket if there is none") in said.err
    assert "no-such-bucket-here" not in {each.name for each in boto3.resource("s3", endpoint_url=server).buckets.all()}
    assert not any(key in said.err + said.out for key in KEYS.values())


def test_croissant_and_manifest_agree_on_every_digest(shop: Workshop, tmp_path: Path) -> None:
    place = Path(publish(shop, str(tmp_path / "away"))["to"])
    told = json.loads((place / "croissant.json").read_text())
    files = json.loads((place / "manifest.json").read_text())["files"]
    found = {f["@id"]: f["sha256"] for f in told["distribution"] if f["@type"] == "cr:FileObject"}
    assert found == {n: f["sha256"] for n, f in files.items() if n != "README.md"}
