"""Attractors, copied targets and shifted stretches in real pairs: what is found of them, and what falls beside them.

    python benchmarks/truth_attractors.py [--data DIR]

Attractors: the targets that a published translation of MMLU fell back on (hundreds of wordings of one question about
IP spoofing) are put beside a tenth of good pairs. Copied targets: the entries of iso-codes that are flagged fuzzy
and share their target with another entry. Shifted stretches: good pairs in the order of their document, of which
stretches are rotated by one or two lines. What falls of good pairs as they are is told first.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
from truth_pairs import DATA, Pair, manythings, ntrex, strings, tatoeba, tico, winomt

from hala_factory import rows
from hala_factory.filters.attractor import Attractor
from hala_factory.filters.misaligned import Misaligned
from hala_factory.step import Barrier

SIDES = {"source": "translation.en", "target": "translation.ar"}
SPOOFED = re.compile(r"\bIP\b|بروتوكول ال[إا]نترنت|ال[آأا]ي ?بي")
FORGED = re.compile("تزو|تزي|انتحال|مزور|مزيف|خداع|تلاعب|تقليد|تلفيق|تدليس|تحايل|تستر|تضليل|تحريف|استنساخ")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    data = parser.parse_args().data
    if not data.is_dir():
        sys.exit(f"{data} does not exist; say where the real data are: --data DIR")
    good = {
        **{"ntrex128": ntrex(data), "tico19": tico(data), "tatoeba": tatoeba(data), "manythings": manythings(data)},
        **{"winomt": winomt(data), "scratch": strings(data / "l10n-scratch", "en.json", "ar.json")},
    }
    print("good pairs as they are")
    for step in (Attractor(**SIDES), Misaligned(**SIDES)):
        for name, pairs in good.items():
            found, seconds = dropped(step, pairs)
            speed = len(pairs) / seconds
            print(f"  {step.step} {name}: {len(found):,} of {len(pairs):,} dropped; {speed:,.0f} rows/s")
    attractors(data, [pair for name in ("ntrex128", "tico19", "manythings") for pair in good[name]])
    copies(data)
    for name in ("ntrex128", "tico19", "scratch"):
        shifts(name, good[name])


def attractors(data: Path, good: list[Pair]) -> None:
    """Attracted targets beside a tenth of good pairs."""
    told = [path.read_text(encoding="utf-8") for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/*/*.csv"))]
    asked = [line[0] for part in told for line in csv.reader(part.splitlines()) if line]
    family = [question for question in asked if SPOOFED.search(question) and FORGED.search(question)]
    drawn = random.Random(0)
    hit = set(drawn.sample(range(len(good)), len(good) // 10))
    pairs = [(source, drawn.choice(family) if n in hit else target) for n, (source, target) in enumerate(good)]
    found = dropped(Attractor(**SIDES), pairs)[0]
    print(f"\nattractors: {len(hit):,} of {len(pairs):,} targets became one of {len(set(family)):,} wordings")
    print(f"  found {len(hit & found) / len(hit):.2%}; of the others {len(found - hit):,} fell")


def copies(data: Path) -> None:
    """Fuzzy entries of iso-codes whose target another entry has as well."""
    import polib

    entries = [e for p in sorted(data.glob("iso-codes/files/*/ar.po")) for e in polib.pofile(str(p)) if not e.obsolete]
    pairs = [(entry.msgid, entry.msgstr) for entry in entries]
    shared = Counter(target for _, target in set(pairs) if target)
    fuzzy = {n for n, e in enumerate(entries) if "fuzzy" in e.flags and shared[e.msgstr] > 1}
    print(
        f"\ncopied targets: {len(fuzzy)} fuzzy entries of iso-codes share theirs with another ({len(pairs)} entries)"
    )
    for told, step in (
        ("by default", Attractor(**SIDES)),
        ("max_sources 1, long_chars 1", Attractor(**SIDES, max_sources=1, long_chars=1)),
    ):
        found = dropped(step, pairs)[0]
        print(f"  {told}: {len(found & fuzzy)} found; of entries without the flag {len(found - fuzzy)} fell")


def shifts(name: str, good: list[Pair]) -> None:
    """Rotated stretches; the lines that a rotation sends to the other end are no shift, and count as missed."""
    print(f"\nshifted stretches of {name}")
    for length in (8, 20, 60):
        for by in (1, 2):
            pairs, shifted = rotated(good, length, by)
            found = dropped(Misaligned(**SIDES), pairs)[0]
            aligned = len(pairs) - len(shifted)
            share, wrong = len(found & shifted) / len(shifted), len(found - shifted) / aligned
            print(f"  {length} rows by {by}: {share:.1%} of {len(shifted):,} found, {wrong:.2%} of {aligned:,} others")


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


def dropped(step: Barrier, pairs: list[Pair]) -> tuple[set[int], float]:
    """The rows that fall, and the seconds that took."""
    head = {
        "shard": pl.UInt32(),
        "row": pl.UInt32(),
        "id": pl.String(),
        "source": pl.String(),
        "earlier": pl.Boolean(),
    }
    numbers = range(len(pairs))
    index = {"shard": 0, "row": numbers, "id": [str(n) for n in numbers], "source": "pairs", "earlier": False}
    frame = pl.DataFrame(
        {
            "translation": [{"en": source, "ar": target} for source, target in pairs],
            "origin": [{"file": "pairs", "position": n + 1, "part": 0} for n in numbers],
        },
        schema={"translation": rows.translation_type(["en", "ar"]), "origin": rows.HEAD["origin"]},
    )
    started = time.perf_counter()
    known = pl.DataFrame(index, schema=head).hstack(pl.concat(step.index(part) for part in frame.iter_slices(8_192)))
    found = step.decide(known.lazy(), ["pairs"]).collect()["row"].to_list()
    return set(found), time.perf_counter() - started


if __name__ == "__main__":
    main()
