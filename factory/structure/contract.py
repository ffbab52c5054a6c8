"""The contract of a translation: the spans of a text, its prose, and what a target lost or added."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from hala_factory.structure.blocks import blocks
from hala_factory.structure.inline import Scanner
from hala_factory.structure.span import Span

_LINE_END_SPACE = re.compile(r"[ \t]+(?=\n)")


@lru_cache(maxsize=64)  # one text is masked, cut and compared
def _spans(text: str) -> tuple[Span, ...]:
    code, _ = blocks(text)
    scanner = Scanner(text)
    edges = [0, *(edge for block in code for edge in (block.start, block.end)), len(text)]
    found = list(code)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found.extend(scanner.spans(start, end))
    return tuple(sorted(found))


def spans(text: str) -> list[Span]:
    """Everything in `text` that must survive, sorted, without overlaps."""
    return list(_spans(text))


def prose(text: str) -> str:
    """The text outside its spans; a space stands where a span stood."""
    found = _spans(text)
    edges = [0, *(edge for span in found for edge in (span.start, span.end)), len(text)]
    return " ".join(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))


def difference(source: str, target: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Per kind, what `target` lacks and what it adds, as sorted multisets; empty when the contract is kept.

    The kinds are those of spans, and `skeleton`: headings by level, list items, quotes and table rows by
    their columns. Order is free (languages order words differently), white space at line ends does not count.
    """
    wanted, found = _counts(source), _counts(target)
    differing = {}
    for kind in sorted(wanted.keys() | found.keys()):
        lacks = wanted.get(kind, Counter()) - found.get(kind, Counter())
        adds = found.get(kind, Counter()) - wanted.get(kind, Counter())
        if lacks or adds:
            differing[kind] = (tuple(sorted(lacks.elements())), tuple(sorted(adds.elements())))
    return differing


def _counts(text: str) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for span in _spans(text):
        spelt = _LINE_END_SPACE.sub("", span.text.replace("\r\n", "\n"))
        counts.setdefault(span.kind, Counter())[spelt] += 1
    _, skeleton = blocks(text)
    if skeleton:
        counts["skeleton"] = Counter(skeleton)
    return counts
