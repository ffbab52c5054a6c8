"""`gc`: what of the store nothing needs any more, and its removal.

The model:
- A version needs its own folder, the barriers that it was decided by (`whatif` asks their indexes again), and the
  tables of its benchmarks. A running build needs what it has claimed. Everything else is made again when it is wanted.
- Answers of models are another matter: `generations gc` sees to them. Versions are never removed.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hala_factory import claims
from hala_factory.store import Store, sweep

Fate = Literal["needed", "in use", "unused", "gone"]
Kind = Literal["stage", "table", "pull", "leftover"]


@dataclass(frozen=True)
class Item:
    """One stage, table or unfinished pull of the store, and what becomes of it."""

    kind: Kind
    name: str
    bytes: int
    fate: Fate
    """`needed` by versions; `in use` by a running build; `unused`: it could go; `gone`."""
    versions: tuple[str, ...] = ()
    """Versions that need it."""

    def told(self) -> dict[str, Any]:
        """The item for `--json`."""
        return {
            "kind": self.kind,
            "name": self.name,
            "bytes": self.bytes,
            "fate": self.fate,
            "versions": list(self.versions),
        }


def collect(store: Store, *, really: bool) -> list[Item]:
    """Remove the stages and tables that no version and no running build needs, or say which these are.

    What is removed is first renamed, so that a clean-up that is killed leaves nothing half-removed under its name.
    """
    gone: list[Path] = []
    with claims.alone(store) as claimed:
        stages, tables = needs(store)
        found = []
        places: list[tuple[Kind, Path, dict[str, list[str]], Collection[str]]] = [
            ("stage", store.root / "stages", stages, claimed.stages),
            ("table", store.benchmarks, tables, claimed.tables),
            ("pull", store.root / "pulls", {}, ()),  # a pull that broke off, and would go on with what it has
        ]
        for kind, folder, needed, used in places:
            for path in sorted(folder.glob("[!.]*")):
                fate: Fate = "unused"
                if path.name in needed:
                    fate = "needed"
                elif claimed.everything or path.name in used or claims.held(path / ".lock"):
                    fate = "in use"
                elif really:
                    gone.append(_renamed(path))
                    fate = "gone"
                size = _size(gone[-1] if fate == "gone" else path)
                versions = tuple(needed.get(path.name, ()))
                found.append(Item(kind, path.name, size, fate, versions))
        found += _leftovers(store, gone, busy=claimed.builds > 0, really=really)
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return found


def needs(store: Store) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The stages and the tables that versions need, by name, with these versions."""
    stages: dict[str, list[str]] = {}
    tables: dict[str, list[str]] = {}
    for manifest in store.versions():
        version = f"{manifest['name']}@{manifest['version']}"
        for stage in manifest["stages"]:
            if stage["kind"] == "barrier":
                folder = store.stage(stage["name"], stage["fingerprint"]).path.name
                stages.setdefault(folder, []).append(version)
        for locked in manifest["lock"].get("benchmarks", {}).values():
            tables.setdefault(locked["table"], []).append(version)
    return stages, tables


def _leftovers(store: Store, ours: list[Path], *, busy: bool, really: bool) -> list[Item]:
    """What killed writers and clean-ups left under temporary names; that of a running build cannot be told apart."""
    found = []
    for folder in (store.root / "stages", store.benchmarks, *sorted((store.root / "corpora").glob("[!.]*"))):
        here = [p for p in sorted(folder.glob(".tmp-*")) if p not in ours]
        fate: Fate = "in use" if busy else "gone" if really else "unused"
        found += [Item("leftover", f"{folder.name}/{p.name}", _size(p), fate) for p in here]
        if fate == "gone" and here:
            kept = {p for p in ours if p.parent == folder}
            if kept:
                for path in here:
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            else:
                sweep(folder)
    return found


def _renamed(path: Path) -> Path:
    return path.rename(path.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}"))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
