"""What can be wrong with an answer of a translator, as types, and the checks and bounds that tell.

The model: an answer is judged against its source. A phrase that the source has too is a translation of it, never a
failure; where the two cannot be told apart, the answer passes and the filters behind see to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from hala_factory import structure
from hala_factory.generate.answers import Answer
from hala_factory.phrases import (
    BOILERPLATE,
    INTERROGATIVES,
    OPENING,
    REFUSALS,
    SOURCE_REFUSES,
    leaks,
    may_refuse,
    normalised,
)
from hala_factory.quality.scripts import ARABIC, LETTER, NOT_ARABIC, SCRIPTS, script_share

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

_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'-]*")

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


def refusing(source: str, target: str) -> Finding | None:
    """A refusal that is not a translation of one."""
    if not may_refuse(target[: 2 * OPENING]):
        return None
    opening = normalised(target[: 2 * OPENING])[:OPENING]
    for pattern in (*REFUSALS, *BOILERPLATE):
        if (found := re.search(pattern, opening)) and not re.search(SOURCE_REFUSES, normalised(source[: 2 * OPENING])):
            return Finding("refusal", found[0])
    return None


def leaking(source: str, target: str, instruction: str = "") -> Finding | None:
    """The translator's instruction in the output, where the source has nothing of the kind."""
    spelt, origin = normalised(target), normalised(source)
    for line in instruction.splitlines():
        wanted = normalised(line).strip(" :.{}")
        if len(wanted.split()) >= 3 and wanted in spelt and wanted not in origin:
            return Finding("prompt_leak", wanted)
    for _, found, _ in leaks(source, target):
        return Finding("prompt_leak", found)
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
    letters = LETTER.findall(written)
    if language in SCRIPTS and 2 * script_share(written, language) > 1:
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
    count = len(LETTER.findall(written))
    if count < _MIN_LETTERS:
        return None
    share = script_share(written, language)
    if share < _MIN_SCRIPT_SHARE:
        return Finding("wrong_language", f"{share:.0%} of {count} letters are {SCRIPTS[language]}")
    if language in ARABIC and len(NOT_ARABIC.findall(written)) > _MAX_PERSIAN_SHARE * count:
        if len(NOT_ARABIC.findall(source)) > _MAX_PERSIAN_SHARE * len(LETTER.findall(source)):
            return None
        return Finding("wrong_language", "letters of Persian or Urdu")
    return None


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
        language in ARABIC and asked.endswith("?") and _ASKS.match(asked) and not re.search(r"[.!?\n]", asked[:-1])
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
    return "".join(filter(str.isalnum, text.lower()))
