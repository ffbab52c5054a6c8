"""The graph of recipes: what an artifact is made of that other recipes make, in the order in which to build it.

The model:
- A recipe needs what the `ref`s of its sources, models and rows name. Which recipe makes that is looked up by name,
  beside the recipe that names it and then in the project.
- A profile is that of the whole graph: a recipe that has one of that name is built by it, another as it stands. So a
  `ref` without a version means what the recipe of that name makes under the profile.
- A `ref` with a version is built only where its recipe makes that version; else it has to stand in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hala_factory import recipe as corpora
from hala_factory import yamlfile
from hala_factory.catalog import Loaded
from hala_factory.errors import InputError
from hala_factory.recipe import Ready
from hala_factory.step import Ask
from hala_factory.store import Store

if TYPE_CHECKING:
    from hala_factory.models.recipe import ReadyModel

Known: TypeAlias = "dict[tuple[Path, str | None], Ready | ReadyModel]"
"""Recipes that were read already, by their file and profile."""


@dataclass(frozen=True)
class Node:
    """One recipe of a graph, and what it needs of the others."""

    name: str
    version: str
    file: Path
    profile: str | None
    """The profile of the graph, where the recipe has it."""
    makes: str
    """`corpus` or `model`."""
    needs: tuple[str, ...]
    """The names of recipes whose artifacts it is made of."""

    @property
    def artifact(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Graph:
    """The recipes that an artifact is made by, what is needed first; the last is that of the artifact itself."""

    nodes: tuple[Node, ...]
    catalog: Loaded
    """The catalog, whose refs name the versions that these recipes make."""

    @property
    def before(self) -> tuple[Node, ...]:
        """All but the last."""
        return self.nodes[:-1]


def lay_out(
    file: Path,
    profile: str | None,
    catalog: Loaded,
    place: Callable[[str, Path], Path | None],
    store: Store,
    known: Known | None = None,
) -> Graph:
    """The graph of a recipe. `place` tells the file of a recipe by its name and the folder of the one that names it.

    Who asks for many graphs of one catalog gives them one `known`, so that every recipe is read once.
    Raises InputError where a recipe is wrong, where one needs what itself is made of, where there is no recipe for a
    `ref` without a version, and where a recipe makes another version than a `ref` names that is not in the store.
    """
    nodes: dict[str, Node] = {}

    def visit(file: Path, asked: str | None, trail: tuple[str, ...]) -> Node:
        ready = _load(file, asked, catalog, {} if known is None else known, strict=not trail)
        name, version = ready.recipe.name, ready.recipe.version
        if name in trail:
            raise InputError(f"{file}: {' needs '.join([*trail[trail.index(name) :], name])}: a recipe needs itself")
        if name in nodes:
            return nodes[name]
        needed = []
        for ref in refs(ready):
            wanted, _, pinned = ref.partition("@")
            found = place(wanted, file.parent)
            made = visit(found, profile, (*trail, name)) if found is not None else None
            if made is not None and pinned in ("", made.version):
                needed.append(wanted)
            elif not pinned:
                raise InputError(f"{file}: ref {ref!r}: there is no recipe {wanted!r} beside it or in the project")
            elif made is not None and not _standing(wanted, pinned, store):
                other = f"its recipe makes {made.version}"
                raise InputError(f"{file}: ref {ref!r} is not in {store.root}, and {other}: name that, or no version")
        nodes[name] = Node(name, version, file, ready.profile, ready.recipe.kind, tuple(dict.fromkeys(needed)))
        return nodes[name]

    last = visit(file, profile, ())
    wanted = _reached(last, nodes)
    chosen = [node for node in nodes.values() if node.name in wanted]  # a recipe comes after all that it needs
    return Graph(tuple(chosen), catalog.pinned({node.name: node.version for node in chosen}))


def refs(ready: Ready | ReadyModel) -> list[str]:
    """What a recipe names of what others make: `name` or `name@version`, each once."""
    found: list[str | None] = []
    held = ready.catalog.catalog
    if isinstance(ready, Ready):
        found += [entry.ref for entry in ready.sources.values()]
        asks = [step for step in ready.recipe.steps if isinstance(step, Ask)]
        found += [ready.model(name)[1].ref for step in asks for name in step.asked().values()]
    else:
        found.append(ready.base.ref if ready.base else None)
        for step in ready.recipe.steps:
            found += [held.models[name].ref for name in step.models().values()]
            for rows in step.data().values():
                found += [rows.corpus, held.sources[rows.source].ref if rows.source else None]
    return list(dict.fromkeys(ref for ref in found if ref))


def _load(file: Path, profile: str | None, catalog: Loaded, known: Known, *, strict: bool) -> Ready | ReadyModel:
    """A recipe under a profile: as it stands where it has no such profile and is not the one asked for."""
    document = yamlfile.read(file)
    has: Any = document.data.get("profiles") or {}
    chosen = profile if strict or (isinstance(has, dict) and profile in has) else None
    if (file, chosen) not in known:
        if document.data.get("kind") == "model":
            from hala_factory.models import recipe as models  # brings all that models are made with

            known[file, chosen] = models.load(file, catalog, chosen)
        else:
            known[file, chosen] = corpora.load(file, catalog, chosen)
    return known[file, chosen]


def _standing(name: str, version: str, store: Store) -> bool:
    return any((f(name, version) / "manifest.json").is_file() for f in (store.corpus, store.model))


def _reached(last: Node, nodes: dict[str, Node]) -> set[str]:
    found, todo = set[str](), [last.name]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += nodes[name].needs
    return found
