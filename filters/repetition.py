"""Repetition: lines, paragraphs and word n-grams that a text says again and again.

The model: a gram of n words can only be repeated where its first and its last n-1 words are, so every size
of gram is looked for only where the next smaller one was found twice; most texts are done after pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

TOP, DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_BATCH_CHARS = 1_000_000  # some 200,000 words: the arrays stay in the cache, and memory stays bounded
_ROW, _NEXT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)  # odd, so that no bits are lost

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@register
class Repetition(Filter):
    """Drop texts that repeat themselves, by the rules and numbers of Gopher (arXiv 2112.11446, table A1).

    `duplicate_lines` and `duplicate_paragraphs` are the shares of lines and paragraphs that stood before in the
    same text, `…_chars` the share of characters in them. `top_N_gram` is the share of characters in the most
    frequent run of N words, `duplicate_N_gram` that in all runs of N words that stood before, overlaps counted
    once. Words are runs of letters and digits, every other visible character is one of its own. Each rule can
    be switched off with null.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Boil the lentils in salted water, fry the onions in oil, and mix both with the rice.",
        "dropped": "I like it. I like it. I like it. I like it. I like it.",
    }

    revision: ClassVar[int] = 2
    measured_by: ClassVar[tuple[str, ...]] = ("min_times",)
    measured_by: ClassVar[tuple[str, ...]] = ("min_times",)

    step: Literal["repetition"] = "repetition"
    on: TextPath = "messages"
    min_times: Annotated[int, Field(ge=1)] = 2
    """A top gram counts from this many times on. 1 is the letter of the paper, by which a text of a few words is
    nothing but its first pair."""
    max_duplicate_lines: Share | None = 0.30
    """Largest share of lines that stood before."""
    max_duplicate_paragraphs: Share | None = 0.30
    """Largest share of paragraphs that stood before."""
    max_duplicate_line_chars: Share | None = 0.20
    """Largest share of characters in such lines."""
    max_duplicate_paragraph_chars: Share | None = 0.20
    """Largest share of characters in such paragraphs."""
    max_top_2_gram: Share | None = 0.20
    """Largest share of characters in the most frequent pair of words."""
    max_top_3_gram: Share | None = 0.18
    """The same for three words."""
    max_top_4_gram: Share | None = 0.16
    """The same for four words."""
    max_duplicate_5_gram: Share | None = 0.15
    """Largest share of characters in runs of five words that stood before."""
    max_duplicate_6_gram: Share | None = 0.14
    """The same for six words."""
    max_duplicate_7_gram: Share | None = 0.13
    """The same for seven words."""
    max_duplicate_8_gram: Share | None = 0.12
    """The same for eight words."""
    max_duplicate_9_gram: Share | None = 0.11
    """The same for nine words."""
    max_duplicate_10_gram: Share | None = 0.10
    """The same for ten words."""

    def measures(self) -> Columns:
        return {name: pl.Float32() for name in _NAMES}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        parts = [self._measure(part) for part in _batches(frame.select(text=rows.text(self.on)))]
        return pl.concat(parts) if parts else pl.DataFrame(schema=self.measures())

    def _measure(self, texts: pl.DataFrame) -> pl.DataFrame:
        counts = {
            **_pieces(texts, "line", r"\n+", "\n"),
            **_pieces(texts, "paragraph", r"\n{2,}", "\n\n"),
            **_grams(texts, self.min_times),
        }
        chars = pl.col("text").str.len_chars()
        shares = [
            text.ratio(pl.col(name), pl.col(f"{name} of") if name in _PER_PIECE else chars).alias(name)
            for name in _NAMES
        ]
        return texts.with_columns(**counts).select(shares)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [(name, getattr(self, f"max_{name}")) for name in _NAMES]
        return [(name, pl.col(name) > bound) for name, bound in bounds if bound is not None]


_PER_PIECE = ("duplicate_lines", "duplicate_paragraphs")
_NAMES = (
    *_PER_PIECE,
    "duplicate_line_chars",
    "duplicate_paragraph_chars",
    *(f"top_{n}_gram" for n in TOP),
    *(f"duplicate_{n}_gram" for n in DUPLICATE),
)


def _batches(texts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in runs of about `_BATCH_CHARS` bytes, at least one row each."""
    ends = texts["text"].str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _BATCH_CHARS, side="right")))
        yield texts[start:end]
        start = end


def _pieces(texts: pl.DataFrame, name: str, breaks: str, separator: str) -> dict[str, pl.Series]:
    """How many pieces (lines or paragraphs) of each text stood before in it, of how many, and their characters."""
    stripped = pl.col("text").str.strip_chars()
    pieces = (
        texts.with_row_index("row")
        .select("row", piece=stripped)
        .filter(pl.col("piece").str.contains(separator, literal=True))
        .with_columns(pl.col("piece").str.replace_all(breaks, separator).str.split(separator))
        .explode("piece")
        .filter(pl.col("piece").str.contains(r"\S"))  # a line of nothing but spaces says nothing twice
    )
    again = pl.col("len") - 1
    per_row = {
        "again": (again.sum(), 0),
        "of": (pl.col("len").sum(), 1),
        "chars": ((again * pl.col("piece").str.len_chars()).sum(), 0),
    }
    found = text.per_row(pieces.group_by("row", "piece").len(), texts.height, per_row)
    return {
        f"duplicate_{name}s": found["again"],
        f"duplicate_{name}s of": found["of"],
        f"duplicate_{name}_chars": found["chars"],
    }


def _grams(texts: pl.DataFrame, min_times: int) -> dict[str, pl.Series]:
    """Characters in the top and in the duplicate grams of each text."""
    words = texts.select(words=text.words(pl.col("text")))["words"]
    row = np.repeat(np.arange(len(words), dtype=np.int64), words.list.len().to_numpy())
    flat = words.explode(empty_as_null=False)
    # The value of a hash decides nothing, only whether two are equal: 64 bits within one text.
    hashes: Keys = flat.hash().to_numpy()
    ends = np.concatenate([[0], np.cumsum(flat.str.len_chars().to_numpy(), dtype=np.int64)])
    found: dict[str, pl.Series] = {}
    for n, grams in _repeated(hashes, row, max(DUPLICATE)):
        if n in TOP:
            chars = _top(n, grams, row, ends, texts.height, min_times)
            found[f"top_{n}_gram"] = pl.Series(chars)
        else:
            hits = _spoken_before(n, *grams)
            weights = (ends[hits + n] - ends[hits]).astype(np.float64)
            chars = np.bincount(row[hits], weights, texts.height).astype(np.int64)
            found[f"duplicate_{n}_gram"] = pl.Series(chars)
    return found


def _repeated(hashes: Keys, row: Ints, largest: int) -> Iterator[tuple[int, tuple[Ints, Ints]]]:
    """For n = 2 … largest: where the grams of n words begin that stand twice in their text, and which they are.

    Positions ascend; the number of a gram is its own within this n, and no two rows share one.
    """
    keys = hashes ^ (row.astype(np.uint64) * _ROW)
    at: Ints = np.flatnonzero(row[:-1] == row[1:])
    for n in range(2, largest + 1):
        keys[at] = keys[at] * _NEXT + hashes[at + (n - 1)]
        order = np.argsort(keys[at])
        ranked = keys[at[order]]
        first = np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)]
        gram = np.empty(len(at), dtype=np.int64)
        gram[order] = np.cumsum(first) - 1
        twice = np.bincount(gram, minlength=1)[gram] > 1
        at, gram = at[twice], gram[twice]
        yield n, (at, gram)
        at = at[:-1][at[1:] == at[:-1] + 1]


def _top(n: int, grams: tuple[Ints, Ints], row: Ints, ends: Ints, height: int, min_times: int) -> Ints:
    """Characters (single spaces between the words) in the most frequent gram of each row, the earliest of equals."""
    chars = np.zeros(height, dtype=np.int64)
    if min_times == 1:  # where every gram stands once, the first one is the earliest of equals
        starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]])[: len(row)])
        starts = starts[np.bincount(row, minlength=height)[row[starts]] >= n]
        chars[row[starts]] = ends[starts + n] - ends[starts] + n - 1
    at, gram = grams
    _, first, times = np.unique(gram, return_index=True, return_counts=True)
    first, times = at[first][times >= min_times], times[times >= min_times]
    order = np.lexsort((-first, times, row[first]))  # the last of each row is its top gram
    first, times = first[order], times[order]
    chars[row[first]] = times * (ends[first + n] - ends[first] + n - 1)
    return chars


def _spoken_before(n: int, at: Ints, gram: Ints) -> Ints:
    """Where grams begin that stood before, read from left to right; a gram that is counted is stepped over."""
    seen = bytearray(int(gram.max(initial=0)) + 1)
    hits, free = [], 0
    for position, which in zip(at.tolist(), gram.tolist(), strict=True):
        if position < free:
            continue
        if seen[which]:
            hits.append(position)
            free = position + n
        else:
            seen[which] = 1
    return np.array(hits, dtype=np.int64)
