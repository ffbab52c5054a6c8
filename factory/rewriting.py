"""Rewriting: how a normaliser changes the texts of rows, with code, formulas, addresses and the like out of reach.

The model:
- A *trigger*, an expression, clears nearly every text at the speed of polars; only the others are looked at in Python.
- A text is rewritten until the trigger clears it or nothing changes any more, so normalising twice changes nothing.
- What must survive is replaced by one character that nothing matches (`KEPT`) while the text around it changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from hala_factory import structure, text
from hala_factory.structure import Span

TEXT = pl.col("text")
"""The text in a trigger; `row` stands beside it."""
KEPT = "\U0010ff00-\U0010fffd"
"""For a character class: what may stand for a protected stretch, the end of the last plane for private use."""
_STAND_INS = [chr(code) for code in range(0x10FF00, 0x10FFFE)]
_INVISIBLE = "".join(map(chr, [*text.INVISIBLE, *range(0x206A, 0x2070)]))
"""What no span begins or ends with: the invisible, and the format characters that Unicode has deprecated."""

Change = Callable[[str, Counter[str]], str]
"""A text, and where to count by kind what is changed in it; answers the text as it shall be."""


def rewrite(
    frame: pl.DataFrame,
    on: str,
    trigger: pl.Expr,
    kinds: Sequence[str],
    change: Change,
    spared: pl.Expr | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frame with the texts of the path `on` changed, and how much was changed in each row by kind.

    Only texts for which `trigger` holds are changed: what `change` looks for, it must let through. A row stays as it
    is if `spared` holds for any of its texts.
    """
    column, _, part = on.partition(".")
    texts = _texts(frame, column, part)
    suspects = texts.filter(trigger)
    if spared is not None and suspects.height:
        left_alone = texts.join(suspects, on="row", how="semi").filter(spared)
        suspects = suspects.join(left_alone, on="row", how="anti", maintain_order="left")
    counts = {kind: [0] * frame.height for kind in kinds}
    made: dict[int, dict[Any, str]] = {}
    while suspects.height:
        again = []
        for row, place, content in suspects.iter_rows():
            found: Counter[str] = Counter()
            changed = change(content, found)
            if changed != content:
                made.setdefault(row, {})[place] = changed
                again.append((row, place, changed))
                for kind, count in found.items():
                    counts[kind][row] += count
        suspects = pl.DataFrame(again, schema=suspects.schema, orient="row").filter(trigger)
    measures = pl.DataFrame(counts, schema=dict.fromkeys(kinds, pl.Int32))
    return _put_back(frame, column, made), measures


def outside(content: str, edit: Callable[[str], str], stays: Callable[[Span], bool] = lambda span: True) -> str:
    """`content` with `edit` done to all but the spans of its structure that stay, in one piece.

    Marks without width at the ends of a span are no part of it. A text that holds all the stand-ins stays as it is.
    """
    spans = [span for span in structure.spans(content) if stays(span)]
    if not spans:
        return edit(content)
    stand_in = next((c for c in _STAND_INS if c not in content), None)
    if stand_in is None:
        return content
    pieces, kept, at = [], [], 0
    for span in spans:
        start = span.end - len(span.text.lstrip(_INVISIBLE))
        end = span.start + len(span.text.rstrip(_INVISIBLE))
        if start < end:
            pieces.append(content[at:start])
            kept.append(content[start:end])
            at = end
    around = edit(stand_in.join([*pieces, content[at:]])).split(stand_in)
    return "".join(part for pair in zip(around, [*kept, ""], strict=True) for part in pair)


def _texts(frame: pl.DataFrame, column: str, part: str) -> pl.DataFrame:
    """The texts that are meant, each with its row and its place there: a message's number, or a language."""
    value, dtype = pl.col(column), frame.schema[column]
    numbered = frame.select(value).with_row_index("row")
    if isinstance(dtype, pl.Struct):
        codes = [f.name for f in dtype.fields if part in ("", f.name)]
        sides = [numbered.select("row", place=pl.lit(code), text=value.struct.field(code)) for code in codes]
        return pl.concat(sides)
    message = value.struct
    each = numbered.with_columns(place=pl.int_ranges(value.list.len(), dtype=pl.UInt32)).explode("place", column)
    if part:
        each = each.filter(message.field("role") == part)
    return each.select("row", "place", text=message.field("content"))


def _put_back(frame: pl.DataFrame, column: str, made: dict[int, dict[Any, str]]) -> pl.DataFrame:
    if not made:
        return frame
    values = frame[column].gather(list(made)).to_list()
    for value, texts in zip(values, made.values(), strict=True):
        for place, content in texts.items():
            if isinstance(value, list):
                value[place]["content"] = content
            else:
                value[place] = content
    index = list(range(frame.height))
    for at, row in enumerate(made):
        index[row] = frame.height + at
    changed = pl.Series(column, values, dtype=frame.schema[column])
    return frame.with_columns(pl.concat([frame[column], changed]).gather(index))
