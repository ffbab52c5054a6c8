"""Truncated: whether a translation breaks off before its source ends."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

_CLOSING = r"[\"'»”’)\]*_`\s\x{200e}\x{200f}]*$"
_SENTENCE_END = r"[.!?؟…۔]" + _CLOSING
_ANY_END = r"[.!?؟…۔:;؛]" + _CLOSING
_CLOSED = r"[.!?؟…۔:;؛\"'»”’“)\]}]\s*$"
_BREAKS_OFF = r"[،,(\[{«–—]\s*$"
_TAIL = 40
"""Characters of the end that are looked at for a last word."""
_MARKS = r"[\x{64B}-\x{652}\x{640}\x{200e}\x{200f}]"
_SOURCE_OPEN = r"(?i)\b(?:in|on|at|to|for|about|like|between|is|be|if|that|when|who|how|what)$|[;:,،؛(\[{«“–—-]\s*$"
"""Ends of a label (`As seen in`), whose translation may end so, too."""
# Words after which more must come. Not «غير», «كل», «بعد», «هذا»: sentences do end with them.
_OPEN_WORDS = (
    r"(?:^|[\s\p{P}])(?:[وف]?(?:في|من|إلى|الى|على|عن|مع|أو|او|ثم|التي|الذي|الذين|أن|إن|لأن|لكن|حتى|بين|لم|لن|قد|سوف|عند"
    r"|خلال|حيث|بينما|إذا|اذا|لدى|عبر|منذ|حول|مثل|كما|بسبب|بواسطة|ال|بال|لل)|و|وال"
    r"|(?i:the|an?|of|and|or|but|with|by|from|as|into|than|because|its|their|my|your|our|which|is|are|was|were))$"
)
_DIGITS = r"[0-9]+"
_PAIRS = [("(", ")"), ("[", "]"), ("{", "}"), ("«", "»"), ("“", "”")]
_FENCE = "```"
_CUSHION = 50
"""Characters added to both lengths: those of short texts vary more."""


@register
class Truncated(Filter):
    """Drop rows in which a translation breaks off before its source ends.

    Signs of a cut, looked for in messages whose source does not end that way itself: the last word asks for another
    (`dangling`: «في», «التي», `the`, a comma, an opening bracket); brackets, quotes or code fences are opened and
    not closed, more than in the source (`unclosed`); the source ends a sentence, the target does not, and it is
    short (`open_ratio`: target per source characters, 1 for messages that end well); the source's last number stands
    near its end, and a target without an end mark lacks it (`lost_tail`). A missing full stop alone is no sign: many
    good translations leave it out. A row has the signs of its worst message.

    Of 27,934 good pairs (Tatoeba, ManyThings, TICO-19, NTREX-128), 4 to 8 % of which lack the full stop, 0.2 % fall.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Bread keeps longer in a cloth bag. → يدوم الخبز مدة أطول في كيس من القماش",
        "dropped": "Bread keeps longer in a cloth bag. → يدوم الخبز مدة أطول في",
    }
    judged_by: ClassVar[tuple[str, ...]] = ("drop_dangling", "drop_lost_tail")

    step: Literal["truncated"] = "truncated"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    drop_dangling: bool = True
    """Whether a last word that asks for another is reason enough."""
    max_unclosed: Count | None = 0
    """Most brackets, quotes and fences that only the target leaves open."""
    min_open_ratio: Annotated[float, Field(ge=0)] | None = 0.8
    """Smallest number of target characters per source character where the target lost the end of its last sentence."""
    drop_lost_tail: bool = True
    """Whether a last number that is lost together with the end of the last sentence is reason enough."""

    def measures(self) -> Columns:
        return {
            **{"dangling": pl.Boolean(), "unclosed": pl.Int32()},
            **{"open_ratio": pl.Float32(), "lost_tail": pl.Boolean()},
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target)
        tails = {f"{side}_tail": pl.col(side).str.slice(-_TAIL).str.strip_chars_end() for side in ("source", "target")}
        pairs = pairs.with_columns(**tails)
        ended = pl.col("source_tail").str.contains(_SENTENCE_END)
        asks = _asks_for_more("target_tail") & ~_asks_for_more("source_tail")
        asks &= ~pl.col("source_tail").str.contains(_SOURCE_OPEN)
        told = pairs.select(
            "row",
            "source",
            "target",
            no_end=ended & ~pl.col("target_tail").str.contains(_ANY_END),
            dangling=asks | (pl.col("target_tail").str.contains(_BREAKS_OFF) & ended),
            unclosed=_unclosed(pairs),
        )
        chars = [pl.col(side).str.len_chars().cast(pl.Int64) + _CUSHION for side in ("target", "source")]
        lines = told.select(
            "row",
            "dangling",
            "unclosed",
            open_ratio=pl.when("no_end").then(text.measured(chars[0] / chars[1])).otherwise(1.0).cast(pl.Float32),
            lost_tail=pl.col("no_end") & _lost_tail(),
        )
        worst = {
            "dangling": (pl.col("dangling").any(), False),
            "unclosed": (pl.col("unclosed").max(), 0),
            "open_ratio": (pl.col("open_ratio").min(), 1.0),
            "lost_tail": (pl.col("lost_tail").any(), False),
        }
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = []
        if self.drop_dangling:
            rules.append(("dangling", pl.col("dangling")))
        if self.max_unclosed is not None:
            rules.append(("unclosed", pl.col("unclosed") > self.max_unclosed))
        if self.min_open_ratio is not None:
            rules.append(("no_end", pl.col("open_ratio") < self.min_open_ratio))
        if self.drop_lost_tail:
            rules.append(("lost_tail", pl.col("lost_tail")))
        return rules


def _asks_for_more(tail: str) -> pl.Expr:
    return pl.col(tail).str.replace_all(_MARKS, "").str.contains(_OPEN_WORDS)


def _unclosed(pairs: pl.DataFrame) -> pl.Series:
    """How many brackets, quotes and fences only the target leaves open; of one that ends well only the fences."""
    source, target = pl.col("source"), pl.col("target")
    marked = target.str.contains(r'[(\[{«“"]|```')
    opened = [(_open(target, *pair) - _open(source, *pair)).clip(lower_bound=0) for pair in _PAIRS]
    odd = {mark: (_odd(target, mark) & ~_odd(source, mark)).cast(pl.Int32) for mark in ('"', _FENCE)}
    breaks_off = ~pl.col("target_tail").str.contains(_CLOSED)
    in_prose = pl.when(breaks_off).then(pl.sum_horizontal(*opened, odd['"'])).otherwise(0)
    found = (
        pairs.with_row_index("pair").filter(marked).select("pair", unclosed=(in_prose + odd[_FENCE]).cast(pl.Int32))
    )
    every = pairs.select(pair=pl.int_range(pl.len(), dtype=pl.UInt32))
    return every.join(found, on="pair", how="left", maintain_order="left")["unclosed"].fill_null(0)


def _odd(side: pl.Expr, mark: str) -> pl.Expr:
    return side.str.count_matches(mark, literal=True) % 2 == 1


def _open(side: pl.Expr, opening: str, closing: str) -> pl.Expr:
    more = side.str.count_matches(opening, literal=True).cast(pl.Int32)
    less = side.str.count_matches(closing, literal=True).cast(pl.Int32)
    return (more - less).clip(lower_bound=0)


def _lost_tail() -> pl.Expr:
    """Whether the last number of the source stands in its last third, and nowhere in the target."""
    source = text.fold_digits(pl.col("source"))
    last = source.str.slice(source.str.len_chars().cast(pl.Int64) * 2 // 3).str.extract_all(_DIGITS).list.last()
    target = text.fold_digits(pl.col("target"))
    return (last.is_not_null() & ~target.str.contains(last, literal=True, strict=False)).fill_null(False)
