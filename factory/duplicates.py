"""Duplicates: what counts as the same text, and which of several rows comes first; all kinds of dedup share it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hala_factory import rows, shingles, text


def spelt(frame: pl.DataFrame, path: str) -> pl.Series:
    """The matching key of every message (or language) at a path, joined as `rows.text` joins them.

    One of which no letter or sign is left stands as it is, behind `=`: texts of nothing but punctuation are never
    lumped together.
    """
    column, _, part = path.partition(".")
    if not column.startswith("messages"):
        texts = pl.concat_list(pl.col(column).struct.field(part or "*"))
    else:
        messages = pl.col(column)
        if part:
            messages = messages.list.filter(pl.element().struct.field("role") == part)
        texts = messages.list.eval(pl.element().struct.field("content")).fill_null([])
    parts = frame.select(texts).to_series()
    said = parts.explode(empty_as_null=False).fill_null("").alias("said")
    keys = pl.DataFrame({"said": said, "key": text.matching_keys(said)})
    read = keys.select(pl.when(pl.col("key") != "").then("key").otherwise(pl.concat_str(pl.lit("="), "said")))
    return shingles.lists(read.to_series(), parts.list.len()).list.join(rows.JOIN)


def path_in(columns: Sequence[str], path: str, on: str, against_on: str | None) -> str:
    """Where the texts at `path` stand in these rows, which may be those of an earlier corpus.

    Those have the column of `against_on`, and hold in it what `on` holds here.
    """
    ours, theirs = on.partition(".")[0], (against_on or on).partition(".")[0]
    if theirs == ours or theirs not in columns:
        return path
    if path == on and against_on:
        return against_on
    return path.replace(ours, theirs, 1) if path.partition(".")[0] == ours else path


def against_faults(columns: dict[str, pl.DataType], on: str, against_on: str | None) -> list[tuple[str, str]]:
    """What is wrong with comparing `on` here with `against_on` in an earlier corpus: (field, message)."""
    column = (against_on or on).partition(".")[0]
    if column != on.partition(".")[0] and column in columns:
        return [("against_on", f"the rows have {column!r} here, too, so it cannot tell the earlier ones from them")]
    return []


def rank(sources: Sequence[str], prefer: Sequence[str]) -> pl.Expr:
    """Which row comes first: those of an earlier corpus, then the sources in order of preference, then as listed."""
    order = [*prefer, *(s for s in sources if s not in prefer)]
    listed = pl.col("source").replace_strict(order, list(range(len(order))), default=len(order), return_dtype=pl.Int32)
    return pl.when("earlier").then(pl.lit(-1, pl.Int32)).otherwise(listed)


def stays(against: str | None) -> pl.Expr:
    """The row that stays: `<cluster> of <of>`, and in which earlier version it stands if it is `before`."""
    named = pl.format("{} of {}", "cluster", "of")
    return pl.when("before").then(pl.format("{} in {}", named, pl.lit(against or ""))).otherwise(named)
