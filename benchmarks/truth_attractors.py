"""Attractors, copied targets and shifted stretches in real pairs: what is found of them, and what falls beside them.

    python benchmarks/truth_attractors.py [--data DIR] [--read N] [--json]

Attractors: the targets that a published translation of MMLU fell back on (hundreds of wordings of one question about
IP spoofing) are put beside a tenth of good pairs. Copied targets: the entries of iso-codes that are flagged fuzzy
and share their target with another entry. Shifted stretches: good pairs in the order of their document, of which
stretches are rotated by one or two lines. What falls of good pairs as they are is told first.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finding import SIDES, Finding, barred, frame, report, weighed
from real import GOOD, OTHERS, Pair, cells

from hala_factory.filters.attractor import Attractor
from hala_factory.filters.misaligned import Misaligned
from hala_factory.step import Barrier

SPOOFED = re.compile(r"\bIP\b|بروتوكول ال[إا]نترنت|ال[آأا]ي ?بي")
AKIN = {
    *("Han (Traditional variant)", "Mandaic, Mandaean", "Meroitic Hieroglyphs", "Syriac (Estrangelo variant)"),
    *("Tai Viet", "US Dollar (Next day)", "WIR Euro"),
}
"""Fuzzy entries of iso-codes that share their translation with the same thing, or with its next of kin."""
FORGED = re.compile("تزو|تزي|انتحال|مزور|مزيف|خداع|تلاعب|تقليد|تلفيق|تدليس|تحايل|تستر|تضليل|تحريف|استنساخ")


def findings(data: Path) -> Iterator[Finding]:
    """Good pairs, attracted and copied targets, shifted stretches."""
    good = {
        name: {**GOOD, **OTHERS}[name](data)
        for name in ("ntrex", "tico", "tatoeba", "manythings", "winomt", "scratch")
    }
    for step in (Attractor(**SIDES), Misaligned(**SIDES)):
        for name, pairs in good.items():
            yield judged("good pairs", name, f"`{step.step}`", step, pairs, set(), most=0.001)
    yield attracted(data, [pair for name in ("ntrex", "tico", "manythings") for pair in good[name]])
    yield from copied(data)
    for name in ("ntrex", "tico", "scratch"):
        yield from shifts(name, good[name])


def judged(
    kind: str, name: str, told: str, step: Barrier, pairs: list[Pair], dirty: set[int], **bounds: Any
) -> Finding:
    """The finding of pairs of which those at these places are dirty."""
    gone = barred(step, frame(pairs))
    return weighed(kind, name, told, ((pair, n in dirty, gone[n]) for n, pair in enumerate(pairs)), **bounds)


def attracted(data: Path, good: list[Pair]) -> Finding:
    """Attracted targets beside a tenth of good pairs."""
    asked = [
        line[0] for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/*/*.csv")) for line in cells(path) if line
    ]
    family = [question for question in asked if SPOOFED.search(question) and FORGED.search(question)]
    drawn = random.Random(0)
    hit = set(drawn.sample(range(len(good)), len(good) // 10))
    pairs = [(source, drawn.choice(family) if n in hit else target) for n, (source, target) in enumerate(good)]
    name = f"{len(set(family))} wordings of one question of mmlu-ar in good pairs"
    return judged("attractor", name, "`attractor`", Attractor(**SIDES), pairs, hit, least=0.99, most=0.001)


def copied(data: Path) -> Iterator[Finding]:
    """Fuzzy entries of iso-codes whose target another entry has as well."""
    import polib

    entries = [e for p in sorted(data.glob("iso-codes/files/*/ar.po")) for e in polib.pofile(str(p)) if not e.obsolete]
    pairs = [(entry.msgid, entry.msgstr) for entry in entries]
    shared = Counter(target for _, target in set(pairs) if target)
    fuzzy = {n for n, e in enumerate(entries) if "fuzzy" in e.flags and shared[e.msgstr] > 1 and e.msgid not in AKIN}
    label = "flagged fuzzy, another entry has the same translation, and (all 17 were read) the two are not akin"
    strict = Attractor(**SIDES, max_sources=1, long_chars=1)
    yield judged("copied target", "iso-codes", "`attractor`", Attractor(**SIDES), pairs, fuzzy, label=label)
    told = "`attractor`, max_sources 1, long_chars 1"
    yield judged("copied target", "iso-codes", told, strict, pairs, fuzzy, least=1, most=0.01, label=label)


def shifts(name: str, good: list[Pair]) -> Iterator[Finding]:
    """Rotated stretches; the lines that a rotation sends to the other end are no shift, and count as missed."""
    for length, least in ((8, None), (20, None), (60, 0.95)):
        for by in (1, 2):
            pairs, shifted = rotated(good, length, by)
            kind = f"{length} rows shifted by {by}"
            yield judged(kind, name, "`misaligned`", Misaligned(**SIDES), pairs, shifted, least=least, most=0.01)


def rotated(good: list[Pair], length: int, by: int) -> tuple[list[Pair], set[int]]:
    """The pairs with stretches of so many rows rotated by so many, 40 to 90 rows between them; and which rows."""
    drawn = random.Random(length)
    targets, shifted, start = [target for _, target in good], set(), 50
    while start + length < len(good) - 40:
        stretch = targets[start : start + length]
        targets[start : start + length] = stretch[-by:] + stretch[:-by]
        shifted |= set(range(start, start + length))
        start += length + drawn.randrange(40, 90)
    return list(zip((source for source, _ in good), targets, strict=True)), shifted


if __name__ == "__main__":
    sys.exit(report({"attractors": findings}, __doc__ or ""))
