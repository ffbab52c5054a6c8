"""Duplicates across data sets, answers that contradict each other, and chats out of shape, in real data.

    python benchmarks/truth_dedup.py [--data DIR] [--read N] [--json]

Which rows are duplicates is told by plain Python: what reads the same, whatever its case and the marks
around it. Every answer of T0 ends in an end mark, and some are nothing but that.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import real
from finding import Finding, changed, chat, decided, falls, frame, report, weighed
from real import Pair

from hala_factory.filters.chat_shape import ChatShape
from hala_factory.filters.conflicting_answers import ConflictingAnswers
from hala_factory.filters.exact_dedup import ExactDedup
from hala_factory.filters.near_dedup import NearDedup
from hala_factory.filters.strip_end_marks import StripEndMarks
from hala_factory.step import Barrier


def findings(data: Path) -> Iterator[Finding]:
    """Duplicates, contradictions, end marks and empty answers."""
    code = [row for path in data.glob("gpteacher/files/Codegen/*.json*") for row in real.instructions(path)]
    tests = {"gpteacher, then codealpaca": (code, real.codealpaca(data), chat, "messages.user")}
    tests["tatoeba, then manythings"] = (real.tatoeba(data), real.manythings(data), frame, "translation")
    for name, (first, second, spelt, on) in tests.items():
        keys = [tuple(map(spoken, pair[:1] if on == "messages.user" else pair)) for pair in [*first, *second]]
        again = repeated(keys)
        for step in (ExactDedup(on=on), NearDedup(on=on)):
            gone = rows_gone(step, spelt(first), spelt(second))
            # Near duplicates are dropped besides; which of them are near is measured by `benchmarks/dedup.py`.
            most = 0.002 if step.step == "exact_dedup" else None
            told = ((pair, n in again, n in gone) for n, pair in enumerate([*first, *second]))
            yield weighed("the same again", name, f"`{step.step}` on `{on}`", told, least=1, most=most)
    t0 = real.t0(data)
    bare = [(prompt, answer.removesuffix(real.END).strip()) for prompt, answer in t0]
    against = contradicted(bare)
    gone = rows_gone(ConflictingAnswers(), chat(bare))
    told = ((pair, n in against, n in gone) for n, pair in enumerate(bare))
    yield weighed("short answers that contradict each other", "t0", "`conflicting_answers`", told, least=1, most=0.001)
    whole = chat(t0)
    yield weighed(
        "an end mark", "t0", "`chat_shape`", zip(t0, [True] * len(t0), falls(ChatShape(), whole), strict=True), least=1
    )
    repaired = changed(StripEndMarks(), whole)["messages"].list.get(1).struct.field("content").to_list()
    told = ((pair, True, real.END not in text) for pair, text in zip(t0, repaired, strict=True))
    yield weighed("an end mark", "t0", "`strip_end_marks`", told, least=1)
    empty = ((pair, not pair[1], fell) for pair, fell in zip(bare, falls(ChatShape(), chat(bare)), strict=True))
    yield weighed("an empty answer", "t0", "`chat_shape`", empty, least=1, most=0.005)


def spoken(text: str) -> str:
    """A text as it is read: whatever its case, the marks around it, and how its Arabic letters are dressed."""
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", text.casefold()) if unicodedata.category(c) not in ("Mn", "Cf")
    )
    plain = " ".join(bare.translate(LETTERS).split())
    return plain.strip(MARKS) or plain


LETTERS = str.maketrans({"ى": "ي", "ة": "ه", "ی": "ي", "ک": "ك", "ٱ": "ا", "ـ": ""})
MARKS = " .,:;!?\"'()[]{}«»“”‘’…؟،؛۔¿¡"


def repeated(keys: list[tuple[str, ...]]) -> set[int]:
    """The rows whose key an earlier row has."""
    seen: set[tuple[str, ...]] = set()
    return {n for n, key in enumerate(keys) if key in seen or seen.add(key)}


MADE_UP = re.compile("generate a question|good question", re.I)
"""Of 19 rows with several short answers all were read: 17 are asked for a question, of which there are many."""


def contradicted(pairs: list[Pair]) -> set[int]:
    """The rows whose prompt has several answers of five words at most, unless it asks to make up a question."""
    asked: defaultdict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for n, (prompt, answer) in enumerate(pairs):
        if MADE_UP.search(prompt):
            continue
        asked[spoken(prompt)][spoken(answer)].append(n)
    several = [answers for answers in asked.values() if len(answers) > 1 and max(len(a.split()) for a in answers) <= 5]
    return {n for answers in several for rows in answers.values() for n in rows}


def rows_gone(step: Barrier, *tables: object) -> set[int]:
    """The rows that fall, of tables that follow one another."""
    found = decided(step, *((str(n), table) for n, table in enumerate(tables)))
    before = [sum(table.height for table in tables[:n]) for n in range(len(tables))]
    return {before[int(source)] + row for source, row in found.select("source", "row").iter_rows()}


if __name__ == "__main__":
    sys.exit(report({"dedup": findings}, __doc__ or ""))
