"""Takes from raw records what a row needs: texts, turns, trees, and the columns that `where` and `subset` name.

The model:
- What is taken is a frame with one line per row to be: `record` (how many records of the source are consumed
  with it), `file`, `position`, `reason` and `detail` of a fault, `unread`, and the taken columns.
- The careful way looks at one record at a time and is the definition; the quick way takes a column at once,
  and hands a chunk with anything unusual in it to the careful one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from hala_factory.catalog import Source
from hala_factory.errors import Fault, InputError, did_you_mean

RAW_CHARS = 2_000  # of the record's own text that stand in the detail of a failed row

_SURROGATE = re.compile("[\ud800-\udfff]")  # how bytes that are not UTF-8 stand in Python text

OPTIONAL = frozenset({"input", "system"})
"""Fields that a record may lack."""

TURN_KEYS = (("from", "value"), ("role", "content"))
"""The names that role and text of a turn go by: ShareGPT's, then OpenAI's."""


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


def names_in(record: dict[str, Any]) -> list[str]:
    """The columns of a record, nested ones dotted."""
    names = []
    for name, value in record.items():
        names.append(name)
        if isinstance(value, dict):
            names += [f"{name}.{inner}" for inner in names_in(value)]
    return names


@dataclass(frozen=True)
class Broken:
    """A record that could not even be read as one."""

    reason: str
    detail: str
    raw: str


@dataclass(frozen=True)
class Chunk:
    """Some consecutive records of one file."""

    records: Sequence[Any] | pa.Table
    positions: Sequence[int]
    """1-based line or record of each; a blank line is no record, but has a number."""
    end: int
    """How many lines or records of the file are consumed after this chunk."""


class Unfit(Exception):
    """Why a record cannot become a row: a reason, and what was expected and found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Taken:
    """The columns taken from a chunk; `index` says which record each line comes from."""

    index: Sequence[int]
    columns: dict[str, pa.Array]
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
        taken = pl.from_arrow(pa.table(self.columns)) if self.columns else pl.DataFrame()
        assert isinstance(taken, pl.DataFrame)
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
    columns: dict[str, pa.Array] = {}
    for name, path in wanted.texts.items():
        if name in OPTIONAL:
            columns[name] = pa.array(_optional(records, path), pa.large_string())
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


def _complete(values: list[Any]) -> pa.Array:
    array = pa.array(values, pa.large_string())  # refuses what is not text, and text that is not Unicode
    if array.null_count:
        raise ValueError("a needed value is null")
    return array


def _scalars(values: list[Any]) -> pa.Array:
    return pa.array([None if v is None else spell_scalar(v) for v in values], pa.large_string())


def _lists(lengths: list[int], role: pa.Array, content: pa.Array, mask: list[bool] | None = None) -> pa.Array:
    offsets = pa.array(accumulate(lengths, initial=0), pa.int64())
    turns = pa.StructArray.from_arrays([role, content], ["role", "content"])
    missing = None if mask is None else pa.array(mask, pa.bool_())
    return pa.LargeListArray.from_arrays(offsets, turns, mask=missing)


_NONE, _NOWHERE = object(), object()


def value_at(record: Any, path: str, default: Any = _NONE) -> Any:
    """The value at a dotted path; a column whose own name has a dot in it comes first.

    Below a null everything is null. Raises KeyError (or gives `default`) where the record lacks it.
    """
    if not isinstance(record, dict):
        raise TypeError("expected an object")
    if path in record:
        return record[path]
    head, dot, tail = path.partition(".")
    if dot and head in record:
        inner = record[head]
        if inner is None:
            return None
        if isinstance(inner, dict):
            return value_at(inner, tail, default)
    if default is _NONE:
        raise KeyError(path)
    return default


def spell_scalar(value: Any) -> str:
    """A scalar as text, the same for every form: `true`, `3` (also for 3.0), `0.5`; anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    return spell(value)


def spell(record: Any) -> str:
    """A record as text, for the detail of a failed row."""
    try:
        return orjson.dumps(record, default=str).decode()
    except TypeError:  # text that is not Unicode, numbers over 64 bits
        return json.dumps(record, default=str, ensure_ascii=True)


def kind(value: Any) -> str:
    """What a value is, in a person's words."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


# The careful way


def careful(records: Sequence[Any], wanted: Wanted) -> Taken:
    """What rows need from records, one at a time; every fault is found and says what it is."""
    index: list[int] = []
    faults: dict[int, tuple[str, str, bool]] = {}
    texts: dict[str, list[str | None]] = {name: [] for name in wanted.texts}
    talks: list[list[tuple[str, str]] | None] = []
    scalars: dict[str, list[str | None]] = {path: [] for path in wanted.scalars}
    for i, record in enumerate(records):
        for found, talk, wrong in _variants(record, wanted):
            if wrong:
                unread = isinstance(record, Broken) or not isinstance(record, dict)
                raw = record.raw if isinstance(record, Broken) else spell(record)
                message = "; ".join(str(fault) for fault in wrong)
                faults[len(index)] = (wrong[0].reason, f"{message}: {_printable(raw)[:RAW_CHARS]}", unread)
            index.append(i)
            talks.append(talk)
            for name in texts:
                texts[name].append(found.get(name))
            for path in scalars:
                value = value_at(record, path, None) if isinstance(record, dict) else None
                scalars[path].append(None if value is None else _printable(spell_scalar(value)))
    columns = {name: pa.array(values, pa.large_string()) for name, values in texts.items()}
    if wanted.turns is not None or wanted.tree is not None:
        flat = [turn for talk in talks if talk is not None for turn in talk]
        columns["messages"] = _lists(
            [len(talk or ()) for talk in talks],
            pa.array([role for role, _ in flat], pa.large_string()),
            pa.array([content for _, content in flat], pa.large_string()),
            mask=[talk is None for talk in talks],
        )
    columns |= {f"raw:{path}": pa.array(values, pa.large_string()) for path, values in scalars.items()}
    return Taken(index, columns, faults)


Variant = tuple[dict[str, str | None], list[tuple[str, str]] | None, list[Unfit]]
"""What one row would be made of: texts by field, or turns; and what is wrong with it."""


def _variants(record: Any, wanted: Wanted) -> Iterator[Variant]:
    """One for every row that the record is to become: one for each path through a tree, else exactly one."""
    if isinstance(record, Broken):
        yield {}, None, [Unfit(record.reason, record.detail)]
    elif not isinstance(record, dict):
        yield {}, None, [Unfit("wrong_type", f"expected an object, found {kind(record)}")]
    elif wanted.tree is not None:
        yield from _branches(record, wanted.tree)
    elif wanted.turns is not None:
        try:
            yield {}, _turns(_present(record, wanted.turns), wanted.turns), []
        except Unfit as fault:
            yield {}, None, [fault]
    else:
        found: dict[str, str | None] = {}
        wrong = []
        for name, path in wanted.texts.items():
            try:
                if name not in OPTIONAL:
                    found[name] = _text(_present(record, path), path)
                elif (value := value_at(record, path, None)) is not None:
                    found[name] = _text(value, path)
            except Unfit as fault:
                wrong.append(fault)
        yield found, None, wrong


def _present(record: dict[str, Any], path: str) -> Any:
    try:
        return value_at(record, path)
    except KeyError:
        there = ", ".join(sorted(map(str, record))[:12]) or "none"
        raise Unfit("missing_column", f"no column {path!r} in this record, which has {there}") from None


def _text(value: Any, what: str) -> str:
    if value is None:
        raise Unfit("null", f"{what!r} is null")
    if not isinstance(value, str):
        raise Unfit("wrong_type", f"expected text in {what!r}, found {kind(value)}")
    if not _is_unicode(value):
        raise Unfit("bad_utf8", f"{what!r} is not valid UTF-8")
    return value


def _turns(value: Any, path: str) -> list[tuple[str, str]]:
    if value is None:
        raise Unfit("null", f"{path!r} is null")
    if not isinstance(value, list):
        raise Unfit("wrong_type", f"expected a list of turns in {path!r}, found {kind(value)}")
    return [_turn(turn, f"{path}.{number}") for number, turn in enumerate(value)]


def _turn(turn: Any, what: str) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise Unfit("null" if turn is None else "wrong_type", f"expected an object in {what!r}, found {kind(turn)}")
    for role, content in TURN_KEYS:
        if role in turn and content in turn:
            return _text(turn[role], f"{what}.{role}"), _text(turn[content], f"{what}.{content}")
    there = ", ".join(sorted(map(str, turn))[:12]) or "nothing"
    raise Unfit("missing_column", f"{what!r} has neither 'from' and 'value' nor 'role' and 'content', but {there}")


def _branches(record: dict[str, Any], root: str) -> Iterator[Variant]:
    """Every path from the root to a leaf, in file order; by a stack of our own, as trees may be deep."""
    try:
        stack: list[tuple[Any, list[tuple[str, str]], str]] = [(_present(record, root), [], root)]
    except Unfit as fault:
        yield {}, None, [fault]
        return
    while stack:
        node, above, what = stack.pop()
        try:
            talk = [*above, _node(node, what)]
            replies = node.get("replies") or []
            if not isinstance(replies, list):
                raise Unfit("wrong_type", f"expected a list in '{what}.replies', found {kind(replies)}")
        except Unfit as fault:
            yield {}, above or None, [fault]
            continue
        if not replies:
            yield {}, talk, []
        stack += [(reply, talk, f"{what}.replies.{n}") for n, reply in reversed(list(enumerate(replies)))]


def _node(node: Any, what: str) -> tuple[str, str]:
    if not isinstance(node, dict):
        raise Unfit("null" if node is None else "wrong_type", f"expected an object in {what!r}, found {kind(node)}")
    for key in ("role", "text"):
        if key not in node:
            raise Unfit("missing_column", f"{what!r} has no {key!r}")
    return _text(node["role"], f"{what}.role"), _text(node["text"], f"{what}.text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    """Text that can be stored: bytes that were not UTF-8 stand as the replacement character."""
    return text if _is_unicode(text) else _SURROGATE.sub("\ufffd", text)
