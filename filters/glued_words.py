"""Glued words: words that lost the space between them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

_LETTER = text.ARABIC_LETTER
_NO_LETTERS = r"[\p{M}\x{640}\x{200c}-\x{200f}]"
"""Diacritics, the tatweel and marks of direction: a word is no longer for them."""
_LONG = 10
_LONG_WORD = rf"{_LETTER}{{{_LONG},}}"
_LONG_LATIN_WORD = rf"\b\p{{Lu}}?\p{{Ll}}{{{_LONG - 1},}}\b"
"""Without capitals inside: `JavaScript` is glued on purpose."""
_PLACEHOLDERS = r"\{[^{}\n]*\}|\]\([^()\s]*\)"

# A letter that only ends words, with another behind it: «السياسةالوطنية», «علىهدوئها».
_END_INSIDE = rf"ة[{_LETTER}--[ةهىي]]|ى[{_LETTER}--[ىيءئ]]"
# A whole word, the article, and a whole word: «ومدافعالميدان». Words of one piece, «الراديكاليين», end soon after it.
_ARTICLE = r"^[وفبك]{0,2}ال"
_ARTICLE_INSIDE = rf"{_LETTER}{{4,}}ال{_LETTER}{{5,}}"
_MIN_WITH_ARTICLE = 13
# Words that never begin another, with the article: «فيالولايات». Not «مع», for «معالجة».
_BEFORE_ARTICLE = (
    rf"\b[وف]?(?:في|من|عن|هذا|هذه|ذلك|التي|الذي|الذين|بعد|قبل|بين|عند|كل|خلال|منذ|ضد|نحو)ال{_LETTER}{{4,}}\b"
)
# A tanwin that ends a word: «أيضًامجمع».
_TANWIN_INSIDE = rf"(?:\u064bا|ا\u064b){_LETTER}"
_DIGIT = r"[0-9\x{660}-\x{669}]"
# Arabic beside Latin letters or digits without a space. Clitics and «ال» may stand before a name («بGitHub»), short
# units behind a number («5كم»), the plural «ات» behind an abbreviation, one digit behind a name («سيرين2»).
_MIXED = (
    rf"{_LETTER}{{4,}}[A-Za-z]{{2,}}|{_LETTER}{{3,}}[A-Z][0-9]|[A-Za-z]{{2,}}{_LETTER}{{3,}}"
    rf"|{_LETTER}{{3,}}{_DIGIT}{{2}}|{_DIGIT}[%٪]?{_LETTER}{{4,}}"
)
_lengths = pl.element().str.len_chars()


@register
class GluedWords(Filter):
    """Drop texts in which words stand together without the space between them.

    `longest` is the number of letters of the longest word of ten or more, else 0; no word of 226,000 in good Arabic
    (Tatoeba, ManyThings, TICO-19, MT-GenEval) has more than 14, clitics counted. `glued` counts the signs that an
    Arabic word is two, of which a word may have several: ta marbuta, alef maqsura or tanwin before a letter
    («السياسةالوطنية»), the article between two whole words («مدافعالميدان») or behind a preposition («فيالولايات»).
    `mixed` counts places where an Arabic word touches a Latin word or a number («كتابThe», «7ساعات»). Diacritics and
    tatweel are no letters. Code, formulas, addresses, tags and placeholders are left out.

    Of those good texts, 0.04 % fall, and all of them are glued in truth, as read; so are 147 of 1,997 of NTREX-128.
    Where one space is lost in a text, every third is found, where five are lost, nine of ten.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "تُدرَّس في الجامعة السياسة الوطنية للمياه.",
        "dropped": "تُدرَّس فيالجامعة السياسةالوطنية للمياه.",
    }

    step: Literal["glued_words"] = "glued_words"
    on: TextPath = "messages"
    max_letters: Annotated[int, Field(ge=10)] | None = 15
    """Most letters of an Arabic word."""
    max_latin_letters: Annotated[int, Field(ge=10)] | None = 30
    """Most letters of a Latin word; the longest in English dictionaries have 28 to 30."""
    max_glued: Count | None = 0
    """Most Arabic words that are surely two."""
    max_mixed: Count | None = 0
    """Most places where Arabic touches Latin letters or digits."""

    def measures(self) -> Columns:
        return dict.fromkeys(("longest", "longest_latin", "glued", "mixed"), pl.Int32())

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole, bare = pl.col("text"), pl.col("bare")
        prose = text.prose(rows.text(self.on)).str.replace_all(_PLACEHOLDERS, " ")
        found = frame.select(text=prose).with_columns(bare=whole.str.replace_all(_NO_LETTERS, ""))
        lengths = [bare.str.extract_all(word).list.eval(_lengths) for word in (_LONG_WORD, _LONG_LATIN_WORD)]
        article = pl.element().str.replace(_ARTICLE, "").str.contains(_ARTICLE_INSIDE)
        inside = bare.str.extract_all(rf"{_LETTER}{{{_MIN_WITH_ARTICLE},}}").list.eval(article).list.sum()
        ends = bare.str.count_matches(_END_INSIDE) + whole.str.count_matches(_TANWIN_INSIDE)
        return found.select(
            longest=lengths[0].list.max().fill_null(0).cast(pl.Int32),
            longest_latin=lengths[1].list.max().fill_null(0).cast(pl.Int32),
            glued=(ends + bare.str.count_matches(_BEFORE_ARTICLE) + inside.fill_null(0)).cast(pl.Int32),
            mixed=bare.str.count_matches(_MIXED).cast(pl.Int32),
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("long_word", self.max_letters, pl.col("longest")),
            ("long_latin_word", self.max_latin_letters, pl.col("longest_latin")),
            ("glued", self.max_glued, pl.col("glued")),
            ("mixed", self.max_mixed, pl.col("mixed")),
        ]
        return [(reason, found > most) for reason, most, found in bounds if most is not None]
