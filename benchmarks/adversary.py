"""An adversary that breaks the structure of translations: what models do to code, marks, lists and tables.

It works by patterns of its own and knows nothing of how the factory finds what must survive. Its patterns are simple
on purpose, and see less than there is rather than more.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

Way = Callable[[str, random.Random], str | None]
"""Takes an unbroken translation and chance; answers a broken one, or None where the text has nothing to break."""
WORDS = [
    "كتاب",
    "بيت",
    "شجرة",
    "نهر",
    "مدينة",
    "طريق",
    "باب",
    "نافذة",
    "حديقة",
    "جبل",
    "بحر",
    "سماء",
    "أرض",
    "شمس",
    "قمر",
    "نجم",
    "طائر",
    "سمك",
    "خبز",
    "ماء",
    "قلم",
    "ورق",
    "لون",
    "صوت",
    "ضوء",
    "ظل",
    "حلم",
    "فكرة",
    "قصة",
    "رسالة",
    "صديق",
    "معلم",
    "طالب",
    "مدرسة",
    "سوق",
    "جسر",
    "قطار",
    "سفينة",
    "مطر",
    "ريح",
    "ثلج",
    "نار",
    "حجر",
    "رمل",
    "زهرة",
    "عشب",
    "حقل",
    "غابة",
]
"""What the model of words knows: none is a number, a dual or a question."""
MARK = re.compile(r"<([a-z]+)([0-9]+)/>")
WORD = re.compile(r"(<[a-z]+[0-9]+/>)|(?<![A-Za-z0-9])[A-Za-z]+(?:['’][A-Za-z]+)*(?![A-Za-z0-9])")


def arabic(text: str) -> str:
    """Every word outside marks becomes an Arabic one, always the same; names with digits (`IPv4`) stay."""

    def word(m: re.Match[str]) -> str:
        return m[1] or WORDS[int(hashlib.sha1(m[0].lower().encode()).hexdigest(), 16) % len(WORDS)]

    return WORD.sub(word, text).replace("?", "؟")


# What is broken in a translation

TICKED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ADDRESS = re.compile(r"https?://[\w./#?=&%~-]*[\w/]")
PLACEHOLDER = re.compile(r"\{ ?[-$]?[A-Za-z][\w-]* ?\}|\{\{\w+\}\}|%\d\b|%[sd]\b|\[[A-Z]+(?:_[A-Z0-9]+)+\]")
TAG = re.compile(r"</?[a-z][a-z0-9-]*>")
ITEM = re.compile(r"^( *)([-*]|\d+\.) +(?=\S)(.*)$")
IDENTIFIER = re.compile(r"[A-Za-z]{3,}")
COMMENTED = re.compile(r"//|#|/\*|\*/|<!--|--|^\s*\*")


def code_lines(lines: Sequence[str]) -> set[int]:
    """The numbers of the lines inside fences."""
    inside, fence, found = False, "", set()
    for n, line in enumerate(lines):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and (not inside or line.strip() == fence):
            inside, fence = not inside, mark[1]
        elif inside:
            found.add(n)
    return found


def loose(text: str) -> list[tuple[int, int]]:
    """Where a pattern can tell that spans stand: code in backticks, addresses, placeholders, tags.

    Fences and indented comments are left out.
    """
    found, at = [], 0
    lines = text.split("\n")
    code = code_lines(lines)
    for n, line in enumerate(lines):
        taken: list[tuple[int, int]] = []
        for pattern in (
            (TICKED, ADDRESS, PLACEHOLDER, TAG)
            if n not in code and "```" not in line and not re.match(r"\s+(?:#|//)", line)
            else ()
        ):
            for m in pattern.finditer(line):
                if not any(a < m.end() and m.start() < b for a, b in taken):
                    taken.append(m.span())
        found += [(at + a, at + b) for a, b in taken]
        at += len(line) + 1
    return found


def replaced(text: str, span: tuple[int, int], other: str) -> str | None:
    """The text with a stretch replaced; None where that changes nothing."""
    return text[: span[0]] + other + text[span[1] :] if other != text[span[0] : span[1]] else None


def one_span(change: Callable[[str], str]) -> Way:
    """A way that does something to one span."""

    def way(text: str, chance: random.Random) -> str | None:
        found = loose(text)
        span = chance.choice(found) if found else (0, 0)
        return replaced(text, span, change(text[slice(*span)])) if found else None

    return way


def one_of(pattern: re.Pattern[str], change: Callable[[str], str]) -> Way:
    """A way that does something to one span of a kind."""

    def way(text: str, chance: random.Random) -> str | None:
        found = [s for s in loose(text) if pattern.fullmatch(text, *s)]
        span = chance.choice(found) if found else (0, 0)
        return replaced(text, span, change(text[slice(*span)])) if found else None

    return way


def in_code(pattern: re.Pattern[str], other: Callable[[re.Match[str]], str]) -> Way:
    """A way that changes one thing on a line inside fences; comments are left alone, they may be translated."""

    def way(text: str, chance: random.Random) -> str | None:
        lines = text.split("\n")
        places = [n for n in sorted(code_lines(lines)) if pattern.search(lines[n]) and not COMMENTED.search(lines[n])]
        if not places:
            return None
        n = chance.choice(places)
        lines[n] = pattern.sub(other, lines[n], count=1)
        return "\n".join(lines)

    return way


def digit(text: str, chance: random.Random) -> str | None:
    """A digit becomes another one."""
    found = [m.start() for m in re.finditer(r"\d", text)]
    at = chance.choice(found) if found else 0
    return text[:at] + str((int(text[at]) + 1 + chance.randrange(8)) % 10) + text[at + 1 :] if found else None


def told(line: str) -> Counter[str]:
    """What can be told of a line whatever its language: its code, addresses, placeholders and numbers."""
    return Counter(m[0] for p in (TICKED, ADDRESS, PLACEHOLDER, TAG) for m in p.finditer(line)) or Counter(
        re.findall(r"\b\d+\b", line)
    )


def lines_swapped(wanted: Callable[[str], re.Match[str] | None]) -> Way:
    """A way that exchanges what two neighbouring lines of a kind say, where that can be told."""

    def way(text: str, chance: random.Random) -> str | None:
        lines = text.split("\n")
        code = code_lines(lines)
        found = {n: m for n, line in enumerate(lines) if n not in code and (m := wanted(line))}
        pairs = [
            n
            for n in found
            if n + 1 in found and found[n][1] == found[n + 1][1] and told(found[n][3]) != told(found[n + 1][3])
        ]
        if not pairs:
            return None
        n = chance.choice(pairs)
        one, other = found[n], found[n + 1]
        for k, here, there in ((n, one, other), (n + 1, other, one)):
            lines[k] = lines[k][: here.start(3)] + there[3] + lines[k][here.end(3) :]
        return "\n".join(lines)

    return way


ROW = re.compile(r"^()(\|)(.*\|.*)\|\s*$")


def cells_swapped(text: str, chance: random.Random) -> str | None:
    """Two cells of a row change places."""
    lines = text.split("\n")
    rows = [
        n
        for n, line in enumerate(lines)
        if (m := ROW.match(line))
        and n not in code_lines(lines)
        and told(m[3].split("|")[0]) != told(m[3].split("|")[1])
    ]
    if not rows:
        return None
    n = chance.choice(rows)
    cells = lines[n].split("|")
    cells[1], cells[2] = cells[2], cells[1]
    return replaced(text, (0, len(text)), "\n".join([*lines[:n], "|".join(cells), *lines[n + 1 :]]))


def pipe_lost(text: str, chance: random.Random) -> str | None:
    """A pipe inside a row of a table becomes a space."""
    lines = text.split("\n")
    rows = [n for n, line in enumerate(lines) if ROW.match(line) and n not in code_lines(lines)]
    tables = [n for n in rows if any(re.fullmatch(r"[|: -]*-[|: -]*", line) for line in lines[max(0, n - 1) : n + 2])]
    if not tables:
        return None
    n = chance.choice(tables)
    inner = chance.choice([m.start() for m in re.finditer(r"\|", lines[n].rstrip())][1:-1])
    lines[n] = lines[n][:inner] + " " + lines[n][inner + 1 :]
    return "\n".join(lines)


def marker_lost(pattern: str) -> Way:
    """A way that takes the marker from one line."""

    def way(text: str, chance: random.Random) -> str | None:
        lines = text.split("\n")
        code = code_lines(lines)
        found = [n for n, line in enumerate(lines) if n not in code and re.match(pattern, line)]
        if not found:
            return None
        n = chance.choice(found)
        lines[n] = re.sub(pattern, "", lines[n], count=1)
        return "\n".join(lines)

    return way


def addresses_swapped(text: str, chance: random.Random) -> str | None:
    """Two addresses of different paragraphs change places."""
    found = [s for s in loose(text) if ADDRESS.fullmatch(text, *s)]
    pairs = [(a, b) for a, b in pairwise(found) if text[slice(*a)] != text[slice(*b)] and "\n\n" in text[a[1] : b[0]]]
    if not pairs:
        return None
    (a, b), (c, d) = chance.choice(pairs)
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def blocks_swapped(text: str, chance: random.Random) -> str | None:
    """Two blocks of code change places."""
    found = [m.span() for m in re.finditer(r"(?m)^```.*\n(?:(?!```).*\n)*?```$", text)]
    pairs = [(a, b) for a, b in pairwise(found) if text[slice(*a)] != text[slice(*b)]]
    if not pairs:
        return None
    (a, b), (c, d) = chance.choice(pairs)
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def turned(m: re.Match[str]) -> str:
    return {"'": "‘", '"': "“"}[m[1]] + m[2] + {"'": "’", '"': "”"}[m[1]]


def embraced(spelt: str) -> str:
    return "{" + spelt + "}"


def renamed(spelt: str) -> str:
    return re.sub(r"[A-Za-z]+|\d+", "اسم", spelt, count=1)


WAYS: dict[str, Way] = {
    "drops a span": one_span(lambda _: ""),
    "doubles a span": one_span(lambda spelt: f"{spelt} {spelt}"),
    "translates an identifier in backticks": one_of(TICKED, lambda spelt: IDENTIFIER.sub("دالة", spelt, count=1)),
    "translates an identifier in a block": in_code(IDENTIFIER, lambda _: "دالة"),
    "translates a placeholder's name": one_of(PLACEHOLDER, renamed),
    "translates a tag": one_of(TAG, renamed),
    "adds brackets to code": one_of(TICKED, lambda spelt: spelt[:-1] + "()`"),
    "adds brackets to a placeholder": one_of(PLACEHOLDER, embraced),
    "changes a digit": digit,
    "turns the quotes of a block": in_code(re.compile(r"(['\"])([^'\"]+)\1"), turned),
    "turns the quotes in backticks": one_of(TICKED, lambda spelt: re.sub(r"(['\"])([^'\"]+)\1", turned, spelt)),
    "reorders list items": lines_swapped(ITEM.match),
    "reorders table rows": lines_swapped(ROW.match),
    "reorders table cells": cells_swapped,
    "reorders blocks of code": blocks_swapped,
    "swaps two addresses": addresses_swapped,
    "breaks a table's pipe": pipe_lost,
    "loses a list marker": marker_lost(r" {0,3}(?:[-*]|\d+\.) +(?=\S)"),
    "loses a heading's marker": marker_lost(r"#{1,6} +(?=\S)"),
    "translates a fence's language": lambda text, chance: re.sub(r"(?m)^(```)[a-z]+$", r"\1جافا", text, count=1),
}  # fmt: skip
"""What the adversary does, once per text."""


# What a model does to marks and lines while the ladder is at work: a misbehaviour takes an honest answer


def every(other: Callable[[re.Match[str]], str]) -> Way:
    """Does something to all marks."""
    return lambda text, chance: MARK.sub(other, text)


def one_mark(change: Callable[[str], str]) -> Way:
    """Does something to one mark."""

    def way(text: str, chance: random.Random) -> str | None:
        found = [m.span() for m in MARK.finditer(text)]
        span = chance.choice(found) if found else (0, 0)
        return replaced(text, span, change(text[slice(*span)])) if found else None

    return way


def marks_swapped(text: str, chance: random.Random) -> str | None:
    """Two marks change places."""
    found = [m.span() for m in MARK.finditer(text)]
    if len(found) < 2:
        return None
    (a, b), (c, d) = sorted(chance.sample(found, 2))
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
MISBEHAVIOURS: dict[str, Way] = {
    "none": lambda text, chance: None,
    "marks in Arabic digits": every(lambda m: m[0].translate(ARABIC_DIGITS)),
    "spaces inside marks": every(lambda m: f"< {m[1]} {m[2]} / >"),
    "marks without brackets": every(lambda m: m[1] + m[2]),
    "escaped marks": every(lambda m: f"&lt;{m[1]}{m[2]}/&gt;"),
    "backticks round marks": every(lambda m: f"`{m[0]}`"),
    "drops a mark": one_mark(lambda _: ""),
    "doubles a mark": one_mark(lambda mark: f"{mark} أو {mark}"),
    "swaps two marks": marks_swapped,
    "another number in a mark": one_mark(lambda mark: mark[:-2] + "7/>"),
    "reverses the lines": lambda text, chance: "\n".join(reversed(text.split("\n"))),
    "loses the markers of lines": lambda text, chance: re.sub(r"(?m)^\s*(?:[-*#]+|\d+\.) ", "", text),
    "loses pipes": lambda text, chance: text.replace("|", " "),
    "joins all lines": lambda text, chance: " ".join(text.split()),
    "drops every span": lambda text, chance: re.sub(
        rf"{MARK.pattern}|{TICKED.pattern}|{PLACEHOLDER.pattern}", "", text
    ),
    "changes a digit": digit,
}
"""What a model does, in some or all of its answers."""
