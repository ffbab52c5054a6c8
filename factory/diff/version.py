"""One version as `diff` reads it: every row it ever saw, with its fate and a digest of what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import rows
from hala_factory.errors import InputError

_HASH_SEED = 1


@dataclass(frozen=True)
class Version:
    """A finished version in its folder."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def artifact(self) -> str:
        """Its `name@version`."""
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """The Parquet files of kept rows (`data`) and of dropped ones. Raises InputError where one is missing."""
        found = {}
        for word in ("data", "dropped"):
            named = sorted(self.folder / name for name in self.manifest["files"] if name.startswith(f"{word}/"))
            gone = [path for path in named if not path.is_file()]
            if gone:
                raise InputError(
                    f"{gone[0]}: missing, though the manifest of {self.artifact} names it; build it again"
                )
            found[word] = named
        return found

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of kept rows."""
        return dict(pl.scan_parquet(self.files["data"]).collect_schema())

    @cached_property
    def content(self) -> list[str]:
        """The columns that are content: not measures, and not what says where the row came from."""
        return [c for c in self.schema if "." not in c and c not in ("id", "source", "origin")]

    @property
    def body(self) -> str:
        """The column that holds the text of a row."""
        return "messages" if "messages" in self.schema else "translation"

    @cached_property
    def steps(self) -> dict[str, dict[str, Any]]:
        """The configuration of each step, by its label, without what is not set."""
        return {
            s["label"]: {k: v for k, v in s.items() if v is not None and k not in ("label", "name")}
            for s in self.manifest["steps"]
        }

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of stage each step ran in: `filter`, `barrier` or `ask`."""
        return {label: stage["kind"] for stage in self.manifest["stages"] for label in stage["steps"]}

    def models_of(self, label: str) -> dict[str, Any]:
        """The models that answer for a step: what decides their answers, by the name the step asks for."""
        asked = {v for v in self.steps.get(label, {}).values() if isinstance(v, str)}
        return {
            m["asked_as"]: {"model": name, **m["identity"]}
            for name, m in self.manifest["lock"]["models"].items()
            if m["asked_as"] in asked
        }

    def seen(self, content: Iterable[str]) -> pl.DataFrame:
        """Every row, kept or not, by what `compare` needs to know of it.

        `id`, `source`, `file`, `position`, `part`, `kept`, `status`, `step`, `reason`, and of kept rows `chars` and
        a 64-bit digest of each column of `content` (called `=content`). Kept rows come first, as in the files,
        then the others: a row's number here is its line in `data`, or its line in `dropped` behind those.
        """
        origin = pl.col("origin").struct
        head = [
            pl.col("id"),
            pl.col("source"),
            *(origin.field(f).alias(f) for f in ("file", "position", "part")),
        ]
        kept = pl.scan_parquet(self.files["data"]).select(
            *head,
            kept=pl.lit(True),
            status=pl.lit("kept"),
            step=pl.lit(None, pl.String),
            reason=pl.lit(None, pl.String),
            chars=chars(self.body, self.schema),
            **{f"={c}": digest(c, self.schema) for c in content},
        )
        gone = pl.scan_parquet(self.files["dropped"]).select(*head, "status", "step", "reason", kept=pl.lit(False))
        return pl.concat([kept.collect(engine="streaming"), gone.collect(engine="streaming")], how="diagonal")

    def columns(self, wanted: Iterable[str], lines: pl.Series) -> pl.DataFrame:
        """These columns of these rows (by their numbers in `seen`), null where the version has no such column."""
        wanted = list(wanted)
        there = [c for c in wanted if c in self.schema]
        if not there:
            return pl.DataFrame({c: pl.Series([None], dtype=pl.Null).new_from_index(0, lines.len()) for c in wanted})
        frames = [pl.scan_parquet(self.files[word]).select(there).collect() for word in ("data", "dropped")]
        picked = pl.concat(frames)[lines]
        return picked.select(c if c in there else pl.lit(None).alias(c) for c in wanted)

    def row(self, line: int) -> dict[str, Any]:
        """One row, by its number in `seen`."""
        for word in ("data", "dropped"):
            for path in self.files[word]:
                height = pl.scan_parquet(path).select(pl.len()).collect().item()
                if line < height:
                    return pl.scan_parquet(path).slice(line, 1).collect().row(0, named=True)
                line -= height
        raise IndexError(line)


def chars(body: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Characters of the text of a row, all messages or languages together."""
    if schema[body] == rows.MESSAGES:
        lengths = pl.col(body).list.eval(pl.element().struct.field("content").str.len_chars())
        return lengths.list.sum().fill_null(0).cast(pl.Int64)
    struct = schema[body]
    assert isinstance(struct, pl.Struct)
    return pl.sum_horizontal(
        pl.col(body).struct.field(f.name).str.len_chars().fill_null(0) for f in struct.fields
    ).cast(pl.Int64)


def digest(column: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """64 bits over a column of a row; of a column that is not there, those of null."""
    return (pl.col(column) if column in schema else pl.lit(None, pl.String)).hash(_HASH_SEED)
