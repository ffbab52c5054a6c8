r"""Words: where the words and symbols of many texts lie, found for all of them at once.

The model:
- Texts lie end to end in one array of code points, each with a separator behind it. A table gives the class of
  every character, and comparing neighbours gives where tokens begin: no text is looked at by itself.
- Texts of ASCII alone, a byte a character, lie in other arrays than the rest, which take four.
- Only what stands between two other characters (`3.5`, `U.S.`, `don't`, `...`) is looked at one by one.
- Equal texts have equal hashes; what is compared within one text is compared by 64 bits.

A *token* is a word or a symbol, much as spaCy splits English and Arabic. A *word* is a run of letters, marks, digits
and underscores of any script, as `\w` has them, with three additions: a full stop or comma (an Arabic ٫ or ٬) between
such a character and a digit belongs to it (`10,000`, `v1.2b`); two or more single letters that are each followed by a
full stop are one word (`U.S.`); an apostrophe between two such characters begins a word of its own (`don't` is `don`
and `'t`).
Runs of full stops and of hyphens are one symbol, every other visible character is one by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Classes = NDArray[np.uint8]

CHUNK_CHARS = 1 << 19  # the arrays stay in the cache, and memory stays bounded
LAST_CHARS = 1 << 23  # more than a batch of instructions has, and 100 MB with all that is known of it

WORD, LETTER, DIGIT, VISIBLE, MARK = (np.uint8(bits) for bits in (1, 2, 4, 8, 0xF0))
"""Bits of a character's class."""
MARKS = {mark: kind << 4 for kind, mark in enumerate(".,'-\n#…•", 1)}
MARKS |= {"’": MARKS["'"], "٫": MARKS[","], "٬": MARKS[","]}
"""The high bits: characters that are looked at one by one."""
_PLANE = 1 << 16
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
_INVERSE = pow(_FACTOR, -1, 1 << 64)


class Chunk:
    """Texts end to end: `codes` of their characters, `classes` of these, and where the text of each row `begins`.

    `begins` has one place more than there are texts; the last character of each is its separator.
    """

    def __init__(self, texts: pl.Series, rows: Ints, narrow: bool) -> None:
        self.rows = rows
        joined = texts.to_frame("text").select(pl.concat_str("text", pl.lit("\n"))).to_series()
        array = joined.to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, data = array.buffers()
        places = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        utf8 = memoryview(data)[places[0] : places[-1]]
        self.codes: NDArray[np.uint8] | NDArray[np.uint32]
        if narrow:
            self.codes = np.frombuffer(utf8, np.uint8)
            self.classes: Classes = np.frombuffer(bytearray(utf8).translate(_plane(0)[:256].tobytes()), np.uint8)
            self.begins: Ints = places - places[0]
        else:
            self.codes = np.frombuffer(str(utf8, "utf-8").encode("utf-32-le"), np.uint32)
            self.classes = _classes(self.codes)
            lengths = texts.str.len_chars().to_numpy().astype(np.int64) + 1
            self.begins = np.concatenate([[0], np.cumsum(lengths)])
        self.classes[self.begins[1:] - 1] = 0
        self._of_kind: dict[str, Ints] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def chars(self) -> Ints:
        """Number of characters of each text."""
        return np.diff(self.begins) - 1

    @cached_property
    def _marks(self) -> tuple[Ints, Classes]:
        places: Ints = np.flatnonzero(self.classes > 0x0F)
        return places, self.classes[places] & MARK

    def marks(self, mark: str) -> Ints:
        """Where a character of `MARKS` stands, or another of its kind: `'` is ’ as well, `,` the Arabic ٫ and ٬."""
        if mark not in self._of_kind:
            places, kinds = self._marks
            self._of_kind[mark] = places[kinds == MARKS[mark]]
        return self._of_kind[mark]

    @cached_property
    def tokens(self) -> tuple[Ints, Ints]:
        """Where the tokens begin and end, in order."""
        visible = self.classes // VISIBLE & WORD  # 1 or 0
        word = self.classes & WORD
        first = visible.copy()
        first[1:] ^= word[1:] & word[:-1]
        self._join(first)
        last = visible.copy()
        last[:-1] ^= visible[1:] ^ first[1:]  # all but those that another character of the same token follows
        return np.flatnonzero(first.view(np.bool_)), np.flatnonzero(last.view(np.bool_)) + 1

    def _join(self, first: Classes) -> None:
        """Take out of `first` what is no beginning for the sake of a mark; a separator stands at both ends."""
        classes = self.classes
        apostrophes = self.marks("'")
        first[apostrophes[(classes[apostrophes - 1] & classes[apostrophes + 1] & WORD) != 0] + 1] = 0
        stops = self.marks(".")
        single = stops[((classes[stops - 1] & LETTER) != 0) & ((classes[stops - 2] & WORD) == 0)]
        if len(single):
            next_too = np.append(np.diff(single) == 2, False)
            one_before = np.roll(next_too, 1)
            initials = single[next_too | one_before]
            first[initials] = 0
            first[single[one_before] - 1] = 0
            stops = stops[np.isin(stops, initials, assume_unique=True, invert=True)]
        inside = np.concatenate([stops, self.marks(",")])
        inside = inside[((classes[inside - 1] & WORD) != 0) & ((classes[inside + 1] & DIGIT) != 0)]
        first[inside] = 0
        first[inside + 1] = 0
        for run in (stops, self.marks("-")):
            first[run[1:][np.diff(run) == 1]] = 0

    @cached_property
    def words(self) -> Flags:
        """Which of the tokens are words: those that begin with a word character or with an apostrophe before one."""
        starts, ends = self.tokens
        classes = self.classes[starts]
        words: Flags = (classes & WORD) != 0
        tails = np.flatnonzero((classes & MARK) == MARKS["'"])
        words[tails] = ends[tails] - starts[tails] > 1
        return words

    @cached_property
    def firsts(self) -> Ints:
        """The number of the first token of each text, and the number of all tokens."""
        return np.searchsorted(self.tokens[0], self.begins)

    @cached_property
    def texts(self) -> Ints:
        """The text that each token is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.firsts))

    @cached_property
    def lengths(self) -> Ints:
        """Characters in all tokens before each one, and in all of them."""
        starts, ends = self.tokens
        sums = np.empty(len(starts) + 1, dtype=np.int64)
        sums[0] = 0
        np.cumsum(ends - starts, out=sums[1:])
        return sums

    @cached_property
    def spaced(self) -> Ints:
        """Number of runs of visible characters in each text: words as white space separates them."""
        visible = self.classes & VISIBLE
        first = visible.copy()
        first[1:] &= ~visible[:-1]
        return self.count(np.flatnonzero(first.view(np.bool_)))

    def count(self, places: Ints) -> Ints:
        """How many of these places (ascending) lie in each text."""
        return np.diff(np.searchsorted(places, self.begins))

    def row(self, places: Ints) -> Ints:
        """Which text each of these places lies in."""
        return np.searchsorted(self.begins, places, side="right") - 1

    def before(self, bit: np.uint8) -> Callable[[Ints], Ints]:
        """A function that says how many characters with this bit of the class stand before a place."""
        bits = np.packbits(self.classes & bit, bitorder="little")
        blocks = np.zeros(len(bits) // 8 + 1, dtype=np.uint64)
        blocks.view(np.uint8)[: len(bits)] = bits
        sums = np.concatenate([[0], np.cumsum(np.bitwise_count(blocks), dtype=np.int64)])

        def number(places: Ints) -> Ints:
            inside = blocks[places >> 6] & ((np.uint64(1) << (places & 63).astype(np.uint64)) - np.uint64(1))
            found: Ints = sums[places >> 6] + np.bitwise_count(inside)
            return found

        return number

    @cached_property
    def keys(self) -> Keys:
        """A number for every token, the same for the same characters in whatever chunk."""
        starts, ends = self.tokens
        powers, inverses = _powers(len(self.codes))
        sums = np.empty(len(self.codes) + 1, dtype=np.uint64)
        sums[0] = 0
        np.multiply(self.codes, inverses[: len(self.codes)], out=sums[1:])
        np.cumsum(sums, out=sums)
        return (sums[ends] - sums[starts]) * powers[starts]

    def stretch_keys(self, starts: Ints, ends: Ints, first: Ints, last: Ints) -> Keys:
        """A number for each stretch of characters with the tokens from `first` to before `last` in it.

        It is the same for stretches of one length with the same tokens at the same distances.
        """
        powers, _ = _powers(len(self.codes))
        sums = self._key_sums
        return (sums[last] - sums[first]) * powers[starts] + (ends - starts).astype(np.uint64) * np.uint64(_INVERSE)

    @cached_property
    def _key_sums(self) -> Keys:
        _, inverses = _powers(len(self.codes))
        sums = np.zeros(len(self.keys) + 1, dtype=np.uint64)
        np.cumsum(self.keys * inverses[self.tokens[0]], out=sums[1:])
        return sums


def chunks(texts: pl.Series) -> Iterator[Chunk]:
    """The texts in chunks of about `CHUNK_CHARS` bytes, at least one text each; not in their order."""
    sizes = texts.str.len_bytes()
    narrow = (sizes == texts.str.len_chars()).to_numpy()
    for flag in (True, False):
        rows = np.flatnonzero(narrow == flag)
        some = texts.gather(rows)
        ends = np.cumsum(some.str.len_bytes().to_numpy(), dtype=np.int64)
        start = 0
        while start < len(rows):
            before = int(ends[start - 1]) if start else 0
            end = max(start + 1, int(np.searchsorted(ends, before + CHUNK_CHARS, side="right")))
            yield Chunk(some[start:end], rows[start:end], flag)
            start = end


def count(texts: pl.Series, look: Callable[[Chunk], Mapping[str, Ints]], names: Sequence[str]) -> pl.DataFrame:
    """What `look` says about each text, chunk by chunk: one line per text, in order, a column for each name."""
    where, known = _LAST.find(texts)
    found = {name: np.zeros(len(texts) if where is None else len(_LAST), dtype=np.int64) for name in names}
    for chunk in known:
        for name, numbers in look(chunk).items():
            found[name][chunk.rows] = numbers
    return pl.DataFrame({name: numbers if where is None else numbers[where] for name, numbers in found.items()})


class _Last(threading.local):
    """The chunks of the last texts, for the filters of a pass look at the same ones, or at those that are left.

    Without this `length`, `gopher_quality` and `repetition` take 1.4 times as long together: chunks, tokens and keys
    are a third of their work.
    """

    def __init__(self) -> None:
        self._texts = pl.Series(dtype=pl.String)
        self._hashes = np.zeros(0, dtype=np.uint64)
        self._chunks: list[Chunk] = []

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, texts: pl.Series) -> tuple[Ints | None, Iterable[Chunk]]:
        """Chunks with these texts, and which texts of them these are: None, if all in their order."""
        if texts.str.len_bytes().sum() > LAST_CHARS:
            return None, chunks(texts)
        hashes = texts.hash().to_numpy()
        if len(self) / 2 < len(texts) <= len(self):
            order = np.argsort(self._hashes)
            place = np.searchsorted(self._hashes[order], hashes)
            where = order[np.minimum(place, len(order) - 1)]
            if self._texts.gather(where).equals(texts):
                return where, self._chunks
        self._texts, self._hashes, self._chunks = texts, hashes, list(chunks(texts))
        return None, self._chunks


_LAST = _Last()


def keys_of(words: list[str]) -> dict[str, int]:
    """The hash that each of these has as a word; what is no single word has none."""
    found: dict[str, int] = {}
    for chunk in chunks(pl.Series(words, dtype=pl.String)):
        starts, ends = chunk.tokens
        single = np.flatnonzero(np.diff(chunk.firsts) == 1)
        token = chunk.firsts[single]
        whole = (ends[token] - starts[token] == chunk.chars[single]) & chunk.words[token]
        keys = zip(chunk.rows[single[whole]].tolist(), chunk.keys[token[whole]].tolist(), strict=True)
        found |= {words[row]: key for row, key in keys}
    return found


def _classes(codes: NDArray[np.uint32]) -> Classes:
    """The class of every character."""
    classes: Classes = _plane(0)[codes.astype(np.uint16)]
    rare = np.flatnonzero(codes >= _PLANE)
    for plane in np.unique(codes[rare] // _PLANE).tolist():
        mine = rare[codes[rare] // _PLANE == plane]
        classes[mine] = _plane(plane)[codes[mine] % _PLANE]
    return classes


@lru_cache(maxsize=17)
def _plane(number: int) -> Classes:
    """The classes of 65,536 code points, asked of the same patterns as everything else that looks at texts."""
    codes = np.arange(number * _PLANE, (number + 1) * _PLANE)
    codes = codes[(codes < 0xD800) | (codes > 0xDFFF)]  # surrogates are no characters
    character = pl.col("character")
    bits = {r"\w": WORD, r"\p{L}": LETTER, r"\d": DIGIT, r"\S": VISIBLE}
    known = pl.DataFrame({"character": [chr(code) for code in codes]}).select(
        pl.sum_horizontal(character.str.contains(pattern).cast(pl.UInt8) * int(bit) for pattern, bit in bits.items())
    )
    classes = np.zeros(_PLANE, dtype=np.uint8)
    classes[codes % _PLANE] = known.to_series().to_numpy()
    for mark, kind in MARKS.items():
        if ord(mark) // _PLANE == number:
            classes[ord(mark)] |= kind
    return classes


def _powers(length: int) -> tuple[Keys, Keys]:
    """At least `length` powers of the hash's factor, and of its inverse."""
    return _powers_of(1 << max(CHUNK_CHARS, length).bit_length())


@lru_cache(maxsize=1)
def _powers_of(length: int) -> tuple[Keys, Keys]:
    powers = np.full((2, length), [[_FACTOR], [_INVERSE]], dtype=np.uint64)
    powers[:, 0] = 1
    up, down = np.multiply.accumulate(powers, axis=1)
    return up, down
