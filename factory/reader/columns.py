"""Which raw columns the rows of a source are made from, and whether a file has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hala_factory.catalog import Source
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.reader.values import names_in, value_at

OPTIONAL = frozenset({"input", "system"})
"""Fields that a record may lack."""

_NOWHERE = object()


@dataclass(frozen=True)
class Wanted:
    """Which raw columns a source's rows are made from; a path may be dotted (`translation.en`)."""

    texts: dict[str, str]
    """Field (`prompt`, …, or a language code) → raw column."""
    turns: str | None
    tree: str | None
    scalars: tuple[str, ...]
    """Raw columns that `where` and `subset` look at."""

    @property
    def columns(self) -> list[str]:
        """Every raw column."""
        bodies = [c for c in (self.turns, self.tree) if c is not None]
        return list(dict.fromkeys([*self.texts.values(), *bodies, *self.scalars]))

    @property
    def optional(self) -> set[str]:
        """The raw columns that a record may lack."""
        return {path for name, path in self.texts.items() if name in OPTIONAL}


def wanted(source: Source, where: dict[str, Any]) -> Wanted:
    """What rows of `source` are made from, under the conditions `where` (raw column → accepted values)."""
    mapping = source.mapping
    turns, tree = mapping.get("conversation"), mapping.get("tree")
    if source.rows == "pair":
        turns = tree = None
    scalars = [*where, *([source.subset] if source.subset else [])]
    texts = {} if turns or tree else dict(mapping)
    return Wanted(texts, turns, tree, tuple(dict.fromkeys(scalars)))


def expect(file: str, needed: Iterable[str], there: Collection[str]) -> None:
    """Raises InputError where a whole file lacks columns: naming it, each of them, and the ones there are."""
    faults = []
    for path in needed:
        if path not in there:
            hint = did_you_mean(path, there)
            if hint.startswith("; did"):
                hint += f" The columns are: {', '.join(sorted(there))}"
            faults.append(Fault(file, 0, 0, f"there is no column {path!r}{hint}"))
    if faults:
        raise InputError(faults)


def expect_in_some(file: str, records: Sequence[Any], wanted: Wanted) -> None:
    """The same for records that name their columns one by one: each is to be in at least one of the first."""
    found = [record for record in records if isinstance(record, dict)]
    needed = [path for path in wanted.columns if path not in wanted.optional]
    missing = [path for path in needed if not any(value_at(r, path, _NOWHERE) is not _NOWHERE for r in found)]
    if found and missing:
        expect(file, missing, {name for record in found for name in names_in(record)} - set(missing))
