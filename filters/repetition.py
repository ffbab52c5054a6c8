"""Repetition: lines, paragraphs and word n-grams that a text says again and again.

The model: a gram of n words can only be repeated where its first and its last n-1 words are, so every size
of gram is looked for only where the next smaller one was found twice; most texts are done after pairs. A
paragraph can only be repeated where a line is.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register
from hala_factory.words import Chunk, Flags, Ints, Keys, count

TOP, DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_ROW, _NEXT = np.uint64(0xA0761D6478BD642F), np.uint64(0xD1342543DE82EF95)  # odd, so that no bits are lost


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

    revision: ClassVar[int] = 3
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
        texts = frame.select(text=rows.text(self.on))
        counts = count(texts["text"], self._look, [*_NAMES, *_WHOLES])
        whole = {name: pl.col(f"{name} of") for name in _PER_PIECE}
        chars = pl.col("chars")
        shares = [text.ratio(pl.col(name), whole.get(name, chars)).alias(name) for name in _NAMES]
        return counts.with_columns(chars=texts["text"].str.len_chars()).select(shares)

    def _look(self, chunk: Chunk) -> dict[str, Ints]:
        return {**_pieces(chunk), **_grams(chunk, self.min_times)}

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [(name, getattr(self, f"max_{name}")) for name in _NAMES]
        return [(name, pl.col(name) > bound) for name, bound in bounds if bound is not None]


_PER_PIECE = ("duplicate_lines", "duplicate_paragraphs")
_WHOLES = tuple(f"{name} of" for name in _PER_PIECE)
_NAMES = (
    *_PER_PIECE,
    "duplicate_line_chars",
    "duplicate_paragraph_chars",
    *(f"top_{n}_gram" for n in TOP),
    *(f"duplicate_{n}_gram" for n in DUPLICATE),
)


def _pieces(chunk: Chunk) -> dict[str, Ints]:
    """How many lines and paragraphs of each text stood before in it, of how many, and their characters."""
    breaks = chunk.marks("\n")
    found, repeated = _again(chunk, breaks, "line")
    next_too = np.diff(breaks) == 1
    paragraphs = breaks[np.append(next_too, False) | np.append(False, next_too)] if len(breaks) else breaks
    return found | _again(chunk, paragraphs[repeated[chunk.row(paragraphs)]], "paragraph")[0]


def _again(chunk: Chunk, breaks: Ints, name: str) -> tuple[dict[str, Ints], Flags]:
    """The same for the pieces between `breaks`, and which texts say one again; space around a text is no part of it.

    A piece of nothing but spaces says nothing twice.
    """
    tokens, token_ends = chunk.tokens
    ends = np.sort(np.append(breaks, chunk.begins[1:] - 1))
    starts = np.append(0, ends[:-1] + 1)
    last = np.searchsorted(tokens, ends)
    first = np.append(0, last[:-1])
    said = first < last
    starts, ends, first, last = starts[said], ends[said], first[said], last[said]
    row = chunk.texts[first]
    starts = np.maximum(starts, tokens[chunk.firsts[row]])
    ends = np.minimum(ends, token_ends[chunk.firsts[row + 1] - 1])
    keys = chunk.stretch_keys(starts, ends, first, last) ^ row.astype(np.uint64) * _ROW
    at, new = _repeated(keys)
    again = at[~new]
    per_row = np.bincount(row[again], minlength=len(chunk))
    counts = {
        f"duplicate_{name}s": per_row,
        f"duplicate_{name}s of": np.bincount(row, minlength=len(chunk)),
        f"duplicate_{name}_chars": np.bincount(row[again], (ends - starts)[again], len(chunk)).astype(np.int64),
    }
    return counts, per_row > 0


def _grams(chunk: Chunk, min_times: int) -> dict[str, Ints]:
    """Characters in the top and in the duplicate grams of each text."""
    # The number of its text makes a word, and with it a gram, like no other of another text.
    words = chunk.keys + chunk.texts.astype(np.uint64) * _ROW
    keys, at = words[:-1] * _NEXT + words[1:], np.arange(len(words) - 1)
    known, leads = np.empty_like(words), np.empty_like(chunk.texts)
    found: dict[str, Ints] = {}
    for n in range(2, max(DUPLICATE) + 1):
        where, first = _repeated(keys)
        again = at[where]
        known[again] = keys[where]
        stands = np.zeros(len(words), dtype=np.bool_)
        stands[again] = True
        at = np.flatnonzero(stands)
        if n in TOP:
            found[f"top_{n}_gram"] = _top(chunk, n, again, first, min_times)
        else:
            leads[again] = again[np.flatnonzero(first)[np.cumsum(first) - 1]]
            hits = _spoken_before(n, at, leads[at], chunk.texts)
            chars = np.bincount(chunk.texts[hits], chunk.lengths[hits + n] - chunk.lengths[hits], len(chunk))
            found[f"duplicate_{n}_gram"] = chars.astype(np.int64)
        at = at[:-1][np.diff(at) == 1]
        keys = known[at] * _NEXT + words[at + n]
    return found


def _repeated(keys: Keys) -> tuple[Ints, Flags]:
    """Where the keys stand that stand more than once, equal ones together and ascending, and which are the first."""
    low = np.uint64((1 << len(keys).bit_length()) - 1)
    # Sorted with its place in the low bits a key brings its place along: three times faster than `argsort`.
    ranked = keys * _NEXT  # keys that differ shall differ in the high bits
    ranked &= ~low
    ranked |= np.arange(len(keys), dtype=np.uint64)
    ranked.sort()
    at, first = _grouped(ranked, ranked[1:] ^ ranked[:-1] <= low)
    at &= low
    if (keys[at[1:]] != keys[at[:-1]])[~first[1:]].any():
        order = np.argsort(keys, kind="stable")
        at, first = _grouped(order, keys[order[1:]] == keys[order[:-1]])
    return at.astype(np.int64), first


def _grouped(ranked: NDArray[Any], same: Flags) -> tuple[NDArray[Any], Flags]:
    """Those of which the next or the last one is the `same`, and whether they are the first of such."""
    shared = np.zeros(len(ranked), dtype=np.bool_)
    shared[1:] = same
    shared[:-1] |= same
    places = np.flatnonzero(shared)
    first = ~same[places - 1]
    first[:1] = True
    return ranked[places], first


def _top(chunk: Chunk, n: int, at: Ints, first: Flags, min_times: int) -> Ints:
    """Characters (single spaces between the words) in the most frequent gram of each text, the earliest of equals."""
    leads = np.flatnonzero(first)
    times = np.diff(np.append(leads, len(at)))
    leads, times = at[leads[times >= min_times]], times[times >= min_times]
    if min_times == 1:  # where every gram stands once, the first one is the earliest of equals
        firsts = chunk.firsts[:-1][np.diff(chunk.firsts) >= n]
        leads, times = np.append(leads, firsts), np.append(times, np.ones_like(firsts))
    tokens = len(chunk.texts)
    best = np.zeros(len(chunk), dtype=np.int64)
    np.maximum.at(best, chunk.texts[leads], times * (tokens + 1) + (tokens - leads))
    times, left = np.divmod(best, tokens + 1)
    leads = np.where(times, tokens - left, 0)
    chars: Ints = times * (chunk.lengths[np.minimum(leads + n, tokens)] - chunk.lengths[leads] + n - 1)
    return chars


def _spoken_before(n: int, at: Ints, leads: Ints, texts: Ints) -> Ints:
    """Where grams begin that stood before, read from left to right; a gram that is counted is stepped over.

    `leads` has where each gram stands first, `texts` the text of every token.
    """
    later = leads < at
    places, firsts = at[later], leads[later]
    # Of grams that follow upon each other, every nth is counted ...
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    counts = -(-np.diff(begins, append=len(places)) // n)
    picked = np.repeat(begins - n * (np.cumsum(counts) - counts), counts) + n * np.arange(counts.sum())
    hits: Ints = places[picked]
    # ... but for texts in which one that is counted hides the next, or where a gram stood first.
    before = np.append(-n, hits)[np.searchsorted(hits, firsts[picked])]
    odd = (np.diff(hits, prepend=-n) < n) | (firsts[picked] < before + n)
    if not odd.any():
        return hits
    left_to_right = np.zeros(len(texts), dtype=np.bool_)
    left_to_right[texts[hits[odd]]] = True
    slow = left_to_right[texts[at]]
    return np.append(hits[~left_to_right[texts[hits]]], _one_by_one(n, at[slow], leads[slow]))


def _one_by_one(n: int, at: Ints, leads: Ints) -> Ints:
    hits, free, seen = [], 0, set()
    for place, gram in zip(at.tolist(), leads.tolist(), strict=True):
        if place < free:
            continue
        if gram in seen:
            hits.append(place)
            free = place + n
        else:
            seen.add(gram)
    return np.array(hits, dtype=np.int64)
