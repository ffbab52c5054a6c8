"""Which script a language is written in, and how much of a text is."""

from __future__ import annotations

import re

SCRIPTS: dict[str, str] = {
    **dict.fromkeys(
        ("ar", "arz", "ary", "arq", "apc", "ajp", "ars", "acm", "fa", "ur", "ps", "ckb", "ug", "sd"), "Arabic"
    ),
    **dict.fromkeys(
        ("en", "fr", "de", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "fi", "cs", "ro", "hu"), "Latin"
    ),
    **dict.fromkeys(("tr", "id", "ms", "vi", "sw", "so", "ha", "yo", "ig", "zu", "az", "uz", "tl"), "Latin"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "kk", "ky", "tg", "mk"), "Cyrillic"),
    **dict.fromkeys(("hi", "mr", "ne"), "Devanagari"),
    "he": "Hebrew",
    "el": "Greek",
    "zh": "Han",
    "ja": "Japanese",
    "ko": "Korean",
    "bn": "Bengali",
    "ta": "Tamil",
    "th": "Thai",
    "am": "Ethiopic",
    "hy": "Armenian",
    "ka": "Georgian",
}
"""The script of a language; a language that is not here is not judged by its letters."""
_LETTERS = {
    "Arabic": "\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "Cyrillic": "\u0400-\u052f",
    "Devanagari": "\u0900-\u097f",
    "Hebrew": "\u0590-\u05ff",
    "Greek": "\u0370-\u03ff",
    "Han": "\u3400-\u9fff",
    "Japanese": "\u3040-\u30ff\u3400-\u9fff",
    "Korean": "\u1100-\u11ff\uac00-\ud7af",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Thai": "\u0e00-\u0e7f",
    "Ethiopic": "\u1200-\u137f",
    "Armenian": "\u0530-\u058f",
    "Georgian": "\u10a0-\u10ff",
}
_IN_SCRIPT = {script: re.compile(f"[{letters}]") for script, letters in _LETTERS.items()}

LETTER = re.compile(r"[^\W\d_]")
"""A letter of any script."""
NOT_ARABIC = re.compile("[کیھہےٹڈڑں]")
"""Letters of Persian (ی and ک: over 10 % of it) and Urdu; پ چ ژ گ are not among them, they spell loans in dialects."""
ARABIC = frozenset(("ar", "arz", "ary", "arq", "apc", "ajp", "ars", "acm"))
"""The codes of Arabic and of its dialects."""


def script_share(text: str, language: str) -> float:
    """The share of the letters that are of the language's script; 0 where there are none.

    Raises KeyError for a language that `SCRIPTS` does not have.
    """
    letters = len(LETTER.findall(text))
    return len(_IN_SCRIPT[SCRIPTS[language]].findall(text)) / letters if letters else 0.0
