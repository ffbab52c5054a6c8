"""Self-destruction: whether a task lost its point when it was translated."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.errors import did_you_mean
from hala_factory.step import Columns, Filter, Share, TextPath, register
from hala_factory.tasks import TASKS, Task, task

_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{3,})[\"”»]")
_MARKS = ("\n\n", "\n", ":")
"""What stands between an instruction and the text to work on."""
_WORD = re.compile(r"\w+")


@register
class SelfDestruction(Filter):
    """Drop rows whose task lost its point in translation: the answer became its own question, or hung on English.

    `after` says how alike a translated answer and the text that its user gave are (1: the same words in the same
    order; case, punctuation and diacritics do not count), `before` the same for the source: "He go home" → "He goes
    home" is a task, «هو يذهب إلى البيت» twice is none. The text given is what follows the instruction (after a blank
    line, a line end or a colon, or in quotes). `task` names what kind of task does not survive a translation at all,
    as the English instruction says: into another language, counting letters or words, grammar and spelling,
    letters and their case, rhyme and puns, spaces; Jais (arXiv 2308.16149) and Fanar leave such tasks out as well.
    Tasks for programs are not meant. A row has what its most alike turn has, and the first task that is found.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Answer politely: Where is the station? → أجب بلطف: أين المحطة؟",
        "dropped": "Fix the spelling: Wher is teh station? → صحح الإملاء: أين المحطة؟",
    }
    revision: ClassVar[int] = 3
    judged_by: ClassVar[tuple[str, ...]] = ("tasks", "drop_echo")

    step: Literal["self_destruction"] = "self_destruction"
    source: TextPath = "messages_en"
    """The conversations that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    max_after: Share | None = 0.95
    """Largest likeness of a translated answer and the text given, where it rose in translation."""
    min_rise: Share = 0.02
    """Smallest rise of that likeness that counts."""
    drop_echo: bool = True
    """Whether an answer that is the text given, to the letter and in the source already, is a reason."""
    tasks: list[Task] = Field(default=list(TASKS))
    """Kinds of tasks that are dropped."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        whole = [name for name, dtype in columns.items() if dtype == rows.MESSAGES]
        for name in ("source", "target"):
            path = str(getattr(self, name))
            if path not in whole and not any(field == name for field, _ in found):
                found.append((name, f"conversations have roles, {path!r} has none{did_you_mean(path, whole)}"))
        return found

    def measures(self) -> Columns:
        alike = dict.fromkeys(("before", "after", "rise"), pl.Float32())
        return {**alike, "echo": pl.Boolean(), "task": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        turns = _turns(frame, self.source, self.target)
        alike = [_alike(turns, f"asked_{side}", f"answer_{side}") for side in ("source", "target")]
        lines = turns.select("row", echo=_echoes(), task=task(pl.col("asked_source")).fill_null("")).with_columns(
            before=alike[0], after=alike[1]
        )
        likest = pl.col("after").arg_max()
        before, after = (pl.col(side).get(likest) for side in ("before", "after"))
        worst: dict[str, tuple[pl.Expr, object]] = {
            "before": (before, 0.0),
            "after": (after, 0.0),
            "rise": (text.measured((after - before).clip(0)), 0.0),
            "echo": (pl.col("echo").any(), False),
            "task": (pl.col("task").filter(pl.col("task") != "").first().fill_null(""), ""),
        }
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = []
        if self.max_after is not None:
            rules.append(("became_equal", (pl.col("after") > self.max_after) & (pl.col("rise") >= self.min_rise)))
        if self.drop_echo:
            rules.append(("echo", pl.col("echo")))
        if self.tasks:
            rules.append(("task_breaks", pl.col("task").is_in(self.tasks)))
        return rules


def _turns(frame: pl.DataFrame, source: str, target: str) -> pl.DataFrame:
    """Every user message with the answer behind it, of both sides: `row`, `asked_…`, `answer_…`."""
    content, role = pl.element().struct.field("content").fill_null(""), pl.element().struct.field("role")
    both = pl.col(source).is_not_null() & pl.col(target).is_not_null()  # what is native has no original
    each = (
        frame.with_row_index("row")
        .filter(both)
        .select(
            "row",
            roles=pl.col(source).list.eval(role),
            asked_source=pl.col(source).list.eval(content),
            asked_target=pl.col(target).list.eval(content),
        )
    )
    said = each.explode("roles", "asked_source", "asked_target", empty_as_null=False)
    following = [pl.col(f"asked_{s}").shift(-1).over("row").alias(f"answer_{s}") for s in ("source", "target")]
    paired = said.with_columns(*following, next=pl.col("roles").shift(-1).over("row"))
    return paired.filter(pl.col("roles") == "user", pl.col("next") == "assistant")


def _alike(turns: pl.DataFrame, asked: str, answer: str) -> pl.Series:
    """How alike each answer is to the text given; 0 where too few of its words are in the question at all."""
    words = turns.select(asked, answer, asked_words=_words(asked), answer_words=_words(answer))
    common = pl.col("asked_words").list.set_intersection(pl.col("answer_words")).list.len()
    distinct = pl.col("answer_words").list.unique().list.len()
    near = ((common > 0) & (common * 10 >= distinct * 8)).fill_null(False)
    scores = [
        _likeness(question, said) if close else 0.0
        for question, said, close in words.select(asked, answer, near=near).iter_rows()
    ]
    return pl.Series(scores, dtype=pl.Float64).round(4).cast(pl.Float32)


def _echoes() -> pl.Expr:
    """Whether a source's answer is the text given."""
    answer = pl.col("answer_source").str.strip_chars()
    last = pl.col("asked_source").str.split("\n\n").list.slice(1).list.last().str.strip_chars()
    given = [*(_given(mark) for mark in _MARKS), pl.when(last != "").then(last)]
    return pl.any_horizontal((g == answer).fill_null(False) for g in given)


def _given(mark: str) -> pl.Expr:
    """What follows the instruction of a source; null where nothing does."""
    given = pl.col("asked_source").str.splitn(mark, 2).struct.field("field_1").str.strip_chars()
    return pl.when(given != "").then(given)


def _words(column: str) -> pl.Expr:
    return text.matching_key(pl.col(column)).str.extract_all(text.WORD)


def _likeness(question: str, said: str) -> float:
    """The likeness of an answer and the most similar of what may be the text given."""
    heads = [question.partition(mark)[2] for mark in _MARKS]
    given = {*heads, question.rpartition(":")[2], question.rpartition("\n")[2], *_QUOTED.findall(question)}
    answer = _grams(said)
    return max(_dice(_grams(g), answer) for g in given)


def _grams(said: str) -> Counter[str]:
    """The words of a text and its pairs of words, folded."""
    words = _WORD.findall(text.folded(said).lower())
    return Counter([*words, *map(" ".join, pairwise(words))])


def _dice(one: Counter[str], other: Counter[str]) -> float:
    whole = one.total() + other.total()
    return 2 * (one & other).total() / whole if whole else 0.0
