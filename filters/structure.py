"""Structure: whether a translation carries over what is not language."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import polars as pl
from pydantic import Field

from hala_factory import rows, structure, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

Part = Literal["code", "latex", "url", "email", "path", "placeholder", "tag", "json_key", "skeleton"]
PARTS: tuple[Part, ...] = get_args(Part)

# No span and no Markdown marker or line without one of these: such a pair is not looked at one by one.
_TRIGGER = r"""(?i)[`~$\\<>{}%|#@/&_\[\]*+]|www\.|"\s*:|(?:\A|[\n\r])(?: {4}|\s*(?:[-=•\t]|\d+[.)]))|\S\s*\n\s*\S"""


@register
class Structure(Filter):
    """Drop rows in which a message lost or gained code, a formula, an address, a placeholder or a tag.

    What must survive, and how it is found, is said in `hala_factory.structure`: inline and fenced code, LaTeX,
    web and e-mail addresses, paths, placeholders, tags, JSON keys, and the Markdown skeleton (headings, list
    items, quotes, tables by their shape, and in which of them the others stand). Each part has its reason:
    `lost_code`, `lost_latex`, `lost_url`, `lost_email`, `lost_path`, `lost_placeholder`, `lost_tag`, `lost_json_key`,
    `lost_skeleton`; something added counts as much as something lost. `missing` and `added` are those of all parts in
    the worst message, `kinds`
    names the parts that differ anywhere in the row.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Call `len(x)`. → استدعِ `len(x)`.",
        "dropped": "Call `len(x)`. → استدعِ `طول(س)`.",
    }

    revision: ClassVar[int] = 3

    step: Literal["structure"] = "structure"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    parts: list[Part] = Field(default=list(PARTS))
    """What must survive."""
    max_differences: Count | None = 0
    """Most pieces that a message may lose or gain; null only measures."""

    def measures(self) -> Columns:
        return {"missing": pl.Int32(), "added": pl.Int32(), "kinds": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = (
            rows.text_pairs(frame, self.source, self.target)
            .filter(pl.col("source").str.contains(_TRIGGER) | pl.col("target").str.contains(_TRIGGER))
            .filter(pl.col("source") != pl.col("target"))
        )
        lines: list[tuple[int, int, int, list[str]]] = []
        for row, source, target in pairs.select("row", "source", "target").iter_rows():
            differing = {k: v for k, v in structure.difference(source, target).items() if k in self.parts}
            if differing:
                missing = sum(len(lost) for lost, _ in differing.values())
                added = sum(len(new) for _, new in differing.values())
                lines.append((row, missing, added, list(differing)))
        schema = {"row": pl.UInt32(), "missing": pl.Int32(), "added": pl.Int32(), "kinds": pl.List(pl.String)}
        worst = {
            "missing": (pl.col("missing").max(), 0),
            "added": (pl.col("added").max(), 0),
            "kinds": (pl.col("kinds").list.explode().unique().sort().str.join(","), ""),
        }
        return text.per_row(pl.DataFrame(lines, schema=schema, orient="row"), frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        if self.max_differences is None:
            return []
        many = pl.max_horizontal("missing", "added") > self.max_differences
        named = pl.format(",{},", pl.col("kinds"))
        return [(f"lost_{part}", many & named.str.contains(f",{part},", literal=True)) for part in PARTS]
