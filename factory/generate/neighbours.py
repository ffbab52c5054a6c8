"""The neighbours of a store: other processes that ask the same model now, what they ask and what they are answered.

The model:
- Who asks holds a claim on the key: a lock on one byte of an empty file, at the key's place. The kernel lets go of it
  when its holder dies, however it dies.
- A claim is let go when the answer stands in the holder's journal; who waited for it finds the answer there.
- Where a system knows no such locks (they are Linux's) everybody is granted every claim: two builds at the same time
  may then both ask for the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Container
from pathlib import Path

from hala_factory.generate.answers import Answer
from hala_factory.generate.journal import answer_of, fields_of, told

CLAIMS = ".asking"
_KEY_DIGITS = 15  # 60 bits: a place in a file is a signed number of 64
_UNKNOWN = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class Claims:
    """Who asks for what in a model's folder; one object each for those who ask."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CLAIMS
        self._handle: int | None = None
        self._set: int | None = getattr(fcntl, "F_OFD_SETLK", None)

    def take(self, key: str) -> bool:
        """Whether nobody else asks for this; if so, nobody will until it is dropped."""
        if self._handle is None:
            with told(self._path):
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self._lock(fcntl.F_WRLCK, key)

    def drop(self, key: str) -> None:
        """Let others ask."""
        if self._handle is not None:
            self._lock(fcntl.F_UNLCK, key)

    def close(self) -> None:
        """Let go of everything."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _lock(self, kind: int, key: str) -> bool:
        if self._set is None or self._handle is None:
            return True
        place = struct.pack("hhqqi", kind, os.SEEK_SET, int(key[:_KEY_DIGITS], 16), 1, 0)  # struct flock, 64 bits
        try:
            fcntl.fcntl(self._handle, self._set, place)
        except OSError as e:
            if e.errno in _UNKNOWN:
                self._set = None
                return True
            if e.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True


class Journals:
    """What the journals of others in a model's folder say, read as they grow."""

    def __init__(self, folder: Path) -> None:
        self.lines = 0
        """Answers of others so far: who waits sees by it that somebody is at work."""
        self._folder = folder
        self._changed = 0
        self._journals: dict[Path, _Journal] = {}

    def get(self, key: str) -> Answer | None:
        """What one of them holds, as of the last `look`."""
        found = (journal.answers.get(key) for journal in self._journals.values())
        return next((answer for answer in found if answer is not None), None)

    def look(self, own: Path | None, known: Container[str]) -> bool:
        """Read on in all journals but our `own`; whether there are segments besides those `known` by name."""
        news = False
        changed = self._folder.stat().st_mtime_ns
        if changed != self._changed:
            self._changed = changed
            news = any(path.name not in known for path in self._folder.glob("segment-*.parquet"))
            for path in self._folder.glob("journal-*.jsonl"):
                if path != own and path not in self._journals:
                    with contextlib.suppress(FileNotFoundError):  # it is a segment now, which the next look finds
                        self._journals[path] = _Journal(path)
        for path, journal in list(self._journals.items()):
            self.lines += journal.read_on()
            if journal.sealed:
                self._journals.pop(path).close()
                news = True
        return news

    def close(self) -> None:
        """Let go of the files."""
        while self._journals:
            self._journals.popitem()[1].close()


class _Journal:
    """A journal that another writes."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, Answer] = {}
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._read = 0

    @property
    def sealed(self) -> bool:
        """Whether its answers stand in a segment now."""
        return os.fstat(self._handle).st_nlink == 0

    def read_on(self) -> int:
        """How many answers have come since the last time."""
        size = os.fstat(self._handle).st_size
        if size <= self._read:
            return 0
        lines, newline, _ = os.pread(self._handle, size - self._read, self._read).rpartition(b"\n")
        self._read += len(lines) + len(newline)
        before = len(self.answers)
        for fields in filter(None, map(fields_of, lines.split(b"\n"))):
            self.answers.setdefault(fields["key"], answer_of(fields))
        return len(self.answers) - before

    def close(self) -> None:
        os.close(self._handle)
