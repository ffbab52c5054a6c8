"""Segments: a text cut into prose to translate and stretches that are never sent.

The model:
- The segments of a text, joined, are the text, byte for byte.
- White space around prose, whole code blocks and display formulas, and anything without a letter are not sent.
- A segment of one line travels without its leading Markdown markers (`# `, `- `, `1. `, `> `); one of several
  lines travels with them, and the skeleton tells whether they came back. Cut by `line`, every marker and
  table pipe stays here; cut by `span`, so does every span, and the structure cannot break.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hala_factory.structure.contract import spans

Cut = Literal["block", "line", "span"]
"""What is sent at once: as much as fits, one line or table cell, or only the prose between two spans."""

_LETTER = re.compile(r"[^\W\d_]")
_MARKERS = re.compile(
    r"(?:[ \t]*(?:>[ \t]?|#{1,6}[ \t]+|[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?|[0-9٠-٩]{1,3}[.)][ \t]+))*[ \t]*"
)
_ROW = re.compile(r"[ \t]*\|.*\|[ \t\r]*")
_LONGEST_ROW = 2_000  # characters
_PIPE = re.compile(r"(?<!\\)\|")
_PLACES = (
    re.compile(r"\n[ \t\r]*\n\s*"),  # paragraphs
    re.compile(r"\n"),
    re.compile(r"[.!?؟…。！？][\"'»”’)\]*_]*\s+(?![a-z])"),  # sentences; not behind `e.g. `
    re.compile(r"[,،;؛:]\s+"),
    re.compile(r"\s+"),
)
"""Where a long text may be cut, best places first; the cut is behind the match."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a text; `sent` ones are prose for the translator, the others are put back as they are."""

    text: str
    sent: bool


def segments(text: str, max_chars: int, cut: Cut = "block", *, protect: bool = True) -> list[Segment]:
    """`text` as segments of at most `max_chars` characters of prose (an unbreakable span may be longer).

    Without `protect` nothing is kept back but white space: code and formulas are sent like prose.
    """
    found = spans(text) if protect else []
    walls = [(s.start, s.end) for s in found if s.block or cut == "span"]
    kept = [(s.start, s.end) for s in found]
    pieces: list[Segment] = []
    at = 0
    for start, end in [*walls, (len(text), len(text))]:
        for a, b in _stretches(text, at, start, kept, cut):
            for c, d in _packed(text, a, b, kept, max_chars):
                pieces += _dressed(text, c, d, kept)
        pieces.append(Segment(text[start:end], False))
        at = end
    return _merged(pieces)


def _stretches(
    text: str, start: int, end: int, kept: Sequence[tuple[int, int]], cut: Cut
) -> Iterator[tuple[int, int]]:
    """What may travel together: everything, or one line, or one cell of a table."""
    if cut == "block":
        yield start, end
        return
    edges = [m.end() for m in _PLACES[1].finditer(text, start, end)]
    for a, b in zip([start, *_outside(edges, kept)], [*_outside(edges, kept), end], strict=True):
        pipes = [edge for m in _PIPE.finditer(text, a, b) for edge in m.span()] if _in_row(text, a) else []
        yield from zip([a, *_outside(pipes, kept)], [*_outside(pipes, kept), b], strict=True)


def _in_row(text: str, at: int) -> bool:
    """Whether the line around `at` is a row of a table."""
    start = text.rfind("\n", max(0, at - _LONGEST_ROW), at) + 1
    end = text.find("\n", at, at + _LONGEST_ROW)
    return bool(_ROW.fullmatch(text, start, end if end >= 0 else min(len(text), at + _LONGEST_ROW)))


def _packed(text: str, start: int, end: int, kept: Sequence[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """As much as fits each time, cut at the best place that lies within reach."""
    if end - start <= most:
        yield start, end
        return
    places = [_outside([m.end() for m in place.finditer(text, start, end)], kept) for place in _PLACES]
    while end - start > most:
        for level in places:
            i = bisect_right(level, start + most)
            if i and level[i - 1] > start:
                stop = level[i - 1]
                break
        else:
            stop = _clear(start + most, start, kept)
        yield start, min(stop, end)
        start = min(stop, end)
    yield start, end


def _outside(places: list[int], kept: Sequence[tuple[int, int]]) -> list[int]:
    """The places that do not lie inside a span."""
    return [p for p in places if (i := bisect_left(kept, (p,))) == 0 or kept[i - 1][1] <= p]


def _clear(place: int, start: int, kept: Sequence[tuple[int, int]]) -> int:
    """`place`, moved out of the span it lies in: before it, or behind it where that is no progress."""
    i = bisect_left(kept, (place,))
    if i == 0 or kept[i - 1][1] <= place:
        return place
    return kept[i - 1][0] if kept[i - 1][0] > start else kept[i - 1][1]


def _dressed(text: str, start: int, end: int, kept: Sequence[tuple[int, int]]) -> list[Segment]:
    """One piece, with what surrounds its prose (white space, markers) set apart."""
    piece = text[start:end]
    lead = len(piece) - len(piece.lstrip())
    if "\n" not in piece.strip() and (start == 0 or text[start - 1] == "\n" or "\n" in piece[:lead]):
        line = piece.rfind("\n", 0, lead) + 1
        markers = _MARKERS.match(piece, line)
        lead = max(lead, markers.end() if markers else 0)
        lead += len(piece[lead:]) - len(piece[lead:].lstrip())
    tail = max(lead, len(piece.rstrip()))
    sent = _has_letter(text, start + lead, start + tail, kept)
    return [Segment(piece[:lead], False), Segment(piece[lead:tail], sent), Segment(piece[tail:], False)]


def _has_letter(text: str, start: int, end: int, kept: Sequence[tuple[int, int]]) -> bool:
    i = bisect_left(kept, (start,))
    while start < end:
        stop, after = kept[i] if i < len(kept) else (end, end)
        if _LETTER.search(text, start, min(stop, end)):
            return True
        start, i = max(start, after), i + 1
    return False


def _merged(pieces: list[Segment]) -> list[Segment]:
    merged: list[Segment] = []
    held: list[str] = []
    for piece in [*pieces, Segment("", True)]:
        if not piece.sent:
            held.append(piece.text)
            continue
        if kept := "".join(held):
            merged.append(Segment(kept, False))
        held = []
        if piece.text:
            merged.append(piece)
    return merged
