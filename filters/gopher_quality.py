"""Gopher quality: the document rules of the Gopher paper, one reason each."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register
from hala_factory.words import DIGIT, LETTER, MARK, MARKS, Chunk, Flags, Ints, Keys, count, keys_of

Chars = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0)]

STOP_WORDS = {
    "en": ["the", "be", "to", "of", "and", "that", "have", "with"],  # Gopher, arXiv 2112.11446, A.1.1
    # The most frequent function words of the Arabic side of Tatoeba, TICO-19 and MT-GenEval (19,376 sentences).
    "ar": ["في", "من", "على", "إلى", "أن", "كان", "و", "لا", "عن", "ما", "أو", "ذلك", "مع", "التي", "لم", "هذا"],
}
_BEFORE = ("", "و", "ف")  # conjunctions that Arabic writes together with the next word,
_THEN = ("", "ب", "ل", "ك")  # and prepositions, which these alone of the stop words take
_TAKES_PREPOSITION = {"أن", "ما", "ذلك", "هذا"}
_HAMZA, _YA = str.maketrans("أإ", "اا"), str.maketrans("ى", "ي")
_SIGNS = r"[\p{M}\u{640}]"  # vowel signs, and the tatweel that stretches a word
_SPREAD = np.uint64(0xD1342543DE82EF95)  # odd, so that keys that differ stay so


@register
class GopherQuality(Filter):
    """Drop texts that do not read like prose, by the rules and numbers of Gopher (arXiv 2112.11446, A.1.1).

    Made for web pages; for instructions lower or switch off `min_words`, and for single sentences the others, too.
    Words and symbols are those of `hala_factory.words`; their length is told in letters and digits, without Arabic
    vowel signs. Each rule can be switched off with null. For Arabic `stop_words: ar` is all there is to set: of 1,489
    passages of 60 words and more (five sentences each of TICO-19, NTREX-128 and MT-GenEval) 99.5 % are kept, as of
    their English sides.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The river rises in the hills to the south of the town, and farmers have lived along it for as long "
        "as anyone can remember. In the spring the water floods the lower fields with dark soil that makes them rich, "
        "so the best wheat in the valley is said to be grown there by those patient people.",
        "dropped": "#sale #shoes #cheap #summer #style #now",
    }
    revision: ClassVar[int] = 2

    step: Literal["gopher_quality"] = "gopher_quality"
    on: TextPath = "messages"
    min_words: Count | None = 50
    """Fewest words."""
    max_words: Count | None = 100_000
    """Most words."""
    min_mean_word_chars: Chars | None = 3
    """Smallest mean length of the words, in characters."""
    max_mean_word_chars: Chars | None = 10
    """Largest mean length of the words, in characters."""
    max_hash_ratio: Ratio | None = 0.1
    """Most `#` per word or symbol."""
    max_ellipsis_ratio: Ratio | None = 0.1
    """Most `...` and `…` per word or symbol."""
    max_bullet_lines: Share | None = 0.9
    """Largest share of lines that begin with a bullet (`•` or `-`)."""
    max_ellipsis_lines: Share | None = 0.3
    """Largest share of lines that end with an ellipsis."""
    min_alphabetic_words: Share | None = 0.8
    """Smallest share of words that hold a letter; symbols are no words."""
    min_stop_words: Count | None = 2
    """Fewest different stop words."""
    stop_words: Literal["en", "ar"] | list[str] | None = "en"
    """The stop words: a list, as written, or that of a language; null switches the rule off. Those of `ar` are found
    with و, ف and the like before them (`وفي`, `بأن`), without their hamza (`الى`), and with vowel signs."""

    def measures(self) -> Columns:
        return {
            "words": pl.Int32(),
            "mean_word_chars": pl.Float32(),
            "hash_ratio": pl.Float32(),
            "ellipsis_ratio": pl.Float32(),
            "bullet_lines": pl.Float32(),
            "ellipsis_lines": pl.Float32(),
            "alphabetic_words": pl.Float32(),
            "stop_words": pl.Int32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        texts = frame.select(text=rows.text(self.on)).to_series()
        stops = _StopWords(self.stop_words)
        counts = count(texts, lambda chunk: {**_look(chunk), "stop_words": stops.among(chunk)}, _COUNTS)
        words, tokens, lines = pl.col("words"), pl.col("tokens"), pl.col("lines")
        return counts.select(
            words=words.cast(pl.Int32),
            mean_word_chars=text.ratio(pl.col("word_chars"), words),
            hash_ratio=text.ratio(pl.col("hashes"), tokens),
            ellipsis_ratio=text.ratio(pl.col("ellipses"), tokens),
            bullet_lines=text.ratio(pl.col("bullets"), lines),
            ellipsis_lines=text.ratio(pl.col("trailing"), lines),
            alphabetic_words=text.ratio(pl.col("alphabetic"), words),
            stop_words=stops.found(texts, counts["stop_words"]).cast(pl.Int32),
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("too_few_words", self.min_words, pl.col("words").lt),
            ("too_many_words", self.max_words, pl.col("words").gt),
            ("short_words", self.min_mean_word_chars, pl.col("mean_word_chars").lt),
            ("long_words", self.max_mean_word_chars, pl.col("mean_word_chars").gt),
            ("too_many_hashes", self.max_hash_ratio, pl.col("hash_ratio").gt),
            ("too_many_ellipses", self.max_ellipsis_ratio, pl.col("ellipsis_ratio").gt),
            ("too_many_bullet_lines", self.max_bullet_lines, pl.col("bullet_lines").gt),
            ("too_many_ellipsis_lines", self.max_ellipsis_lines, pl.col("ellipsis_lines").gt),
            ("too_few_alphabetic_words", self.min_alphabetic_words, pl.col("alphabetic_words").lt),
            ("too_few_stop_words", self.min_stop_words if self.stop_words else None, pl.col("stop_words").lt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


_COUNTS = (
    *("word_chars", "words", "tokens", "alphabetic", "hashes", "ellipses"),
    *("lines", "bullets", "trailing", "stop_words"),
)


def _look(chunk: Chunk) -> dict[str, Ints]:
    """The counts of each text."""
    starts, _ = chunk.tokens
    newlines = chunk.marks("\n")
    unended = (chunk.chars > 0) & (chunk.codes[chunk.begins[1:] - 2] != ord("\n"))
    return {
        "word_chars": np.diff(chunk.before(LETTER | DIGIT)(chunk.begins)),
        "words": chunk.count(starts[chunk.words]),
        "tokens": np.diff(chunk.firsts),
        "alphabetic": chunk.count(starts[_lettered(chunk)]),
        "hashes": chunk.count(chunk.marks("#")),
        "ellipses": _ellipses(chunk),
        "lines": chunk.count(newlines) + unended,
        "bullets": chunk.count(_bullets(chunk)),
        "trailing": chunk.count(_trailing(chunk)),
    }


def _lettered(chunk: Chunk) -> Flags:
    """Which of the tokens hold a letter."""
    starts, ends = chunk.tokens
    lettered: Flags = (chunk.classes[starts] & LETTER) != 0
    others = np.flatnonzero(chunk.words & ~lettered)
    before = chunk.before(LETTER)
    lettered[others] = before(starts[others]) < before(ends[others])
    return lettered


def _ellipses(chunk: Chunk) -> Ints:
    """How many `...` and `…` each text holds; a run of dots holds a third of its length."""
    dots = chunk.marks(".")
    runs = np.flatnonzero(np.diff(dots, prepend=-2) != 1)
    spelt = np.diff(np.append(runs, len(dots))) // 3
    in_dots = np.bincount(chunk.row(dots[runs]), spelt, len(chunk)).astype(np.int64)
    return in_dots + chunk.count(chunk.marks("…"))


def _breaks(chunk: Chunk) -> Ints:
    """Where lines end: newlines, and the ends of texts."""
    return np.sort(np.append(chunk.marks("\n"), chunk.begins[1:] - 1))


def _bullets(chunk: Chunk) -> Ints:
    """Where a line begins with a bullet; spaces may stand before it."""
    starts, ends = chunk.tokens
    breaks = np.append(-1, _breaks(chunk))
    marks = np.sort(np.append(chunk.marks("•"), chunk.marks("-")))
    token = np.searchsorted(starts, marks)
    before = np.append(0, ends)[token]  # where the last token before it ended; itself, within a run of hyphens
    return marks[before <= breaks[np.searchsorted(breaks, marks) - 1] + 1]


def _trailing(chunk: Chunk) -> Ints:
    """The last characters of the lines that end with an ellipsis; spaces may stand behind it."""
    starts, ends = chunk.tokens
    breaks = _breaks(chunk)
    token = np.searchsorted(ends, breaks, side="right")  # the number of tokens that ended before
    said = np.append(-1, starts)[token] >= np.append(0, breaks[:-1] + 1)
    last = ends[token[said] - 1] - 1
    one, two, three = (chunk.classes[last - back] & MARK for back in range(3))
    stop = MARKS["."]
    found: Ints = last[(one == MARKS["…"]) | (one == stop) & (two == stop) & (three == stop)]
    return found


class _StopWords:
    """Stop words as they are looked for: a word by its hash, in every form of it, anything else by a pattern."""

    def __init__(self, listed: Literal["en", "ar"] | list[str] | None) -> None:
        arabic = listed == "ar"
        words = sorted(set(STOP_WORDS[listed] if isinstance(listed, str) else listed or []))
        spelt = {form: number for number, word in enumerate(words) for form in (_forms(word) if arabic else [word])}
        keys = keys_of(list(spelt))
        ranked = sorted((key, spelt[word]) for word, key in keys.items())
        self._keys = np.array([key for key, _ in ranked], dtype=np.uint64)
        self._numbers = np.array([number for _, number in ranked], dtype=np.int64)
        self._buckets = np.zeros(1 << 12, dtype=np.bool_)
        self._buckets[_bucket(self._keys)] = True
        self._words = len(words)
        self._phrases = [rf"(?:\A|\W){re.escape(word)}(?:\W|\z)" for word in words if word not in keys]
        self._signs = _SIGNS if arabic else None

    def among(self, chunk: Chunk) -> Ints:
        """How many different ones stand in each text as words."""
        likely = np.flatnonzero(self._buckets[_bucket(chunk.keys)])
        keys = chunk.keys[likely]
        place = np.searchsorted(self._keys, keys)
        same = np.append(self._keys, 0)[place] == keys
        found = np.zeros((len(chunk), self._words), dtype=np.bool_)
        found[chunk.texts[likely[same]], self._numbers[place[same]]] = True
        counts: Ints = np.count_nonzero(found, axis=1)
        return counts

    def found(self, texts: pl.Series, among: pl.Series) -> pl.Series:
        """How many different ones each text holds; `among` is what that function answered for the same texts."""
        frame, whole = texts.to_frame("text"), pl.col("text")
        found = among
        if self._signs:
            signed = frame.with_row_index().filter(whole.str.contains(self._signs))
            plain = signed.select(whole.str.replace_all(self._signs, "")).to_series()
            counts = count(plain, lambda chunk: {"found": self.among(chunk)}, ["found"])
            found = among.scatter(signed["index"], counts["found"])
        hits = [whole.str.contains(phrase).cast(pl.Int64) for phrase in self._phrases]
        return found + frame.select(pl.sum_horizontal([pl.lit(0, pl.Int64), *hits])).to_series()


def _bucket(keys: Keys) -> Keys:
    """Twelve bits of each key: a look into a small table tells that most words are no stop word."""
    return keys * _SPREAD >> np.uint64(52)


def _forms(word: str) -> set[str]:
    """The ways in which an Arabic stop word is written: after conjunctions and prepositions, without its hamza."""
    spelt = {word, word.translate(_HAMZA), word.translate(_YA), word.translate(_HAMZA).translate(_YA)}
    if word.endswith("ي"):
        spelt.add(word[:-1] + "ى")
    if len(word) == 1:
        return spelt
    prepositions = _THEN if word in _TAKES_PREPOSITION else ("",)
    return {b + p + w for b in _BEFORE for p in prepositions for w in spelt}
