"""Clean text: traces of a wrong decoding, a broken tool or a tokenizer that stand in a text instead of language."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows, structure, text
from hala_factory.step import Columns, Count, Filter, TextPath, register

# The bytes 80–BF, the rest of a character in UTF-8, as Latin-1 and CP1252 show them, and as CP1256 (Arabic) does.
_REST = r"[\x{80}-\x{bf}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_REST_1256 = r"[€پ‚ƒ„…†‡ˆ‰ٹ‹Œچژڈگ‘’“”•–—ک™ڑ›œں\x{200c}\x{200d}\x{a0}\x{a2}-\x{a9}\x{ab}-\x{b9}؛\x{bb}-\x{be}؟ھ]"
_MOJIBAKE = (
    rf"[ÃÂ]{_REST}"  # é, °, £ and most of Latin-1: no language writes these letters before such a sign
    rf"|â€|ðŸ|â{_REST}{{2}}|ï{_REST}{{2}}|ð{_REST}{{3}}"  # quotes, dashes, arrows; byte order mark, full width; emoji
    r"|[ÄÅ][\x{80}-\x{9f}‚‡™±ŸŽž¼ºœ]"  # ł, ą, ş, ğ and their like
    rf"|(?:[ÐÑ]{_REST}){{2,}}|(?:[ÎÏ]{_REST}){{2,}}|(?:×{_REST}){{2,}}"  # Cyrillic, Greek, Hebrew
    rf"|(?:à{_REST}{{2}}){{2,}}|(?:[ã-é]{_REST}{{2}}){{2,}}"  # the scripts of India, Thai; Chinese, Japanese, Korean
    rf"|(?:[Ø-Û](?:{_REST}|[Ā-Ń])\s?){{2,}}"  # Arabic; with Ā-Ń, as the byte alphabet of GPT-2 shows it
    r"|Î[±-¶¸¹¼-¾]|Ï[€ƒ„†‡ˆ‰]"  # one Greek letter in a formula
    rf"|(?:[طظذر]{_REST_1256}){{3,}}|[آأ][¢-©¬-¶¸¹¼-¾]"  # Arabic, Cyrillic and Latin accents, read as CP1256
    r"|(?:\A|[^\p{L}\p{M}])[À-ÖØ-öø-ÿ]{4,}"  # Arabic or Cyrillic in one byte a letter: no word is all accents
)
_CONTROL = r"[\p{Cc}\p{Co}\x{fff9}-\x{fffc}\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}--[\t\n\r]]"
# ﷲ, ﷺ, ﷽, ﷼ and the ornate brackets of the Quran are characters that people type.
_PRESENTATION = r"[\x{fb50}-\x{fd3d}\x{fd40}-\x{fdcf}\x{fe70}-\x{fefc}]"
_BIDI_MARK, _BIDI_CONTROL = r"[\x{200e}\x{200f}\x{61c}]", r"[\x{202a}-\x{202e}\x{2066}-\x{2069}]"
_INVISIBLE = r"[\x{ad}\x{200b}-\x{200d}\x{2060}-\x{2064}\x{206a}-\x{206f}\x{feff}]"
# Joiners shape the words of Persian, Urdu, Kurdish and the scripts of India, and join emoji.
_JOINED = (
    r"[\p{Arabic}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}"
    r"\p{Sinhala}\p{Khmer}\p{M}\p{Extended_Pictographic}\x{1f3fb}-\x{1f3ff}][\x{200c}\x{200d}]+"
)
# Not those that do stand alone: selectors of emoji, pause marks of the Quran, ؓ and ؒ after a name.
_MARKS = r"[\x{300}-\x{36f}\x{483}-\x{487}\x{591}-\x{5bd}\x{64b}-\x{65f}\x{670}]"
_LOOSE_MARK = rf"(?:\A|[^\p{{L}}\p{{M}}\p{{N}}\x{{25cc}}\x{{200c}}\x{{200d}}]){_MARKS}"
_DEBRIS = (
    r"<unk>|\[UNK\]|<pad>|\[PAD\]|</w>|<0x[0-9A-F]{2}>"
    r"|▁\p{L}|\p{L} ##\p{L}|\p{L}@@ \p{L}|\p{Ll}Ġ\p{Ll}"  # SentencePiece, WordPiece, BPE, BPE on bytes
)
_SPELLED = r"(?:\A|[^\p{L}\p{M}\p{N}])(?:[ء-ي](?: {1,2}[ء-ي]){2,}|[a-z](?: [a-z]){4,})(?:[^\p{L}\p{M}\p{N}]|\z)"
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ",
    "ابجدهوزحطيكلمنسعفصقرشتثخذضظغ",
)
_BACKSLASH = r"\\(?:[nrt\"/()\[\]]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})"
# One look tells that nearly every text is clean.
_SUSPECT = "|".join(
    [
        _CONTROL,
        r"[\x{ad}\x{c2}-\x{ff}�▁Ġ\x{61c}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{feff}]",
        _PRESENTATION,
        rf"(?:[طظذر]{_REST_1256}){{3}}|[آأ][¢-©¬-¶¸¹¼-¾]",
        _LOOSE_MARK,
        _DEBRIS,
        _BACKSLASH,
        _SPELLED,
    ]
)

_ESCAPE = re.compile(r"\\(?:[nrt\"/]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})")
# Commands of LaTeX that begin like an escape, a string of a program inside a line, and a path.
_NO_ESCAPE = re.compile(
    r"""\\(?:
        n(?:abla|atural|cong|earrow|eg|eq?|eqq|ew\w*|exists|geqs?l?a?n?t?|gtr|i|icefrac|leqs?l?a?n?t?|less|mid|o\w+|ormal\w*
          |ot|otin|parallel|prec|[Rr]ightarrow|[Ll]eftarrow|sim|subseteq|succ|supseteq|u|ull|um|umberwithin|warrow)
      | r(?:angle|ceil|ef|enewcommand|floor|ho|ight\w*|m|oot|tail|ule|[vV]ert|Vert|aisebox)
      | t(?:able\w*|abular|ag|an|anh|au|binom|ext\w*|frac|herefore|heta|hin\w*|hick\w*|ilde|imes|iny|itle|o|oday|op
          |oprule|riangle\w*|woheadrightarrow)
      )(?![A-Za-z])
      | (?<=[^\w"'\\])(["'])(?:(?!\1)[^\n]){1,400}\1(?!\w)
      | [“‘«(\[/|]\s?(?:\\[nrt])+\s?[”’»)\]/|]
      | [A-Za-z]:\\[^\s"<>|]*""",
    re.X,
)
_BRACKETS = re.compile(r"\\([()\[\]])")


@register
class CleanText(Filter):
    r"""Drop texts with traces of a wrong decoding, a broken tool or a tokenizer.

    Counted are: `mojibake`, UTF-8 read as another encoding («Ø§Ù„», «ط§ظ„», `â€™`, `Ã©`) and Arabic in one byte a
    letter read as Latin («ÇáÓáÇã»); `replacement_chars` (�); `control_chars`, private ones among them;
    `presentation_forms` of Arabic letters (ﻻ; not ﷺ); `bidi_marks`, which may stand rightly in mixed text, and
    `bidi_controls`, which turn the order of what follows; `invisible_chars`, not the joiners of Persian words and
    emoji; `loose_marks`, vowel signs on no letter; `debris` of a tokenizer (`<unk>`, `▁the`, `play ##ing`,
    `lo@@ w`, `<0xE2>`); `escapes` outside code and LaTeX (`\n`, `\u0627` as characters); `unbalanced_math`, `\(`
    and `\[` that are never closed or opened; `spelled_words`, written letter by letter («ا ل س ل ا م»).
    Normalise before, and what can be repaired costs no row.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Le café s’appelle «السلام».",
        "dropped": "Le cafÃ© sâ€™appelle Â«Ø§Ù„Ø³Ù„Ø§Ù…Â».",
    }

    step: Literal["clean_text"] = "clean_text"
    on: TextPath = "messages"
    # None of these is wanted once: of 48,000 clean rows (TICO-19, Tatoeba, MT-GenEval, Alpaca) the bounds cost 0.1 %.
    max_mojibake: Count | None = 0
    """Most runs of characters that are another encoding's."""
    max_replacement_chars: Count | None = 0
    """Most U+FFFD."""
    max_control_chars: Count | None = 0
    """Most control and private characters; tab and line ends are none."""
    max_presentation_forms: Count | None = 0
    """Most Arabic letters in a fixed shape."""
    max_bidi_marks: Count | None = None
    """Most left-to-right and right-to-left marks (U+200E, U+200F, U+061C)."""
    max_bidi_controls: Count | None = 0
    """Most embeddings, overrides and isolates (U+202A-202E, U+2066-2069)."""
    max_invisible_chars: Count | None = 0
    """Most characters of no width: space, joiner out of place, soft hyphen, byte order mark."""
    max_loose_marks: Count | None = 0
    """Most marks without a letter."""
    max_debris: Count | None = 0
    """Most tokens of a tokenizer."""
    max_escapes: Count | None = 0
    """Most escape sequences that stand as text."""
    max_unbalanced_math: Count | None = 0
    """Most brackets of formulas without their other half."""
    max_spelled_words: Count | None = 0
    """Most words that are written letter by letter."""

    def measures(self) -> Columns:
        return {name: pl.Int32() for name in _KINDS}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        texts = frame.select(text=rows.text(self.on)).with_row_index("row")
        whole = pl.col("text")
        suspects = texts.filter(whole.str.contains(_SUSPECT))
        joiners = whole.str.replace_all(_JOINED, "")
        counts = suspects.select(
            "row",
            mojibake=whole.str.count_matches(_MOJIBAKE),
            replacement_chars=whole.str.count_matches("\ufffd", literal=True),
            control_chars=whole.str.count_matches(_CONTROL),
            presentation_forms=whole.str.count_matches(_PRESENTATION),
            bidi_marks=whole.str.count_matches(_BIDI_MARK),
            bidi_controls=whole.str.count_matches(_BIDI_CONTROL),
            invisible_chars=joiners.str.count_matches(_INVISIBLE),
            loose_marks=whole.str.count_matches(_LOOSE_MARK),
            debris=whole.str.count_matches(_DEBRIS),
        )
        slashed = suspects.filter(whole.str.contains(_BACKSLASH))
        found = [(row, *_backslashes(content)) for row, content in slashed.iter_rows()]
        schema = {"row": pl.UInt32, "escapes": pl.Int32, "unbalanced_math": pl.Int32}
        escapes = pl.DataFrame(found, schema=schema, orient="row")
        spelled = suspects.select("row", run=whole.str.extract_all(_SPELLED)).filter(pl.col("run").list.len() > 0)
        words = spelled.select("row", spelled_words=pl.col("run").map_elements(_spelled, return_dtype=pl.Int32))
        lines = counts.join(escapes, on="row", how="left").join(words, on="row", how="left")
        worst = {name: (pl.col(name).sum().cast(pl.Int32), 0) for name in _KINDS}
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [(name, getattr(self, f"max_{name}")) for name in _KINDS]
        return [(name, pl.col(name) > bound) for name, bound in bounds if bound is not None]


_KINDS = [name.removeprefix("max_") for name in CleanText.model_fields if name.startswith("max_")]


def _backslashes(whole: str) -> tuple[int, int]:
    """Escapes that stand as text, and brackets of formulas without their other half."""
    spans = structure.spans(whole)
    language, formulas, start = [], [], 0
    for span in spans:
        language.append(whole[start : span.start])
        formulas.append(whole[start : span.end] if span.kind == "latex" else whole[start : span.start])
        start = span.end
    rest = whole[start:]
    escapes = _ESCAPE.findall(_NO_ESCAPE.sub(" ", " ".join([*language, rest])))
    brackets = _BRACKETS.findall(" ".join([*formulas, rest]).replace("\\\\", " "))
    unbalanced = sum(abs(brackets.count(opening) - brackets.count(closing)) for opening, closing in ("()", "[]"))
    return len(escapes), unbalanced


def _spelled(runs: list[str]) -> int:
    """How many of the runs of single letters are words, and neither an alphabet, «أ و ب و ج», nor one letter again."""
    words = ("".join(filter(str.isalpha, run)) for run in runs)
    return sum(
        len(set(word)) > 2 and set(word[1::2]) != {"و"} and not any(word in alphabet for alphabet in _ALPHABETS)
        for word in words
    )
