"""Makes rows of what was taken from the records: messages or translations, conditions, licences and ids."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory import rows
from hala_factory.catalog import Scalar, Source
from hala_factory.errors import InputError
from hala_factory.reader.code import holds_code
from hala_factory.reader.values import spell_scalar

ROLE_WORDS = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
}
"""The words that datasets use for the three roles, in lower case; any other word is kept, and left to `chat_shape`."""

TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")  # how tables without types spell them


@dataclass(frozen=True)
class Conditions:
    """What `where` asks of a record; values are compared as text, as half of the forms know nothing else."""

    accepted: dict[str, tuple[str | None, ...]]
    """Raw column → the values that may stand in it."""
    without_code: bool = False
    """Leave out rows that hold code (`code` has the rule)."""


def conditions(where: dict[str, Any] | None) -> Conditions:
    """`where` as a recipe has it: raw column → value or list of values, and `without_code`.

    Raises:
        InputError: A value is neither a scalar nor a list of them.
    """
    accepted: dict[str, tuple[str | None, ...]] = {}
    for path, value in (where or {}).items():
        if path == "without_code":
            if not isinstance(value, bool):
                raise InputError(f"where: without_code: expected true or false, found {value!r}")
            continue
        values = value if isinstance(value, list) else [value]
        if not values or any(not isinstance(v, Scalar | None) for v in values):
            raise InputError(f"where: {path}: expected a value or a list of values, found {value!r}")
        accepted[path] = tuple(text for v in values for text in _spellings(v))
    return Conditions(accepted, bool((where or {}).get("without_code")))


def _spellings(value: Any) -> tuple[str | None, ...]:
    if isinstance(value, bool):
        return TRUE if value else FALSE
    return (None,) if value is None else (spell_scalar(value),)


def to_rows(taken: pl.DataFrame, name: str, source: Source, where: Conditions) -> pl.DataFrame:
    """Rows of `rows.schema`, then `rows.LEDGER` (`status` is null for a row that stays), then `record`.

    A failed row has an id of its own, made from the evidence in its detail.
    """
    columns = rows.schema(source.rows, source.languages)
    body = list(columns)[-1]
    frame = taken.with_columns(_body(taken, source).alias(body))
    frame = judged(frame, body, where)
    failed = pl.col("status").eq_missing("failed")
    evidence = pl.concat_list(pl.struct(role=pl.lit(None, pl.String), content="detail")).alias("messages")
    own = pl.Series(rows.row_ids(name, frame[body]))
    if frame.select(failed.any()).item():
        own = own.zip_with(
            ~frame.select(failed).to_series(), pl.Series(rows.row_ids(name, frame.select(evidence).to_series()))
        )
    subset = pl.col(f"raw:{source.subset}") if source.subset else pl.lit(None, pl.String)
    licences = {part: entry.licence for part, entry in source.subsets.items()}
    frame = frame.with_columns(
        own.alias("id"),
        pl.lit(name).alias("source"),
        subset.alias("subset"),
        pl.struct("file", "position", part=_part(source)).alias("origin"),
        pl.lit("source").alias("step"),
    ).with_columns(
        pl.col("subset").replace_strict(licences, default=source.licence, return_dtype=pl.String).alias("licence")
        if licences
        else pl.lit(source.licence).alias("licence")
    )
    kept = pl.col("status").is_null()
    ledger = [pl.when(kept).then(None).otherwise(pl.col(c)).alias(c) for c in rows.LEDGER]
    return frame.select(*(pl.col(c).cast(t) for c, t in columns.items()), *ledger, "record")


def _part(source: Source) -> pl.Expr:
    """The number of a row among those of its record; only trees hold several."""
    return pl.int_range(pl.len()).over("record") if "tree" in source.mapping else pl.lit(0)


def _body(taken: pl.DataFrame, source: Source) -> pl.Expr:
    cut = _cut(source.strip)
    if source.rows == "pair":
        return pl.struct([cut(pl.col(language)).alias(language) for language in source.languages])
    if "messages" in taken.columns:
        turn = pl.element().struct
        word = turn.field("role")
        role = word.str.strip_chars().str.to_lowercase().replace_strict(ROLE_WORDS, default=word)
        return pl.col("messages").list.eval(pl.struct(role=role, content=cut(turn.field("content"))))
    user = pl.col("prompt")
    if "input" in taken.columns:
        user = pl.when(_filled(pl.col("input"))).then(user + rows.JOIN + pl.col("input")).otherwise(user)
    turns = [_message("user", cut(user)), _message("assistant", cut(pl.col("response")))]
    if "system" not in taken.columns:
        return _turns(turns)
    system = cut(pl.col("system"))
    return pl.when(_filled(system)).then(_turns([_message("system", system), *turns])).otherwise(_turns(turns))


def _turns(turns: list[pl.Expr]) -> pl.Expr:
    return pl.concat_arr(turns).arr.to_list()  # in a tenth of the time that `concat_list` takes


def _message(role: str, content: pl.Expr) -> pl.Expr:
    return pl.struct(role=pl.lit(role), content=content)


def _filled(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.contains(r"\S")


def _cut(ends: list[str]) -> Callable[[pl.Expr], pl.Expr]:
    """Takes `ends` off the end of a text, again and again, with the white space around them."""
    if not ends:
        return lambda text: text
    pattern = rf"(?:\s*(?:{'|'.join(re.escape(end) for end in ends)}))+\s*\z"
    return lambda text: text.str.replace(pattern, "")


def judged(frame: pl.DataFrame, body: str, where: Conditions) -> pl.DataFrame:
    """Adds status, reason and detail to rows with the `unread`, `reason` and `detail` of their faults.

    A record that was not asked for is dropped, even where it is faulty.
    """
    own = pl.col("reason"), pl.col("detail")
    verdicts = [(pl.col("unread"), "failed", *own)]
    for path, accepted in where.accepted.items():
        found = pl.col(f"raw:{path}")
        refused = ~found.is_in([a for a in accepted if a is not None])
        told = pl.lit(", not " + " or ".join(repr(a) for a in accepted))
        said = pl.concat_str(pl.lit(f"{path!r} is "), found.fill_null("null or missing"), told)
        verdicts.append((refused.fill_null(None not in accepted), "dropped", pl.lit("where"), said))
    verdicts.append((pl.col("reason").is_not_null(), "failed", *own))
    if where.without_code:
        said = pl.lit("without_code: a text holds program code")
        verdicts.append((holds_code(body, frame.schema[body]), "dropped", pl.lit("where"), said))
    first: dict[str, list[pl.Expr]] = {"status": [], "reason": [], "detail": []}
    for holds, status, reason, detail in verdicts:
        for column, value in zip(first, (pl.lit(status), reason, detail), strict=True):
            first[column].append(pl.when(holds).then(value))
    return frame.with_columns(pl.coalesce(cases).alias(column) for column, cases in first.items())
