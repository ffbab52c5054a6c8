"""Holds a recipe's guarantees against the rows of its version, before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import rows
from hala_factory.cost.tokens import by_letters
from hala_factory.errors import BuildError
from hala_factory.guarantees import Guarantee
from hala_factory.licences import Derived
from hala_factory.plan import Plan
from hala_factory.tables import table

SAMPLE = 2_000
"""Rows whose letters tell how many characters a token has; they stand evenly over the corpus."""


def guarantee(plan: Plan, parts: list[Path], licence: Derived) -> list[dict[str, Any]]:
    """What the manifest says of every guarantee: the contract, what was `found`, a `warning` of a soft one that broke.

    Raises BuildError with the table of all that are broken and not soft.
    """
    asked = [c for c in plan.ready.recipe.contracts if isinstance(c, Guarantee)]
    found = [_found(each, plan, parts, licence) for each in asked]
    told, broken = [], []
    for each, figure in zip(asked, found, strict=True):
        said = each.tell(figure) if isinstance(figure, float) else str(figure)
        entry = {"contract": each.model_dump(mode="json", exclude_none=True), "words": each.words(), "found": figure}
        if each.broken_by(figure):
            if each.soft:
                entry["warning"] = f"{each.words()}: found {said}"
            else:
                broken.append([each.words(), said])
        told.append(entry)
    if broken:
        count = f"{len(broken)} of {len(plan.ready.recipe.contracts)} contracts of the recipe"
        raise BuildError(
            f"{plan.artifact}: {count} {'is' if len(broken) == 1 else 'are'} broken; nothing was published\n\n"
            f"{table(['asked', 'found'], broken)}"
        )
    return told


def _found(each: Guarantee, plan: Plan, parts: list[Path], licence: Derived) -> float | str:
    if each.holds == "licence":
        return licence.licence or "unresolved"
    scan = pl.scan_parquet(parts)
    if each.holds == "tokens":
        return _tokens(scan)
    if each.holds == "duplicates":
        body = "messages" if plan.ready.kind == "instruction" else "translation"
        hashes = scan.select(pl.struct(body).hash().alias("h"))
        told = hashes.select(rows=pl.len(), distinct=pl.col("h").n_unique()).collect(engine="streaming")
        count, distinct = told.row(0)
        return (count - distinct) / count if count else 0.0
    if each.holds == "sources":
        counted = pl.col("source").is_in(list(each.of))
    else:
        label = _label(each, plan)
        languages = pl.col(f"{label}.label").is_in(list(each.of)) if each.holds == "languages" else None
        counted = languages if languages is not None else pl.col(f"{label}.overlap") >= each.overlap
    share = scan.select(counted.fill_null(value=False).mean()).collect(engine="streaming").item()
    return float(share or 0)


def _label(each: Guarantee, plan: Plan) -> str:
    return each.step or [s.label for s in plan.ready.recipe.steps if s.step == each.measured_by][-1]


def _tokens(scan: pl.LazyFrame) -> float:
    """Tokens of all texts: their characters, each counted as much as in rows that stand evenly over the corpus."""
    columns = dict(scan.collect_schema())
    texts = [_texts(name, columns[name]) for name in ("messages", "translation") if name in columns]
    chars = scan.select(pl.concat_list(texts).list.eval(pl.element().str.len_chars()).list.sum().alias("chars"))
    count, total = chars.select(pl.len(), pl.col("chars").sum()).collect(engine="streaming").row(0)
    if not total:
        return 0.0
    drawn = scan.select(texts=pl.concat_list(texts)).gather_every(max(1, count // SAMPLE)).collect(engine="streaming")
    read = ["\n".join(filter(None, line)) for line in drawn["texts"].to_list()]
    return float(total * sum(map(by_letters, read)) / max(1, sum(map(len, read))))


def _texts(column: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == rows.MESSAGES:
        return pl.col(column).list.eval(pl.element().struct.field("content"))
    assert isinstance(dtype, pl.Struct)
    return pl.concat_list([pl.col(column).struct.field(field.name) for field in dtype.fields])
