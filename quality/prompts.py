"""Prompts: templates filled with texts of rows, and the names of languages as prompts spell them."""

from __future__ import annotations

import re

from hala_factory.validation import FieldError

LANGUAGES = {
    **{"ar": "Arabic", "arz": "Egyptian Arabic", "ary": "Moroccan Arabic", "arq": "Algerian Arabic"},
    **{"apc": "Levantine Arabic", "ajp": "Levantine Arabic", "ars": "Najdi Arabic", "acm": "Iraqi Arabic"},
    **{"fa": "Persian", "ur": "Urdu", "ps": "Pashto", "ckb": "Central Kurdish", "ug": "Uyghur", "sd": "Sindhi"},
    **{"en": "English", "fr": "French", "de": "German", "es": "Spanish", "it": "Italian", "pt": "Portuguese"},
    **{"nl": "Dutch", "pl": "Polish", "sv": "Swedish", "da": "Danish", "nb": "Norwegian", "fi": "Finnish"},
    **{"cs": "Czech", "ro": "Romanian", "hu": "Hungarian", "tr": "Turkish", "id": "Indonesian", "ms": "Malay"},
    **{"vi": "Vietnamese", "sw": "Swahili", "so": "Somali", "ha": "Hausa", "yo": "Yoruba", "ig": "Igbo"},
    **{"zu": "Zulu", "az": "Azerbaijani", "uz": "Uzbek", "tl": "Tagalog", "ru": "Russian", "uk": "Ukrainian"},
    **{"bg": "Bulgarian", "be": "Belarusian", "kk": "Kazakh", "ky": "Kyrgyz", "tg": "Tajik", "mk": "Macedonian"},
    **{"hi": "Hindi", "mr": "Marathi", "ne": "Nepali", "he": "Hebrew", "el": "Greek", "zh": "Chinese"},
    **{"ja": "Japanese", "ko": "Korean", "bn": "Bengali", "ta": "Tamil", "th": "Thai", "am": "Amharic"},
    **{"hy": "Armenian", "ka": "Georgian"},
}
"""English names by code; a code that is not here stands for itself."""

TRANSLATE = "Translate everything that follows into {language}:\n\n{text}"
"""What a translator is asked, where a recipe does not say it in another way."""


def named(code: str) -> str:
    """The language as an English prompt calls it."""
    return LANGUAGES.get(code, code)


def filled(template: str, **texts: str) -> str:
    """The template with each `{name}` replaced by its text, all at once: braces inside a text stay what they are."""
    return re.sub(r"\{(" + "|".join(texts) + r")\}", lambda found: texts[found[1]], template)


def require(field: str, template: str, *names: str) -> None:
    """Raise FieldError for a template in which one of these `{name}`s does not stand once."""
    for name in names:
        times = template.count(f"{{{name}}}")
        if times != 1:
            raise FieldError(field, f"{field}: expected {{{name}}} once, found it {times} times")
