"""Shingles: the overlapping runs of words in which a text is compared with others, and the keys that find its likes.

The model:
- A text is folded as `text.matching_key` folds it (the fold of every character is learnt from that rule), cut into
  words, and its *shingles* are the 64-bit hashes of all runs of `ngram` words, as a set.
- Of the set, a *sketch* of 128 numbers is drawn by one-permutation hashing: the space of hashes is cut into 128
  bins and each keeps its smallest; two sets agree in a bin with the probability of their Jaccard similarity.
- The sketch is cut into *bands*; texts that agree in one whole band are worth comparing. Which of them really are
  similar is then counted on the shingles themselves, so a band may propose too much, and decides nothing.
- Everything is a row's own: the same whatever stands beside it, and the same on every machine.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from hala_factory import text

Unit = Literal["word", "char"]
Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

BINS = 128
_BIN_BITS = 7
_HASH_BITS = 51  # the rest of 64 bits numbers the row within its chunk
_ROWS = 1 << (64 - _HASH_BITS)
_CHARS = 1 << 18
"""Characters worked on at a time: what is made of them fits in the processor's cache (twice as fast as at 2^22)."""
_STORED_BITS = 32
"""Of every shingle so many bits are stored; others propose a pair, so a chance agreement has to happen twice."""
_LEARNT = 0x20000  # two planes; above them stand ideographs, of which every plane shares the codes of one
_PLANE = 0x10000

_BREAK, _SKIP, _LETTER, _SIGN, _SINGLE, _HARD = range(6)
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Scripts that put no space between words: each character counts as a word."""


@dataclass(frozen=True)
class Bands:
    """How a sketch is cut: `count` bands of `width` bins."""

    count: int
    width: int

    @classmethod
    def finding(cls, similarity: float, share: float = 0.99) -> Bands:
        """The widest bands of which at least `share` of the pairs of just this similarity have one in common."""
        for width in range(BINS // 4, 1, -1):
            count = BINS // width
            if 1 - (1 - similarity**width) ** count >= share:
                return cls(count, width)
        return cls(BINS // 2, 2)

    @property
    def names(self) -> list[str]:
        """The columns that hold them."""
        return [f"band_{number:02d}" for number in range(self.count)]


def sketched(texts: pl.Series, unit: Unit, ngram: int, bands: Bands) -> pl.DataFrame:
    """Per text: `whole` (equal only for equal sets), `shingles` (ascending), and a key per band.

    `whole` and the keys of a text with fewer than `ngram` words are null: it has no shingle.
    """
    parts = [_sketched(chunk, unit, ngram, bands) for chunk in _chunks(texts.fill_null(""))]
    return pl.concat(parts) if parts else _sketched([], unit, ngram, bands)


def lists(values: pl.Series, sizes: pl.Series) -> pl.Series:
    """Lists of so many of the values each, in order."""
    import pyarrow as pa

    offsets = pl.Series(np.concatenate([[0], np.cumsum(sizes.to_numpy())]), dtype=pl.Int64).to_arrow()
    made = pa.LargeListArray.from_arrays(offsets, values.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return pl.Series(values.name, made, dtype=pl.List(values.dtype))


def together(first: pl.Series, second: pl.Series) -> pl.Series:
    """One `whole` for two texts of a row."""
    return pl.Series(_mix(first.to_numpy() * _SALTS[5] + second.to_numpy()), dtype=pl.UInt64)


@dataclass(frozen=True)
class Sets:
    """Sets of shingles behind each other in a file, of which only those come into memory that are compared."""

    values: Array
    starts: Array
    sizes: Array

    @classmethod
    def stored(cls, index: pl.LazyFrame, column: str) -> Sets:
        """The lists of a column, each ascending, written once to a file that has no name and goes with this object."""
        sizes = [np.empty(0, dtype=np.int64)]
        with tempfile.TemporaryFile() as file:
            for part in index.select(column).collect_batches(maintain_order=True):
                found = part.to_series()
                sizes.append(found.list.len().to_numpy().astype(np.int64))
                found.explode(empty_as_null=False, keep_nulls=False).to_numpy().tofile(file)
            values = np.memmap(file, dtype=np.uint32, mode="r") if file.tell() else np.empty(0, dtype=np.uint32)
        counts = np.concatenate(sizes)
        return cls(values, np.cumsum(counts) - counts, counts)

    def taken(self, places: Array) -> Sets:
        """The sets at these places, in this order."""
        return Sets(self.values, self.starts[places], self.sizes[places])

    def jaccard(self, first: Array, second: Array) -> Array:
        """The similarity of sets `first[i]` and `second[i]`."""
        found = np.empty(len(first), dtype=np.float64)
        ends = np.cumsum(self.sizes[first] + self.sizes[second])
        at = 0
        while at < len(first):
            base = ends[at - 1] if at else 0
            to = max(int(np.searchsorted(ends, base + _CHARS * 8, side="right")), at + 1)
            a, b = first[at:to], second[at:to]
            pair = np.arange(len(a), dtype=np.uint64) << np.uint64(_STORED_BITS)
            # Both sets of a pair behind each other and sorted: what they share stands twice in a row.
            both = np.concatenate([self._spread(pair, sets) for sets in (a, b)])
            both.sort()
            twice = both[1:][both[1:] == both[:-1]] >> np.uint64(_STORED_BITS)
            common = np.bincount(twice.astype(np.int64), minlength=len(a))
            found[at:to] = common / (self.sizes[a] + self.sizes[b] - common)
            at = to
        return found

    def _spread(self, pair: Array, sets: Array) -> Array:
        sizes = self.sizes[sets]
        return np.repeat(pair, sizes) | self.values[_ranges(self.starts[sets], sizes)].astype(np.uint64)


def _ranges(starts: Array, sizes: Array) -> Array:
    """`starts[0], starts[0] + 1, …` of every range of so many numbers, one range after the other."""
    skipped = np.repeat(starts - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes) if len(sizes) else starts
    return np.arange(int(sizes.sum()), dtype=np.int64) + skipped


def _chunks(texts: pl.Series) -> Iterator[list[str]]:
    waiting: list[str] = []
    chars = 0
    for content in texts:
        waiting.append(content)
        chars += len(content) + 1
        if chars >= _CHARS or len(waiting) == _ROWS:
            yield waiting
            waiting, chars = [], 0
    if waiting:
        yield waiting


def _shingles(texts: list[str], unit: Unit, ngram: int) -> tuple[Array, Array]:
    """The hash of every run of `ngram` units that lies within one text, and the number of that text."""
    units, rows = _units(texts, unit)
    count = len(units) - ngram + 1
    if count <= 0:
        return units[:0], rows[:0]
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(ngram):
        hashes += units[place : place + count] * _SALTS[place]
    inside = rows[:count] == rows[ngram - 1 :]
    return hashes[inside], rows[:count][inside]


def _units(texts: list[str], unit: Unit) -> tuple[Array, Array]:
    """The hash of every word (or character) of all texts in order, and the number of the text it stands in."""
    kinds, codes = _alphabet()
    spelt, kind = _spelt(texts, kinds)
    if (kind == _HARD).any():
        ends = np.cumsum([len(t) + 1 for t in texts])
        hard = np.unique(np.searchsorted(ends, np.flatnonzero(kind == _HARD), side="right")).tolist()
        folded = pl.DataFrame({"text": [texts[i] for i in hard]}).select(text.matching_key(pl.col("text")))
        texts = texts.copy()
        for i, content in zip(hard, folded.to_series(), strict=True):
            texts[i] = content
        spelt, kind = _spelt(texts, kinds)
        kind[kind == _HARD] = _LETTER
    ends = np.cumsum([len(t) + 1 for t in texts])
    if (kind == _SKIP).any():
        said = kind != _SKIP
        spelt, kind, ends = spelt[said], kind[said], np.cumsum(said)[ends - 1]

    gap = kind == _BREAK
    follows_gap = np.concatenate([[True], gap[:-1]])
    if unit == "char":
        places = np.flatnonzero(~(gap & follows_gap))
        rows = np.searchsorted(ends, places, side="right")
        inside = ~gap[places] | ~np.concatenate([rows[1:] != rows[:-1], [True]])  # no space ends a text
        places, rows = places[inside], rows[inside]
        return _mix(np.where(gap[places], _SALTS[2], codes[spelt[places]])), rows
    changes = np.concatenate([[True], kind[1:] != kind[:-1]])
    begins = np.flatnonzero(~gap & (changes | (kind == _SINGLE)))
    if not len(begins):
        return codes[:0], begins
    # A word is a polynomial of its letters. Its power depends on where it stands, which is divided out again.
    powers, inverses = _powers(1 << max(len(spelt) - 1, 1).bit_length())
    total = np.cumsum(codes[spelt] * powers[: len(spelt)])
    before = total[begins] - codes[spelt[begins]] * powers[begins]
    words = np.diff(before, append=total[-1:]) * inverses[begins]
    return _mix(words), np.searchsorted(ends, begins, side="right")


def _spelt(texts: list[str], kinds: Array) -> tuple[Array, Array]:
    joined = "".join(f"{t}\n" for t in texts)
    spelt = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    if spelt.size and spelt.max() >= _LEARNT:
        spelt = np.where(spelt < _LEARNT, spelt, _LEARNT | (spelt % _PLANE))
    return spelt, kinds[spelt]


@functools.lru_cache(maxsize=2)  # those of a huge text take as much room as it does
def _powers(count: int) -> tuple[Array, Array]:
    """The first powers of an odd number, and of its inverse, modulo 2^64."""
    odd = int(_SALTS[3])
    return tuple(
        np.cumprod(np.concatenate([[np.uint64(1)], np.full(count - 1, base, dtype=np.uint64)]), dtype=np.uint64)
        for base in (odd, pow(odd, -1, 1 << 64))
    )  # type: ignore[return-value]


@functools.cache
def _alphabet() -> tuple[Array, Array]:
    """What every character is for a text (a break, nothing, part of a word, …), and a hash of what it is folded to.

    Learnt from the matching key of the character alone and between two letters, so both have one rule.
    """
    numbers = [c for c in range(_LEARNT) if not 0xD800 <= c < 0xE000]  # surrogates are no characters
    char = pl.col("char")
    key = text.matching_key(text.fold_digits(char))
    between = text.matching_key(pl.concat_str(pl.lit("x"), char, pl.lit("x")))
    kind = (
        pl.when((key == "") & (between == "xx"))
        .then(_SKIP)
        .when(key == "")
        .then(_BREAK)
        .when((key.str.len_chars() > 1) | char.str.contains(r"\p{M}"))
        .then(_HARD)  # several letters, or an accent that joins the letter before it: the rule itself is asked
        .when(char.str.contains(_UNSPACED))
        .then(_SINGLE)
        .when(char.str.contains(r"\w"))
        .then(_LETTER)
        .otherwise(_SIGN)
    )
    told = pl.DataFrame({"char": [chr(c) for c in numbers]}).select(kind=kind, key=key)
    kinds = np.full(_LEARNT + _PLANE, _SINGLE, dtype=np.uint8)
    kinds[numbers] = told["kind"].to_numpy()
    folded = np.arange(len(kinds), dtype=np.uint64)
    folded[numbers] = [ord(k[:1] or "\0") for k in told["key"]]
    codes = _mix(folded + _SALTS[4])
    codes[kinds == _BREAK] = 0  # adds nothing to the word before it
    return kinds, codes


def _sketched(texts: list[str], unit: Unit, ngram: int, bands: Bands) -> pl.DataFrame:
    hashes, rows = _shingles(texts, unit, ngram)
    space = np.uint64(_HASH_BITS)
    keyed = (rows.astype(np.uint64) << space) | (_mix(hashes) >> np.uint64(64 - _HASH_BITS))
    keyed.sort()
    keyed = keyed[_changes(keyed)]
    rows = (keyed >> space).astype(np.int64)
    hashes = keyed & np.uint64((1 << _HASH_BITS) - 1)

    first = np.flatnonzero(_changes(rows))
    has = rows[first]
    whole = np.zeros(len(texts), dtype=np.uint64)
    stored = (keyed >> np.uint64(_HASH_BITS - _STORED_BITS)) & np.uint64((1 << _STORED_BITS) - 1)
    # Two shingles of one text may agree in the bits that are stored: as a set they are one.
    kept = _changes(rows) | _changes(stored)
    sizes = np.bincount(rows[kept], minlength=len(texts))
    keys = np.zeros((len(texts), bands.count), dtype=np.uint32)
    if len(first):
        whole[has] = _mix(np.add.reduceat(_mix(hashes + _SALTS[0]), first))
        keys[has] = _band_keys(_sketch(rows, hashes, first), bands)

    listed = lists(pl.Series("shingles", stored[kept].astype(np.uint32)), pl.Series(sizes))
    none = pl.Series(sizes == 0)
    columns = {"whole": whole, **{name: keys[:, i] for i, name in enumerate(bands.names)}}
    made = pl.DataFrame(columns).with_columns(pl.when(~none).then(pl.all()).name.keep())
    return made.insert_column(1, listed)


def _changes(ascending: Array) -> Array:
    """Whether a value differs from the one before it; the first does."""
    differs = np.empty(len(ascending), dtype=bool)
    differs[:1] = True
    np.not_equal(ascending[1:], ascending[:-1], out=differs[1:])
    return differs


def _sketch(rows: Array, hashes: Array, first: Array) -> Array:
    """128 numbers per row that has shingles: the smallest hash of a bin, or that of another bin if it is empty.

    Which other bin an empty one borrows from is drawn by chance, for each bin its own: the one that stands first
    among the filled ones in a shuffled order of all bins. So equal sets borrow alike, and similar ones mostly
    (densification, Shrivastava 2017, arXiv 1703.04664). In its own order a bin stands first.
    """
    bins = (hashes >> np.uint64(_HASH_BITS - _BIN_BITS)).astype(np.int64)
    row = np.cumsum(_changes(rows)) - 1
    smallest = np.flatnonzero(_changes(row * BINS + bins))
    table = np.zeros((len(first), BINS), dtype=np.uint64)
    table[row[smallest], bins[smallest]] = hashes[smallest]
    ranks, orders = _orders()
    filled = bins[smallest]
    starts = np.flatnonzero(_changes(row[smallest]))
    counts = np.diff(starts, append=len(filled))
    largest = np.argsort(-counts, kind="stable")
    nearest = np.full((len(first), BINS), BINS - 1, dtype=np.uint8)
    # The n-th filled bin of all rows at once, rows with the most bins first: 15 times faster than `reduceat`.
    for turn in range(int(counts.max())):
        having = largest[: int((counts > turn).sum())]
        lent = ranks.take(filled[starts[having] + turn], axis=0)
        np.minimum(nearest[: len(having)], lent, out=nearest[: len(having)])
    lender = orders[np.arange(BINS), nearest]
    sketch: Array = np.take_along_axis(table[largest], lender, axis=1)[np.argsort(largest)]
    return sketch


@functools.cache
def _orders() -> tuple[Array, Array]:
    """`ranks[b, e]`: where bin b stands in the order of bin e; `orders[e, r]`: which bin stands there."""
    draws = _mix(np.arange(BINS * BINS, dtype=np.uint64) + _SALTS[1]).reshape(BINS, BINS)
    np.fill_diagonal(draws, 0)
    orders = np.argsort(draws, axis=1, kind="stable")
    ranks = np.empty((BINS, BINS), dtype=np.uint8)
    for bin_, order in enumerate(orders):
        ranks[order, bin_] = np.arange(BINS)
    return ranks, orders


def _band_keys(sketch: Array, bands: Bands) -> Array:
    """32 bits per row and band."""
    used = sketch[:, : bands.count * bands.width].reshape(len(sketch), bands.count, bands.width)
    mixed = (used * _SALTS[: bands.width]).sum(axis=2, dtype=np.uint64)
    return (_mix(mixed) >> np.uint64(32)).astype(np.uint32)


def _mix(numbers: Array) -> Array:
    """Every bit of the answer depends on every bit of the number (the finaliser of SplitMix64)."""
    mixed: Array = numbers ^ (numbers >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


_SALTS: Array = _mix(np.arange(1, 513, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
"""Odd numbers without a pattern."""
