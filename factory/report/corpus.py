"""The files of one corpus, and an even sample of its rows that is small whatever the corpus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import rows

MAX_ROWS = 60_000
"""Rows that histograms are drawn from, kept ones and lost ones each: enough for bins right to one in a hundred."""
_LOST = ("step", "reason", "status")


@dataclass(frozen=True)
class Corpus:
    """A corpus in its folder: `data/` holds kept rows, `dropped/` the others."""

    folder: Path

    def files(self, word: str) -> list[Path]:
        """The Parquet files of a part."""
        return sorted((self.folder / word).glob("*.parquet"))

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of kept rows."""
        return dict(pl.scan_parquet(self.files("data")).collect_schema())

    @property
    def texts(self) -> list[str]:
        """The columns that hold texts."""
        return [
            c
            for c, t in self.schema.items()
            if "." not in c and c not in rows.HEAD and (t == rows.MESSAGES or isinstance(t, pl.Struct))
        ]

    @property
    def measures(self) -> list[str]:
        """The columns that hold measures which can be counted or drawn."""
        kinds = (pl.Boolean, pl.String)
        return [c for c, t in self.schema.items() if "." in c and (t.is_numeric() or t in kinds)]

    @cached_property
    def sample(self) -> tuple[pl.DataFrame, int]:
        """Measures and characters of evenly drawn rows, kept (`status` null) and lost; and of how many each is one."""
        found, every = [], 1
        for word in ("data", "dropped"):
            scan = pl.scan_parquet(self.files(word))
            height = scan.select(pl.len()).collect().item()
            step = -(-height // MAX_ROWS) or 1
            every = max(every, step)
            lost = _LOST if word == "dropped" else ()
            taken = scan if step == 1 else scan.gather_every(step)
            found.append(taken.select("source", *lost, *self.measures, self.chars()).collect())
        return pl.concat(found, how="diagonal"), every

    def chars(self) -> pl.Expr:
        """Characters of the text of a row, all its messages or languages together."""
        name = "messages" if "messages" in self.schema else self.texts[0]
        kind = self.schema[name]
        if isinstance(kind, pl.Struct):
            parts = [pl.col(name).struct.field(f.name).str.len_chars().fill_null(0) for f in kind.fields]
            return pl.sum_horizontal(parts).cast(pl.Int64).alias("chars")
        content = pl.col(name).list.eval(pl.element().struct.field("content").str.len_chars())
        return content.list.sum().fill_null(0).cast(pl.Int64).alias("chars")

    def rows(self, word: str, lines: Iterable[int]) -> list[dict[str, Any]]:
        """These rows of a part, by their lines over all its files, in order."""
        wanted = pl.Series("lines", sorted(set(lines)), dtype=pl.UInt32)
        if not wanted.len():
            return []
        scan = pl.scan_parquet(self.files(word)).with_row_index("\x1eline")
        picked = scan.filter(pl.col("\x1eline").is_in(wanted.implode())).drop("\x1eline")
        return picked.collect(engine="streaming").to_dicts()
