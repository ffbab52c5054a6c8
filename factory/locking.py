"""Locks: what a plan reads, pinned: files by digest, revisions as resolved, models by what decides their answers.

The model: a lock is data of one form, be it a version's own `lock.yaml` or the `<recipe>.lock.yaml` beside a recipe.
`build --locked` takes revisions from the file beside the recipe and refuses whatever is not in it, line by line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hala_factory import benchmarks, yamlfile
from hala_factory.errors import Fault, InputError
from hala_factory.plan import Plan
from hala_factory.reader import Located
from hala_factory.step import Ask

KINDS = ("sources", "models", "benchmarks")
_HEAD = (
    "# What the recipe reads, pinned. Written by `hala-factory lock`; `build --locked` takes this and nothing else.\n"
)


def path_beside(recipe: Path, profile: str | None) -> Path:
    """The lock's file beside a recipe: `name.lock.yaml`, of a profile `name.profile.lock.yaml`."""
    return recipe.with_name(f"{recipe.stem}{f'.{profile}' if profile else ''}.lock.yaml")


def is_lock(path: Path) -> bool:
    """Whether a file is called as locks are."""
    return path.name.endswith(".lock.yaml")


def text(lock: dict[str, Any]) -> str:
    """A lock as the file beside a recipe holds it."""
    return _HEAD + yamlfile.dump(lock)


def read(path: Path, again: str) -> dict[str, Any]:
    """The lock of a file. Raises InputError where there is none; `again` is the command that writes it."""
    if not path.exists():
        raise InputError(Fault(yamlfile.display(path), 0, 0, f"there is no lock; write it with: {again}"))
    document = yamlfile.read(path)
    faults = [
        document.fault((kind,), f"expected a mapping {kind!r}; write the lock again with: {again}")
        for kind in KINDS
        if not isinstance(document.data.get(kind), dict)
    ]
    if faults:
        raise InputError(faults)
    return document.data


def refuse_other(lock: dict[str, Any], path: Path, plan: Plan, again: str) -> None:
    """Raise InputError with a line for everything in which a plan is not what is locked."""
    found = _plain(lock_of(plan))
    lines = [line for kind in KINDS for line in _differences(kind, _plain(lock[kind]), found[kind])]
    if lines:
        file = yamlfile.display(path)
        faults = [Fault(file, 0, 0, line) for line in lines]
        raise InputError([*faults, Fault(file, 0, 0, f"to take what is there now, write the lock again: {again}")])


def _differences(place: str, locked: Any, found: Any) -> Iterator[str]:
    if isinstance(locked, dict) and isinstance(found, dict):
        for key in [*locked, *(k for k in found if k not in locked)]:
            here = f"{place}.{key}"
            if key not in found:
                yield f"{here}: is locked, and the recipe does not read it"
            elif key not in locked:
                yield f"{here}: is not in the lock"
            else:
                yield from _differences(here, locked[key], found[key])
    elif locked != found:
        yield f"{place}: locked {_shown(locked)}, found {_shown(found)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:87]}…"


def _plain(value: Any) -> Any:
    """As it comes back from YAML: keys are text, and there are lists only."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def lock_of(plan: Plan) -> dict[str, Any]:
    """What the corpus was made from: files by digest, revisions as resolved, models by what decides their answers."""
    sources = {
        stage.use.source: {
            "hub": plan.ready.sources[stage.use.source].hub,
            "revision": stage.located.revision,
            "licence": plan.ready.sources[stage.use.source].licence,
            "files": {f.name: {"bytes": f.size, "digest": f.digest} for f in stage.located.files},
            **_came_with(stage.located),
        }
        for stage in plan.stages
        if stage.use and stage.located
    }
    models = {}
    for stage in plan.stages:
        for step in stage.steps:
            for field, asked_as in step.asked().items() if isinstance(step, Ask) else ():
                name, model = plan.ready.model(asked_as)
                identity = stage.engines[field].identity
                facts = model.model_dump(
                    mode="json", exclude_none=True, exclude={"endpoints", "api_key_env", "max_concurrency"}
                )
                models[name] = {
                    **facts,
                    "revision": identity.get("revision"),
                    "asked_as": asked_as,
                    "identity": identity,
                }
    tests = {
        name: {
            "hub": located.entry.hub,
            "revision": located.files.revision,
            "licence": located.entry.licence,
            "table": benchmarks.table_name(located),
            "files": {f.name: {"bytes": f.size, "digest": f.digest} for f in located.files.files},
        }
        for stage in plan.stages
        for name, located in stage.tests.items()
    }
    return {"sources": sources, "models": models, "benchmarks": tests}


def _came_with(located: Located) -> dict[str, Any]:
    """What a source that is a corpus brings: its version, and what it was made of in turn.

    Its files are pinned by the digest of its rows, which is what decides: their bytes hold measures besides.
    """
    corpus = located.corpus
    if corpus is None:
        return {}
    return {
        "corpus": corpus.artifact,
        "files": {f.name: {"digest": corpus.digest.removeprefix("sha256:")} for f in located.files},
        "origins": corpus.origins,
        "models": corpus.models,
    }
