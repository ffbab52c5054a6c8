"""Normalise white space: one kind of space, one kind of line end, and none of it where it says nothing."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rewriting
from hala_factory.step import Columns, Normaliser, TextPath, register

_KINDS = ["line_ends", "odd_spaces", "space_runs", "edge_spaces", "blank_lines"]
_TRIGGER = (
    r"[\r\x0b\x0c\x{85}\x{a0}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
    r"|\S  +\S|[ \t](?:\n|\z)|\A[ \t]|\A\n|\n\z"
)

_RETURN = re.compile(r"\r+\n?")
_LINE_END = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
# What a line begins with in Markdown is layout: indentation, signs of quotes, and a bullet or number with its space.
_BEGINNING = re.compile(r"[ \t>]*(?:[-*+•‣◦▪–]|\d{1,9}[.)])?[ \t]*")
_RUN = re.compile("  ++(?!#|//)")  # two spaces stand before the comment of a line of code
_CODE = re.compile(r"[={}\\]|<<|//|\|.*\|")  # of a program that lost its line ends, or of a table
_SUSPECT = re.compile("[\x0b\x0c\x85\u00a0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|\\S  +\\S|[ \t]\n|\\A[ \t\n]")


@register
class NormaliseSpace(Normaliser):
    r"""Make every white space a plain space or a line end, and take away what there is too much of.

    `line_ends` are CRLF, CR, form feeds, vertical tabs and the separators U+0085, U+2028 and U+2029; `odd_spaces`
    those that do not break, are thin, wide or ideographic; `space_runs` several spaces in a row; `edge_spaces` white
    space at the end of a line (the two spaces of Markdown's line break among it: the line end stays) and before a
    text; `blank_lines` those beyond `max_blank_lines`, and any at the ends of a text. Space that means something
    stays: in code, formulas and tables, before and behind the bullet of a list, in lines that are indented as code
    is, in columns that stand one below the other, and every tab inside a line. Of a block of code nothing changes
    but CR and CRLF to LF.
    """

    example: ClassVar[dict[str, str]] = {
        "before": "Rome,\u00a0 Italy  \r\n\r\n\r\n\r\nParis ",
        "after": "Rome, Italy\n\n\nParis",
    }

    measured_by: ClassVar[tuple[str, ...]] = ("max_blank_lines",)

    step: Literal["normalise_space"] = "normalise_space"
    on: TextPath = "messages"
    max_blank_lines: Annotated[int, Field(ge=0, le=100)] | None = 2  # as between the functions of a program (PEP 8)
    """Most blank lines in a row."""

    def measures(self) -> Columns:
        return dict.fromkeys(_KINDS, pl.Int32())

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        most = self.max_blank_lines
        trigger = _TRIGGER if most is None else rf"{_TRIGGER}|\n\n{{{most + 1}}}"
        return rewriting.rewrite(frame, self.on, rewriting.TEXT.str.contains(trigger), _KINDS, self._change)

    def _change(self, content: str, found: Counter[str]) -> str:
        content, found["line_ends"] = _RETURN.subn("\n", content)
        ends = len(content) - len(content.rstrip(" \t\n"))
        if ends:  # by far the most frequent, and nothing that is protected ends in white space
            found["blank_lines"] = content.count("\n", len(content) - ends)
            found["edge_spaces"] = ends - found["blank_lines"]
            content = content[:-ends]
        most = self.max_blank_lines
        if not _SUSPECT.search(content) and (most is None or "\n" * (most + 2) not in content):
            return content
        return rewriting.outside(content, lambda around: self._edit(around, found))

    def _edit(self, around: str, found: Counter[str]) -> str:
        around, ends = _LINE_END.subn("\n", around)
        around, found["odd_spaces"] = _ODD_SPACE.subn(" ", around)
        found["line_ends"] += ends
        lines = [line.rstrip(" \t") for line in around.split("\n")]
        found["edge_spaces"] += sum(map(len, around.split("\n"))) - sum(map(len, lines))
        lines = self._without_blank_lines(lines, found)
        # The indentation of the first line is layout where others have some, too.
        if lines and not any(line[:1] in (" ", "\t") for line in lines[1:]):
            found["edge_spaces"] += len(lines[0]) - len(lines[0].lstrip(" \t"))
            lines[0] = lines[0].lstrip(" \t")
        return "\n".join(_without_runs(lines, found))

    def _without_blank_lines(self, lines: list[str], found: Counter[str]) -> list[str]:
        most = len(lines) if self.max_blank_lines is None else self.max_blank_lines
        kept: list[str] = []
        blank = 0
        for line in lines:
            if line:
                if kept:  # none stand before the text
                    kept += [""] * min(blank, most)
                kept.append(line)
                blank = 0
            else:
                blank += 1
        found["blank_lines"] += len(lines) - max(1, len(kept))
        return kept or [""]


def _without_runs(lines: list[str], found: Counter[str]) -> list[str]:
    places = [_runs(line) for line in lines]
    edges = [{edge for place in runs for edge in place} for runs in places]
    kept = []
    for i, line in enumerate(lines):
        aligned = any(edges[i] & edges[j] for j in (i - 1, i + 1) if 0 <= j < len(lines))
        if places[i] and not aligned:
            begins = places[i][0][0]
            line = line[:begins] + _RUN.sub(" ", line[begins:])
            found["space_runs"] += len(places[i])
        kept.append(line)
    return kept


def _runs(line: str) -> list[tuple[int, int]]:
    """Where a line has several spaces in a row that say nothing by themselves."""
    if "  " not in line or line.startswith(("    ", "\t")) or _CODE.search(line):
        return []
    beginning = _BEGINNING.match(line)
    assert beginning
    return [run.span() for run in _RUN.finditer(line, beginning.end())]
