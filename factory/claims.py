"""Claims: which stages and tables a running build needs, so that a clean-up of the store leaves them alone.

The model:
- A build leaves a file that names them and holds its lock as long as it runs; the kernel lets go of the lock when the
  process dies, however it dies.
- `.lock` is shared for the moment in which a claim is made, and had alone by a clean-up as long as it looks and
  removes: a build either has its claim seen, or waits and finds gone what is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hala_factory.store import Store, read_json, written

FOLDER = "builds"


@dataclass(frozen=True)
class Claims:
    """What running builds need, by the names of folders and files in the store."""

    builds: int = 0
    everything: bool = False
    """Whether one of them cannot say beforehand what it will need."""
    stages: frozenset[str] = field(default=frozenset())
    tables: frozenset[str] = field(default=frozenset())


@contextlib.contextmanager
def claimed(
    store: Store, stages: Iterable[str] = (), tables: Iterable[str] = (), *, everything: bool = False
) -> Iterator[None]:
    """Claim stages and tables of benchmarks, or everything, until the end of the block.

    Raises BuildError if the claim cannot be written.
    """
    folder = store.root / FOLDER
    path = folder / f"{uuid.uuid4().hex}.json"
    with written(path):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".lock", fcntl.LOCK_SH):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                said: dict[str, Any] = {
                    "pid": os.getpid(),
                    "stages": sorted(set(stages)),
                    "tables": sorted(set(tables)),
                }
                said["everything"] = everything
                os.write(handle, json.dumps(said).encode())
            except BaseException:
                path.unlink(missing_ok=True)
                os.close(handle)
                raise
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def alone(store: Store) -> Iterator[Claims]:
    """What running builds have claimed; no build begins until the end of the block."""
    folder = store.root / FOLDER
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", fcntl.LOCK_EX):
        builds, everything, stages, tables = 0, False, set[str](), set[str]()
        for path in sorted(folder.glob("*.json")):
            if _dead(path):
                path.unlink(missing_ok=True)
                continue
            said = read_json(path) or {}
            builds += 1
            everything |= bool(said.get("everything"))
            stages |= set(said.get("stages", []))
            tables |= set(said.get("tables", []))
        yield Claims(builds, everything, frozenset(stages), frozenset(tables))


def held(path: Path) -> bool:
    """Whether a process holds the lock of this file."""
    return path.exists() and not _dead(path)


def _dead(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # its build has just ended
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
