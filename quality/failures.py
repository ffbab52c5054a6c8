"""What can be wrong with an answer of a translator, as types, and the patterns and bounds that tell.

The model: an answer is judged against its source. A phrase that the source has too is a translation of it, never a
failure; where the two cannot be told apart, the answer passes and the filters behind see to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from hala_factory import structure
from hala_factory.generate.answers import Answer

Failure = Literal[
    "engine_error",
    "missing",
    "refusal",
    "prompt_leak",
    "loop",
    "truncated",
    "answered",
    "echo",
    "wrong_language",
    "broken_structure",
]
FAILURES: tuple[Failure, ...] = get_args(Failure)

_APOSTROPHES = str.maketrans("’ʼ", "''")
_FOLDED = str.maketrans("أإآٱىة", "ااااي" + "ه")
_MARKS = re.compile("[\u064b-\u0652\u0670\u0640\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

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
"""How a translator declines, in normalised text; looked for in the first `_OPENING` characters of an answer."""
SOURCE_REFUSES = (
    r"sorry|apolog|\bnor\b|can't|cannot|can not|unable|not able|won't|will not|refus|declin|regret"
    r"|language model|\bai\b|عذرا|اسف|اعتذر|لا (?:استطيع|يمكن)|نموذج"
)
"""A source that opens like this may have a refusal for its translation."""
_OPENING = 300  # characters

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
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'-]*")
_LETTER = re.compile(r"[^\W\d_]")
_NOT_ARABIC = re.compile(
    "[کیھہےٹڈڑں]"
)  # of Persian (ی and ک: over 10 % of it) and Urdu; پ چ ژ گ spell loans in dialects
_ARABIC = frozenset(("ar", "arz", "ary", "arq", "apc", "ajp", "ars", "acm"))

# Choices; each errs on the side of letting an answer pass.
_MIN_LETTERS = 20  # fewer letters do not tell a language: names and labels
_MIN_SCRIPT_SHARE = 0.5
_MAX_PERSIAN_SHARE = 0.05
_TRANSLATABLE = re.compile(r"(?<!\w)[A-Za-z]?[a-z]{2,}(?!\w)")
_NUMBER = re.compile(r"\d+")
_ASKS = re.compile(
    r"\W*(?:what|who|whom|whose|which|where|when|why|how)\b", re.I
)  # a tag question may become a statement
_MANY_TIMES, _MANY_MORE = 3, 200  # far too long: 3 times the source and 200 characters
_CUT_SHARE, _CUT_CHARS = 0.5, 80  # English to Arabic keeps 0.7 to 1.1 of the characters
_LONGEST_PERIOD, _TAIL_WORDS = 40, 600
_CHARACTER_LOOP = re.compile(r"(\S{1,20}?)\1{19,}\W*$")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an answer, and the evidence for it."""

    failure: Failure
    detail: str


@dataclass(frozen=True)
class Judge:
    """What an answer is held against, besides its source."""

    target: str
    """Code of the language that was asked for."""
    instruction: str = ""
    """The prompt without the text."""
    structure: bool = True
    """Whether the contract of `hala_factory.structure` is held against it."""
    length: bool = True
    """Whether its length is; recorded answers leave that to the `length_ratio` filter."""

    def of_answer(self, source: str, answer: Answer) -> Finding | None:
        """What is wrong with an answer as the engine gave it, or None."""
        if answer.finish_reason == "miss":
            return Finding("missing", "nothing is recorded for this text")
        if answer.finish_reason == "error" or answer.error is not None:
            return Finding("engine_error", answer.error or "the engine gave no reason")
        if not answer.text.strip():
            return Finding("truncated" if self.length else "missing", "the answer is empty")
        if answer.finish_reason == "length":
            return looping(source, answer.text) or Finding(
                "truncated", f"{answer.output_tokens} tokens were not enough"
            )
        return self.of_text(source, answer.text)

    def of_text(self, source: str, target: str) -> Finding | None:
        """What is wrong with `target` as the translation of `source`, or None; the most telling thing first."""
        return (
            refusing(source, target)
            or leaking(source, target, self.instruction)
            or looping(source, target)
            or echoing(source, target, self.target)
            or (answering(source, target, self.target) if self.length else None)
            or misspeaking(source, target, self.target)
            or (cut_off(source, target) if self.length else None)
            or (breaking(source, target) if self.structure else None)
        )


def normalised(text: str) -> str:
    """Lower case, one space, without Arabic vowel marks and tatweel; alef, ya and ta marbuta folded."""
    return " ".join(_MARKS.sub("", text.translate(_APOSTROPHES)).translate(_FOLDED).lower().split())


def refusing(source: str, target: str) -> Finding | None:
    """A refusal that is not a translation of one."""
    opening = normalised(target[: 2 * _OPENING])[:_OPENING]
    for pattern in REFUSALS:
        if (found := re.search(pattern, opening)) and not re.search(
            SOURCE_REFUSES, normalised(source[: 2 * _OPENING])
        ):
            return Finding("refusal", found[0])
    return None


def leaking(source: str, target: str, instruction: str = "") -> Finding | None:
    """The translator's instruction in the output, where the source has nothing of the kind."""
    spelt, origin = normalised(target), normalised(source)
    for line in instruction.splitlines():
        wanted = normalised(line).strip(" :.{}")
        if len(wanted.split()) >= 3 and wanted in spelt and wanted not in origin:
            return Finding("prompt_leak", wanted)
    for pattern, excuse in LEAKS:
        if (found := re.search(pattern, spelt)) and not re.search(excuse, origin):
            return Finding("prompt_leak", found[0])
    return None


def looping(source: str, target: str) -> Finding | None:
    """A phrase repeated to the end that the source does not repeat."""
    times, phrase = _repeated(target)
    if times and 2 * _repeated(source)[0] < times:
        return Finding("loop", f"{times} times {phrase!r}")
    return None


def _repeated(text: str) -> tuple[int, str]:
    """How often the text's last phrase stands there in a row (0: not remarkably often), and the phrase."""
    words = [w.strip(".,;:!?،؛؟") for w in text.split()[-_TAIL_WORDS:]]
    for tail in (words, words[:-1]):  # the last word may have been cut
        for period in range(1, min(_LONGEST_PERIOD, len(tail) // 4) + 1):
            phrase, times, at = tail[-period:], 1, len(tail) - 2 * period
            while at >= 0 and tail[at : at + period] == phrase:
                times, at = times + 1, at - period
            if times >= (8 if period < 3 else 4) and "".join(phrase):
                return times, " ".join(phrase)
    if run := _CHARACTER_LOOP.search(text[-500:]):
        return len(run[0]) // len(run[1]), run[1]
    return 0, ""


def echoing(source: str, target: str, language: str) -> Finding | None:
    """The source itself, up to case, spaces and punctuation; names and labels may stay as they are."""
    if _letters_only(source) != _letters_only(target):
        return None
    written = structure.prose(source)
    words = _TRANSLATABLE.findall(written)
    letters = _LETTER.findall(written)
    if language in SCRIPTS and 2 * _share(written, language) > 1:
        return None  # it was in the target language already
    if (
        len(words) >= 3
        or any(w.islower() and len(w) >= 4 for w in words)
        or (not words and len(letters) >= _MIN_LETTERS)
    ):
        return Finding("echo", "the source came back")
    return None


def misspeaking(source: str, target: str, language: str) -> Finding | None:
    """Another language than the one asked for, told by its letters; names that the source has do not count."""
    if language not in SCRIPTS:
        return None
    names = {word for word in _LATIN_WORD.findall(source) if not word.islower()}
    written = _LATIN_WORD.sub(lambda m: " " if m[0] in names else m[0], structure.prose(target))
    count = len(_LETTER.findall(written))
    if count < _MIN_LETTERS:
        return None
    share = _share(written, language)
    if share < _MIN_SCRIPT_SHARE:
        return Finding("wrong_language", f"{share:.0%} of {count} letters are {SCRIPTS[language]}")
    if language in _ARABIC and len(_NOT_ARABIC.findall(written)) > _MAX_PERSIAN_SHARE * count:
        if len(_NOT_ARABIC.findall(source)) > _MAX_PERSIAN_SHARE * len(_LETTER.findall(source)):
            return None
        return Finding("wrong_language", "letters of Persian or Urdu")
    return None


def _share(text: str, language: str) -> float:
    letters = len(_LETTER.findall(text))
    return len(_IN_SCRIPT[SCRIPTS[language]].findall(text)) / letters if letters else 0.0


def answering(source: str, target: str, language: str) -> Finding | None:
    """An answer to the source instead of its translation; only what is beyond doubt."""
    if "```" in target and "```" not in source:
        return Finding("answered", "a program that the source does not have")
    asked, told = structure.prose(source).strip(), structure.prose(target).strip()
    if len(told) > _MANY_TIMES * len(asked) + _MANY_MORE:
        wanted = set(_NUMBER.findall(asked))
        if not wanted or not wanted <= {str(int(n)) for n in _NUMBER.findall(told)} | set(_NUMBER.findall(told)):
            return Finding("answered", f"{len(told)} characters for {len(asked)}")
    question = (
        language in _ARABIC and asked.endswith("?") and _ASKS.match(asked) and not re.search(r"[.!?\n]", asked[:-1])
    )
    opening = {word.removeprefix("و").removeprefix("ف") for word in re.findall(r"\w+", normalised(told[:100]))[:4]}
    if question and not re.search("[؟?]", told) and not opening & INTERROGATIVES:
        return Finding("answered", "no question for a question")
    return None


def cut_off(source: str, target: str) -> Finding | None:
    """An end in mid-sentence, far before the source's."""
    asked, told = structure.prose(source).strip(), structure.prose(target).strip()
    whole = asked.endswith((".", "!", "?", "…")) and len(asked) >= _CUT_CHARS
    if whole and told[-1:].isalnum() and len(told) < _CUT_SHARE * len(asked):
        return Finding("truncated", f"ends in mid-sentence after {len(told)} characters for {len(asked)}")
    return None


def breaking(source: str, target: str) -> Finding | None:
    """A structure that is not the source's."""
    differing = structure.difference(source, target)
    if not differing:
        return None
    told = [
        f"{kind}: " + " ".join([f"-{_short(s)}" for s in lacks[:3]] + [f"+{_short(s)}" for s in adds[:3]])
        for kind, (lacks, adds) in differing.items()
    ]
    return Finding("broken_structure", "; ".join(told))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def _letters_only(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
