"""Lineage: which of a recipe's sources a row came through, where some of them are corpora of the store.

The model: a row from a corpus keeps the id, the licence and the `source` that it had there, so the sources of rows may
be others than those that the recipe names. `origin.file` then is `<source of the recipe>:<file of the corpus>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

_JOINT = ":"


def file_in(use: str, file: str) -> str:
    """`origin.file` of rows that came through `use` from a file of a corpus."""
    return f"{use}{_JOINT}{file}"


def corpora(locked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The sources of a lock that are corpora."""
    return [name for name, entry in locked.items() if entry.get("corpus")]


def through(corpora: Iterable[str], source: pl.Expr, file: pl.Expr) -> pl.Expr:
    """The recipe's source that rows came through, given their `source` and the file of their origin."""
    found = source
    for use in corpora:
        found = pl.when(file.str.starts_with(use + _JOINT)).then(pl.lit(use)).otherwise(found)
    return found


def row_sources(locked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The sources that rows may have, in the order in which the recipe reads them."""
    named = (name for use, entry in locked.items() for name in (entry["origins"] if entry.get("corpus") else [use]))
    return list(dict.fromkeys(named))


def came_from(row: Mapping[str, Any], locked: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """The corpus (`name@version`) and its file that a row came from; None: from no corpus."""
    use, joint, file = str(row["origin"]["file"]).partition(_JOINT)
    entry = locked.get(use, {})
    return (str(entry["corpus"]), file) if joint and entry.get("corpus") else None
