"""The pair filters on real translations: what they find of known dirt, and what they drop of good pairs.

    python benchmarks/truth_pairs.py [--data DIR] [--read N] [--json]

Good pairs are those that people translated and checked (Tatoeba, ManyThings, TICO-19, NTREX-128). Dirt is of two
kinds: what stands in real data and is told without the filter (a text left as it was, a number that a person read and
found wrong), and faults made here in good pairs by a fixed rule (a tail cut off, a placeholder renamed).
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
from finding import SIDES, Finding, frame, reasons, report, weighed
from real import GOOD, OTHERS, Pair, alpaca

from hala_factory import rows, structure
from hala_factory.filters.glued_words import GluedWords
from hala_factory.filters.length_ratio import LengthRatio
from hala_factory.filters.loops import Loops
from hala_factory.filters.numbers import Numbers
from hala_factory.filters.punctuation import Punctuation
from hala_factory.filters.self_destruction import SelfDestruction
from hala_factory.filters.structure import Structure
from hala_factory.filters.truncated import Truncated
from hala_factory.filters.untranslated import Untranslated
from hala_factory.step import Filter

RATIO, LOOPS, NUMBERS = LengthRatio(**SIDES), Loops(**SIDES), Numbers(**SIDES)
MARKS, TRUNCATED, UNTRANSLATED = Structure(**SIDES), Truncated(**SIDES), Untranslated(**SIDES)
GLUED = GluedWords(on="translation.ar")
STEPS: list[Filter] = [RATIO, LOOPS, NUMBERS, Punctuation(**SIDES), MARKS, TRUNCATED, UNTRANSLATED, GLUED]

# First digits of SHA-1 of English texts whose translation, as a person read, says another number or lacks one.
WRONG_NUMBERS: dict[str, list[str]] = {
    "mt_geneval": [
        "fde989c4",
        "76be2ecc",
        "cbf7a6b9",
        "b71844e8",
        "751ae20e",
        "39ee3a36",
        "3d84315d",
        "c6326557",
        "d051c5bc",
        "d80d6652",
        "0aa223fe",
        "76e5851f",
        "18737d3d",
        "eac4908f",
        "6dbcf6ae",
        "b83a57d6",
        "a8acd451",
        "79b3ad02",
        "37d8bfcd",
        "2a85f5ae",
        "556308c0",
        "46a7c0b3",
        "189bbd11",
        "250b8a83",
    ],
    "ntrex": ["e9e6afa0", "0169e6a0", "0a75f142", "c7698072", "0c73df3e", "96c0ed53", "ac86ff2d"],
    "tico": [],
}


def judged(step: Filter, found: list[Pair]) -> list[str | None]:
    """The reason for which each pair falls."""
    return reasons(step, frame(found)).to_list()


def share(step: Filter, found: list[Pair]) -> float:
    """The share of pairs that fall."""
    return sum(fate is not None for fate in judged(step, found)) / max(len(found), 1)


# Faults

DIGITS = re.compile("[0-9\u0660-\u0669]+")
MARK = re.compile(
    r"\{\{[^{}]*\}\}|[$%]?\{[^{}]*\}|\[[A-Z][A-Z0-9_]*\]|%[1-9](?![0-9A-F])|%(?:\(\w+\))?[sd]\b|</?[A-Za-z][^<>]*>"
)


def cut(pairs: list[Pair], part: float, least: int = 70) -> list[Pair]:
    """Pairs of `least` characters and more with only the first part of the words of their translation."""
    split = [(a, b.split()) for a, b in pairs if len(a) >= least]
    return [(a, " ".join(words[: max(1, min(len(words) - 1, int(part * len(words))))])) for a, words in split]


def digit_changed(pairs: list[Pair]) -> list[Pair]:
    """Pairs with one digit of the translation changed."""
    chance, made = random.Random(1), []
    for english, arabic in pairs:
        if DIGITS.search(english) and (numbers := list(DIGITS.finditer(arabic))):
            number = chance.choice(numbers)
            at = chance.randrange(*number.span())
            other = str((int(arabic[at]) + chance.randrange(1, 10)) % 10)
            made.append((english, arabic[:at] + other + arabic[at + 1 :]))
    return made


def number_dropped(pairs: list[Pair]) -> list[Pair]:
    """Pairs with one number of the translation left out."""
    chance, made = random.Random(1), []
    for english, arabic in pairs:
        if DIGITS.search(english) and (numbers := list(DIGITS.finditer(arabic))):
            number = chance.choice(numbers)
            made.append((english, arabic[: number.start()] + arabic[number.end() :]))
    return made


def looping(pairs: list[Pair], how: str) -> list[Pair]:
    """Pairs whose translation says its last word, its last words, itself or a letter over and over."""
    tails: dict[str, Callable[[str], str]] = {
        "word": lambda text: " ".join([text, *[text.split()[-1]] * 8]),
        "phrase": lambda text: " ".join([text, *text.split()[-4:] * 4]),
        "sentence": lambda text: " ".join([text] * 4),
        "letter": lambda text: text + "ه" * 20,
    }
    return [(english, tails[how](arabic)) for english, arabic in pairs if arabic.strip()]


def glued(pairs: list[Pair], spaces: int) -> list[Pair]:
    """Pairs that lost so many spaces between Arabic words of their translation."""
    chance, made = random.Random(1), []
    for english, arabic in pairs:
        places = [m.start() + 1 for m in re.finditer(r"[\u0620-\u064a] (?=[\u0620-\u064a]{2})", arabic)]
        if len(places) >= spaces:
            lost = set(chance.sample(places, spaces))
            made.append((english, "".join(c for i, c in enumerate(arabic) if i not in lost)))
    return made


def broken_marks(pairs: list[Pair], how: str) -> list[Pair]:
    """Pairs with each placeholder or tag of the translation dropped, doubled, renamed or translated in turn."""
    made = []
    for english, arabic in pairs:
        whole = english != arabic and not structure.difference(english, arabic)
        for mark in MARK.finditer(arabic) if whole else []:
            other = {"dropped": "", "doubled": f"{mark[0]} {mark[0]}", "renamed": renamed(mark[0])}.get(
                how, re.sub("[A-Za-z]+", "اسم", mark[0], count=1)
            )
            if other != mark[0]:
                made.append((english, arabic[: mark.start()] + other + arabic[mark.end() :]))
    return made


def renamed(mark: str) -> str:
    """A placeholder or tag with its last letter or digit changed."""
    places = [i for i, c in enumerate(mark) if c.isalnum()]
    if not places:
        return mark
    at = places[-1]
    other = str(int(mark[at]) % 9 + 1) if mark[at].isdigit() else "q" if mark[at] != "q" else "z"
    return mark[:at] + other + mark[at + 1 :]


def left_in_english(pairs: list[Pair], words: int = 2) -> tuple[list[Pair], list[Pair]]:
    """Pairs whose translation is the source, of so many words or more outside code, and the others."""
    split: tuple[list[Pair], list[Pair]] = ([], [])
    for english, arabic in pairs:
        prose = structure.prose(re.sub(r"\{[^{}]*\}", " ", english))
        prose = re.sub(r"\w+(?:\.\w+)+", " ", prose)  # `Next.js` is a name
        same = english.strip() == arabic.strip() and len(re.findall(r"[A-Za-z][A-Za-z'’]*[A-Za-z]", prose)) >= words
        split[not same].append((english, arabic))
    return split


def digest(english: str) -> str:
    """The first digits of a text's SHA-1."""
    return hashlib.sha1(english.encode()).hexdigest()[:8]


# What is asked


def findings(data: Path) -> Iterator[Finding]:
    """Good pairs that fall at each step, and what each finds of its dirt."""
    known = {name: read(data) for name, read in {**GOOD, **OTHERS}.items()}
    for step in STEPS:
        # What `glued_words` drops of NTREX-128 are glued words: all of 147 were read.
        for name in GOOD:
            most = None if (step.step, name) == ("glued_words", "ntrex") else 0.005
            rows = [
                (pair, False, fate is not None)
                for pair, fate in zip(known[name], judged(step, known[name]), strict=True)
            ]
            yield weighed("good pairs", name, f"`{step.step}`", rows, most=most)
    for kind, name, step, pairs, least in dirt(known):
        rows = [(pair, True, fate is not None) for pair, fate in zip(pairs, judged(step, pairs), strict=True)]
        yield weighed(kind, name, f"`{step.step}`", rows, least=least)
    for name in ("scratch", "react", "mozilla"):
        for words, step in ((2, UNTRANSLATED), (1, Untranslated(**SIDES, min_words=1))):
            for pairs, left in zip(left_in_english(known[name], words), (True, False), strict=True):
                rows = [(pair, left, fate is not None) for pair, fate in zip(pairs, judged(step, pairs), strict=True)]
                kind = f"left in English, {'two words' if words == 2 else 'a word'} or more"
                yield weighed(kind, name, f"`untranslated`, min_words {words}", rows, least=1, most=0.01)
    for name, wrong in WRONG_NUMBERS.items():
        fates = judged(NUMBERS, known[name])
        rows = [
            (pair, digest(pair[0]) in wrong, fate is not None) for pair, fate in zip(known[name], fates, strict=True)
        ]
        yield weighed(
            "another number",
            name,
            "`numbers`",
            rows,
            least=1,
            most=0.002,
            label="wrong as a person read them",
        )
    asked = alpaca(data)
    fates = reasons(SelfDestruction(), conversations(asked)).to_list()
    rows = [
        ((question, answer), True, fate is not None)
        for (question, given, answer), fate in zip(asked, fates, strict=True)
        if given.strip() and given.strip() == answer.strip()
    ]
    yield weighed("answers that are their input", "alpaca", "`self_destruction`", rows, least=1)


Dirt = tuple[str, str, Filter, list[Pair], float | None]
"""Kind, data set, step, pairs that hold it, and the share of them that should fall."""


def dirt(known: dict[str, list[Pair]]) -> Iterator[Dirt]:
    """Every kind of dirt, of which all should be found but for what a filter by its nature cannot see."""
    news = [*known["tico"], *known["ntrex"]]
    every = [*news, *known["mt_geneval"]]
    yield "one digit changed", "news", NUMBERS, digit_changed(every), 0.99
    yield "one number left out", "news", NUMBERS, number_dropped(every), 0.98
    for part in (1 / 3, 0.5):
        yield f"cut to {part:.0%} of its words", "news", RATIO, cut(news, part), 0.99 if part < 0.5 else None
    for part in (0.3, 0.5, 0.7, 0.85, 0.95):
        yield f"cut to {part:.0%} of its words", "news", TRUNCATED, cut(news, part), 0.95 if part <= 0.5 else None
    for how in ("word", "phrase", "sentence", "letter"):
        yield f"a {how} over and over", "news", LOOPS, looping(news, how), 0.99
    for spaces in (1, 2, 5):
        yield f"{spaces} spaces lost", "news", GLUED, glued(news, spaces), None
    for name in ("mozilla", "scratch", "blockly"):
        for how in ("dropped", "doubled", "renamed", "translated"):
            if pairs := broken_marks(known[name], how):
                yield f"a placeholder {how}", name, MARKS, pairs, 1


def conversations(records: list[tuple[str, str, str]]) -> pl.DataFrame:
    """English instructions as rows that were not translated yet: both columns hold the same."""
    spelt = [
        [{"role": "user", "content": f"{asked}\n\n{given}".strip()}, {"role": "assistant", "content": answer}]
        for asked, given, answer in records
    ]
    columns = {"messages_en": spelt, "messages": spelt}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, rows.MESSAGES))


if __name__ == "__main__":
    sys.exit(report({"pairs": findings}, __doc__ or ""))
