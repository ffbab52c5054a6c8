"""`review serve`: what it says, what it keeps between runs and from whom, how it ends, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import httpx
import pytest

from hala_factory.errors import InputError
from hala_factory.review import address, folder, tool
from tests.reviewing import COMMAND, Served, client, needs_argilla, served, start, token


def refused(data: Path, *options: str) -> str:
    process = start(data, *options)
    out, said = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, ""), said
    return said


@needs_argilla
def test_people_keep_their_passwords_between_runs_and_a_lost_one_is_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with served(data, "amira") as first:
        assert set(first.passwords) == {"owner", "amira"}
        assert token(first.url, "amira", str(first.passwords["amira"])).status_code == 201
        held = first
        first.end()
        assert first.process.returncode == 0
    with served(data, "amira", "bilal", options=("--new-password", "owner")) as second:
        assert second.passwords["amira"] is None
        assert second.key == held.key
        assert token(second.url, "amira", str(held.passwords["amira"])).status_code == 201
        assert token(second.url, "owner", str(held.passwords["owner"])).status_code == 401
        for name in ("bilal", "owner"):
            assert token(second.url, name, str(second.passwords[name])).status_code == 201
        with second.owner as owner:
            review = next(w["id"] for w in owner.get("/me/workspaces").json()["items"] if w["name"] == "review")
            inside = owner.get(f"/workspaces/{review}/users").json()["items"]
            assert {u["username"] for u in inside if u["role"] == "annotator"} == {"amira", "bilal"}
        second.process.send_signal(signal.SIGTERM)
        second.process.wait(60)
        assert second.process.returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(second.url)
    assert not (data / "tmp").exists()


@needs_argilla
def test_it_listens_on_this_machine_only_and_nothing_of_it_is_open_to_others(argilla: Served) -> None:
    assert argilla.url.startswith("http://127.0.0.1:")
    port = int(argilla.url.rpartition(":")[2])
    listening = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    assert [row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]
    assert oct(argilla.data.stat().st_mode)[-3:] == "700"
    assert {oct(p.stat().st_mode)[-2:] for p in argilla.data.glob("*")} == {"00"}
    answer = httpx.get(argilla.url, headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for path in ("/api/v1/docs", "/api/v1/redoc"):  # their scripts come from elsewhere
        assert httpx.get(argilla.url + path, follow_redirects=True).status_code == 404
    assert httpx.get(f"{argilla.url}/api/v1/users").status_code == 401


@needs_argilla
def test_no_default_password_or_key_works_and_none_in_clear_is_kept(argilla: Served) -> None:
    for name in ("argilla", "owner", "admin", "amira"):
        for password in ("1234", "12345678", "argilla", "owner", name):
            assert token(argilla.url, name, password).status_code == 401
    for key in ("argilla.apikey", "owner.apikey", "admin.apikey", ""):
        with client(argilla.url, {"X-Argilla-Api-Key": key}) as somebody:
            assert somebody.get("/me").status_code == 401
    kept = {p.name: p.read_bytes() for p in argilla.data.rglob("*") if p.is_file() and "statics" not in str(p)}
    secrets = [str(p).encode() for p in argilla.passwords.values()]
    for name, content in kept.items():
        assert not [s for s in secrets if s in content], name
        assert b"argilla.apikey" not in content, name
        if name not in (address.RECORD, "argilla.db", "argilla.db-wal"):  # Argilla looks keys up in its database
            assert argilla.key.encode() not in content, name
    with sqlite3.connect(f"file:{argilla.data}/argilla.db?mode=ro", uri=True) as database:
        assert all(h.startswith("$2b$") for (h,) in database.execute("SELECT password_hash FROM users"))
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
    command = Path(f"/proc/{argilla.pid}/cmdline").read_bytes() + Path(f"/proc/{argilla.pid}/environ").read_bytes()
    assert not [s for s in [*secrets, argilla.key.encode()] if s in command]
    environment = Path(f"/proc/{argilla.pid}/environ").read_bytes().split(b"\0")
    assert {b"HF_HUB_DISABLE_TELEMETRY=1", b"HF_HUB_OFFLINE=1"} <= set(environment)


@needs_argilla
def test_a_folder_or_port_in_use_and_odd_names_are_refused_with_what_to_do(argilla: Served, tmp_path: Path) -> None:
    said = refused(argilla.data, "--port", "0")
    assert f"another server serves this folder at {argilla.url}" in said
    said = refused(tmp_path / "data", "--port", argilla.url.rpartition(":")[2])
    assert "Address already in use; give another --port (0 takes a free one)" in said
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("mine")
    assert "holds other things (thesis.txt); expected an empty folder" in refused(tmp_path / "theirs", "--port", "0")
    assert "is a file; expected a folder" in refused(tmp_path / "theirs" / "thesis.txt", "--port", "0")
    assert "expected a name" in refused(tmp_path / "data", "--annotator", "two words")
    assert "the name of the server's owner" in refused(tmp_path / "data", "--annotator", "owner")
    assert "cannot be served" in refused(tmp_path / "data", "--host", "192.0.2.1")


def test_a_database_that_was_never_whole_is_made_again_and_a_lost_record_loses_no_answers(tmp_path: Path) -> None:
    record = folder.prepared(tmp_path)
    assert record["whole"] is False
    (tmp_path / "argilla.db").write_text("torn")
    again = folder.prepared(tmp_path)
    assert not (tmp_path / "argilla.db").exists()
    assert again["api_key"] != record["api_key"]
    assert address.local(tmp_path) is None  # nothing serves there yet
    folder.keep(tmp_path / address.RECORD, again | {"whole": True, "url": "http://127.0.0.1:1"})
    (tmp_path / "argilla.db").write_text("answers")
    assert folder.prepared(tmp_path)["api_key"] == again["api_key"]
    (tmp_path / address.RECORD).unlink()
    assert folder.prepared(tmp_path)["whole"] is True
    assert (tmp_path / "argilla.db").read_text() == "answers"
    assert oct((tmp_path / address.RECORD).stat().st_mode)[-3:] == "600"


@needs_argilla
def test_a_server_that_cannot_start_says_why_and_the_next_run_is_whole(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "argilla.db").write_bytes(b"this is no database" * 100)
    process = start(data, "--port", "0")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the Argilla server did not start" in said
    assert "file is not a database" in said
    (data / "argilla.db").unlink()


def test_without_the_environment_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tool.OVERRIDE, raising=False)
    monkeypatch.setenv("HALA_TOOLS", str(tmp_path))
    said = refused(tmp_path / "data")
    assert "there is no Argilla environment on this machine; run: hala-factory tools install argilla" in said
    monkeypatch.setenv(tool.OVERRIDE, str(tmp_path / "nowhere" / "python"))
    with pytest.raises(InputError, match="nowhere/python is not there"):
        tool.expect()
    told = subprocess.run([*COMMAND, "doctor", "--json"], capture_output=True, text=True, check=True).stdout
    assert next(f for f in json.loads(told) if f["what"] == "review in Argilla")
    assert all("==" in pin for pin in tool.PINS)


@needs_argilla
def test_what_it_says_to_a_person_is_what_it_is_and_what_it_is_not(tmp_path: Path) -> None:
    command = [*COMMAND, "review", "serve", "--data", str(tmp_path / "data"), "--port", "0", "--annotator", "amira"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        rest, said = process.stdout.read(), process.stderr.read()
    assert "search is answered from its database, which does for some thousand records" in first
    assert "amira" in rest
    assert "passwords are shown this once" in rest
    assert str(tmp_path / "data" / "server.json") in rest
    key = json.loads((tmp_path / "data" / "server.json").read_text())["api_key"]
    assert key not in first + rest + said
    assert process.returncode == 0


def test_a_free_port_is_taken_for_0() -> None:
    from hala_factory.review.serving import _expect_port

    port = _expect_port("127.0.0.1", 0)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", port))
