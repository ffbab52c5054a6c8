"""Near dedup: of rows that say almost the same, one stays; every pair is verified on the words themselves."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import polars as pl
import xxhash
from pydantic import Field

from hala_factory import duplicates, rows, shingles, text
from hala_factory.errors import did_you_mean
from hala_factory.step import Barrier, Columns, TextPath, register

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_NEAR = 4
"""In a band, a text is compared with so many before it, and with the first of those that agree in the band."""
_ROUNDS = 12
"""Most times that the texts which are left are compared anew; on real rows the third finds nothing more."""


@register
class NearDedup(Barrier):
    """Drop rows whose text shares most of its word 5-grams with another row's, within and across sources and versions.

    Candidates are found by MinHash and locality-sensitive hashing (Broder 1997; 5-grams as in RefinedWeb, arXiv
    2306.01116); of every candidate pair the Jaccard similarity is then counted on the shingles themselves, so that
    no pair below `min_similarity` is ever held for one, and of the pairs at it 99 in 100 are found, more above it.
    Words are folded as `text.matching_key` folds them; signs like + and < count as words, punctuation does not.

    A row goes only for a row that stays and is itself so similar to it, never along a chain of others. The row that
    stays is the one from the first source in `prefer` (else in the recipe's order), and the earliest of that source;
    rows of an earlier version come before all. Texts shorter than a shingle, or of nothing but punctuation, are the
    same only if they read the same (`text.matching_key`). `cluster` names the row that stays, `size` counts its
    cluster, `similarity` is the row's to it; the row that stays has them, too.

    Many questions on one long passage are similar as a whole, though each has an answer of its own: with
    `also_on: messages.assistant` a row goes only if its answer is a duplicate, too.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Write a short story about a lighthouse keeper who finds a letter in a bottle.",
        "dropped": "Write a short story about a lighthouse keeper who finds a letter in a bottle, please.",
    }

    revision: ClassVar[int] = 2
    measured_by: ClassVar[tuple[str, ...]] = ("min_similarity",)
    judged_by: ClassVar[tuple[str, ...]] = ("prefer",)

    step: Literal["near_dedup"] = "near_dedup"
    on: TextPath = "messages"
    also_on: TextPath | None = None
    """A second text of the row, which has to be as similar as the first, e.g. `messages.assistant`."""
    min_similarity: Annotated[float, Field(ge=0.3, le=1)] = 0.8
    """Smallest share of common shingles among all of both texts (Jaccard) at which one of them goes."""
    unit: shingles.Unit = "word"
    """What a shingle is made of; characters (`ngram: 12`, say) see small changes in short texts."""
    ngram: Annotated[int, Field(ge=1, le=64)] = 5
    """Words (or characters) of a shingle."""
    prefer: list[str] = Field(default=[], description="Sources in order of preference; the others follow as listed.")
    against: str | None = None
    """`name@version` of a finished corpus; rows that are near one of its rows are dropped."""
    against_on: TextPath | None = None
    """Which of that corpus's texts are compared, where they are called otherwise than here (e.g. `messages_en`)."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns) + duplicates.against_faults(columns, self.on, self.against_on)
        known = rows.text_paths(columns)
        if self.also_on and self.also_on not in known:
            found.append(
                ("also_on", f"the rows have no text {self.also_on!r} here{did_you_mean(self.also_on, known)}")
            )
        return found

    def earlier(self) -> str | None:
        return self.against

    def measures(self) -> Columns:
        return {"cluster": pl.String(), "size": pl.Int32(), "similarity": pl.Float32()}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        made = self._indexed(frame, self.on, self._bands)
        if self.also_on is None:
            return made
        also = self._indexed(frame, self.also_on, shingles.Bands(0, 1))
        both = shingles.together(made["whole"], also["whole"])
        return made.with_columns(both.alias("whole")).hstack(also.select(pl.all().name.prefix("also_")))

    def _indexed(self, frame: pl.DataFrame, named: str, bands: shingles.Bands) -> pl.DataFrame:
        path = duplicates.path_in(frame.columns, named, self.on, self.against_on)
        made = shingles.sketched(frame.select(rows.text(path)).to_series(), self.unit, self.ngram, bands)
        short = made["whole"].is_null()
        spelt = duplicates.spelt(frame.filter(short), path)
        read = pl.Series([xxhash.xxh3_64_intdigest(t) for t in spelt.cast(pl.Binary)], dtype=pl.UInt64)
        return made.with_columns(made["whole"].scatter(short.arg_true(), read))

    @property
    def _bands(self) -> shingles.Bands:
        return shingles.Bands.finding(self.min_similarity)

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        rank = duplicates.rank(sources, self.prefer)
        table = index.select("shard", "row", "earlier", "^(also_)?whole$", rank=rank).collect()
        order = table.with_row_index("place").sort("rank", "shard", "row")
        # Rows that are wholly the same are one text; texts are numbered by their first rows, in order of precedence.
        _, first, text_of = np.unique(order["whole"].to_numpy(), return_index=True, return_inverse=True)
        numbers = np.empty(len(first), dtype=np.int64)
        numbers[np.argsort(first)] = np.arange(len(first))
        text_of, first = numbers[text_of], np.sort(first)
        found = _Texts(index, order[first])
        keeper, similarity = found.deduplicated(self._bands, self.min_similarity)
        stays = first[keeper[text_of]]
        counts = np.bincount(stays, minlength=order.height)
        verdicts = order.select("shard", "row", "earlier").with_columns(
            stays=order["place"].gather(stays),
            before=order["earlier"].gather(stays),
            gone=pl.Series(stays != np.arange(order.height)),
            size=pl.Series(counts[stays], dtype=pl.Int32),
            similarity=pl.Series(similarity[text_of]),
        )
        verdicts = verdicts.with_columns(text.measured(pl.col("similarity")))
        verdicts = verdicts.filter((pl.col("size") > 1) & ~pl.col("earlier"))
        named = index.select(cluster="id", of="source").with_row_index("stays")
        named = named.filter(pl.col("stays").is_in(verdicts["stays"].unique().implode()))
        told = verdicts.lazy().join(named, on="stays", how="left")
        reason = pl.when("before").then(pl.lit("in_earlier_version")).otherwise(pl.lit("near_duplicate"))
        return told.select(
            "shard",
            "row",
            *self.measures(),
            reason=pl.when("gone").then(reason),
            detail=pl.when("gone").then(
                pl.format("similarity {} with {}", "similarity", duplicates.stays(self.against))
            ),
        )


class _Texts:
    """The distinct texts of an index, in order of precedence: where each stands, and its shingles."""

    def __init__(self, index: pl.LazyFrame, order: pl.DataFrame) -> None:
        self.index = index
        self.places = order["place"].to_numpy().astype(np.int64)
        self.settled = int(order["earlier"].sum())
        """So many of the first are of an earlier version."""
        self.sets = shingles.Sets.stored(index, "shingles").taken(self.places)
        self.also = None
        if "also_whole" in order.columns:
            also = shingles.Sets.stored(index, "also_shingles").taken(self.places)
            self.also = also, order["also_whole"].to_numpy()

    def deduplicated(self, bands: shingles.Bands, least: float) -> tuple[Array, Array]:
        """For every text the one that stays for it (itself, if it stays), and how similar it is to that.

        First each is compared with the first of those that agree with it in a band, which is all it takes to
        empty a crowd. What is left is compared more closely, until nothing more is found.
        """
        keeper = np.arange(len(self.places))
        similarity = np.ones(len(self.places))
        edges, alike = np.empty(0, dtype=np.uint64), np.empty(0)
        seen, before = edges, None
        for turn in range(_ROUNDS):
            left = (keeper == np.arange(len(keeper))) & (self.sets.sizes > 0)
            # From the third round on, there is news only where a text went, or came back because another went.
            changed = np.flatnonzero(left != before) if turn > 1 else None
            pairs = self._proposed(np.flatnonzero(left), changed, bands, least, near=_NEAR if turn else 0)
            before = left
            pairs = pairs[~np.isin(pairs, seen, assume_unique=True)]
            similar = self._both(pairs, least)
            true = similar >= least
            if turn and not true.any():
                break
            seen = np.concatenate([seen, pairs])
            edges, alike = np.concatenate([edges, pairs[true]]), np.concatenate([alike, similar[true]])
            keeper, similarity = _kept(edges, alike, len(keeper))
        return keeper, similarity

    def _proposed(self, texts: Array, changed: Array | None, bands: shingles.Bands, least: float, near: int) -> Array:
        """Pairs of texts that agree in a band (with one of `changed`, if given), the earlier in the upper 32 bits."""
        found = np.empty(0, dtype=np.uint64)
        before = np.zeros(len(texts), dtype=np.uint32)
        for name in bands.names:
            column = self.index.select(pl.col(name).fill_null(0)).collect().to_series().to_numpy()
            keys = column[self.places[texts]]
            here = slice(None) if changed is None else _among(keys, _distinct(column[self.places[changed]]))
            pairs = _neighbours(texts[here], keys[here], before[here], near)
            first, second = _halves(pairs)
            sizes = self.sets.sizes[first], self.sets.sizes[second]
            # Sets of too different sizes cannot be similar; two rows of an earlier version are none of our business.
            able = (np.minimum(*sizes) >= least * np.maximum(*sizes)) & (second >= self.settled)
            found = _distinct(np.concatenate([found, pairs[able]]))
            before = keys
        return found

    def _both(self, pairs: Array, least: float) -> Array:
        """The similarity of every pair; where a second text counts, too, the lesser of the two."""
        first, second = _halves(pairs)
        found = self.sets.jaccard(first, second)
        if self.also is None:
            return found
        sets, wholes = self.also
        short = (sets.sizes[first] == 0) | (sets.sizes[second] == 0)
        found[short & (wholes[first] != wholes[second])] = 0
        open_ = np.flatnonzero(~short & (found >= least))
        found[open_] = np.minimum(found[open_], sets.jaccard(first[open_], second[open_]))
        return found


def _neighbours(texts: Array, keys: Array, before: Array, near: int) -> Array:
    """Pairs of texts with the same key: each with the first of its group, and with the `near` ones before it.

    A group that is too large for all its pairs is put in order of the keys of another band, `before`, so that those
    stand together which agree in both.
    """
    keyed = _pairs(keys, np.arange(len(texts)))
    keyed.sort()
    at = _halves(keyed)[1]
    key = keys[at]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else at
    counts = np.diff(starts, append=len(key))
    begins, counts = np.repeat(starts, counts), np.repeat(counts, counts)
    leader = at[begins]
    behind = np.arange(len(at)) > begins
    found = [(leader[behind], at[behind])]
    if near:
        crowded = counts > near + 1
        crowd = at[crowded]
        at[crowded] = crowd[np.lexsort((crowd, before[crowd], keys[crowd]))]
    for distance in range(1, near + 1):
        later = np.flatnonzero(np.arange(len(at)) - distance >= begins)
        found.append((at[later - distance], at[later]))
    first, second = (texts[np.concatenate(side)] for side in zip(*found, strict=True))
    return _distinct(_pairs(np.minimum(first, second), np.maximum(first, second)))


def _among(numbers: Array, ascending: Array) -> Array:
    """Which numbers stand in the other list, which is short and in order: faster than `np.isin`, which sorts all."""
    if not len(ascending):
        return np.zeros(len(numbers), dtype=bool)
    at = np.searchsorted(ascending, numbers).clip(max=len(ascending) - 1)
    return ascending[at] == numbers  # type: ignore[no-any-return]


def _pairs(first: Array, second: Array) -> Array:
    return (first.astype(np.uint64) << np.uint64(32)) | second.astype(np.uint64)


def _halves(pairs: Array) -> tuple[Array, Array]:
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _distinct(numbers: Array) -> Array:
    """Each number once, ascending; `np.unique` has a table of hashes, which is much slower than sorting."""
    numbers = np.sort(numbers)
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers


def _kept(pairs: Array, alike: Array, count: int) -> tuple[Array, Array]:
    """In order of precedence, each text goes that is similar to one that stays, and goes for the earliest such."""
    keeper, similarity = list(range(count)), np.ones(count)
    first, second = _halves(pairs)
    order = np.lexsort((first, second))
    for one, other, value in zip(first[order].tolist(), second[order].tolist(), alike[order].tolist(), strict=True):
        if keeper[other] == other and keeper[one] == one:
            keeper[other] = one
            similarity[other] = value
    return np.array(keeper, dtype=np.int64), similarity
