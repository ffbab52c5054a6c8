"""Which row of one version is which row of the other: by id, and among rows of one id by where they stood."""

from __future__ import annotations

import polars as pl

_PLACE = ("file", "position", "part")


def match(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Pairs of line numbers, `a` and `b`, each line exactly once; null on one side where the other has no such row.

    Rows of one id (equal rows of one source) are told apart by `origin`; those whose origin the other version does
    not have are paired in the order of their origins, so that a line inserted above them is no difference.
    """
    sides = [
        frame.select(pl.col("id").fill_null(""), "source", *_PLACE).with_row_index(name)
        for frame, name in ((a, "a"), (b, "b"))
    ]
    many = pl.concat([s.filter(pl.col("id").is_duplicated()).select("id") for s in sides]).unique()
    one_a, one_b = (s.select("id", name).join(many, on="id", how="anti") for s, name in zip(sides, "ab", strict=True))
    single = one_a.join(one_b, on="id", how="full", coalesce=True).select("a", "b")
    if not many.height:
        return single
    left, right = (s.join(many, on="id", how="semi") for s in sides)
    at_place = left.join(right, on=["id", "source", *_PLACE], how="inner", nulls_equal=True).select("a", "b")
    left, right = (
        s.join(at_place, on=name, how="anti")
        .sort("id", "source", *_PLACE, name)
        .select("id", "source", name, turn=pl.int_range(pl.len()).over("id", "source"))
        for s, name in ((left, "a"), (right, "b"))
    )
    rest = left.join(right, on=["id", "source", "turn"], how="full", coalesce=True).select("a", "b")
    return pl.concat([single, at_place, rest])
