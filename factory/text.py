"""What the steps know about text, as polars expressions: letters, digits, words, prose, and a key for matching.

Patterns are those of Rust's `regex` crate: linear in the text, without look-around. Nothing here changes a
row; it only looks at copies of its texts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import polars as pl

LETTER = r"[\p{L}--\u{640}]"
"""Any letter; not the tatweel, which only stretches a word."""
ARABIC_LETTER = r"[\p{Arabic}&&\p{L}]"
"""A letter of the Arabic script, whatever the language; presentation forms are among them."""
NOT_LETTERS = r"[\P{L}\u{640}]+"
NOT_ARABIC_LETTERS = r"[^[\p{Arabic}&&\p{L}]]+"

_INITIALS = r"(?:\p{L}\.){2,}"
WORD = rf"{_INITIALS}|\w+(?:[.,]\d+)*"
"""A word: a run of letters, marks, digits and underscores of any script; `10,000`, `3.5`, `U.S.` are one word."""
WORD_WITH_LETTER = rf"{_INITIALS}|\p{{L}}\w*"
"""Matches once in every word that holds a letter."""
SYMBOL = r"[^\w\s]"
"""A visible character that is part of no word."""
TOKEN = rf"{WORD}|['’]\w+|\.{{2,}}|-{{2,}}|{SYMBOL}"
"""A word or a symbol, much as spaCy splits English and Arabic: `don't` is two, `...` is one."""

PROTECTED = (
    r"(?s:```.*?(?:```|\z))"  # a fence that never closes protects the rest, as Markdown says
    r"|`[^`\n]+`"
    r"|(?s:\$\$.+?\$\$)|(?s:\\\[.*?\\\])|(?s:\\\(.*?\\\))"
    r"|(?s:\\begin\{[a-z]+\*?\}.*?\\end\{[a-z]+\*?\})"
    r"|\$[^\s$](?:[^$\n]*[^\s$])?\$"  # no space inside the dollars: `$5 and $10` is not a formula
    r"|https?://[^\s<>]+|www\.[^\s<>]+"
    r"|</?[A-Za-z][^<>\n]*>"
)
"""Code, formulas, addresses and tags: enough to leave them out of a count. The contract that they survive a
translation is kept by `structure`, which knows Markdown better."""

_DIGITS = {chr(zero + n): str(n) for zero in (0x0660, 0x06F0) for n in range(10)}
_NUMBER_MARKS = {"٫": ".", "٬": ",", "،": ","} | dict.fromkeys("\u0640\u061c\u200e\u200f\u2066\u2067\u2068\u2069", "")
_MARKS = [*range(0x0610, 0x061B), *range(0x064B, 0x0660), 0x0670, *range(0x06D6, 0x06DD), *range(0x06DF, 0x06E5)]
_MARKS += [0x06E7, 0x06E8, *range(0x06EA, 0x06EE), *range(0x08D3, 0x08E2), *range(0x08E3, 0x0900)]
INVISIBLE = [0x00AD, 0x061C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
"""Code points of characters of no width, and of marks that turn the direction of a text."""
_ALEFS, _YAS = "أإآٱ", "ىی"


def _matching_folds() -> dict[str, str]:
    folds = {chr(c): "" for c in [*_MARKS, *INVISIBLE, 0x0640]}
    folds |= dict.fromkeys(_ALEFS, "ا") | dict.fromkeys(_YAS, "ي") | {"ة": "ه", "ک": "ك"}
    # NFKC would also turn x² into x2, so it is asked for the Arabic presentation forms alone.
    for code in [*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFD)]:
        plain = unicodedata.normalize("NFKC", chr(code))
        if plain != chr(code):
            folds[chr(code)] = "".join(folds.get(c, c) for c in plain).strip()
    return folds


_FOLDS = _matching_folds()

# Only what says nothing about the content: `C++`, `C#`, `-5`, `.net` and `100%` keep their signs.
_OPENING, _CLOSING = "\"'“”‘’«»([{¿¡", ".,;:!?؟،؛۔…\"'“”‘’«»)]}"


def fold_digits(text: pl.Expr) -> pl.Expr:
    """Arabic-Indic and Persian digits as ASCII digits."""
    return text.str.replace_many(_DIGITS)


_ODD_SPACES = ["  ", *"\t\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000", *map(chr, range(0x2000, 0x200B))]
"""What has to be collapsed besides line feeds: the other white space of Unicode, and two spaces."""


def collapse_space(text: pl.Expr) -> pl.Expr:
    """Every run of white space as one space, none at the ends."""
    return text.map_batches(_collapsed, return_dtype=pl.String)


def _collapsed(texts: pl.Series) -> pl.Series:
    odd = texts.str.contains_any(["\n", *_ODD_SPACES]).arg_true()  # only those pay for a search
    if odd.len():
        lines = texts.gather(odd).str.replace_all("\n", " ", literal=True)
        runs = lines.str.contains_any(_ODD_SPACES).arg_true()
        if runs.len():
            lines = lines.scatter(runs, lines.gather(runs).str.replace_all(r" ?[^ \S]\s*|  \s*", " "))
        texts = texts.clone().scatter(odd, lines)
    return texts.str.strip_chars()


def matching_key(text: pl.Expr) -> pl.Expr:
    """A form in which texts that read the same are equal. For matching only, never for output.

    Lower case; NFC; white space collapsed; tatweel, Arabic diacritics and invisible characters removed;
    presentation forms resolved; the forms of alef, ya and kaf each one letter, ta marbuta as ha; quotes,
    brackets and sentence punctuation at the ends removed. A text of nothing but those is ''.
    """
    return text.map_batches(matching_keys, return_dtype=pl.String)


def matching_keys(texts: pl.Series) -> pl.Series:
    """The `matching_key` of every text."""
    key = texts.str.to_lowercase()
    # Nothing of ASCII is folded, and NFC, which costs as much as all the rest, only matters to a combining mark.
    wide = (key.str.len_bytes() != key.str.len_chars()).arg_true()
    if wide.len():
        folded = key.gather(wide).str.replace_many(_FOLDS)
        marked = folded.str.contains(r"\p{M}").arg_true()
        if marked.len():
            folded = folded.scatter(marked, folded.gather(marked).str.normalize("NFC"))
        key = key.scatter(wide, folded)
    space = " "
    return _collapsed(key).str.strip_chars_start(_OPENING + space).str.strip_chars_end(_CLOSING + space)


_PROTECTED_HOLD = ["`", "$", "<", "\\", "http", "www."]
"""Whatever is `PROTECTED` holds one of these."""


def prose(text: pl.Expr) -> pl.Expr:
    """The text with code, formulas, addresses and tags each replaced by a space."""
    return text.map_batches(_bared, return_dtype=pl.String)


def _bared(texts: pl.Series) -> pl.Series:
    held = texts.str.contains_any(_PROTECTED_HOLD).arg_true()  # few texts: only those pay for a search
    if not held.len():
        return texts
    return texts.clone().scatter(held, texts.gather(held).str.replace_all(PROTECTED, " "))


def letters(text: pl.Expr) -> pl.Expr:
    """Number of letters."""
    return text.str.replace_all(NOT_LETTERS, "").str.len_chars().cast(pl.Int32)


def arabic_letters(text: pl.Expr) -> pl.Expr:
    """Number of letters of the Arabic script."""
    return text.str.replace_all(NOT_ARABIC_LETTERS, "").str.len_chars().cast(pl.Int32)


def numbers(text: pl.Expr) -> pl.Expr:
    """The numbers of a text as a list, digits in ASCII, marks between digits as `.` or `,`, else as written."""
    return text.str.replace_many(_DIGITS | _NUMBER_MARKS).str.extract_all(r"[0-9]+(?:[.,][0-9]+)*")


def plain_number(number: pl.Expr) -> pl.Expr:
    """One of `numbers` in the one spelling of its value, as a list: a run like `1.5.2020` or `1,2,3` is several."""
    bare = number.str.replace_all(",", "", literal=True)
    continental = number.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    spelt = (
        pl.when(number.str.contains(r"^[0-9]+$"))
        .then(number)
        .when(number.str.contains(r"^[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?$"))
        .then(bare)
        .when(number.str.contains(r"^[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?$"))
        .then(continental)
        .when(number.str.contains(r"^[0-9]+[.,][0-9]+$"))
        .then(number.str.replace(",", ".", literal=True))
        .otherwise(number.str.replace_all("[.,]", " "))
    )
    return spelt.str.split(" ")


def word_count(text: pl.Expr) -> pl.Expr:
    """Number of words (`WORD`)."""
    return text.str.count_matches(WORD).cast(pl.Int32)


def words(text: pl.Expr) -> pl.Expr:
    """The words and symbols of a text in order, as a list; white space is gone."""
    return text.str.extract_all(TOKEN)


def ratio(part: pl.Expr, whole: pl.Expr, empty: float = 0.0) -> pl.Expr:
    """`part / whole` as a measure: Float32, 4 decimals; `empty` where `whole` is 0."""
    return measured(pl.when(whole != 0).then(part / whole).otherwise(empty))


def measured(value: pl.Expr) -> pl.Expr:
    """A number as measures are stored: Float32 of 4 decimals, so that equal rows read equal everywhere."""
    return value.cast(pl.Float64).round(4).cast(pl.Float32)


def per_row(lines: pl.DataFrame, height: int, worst: Mapping[str, tuple[pl.Expr, object]]) -> pl.DataFrame:
    """What `lines` (with a column `row`) say about each of `height` rows, in order.

    `worst` gives per measure an aggregate over the lines of a row, and the value of a row without lines.
    """
    found = lines.group_by("row").agg(**{name: aggregate for name, (aggregate, _) in worst.items()})
    rows = pl.DataFrame({"row": pl.int_range(height, dtype=pl.UInt32, eager=True)})
    neutral = [pl.col(name).fill_null(pl.lit(value)) for name, (_, value) in worst.items()]
    return rows.join(found, on="row", how="left", maintain_order="left").select(neutral)


_READ = str.maketrans(_FOLDS | _DIGITS | _NUMBER_MARKS)


def folded(text: str) -> str:
    """One text with digits in ASCII and the letters as `matching_key` folds them; case and the rest stay."""
    return text.translate(_READ)


# A digraph before its letters; a vowel, h, w and y are written in one script and left out in the other.
_SPELT_SOUNDS = {
    **dict.fromkeys(("sch", "tch", "sh", "ch", "ce", "ci", "cy", "تش"), "S"),
    **dict.fromkeys(("kh", "gh", "ck", "qu", "dg"), "K"),
    **{"ph": "F", "th": "T", "dh": "T", "x": "KS"},
}
_SOUNDS = {
    **{"B": "bpبپ", "F": "fvفڤ", "K": "cgjkqكقغجخگ", "L": "lل", "M": "mم", "N": "nن", "R": "rر"},
    **{"S": "szسشصزظچژ", "T": "tdتثدذطض"},
}
_SOUND_OF = _SPELT_SOUNDS | {letter: sound for sound, letters in _SOUNDS.items() for letter in letters}


def consonants(text: pl.Expr) -> pl.Expr:
    """The consonants of every word, as nine sounds that Latin and Arabic script share, spaces between the words.

    `Scotland` and اسكتلندا are SKTLNT. Of 2,000 capitalised words of news with three such sounds or more, a half
    stand in the Arabic translation sound for sound, and one in 200 in that of any other sentence (NTREX-128).
    """
    words = text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}]+", " ").str.replace_many(_SOUND_OF, leftmost=True)
    sounds = words.str.replace_all("[^BFKLMNRST ]+", "")
    return sounds.str.replace_many({sound * n: sound for n in (4, 3, 2) for sound in _SOUNDS}, leftmost=True)
