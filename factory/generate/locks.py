"""The locks of a model's folder, so that those who read, write, merge and remove keep out of each other's way.

The model:
- Who uses a folder shares `.in-use` as long as it does; who removes the folder, or sweeps it, has it alone.
- Who lists the segments shares `.listing` while it does; who replaces segments by another has it alone for that
  moment. Without it a listing could miss both the new one and those that it replaces.
- `.compaction` is had by one process at a time.
The kernel lets go of a lock when its process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hala_factory.generate.journal import abandoned, told
from hala_factory.store import sweep

USED, LISTING, COMPACTION = ".in-use", ".listing", ".compaction"


def use(folder: Path) -> int:
    """A handle that holds the shared lock on a folder, which is made if need be; the first to come sweeps it."""
    while True:
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                handle = _opened(folder / USED)
            except FileNotFoundError:
                continue  # removed in between
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep(folder)
        fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink > 0:
            return handle
        os.close(handle)  # the folder was removed while we waited


@contextlib.contextmanager
def used(folder: Path) -> Iterator[None]:
    """Share a folder until the end of the block."""
    handle = use(folder)
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether nobody uses a folder; if so, nobody will until the end of the block."""
    try:
        handle = _opened(folder / USED)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield os.fstat(handle).st_nlink > 0 and not _written(folder)
    finally:
        os.close(handle)


@contextlib.contextmanager
def listing(folder: Path, *, changing: bool = False) -> Iterator[None]:
    """Have the segments stay as they are until the end of the block, or be the only one who is `changing` them."""
    handle = _opened(folder / LISTING)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if changing else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def compacting(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether no other process compacts this folder, and none will until the end of the block; or `wait` for it."""
    try:
        handle = _opened(folder / COMPACTION)
    except PermissionError:  # somebody else's store, to be read from
        yield wait
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _written(folder: Path) -> bool:
    """Whether somebody holds a journal of the folder."""
    for journal in folder.glob("journal-*.jsonl"):
        with abandoned(journal) as ours:
            if not ours and journal.exists():
                return True
    return False
