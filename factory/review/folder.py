"""The folder of a review server on this machine: ours alone while it serves, and readable by its owner only.

It holds the database (`argilla.db`: passwords as hashes), the log, and `server.json` with the key and the secret that
signs sessions. That record says whether the database was made to its end; one that was not has never been served, and
is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hala_factory.errors import InputError
from hala_factory.review import tool
from hala_factory.review.address import RECORD
from hala_factory.store import read_json

LOG = "server.log"
_OURS = {RECORD, "lock", "argilla.db", "argilla.db-wal", "argilla.db-shm", LOG, "server_id.dat", "tmp"}


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """The folder, made if it is missing, and ours alone for as long as the block runs."""
    if data.exists() and not data.is_dir():
        raise InputError(f"--data {data}: is a file; expected a folder")
    if data.exists() and not (data / RECORD).exists():
        others = sorted({p.name for p in data.iterdir()} - _OURS)
        if others:
            raise InputError(
                f"--data {data}: holds other things ({', '.join(others[:3])}); "
                "expected an empty folder, or one that `review serve` made"
            )
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise InputError(f"--data {data}: cannot be written: {e.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            at = (read_json(data / RECORD) or {}).get("url")
            where = f" at {at}" if at else ""
            raise InputError(
                f"--data {data}: another server serves this folder{where}; use that, end it, or give another"
            ) from None
        yield
    finally:
        os.close(lock)


def prepared(data: Path) -> dict[str, Any]:
    """The record of the folder; a database that was never whole is removed."""
    record = read_json(data / RECORD)
    if record and not record.get("whole"):
        for file in data.glob("argilla.db*"):
            file.unlink()
    elif record:
        return record
    made = {"argilla": tool.ARGILLA, "whole": (data / "argilla.db").exists()}  # a lost record loses no answers
    made |= {"url": "", "api_key": secrets.token_urlsafe(48), "secret": secrets.token_hex(32)}
    keep(data / RECORD, made)
    return made


def keep(path: Path, record: dict[str, Any]) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name("tmp-" + path.name)
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(record, out)
        out.flush()
        os.fsync(out.fileno())
    new.replace(path)
