"""Blocks of a text: fenced, indented and unfenced code, the Markdown skeleton, and where each of its parts stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from hala_factory.structure.span import Span

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_MARKDOWN.core.ruler.enableOnly(["normalize", "block"])  # blocks only: inline rules are the costly ones
_MARKDOWN.block.ruler.disable(["reference"])  # a link definition is prose with a URL in it

_BLOCKY = re.compile(r"^[ \t]*(?:#|[-*+] |[-*+]$|\d{1,9}[.)]|>|```|~~~|={2,}|-{2,})|^(?: {4}|\t)|\|", re.M)
_NEWLINE = re.compile(r"\r\n?|\n")  # as markdown-it counts lines
_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "0123456789" * 2)

_SYMBOLS = re.compile(r"[{}()\[\];=<>+*/\\|&_]")
_MIN_SYMBOL_SHARE = 0.06  # English prose: under 0.02 even with brackets; the code of gpteacher: over 0.10

_DECISIVE = re.compile(
    r"""\s*(?:
      (?:async\s+)?def\s+\w+\s*\(.* | class\s+\w+\s*(?:\([^()]*\)\s*)?(?::|.*\{)
    | (?:export\s+|default\s+|async\s+)*function\b\s*\w*\s*\(.* | (?:const|let|var)\s+[\w$\[{][^=]{0,80}=.*
    | import\s+[\w.{*"'][^.!?]*(?:\sfrom\s.*|\sas\s+\w+|;) | import\s+[a-z_][\w.]* | from\s+[\w.]+\s+import\s.+
    | \#\s*(?:include|define|ifndef|pragma)\b.* | \#!/.* | <\?php.* | using\s+[\w.]+(?:\s+\w+)?;
    | (?:public|private|protected|static)\s.*[({;] | package\s+[\w.]+;
    | (?:int|float|double|char|void|string|bool|String|auto|long)\s+[\w*&\[\]<>]+\s*(?:=.*;|;|\(.*)
    | SELECT\b.*\bFROM\b.* | INSERT\s+INTO\b.* | UPDATE\s+\w+\s+SET\b.* | DELETE\s+FROM\b.*
    | (?:CREATE|ALTER)\s+TABLE\b.*
    | print\s*\(.*\)\s*;? | console\.\w+\(.* | System\.out\.\w+\(.* | (?:std::)?cout\s*<<.* | printf\s*\(.*
    | return\b.*; | (?:for|while|if|else\s+if|switch|catch)\s*\(.*\)\s*\{ | (?:else|try|do)\s*\{
    | for\s+\w+(?:,\s*\w+)*\s+in\s+(?:range\(.*\)|[\w.()\[\]]+): | if\s+__name__\s*==.*
    | (?:el)?if\s+\[.*\bthen | (?:for|while)\s.*;\s*do | echo\s+["'$-].* | [A-Za-z_]\w*=["$].*
    | [A-Za-z_]\w*\s?=\s?(?:'[^']*'|"[^"]*");? | .*[=)(\]>].*;(?:\s*//.*)? | .*\)\s*(?:=>\s*)?\{
    )\s*""",
    re.X,
)
_LIKELY = re.compile(
    r"""\s*(?:
      [})\];,]+ | [A-Za-z_$][\w.\[\]'"]*\s*[-+*/%|&^]?=(?!=)\s*\S.* | [A-Za-z_][\w.]*\(.*\)[;:]?
    | (?:if|elif|for|while|with|except|finally|else|try)\b.*: | return\b.* | end|fi|done|pass|break|continue
    | @[A-Za-z][\w.]*(?:\(.*\))? | \}\s*(?:else|catch|finally)\b.*
    )\s*""",
    re.X,
)
_STATEMENT = re.compile(
    r"""\s*(?:(?:SELECT|INSERT\ INTO|UPDATE|DELETE\ FROM|CREATE|ALTER)\ [^;]*;
    | (?:public|private|protected|static|class|function|const|let|var|def)\ .*[;(){}=:]
    | (?:print|printf|console\.\w+)\s?\(.*\) | [A-Za-z_]\w*\ ?=)""",
    re.X,
)
"""What a line that stands alone must be like to be code: a sentence may end with a semicolon, too."""
_COMMENT = re.compile(r"\s*(?:#(?!#)|//|/\*|--\s)|\s+\*")
_LONGEST_LINE = 1000
"""Characters; a longer line is not looked at for unfenced code."""


_CELL_EDGE = re.compile(r"(?<!\\)\|")
_ROW_START = re.compile(r"[ \t>]*\|?")
_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
_MARKED = ("heading", "item", "quote", "row", "cell", "rule", "code")
"""The parts that cannot be split or joined in translation, as paragraphs can."""


@dataclass(frozen=True)
class Place:
    """Where a part of the Markdown begins, and its word (`heading 2`, `item`, `cell`, `paragraph`, …)."""

    start: int
    word: str

    @property
    def marked(self) -> bool:
        """Whether something in the text marks it; a paragraph is only set apart."""
        return self.word.startswith(_MARKED)


@dataclass(frozen=True)
class Blocks:
    """What the lines of a text say of its build."""

    code: tuple[Span, ...]
    """Its blocks of code."""
    places: tuple[Place, ...]
    """Its parts in order, each nested one behind the one it stands in."""

    @property
    def skeleton(self) -> tuple[str, ...]:
        """One word per mark, in order.

        These are headings (`heading 2`), list items (`item`, `item 3` of a numbered list, `item at 2` in a nested
        one), quotes (`quote`), rules (`rule`) and table rows with their cells (`row of 3`, `row of 3, empty: 2`).
        """
        return tuple(p.word for p in self.places if p.marked and p.word not in ("cell", "code"))


@lru_cache(maxsize=2048)  # several questions are asked about one text, with hundreds of other texts between them
def blocks(text: str) -> Blocks:
    """The blocks of `text`. Arabic-Indic digits count as digits: «١.» numbers a list as 1. does."""
    starts = [0, *(m.end() for m in _NEWLINE.finditer(text)), len(text)]
    if starts[-1] == starts[-2]:
        starts.pop()
    if not _BLOCKY.search(text):
        places = tuple(Place(m.start(), "paragraph") for m in _PARAGRAPH.finditer(text))
        return Blocks(tuple(_unfenced_code(text, starts, [])), places)
    tokens = _MARKDOWN.parse(text.translate(_DIGITS))
    marked = list(_marked_code(text, starts, tokens))
    found = sorted(marked + _unfenced_code(text, starts, marked))
    return Blocks(tuple(found), tuple(_places(text, starts, tokens)))


def _marked_code(text: str, starts: list[int], tokens: list[Token]) -> list[Span]:
    found = []
    for token in tokens:
        if token.type not in ("fence", "code_block") or not token.map:
            continue
        first, last = token.map
        start, end = starts[first], starts[min(last, len(starts) - 1)]
        if token.type == "fence":
            start = text.index(token.markup, start)
        elif not _looks_like_code(token.content):
            continue
        else:
            start += len(text[start:end]) - len(text[start:end].lstrip(" \t>"))
        end = start + len(text[start:end].rstrip())
        if start < end:  # an indented block of nothing but markers is no code
            found.append(Span(start, end, "code", text[start:end], block=True))
    return found


def _looks_like_code(content: str) -> bool:
    if any(_DECISIVE.fullmatch(line) for line in content.splitlines() if len(line) <= _LONGEST_LINE):
        return True
    written = sum(not c.isspace() for c in content)
    return len(_SYMBOLS.findall(content)) >= _MIN_SYMBOL_SHARE * written > 0


def _unfenced_code(text: str, starts: list[int], marked: list[Span]) -> list[Span]:
    """Runs of lines that are code although nothing marks them: answers often are nothing but a program.

    A run has at least two lines of code, or one with nothing but code around it; one of them can be nothing else
    (`_DECISIVE`); comments, indented and blank lines belong to it when code follows. Prose that merely mentions code
    is never taken.
    """
    found: list[Span] = []
    taken = iter(marked)
    block = next(taken, None)
    first = last = -1
    decisive = lines = 0

    def close() -> None:
        nonlocal first, decisive, lines
        if first >= 0 and decisive and (lines >= 2 or _among_code(text, first, last, marked)):
            found.append(Span(first, last, "code", text[first:last], block=True))
        first, decisive, lines = -1, 0, 0

    for start, end in pairwise(starts):
        while block and block.end <= start:
            block = next(taken, None)
        line = text[start:end].rstrip()
        if (block and block.start < end) or len(line) > _LONGEST_LINE:
            close()
            continue
        if not line or (first >= 0 and _COMMENT.match(line)):
            continue
        sure = bool(_DECISIVE.fullmatch(line))
        if sure or _LIKELY.fullmatch(line) or (first >= 0 and line[0] in " \t"):
            first = start if first < 0 else first
            last = start + len(line)
            decisive += sure
            lines += 1
        else:
            close()
    close()
    return found


def _among_code(text: str, start: int, end: int, marked: list[Span]) -> bool:
    """Whether a line opens as a statement does, and nothing but marked code, or nothing, is before and behind it."""
    before, after = len(text[:start].rstrip()), end + len(text[end:]) - len(text[end:].lstrip())
    ends, begins = {0, *(s.end for s in marked)}, {len(text), *(s.start for s in marked)}
    return before in ends and after in begins and bool(_STATEMENT.match(text, start, end))


def _places(text: str, starts: list[int], tokens: list[Token]) -> Iterator[Place]:
    depth = inside = 0
    for token in tokens:
        inside += token.nesting * (token.type.startswith(("list_item", "blockquote")))
        first, last = token.map or (0, 0)
        start = starts[min(first, len(starts) - 1)]
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                depth += 1
            case "bullet_list_close" | "ordered_list_close":
                depth -= 1
            case "heading_open":
                yield Place(start, f"heading {token.tag[1:]}")
            case "list_item_open":
                yield Place(start, f"item {token.info}".strip() + (f" at {depth}" if depth > 1 else ""))
            case "blockquote_open":
                yield Place(start, "quote")
            case "hr":
                yield Place(start, "rule")
            case "fence" | "code_block":
                yield Place(start, "code")
            case "paragraph_open" | "html_block":
                yield Place(start, "paragraph" + (f" at {inside}" if inside else ""))
            case "tr_open":
                yield from _row(text, start, starts[min(last, len(starts) - 1)])


def _row(text: str, start: int, end: int) -> Iterator[Place]:
    """A row and its cells, as many as its pipes set apart: a parser evens them out to those of the head."""
    line = text[start:end].rstrip()
    opening = _ROW_START.match(line)
    at = opening.end() if opening else 0
    edges = [m.start() for m in _CELL_EDGE.finditer(line, at)]
    if not edges or edges[-1] != len(line) - 1:
        edges.append(len(line))
    begins = [at, *(edge + 1 for edge in edges[:-1])]
    empty = [str(n) for n, (a, b) in enumerate(zip(begins, edges, strict=True), 1) if not line[a:b].strip()]
    yield Place(start, f"row of {len(edges)}" + (f", empty: {' '.join(empty)}" if empty else ""))
    yield from (Place(start + begin, "cell") for begin in begins)
