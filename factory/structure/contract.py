"""The contract of a translation: the spans of a text, its prose, and what a target lost or added."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from hala_factory.structure.blocks import blocks
from hala_factory.structure.inline import Scanner
from hala_factory.structure.order import misspelt, moved, swapped
from hala_factory.structure.span import Span

_INNER_SPACE = re.compile(r"(?<=[{])\s+|\s+(?=[}])")
_DOUBTFUL = re.compile(r"%[0-9]|\[[A-Z0-9_]+\]")
_ARTICLE = re.compile(r"(?<=://)[a-z-]{2,12}(?=\.(?:m\.)?wiki[a-z]+\.org/wiki/)\.((?:m\.)?wiki[a-z]+\.org/wiki/)\S*")
_COMMENT = re.compile(
    r"(?s:/\*.*?\*/|<!--.*?-->|\{/\*.*?\*/\})|(?m:(?:(?<=\s)|^)(?://|#(?=[ \u0600-\u06ff])|--(?= )).*$)"
)
"""Comments of C, Java, JavaScript, HTML, shell, Python and SQL; `#fff` and `#include` are none."""
_INVISIBLE = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks that turn the direction of a text; editors of Arabic set them around code."""
_TICK_SPACE = re.compile(r"(?<=`)[ \t]+|[ \t]+(?=`)")
_LINE_END_SPACE = re.compile(r"[ \t]+(?=\n)")


@lru_cache(maxsize=2048)  # one text is masked, cut and, hundreds of other questions later, compared
def _spans(text: str) -> tuple[Span, ...]:
    code = blocks(text).code
    scanner = Scanner(text)
    edges = [0, *(edge for block in code for edge in (block.start, block.end)), len(text)]
    found = list(code)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found.extend(scanner.spans(start, end))
    return tuple(sorted(found))


def spans(text: str) -> list[Span]:
    """Everything in `text` that must survive, sorted, without overlaps."""
    return list(_spans(text))


@lru_cache(maxsize=2048)
def prose(text: str) -> str:
    """The text outside its spans; a space stands where a span stood."""
    found = _spans(text)
    edges = [0, *(edge for span in found for edge in (span.start, span.end)), len(text)]
    return " ".join(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))


def difference(source: str, target: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Per kind, what `target` lacks and what it adds, as sorted multisets; empty when the contract is kept.

    The kinds are those of spans, and `skeleton`: headings by level, list items by number and depth, quotes, rules,
    table rows by their cells, and paragraphs, in this order. Languages order words differently: inside a sentence
    spans may stand in any order, but none may move to another sentence, line, list item, cell or paragraph, and a
    link keeps the code or name in it (`order` says how that is told). What does not count: how a paragraph of long
    lines is wrapped; white space at line ends, inside the braces of a placeholder and around code; marks of direction
    in code; comments in a block of code, which may be translated; a closing slash of an address; the article that a
    link to Wikipedia names in its language. An entity (`&amp;`) is its character, and no more part of the contract
    than that.
    """
    wanted, found = _counts(source), _counts(target)
    differing = {}
    for kind in sorted(wanted.keys() | found.keys()):
        lacks = wanted.get(kind, Counter()) - found.get(kind, Counter())
        adds = found.get(kind, Counter()) - wanted.get(kind, Counter())
        for spelt in [p for p in adds if _DOUBTFUL.fullmatch(p)]:
            # `[NAME]` and «%5» are placeholders where the source has some; else a name, and five per cent.
            if not any(_DOUBTFUL.fullmatch(p) and p[0] == spelt[0] for p in wanted.get(kind, ())):
                del adds[spelt]
        if lacks or adds:
            differing[kind] = (tuple(sorted(lacks.elements())), tuple(sorted(adds.elements())))
    if not differing:
        differing |= _disorder(source, target)
    return differing


def _disorder(source: str, target: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """What stands elsewhere in `target`, where nothing is lost and nothing added."""
    texts = [(text, [(span, compared(span)) for span in _spans(text)]) for text in (source, target)]
    found = {"skeleton": moved(*texts), "url": swapped(*texts), "code": misspelt(*texts)}
    return {kind: (lacks, adds) for kind, (lacks, adds) in found.items() if lacks or adds}


def _counts(text: str) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for span in _spans(text):
        if not span.text.startswith("&"):
            counts.setdefault(span.kind, Counter())[compared(span)] += 1
    if skeleton := blocks(text).skeleton:
        counts["skeleton"] = Counter(skeleton)
    return counts


def compared(span: Span) -> str:
    """A span in the spelling in which it is compared."""
    match span.kind:
        case "placeholder" | "tag":
            return _INNER_SPACE.sub("", span.text)
        case "url":
            return _ARTICLE.sub(r"\1…", span.text).rstrip("/") or "/"
        case "code":
            bare = _INVISIBLE.sub("", span.text.replace("\r\n", "\n"))
            if not span.block:
                return _TICK_SPACE.sub("", bare)
            return "\n".join(kept for line in _COMMENT.sub("", bare).split("\n") if (kept := line.strip()))
        case _:
            return _LINE_END_SPACE.sub("", span.text.replace("\r\n", "\n"))
