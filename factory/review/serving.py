"""Serving a review on this machine: a real Argilla server, its people, its beginning and its end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hala_factory.environments import tail
from hala_factory.errors import BuildError, InputError
from hala_factory.review import tool
from hala_factory.review.address import RECORD, WORKSPACE
from hala_factory.review.folder import LOG, held, keep, prepared

OWNER = "owner"
_STOP = 20.0
"""Seconds that a server gets to end by itself."""


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in."""

    name: str
    role: str
    password: str | None = field(repr=False)
    """None for one who had a password before: it is kept nowhere."""


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    url: str
    data: Path
    key: str = field(repr=False)
    people: tuple[Person, ...]
    process: subprocess.Popen[str]

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data / LOG

    def wait(self) -> None:
        """Until it ends, which is an error: BuildError with the end of its log."""
        code = self.process.wait()
        raise BuildError(f"the Argilla server ended with status {code}; {self.log} ends with:\n{tail(self.log)}")


@contextlib.contextmanager
def serving(
    data: Path, host: str, port: int, annotators: Sequence[str] = (), renew: Sequence[str] = ()
) -> Iterator[Serving]:
    """Serve the folder `data` until the block ends; port 0 takes a free one.

    `annotators` are made if they are missing, and those in `renew` get a new password. Raises InputError where the
    folder is another server's or somebody else's or the port is in use, BuildError where the server does not start.
    """
    python = tool.expect()
    names = [OWNER, *dict.fromkeys(annotators)]
    _expect_names(names, renew)
    port = _expect_port(host, port)
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    with held(data):
        record = prepared(data)
        people: list[dict[str, Any]] = [
            {
                "name": name,
                "role": "owner" if name == OWNER else "annotator",
                "password": secrets.token_urlsafe(12),
                "renew": name in renew,
            }
            for name in dict.fromkeys([*names, *renew])
        ]
        order = {"home": str(data), "host": host, "port": port, "workspace": WORKSPACE}
        order |= {"api_key": record["api_key"], "people": people}
        with _started(python, data, record["secret"]) as process:
            made = _ordered(process, order, data / LOG)
            keep(data / RECORD, record | {"url": url, "whole": True})
            told = [Person(p["name"], p["role"], p["password"] if p["name"] in made else None) for p in people]
            yield Serving(url, data, record["api_key"], tuple(told), process)


def _expect_names(names: Sequence[str], renew: Sequence[str]) -> None:
    for name in [*names[1:], *renew]:
        if not name or not name.isprintable() or any(c.isspace() for c in name) or len(name) > 64:
            raise InputError(f"--annotator {name!r}: expected a name of at most 64 characters without spaces")
    if OWNER in names[1:]:
        raise InputError(f"--annotator {OWNER}: that is the name of the server's owner; expected another one")


def _expect_port(host: str, port: int) -> int:
    """The port, a free one for 0. Raises InputError where we cannot have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as e:
            what = f"cannot be served: {e.strerror or e}"
            raise InputError(f"{host}:{port} {what}; give another --port (0 takes a free one), or --host") from None
        return int(trial.getsockname()[1])


@contextlib.contextmanager
def _started(python: Path, data: Path, secret: str) -> Iterator[subprocess.Popen[str]]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ARGILLA_", "PYTHON", "VIRTUAL_ENV"))}
    env |= {
        "ARGILLA_HOME_PATH": str(data),
        "ARGILLA_DATABASE_URL": f"sqlite+aiosqlite:///{data / 'argilla.db'}?check_same_thread=False",
        "ARGILLA_DATABASE_SQLITE_TIMEOUT": "30",
        "ARGILLA_SEARCH_ENGINE": "database",
        "ARGILLA_CORS_ORIGINS": "[]",
        "ARGILLA_AUTH_SECRET_KEY": secret,
        "ARGILLA_AUTH_OAUTH_CFG": str(data / "no-oauth.yaml"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    program = Path(__file__).resolve().parent / "server" / "serve.py"
    with (
        open(os.open(data / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log,
        subprocess.Popen(
            [str(python), "-I", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=env,
            cwd=data,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close() if process.stdin else None  # that asks it to end
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
            shutil.rmtree(data / "tmp", ignore_errors=True)


def _ordered(process: subprocess.Popen[str], order: dict[str, Any], log: Path) -> set[str]:
    """Hand the order over, and wait until the server is ready; whose passwords are those of the order."""
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        code = process.wait()
        raise BuildError(f"the Argilla server did not start (status {code}); {log} ends with:\n{tail(log)}")
    return set(json.loads(line)["made"])
