"""Phrases by which answers give themselves away: of refusals, of leaked instructions, and of questions.

All of them are looked for in normalised text, and written here as it is spelt there.
"""

from __future__ import annotations

import re

_APOSTROPHES = str.maketrans("’ʼ", "''")
_FOLDED = str.maketrans("أإآٱىة", "ااااي" + "ه")
_MARKS = re.compile("[\u064b-\u0652\u0670\u0640\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def normalised(text: str) -> str:
    """Lower case, one space, without Arabic vowel marks and tatweel; alef, ya and ta marbuta folded."""
    return " ".join(_MARKS.sub("", text.translate(_APOSTROPHES)).translate(_FOLDED).lower().split())


REFUSALS = (
    r"\bi(?:'m| am) (?:so |very |really |truly )?sorry\W+(?:but )?(?:as an? \w+ )?"
    r"i (?:can't|cannot|am unable|am not able|won't)",
    r"\bi (?:can't|cannot|am unable to|am not able to|won't|must decline to) "
    r"(?:help|assist|translate|provide|fulfil|comply|complete|do that|process|generate)",
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|language model)\b",
    r"(?:عذرا|اسف|اسفه|اعتذر|متاسف|ناسف|نعتذر|المعذره)\W+(?:\w+\W+){0,3}?"
    r"(?:لا (?:استطيع|يمكنني|اقدر|يمكن)|لن (?:استطيع|اتمكن)|لست قادر\w*|غير قادر\w*)",
    r"(?:لا (?:استطيع|يمكنني|اقدر)|لن (?:استطيع|اتمكن)|لست قادر\w*|غير قادر\w*)\W+(?:(?:من|علي|ان)\W+)?"
    r"(?:ال)?(?:مساعد\w*|اساعد\w*|ترجم\w*|اترجم\w*|تقديم|اقدم|تنفيذ|تلبيه|استجابه|اكمال)",
    r"(?:بصفتي|كوني|باعتباري|بوصفي|كنموذج|انا مجرد)\W+(?:\w+\W+){0,3}?(?:نموذج\w*|لغوي\w*|ذكاء|مساعد\w*)",
)
"""How a translator declines, in normalised text; looked for in the first `OPENING` characters of an answer."""
SOURCE_REFUSES = (
    r"sorry|apolog|\bnor\b|can't|cannot|can not|unable|not able|won't|will not|refus|declin|regret"
    r"|language model|\bai\b|عذرا|اسف|اعتذر|لا (?:استطيع|يمكن)|نموذج"
)
"""A source that opens like this may have a refusal for its translation."""
OPENING = 300
"""Characters, of an answer and of its source, in which a refusal is looked for."""

_START = r"^\W*(?:\w+\W+){0,3}?"
_TRANSLATES = r"translat|arabic|interpret|ترجم|عربي"
LEAKS: tuple[tuple[str, str], ...] = (
    (_START + r"(?:كل|جميع) ما (?:يلي|ياتي)\b", r"follow|below|next|everything|all (?:of|the)|يلي|ياتي"),
    (r"\bما (?:يلي|ياتي)\W+(?:\w+\W+){0,2}?(?:الي|ل|ب)\w*\W?\w*عربيه", _TRANSLATES),
    (r"\b(?:ال)?م?ترجم\w*\W+(?:\w+\W+){0,5}?\w*عربيه", _TRANSLATES),
    (
        r"^\W*(?:(?:بالتاكيد|بالطبع|حسنا|طبعا|تفضل)\W+)?(?:اليك\w*|هذه|هذا|هنا|و?فيما يلي|ها)\W+(?:ه[ويا]\W+)?"
        r"(?:الترجمه|ترجمه|النص المترجم)",
        _TRANSLATES,
    ),
    (r"^\W*(?:الترجمه|ترجمه|النص المترجم|النص العربي)(?: \w+){0,3} ?:", _TRANSLATES),
    (
        r"\btranslat\w+ (?:everything|all|the following|this|what follows|from english|to arabic|into arabic)",
        _TRANSLATES,
    ),
    (r"^\W*(?:\w+\W+){0,2}?here(?:'s| is| are) (?:the|your|an?) (?:\w+ ){0,2}translation", _TRANSLATES),
    (r"^\W*(?:arabic )?translation ?:", _TRANSLATES),
)
"""The translator's instruction, or a paraphrase of it, in normalised text: pattern, and what excuses it in the source.

Read from published translations of this kind, of which 1.6 % of the user turns carry it: «كل ما يلي مترجم إلى
العربية», «قم بتقييم ما يلي إلى العربية», «تم إرجاء كل ما يلي».
"""
INTERROGATIVES = frozenset(
    re.findall(
        r"\w+",
        "ما ماذا ماهو ماهي من متي اين كيف كم اي ايه هل لم لماذا بماذا لمن ا اليس اليست الم الا"
        " الي علي في عن مع منذ حتي ب بكم باي",
    )
)
"""A question in Arabic opens with one of these, prepositions before them included."""
