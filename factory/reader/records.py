"""Takes from raw records what a row needs: texts, turns, trees, and the columns that `where` and `subset` name.

The model:
- What is taken is a frame with one line per row to be: `record` (how many records of the source are consumed
  with it), `file`, `position`, `reason` and `detail` of a fault, `unread`, and the taken columns.
- The careful way looks at one record at a time (`variants`) and is the definition; the quick way takes a
  column at once, and hands a chunk with anything unusual in it to the careful one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any

import polars as pl
import pyarrow as pa

from hala_factory.reader.columns import OPTIONAL, Wanted
from hala_factory.reader.values import printable, spell, spell_scalar, value_at
from hala_factory.reader.variants import TURN_KEYS, Broken, variants

RAW_CHARS = 2_000  # of the record's own text that stand in the detail of a failed row


@dataclass(frozen=True)
class Chunk:
    """Some consecutive records of one file."""

    records: Sequence[Any] | pa.Table
    positions: Sequence[int]
    """1-based line or record of each; a blank line is no record, but has a number."""
    end: int
    """How many lines or records of the file are consumed after this chunk."""


@dataclass
class Taken:
    """The columns taken from a chunk; `index` says which record each line comes from."""

    index: Sequence[int]
    columns: dict[str, pl.Series]
    faults: dict[int, tuple[str, str, bool]] = field(default_factory=dict)
    """Line → reason, detail, and whether the record was unreadable."""

    def frame(self, file: str, positions: Sequence[int], base: int) -> pl.DataFrame:
        """One line per row to be; `base` is the number of records in the files before this one."""
        height = len(self.index)
        places = positions if isinstance(self.index, range) else [positions[i] for i in self.index]
        reason: list[str | None] = [None] * height
        detail: list[str | None] = [None] * height
        unread = [False] * height
        for line, (why, evidence, blind) in self.faults.items():
            reason[line], detail[line], unread[line] = why, evidence, blind
        place = pl.Series("position", places, pl.Int64)
        ledger = {"reason": pl.Series(reason, dtype=pl.String), "detail": pl.Series(detail, dtype=pl.String)}
        frame = pl.DataFrame({"record": place + base, "position": place, "unread": unread, **ledger})
        taken = [column.alias(name) for name, column in self.columns.items()]
        return frame.hstack(taken).with_columns(pl.lit(file).alias("file"))


def take(records: Sequence[Any], wanted: Wanted) -> Taken:
    """What rows need from records that are Python values."""
    if wanted.tree is None:
        try:
            return _quick(records, wanted)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # something unusual is in it, and the careful way can say what and where
    return careful(records, wanted)


def _quick(records: Sequence[Any], wanted: Wanted) -> Taken:
    columns: dict[str, pl.Series] = {}
    for name, path in wanted.texts.items():
        if name in OPTIONAL:
            columns[name] = _texts(_optional(records, path))
        else:
            columns[name] = _complete(list(map(_getter(path), records)))
    if wanted.turns is not None:
        talks = list(map(_getter(wanted.turns), records))
        first = next((talk[0] for talk in talks if talk), {"role": "", "content": ""})
        role, content = next(keys for keys in TURN_KEYS if keys[0] in first)
        turns = [turn for talk in talks for turn in talk]
        columns["messages"] = _lists(
            [len(talk) for talk in talks],
            _complete([turn[role] for turn in turns]),
            _complete([turn[content] for turn in turns]),
        )
    for path in wanted.scalars:
        columns[f"raw:{path}"] = _scalars(_optional(records, path))
    return Taken(range(len(records)), columns)


def _getter(path: str) -> Callable[[Any], Any]:
    return itemgetter(path) if "." not in path else lambda record: value_at(record, path)


def _optional(records: Sequence[Any], path: str) -> list[Any]:
    if "." in path:
        return [value_at(record, path, None) for record in records]
    return [record.get(path) for record in records]


def _texts(values: list[Any]) -> pl.Series:
    """Refuses what is neither text nor null (TypeError), and text that is not Unicode (ValueError)."""
    return pl.Series(values, dtype=pl.String, strict=True)


def _complete(values: list[Any]) -> pl.Series:
    texts = _texts(values)
    if texts.null_count():
        raise ValueError("a needed value is null")
    return texts


def _scalars(values: list[Any]) -> pl.Series:
    return _texts([None if v is None else spell_scalar(v) for v in values])


def _lists(lengths: list[int], role: pl.Series, content: pl.Series, mask: list[bool] | None = None) -> pl.Series:
    offsets = pl.Series(list(accumulate(lengths, initial=0)), dtype=pl.Int64).to_arrow()
    turns = pl.DataFrame({"role": role, "content": content}).to_struct().to_arrow(compat_level=pl.CompatLevel.oldest())
    missing = None if mask is None else pl.Series(mask, dtype=pl.Boolean).to_arrow()
    return pl.Series(pa.LargeListArray.from_arrays(offsets, turns, mask=missing))


def careful(records: Sequence[Any], wanted: Wanted) -> Taken:
    """What rows need from records, one at a time; every fault is found and says what it is."""
    index: list[int] = []
    faults: dict[int, tuple[str, str, bool]] = {}
    texts: dict[str, list[str | None]] = {name: [] for name in wanted.texts}
    talks: list[list[tuple[str, str]] | None] = []
    scalars: dict[str, list[str | None]] = {path: [] for path in wanted.scalars}
    for i, record in enumerate(records):
        for found, talk, wrong in variants(record, wanted):
            if wrong:
                unread = isinstance(record, Broken) or not isinstance(record, dict)
                raw = record.raw if isinstance(record, Broken) else spell(record)
                message = "; ".join(str(fault) for fault in wrong)
                faults[len(index)] = (wrong[0].reason, f"{message}: {printable(raw)[:RAW_CHARS]}", unread)
            index.append(i)
            talks.append(talk)
            for name in texts:
                texts[name].append(found.get(name))
            for path in scalars:
                value = value_at(record, path, None) if isinstance(record, dict) else None
                scalars[path].append(None if value is None else printable(spell_scalar(value)))
    columns = {name: _texts(values) for name, values in texts.items()}
    if wanted.turns is not None or wanted.tree is not None:
        flat = [turn for talk in talks if talk is not None for turn in talk]
        columns["messages"] = _lists(
            [len(talk or ()) for talk in talks],
            _texts([role for role, _ in flat]),
            _texts([content for _, content in flat]),
            mask=[talk is None for talk in talks],
        )
    columns |= {f"raw:{path}": _texts(values) for path, values in scalars.items()}
    return Taken(index, columns, faults)
