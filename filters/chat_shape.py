"""Chat shape: whether the messages of a row form a conversation that a model can learn from."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import marks, rows, text
from hala_factory.step import Columns, Filter, TextPath, register

_LETTERS = {"system": "s", "user": "u", "assistant": "a"}

NO_INPUT = [
    "<no input>",
    "<noinput>",
    "<no_input>",
    "<empty>",
    "< no input >",
    "< noinput >",
    "[no input]",
    "[noinput]",
    "(no input)",
    "no input",
    "noinput",
    "no input required",
    "no input needed",
    "no input necessary",
    "no input provided",
    "no input given",
    "n/a",
    "na",
    "none",
    "null",
    "-",
]
NO_ANSWER = ["n/a", "na", "none", "null", "nil", "nan", "undefined", "-", "--", "—", ".", "..", "...", "…", "?"]
NO_ANSWER += [
    "no output",
    "nooutput",
    "<no output>",
    "<nooutput>",
    "<empty>",
    "not applicable",
    "[deleted]",
    "[removed]",
]
NO_ANSWER += ["tbd", "todo", "لا ينطبق", "غير متوفر", "غير متاح"]
_LONGEST = 80  # characters; no placeholder is longer, with the white space around it
_CLOSED, _OPEN = "</s>", "<s>"


@register
class ChatShape(Filter):
    """Drop conversations that are out of shape, empty in places, or hold a placeholder instead of a text.

    In shape is: at most one system message, first; then user and assistant in turn; the assistant last.
    `order` says what is wrong: `ok`, `none` (no message), `unknown_role`, `late_system`, `assistant_first`,
    `repeated_role`, `no_answer`. A placeholder is a whole message of the lists below, whatever its case and
    final full stop; a user message that ends in a line like `<no input>`, or in a paragraph like `No input.` (which
    was a column of its own), is one too. An end mark is the control text of some model's template left in a
    message; `</s>` is one unless the message also opens `<s>`.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "user: What is 2 + 2? assistant: 4",
        "dropped": "user: What is 2 + 2? assistant: N/A",
    }

    revision: ClassVar[int] = 2

    step: Literal["chat_shape"] = "chat_shape"
    on: TextPath = "messages"
    placeholder_inputs: list[str] = Field(default=NO_INPUT)
    """User messages that say nothing."""
    placeholder_answers: list[str] = Field(default=NO_ANSWER)
    """Assistant messages that say nothing."""
    end_marks: list[str] = Field(default=[*marks.END, *marks.BEGINNING, _CLOSED])
    """Texts that must stand in no message."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if not found and columns.get(self.on) != rows.MESSAGES:
            found = [("on", f"{self.on!r} is a part of a conversation; name the whole column of messages")]
        return found

    def measures(self) -> Columns:
        return {
            "turns": pl.Int32(),
            "order": pl.String(),
            "empty_turns": pl.Int32(),
            "placeholder_inputs": pl.Int32(),
            "placeholder_answers": pl.Int32(),
            "end_marks": pl.Int32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        messages = frame.select(messages=self.on).with_row_index("row")
        turns = messages.select(turns=pl.col("messages").list.len().fill_null(0).cast(pl.Int32))
        each = (
            messages.filter(pl.col("messages").list.len() > 0)
            .explode("messages")
            .select("row", role=_part("role"), content=_part("content").fill_null(""))
        )
        content, role = pl.col("content"), pl.col("role")
        # A placeholder is short: the case of long texts need not be folded to know that they are none.
        brief = pl.when(content.str.len_chars() <= _LONGEST).then(content).otherwise(pl.lit("long"))
        plain = brief.str.strip_chars().str.to_lowercase()
        tail = content.str.slice(-_LONGEST).str.strip_chars().str.to_lowercase()
        ends_in_mark = _ends_in(tail, "\n", [w for w in self.placeholder_inputs if w.startswith("<")])
        ends_in_mark |= _ends_in(tail, rows.JOIN, self.placeholder_inputs)
        judged = each.select(
            "row",
            letter=role.replace_strict(_LETTERS, default="x", return_dtype=pl.String).fill_null("x"),
            empty=~content.str.contains(r"\S"),
            input=(role == "user") & (_among(plain, self.placeholder_inputs) | ends_in_mark),
            answer=(role == "assistant") & _among(plain, self.placeholder_answers),
            mark=self._marked(content),
        )
        counts = {name: (pl.col(name).sum().cast(pl.Int32), 0) for name in ("empty", "input", "answer", "mark")}
        found = text.per_row(judged, frame.height, {"letters": (pl.col("letter").str.join(), ""), **counts})
        return found.select(
            turns=turns["turns"],
            order=_order(pl.col("letters")),
            empty_turns="empty",
            placeholder_inputs="input",
            placeholder_answers="answer",
            end_marks="mark",
        )

    def _marked(self, content: pl.Expr) -> pl.Expr:
        listed = [m for m in self.end_marks if m != _CLOSED]
        found = content.str.contains_any(listed)
        if _CLOSED not in self.end_marks:
            return found
        # </s> also closes HTML's strikethrough.
        return found | (content.str.contains(_CLOSED, literal=True) & ~content.str.contains(_OPEN, literal=True))

    def rules(self) -> list[tuple[str, pl.Expr]]:
        order = pl.col("order")
        return [
            ("no_messages", pl.col("turns") == 0),
            ("unknown_role", order == "unknown_role"),
            ("role_order", order != "ok"),
            ("empty_turn", pl.col("empty_turns") > 0),
            ("placeholder_input", pl.col("placeholder_inputs") > 0),
            ("placeholder_answer", pl.col("placeholder_answers") > 0),
            ("end_of_text", pl.col("end_marks") > 0),
        ]


def _part(field: str) -> pl.Expr:
    return pl.col("messages").struct.field(field)


def _ends_in(tail: pl.Expr, after: str, listed: list[str]) -> pl.Expr:
    """Whether the text ends in one of those listed, on its own after a break, with or without a final full stop."""
    words = "|".join(re.escape(w.strip().lower()) for w in listed)
    return tail.str.contains(rf"{after}\s*(?:{words})\.?\z") if listed else pl.lit(False)


def _among(plain: pl.Expr, listed: list[str]) -> pl.Expr:
    """Whether the text is one of those listed, with or without a final full stop."""
    listed = [w.strip().lower() for w in listed]
    return plain.is_in(listed) | plain.str.strip_suffix(".").is_in(listed)


def _order(letters: pl.Expr) -> pl.Expr:
    """What is wrong with a conversation, spelt as one letter per message."""
    return (
        pl.when(letters == "")
        .then(pl.lit("none"))
        .when(letters.str.contains("x", literal=True))
        .then(pl.lit("unknown_role"))
        .when(letters.str.contains(r"^s?(?:ua)+$"))
        .then(pl.lit("ok"))
        .when(letters.str.contains(".s"))
        .then(pl.lit("late_system"))
        .when(letters.str.contains("^s?a"))
        .then(pl.lit("assistant_first"))
        .when(letters.str.contains("uu|aa"))
        .then(pl.lit("repeated_role"))
        .otherwise(pl.lit("no_answer"))
    )
