"""Entries: the files that are to stand in a place, and how one that stands there is compared with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One file of an edition."""

    path: str
    """Where it is to stand, with `/`."""
    size: int
    """Bytes."""
    sha256: str
    content: Path | bytes

    @classmethod
    def of(cls, path: str, content: bytes) -> Entry:
        """A file that was made just now."""
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)

    def git_oid(self) -> str:
        """What git calls these bytes: the SHA-1 of a blob, by which the Hub knows files outside LFS."""
        sha = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        if isinstance(self.content, bytes):
            sha.update(self.content)
        else:
            with self.content.open("rb") as file:
                while block := file.read(_BLOCK):
                    sha.update(block)
        return sha.hexdigest()

    def read(self) -> bytes:
        """All of it."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class Held:
    """What a repository says of a file it holds."""

    path: str
    size: int
    git: str
    sha256: str | None
    """Of files in LFS only."""

    def is_same(self, entry: Entry) -> bool:
        """Whether it is this entry, byte for byte."""
        if self.size != entry.size:
            return False
        return self.sha256 == entry.sha256 if self.sha256 else self.git == entry.git_oid()


@dataclass(frozen=True)
class Changes:
    """What is to be done so that a place holds an edition, and nothing of an older one."""

    add: tuple[Entry, ...]
    change: tuple[Entry, ...]
    same: tuple[Entry, ...]
    delete: tuple[str, ...] = ()

    @property
    def send(self) -> tuple[Entry, ...]:
        """Files that are not there as they should be."""
        return (*self.add, *self.change)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.send or self.delete)

    def told(self) -> list[dict[str, str | int]]:
        """Every file with its size and what becomes of it."""
        words = (("add", self.add), ("change", self.change), ("same", self.same))
        found: list[dict[str, str | int]] = [
            {"path": e.path, "bytes": e.size, "sha256": e.sha256, "state": word}
            for word, group in words
            for e in group
        ]
        found += [{"path": path, "state": "delete"} for path in self.delete]
        return sorted(found, key=lambda each: str(each["path"]))


def compare(edition: list[Entry], held: dict[str, Held], owned: set[str]) -> Changes:
    """What differs between an edition and what is held; of the rest, what is `owned` or in its folders goes."""
    add, change, same = list[Entry](), list[Entry](), list[Entry]()
    for entry in edition:
        there = held.get(entry.path)
        (add if there is None else same if there.is_same(entry) else change).append(entry)
    here = {entry.path for entry in edition}
    folders = {path.split("/")[0] + "/" for path in here if "/" in path}
    delete = [p for p in sorted(held) if p not in here and (p in owned or any(p.startswith(f) for f in folders))]
    return Changes(tuple(add), tuple(change), tuple(same), tuple(delete))
