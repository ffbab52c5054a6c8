"""Findings: how much of a kind of dirt is found in a data set, what falls beside it, and what was hoped for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from real import DATA, Pair

from hala_factory import rows
from hala_factory.run.barring import index_head
from hala_factory.step import Barrier, Filter, Normaliser

SIDES: dict[str, Any] = {"source": "translation.en", "target": "translation.ar"}
"""The two texts of a pair row, for the fields of a pair filter."""


class Finding(NamedTuple):
    """What a step made of the rows of a data set that hold a kind of dirt, of those that do not, or of both."""

    kind: str
    """The dirt."""
    data: str
    step: str
    dirty: int = 0
    """Rows that hold it."""
    found: int = 0
    """How many of them fall (or are repaired)."""
    clean: int = 0
    """Rows that do not hold it."""
    fallen: int = 0
    """How many of those fall all the same."""
    least: float | None = None
    """The goal: smallest share that is found."""
    most: float | None = None
    """The goal: largest share of clean rows that fall."""
    label: str = ""
    """How it is known which rows hold it, where the table above does not say."""
    missed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """The rows that were not found, and the clean ones that fell, to be read."""

    @property
    def recall(self) -> float | None:
        """The share of the dirt that is found."""
        return self.found / self.dirty if self.dirty else None

    @property
    def false_drops(self) -> float | None:
        """The share of clean rows that fall."""
        return self.fallen / self.clean if self.clean else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; none where none was set."""
        asked = [(self.recall, self.least, 1), (self.false_drops, self.most, -1)]
        told = [sign * (share - bound) >= 0 for share, bound, sign in asked if share is not None and bound is not None]
        return all(told) if told else None

    @property
    def goal(self) -> str:
        """The goal in words."""
        parts = []
        if self.least is not None and self.dirty:
            parts.append("all" if self.least == 1 else f"≥ {100 * self.least:g} %")
        if self.most is not None and self.clean:
            parts.append("none falls" if self.most == 0 else f"≤ {100 * self.most:g} % fall")
        return ", ".join(parts)


def weighed(
    kind: str, data: str, step: str, told: Iterable[tuple[object, bool, bool]], **bounds: float | str | None
) -> Finding:
    """The finding of rows of which each is told by its text, whether it is dirty, and whether it fell."""
    told = list(told)
    dirty = [(text, fell) for text, is_dirty, fell in told if is_dirty]
    clean = [(text, fell) for text, is_dirty, fell in told if not is_dirty]
    missed, lost = ([text for text, fell in dirty if not fell], [text for text, fell in clean if fell])
    return Finding(
        *(kind, data, step, len(dirty), len(dirty) - len(missed), len(clean), len(lost)),
        missed=tuple(map(_shown, missed)),
        lost=tuple(map(_shown, lost)),
        **bounds,
    )


def _shown(text: object) -> str:
    sides = text if isinstance(text, tuple) else (text,)
    return " → ".join(" ".join(str(side).split())[:160] for side in sides)


# Rows, and what steps make of them


def texts(found: Sequence[str]) -> pl.DataFrame:
    """Texts as rows, each with its place in one file; their path is `text.x`."""
    held = {"text": [{"x": text} for text in found], "origin": _places("texts", len(found))}
    return pl.DataFrame(held, schema={"text": pl.Struct({"x": pl.String}), "origin": rows.HEAD["origin"]})


def frame(pairs: Sequence[Pair]) -> pl.DataFrame:
    """Pairs as pair rows, each with its place in one file."""
    spelt = [{"en": source, "ar": target} for source, target in pairs]
    types = {"translation": rows.translation_type(["en", "ar"]), "origin": rows.HEAD["origin"]}
    return pl.DataFrame({"translation": spelt, "origin": _places("pairs", len(pairs))}, schema=types)


def chat(pairs: Sequence[Pair]) -> pl.DataFrame:
    """Prompts and answers as instruction rows, each with its place in one file."""
    spelt = [[{"role": "user", "content": a}, {"role": "assistant", "content": b}] for a, b in pairs]
    types = {"messages": rows.MESSAGES, "origin": rows.HEAD["origin"]}
    return pl.DataFrame({"messages": spelt, "origin": _places("chats", len(pairs))}, schema=types)


def _places(file: str, count: int) -> list[dict[str, object]]:
    return [{"file": file, "position": n + 1, "part": 0} for n in range(count)]


def reasons(step: Filter, table: pl.DataFrame) -> pl.Series:
    """The reason for which every row falls, or null."""
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
    return step.measure(table).select(reason=pl.coalesce([*asked, pl.lit(None, pl.String)]))["reason"]


def falls(step: Filter, table: pl.DataFrame) -> list[bool]:
    """Whether every row falls."""
    return reasons(step, table).is_not_null().to_list()


def changed(step: Normaliser, table: pl.DataFrame) -> pl.DataFrame:
    """The rows as a normaliser leaves them."""
    return step.normalise(table)[0]


def decided(step: Barrier, *sources: tuple[str, pl.DataFrame]) -> pl.DataFrame:
    """What falls of sources at a barrier: `source`, `row`, `reason` and `detail`."""
    index = []
    for shard, (name, table) in enumerate(sources):
        named = table.with_columns(id=pl.int_range(pl.len()).cast(pl.String), source=pl.lit(name))
        head = index_head(named, shard, 0, earlier=False)
        index.append(
            pl.concat([head, pl.concat(step.index(part) for part in named.iter_slices(8_192))], how="horizontal")
        )
    names = [name for name, _ in sources]
    told = step.decide(pl.concat(index).lazy(), names).collect().filter(pl.col("reason").is_not_null())
    return told.select("row", "reason", "detail", source=pl.col("shard").replace_strict(dict(enumerate(names))))


def barred(step: Barrier, table: pl.DataFrame) -> list[bool]:
    """Whether every row of one source falls at a barrier."""
    gone = set(decided(step, ("rows", table))["row"])
    return [row in gone for row in range(table.height)]


# What is printed


def table(findings: Iterable[Finding]) -> str:
    """The findings as a Markdown table."""
    head = ["dirt", "data set", "step", "rows", "found", "clean rows", "false drops", "goal", "met"]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *map(_line, findings)])


def _line(of: Finding) -> str:
    met = {True: "yes", False: "**no**", None: ""}[of.met]
    cells = [of.kind, of.data, of.step, _count(of.dirty), _part(of.found, of.recall), _count(of.clean)]
    return f"| {' | '.join([*cells, _part(of.fallen, of.false_drops), of.goal, met])} |"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _part(count: int, share: float | None) -> str:
    if share is None:
        return ""
    return f"{count:,} ({100 * share:.2f} %)" if 0 < share < 1 else "all" if share else "0"


def read_rows(findings: Iterable[Finding], most: int) -> Iterator[str]:
    """Up to so many rows of every finding that were missed or fell wrongly, a line each."""
    for of in findings:
        for told, some in (("not found", of.missed), ("fell", of.lost)):
            if some:
                yield f"\n{of.kind}, {of.data} ({of.step}): {told}"
                # Evenly spread, so that the first file is not all that is read.
                yield from (f"  {some[n * len(some) // min(most, len(some))]}" for n in range(min(most, len(some))))


def spelt(of: Finding) -> dict[str, Any]:
    """A finding for `--json`."""
    kept = {name: value for name, value in of._asdict().items() if name not in ("missed", "lost")}
    return {**kept, "recall": of.recall, "false_drops": of.false_drops, "met": of.met}


def report(makers: dict[str, Callable[[Path], Iterable[Finding]]], doc: str, argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, and answer the exit status: 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--json", action="store_true", help="one finding a line")
    parser.add_argument("--read", type=int, default=0, metavar="N", help="print up to N rows of each wrong verdict")
    if len(makers) > 1:
        parser.add_argument("--only", choices=makers, action="append", help="a part of it; may be given again")
    asked = parser.parse_args(argv)
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    found: list[Finding] = []
    for name in getattr(asked, "only", None) or makers:
        print(f"{name} …", file=sys.stderr)
        found += (of for of in makers[name](asked.data) if of.dirty or of.clean)
    print("\n".join(json.dumps(spelt(of), ensure_ascii=False) for of in found) if asked.json else table(found))
    if asked.read:
        print("\n".join(read_rows(found, asked.read)), file=sys.stderr if asked.json else sys.stdout)
    missed = [of for of in found if of.met is False]
    print(f"{len(missed)} of {sum(of.met is not None for of in found)} goals are missed", file=sys.stderr)
    return 1 if missed else 0
