"""Normalise HTML: entities as their characters, `<br>` as a line end, in rows that do not speak of it."""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rewriting
from hala_factory.step import Columns, Normaliser, TextPath, register
from hala_factory.structure import Span

_KINDS = ["entities", "line_breaks", "tags"]
_SIMPLE = "b|big|center|em|font|i|p|small|span|strong|u"
# Who speaks of HTML means the entities he writes, and who writes these tags writes a page.
_LEFT_ALONE = (
    r"(?i)\b(?:x?html5?|xml|ampersands?|unescap\w+|escape (?:sequence|character|code)s?|(?:character|named) entit\w+)"
    r"\b"
    r"|<!doctype|<(?:html|head|body|div|table|tr|td|th|ul|ol|li|dl|form|input|button|select|label|script|style|link"
    r"|meta|iframe|img|section|article|nav|header|footer|main|svg|details|summary|h[1-6])\b[^<>]*>"
)

_NAME = r"(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});"
_AMPERSAND = r"&(?:(?:amp|AMP|#0{0,4}38|#[xX]0{0,4}26);){0,20}"
_LESS = rf"{_AMPERSAND}(?:lt|LT|#0{{0,4}}60|#[xX]0{{0,4}}3[cC]);"
_GREATER = rf"{_AMPERSAND}(?:gt|GT|#0{{0,4}}62|#[xX]0{{0,4}}3[eE]);"
_INSIDE = r"[A-Za-z/!?][^<>\n]{0,300}?"
_ENTITY = re.compile(
    rf"(?P<shown>{_LESS}{_INSIDE}(?:{_GREATER}|>)|<{_INSIDE}{_GREATER})|(?P<ampersand>{_AMPERSAND})(?P<name>{_NAME})"
)
_NOT_READ = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffd-\uffff]")
# Names that a program may give to a variable as well, of which `&` is the address: `p = &sum;`.
_NO_VARIABLE = re.compile(r"#.*|(?:amp|lt|gt|quot|apos|nbsp);")
_ADDRESS = re.compile(r"[=(]\s?$")
_BREAK = re.compile(r"[ \t]*<br(?:\s[^<>]{0,100})?/?>[ \t]*", re.I)
_PARAGRAPH = re.compile(r"</?p(?:\s[^<>]{0,300})?>", re.I)
_INLINE = re.compile(rf"</?(?:{_SIMPLE})(?:\s[^<>]{{0,300}})?/?>", re.I)
_LEFT_OPEN = re.compile(rf"&.*|</?(?:{_SIMPLE}|br)(?:\s[^<>]*)?/?>", re.I | re.S)


@register
class NormaliseHtml(Normaliser):
    """Write HTML entities as the characters they stand for and `<br>` as a line end, outside code and tags.

    `&quot;`, `&#39;` and `&amp;quot;` become `"`, `'` and `"`. A tag that is shown by its entities (`&lt;b&gt;`)
    stays as it is, whole: as `<b>` it would be markup, which it was not. Entities that stand for no character of a
    text stay, and so does a `<br>` in the row of a table. Left alone are rows whose texts speak of HTML or XML,
    or are a page themselves (they hold `<div>`, `<table>`, `<li>` …). With `inline_tags: remove`, `<b>`, `<i>`,
    `<span …>` and their like go, and `<p>` becomes a blank line.
    """

    example: ClassVar[dict[str, str]] = {
        "before": "Tom &amp; Jerry say &amp;quot;3 &lt; 5&amp;quot;<br/>Bye",
        "after": 'Tom & Jerry say "3 < 5"\nBye',
    }

    step: Literal["normalise_html"] = "normalise_html"
    on: TextPath = "messages"
    rounds: Annotated[int, Field(ge=1, le=10)] = 2
    """How often an entity may have been escaped, to be read; one that was more often stays."""
    line_breaks: Literal["keep", "newline"] = "newline"
    """What becomes of `<br>`."""
    inline_tags: Literal["keep", "remove"] = "keep"
    """What becomes of the simple tags of running text."""

    def measures(self) -> Columns:
        return dict.fromkeys(_KINDS, pl.Int32())

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        looked_for = f"&{_NAME}"
        looked_for += r"|(?i:<br[\s/>])" if self.line_breaks == "newline" else ""
        looked_for += rf"|(?i:</?(?:{_SIMPLE})[\s/>])" if self.inline_tags == "remove" else ""
        whole = rewriting.TEXT.str
        trigger, spared = whole.contains(looked_for), whole.contains(_LEFT_ALONE)
        return rewriting.rewrite(frame, self.on, trigger, _KINDS, self._change, spared)

    def _change(self, content: str, found: Counter[str]) -> str:
        def edit(around: str) -> str:
            around = _ENTITY.sub(lambda entity: self._character(entity, found), around)
            if self.inline_tags == "remove":
                around = _without_tags(around, found)
            if self.line_breaks == "newline":
                around = "\n".join(_broken(line, found) for line in around.split("\n"))
            return around

        return rewriting.outside(content, edit, _stays)

    def _character(self, entity: re.Match[str], found: Counter[str]) -> str:
        if entity["shown"]:
            return entity[0]
        ampersand, name = entity["ampersand"], entity["name"]
        escaped = ampersand.count(";")
        character = html.unescape(f"&{name}")
        if character == f"&{name}" or not character or _NOT_READ.search(character):
            if not 0 < escaped <= self.rounds:  # no entity but its ampersand is
                return entity[0]
            character = f"&{name}"
        elif escaped >= self.rounds or (not escaped and _is_address(entity, name)):
            return entity[0]
        found["entities"] += 1
        return character


def _is_address(entity: re.Match[str], name: str) -> bool:
    before = max(0, entity.start() - 2), entity.start()
    return not _NO_VARIABLE.fullmatch(name) and bool(_ADDRESS.search(entity.string, *before))


def _stays(span: Span) -> bool:
    """Whether a span is none of those this step may change."""
    return not (span.kind == "tag" and _LEFT_OPEN.fullmatch(span.text))


def _broken(line: str, found: Counter[str]) -> str:
    if "<" not in line or line.count("|") > 1:
        return line
    broken, breaks = _BREAK.subn("\n", line)
    found["line_breaks"] += breaks
    return broken.removesuffix("\n") if breaks else line  # the line ends there anyway


def _without_tags(around: str, found: Counter[str]) -> str:
    pieces = _PARAGRAPH.split(around)
    found["tags"] += len(pieces) - 1
    if len(pieces) > 1:
        around = "\n\n".join(stripped for piece in pieces if (stripped := piece.strip()))
    around, inline = _INLINE.subn("", around)
    found["tags"] += inline
    return around
