"""A real Argilla server for tests, started by `review serve` as a person starts it, and people who answer there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from hala_factory.review import tool
from hala_factory.review.address import Server
from hala_factory.review.decks import Deck, Task, Turn

COMMAND = [str(Path(sys.executable).with_name("hala-factory"))]
needs_argilla = pytest.mark.skipif(
    tool.find() is None, reason="no Argilla environment on this machine: hala-factory tools install argilla"
)

PAIRS = [
    ("The museum is in the old town.", "يقع المتحف في البلدة القديمة."),
    ("How can I improve my API? Use JSON.", "كيف يمكنني تحسين API الخاص بي؟ استخدم JSON."),
    ("She reads two books a month.", "تقرأ كتابين في الشهر."),
    ("Call 555-0199 before 8 a.m.", "اتصل على الرقم 555-0199 قبل الساعة 8 صباحًا."),
    ("The sea was calm at dawn.", "كان البحر هادئًا عند الفجر."),
]


@dataclass
class Served:
    """A server that runs, and what it told when it was ready."""

    url: str
    data: Path
    key: str = field(repr=False)
    pid: int
    log: Path
    process: subprocess.Popen[str]
    passwords: dict[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def server(self) -> Server:
        return Server(self.url, self.key)

    @property
    def owner(self) -> httpx.Client:
        return client(self.url, {"X-Argilla-Api-Key": self.key})

    def annotator(self, name: str) -> httpx.Client:
        return signed_in(self.url, name, str(self.passwords[name]))

    def end(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def kill(self) -> None:
        """The server itself, with no time to say anything."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(60)


def client(url: str, headers: dict[str, str] | None = None) -> httpx.Client:
    return httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=120)


def token(url: str, name: str, password: str) -> httpx.Response:
    return httpx.post(f"{url}/api/v1/token", data={"username": name, "password": password}, timeout=120)


def signed_in(url: str, name: str, password: str) -> httpx.Client:
    told = token(url, name, password)
    assert told.status_code == 201, told.text
    return client(url, {"Authorization": f"Bearer {told.json()['access_token']}"})


def start(data: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "review", "serve", "--data", str(data), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def served(data: Path, *annotators: str, port: int = 0, options: tuple[str, ...] = ()) -> Iterator[Served]:
    named = [part for name in annotators for part in ("--annotator", name)]
    process = start(data, "--port", str(port), *named, *options)
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert line, process.communicate()[1]
        told = json.loads(line)
        passwords = {person["name"]: person["password"] for person in told["people"]}
        log = Path(told["log"])
        yield Served(told["url"], data, told["api_key"], told["pid"], log, process, passwords)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def deck(name: str, tasks: int = 20, *, double: int = 0, version: str = "1.0.0", digest: str = "a1b2c3d4") -> Deck:
    """A deck of sentence pairs, the last `double` of them for two people."""
    made = []
    for n in range(tasks):
        source, target = PAIRS[n % len(PAIRS)]
        turn = Turn("text", f"{source} ({n})", f"{target} ({n})")
        made.append(Task(f"{n:016x}", "double" if n >= tasks - double else "single", (turn,)))
    return Deck(name, version, digest + "0" * 56, "en", "ar", None, tuple(made))


def records(person: httpx.Client, dataset: str, **asked: Any) -> list[dict[str, Any]]:
    """Records as a person's own page asks for them."""
    params = {"limit": 1000, "include": ["responses", "suggestions"]}
    told = person.post(f"/me/datasets/{dataset}/records/search", params=params, json=asked)
    assert told.status_code == 200, told.text
    return [item["record"] for item in told.json()["items"]]


def dataset_id(served: Served, name: str) -> str:
    with served.owner as owner:
        return next(d["id"] for d in owner.get("/me/datasets").json()["items"] if d["name"] == name)


def answer(
    person: httpx.Client, record: str, verdict: str | None = "good", status: str = "submitted", **more: Any
) -> httpx.Response:
    values = {name: {"value": value} for name, value in ({"verdict": verdict} | more).items() if value is not None}
    told = person.post(f"/records/{record}/responses", json={"status": status, "values": values})
    assert told.status_code == 201, told.text
    return told
