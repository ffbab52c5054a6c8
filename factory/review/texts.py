"""The texts of drawn rows, as turns with source and target side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from hala_factory.review.decks import Turn
from hala_factory.review.drawing import Picked


@dataclass(frozen=True)
class Sides:
    """Where the two sides of a row stand."""

    source_language: str | None
    """None where the rows were not translated."""
    target_language: str
    column: str
    """`messages`, or `translation`."""
    source_column: str | None = None
    """Of messages: the column that keeps what was translated."""

    def turns(self, row: dict[str, Any]) -> tuple[Turn, ...]:
        """The turns of a row; of one that was not translated (yet) what there is of it, as the target."""
        if self.column == "translation":
            texts = row["translation"] or {}
            source = texts.get(self.source_language) if self.source_language else None
            return (Turn("text", source, texts.get(self.target_language) or ""),)
        targets = row[self.column] or []
        sources = (row.get(self.source_column) if self.source_column else None) or []
        pairs = zip(targets, sources if len(sources) == len(targets) else [None] * len(targets), strict=True)
        return tuple(Turn(t["role"] or "user", s and s["content"], t["content"] or "") for t, s in pairs)


def texts_of(
    folder: Path, word: str, picked: Sequence[Picked], sides: Sides
) -> dict[tuple[int, int], tuple[Turn, ...]]:
    """The turns of rows of `data` or `dropped`, by file and line; only the row groups that hold them are read."""
    files = sorted((folder / word).glob("*.parquet"))
    columns = [sides.column, *([sides.source_column] if sides.source_column else [])]
    found: dict[tuple[int, int], tuple[Turn, ...]] = {}
    wanted: dict[int, set[int]] = {}
    for each in picked:
        wanted.setdefault(each.file, set()).add(each.line)
    for number, lines in wanted.items():
        start = 0
        with pq.ParquetFile(files[number]) as file:
            for group in range(file.num_row_groups):
                height = file.metadata.row_group(group).num_rows
                here = sorted(line for line in lines if start <= line < start + height)
                if here:
                    rows = pl.DataFrame(pl.from_arrow(file.read_row_group(group, columns=columns)))
                    for line in here:
                        found[number, line] = sides.turns(rows.row(line - start, named=True))
                start += height
    return found
