"""The files of a version: its manifest by the seal, every other file by its digest, none missing, none extra."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory import seal
from hala_factory.fingerprint import file_digest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a version."""

    file: str
    """The file it is about, relative to the version's folder."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"


def manifest_in(folder: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The manifest of a version, None where it cannot be read as one, and what is wrong with it."""
    path = folder / MANIFEST
    try:
        said = path.read_bytes()
    except FileNotFoundError:
        return None, [Finding(MANIFEST, "is missing; the version was not built to its end, or was taken apart")]
    except OSError as error:
        return None, [Finding(MANIFEST, f"cannot be read: {error.strerror}")]
    found = [Finding(MANIFEST, problem)] if (problem := seal.broken(said)) else []
    if path.is_symlink():
        found.append(Finding(MANIFEST, "is a link; expected a file"))
    try:
        manifest = json.loads(said)
    except ValueError as error:
        return None, found or [Finding(MANIFEST, f"is not JSON: {error}")]
    if not _has_files(manifest):
        return None, found or [Finding(MANIFEST, "lists no files; it is not the manifest of a version")]
    return manifest, found


def _has_files(manifest: Any) -> bool:
    files = manifest.get("files") if isinstance(manifest, dict) else None
    return isinstance(files, dict) and all(
        isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)
        for facts in files.values()
    )


def damaged(folder: Path, manifest: dict[str, Any]) -> list[Finding]:
    """Files that are not as the manifest says, are missing, or are too many; read once, a block at a time."""
    expected, found = manifest["files"], []
    there = _entries(folder)
    for name, facts in expected.items():
        kind = there.pop(name, None)
        if kind is None:
            found.append(Finding(name, "is missing"))
        elif kind != "file":
            found.append(Finding(name, f"is a {kind}; expected a file"))
        else:
            found += _changed(folder / name, name, facts)
    parents = {str(parent) for name in [*expected, MANIFEST] for parent in Path(name).parents}
    for name, kind in there.items():
        if name != MANIFEST and not (kind == "folder" and name in parents):
            found.append(Finding(name, f"does not belong to the version: a {kind} that its manifest does not name"))
    return found


def _changed(path: Path, name: str, facts: dict[str, Any]) -> list[Finding]:
    try:
        size = path.stat().st_size
        if size != facts["bytes"]:
            return [Finding(name, f"has {size:,} bytes; expected {facts['bytes']:,}")]
        if (digest := file_digest(path)) != facts["sha256"]:
            return [Finding(name, f"was changed: its SHA-256 is {digest[:12]}…, expected {facts['sha256'][:12]}…")]
    except OSError as error:
        return [Finding(name, f"cannot be read: {error.strerror}")]
    return []


def _entries(folder: Path) -> dict[str, str]:
    """Everything below a folder by its relative name: `file`, `folder`, `link` or `special file`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = os.lstat(path).st_mode
        kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "file"
        found[path.relative_to(folder).as_posix()] = kind if stat.S_ISREG(mode) or kind != "file" else "special file"
    return found
