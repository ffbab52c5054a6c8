"""The store: a folder of stage outputs, generations, corpora and models, in which nothing half-written looks whole.

The model:
- A file is written under a temporary name in its own folder, fsynced, and renamed; then the folder is fsynced.
- A record (`done-*.json`, `stage.json`, `manifest.json`) is written after the files it speaks of, with their
  sizes and digests; its presence means they are whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory.errors import BuildError, InputError, did_you_mean
from hala_factory.fingerprint import file_digest

_TEMPORARY = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Store:
    """Where everything that was built stands."""

    root: Path

    @classmethod
    def at(cls, place: str | Path) -> Store:
        """The store at a folder (made if absent). Raises InputError where it cannot be one."""
        if "://" in str(place):
            raise InputError(f"--store {place}: a store is a folder that this machine mounts, not a URL")
        root = Path(place).expanduser().resolve()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise InputError(f"--store {place}: cannot be made: {e.strerror}") from None
        return cls(root)

    def stage(self, name: str, fingerprint: str) -> StageFolder:
        """The folder of one stage's outputs."""
        return StageFolder(self.root / "stages" / f"{name}-{fingerprint[:12]}")

    @property
    def benchmarks(self) -> Path:
        """Where the questions of benchmarks stand as tables."""
        return self.root / "benchmarks"

    @property
    def generations(self) -> Path:
        """Where answers of models are kept."""
        return self.root / "generations"

    def corpus(self, name: str, version: str) -> Path:
        """The folder of one version of a corpus."""
        return self.root / "corpora" / name / version

    def model(self, name: str, version: str) -> Path:
        """The folder of one version of a model."""
        return self.root / "models" / name / version

    def model_manifests(self, name: str | None = None) -> list[dict[str, Any]]:
        """The manifests of all models that were built, by name and then by time of building."""
        found = [read_json(p) for p in sorted((self.root / "models").glob(f"{name or '*'}/[!.]*/manifest.json"))]
        return sorted((m for m in found if m), key=lambda m: (m["name"], m["built_at"]))

    def manifest(self, name: str, version: str) -> dict[str, Any] | None:
        """The manifest of a version, None when it was not built (to its end)."""
        return read_json(self.corpus(name, version) / "manifest.json")

    def held(self, artifact: str, *, models: bool = False) -> dict[str, Any]:
        """The manifest of `name@version`: of a corpus, or of a model too. Raises InputError where it is not here."""
        name, _, version = artifact.partition("@")
        found = self.manifest(name, version) if name and version else None
        if found is None and models and name and version:
            found = read_json(self.model(name, version) / "manifest.json")
        if found is None:
            every = [*self.versions(), *(self.model_manifests() if models else [])]
            near = did_you_mean(artifact, [f"{m['name']}@{m['version']}" for m in every])
            raise InputError(f"{self.root} holds no {artifact!r}{near or '; nothing is built yet'}")
        return found

    def versions(self, name: str | None = None) -> list[dict[str, Any]]:
        """The manifests of all built versions, by name and then by time of building."""
        found = [read_json(p) for p in sorted((self.root / "corpora").glob(f"{name or '*'}/[!.]*/manifest.json"))]
        return sorted((m for m in found if m), key=lambda m: (m["name"], m["built_at"]))

    def digest_of(self, path: Path) -> str:
        """SHA-256 of a file, remembered by its size, times and inode, so that an unchanged file is read once."""
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        cache_file = self.root / "digests" / f"{file_key(path)}.json"
        known = read_json(cache_file)
        if known and known["mark"] == mark:
            return str(known["sha256"])
        digest = file_digest(path)
        write_json(cache_file, {"path": str(path), "mark": mark, "sha256": digest})
        return digest


@dataclass(frozen=True)
class StageFolder:
    """One stage's outputs: per shard a part, its dropped rows and a record; `stage.json` when all are there."""

    path: Path

    def part(self, shard: int) -> Path:
        """The kept rows of a shard."""
        return self.path / f"part-{shard:05d}.parquet"

    def dropped(self, shard: int) -> Path:
        """The dropped and failed rows of a shard."""
        return self.path / f"dropped-{shard:05d}.parquet"

    def side(self, word: str, shard: int) -> Path:
        """Another file of a shard, e.g. its dedup keys."""
        return self.path / f"{word}-{shard:05d}.parquet"

    def done(self, shard: int, word: str = "done") -> dict[str, Any] | None:
        """The record of a shard, None unless its files stand as the record says."""
        return self._whole(read_json(self.path / f"{word}-{shard:05d}.json"))

    def finish(self, shard: int, record: dict[str, Any], files: list[Path], word: str = "done") -> None:
        """Write the record of a shard; its files stand already."""
        write_json(self.path / f"{word}-{shard:05d}.json", {**record, "files": self._described(files)})

    def record(self, word: str = "stage") -> dict[str, Any] | None:
        """The folder's own record, None unless every file it names stands with its size."""
        return self._whole(read_json(self.path / f"{word}.json"))

    def complete(self, record: dict[str, Any], shards: int) -> None:
        """Write the stage's record from those of its shards."""
        files: dict[str, Any] = {}
        for shard in range(shards):
            done = self.done(shard)
            if done is None:
                raise BuildError(f"{self.path}: shard {shard} has no record; run the same command again")
            files |= done["files"]
        write_json(self.path / "stage.json", {**record, "shards": shards, "files": files})

    def progress(self, shard: int) -> Path:
        """A file in which a running shard notes its rows so far."""
        return self.path / f"progress-{shard:05d}"

    def _described(self, files: list[Path]) -> dict[str, Any]:
        return {f.name: {"bytes": f.stat().st_size, "sha256": file_digest(f)} for f in files}

    def _whole(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        if record is None:
            return None
        for name, facts in record["files"].items():
            with contextlib.suppress(OSError):
                if (self.path / name).stat().st_size == facts["bytes"]:
                    continue
            return None
        return record

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let one process at a time build this stage; another waits here and then finds it done."""
        with contextlib.ExitStack() as stack:
            with written(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                fcntl.flock(stack.enter_context((self.path / ".lock").open("w")), fcntl.LOCK_EX)
            yield


def file_key(path: Path) -> str:
    """A file name for facts about `path`."""
    return uuid.uuid5(uuid.NAMESPACE_URL, str(path.resolve())).hex


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON record, None if there is none (or a torn one, which only a foreign hand can have left)."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON record atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Re-raise what the file system refuses as a BuildError that says what to do."""
    try:
        yield
    except OSError as e:
        said = os.strerror(e.errno) if e.errno else str(e)
        todo = "free some space" if e.errno in _FULL else "see to it"
        raise BuildError(f"{path}: cannot be written: {said}; {todo} and run the same command again") from e


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on leaving without an error it is fsynced and takes the name.

    Raises BuildError when the disk is full or the folder cannot be written, after removing the rest.
    """
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex[:8]}-{path.name}")
    with written(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sync(path: Path) -> None:
    """Have the file or folder on disk, not only in memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its name in the end, in place of an older one."""
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex[:8]}-{path.name}")
    with written(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for child in sorted(temporary.rglob("*")):
                sync(child)
            sync(temporary)
            if path.exists():
                exchange(temporary, path)
            else:
                temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def exchange(one: Path, other: Path) -> None:
    """Let two folders swap their names, at once where the system can (Linux), else by way of a third name."""
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    with contextlib.suppress(AttributeError):
        if ctypes.CDLL(None).renameat2(here, os.fsencode(one), here, os.fsencode(other), swap) == 0:
            return
    third = one.with_name(f"{one.name}-old")
    other.rename(third)
    one.rename(other)
    third.rename(one)


def sweep(folder: Path) -> None:
    """Remove what killed writers left under temporary names; call it only under the folder's lock."""
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
