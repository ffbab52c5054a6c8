"""Marks that stand for spans while a text is translated, and how what came of them is put right.

The model: a mark that came back damaged is repaired where only one thing can be meant; every repair is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from string import ascii_lowercase

from hala_factory.structure.contract import spans

_DIGIT = "[0-9٠-٩۰-۹]{1,9}"
_OPEN, _CLOSE = r"(?:<|&lt;|＜|‹|〈)", r"(?:>|&gt;|＞|›|〉)"
_INVISIBLE = "[\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
_TICKED = re.compile(r"(`+)[ \t]*(\x00[0-9]+\x00)[ \t]*\1")
_DOUBLED = re.compile(r"(\x00[0-9]+\x00)(?:[ \t]*\1)+")
_PUT = re.compile(r"\x00([0-9]+)\x00")


def mask(text: str) -> tuple[str, dict[str, str]]:
    """`text` with every span replaced by a mark, and what each mark stands for.

    A mark is an empty XML element, `<x1/>`, `<x2/>`, … in order: translators, large and small, have seen
    such elements and copy them. The letter is the first one that stands nowhere in the text behind a `<` or before
    a digit, so a mark, or what is left of one, cannot stand in the text already. Spans that touch share a mark.
    """
    lower = text.lower()
    name = next(n for n in _names() if f"<{n}" not in lower and not re.search(n + "[0-9٠-٩۰-۹]", lower))
    held: dict[str, str] = {}
    parts: list[str] = []
    at = 0
    open_from = -1
    found = spans(text)
    for i, span in enumerate(found):
        open_from = span.start if open_from < 0 else open_from
        if i + 1 < len(found) and found[i + 1].start == span.end:
            continue
        mark = f"<{name}{len(held) + 1}/>"
        held[mark] = text[open_from : span.end]
        parts += [text[at:open_from], mark]
        at, open_from = span.end, -1
    return "".join(parts) + text[at:], held


def unmask(answer: str, held: dict[str, str]) -> tuple[str, int] | None:
    """`answer` with every mark replaced by what it stands for, and how many repairs that took.

    None where a mark is missing, stands in two places, or is new. Repaired are: spaces, capitals and marks of
    direction in a mark, a slash too few or elsewhere, Arabic-Indic digits, `<x1></x1>`, escaped and typographic
    brackets; brackets that are lost, and letters of another script, of a mark that is missing otherwise; a mark
    that is said twice in a row; backticks that were put round a mark.
    """
    if not held:
        return answer, 0
    name = re.sub(r"\d+/>$", "", next(iter(held)))[1:]
    text = answer.replace("\x00", "")
    exact = sum(text.count(mark) for mark in held)
    gap = rf"(?:\s|{_INVISIBLE})*"
    number = rf"{gap}{name}{gap}({_DIGIT}){gap}"
    text = re.sub(rf"{_OPEN}{number}{_CLOSE}{gap}{_OPEN}{gap}/{gap}{name}{gap}\1{gap}{_CLOSE}", _put, text, flags=re.I)
    text = re.sub(rf"{_OPEN}{gap}/?{number}/?{gap}{_CLOSE}", _put, text, flags=re.I)
    for pattern in (  # only for what is missing: these may stand in a sentence for another reason
        rf"{_OPEN}{gap}/?{gap}[^\W\d_]{{1,5}}{gap}({_DIGIT}){gap}/{gap}{_CLOSE}",
        rf"{_OPEN}?(?<![A-Za-z_]){name}({_DIGIT})[ ]?/{_CLOSE}?",
        rf"(?<![A-Za-z_<]){name}({_DIGIT})(?![A-Za-z_/>0-9٠-٩۰-۹])",
    ):
        missing = {m for m in range(1, len(held) + 1) if f"\0{m}\0" not in text}
        if missing:
            text = re.sub(pattern, lambda m, lacks=missing: _put(m) if int(m[1]) in lacks else m[0], text, flags=re.I)  # type: ignore[misc]
    text, ticked = _TICKED.subn(r"\2", text)
    text, doubled = _DOUBLED.subn(r"\1", text)
    marks = [int(n) for n in _PUT.findall(text)]
    if Counter(marks) != Counter(range(1, len(held) + 1)):
        return None
    repairs = max(0, len(held) - exact) + ticked + doubled
    return _PUT.sub(lambda m: held[f"<{name}{m[1]}/>"], text), repairs


def _put(m: re.Match[str]) -> str:
    """The n-th mark, in a spelling that no answer has."""
    return f"\0{int(m[1])}\0"


def _names() -> Iterator[str]:
    letters = "xyzqvwk" + "".join(c for c in ascii_lowercase if c not in "xyzqvwk")
    length = 1
    while True:
        yield from (c * length for c in letters)
        length += 1
