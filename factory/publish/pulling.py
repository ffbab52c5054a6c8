"""`pull`: a published corpus becomes a version of the store again, proved before it takes its name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from hala_factory import seal
from hala_factory.errors import BuildError, InputError
from hala_factory.fingerprint import file_digest
from hala_factory.publish import around
from hala_factory.publish.edition import CARD, MANIFEST
from hala_factory.publish.origins import Origin, origin
from hala_factory.store import StageFolder, Store, sync, written
from hala_factory.verify import verify

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def pull(store: Store, place: str, revision: str | None = None) -> dict[str, Any]:
    """Bring a corpus from where it was published; the answer of `pull --json`.

    Raises InputError where nothing of ours stands there, or the store holds the version with another digest;
    BuildError where the network fails, or what came is not what was published.
    """
    found = origin(place, revision)
    said = found.manifest()
    manifest = read_manifest(said, found.address)
    artifact = f"{manifest['name']}@{manifest['version']}"
    told = {"artifact": artifact, "from": found.address, "digest": manifest["digest"]}
    target = store.corpus(manifest["name"], manifest["version"])
    if _stands(store, manifest, found.address):
        return {**told, "path": str(target), "stored": True}
    scratch = store.root / "pulls" / f"{manifest['name']}-{manifest['version']}-{manifest['seal'][7:19]}"
    with StageFolder(scratch).lock():
        aside = Store(scratch)
        folder = aside.corpus(manifest["name"], manifest["version"])
        for name, facts in sorted(manifest["files"].items()):
            _fetch(found, name, facts, scratch / "download", folder / name)
        (folder / MANIFEST).write_bytes(said)
        if findings := verify(aside, artifact).findings:
            raise BuildError(
                f"{artifact} from {found.address} is not whole:\n" + "\n".join(f"  {f}" for f in findings)
            )
        _settle(store, manifest, folder, target, found.address)
    shutil.rmtree(scratch, ignore_errors=True)
    return {**told, "path": str(target), "stored": False}


def read_manifest(said: bytes, address: str) -> dict[str, Any]:
    """A manifest that others wrote. Raises InputError unless it is that of a corpus, sealed, with safe names."""
    if problem := seal.broken(said):
        raise InputError(f"{address}: manifest.json: {problem}; nothing was pulled")
    manifest = json.loads(said)
    if manifest.get("kind") != "corpus":
        raise InputError(f"{address}: it holds a {manifest.get('kind')}; pull brings corpora")
    for word in ("name", "version"):
        if not _NAME.fullmatch(str(manifest.get(word))):
            raise InputError(f"{address}: manifest.json: {word} {manifest.get(word)!r} cannot be that of a version")
    if not isinstance(manifest.get("files"), dict) or CARD not in manifest["files"]:
        raise InputError(f"{address}: manifest.json names no files; it is not that of a version")
    for name in manifest["files"]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name or name == MANIFEST:
            raise InputError(
                f"{address}: manifest.json names a file {name!r} outside of the version; nothing was pulled"
            )
    return dict(manifest)


def _stands(store: Store, manifest: dict[str, Any], address: str) -> bool:
    standing = store.manifest(manifest["name"], manifest["version"])
    if standing is not None and standing["digest"] != manifest["digest"]:
        raise InputError(
            f"{store.root} holds {manifest['name']}@{manifest['version']} with digest {standing['digest']}; {address} "
            f"has {manifest['digest']}. Two corpora have one name: pull into another --store, and look at both"
        )
    return standing is not None


def _fetch(found: Origin, name: str, facts: dict[str, Any], scratch: Path, target: Path) -> None:
    """Have a file of the version in its place; one that an earlier attempt brought stays."""
    if target.is_file() and target.stat().st_size == facts["bytes"] and file_digest(target) == facts["sha256"]:
        return
    with written(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    came = found.fetch(name, facts["bytes"], scratch)
    if name == CARD:
        came.write_bytes(around.without(came.read_bytes().decode(errors="replace")).encode())
    if (digest := file_digest(came)) != facts["sha256"]:
        came.unlink()
        raise BuildError(
            f"{found.address}: {name} has SHA-256 {digest[:12]}…, its manifest says {facts['sha256'][:12]}…: it was "
            "changed or damaged there; have it published again, then run the same command"
        )
    with written(target):
        came.replace(target)
        sync(target)


def _settle(store: Store, manifest: dict[str, Any], folder: Path, target: Path, address: str) -> None:
    with StageFolder(target.parent).lock(), written(target):
        if not _stands(store, manifest, address):  # a build or another pull may have been quicker
            folder.rename(target)
            sync(target.parent)
