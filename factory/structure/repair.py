"""Repair: spans that came back in another spelling are put as they were, where only one thing can be meant."""

from __future__ import annotations

import re

from hala_factory.structure.contract import compared, difference, spans

_MOST = 20
"""Spans that are looked for; a translation that lost more is asked for again."""
_LONGEST = 300  # characters of a span
_ALIKE = {
    **{str(n): f"[{n}{chr(0x660 + n)}{chr(0x6F0 + n)}]" for n in range(10)},
    "'": "['‘’‚‛′]",
    '"': '["“”„«»″]',
    "%": "[%٪﹪]",
    ",": "[,،]",
    ";": "[;؛]",
    "?": "[?؟]",
    "-": "[-‐‑‒–—−]",
    "*": "[*٭∗]",
    "<": "(?:<|&lt;|‹)",
    ">": "(?:>|&gt;|›)",
    ".": "[.٫]",
}
"""What translators make of signs: digits and punctuation of Arabic, typographic quotes, escapes."""
_GAP = "[ \t\u00a0\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]*"


def repair(source: str, target: str) -> tuple[str, int]:
    """`target` with misspelt spans of `source` spelt as there, and how many were.

    Misspelt is a span with digits or punctuation of Arabic, typographic quotes, spaces or marks of direction inside,
    or other backticks round it. It is put right where as many such spellings stand in `target` as are lacking, and
    only if nothing else changes by it.
    """
    wrong = difference(source, target)
    done = 0
    lacking = [s for kind, (lacks, _) in wrong.items() if kind != "skeleton" for s in lacks]
    if len(lacking) > _MOST:
        return target, 0
    written = {compared(span): span.text for span in spans(source) if not span.block and len(span.text) <= _LONGEST}
    for spelt in dict.fromkeys(lacking):
        if spelt not in written:
            continue
        pattern, right = _tolerant(written[spelt]), written[spelt]
        added = {spelling for _, adds in wrong.values() for spelling in adds}
        kept = [(s.start, s.end) for s in spans(target) if s.text[0] != "&" and compared(s) not in added]
        places = [m for m in pattern.finditer(target) if not any(a < m.end() and m.start() < b for a, b in kept)]
        if len(places) != lacking.count(spelt):
            continue
        parts, at = [], 0
        for m in places:
            parts += [target[at : m.start()], right]
            at = m.end()
        tried = "".join(parts) + target[at:]
        now = difference(source, tried)
        if _size(now) < _size(wrong):
            target, wrong, done = tried, now, done + len(places)
    return target, done


def _size(differing: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> int:
    return sum(len(lacks) + len(adds) for lacks, adds in differing.values())


def _tolerant(spelt: str) -> re.Pattern[str]:
    """A pattern for the spellings of a span; letters are never another one."""
    ticks = len(spelt) - len(spelt.lstrip("`"))
    inner = spelt[ticks : len(spelt) - ticks] if ticks else spelt
    signs = _GAP.join(_ALIKE.get(c, re.escape(c)) for c in inner if not c.isspace())
    edge = rf"`{{1,4}}{_GAP}" if ticks else ""
    opening = edge or (r"(?<![^\W_])" if inner[:1].isalnum() else "")
    closing = f"{_GAP}`{{1,4}}" if ticks else (r"(?![^\W_])" if inner[-1:].isalnum() else "")
    return re.compile(opening + signs + closing)
