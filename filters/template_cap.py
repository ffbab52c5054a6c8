"""Template cap: how many rows one prompt template may have."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
import xxhash
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Barrier, Columns, TextPath, register

_END = r"[.!?؟…]+(?:\s|$)|[:؛]|\n|[\"“”«»]|===+|---+"
"""Where a fixed part may meet a filled-in one: the end of a sentence, a colon, a line, a quote, a rule."""
_AROUND = ' \t\r\n"“”«»'
_PARTS = 6
"""Parts of a text that are looked at from either end; the fixed parts of T0's templates have at most four."""
_SHOWN = 3
_LOOK = 1_200
"""Characters that are looked at from either end, for six parts of T0's longest sentences."""
_BRANCH = 0.1
"""A longer beginning counts if it has this share of the rows of the shorter; up to 7 templates of T0 begin alike."""
_CUT = "\x1e"
_ODD = np.uint64(0x9E3779B97F4A7C15)


@register
class TemplateCap(Barrier):
    """Drop rows above a number of rows that were made from one prompt template.

    A template shows in what many rows share word for word at their beginning or end, up to a mark that sets it off
    from what was filled in: a line, a colon, a quote, the end of a sentence. Numbers count as one another. So
    "Summarize: …" and "… TL;DR:" are templates, while "Write a story about …", which goes on in the same sentence,
    is how people ask. A beginning or an end counts if more than `max_rows` rows share it, and if it ends in a colon
    or has three words (an end four, for texts happen to end alike). Which rows of a template stay is drawn by
    `seed` and the row's id, whatever else is in the corpus.

    A hundred a template was chosen on T0, which has 200 of each; FLAN, of millions of rows, mixes at most 3,000 a
    task (arXiv 2109.01652).
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Is it better to plant tomatoes in the sun or in the shade?",
        "dropped": "Is this review positive? Title: Not worth it. Review: The lid broke on the second day.",
    }

    revision: ClassVar[int] = 2
    judged_by: ClassVar[tuple[str, ...]] = ("seed",)

    step: Literal["template_cap"] = "template_cap"
    on: TextPath = "messages.user"
    max_rows: Annotated[int, Field(ge=1)] = 100
    """Most rows of one template."""
    seed: int = 0
    """Another number draws other rows."""

    def measures(self) -> Columns:
        return {"template": pl.String(), "size": pl.Int32()}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = rows.text(self.on)
        parts = frame.select(head=_parts(whole.str.head(_LOOK)), tail=_parts(whole.str.tail(_LOOK)).list.reverse())
        return parts.select(
            begins=pl.col("head").list.head(_SHOWN).list.eval(_shown(r"(?s)^(.{1,50})(?:\s|$)")),
            ends=pl.col("tail").list.head(_SHOWN).list.eval(_shown(r"(?s)(?:^|\s)(.{1,50})$")),
        ).hstack([*_chain(parts["head"], "head", least=3), *_chain(parts["tail"], "tail", least=4)])

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        keys = [f"{side}_{number}" for side in ("head", "tail") for number in range(_PARTS)]
        table = index.select("shard", "row", "id", *keys).collect()
        table = table.hstack([*self._shared(table, "head"), *self._shared(table, "tail")])
        # An end divides the rows of a beginning only if it is fixed, too; one that goes on and on was filled in.
        both = pl.len().over("head", "tail")
        fixed = pl.col("tail") != pl.col(f"tail_{_PARTS - 1}").fill_null(0)
        divides = fixed & (both > self.max_rows) & (both >= _BRANCH * pl.len().over("head"))
        table = table.with_columns(tail=pl.when(pl.col("head").is_null() | divides).then("tail"))
        made = table.filter(pl.any_horizontal(pl.col("head", "tail").is_not_null()))
        full = made.with_columns(size=pl.len().over("head", "tail").cast(pl.Int32))
        full = full.filter(pl.col("size") > self.max_rows)
        draws = [xxhash.xxh3_64_intdigest(f"{self.seed} {id_}".encode()) for id_ in full["id"]]
        drawn = full.with_columns(draw=pl.Series(draws, dtype=pl.UInt64)).sort("draw", "shard", "row")
        turn = pl.int_range(pl.len(), dtype=pl.UInt32).over("head", "tail")
        shown = index.select("shard", "row", "begins", "ends")
        head = ["head", "tail", "head_parts", "tail_parts"]
        told = drawn.select("shard", "row", "size", *head, turn=turn).lazy().join(shown, on=["shard", "row"])
        begins = pl.col("begins").list.head("head_parts").list.join(" ")
        ends = pl.col("ends").list.head("tail_parts").list.reverse().list.join(" ")
        template = pl.concat_str(
            pl.when(pl.col("head").is_not_null()).then(begins).otherwise(pl.lit("")),
            pl.lit(" … "),
            pl.when(pl.col("tail").is_not_null()).then(ends).otherwise(pl.lit("")),
        ).str.strip_chars(" ")
        gone = pl.when(pl.col("turn") >= self.max_rows)
        return told.with_columns(template=template).select(
            "shard",
            "row",
            *self.measures(),
            reason=gone.then(pl.lit("template_full")),
            detail=gone.then(pl.format("one of {} made from: {}", "size", "template")),
        )

    def _shared(self, table: pl.DataFrame, side: str) -> list[pl.Series]:
        """Per row, the longest beginning (or end) that more than `max_rows` rows share, or null, and its parts."""
        none = pl.repeat(None, table.height, dtype=pl.UInt64, eager=True)
        found = pl.DataFrame({side: none, "parts": none.is_not_null().cast(pl.Int64)})
        found = found.with_columns(among=pl.col("parts"))
        for number in range(_PARTS):
            key = pl.col(f"{side}_{number}")
            longer = found.hstack(table.select(key, count=pl.len().over(key)))
            counts = key.is_not_null() & (pl.col("count") > self.max_rows)
            longer = longer.with_columns(longer=counts & (pl.col("count") >= _BRANCH * pl.col("among")))
            taken = {side: key, "parts": pl.lit(number + 1), "among": pl.col("count")}
            found = longer.select(pl.when("longer").then(new).otherwise(old).alias(old) for old, new in taken.items())
        return [found[side], found["parts"].alias(f"{side}_parts")]


def _parts(content: pl.Expr) -> pl.Expr:
    plain = content.str.to_lowercase().str.replace_all(r"\p{N}+", "0")
    cut = plain.str.replace_all(_END, f"$0{_CUT}").str.split(_CUT)
    part = pl.element().str.strip_chars(_AROUND)
    return cut.list.eval(part.filter(part.str.contains(r"[\p{L}\p{N}]")))


def _shown(words: str) -> pl.Expr:
    """The whole words of a part that `words` finds, or so many characters of one long word."""
    return pl.coalesce(pl.element().str.extract(words), pl.element().str.head(50))


def _chain(parts: pl.Series, name: str, least: int) -> list[pl.Series]:
    """A number for the first part, one for the first two, and so on; null where those say too little or are none."""
    links = []
    before = np.zeros(len(parts), dtype=np.uint64)
    words = np.zeros(len(parts), dtype=np.int64)
    asks = np.zeros(len(parts), dtype=bool)
    for number in range(_PARTS):
        part = parts.list.get(number, null_on_oob=True)
        digests = [0 if p is None else xxhash.xxh3_64_intdigest(p) for p in part.cast(pl.Binary)]
        before = (before ^ np.array(digests, dtype=np.uint64)) * _ODD
        before ^= before >> np.uint64(32)
        words += part.str.count_matches(text.WORD_WITH_LETTER).fill_null(0).to_numpy()
        asks |= part.str.ends_with(":").fill_null(False).to_numpy() & (words > 0)
        said = part.is_not_null().to_numpy() & (asks | (words >= least))
        links.append(pl.select(pl.when(pl.Series(said)).then(pl.Series(before))).to_series().alias(f"{name}_{number}"))
    return links
