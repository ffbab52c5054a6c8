"""Loops: whether a translation repeats itself where its source does not."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register

Codes = NDArray[np.unsignedinteger[Any]]
Ints = NDArray[np.int64]
Shares = NDArray[np.float64]

_NEXT = np.uint64(0x9E3779B97F4A7C15)
_WORD_PERIODS = range(1, 33)
"""Words of a loop: a model that loops repeats a word, a phrase or a sentence."""
_CHAR_PERIODS = range(1, 5)
_MIN_TIMES = 3
"""How often something stands in a row before it is a loop: «نعم نعم», `bye bye`, `very, very` are none."""
_RULERS = "-=_*#~+|/\\<>·•─━═ \t\r\n\u00a0"
"""Characters of which rows are drawn."""
_RUN = 5
"""Words of a run that is looked for anywhere before, as in the `duplicate_5_gram` of Gopher, arXiv 2112.11446."""


@register
class Loops(Filter):
    """Drop rows in which a translation repeats words or characters that its source does not repeat.

    A loop is a run of 1 to 32 words, or of 1 to 4 characters, that stands at least three times in a row.
    `loop_words` and `loop_chars` are the lengths of the longest loop of the target less those of the source, so that
    «ههههه» for `hahaha` is none; lines drawn of characters (`-----`) and spaces are not looked at. `repeated` is the
    share of the target's runs of five words that stood before in it, less the same share of the source: it rises
    where a model repeats itself with small changes. A row has what its worst message has, and never less than 0.

    Of 27,934 good pairs (Tatoeba, ManyThings, TICO-19, NTREX-128) none falls; of those with a word, phrase or sentence
    repeated at the end, 98 to 100 % do.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Yes, yes, yes! I am coming. → نعم، نعم، نعم! أنا قادم.",
        "dropped": "Yes! I am coming. → نعم نعم نعم نعم نعم نعم نعم نعم نعم! أنا قادم.",
    }

    step: Literal["loops"] = "loops"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    max_loop_words: Count | None = 4
    """Most words by which a loop of the target may be longer than one of the source."""
    max_loop_chars: Count | None = 10
    """Most characters by which a loop of the target may be longer than one of the source."""
    max_repeated: Share | None = 0.3
    """Largest share of repeated runs of five words beyond that of the source."""
    min_words: Annotated[int, Field(ge=1)] = 20
    """Fewest words of a target whose share of repeated runs is looked at."""

    measured_by: ClassVar[tuple[str, ...]] = ("min_words",)

    def measures(self) -> Columns:
        return {"loop_words": pl.Int32(), "loop_chars": pl.Int32(), "repeated": pl.Float32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target)
        sides = ("source", "target")
        loops = {side: _loops(pairs[side]) for side in sides}
        shares = {side: _repeated(loops[side].pop("codes"), pairs.height, self.min_words) for side in sides}
        new = {name: loops["target"][name] - loops["source"][name] for name in ("loop_words", "loop_chars")}
        lines = pairs.select(
            "row",
            **{name: pl.Series(found.clip(0), dtype=pl.Int32) for name, found in new.items()},
            repeated=text.measured(pl.lit(pl.Series((shares["target"] - shares["source"]).clip(0)))),
        )
        worst = {name: (pl.col(name).max(), 0) for name in self.measures()}
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("word_loop", self.max_loop_words, pl.col("loop_words")),
            ("char_loop", self.max_loop_chars, pl.col("loop_chars")),
            ("repeated_runs", self.max_repeated, pl.col("repeated")),
        ]
        return [(reason, found > most) for reason, most, found in bounds if most is not None]


def _loops(texts: pl.Series) -> dict[str, Any]:
    """The lengths of the longest loops of every text, and its words as numbers: `codes`, and the text of each."""
    texts = texts.str.to_lowercase()
    words = texts.str.extract_all(text.WORD)
    row = np.repeat(np.arange(len(texts)), words.list.len().to_numpy())
    codes = words.explode().drop_nulls().hash().to_numpy()
    chars = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    char_row = np.repeat(np.arange(len(texts)), texts.str.len_chars().to_numpy())
    ruler = np.isin(chars, np.array([ord(c) for c in _RULERS], dtype=np.uint32))
    return {
        "codes": (codes, row),
        "loop_words": _longest(codes, row, len(texts), _WORD_PERIODS),
        # A ruler is a row of its own, and so ends a loop.
        "loop_chars": _longest(chars, np.where(ruler, -1, char_row), len(texts), _CHAR_PERIODS),
    }


def _longest(codes: Codes, row: Ints, height: int, periods: range) -> Ints:
    """The length of the longest loop in every row."""
    best = np.zeros(height, dtype=np.int64)
    for period in periods:
        # Where each code equals the one a period before it, a loop goes on.
        same = (codes[period:] == codes[:-period]) & (row[period:] == row[:-period])
        at = np.flatnonzero(same & (row[period:] >= 0))
        if not len(at):
            continue
        begins = np.flatnonzero(np.append(True, (np.diff(at) != 1) | (np.diff(row[at]) != 0)))
        lengths = np.diff(np.append(begins, len(at)))
        loops = lengths >= (_MIN_TIMES - 1) * period
        np.maximum.at(best, row[at[begins[loops]]], lengths[loops] + period)
    return best


def _repeated(words: tuple[Codes, Ints], height: int, min_words: int) -> Shares:
    """The share of every row's runs of words that stood before in it."""
    codes, row = words
    if len(codes) < _RUN:
        return np.zeros(height)
    keys = row[: -_RUN + 1].astype(np.uint64) * _NEXT
    for i in range(_RUN):
        keys = (keys ^ codes[i : len(codes) - _RUN + 1 + i]) * _NEXT
    whole = row[: -_RUN + 1] == row[_RUN - 1 :]  # not from one text into the next
    keys, row = keys[whole], row[: -_RUN + 1][whole]
    _, first = np.unique(keys, return_index=True)
    runs, distinct = np.bincount(row, minlength=height), np.bincount(row[first], minlength=height)
    return np.where(runs >= max(min_words - _RUN + 1, 1), (runs - distinct) / np.maximum(runs, 1), 0.0)
