"""Publishing to a folder or an object store: `URL/NAME/VERSION/`, files first, read back, `manifest.json` last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hala_factory.errors import BuildError
from hala_factory.publish import filesystems, gates
from hala_factory.publish.cautions import cautions
from hala_factory.publish.digests import digest_in
from hala_factory.publish.edition import MANIFEST, edition
from hala_factory.publish.entries import Changes, Entry
from hala_factory.publish.gates import Candidate
from hala_factory.publish.place import Place


def to_folder(
    candidate: Candidate, url: str, *, dry_run: bool = False, watch: Callable[[int], None] = lambda sent: None
) -> dict[str, Any]:
    """Publish a version below an address, or say what would be done; the answer of `publish --json`.

    Raises BuildError where a gate is not passed, another version stands there, or what is read back differs.
    """
    manifest = candidate.manifest
    reasons = gates.asked(candidate)
    if (refusal := gates.refusal(candidate, reasons)) and not dry_run:
        raise BuildError(refusal)
    files, root = filesystems.opened(url)
    base = f"{root}/{manifest['name']}/{manifest['version']}"
    address = f"{url.rstrip('/')}/{manifest['name']}/{manifest['version']}"
    entries = edition(candidate, Place("folder", address))
    with filesystems.explained(address, "publishing to"):
        there = _manifest(files, f"{base}/{MANIFEST}")
        _refuse_other(address, there, manifest)
        changes = _compare(files, base, entries, there)
        if not dry_run and changes:
            _write(files, base, changes, whole=there is not None, watch=watch)
    return {
        "artifact": candidate.artifact,
        "to": address,
        "kind": "folder",
        "dry_run": dry_run,
        "gates": [{"gate": name, "passed": not found, "reasons": found} for name, found in reasons.items()],
        "files": changes.told(),
        "to_send": {"files": len(changes.send), "bytes": sum(e.size for e in changes.send)},
        "committed": bool(changes) and not dry_run,
        "notes": cautions(manifest),
        **({} if dry_run else {"verified": {"files": len(entries), "bytes": sum(e.size for e in entries)}}),
    }


def _manifest(files: Any, path: str) -> dict[str, Any] | None:
    try:
        told = json.loads(files.cat_file(path))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _refuse_other(address: str, there: dict[str, Any] | None, manifest: dict[str, Any]) -> None:
    if there and there.get("digest") != manifest["digest"] and manifest["version"] != "dev":
        raise BuildError(
            f"{address} holds this version already, with digest {there.get('digest')}; this build has "
            f"{manifest['digest']}: a published version never changes; bump the version of the recipe"
        )


def _compare(files: Any, base: str, entries: list[Entry], there: dict[str, Any] | None) -> Changes:
    """What is missing or differs; a file of the right size is read, for a size proves nothing."""
    add, change, same = list[Entry](), list[Entry](), list[Entry]()
    for entry in entries:
        path = f"{base}/{entry.path}"
        try:
            size = files.info(path)["size"]
        except FileNotFoundError:
            add.append(entry)
            continue
        held = size == entry.size and digest_in(files, path) == entry.sha256
        (same if held else change).append(entry)
    here = {entry.path for entry in entries}
    old = [name for name in (there or {}).get("files", {}) if name not in here and files.exists(f"{base}/{name}")]
    return Changes(tuple(add), tuple(change), tuple(same), tuple(sorted(old)))


def _write(files: Any, base: str, changes: Changes, *, whole: bool, watch: Callable[[int], None]) -> None:
    """Send what differs; while the folder is not whole, no manifest stands in it."""
    if whole:
        files.rm_file(f"{base}/{MANIFEST}")
    for path in changes.delete:
        files.rm_file(f"{base}/{path}")
    manifest = next(e for e in (*changes.send, *changes.same) if e.path == MANIFEST)
    for entry in (*(e for e in changes.send if e is not manifest), manifest):
        _put(files, f"{base}/{entry.path}", entry)
        watch(entry.size)


def _put(files: Any, path: str, entry: Entry) -> None:
    filesystems.make_folder(files, path.rpartition("/")[0])
    if isinstance(entry.content, bytes):
        files.pipe_file(path, entry.content)
    else:
        files.put_file(str(entry.content), path)
    files.invalidate_cache()
    if digest_in(files, path) != entry.sha256:
        raise BuildError(f"{path}: reads back other bytes than were sent; run the same command again")
