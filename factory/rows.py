"""Rows: the two row schemas, the id of a row, and the paths that name its texts.

An *instruction* row holds `messages: list<struct<role, content>>`, a *pair* row holds
`translation: struct<en, ar>` (a string per language). Both begin with the same columns (`HEAD`).
A *text path* names texts of a row: `messages`, `messages.user`, `translation.ar`, `messages_en`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import polars as pl

RowKind = Literal["instruction", "pair"]
ROLES = ("system", "user", "assistant")

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
HEAD: dict[str, pl.DataType] = {
    "id": pl.String(),
    "source": pl.String(),
    "subset": pl.String(),
    "licence": pl.String(),
    "origin": pl.Struct({"file": pl.String, "position": pl.Int64, "part": pl.Int32}),
}
"""`origin.file` is the file's name within its source, `position` the 1-based line or record in it,
`part` the 0-based number of the row among those of its record (a tree of replies holds several)."""

LEDGER: dict[str, pl.DataType] = {
    "status": pl.String(),
    "step": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
}
"""What a row that did not pass carries besides: `dropped` or `failed`, by which step, why, and evidence."""

_PART, _FIELD = "\x1e", "\x1f"
JOIN = "\n\n"


def translation_type(languages: Sequence[str]) -> pl.Struct:
    """The type of `translation` for these language codes, in this order."""
    return pl.Struct({code: pl.String for code in languages})


def schema(kind: RowKind, languages: Sequence[str] = ("en", "ar")) -> dict[str, pl.DataType]:
    """The columns with which rows of this kind leave a reader, in order."""
    body = {"messages": MESSAGES} if kind == "instruction" else {"translation": translation_type(languages)}
    return {**HEAD, **body}


def row_ids(source: str, body: pl.Series) -> list[str]:
    """The id of every row: 24 hex digits of SHA-256 over the source's name and the row's content.

    `body` is the `messages` or `translation` column. Equal rows of one source share an id; `origin` tells
    them apart. The bytes that are hashed are spelt out here, so ids outlive any library's serialisation.
    """
    if isinstance(body.dtype, pl.Struct):
        names = [f.name for f in body.dtype.fields]
        parts = [pl.concat_str(pl.lit(n + _FIELD), pl.col(body.name).struct.field(n).fill_null("\0")) for n in names]
        spelt = pl.concat_str(parts, separator=_PART)
    else:
        message = pl.element().struct
        spelt = (
            pl.col(body.name)
            .list.eval(
                pl.concat_str(
                    message.field("role").fill_null("\0"), message.field("content").fill_null("\0"), separator=_FIELD
                )
            )
            .list.join(_PART)
        )
    texts = body.to_frame().select(spelt.fill_null("\0")).to_series()
    head = hashlib.sha256((source + _PART).encode())

    def digest(text: str) -> str:
        h = head.copy()
        h.update(text.encode())
        return h.hexdigest()[:24]

    return [digest(t) for t in texts]


def text_paths(columns: dict[str, pl.DataType]) -> list[str]:
    """Every text path that rows with these columns answer to."""
    paths: list[str] = []
    for name, dtype in columns.items():
        if dtype == MESSAGES:
            paths += [name, *(f"{name}.{role}" for role in ROLES)]
        elif name not in HEAD and isinstance(dtype, pl.Struct):
            paths += [name, *(f"{name}.{f.name}" for f in dtype.fields if f.dtype == pl.String)]
    return paths


def text(path: str) -> pl.Expr:
    """One string per row for a text path; several messages or languages are joined by a blank line, none is ''."""
    column, _, part = path.partition(".")
    if column.startswith("messages"):
        messages = pl.col(column)
        if part:
            messages = messages.list.filter(pl.element().struct.field("role") == part)
        return messages.list.eval(pl.element().struct.field("content")).list.join(JOIN).fill_null("")
    if not part:
        return pl.concat_list(pl.col(column).struct.field("*")).list.join(JOIN, ignore_nulls=True)
    return pl.col(column).struct.field(part).fill_null("")


def text_pairs(rows: pl.DataFrame, source: str, target: str) -> pl.DataFrame:
    """The aligned texts of two paths, one line per message: `row` (index into `rows`), `source`, `target`.

    For message columns the two lists are matched message by message (they have equal lengths by
    construction), and a row that has none of one has no line; for pair rows there is one line per row.
    """
    rows = rows.with_row_index("row")

    def contents(path: str, name: str) -> pl.Expr:
        column, _, part = path.partition(".")
        if not column.startswith("messages"):
            return text(path).alias(name)
        messages = pl.col(column)
        if part:
            messages = messages.list.filter(pl.element().struct.field("role") == part)
        return messages.list.eval(pl.element().struct.field("content").fill_null("")).alias(name)

    pairs = rows.select("row", contents(source, "source"), contents(target, "target"))
    if isinstance(pairs.schema["source"], pl.List):
        both = pl.col("source").is_not_null() & pl.col("target").is_not_null()
        pairs = pairs.with_columns(pl.when(both).then(pl.col(side)).alias(side) for side in ("source", "target"))
        pairs = pairs.explode("source", "target").filter(pl.col("source").is_not_null())
    return pairs.with_columns(pl.col("target").fill_null(""))
