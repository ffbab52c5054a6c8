"""The pair filters on real translations: what they find of known dirt, and what they drop of good pairs.

    python benchmarks/truth_pairs.py [--data DIR]

Good pairs are those that people translated and checked (Tatoeba, ManyThings, TICO-19, NTREX-128). Dirt is of two
kinds: what stands in real data and is told without the filter (a text left as it was, a number that a person read and
found wrong), and faults made here in good pairs by a fixed rule (a tail cut off, a placeholder renamed).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl

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

Pair = tuple[str, str]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def text(path: Path) -> str:
    """A file's text, unpacked."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def lines(path: Path) -> list[str]:
    """A file's lines, cut at line feeds only."""
    return text(path).replace("\r\n", "\n").rstrip("\n").split("\n")


def tatoeba(data: Path) -> list[Pair]:
    """Sentences of Tatoeba, as OPUS-MT tests with them."""
    stem = data / "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
    return list(zip(lines(stem.with_suffix(".eng")), lines(stem.with_suffix(".ara")), strict=True))


def manythings(data: Path) -> list[Pair]:
    """Sentences of Tatoeba, as ManyThings selects them."""
    cut = (line.split("\t") for line in lines(data / "manythings-ara/files/seq2seqBasic/ara.txt.gz"))
    return [(cells[0], cells[1]) for cells in cut]


def tico(data: Path) -> list[Pair]:
    """Texts about COVID-19, translated by professionals."""
    with zipfile.ZipFile(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith(".tmx") and not n.startswith("__"))
        tree = ElementTree.fromstring(archive.read(name))
    segments = ([segment.text or "" for segment in unit.iter("seg")] for unit in tree.iter("tu"))
    return [(found[0], found[1]) for found in segments if len(found) == 2]


def ntrex(data: Path) -> list[Pair]:
    """News, translated by professionals."""
    folder = data / "ntrex128/files/NTREX-128"
    sides = [lines(folder / name) for name in ("newstest2019-ref.eng-US.txt.gz", "newstest2019-ref.arb.txt")]
    return list(zip(*sides, strict=True))


def mt_geneval(data: Path) -> list[Pair]:
    """Sentences of Wikipedia, translated by professionals; about one in twenty has another number."""
    sides = [
        [line for path in sorted(data.glob(f"mt-geneval/files/data/sentences/*/*.{code}")) for line in lines(path)]
        for code in ("en", "ar")
    ]
    return list(zip(*sides, strict=True))


def winomt(data: Path) -> list[Pair]:
    """Sentences about two people, translated by two machines."""
    found = [
        line.split(" ||| ") for path in sorted(data.glob("winomt-mt/files/*/*/en-ar.txt")) for line in lines(path)
    ]
    return [(sides[0], sides[1]) for sides in found if len(sides) == 2]


def strings(folder: Path, english: str, arabic: str) -> list[Pair]:
    """The strings of JSON files, matched by their keys."""
    found = []
    for path in sorted(folder.rglob(english)):
        sides = [json.loads(text(p)) for p in (path, path.with_name(arabic)) if p.exists()]
        if len(sides) == 2:
            shared = [key for key in sides[0] if key in sides[1]]
            found += [tuple(side[key] for side in sides) for key in shared]
    return [(a, b) for a, b in found if isinstance(a, str) and isinstance(b, str)]


def scratch(data: Path) -> list[Pair]:
    """Strings of Scratch; half of them were never translated."""
    return strings(data / "l10n-scratch/files", "en.json", "ar.json")


def blockly(data: Path) -> list[Pair]:
    """Strings of Blockly."""
    return strings(data / "l10n-blockly/files/msg/json", "en.json", "ar.json")


_MESSAGE = re.compile(r"^([a-zA-Z][\w-]*|-[\w-]+) *=[ \t]*(.*(?:\n(?: +[^\s.\[*}].*| *(?=\n +[^\s.\[*}])))*)", re.M)


def mozilla(data: Path) -> list[Pair]:
    """Messages of Mozilla's web sites, matched by file and key; those with variants are left out."""
    folder = data / "l10n-mozilla-www/files"
    found = []
    for path in sorted((folder / "en").rglob("*.ftl")):
        other = folder / "ar" / path.relative_to(folder / "en")
        if not other.exists():
            continue
        sides = [
            {m[1]: re.sub(r"\s*\n\s*", "\n", m[2]).strip() for m in _MESSAGE.finditer(text(p))} for p in (path, other)
        ]
        found += [(value, sides[1][key]) for key, value in sides[0].items() if sides[1].get(key) and value]
    return [(a, b) for a, b in found if "->" not in a + b]


def react(data: Path) -> list[Pair]:
    """Blocks of React's pages, of pages that have as many in both languages; many were never translated."""
    found: list[Pair] = []
    for path in sorted((data / "react-docs-en/files").rglob("*.md")):
        other = data / "react-docs/files" / path.relative_to(data / "react-docs-en/files")
        if other.exists():
            sides = [list(blocks(text(p))) for p in (path, other)]
            if len(sides[0]) == len(sides[1]):
                found += zip(*sides, strict=True)
    return found


def blocks(page: str) -> Iterator[str]:
    """The blocks of a Markdown page: what blank lines separate, fenced code being one."""
    held: list[str] = []
    fenced = False
    for line in page.split("\n"):
        fenced ^= line.lstrip(" >").startswith("```")
        if line.strip() or fenced:
            held.append(line)
        elif held:
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)


def alpaca(data: Path) -> list[tuple[str, str, str]]:
    """Instruction, input and output of English instructions."""
    records = json.loads(text(data / "alpaca-random9k/files/data/random/random_9k.json.gz"))
    return [(r["instruction"], r["input"], r["output"]) for r in records]


GOOD: dict[str, Callable[[Path], list[Pair]]] = {
    "tatoeba": tatoeba,
    "manythings": manythings,
    "tico": tico,
    "ntrex": ntrex,
}
"""Translated by people and checked, if not by word: 147 rows of NTREX-128 have glued words."""
OTHERS: dict[str, Callable[[Path], list[Pair]]] = {
    "mt_geneval": mt_geneval,
    "winomt": winomt,
    "mozilla": mozilla,
    "scratch": scratch,
    "blockly": blockly,
    "react": react,
}

SIDES: dict[str, Any] = {"source": "translation.en", "target": "translation.ar"}
STEPS: list[Filter] = [
    LengthRatio(**SIDES),
    Loops(**SIDES),
    Numbers(**SIDES),
    Punctuation(**SIDES),
    Structure(**SIDES),
    Truncated(**SIDES),
    Untranslated(**SIDES),
    GluedWords(on="translation.ar"),
]

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
    spelt = [{"en": english, "ar": arabic} for english, arabic in found]
    frame = pl.DataFrame({"translation": spelt}, schema={"translation": rows.translation_type(["en", "ar"])})
    return fates(step, frame)


def fates(step: Filter, frame: pl.DataFrame) -> list[str | None]:
    """The reason for which each row falls."""
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
    fate = pl.coalesce([*asked, pl.lit(None, pl.String)])
    return step.measure(frame).select(fate.alias("reason"))["reason"].to_list()


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
        same = english.strip() == arabic.strip() and len(re.findall(r"[A-Za-z][A-Za-z'’]*[A-Za-z]", prose)) >= words
        split[not same].append((english, arabic))
    return split


def digest(english: str) -> str:
    """The first digits of a text's SHA-1."""
    return hashlib.sha1(english.encode()).hexdigest()[:8]


# What is asked


def false_drops(data: Path) -> dict[str, dict[str, float]]:
    """The share of good pairs that each step drops, by step and data set."""
    good = {name: read(data) for name, read in GOOD.items()}
    return {step.step: {name: share(step, pairs) for name, pairs in good.items()} for step in STEPS}


def found(data: Path) -> dict[str, tuple[int, float]]:
    """How many rows of each kind of dirt there are, and the share that is found."""
    kept = {name: read(data) for name, read in {**GOOD, **OTHERS}.items()}
    news = [*kept["tico"], *kept["ntrex"]]
    ratio, loops, numbers, _, marks, truncated, untranslated, gluing = STEPS
    dirt: dict[str, tuple[Filter, list[Pair]]] = {
        "numbers: one digit changed": (numbers, digit_changed([*news, *kept["mt_geneval"]])),
        "numbers: one number left out": (numbers, number_dropped([*news, *kept["mt_geneval"]])),
        "length_ratio: first third": (ratio, cut(news, 1 / 3)),
        "length_ratio: first half": (ratio, cut(news, 0.5)),
        **{f"truncated: first {part:.0%}": (truncated, cut(news, part)) for part in (0.3, 0.5, 0.7, 0.85, 0.95)},
        **{f"loops: {how}": (loops, looping(news, how)) for how in ("word", "phrase", "sentence", "letter")},
        **{f"glued_words: {n} spaces lost": (gluing, glued(news, n)) for n in (1, 2, 5)},
        **{
            f"structure: {name}, {how}": (marks, broken_marks(kept[name], how))
            for name in ("mozilla", "scratch", "blockly")
            for how in ("dropped", "doubled", "renamed", "translated")
        },
    }
    for name in ("scratch", "react", "mozilla"):
        dirt[f"untranslated: {name}"] = (untranslated, left_in_english(kept[name])[0])
        every = Untranslated(**SIDES, min_words=1)
        dirt[f"untranslated: {name}, min_words 1"] = (every, left_in_english(kept[name], 1)[0])
    for name, wrong in WRONG_NUMBERS.items():
        dirt[f"numbers: {name}, as read"] = (numbers, [pair for pair in kept[name] if digest(pair[0]) in wrong])
    return {kind: (len(pairs), share(step, pairs)) for kind, (step, pairs) in dirt.items() if pairs}


def precision(data: Path) -> dict[str, tuple[int, int]]:
    """Of the pairs whose numbers differ in digits: how many fall, and how many of those a person found wrong."""
    told = {}
    for name, wrong in WRONG_NUMBERS.items():
        pairs = {**GOOD, **OTHERS}[name](data)
        fallen = [pair for pair, fate in zip(pairs, judged(STEPS[2], pairs), strict=True) if fate]
        told[name] = (len(fallen), sum(digest(english) in wrong for english, _ in fallen))
    return told


def conversations(records: list[tuple[str, str, str]]) -> pl.DataFrame:
    """English instructions as rows that were not translated yet: both columns hold the same."""
    spelt = [
        [{"role": "user", "content": f"{asked}\n\n{given}".strip()}, {"role": "assistant", "content": answer}]
        for asked, given, answer in records
    ]
    columns = {"messages_en": spelt, "messages": spelt}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, rows.MESSAGES))


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    data = parser.parse_args().data
    if not data.is_dir():
        sys.exit(f"{data} does not exist; say where the real data are: --data DIR")
    print(f"| good pairs that fall, % | {' | '.join(GOOD)} |\n|---|{'---|' * len(GOOD)}")
    for step, shares in false_drops(data).items():
        print(f"| `{step}` | {' | '.join(f'{100 * s:.2f}' for s in shares.values())} |")
    print("\n| dirt | rows | found, % |\n|---|---|---|")
    for kind, (count, part) in found(data).items():
        print(f"| {kind} | {count:,} | {100 * part:.1f} |")
    for name, (fallen, wrong) in precision(data).items():
        print(f"\n`numbers` on {name}: {fallen} fall, {wrong} of them wrong as a person read them")
    asked = alpaca(data)
    reasons = fates(SelfDestruction(), conversations(asked))
    same = [i for i, (_, given, answer) in enumerate(asked) if given.strip() and given.strip() == answer.strip()]
    print(
        f"\n`self_destruction` on Alpaca: {sum(reasons[i] is not None for i in same)} of {len(same)} answers that are"
    )
    print(
        f"their input, {reasons.count('task_breaks') / len(asked):.1%} of {len(asked):,} are tasks that do not survive"
    )
    pairs = [pair for read in GOOD.values() for pair in read(data)]
    print("\n| step | rows/s |\n|---|---|")
    for step in STEPS:
        began = time.perf_counter()
        judged(step, pairs)
        print(f"| `{step.step}` | {len(pairs) / (time.perf_counter() - began):,.0f} |")


if __name__ == "__main__":
    main()
