"""Overlap: which of many questions stand in a text, by the runs of words that both share.

The model:
- A text is its words in order, each a 64-bit key. Case, diacritics, the forms of Arabic letters and of digits, and
  punctuation do not count; where a clause ends is remembered, so that a whole one is told from a part of one.
- A *gram* is a run of so many words. The grams of a batch are looked up at once in one sorted array, behind a
  bitmap that few others pass: a text that shares nothing costs next to nothing.
- A gram that many questions share (an instruction, a template) tells none of them apart: by it none is found.
- Shared grams say where in the text a question would begin; from there the two are laid side by side, word for word,
  and each word of the question that stands there counts, by its *weight*: how rare it is among the questions.
- A question of too few words, or of too few grams that are its own, is found where it stands whole, between two ends
  of clauses.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Codes = NDArray[np.uint16]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]
Flags = NDArray[np.bool_]

_DROPPED, _SPACE, _DASH, _BREAK, _SEVERAL = range(5)
_BREAKS = frozenset('\t\n\r\v\f\u2028\u2029.?!:;…؟؛۔。？！：；"“”„«»‹›()[]{}|~<>*#`•·–—―')
_DASHES = frozenset("-‐‑‒/")  # they end a clause beside a space; elsewhere they join words
_SAME = {"ى": "ي", "ی": "ي", "ة": "ه", "ک": "ك"}  # as in `text.matching_key`
_IDEOGRAPHS = ((0x3040, 0x3100), (0x3400, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000))
"""Scripts that put no space between words: every character is one. They take turns at `_SHARED` codes."""
_HANGUL = (0xAC00, 0xD7A4)
_SHARED = 20_000
_POINTS = 0x110000
_FORMS = "".join(map(chr, (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFD))))
_LIGATURE = re.compile(f"[{''.join(c for c in _FORMS if len(unicodedata.normalize('NFKC', c).strip()) > 1)}]")
_MIX, _STEP = np.uint64(0x9E3779B97F4A7C15), 0xD1342543DE82EF95  # odd, so that their powers have inverses
_KEPT_POWERS = 1 << 19  # 4 MB
_NONE = np.empty(0, dtype=np.int64)
_DRIFT = 3  # words put in or left out between two shared runs
_PLACES = 16  # at which one question is laid beside one text


@dataclass(frozen=True)
class Words:
    """The words of some texts, one after the other."""

    keys: Keys
    text: Ints
    """The number of the text each stands in."""
    at: Ints
    """The character of its text at which it begins."""
    closes: Flags
    """Whether a clause ends after it; the next one opens then."""

    @functools.cached_property
    def opens(self) -> Flags:
        """Whether a clause begins with it."""
        return np.concatenate([[True], self.closes[:-1]])[: len(self.closes)]

    @functools.cached_property
    def _sums(self) -> Keys:
        return _sums(self.keys)

    def of(self, text: int) -> Keys:
        """The words of one text."""
        return self.keys[slice(*np.searchsorted(self.text, (text, text + 1)))]

    def span(self, first: int, last: int) -> slice:
        """The characters from one word of a text to another, up to where the next one begins."""
        ends = last + 1 == len(self.text) or self.text[last + 1] != self.text[last]
        return slice(int(self.at[first]), None if ends else int(self.at[last + 1]))

    def runs(self, at: Ints, words: int) -> Keys:
        """The keys of the runs of so many words that begin there."""
        return _keys_of(self._sums, at, at + words)

    def starts(self, words: int) -> Ints:
        """Where runs of so many words begin that lie within one text."""
        if len(self.text) < words:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.text[: len(self.text) - words + 1] == self.text[words - 1 :])


def spelt(text: str) -> str:
    """The text with each Arabic ligature as the letters it stands for: what `Words.at` counts in."""
    return _LIGATURE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)


def words_of(texts: Sequence[str]) -> Words:
    """The words of texts, in their order."""
    folds, alone_from = _tables()
    # Read as signed numbers, which they are small enough for: `take` is faster by them.
    codes = folds.take(np.frombuffer("\n".join(texts).encode("utf-32-le"), dtype="<i4"))
    if (codes == _SEVERAL).any():
        return words_of([spelt(text) for text in texts])
    kept = None
    if not codes.all():
        kept = np.flatnonzero(codes)
        codes = codes[kept]
    starts, ends = _bounds(codes, alone_from)
    closes = np.zeros(len(starts), dtype=np.bool_)
    before = np.searchsorted(starts, _breaks(codes)) - 1
    closes[before[before >= 0]] = True
    closes[-1:] = True
    keys = _keys_of(_sums(codes), starts, ends)
    at = starts if kept is None else kept[starts]
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1]
    counts = np.diff(np.searchsorted(at, begins), append=len(at))
    return Words(keys, np.repeat(np.arange(len(texts)), counts), at - np.repeat(begins, counts), closes)


def _breaks(codes: Codes) -> Ints:
    """Where clauses end."""
    dashes = np.flatnonzero(codes == _DASH)
    loose = (codes[dashes - 1] <= _BREAK) | (codes[(dashes + 1) % len(codes)] <= _BREAK)
    return np.concatenate([np.flatnonzero(codes == _BREAK), dashes[loose]])


def _bounds(codes: Codes, alone_from: int) -> tuple[Ints, Ints]:
    """Where words begin and end."""
    inside = np.zeros(len(codes) + 2, dtype=np.bool_)
    np.greater(codes, _BREAK, out=inside[1:-1])
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    alone = np.flatnonzero(codes >= alone_from)
    if not len(alone):
        return changes[::2], changes[1::2]
    cuts = np.unique(np.concatenate([alone, alone + 1]))
    cuts = cuts[inside[cuts] & inside[cuts + 1]]  # both sides are of words: one ends here, another begins
    starts, ends = changes[::2], changes[1::2]
    return np.insert(starts, np.searchsorted(starts, cuts), cuts), np.insert(ends, np.searchsorted(ends, cuts), cuts)


@functools.cache
def _tables() -> tuple[Codes, int]:
    """Code point → code, and the first code that is a word of its own.

    A diacritic or an invisible character folds to nothing, a letter or a digit to its plain form.
    """
    folds = np.full(_POINTS, _SPACE, dtype=np.uint16)
    plain: dict[int, str] = {}
    signs: list[int] = []
    for code in (*range(0x3040), *range(0xA000, _HANGUL[0]), *range(_HANGUL[1], 0x20000)):
        character = chr(code)
        kind = unicodedata.category(character)
        if character in _BREAKS:
            folds[code] = _BREAK
        elif character in _DASHES:
            folds[code] = _DASH
        elif _LIGATURE.match(character):
            folds[code] = _SEVERAL
        elif kind in ("Mn", "Me", "Cf") or character == "ـ":
            folds[code] = _DROPPED
        elif kind[0] in "LN" or kind == "Mc":
            plain[code] = _plain(character, kind)
        elif kind == "Sm":
            signs.append(code)
    numbers = {c: n for n, c in enumerate(sorted(set(plain.values())), _SEVERAL + 1)}
    folds[list(plain)] = [numbers[c] for c in plain.values()]
    first = _SEVERAL + 1 + len(numbers)
    folds[slice(*_HANGUL)] = np.arange(first, first + _HANGUL[1] - _HANGUL[0])
    alone_from = first + _HANGUL[1] - _HANGUL[0]
    folds[signs] = np.arange(alone_from, alone_from + len(signs))
    for first, end in _IDEOGRAPHS:
        folds[first:end] = alone_from + len(signs) + np.arange(first, end) % _SHARED
    return folds, alone_from


def _plain(character: str, kind: str) -> str:
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    lower = character.lower()
    if kind != "No":  # x² stays apart from x2
        composed = unicodedata.normalize("NFKC", lower)
        lower = composed if len(composed) == 1 else lower
    bare = "".join(c for c in unicodedata.normalize("NFD", lower) if not unicodedata.combining(c))
    return _SAME.get(bare, bare) if len(bare) == 1 else lower


def _sums(values: Keys | Codes) -> Keys:
    """The sum of the values before each place, every value times a power that tells its place."""
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * _powers(_STEP, len(values)), out=sums[1:])
    return sums


def _keys_of(sums: Keys, starts: Ints, ends: Ints) -> Keys:
    """The keys of runs of values: the same for the same values at any place."""
    inverse = _powers(pow(_STEP, -1, 1 << 64), len(sums))
    keys = (sums[ends] - sums[starts]) * inverse[starts]
    keys ^= keys >> np.uint64(32)  # every bit is to depend on all of them
    keys *= _MIX
    keys ^= keys >> np.uint64(29)
    return keys


def _powers(base: int, count: int) -> Keys:
    size = 1 << max(count - 1, 1).bit_length()
    return (_all_powers if size <= _KEPT_POWERS else _all_powers.__wrapped__)(base, size)[:count]


@functools.lru_cache(maxsize=64)
def _all_powers(base: int, size: int) -> Keys:
    powers = np.full(size, base, dtype=np.uint64)
    powers[0] = 1
    np.multiply.accumulate(powers, out=powers)
    powers.flags.writeable = False
    return powers


@dataclass(frozen=True)
class Index:
    """Questions, ready to be looked for."""

    words: int
    """Words of a gram."""
    min_shared: int
    """Fewest words that a text has in common with a question that is found by grams."""
    keys: Keys
    """The words of all questions, one after the other."""
    weights: NDArray[np.float64]
    """What each of them weighs."""
    begins: Ints
    """Where those of each question begin, and where the last one's end."""
    grams: Keys
    """Sorted, a line for every question that has one."""
    question: Places
    """Whose gram it is."""
    place: Places
    """The word of the question at which it first begins."""
    seen: NDArray[np.uint8]
    """A bit for every value of the first bits of a gram, set where one has it."""
    wholes: Keys
    """Sorted keys of the questions that are found whole."""
    whole: Ints
    """Which question each of these is."""
    sizes: tuple[int, ...]
    """The numbers of words that they have."""

    @functools.cached_property
    def counts(self) -> Ints:
        """Words of each question."""
        return np.diff(self.begins)

    @functools.cached_property
    def min_grams(self) -> int:
        """Fewest grams that a text has in common with a question that is found by grams."""
        return _min_grams(self.words, self.min_shared)


@dataclass(frozen=True)
class Matches:
    """Questions that stand in texts, a line for each place where one does."""

    text: Ints
    question: Ints
    share: NDArray[np.float64]
    """Share of the question that stands there, by weight; 1 where it stands whole."""
    first: Ints
    """The first word of the match among those of the texts."""
    last: Ints
    """The last one."""
    whole: Flags
    """Whether the question was looked for whole."""


def index(
    questions: Sequence[str],
    *,
    words: int,
    min_shared: int,
    max_questions: int,
    whole: bool = True,
    only_whole: Sequence[int] = (),
) -> Index:
    """Questions that are found by grams of so many words.

    Args:
        questions: They are told apart by their order; none stands twice.
        words: Words of a gram.
        min_shared: Fewest words in common. A question that has fewer is looked for whole.
        max_questions: A gram that more of them share does not count; nor does one that a tenth of them share.
        whole: Whether any question is looked for whole.
        only_whole: Those that are found in no other way.
    """
    said = words_of(questions)
    begins = np.searchsorted(said.text, np.arange(len(questions) + 1))
    counts = np.diff(begins)
    grams, question, place = _own(said, begins, words, max(1, min(max_questions, len(questions) // 10)))
    many = np.bincount(question, minlength=len(questions))
    by_grams = (many >= _min_grams(words, min_shared)) & (counts >= min_shared)
    by_grams[np.asarray(only_whole, dtype=np.int64)] = False
    kept = by_grams[question]
    grams = grams[kept]

    short = np.flatnonzero(~by_grams & (counts > 0) & whole)
    sizes = counts[short]
    wholes = np.empty(len(short), dtype=np.uint64)
    for size in np.unique(sizes).tolist():
        wholes[sizes == size] = said.runs(begins[short[sizes == size]], size)
    by_key = np.argsort(wholes, kind="stable")
    return Index(
        words=words,
        min_shared=min_shared,
        keys=said.keys,
        weights=_weights(said, len(questions)),
        begins=begins,
        grams=grams,
        question=question[kept].astype(np.int32),
        place=place[kept].astype(np.int32),
        seen=_bitmap(grams),
        wholes=wholes[by_key],
        whole=short[by_key],
        sizes=tuple(np.unique(sizes).tolist()),
    )


def _min_grams(words: int, min_shared: int) -> int:
    return -(-min_shared // words)


def _own(said: Words, begins: Ints, words: int, most: int) -> tuple[Keys, Ints, Ints]:
    """The grams that no more than so many questions share, sorted: each with its question and where it begins."""
    starts = said.starts(words)
    grams, question = said.runs(starts, words), said.text[starts]
    order = np.lexsort((starts, question, grams))
    order = order[_heads(grams[order], question[order])]  # the first place of each in a question
    grams, question = grams[order], question[order]
    heads = np.flatnonzero(_heads(grams))
    sharing = np.diff(heads, append=len(grams))
    few = np.repeat(sharing <= most, sharing)
    return grams[few], question[few], (starts[order] - begins[question])[few]


def _weights(said: Words, questions: int) -> NDArray[np.float64]:
    """How rare each word is among the questions."""
    order = np.lexsort((said.text, said.keys))
    keys, text = said.keys[order], said.text[order]
    number = np.cumsum(_heads(keys)) - 1
    in_questions = np.bincount(number[_heads(keys, text)])
    weights = np.empty(len(keys))
    weights[order] = np.log((questions + 1) / in_questions)[number]
    return weights


def _heads(*columns: NDArray[np.generic]) -> Flags:
    """Which lines differ from the one before them."""
    heads = np.zeros(len(columns[0]), dtype=np.bool_)
    heads[:1] = True
    for column in columns:
        heads[1:] |= column[1:] != column[:-1]
    return heads


def _bitmap(grams: Keys) -> NDArray[np.uint8]:
    bits = max(16, len(grams).bit_length() + 4)  # so that 15 of 16 bits are not set
    high = grams >> np.uint64(64 - bits)
    seen = np.zeros(1 << (bits - 3), dtype=np.uint8)
    np.bitwise_or.at(seen, high >> np.uint64(3), _bit(high))
    return seen


def _bit(high: Keys) -> NDArray[np.uint8]:
    return np.left_shift(1, (high & np.uint64(7)).astype(np.uint8))


def find(known: Index, words: Words) -> Matches:
    """The questions that stand in texts."""
    pairs = zip(_in_part(known, words), _whole(known, words), strict=True)
    return Matches(*(np.concatenate(pair) for pair in pairs))


_Lines = tuple[Ints, Ints, NDArray[np.float64], Ints, Ints, Flags]
"""The columns of `Matches`."""


def _in_part(known: Index, words: Words) -> _Lines:
    """Every question that shares grams with a text, laid beside it where these say that it begins."""
    text, question, begin = _begins(known, words)
    # A question to which a few words were put, or that lacks some, goes on a little further along.
    group = np.cumsum(_heads(text, question) | (np.diff(begin, prepend=0) > _DRIFT)) - 1
    heads = np.flatnonzero(_heads(group))
    line, place = _spread(known.counts[question])
    at = begin[line] + place
    inside = (at >= 0) & (at < len(words.keys))
    line, place, at = line[inside], place[inside], at[inside]
    same = words.keys[at] == known.keys[known.begins[question[line]] + place]
    same &= words.text[at] == text[line]
    line, place, at = line[same], place[same], at[same]

    sizes = known.counts[question[heads]]
    which, among = _spread(sizes)
    said = np.zeros(len(which), dtype=np.bool_)
    said[(np.cumsum(sizes) - sizes)[group[line]] + place] = True
    weights = known.weights[known.begins[question[heads]][which] + among]
    count = np.bincount(which[said], minlength=len(heads))
    share = np.bincount(which, weights * said, len(heads)) / np.bincount(which, weights, len(heads))
    starts = np.flatnonzero(_heads(group[line]))
    first, last = (f.reduceat(at, starts) if len(at) else at for f in (np.minimum, np.maximum))
    kept = np.flatnonzero(count >= known.min_shared)
    heads = heads[kept]
    return text[heads], question[heads], share[kept], first[kept], last[kept], np.zeros(len(kept), dtype=np.bool_)


def _begins(known: Index, words: Words) -> tuple[Ints, Ints, Ints]:
    """Where questions would begin in texts that share enough grams with them, sorted: text, question, word."""
    at = words.starts(known.words)
    grams = words.runs(at, known.words)
    high = grams >> np.uint64(62 - len(known.seen).bit_length())
    maybe = np.flatnonzero(known.seen[high >> np.uint64(3)] & _bit(high))
    lines, which = _looked_up(known.grams, grams[maybe])
    at = at[maybe[which]]
    text, question = words.text[at], known.question[lines].astype(np.int64)
    # Most texts share one gram with a question: not enough. Here others may get the same number, below they do not.
    number = (text * 1_000_003 + question) & ((1 << 14) - 1)
    several = np.bincount(number)[number] >= known.min_grams
    text, question, begin = text[several], question[several], (at - known.place[lines])[several]

    order = np.lexsort((begin, question, text))
    text, question, begin = text[order], question[order], begin[order]
    pair = np.cumsum(_heads(text, question)) - 1
    heads = np.flatnonzero(_heads(pair, begin))
    strength = np.diff(heads, append=len(begin))
    # Of a text that says one thing over and over only the places of most grams.
    strongest = np.lexsort((-strength, pair[heads]))
    rank = _spread(np.bincount(pair[heads]))[1]
    enough = np.bincount(pair) >= known.min_grams
    kept = heads[np.sort(strongest[(rank < _PLACES) & enough[pair[heads][strongest]]])]
    return text[kept], question[kept], begin[kept]


def _spread(counts: Ints) -> tuple[Ints, Ints]:
    """So many lines for each: which one a line belongs to, and its number among those of the same."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


def _looked_up(keys: Keys, wanted: Keys) -> tuple[Ints, Ints]:
    """Every line of sorted `keys` that holds one of those wanted, and which of these it is."""
    begins = np.searchsorted(keys, wanted, side="left")
    which, among = _spread(np.searchsorted(keys, wanted, side="right") - begins)
    return begins[which] + among, which


def _whole(known: Index, words: Words) -> _Lines:
    """Every question that stands whole between two ends of clauses."""
    opening = np.flatnonzero(words.opens)
    lines, begins, sizes = [_NONE], [_NONE], [_NONE]
    for size in known.sizes:
        at = opening[opening + size <= len(words.keys)]
        at = at[words.closes[at + size - 1] & (words.text[at] == words.text[at + size - 1])]
        held, which = _looked_up(known.wholes, words.runs(at, size))
        lines.append(held)
        begins.append(at[which])
        sizes.append(np.full(len(held), size))
    first, count = np.concatenate(begins), np.concatenate(sizes)
    question, sure = known.whole[np.concatenate(lines)], np.ones(len(first), dtype=np.bool_)
    return words.text[first], question, sure.astype(np.float64), first, first + count - 1, sure
