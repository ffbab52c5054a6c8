"""Numbers: whether a translation carries the same numbers as its source."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, TextPath, register


@register
class Numbers(Filter):
    """Drop rows in which a message lost or gained a number.

    Numbers are compared as multisets. Arabic-Indic and Persian digits are digits; `10,000`, `١٠٬٠٠٠` and `10000`
    are one number, and so are `3.5`, `٣٫٥` and `3,5`. Number words are no numbers: a translator who spells one
    out loses it. A point or comma before exactly three digits separates thousands, so 1.234 and 1,234 are not
    told apart. A row counts as its worst message does.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The bridge is 1,250 metres long. → يبلغ طول الجسر ١٬٢٥٠ مترًا.",
        "dropped": "The bridge is 1,250 metres long. → يبلغ طول الجسر 1520 مترًا.",
    }

    step: Literal["numbers"] = "numbers"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    max_missing: Count | None = 0
    """Most numbers of the source that a translation may lack."""
    max_added: Count | None = 0
    """Most numbers of a translation that its source may lack."""

    def measures(self) -> Columns:
        return {"missing": pl.Int32(), "added": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target).with_row_index("pair")
        surplus = pl.concat([_numbers(pairs, "source", 1), _numbers(pairs, "target", -1)])
        # A number that stands n times in the source and m times in the target is missing n - m times.
        each = surplus.group_by("pair", "row", "number").agg(pl.col("count").sum())
        count = pl.col("count")
        lines = each.group_by("pair", "row").agg(
            missing=count.clip(lower_bound=0).sum().cast(pl.Int32),
            added=(-count).clip(lower_bound=0).sum().cast(pl.Int32),
        )
        worst = {"missing": (pl.col("missing").max(), 0), "added": (pl.col("added").max(), 0)}
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = []
        if self.max_missing is not None:
            rules.append(("missing_numbers", pl.col("missing") > self.max_missing))
        if self.max_added is not None:
            rules.append(("added_numbers", pl.col("added") > self.max_added))
        return rules


def _numbers(pairs: pl.DataFrame, side: str, count: int) -> pl.DataFrame:
    """Every number of one side on a line of its own: `pair`, `row`, `number` in one spelling, `count`."""
    return (
        pairs.select("pair", "row", number=text.numbers(pl.col(side)))
        .filter(pl.col("number").list.len() > 0)
        .explode("number")
        .with_columns(number=text.plain_number(pl.col("number")))
        .explode("number")
        .with_columns(count=pl.lit(count, pl.Int32))
    )
