"""A model step run by hand: checkpoints that a command names, and a step's output in a folder of one's own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from hala_factory import yamlfile
from hala_factory.catalog import Catalog, Loaded, Model
from hala_factory.documented import Documented
from hala_factory.errors import InputError, did_you_mean
from hala_factory.generate.engines import checkpoint_of
from hala_factory.hub import commit_of
from hala_factory.models.step import Bench, Checkpoint, Making
from hala_factory.store import Store
from hala_factory.validation import validate

Kind = TypeVar("Kind", bound=Documented)


def nothing_known() -> Loaded:
    """A catalog for models that are all named by their folders."""
    return Loaded(catalog=Catalog(), document=yamlfile.plain({}))


def checkpoint(model: str, catalog: Loaded, store: Store) -> Checkpoint:
    """The checkpoint that a command calls `model`: a folder, or a name of the catalog.

    Raises InputError where there is neither.
    """
    known: dict[str, Model] = catalog.catalog.models
    if Path(model).is_dir():
        folder = Path(model).resolve()
        entry = Model(engine="vllm", path=str(folder), licence="unknown")
        if not (folder / "config.json").is_file():
            raise InputError(f"{model}: no checkpoint folder: it has no config.json")
        return Checkpoint(folder.name, entry, folder, None, {})
    if model not in known:
        raise InputError(f"no folder and no model of the catalog: {model!r}{did_you_mean(model, known)}")
    where = checkpoint_of(model, known[model], catalog.folder, store.root)
    revision = commit_of(where, "model", known[model].revision) if isinstance(where, str) else None
    return Checkpoint(model, known[model], where, revision, {})


def configured(kind: type[Kind], data: dict[str, Any]) -> Kind:
    """A step, or what it is configured with, of these fields. Raises InputError with every fault of them."""
    made, faults = validate(kind, yamlfile.plain(data))
    if made is None:
        raise InputError("\n".join(f.message for f in faults))
    return made


def make(making: Making, bench: Bench, out: Path) -> dict[str, Any]:
    """Run a step and put its checkpoint at `out`, whole or not at all; what is to be told of it.

    Raises InputError where there is something at `out` already, and what the step raises.
    """
    if out.exists():
        raise InputError(f"--out {out}: is there already; name a folder that is not")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
    try:
        told = making.make(bench, work)
        (work / "checkpoint").rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return told
