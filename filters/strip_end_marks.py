"""Strip end marks: the control text of chat templates and tokenizers that was left at the ends of texts."""

from __future__ import annotations

import re
from collections import Counter
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import marks, rewriting
from hala_factory.step import Columns, Normaliser, TextPath, register

# The beginning of a turn goes with the role it names.
_TURN = r"(?:<\|im_start\|>|<start_of_turn>)(?:system|user|assistant|model|tool|developer)?(?:[ \t]*\n|$)"
_TURN += r"|<\|start_header_id\|>[a-z]{0,20}<\|end_header_id\|>|<\|(?:im_start|start_header_id|end_header_id)\|>"
_TURN += r"|<start_of_turn>"
_OPEN, _CLOSED = "<s>", "</s>"
_LONGEST = 100
"""Characters; no mark is longer, with the role that follows it."""
_LONGEST_WORD = 16
"""Characters of the longest of these words, with what may stand behind it."""
_TOLD_BEFORE = re.compile(
    r"(?:\b(?:tokens?|tags?|marks?|markers?|symbols?|delimiters?|separators?|string|like|as|and|or|with|by|is|called)"
    r"|رمز|الرمز|وسم|الوسم|علامة|العلامة|هو|هي|مثل|أو|بـ|بالرمز):?[ ]$",
    re.I,
)
_TOLD_BEHIND = re.compile(
    r" (?:(?:is|are|was|and|or|means?|marks?|tokens?|tags?|stands|tells|ends)\b|رمز|وسم|هو|هي|و|أو )"
)
_SPACE = re.compile(r"(?:[^\S\n]*\n)+|(?<!\n)[^\S\n]+")  # indentation stays


@register
class StripEndMarks(Normaliser):
    """Strip the marks that a chat template or a tokenizer left at the ends of texts, such as `<|im_end|>` or `</s>`.

    Marks and the white space beside them go as long as any stand at an end, the beginning of a turn together with
    the role that it names (`<|im_start|>assistant`); a text of nothing else becomes empty, for `chat_shape` to
    find. What stands inside a text stays, for it may be about them, and so does a mark that the last words name
    ("the token <eos>") and `</s>` where it closes a strikethrough that `<s>` opened.
    """

    example: ClassVar[dict[str, str]] = {
        "before": "Paris is the capital of France.</s><|im_end|>",
        "after": "Paris is the capital of France.",
    }

    step: Literal["strip_end_marks"] = "strip_end_marks"
    on: TextPath = "messages"
    marks: list[str] = Field(default=[], examples=[["<|stop|>"]])
    """Further marks to strip."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        bad = [mark for mark in self.marks if not mark.strip() or len(mark) > _LONGEST]
        return found + [
            ("marks", f"{mark!r} is no mark: 1 to {_LONGEST} characters, not all white space") for mark in bad
        ]

    def measures(self) -> Columns:
        return {"start_marks": pl.Int32(), "end_marks": pl.Int32()}

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        listed = sorted(
            {mark.strip() for mark in [*marks.END, *marks.COMMON, *self.marks]} - {""}, key=len, reverse=True
        )
        mark = "|".join([_TURN, *map(re.escape, [*listed, _OPEN, _CLOSED])])
        # Both ends of the text are looked at, never all of it.
        whole = rewriting.TEXT.str
        ends = whole.strip_chars_start().str.head(_LONGEST), whole.strip_chars_end().str.tail(_LONGEST)
        trigger = ends[0].str.contains(rf"\A(?:{mark})") | ends[1].str.contains(rf"(?:{mark})\z")
        first, last = re.compile(mark), re.compile(rf"(?:{mark})\Z")

        def change(content: str, found: Counter[str]) -> str:
            end = len(content.rstrip())
            # </s> closes a strikethrough where <s> stands inside the text.
            struck = _OPEN in content.lstrip()[len(_OPEN) :]
            while mark := last.search(content, max(0, end - _LONGEST), end):
                told = _TOLD_BEFORE.search(content, max(0, mark.start() - _LONGEST_WORD), mark.start())
                if told or (struck and mark[0] == _CLOSED):
                    break
                found["end_marks"] += 1
                end = mark.start()
                while end and content[end - 1].isspace():
                    end -= 1
            end = end if found else len(content)
            start, closing = len(content) - len(content.lstrip()), content.rfind(_CLOSED, 0, end)
            while mark := first.match(content, start, end):
                if _TOLD_BEHIND.match(content, mark.end()) or (mark[0] == _OPEN and closing > start):
                    break
                found["start_marks"] += 1
                behind = _SPACE.match(content, mark.end(), end)
                start = behind.end() if behind else mark.end()
            return content[start if found["start_marks"] else 0 : end]

        return rewriting.rewrite(frame, self.on, trigger, list(self.measures()), change)
