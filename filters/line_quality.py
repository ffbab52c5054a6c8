"""Line quality: what the lines of a text look like, by the rules of FineWeb and of C4."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register

_CLOSING = r"[\"'”’»›)\]}*_`]*\s*$"
_TERMINAL = rf"[.!?…:؟۔؛。！？।]{_CLOSING}"
_C4_TERMINAL = r"(?:[.!?؟۔。！？][\"'”’»)\]]*|[\"”»])\s*$"
_ELLIPSIS = r"(?:\.\.\.|…)\s*$"
_SENTENCE_END = r"[.!?؟۔。！？]+[\"'”’»)\]]*(?:\s|$)"
_FENCE = r"(?s:```.*?(?:```|\z))"
# Items of lists, headings, quotes, tables, comments, lines of code, `Key: value` and single words end as they please.
# Several patterns, because one of them all is twenty times slower.
_NO_PROSE = (
    r"^\s*(?:[-*+•▪●◦‣–—]\s|\(?(?:\p{Nd}{1,3}|\p{L}|[ivxIVX]{1,5})[.):\-]|#{1,6}\s|[>|<]|//|/\*)",
    r"^(?: {2}|\t|(?:#include|import|from|def|class|return|echo|print|let|const|var)\b)",
    r"[;{}()\[\]<>=,|\\]\s*$",
    r"^[^:\n]{1,40}:(?:\s|$)",
    r"^\s*\S+\s*$",
)

JAVASCRIPT = ["enable javascript", "javascript is disabled", "javascript is not enabled", "javascript must be enabled"]
JAVASCRIPT += ["requires javascript", "turn on javascript", "activate javascript", "javascript to be enabled"]
JAVASCRIPT += [
    f"{word} {script}" for word in ("تفعيل", "تمكين") for script in ("جافا سكريبت", "جافاسكريبت", "javascript")
]
# The phrases of C4's code, and what Arabic sites write in their place.
POLICY = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
POLICY += ["شروط الاستخدام", "سياسة الخصوصية", "سياسة ملفات تعريف الارتباط", "سياسة الكوكيز"]
POLICY += [f"{word} ملفات تعريف الارتباط" for word in ("نستخدم", "يستخدم", "تستخدم", "استخدام", "باستخدام")]
LOREM_IPSUM = ["lorem ipsum", "لوريم إيبسوم", "لوريم ايبسوم"]

Ratio = Annotated[float, Field(ge=0)]


@register
class FinewebLines(Filter):
    """Drop texts whose lines look like menus, lists of links or forms, by the rules of FineWeb (arXiv 2406.17557).

    Judged are lines of prose only: code in fences, items of lists, headings, tables, quotes, `key: value`, lines
    of one word and lines that begin or end like code do not count, so that the answers of assistants stay. A text
    with fewer than `min_lines` such lines is not judged.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The river floods in spring.\nIt leaves dark soil in the lower fields.",
        "dropped": "About us\nOur team\nContact us\nSign in\n(ten such lines)",
    }

    step: Literal["fineweb_lines"] = "fineweb_lines"
    on: TextPath = "messages"
    short_line_chars: Annotated[int, Field(ge=1)] = 30
    """A line of at most so many characters is short."""
    min_lines: Count | None = 10
    """Fewest lines of prose of a text that is judged."""  # Alpaca: 99.7 % stay; with 5, 99.2
    min_terminal_lines: Share | None = 0.12
    """Smallest share of lines that end in punctuation, a colon among it."""
    max_short_lines: Share | None = 0.67
    """Largest share of short lines."""
    max_duplicate_line_chars: Share | None = 0.1
    """Largest share of characters in lines that stood before."""  # the paper's; datatrove's default is 0.01
    max_lines_per_word: Ratio | None = 0.3
    """Most lines per word."""  # not in the paper, but in its code (datatrove 0.10.1)

    def measures(self) -> Columns:
        return {
            "lines": pl.Int32(),
            "terminal_lines": pl.Float32(),
            "short_lines": pl.Float32(),
            "duplicate_line_chars": pl.Float32(),
            "lines_per_word": pl.Float32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        texts = frame.select(text=rows.text(self.on).str.replace_all(_FENCE, "\n"))
        line = pl.col("line")
        chars = line.str.len_chars()
        lines = _lines(texts).filter(~pl.any_horizontal(*(line.str.contains(p) for p in _NO_PROSE)))
        each = lines.select(
            "row",
            "line",
            chars=chars,
            terminal=line.str.contains(_TERMINAL),
            short=chars <= self.short_line_chars,
            words=line.str.strip_chars().str.count_matches(r"\s+") + 1,
            # 64 bits for row and line: the value decides nothing, only whether two are equal.
            again=~pl.struct("row", "line").hash().is_first_distinct(),
        )
        sums = {
            "lines": (pl.len().cast(pl.Int32), 0),
            "terminal": (pl.col("terminal").sum(), 0),
            "short": (pl.col("short").sum(), 0),
            "words": (pl.col("words").sum(), 0),
            "chars": (pl.col("chars").sum(), 0),
            "again": (pl.col("chars").filter("again").sum(), 0),
        }
        counts = text.per_row(each, frame.height, sums)
        return counts.select(
            lines="lines",
            terminal_lines=text.ratio(pl.col("terminal"), pl.col("lines"), empty=1.0),
            short_lines=text.ratio(pl.col("short"), pl.col("lines")),
            duplicate_line_chars=text.ratio(pl.col("again"), pl.col("chars")),
            lines_per_word=text.ratio(pl.col("lines"), pl.col("words")),
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        judged = pl.col("lines") >= (self.min_lines or 0)
        bounds = [
            ("too_few_terminal_lines", self.min_terminal_lines, pl.col("terminal_lines").lt),
            ("too_many_short_lines", self.max_short_lines, pl.col("short_lines").gt),
            ("duplicate_lines", self.max_duplicate_line_chars, pl.col("duplicate_line_chars").gt),
            ("too_many_lines", self.max_lines_per_word, pl.col("lines_per_word").gt),
        ]
        return [(reason, judged & beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


@register
class C4Lines(Filter):
    """Drop texts with the boilerplate of web pages, by the rules of C4 (arXiv 1910.10683).

    C4 cuts lines; here they are counted, and the row is judged. `kept_lines` is the share of lines that C4 would
    leave: they end in `.`, `!`, `?` or a quotation mark (not in `...`), have `line_words` words, and hold no phrase of
    the lists; `sentences` are those in them. C4 also drops whatever mentions JavaScript, has a curly bracket or
    fewer than 3 sentences: that would cost every lesson in programming and every short answer, so these are off
    unless asked for (`javascript_phrases: [javascript]`, `max_curly_brackets: 0`, `min_sentences: 3`).
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The river floods in spring. It leaves dark soil in the lower fields.",
        "dropped": "Please enable JavaScript in your browser to see this page.",
    }

    step: Literal["c4_lines"] = "c4_lines"
    on: TextPath = "messages"
    line_words: Count = 5
    """Fewest words of a line that C4 leaves."""
    javascript_phrases: list[str] = Field(default=JAVASCRIPT)
    """What a page says where JavaScript is off; case does not matter."""
    policy_phrases: list[str] = Field(default=POLICY)
    """What the foot of a page says; case does not matter."""
    min_kept_lines: Share | None = None
    """Smallest share of lines that C4 would leave."""
    min_sentences: Count | None = None
    """Fewest sentences in such lines."""
    max_javascript_lines: Count | None = 0
    """Most lines with one of `javascript_phrases`."""
    max_policy_lines: Count | None = 2
    """Most lines with one of `policy_phrases`; one or two may be what the text is about."""
    max_lorem_ipsum: Count | None = 0
    """Most lines with `lorem ipsum` outside fenced code."""
    max_curly_brackets: Count | None = None
    """Most `{` outside fenced code."""

    def measures(self) -> Columns:
        return {
            "kept_lines": pl.Float32(),
            "sentences": pl.Int32(),
            "javascript_lines": pl.Int32(),
            "policy_lines": pl.Int32(),
            "lorem_ipsum": pl.Int32(),
            "curly_brackets": pl.Int32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        texts = frame.select(text=rows.text(self.on).str.replace_all(_FENCE, "\n"))
        line, kept = pl.col("line"), pl.col("kept")
        each = _lines(texts).select(
            "row",
            "line",
            javascript=_holds(line, self.javascript_phrases),
            policy=_holds(line, self.policy_phrases),
            lorem=_holds(line, LOREM_IPSUM),
            kept=line.str.contains(_C4_TERMINAL)
            & ~line.str.contains(_ELLIPSIS)
            & line.str.contains(rf"^\s*(?:\S+\s+){{{max(self.line_words - 1, 0)}}}\S"),
        )
        each = each.with_columns(kept=kept & ~pl.col("javascript") & ~pl.col("policy"))
        each = each.with_columns(
            sentences=pl.when(kept).then(line.str.count_matches(_SENTENCE_END).clip(lower_bound=1)).otherwise(0),
            curly=line.str.count_matches("{", literal=True),
        )
        sums = {
            n: (pl.col(n).sum().cast(pl.Int32), 0) for n in ("javascript", "policy", "lorem", "curly", "sentences")
        }
        found = text.per_row(each, frame.height, {**sums, "kept": (kept.sum(), 0), "of": (pl.len(), 0)})
        return found.select(
            kept_lines=text.ratio(kept, pl.col("of"), empty=1.0),
            sentences="sentences",
            javascript_lines="javascript",
            policy_lines="policy",
            lorem_ipsum="lorem",
            curly_brackets="curly",
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("lorem_ipsum", self.max_lorem_ipsum, pl.col("lorem_ipsum").gt),
            ("javascript", self.max_javascript_lines, pl.col("javascript_lines").gt),
            ("policy", self.max_policy_lines, pl.col("policy_lines").gt),
            ("curly_bracket", self.max_curly_brackets, pl.col("curly_brackets").gt),
            ("too_few_kept_lines", self.min_kept_lines, pl.col("kept_lines").lt),
            ("too_few_sentences", self.min_sentences, pl.col("sentences").lt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


def _lines(texts: pl.DataFrame) -> pl.DataFrame:
    """Every line that is not blank on a line of its own: `row`, `line`."""
    split = texts.with_row_index("row").select("row", line=pl.col("text").str.split("\n"))
    return split.explode("line").filter(pl.col("line").str.contains(r"\S"))


def _holds(line: pl.Expr, phrases: list[str]) -> pl.Expr:
    listed = "|".join(re.escape(p.strip()) for p in phrases if p.strip())
    return line.str.contains(f"(?i){listed}") if listed else pl.lit(False)
