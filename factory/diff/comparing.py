"""`diff`: the rows of two versions compared one by one, each difference with its cause.

The model:
- A version holds every row it ever saw, kept or not, so a row that is missing is either lost by a step or never read.
- Rows are matched by id; what differs in a matched row is found by 64-bit digests of its content (two texts that
  differ share one with a chance of 2⁻⁶⁴).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory.diff import causes
from hala_factory.diff.matching import match
from hala_factory.diff.version import Version

CHANGES = ("added", "removed", "changed")
_PLACE = ("file", "position", "part")


@dataclass(frozen=True)
class Compared:
    """What differs between the rows of two versions."""

    a: Version
    b: Version
    rows: pl.DataFrame
    """One line per row that differs, in the order of `b`, removed rows (in the order of `a`) behind: `change`,
    `id`, `source`, `origin` (in `b`, else in `a`), `columns` that differ, `why`, `by`, `because`, lines `a`, `b`.
    """
    same: int
    """Rows that both keep and that read the same."""
    moved: int
    """Of those, the ones that stand at another place of their source."""
    reasons: list[dict[str, Any]]
    """Rows that neither keeps, for different reasons: `a`, `b` (each `step.reason`), `rows`."""
    sizes: list[dict[str, Any]]
    """By source, of kept rows: `rows` and `chars`, each for `a` and `b`."""

    def counts(self) -> list[dict[str, Any]]:
        """Differences by kind, source and cause, the most frequent first."""
        counted = self.rows.group_by("change", "source", "why", "by", "because").len("rows")
        return counted.sort(
            "rows", "change", "source", "why", "by", "because", descending=[True, *[False] * 5]
        ).to_dicts()

    def totals(self) -> dict[str, int]:
        """How many rows were added, removed and changed."""
        found = dict(self.rows["change"].value_counts().iter_rows())
        return {change: found.get(change, 0) for change in CHANGES}

    def examples(self, shown: int) -> pl.DataFrame:
        """Of every kind of difference one row, then two, and so on, until there are `shown`."""
        each = pl.int_range(pl.len()).over("change", "why", "by", "because")
        return self.rows.with_columns(each=each).sort("each", maintain_order=True).head(shown).drop("each")


def compare(a: Version, b: Version) -> Compared:
    """Match the rows of two versions and say of each that differs why."""
    content = list(dict.fromkeys([*a.content, *b.content]))
    ours, theirs = a.seen(content), b.seen(content)
    pairs = match(ours, theirs)
    sides = [
        frame[pairs[name]].select(pl.all().name.prefix(f"{name}.")) for frame, name in ((ours, "a"), (theirs, "b"))
    ]
    both = pl.concat([pairs, *sides], how="horizontal")
    in_a, in_b = pl.col("a.kept").fill_null(False), pl.col("b.kept").fill_null(False)
    differs = [(pl.col(f"a.={c}").ne_missing(pl.col(f"b.={c}"))) for c in content]
    other = pl.any_horizontal(differs)
    moved = pl.any_horizontal(pl.col(f"a.{p}").ne_missing(pl.col(f"b.{p}")) for p in _PLACE)
    change = (
        pl.when(in_b & ~in_a)
        .then(pl.lit("added"))
        .when(in_a & ~in_b)
        .then(pl.lit("removed"))
        .when(in_a & in_b & other)
        .then(pl.lit("changed"))
    )
    both = both.with_columns(change=change)
    stays = both.filter(in_a & in_b & pl.col("change").is_null())
    return Compared(
        a,
        b,
        _caused(both.filter(pl.col("change").is_not_null()), ours, theirs, content, a, b),
        stays.height,
        stays.select(moved.sum()).item(),
        _reasons(both),
        _sizes(ours, theirs),
    )


def _caused(
    found: pl.DataFrame, ours: pl.DataFrame, theirs: pl.DataFrame, content: list[str], a: Version, b: Version
) -> pl.DataFrame:
    """The rows that differ, with what differs and why."""
    added = _flipped(found.filter(pl.col("change") == "added"), "b", _new_places(ours, theirs), a, b)
    removed = _flipped(found.filter(pl.col("change") == "removed"), "a", _new_places(theirs, ours), a, b)
    changed = found.filter(pl.col("change") == "changed")
    differing = [pl.when(pl.col(f"a.={c}").ne_missing(pl.col(f"b.={c}"))).then(pl.lit(c)) for c in content]
    changed = changed.select(*_head("b"), columns=pl.concat_list(differing).list.drop_nulls())
    changed = changed.hstack(causes.of_texts(changed, a, b))
    names = ("change", "id", "source", "origin", "columns", "why", "by", "because", "a", "b")
    told = pl.concat([frame.select(names) for frame in (added, removed, changed)])
    return told.sort("b", "a", nulls_last=True)


def _flipped(found: pl.DataFrame, here: str, places: pl.DataFrame, a: Version, b: Version) -> pl.DataFrame:
    """Rows that only the side `here` keeps: absent from the other altogether, or lost there by a step."""
    new = here == "b"
    gone, one, other = ("a", b, a) if new else ("b", a, b)
    status = pl.when(pl.col(f"{gone}.status") == "failed").then(pl.lit("failed")).otherwise(pl.lit("dropped"))
    head = found.select(
        *_head(here),
        *(pl.col(f"{here}.{p}").alias(p) for p in _PLACE),
        columns=pl.lit([], pl.List(pl.String)),
        step=pl.col(f"{gone}.step"),
        by=pl.col(f"{gone}.step") + "." + pl.col(f"{gone}.reason"),
        lost=pl.concat_str(pl.lit("was_" if new else "now_"), status),
        there=pl.col(gone).is_not_null(),
    )
    head = head.join(places, on=["source", *_PLACE], how="left", maintain_order="left", nulls_equal=True)
    head = head.with_columns(pl.col("replaced").fill_null(False))
    words = ("new_source", "edited_in_source", "new_in_source", "not_read")
    if not new:
        words = ("source_gone", "edited_away", "gone_from_source", "no_longer_read")
    absent = causes.of_absence(one, other, **dict(zip(("source", "edited", "files", "limit"), words, strict=True)))
    head = head.with_columns(why=pl.when("there").then("lost").otherwise(absent))
    return head.with_columns(because=causes.of_drops(head, gone, a, b))


def _new_places(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The places at which a row stands that the others do not have anywhere."""
    fresh = rows.join(others.select("id"), on="id", how="anti")
    return fresh.select("source", *_PLACE).unique().with_columns(replaced=pl.lit(True))


def _head(side: str) -> list[pl.Expr]:
    place = pl.struct(pl.col(f"{side}.{p}").alias(p) for p in _PLACE)
    return [
        pl.col("change"),
        pl.col(f"{side}.id").alias("id"),
        pl.col(f"{side}.source").alias("source"),
        place.alias("origin"),
        pl.col("a"),
        pl.col("b"),
    ]


def _reasons(both: pl.DataFrame) -> list[dict[str, Any]]:
    sides = [(pl.col(f"{s}.step") + "." + pl.col(f"{s}.reason")).alias(s) for s in "ab"]
    out = both.filter(~pl.col("a.kept") & ~pl.col("b.kept")).select(sides)
    counted = out.filter(pl.col("a").ne_missing(pl.col("b"))).group_by("a", "b").len("rows")
    return counted.sort("rows", "a", "b", descending=[True, False, False]).to_dicts()


def _sizes(ours: pl.DataFrame, theirs: pl.DataFrame) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for side, frame in (("a", ours), ("b", theirs)):
        summed = frame.filter("kept").group_by("source").agg(rows=pl.len(), chars=pl.col("chars").sum())
        for source, count, chars in summed.iter_rows():
            mine = found.setdefault(source, {"source": source, **{w: {"a": 0, "b": 0} for w in ("rows", "chars")}})
            mine["rows"][side], mine["chars"][side] = count, chars
    return [found[s] for s in sorted(found)]
