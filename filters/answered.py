"""Answered: questions and orders that a translator answered instead of translating them."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import polars as pl

from hala_factory import phrases, rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

_QUESTION_MARK = "[?؟⸮]"
_CLAUSE = re.compile(r"[.,،؛:!\n»«\"()-]+")
_WORD = re.compile(r"\w+")
_WORDS, _LATER_WORDS = 5, 2  # of the first clause and of a later one, in which an interrogative may stand
# Good Arabic translations have 0.7 to 1.1 of the English characters.
_TIMES, _MORE = 2, 120
_LONGER, _SHORTER, _SOME = 1.4, 0.4, 30


@register
class Answered(Filter):
    """Drop rows in which a message answers its source instead of translating it.

    Only sources that ask are judged: an English question, or an order to write something. Their translations ask as
    well, and an answer shows by what it lacks and by what it has. A question lost its question mark and every
    interrogative (0.6 of the score; 0.4 for a request such as “Can you …?”, which Arabic may render as an order). An
    order is no order any more (0.3). The text opens as an answer does («نعم،», «إليك», “Sure!”; 0.4) or declines
    («عذرًا، لا أستطيع المساعدة»; 0.6); is longer than twice its source and 120 characters (0.4), or of an odd length
    (0.25); has none of the source's numbers (0.2); or holds a program that the source does not (0.6). A row has the
    score of its worst message. Of 44,000 good pairs, with 4,800 questions, 8 are dropped
    (`benchmarks/truth_leaks.py`).
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "What is the capital of France? → ما عاصمة فرنسا؟",
        "dropped": "What is the capital of France? → عاصمة فرنسا هي باريس.",
    }

    step: Literal["answered"] = "answered"
    source: TextPath = "messages_en"
    """The texts that were translated, in English."""
    target: TextPath = "messages"
    """Their translations."""
    max_score: Share | None = 0.5
    """Largest score of a row that stays."""

    def measures(self) -> Columns:
        return {"score": pl.Float32(), "asked": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        source, target = pl.col("source"), pl.col("target")
        opening = source.str.head(phrases.OPENING)
        numbers = text.numbers(source)
        lines = (
            rows.text_pairs(frame, self.source, self.target)
            .filter(
                source.str.contains(r"\?\W{0,9}$|^\W*(?i:wh|how)")
                | opening.str.to_lowercase().str.contains(phrases.ORDER_HINT)
            )
            .filter(target.str.contains(r"\S"))
            .select(
                "row",
                opening,
                ending=source.str.strip_chars().str.tail(phrases.OPENING),
                target=target.str.head(2 * phrases.OPENING),
                questions=target.str.contains(_QUESTION_MARK),
                asked_chars=_chars("source"),
                told_chars=_chars("target"),
                renumbered=(numbers.list.len() > 0)
                & (numbers.list.set_intersection(text.numbers(target)).list.len() == 0),
                program=target.str.contains("```", literal=True) & ~source.str.contains("```", literal=True),
            )
        )
        found = [_judged(*line) for line in lines.drop("row").iter_rows()]
        scores = pl.DataFrame(found, schema={"score": pl.Float64, "asked": pl.String}, orient="row")
        worst = {
            "score": (text.measured(pl.col("score").max()), 0.0),
            "asked": (pl.col("asked").get(pl.col("score").arg_max()), ""),
        }
        return text.per_row(pl.concat([lines.select("row"), scores], how="horizontal"), frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [] if self.max_score is None else [("answered", pl.col("score") > self.max_score)]


def _chars(side: str) -> pl.Expr:
    return text.collapse_space(text.prose(pl.col(side))).str.len_chars().cast(pl.Int64)


def _judged(
    opening: str,
    ending: str,
    target: str,
    questions: bool,
    asked_chars: int,
    told_chars: int,
    renumbered: bool,
    program: bool,
) -> tuple[float, str]:
    """How surely the target answers its source, and what the source was: `question`, `request`, `order`, or ''."""
    spoken, asked, told = map(phrases.normalised, (opening, ending, target))
    long = told_chars > _TIMES * asked_chars + _MORE
    opens = bool(re.search(phrases.ANSWERS, told) and not re.search(phrases.ANSWERED_TOO, spoken))
    lost = not questions and (opens or not re.search(phrases.ORDERS_ARABIC, told))
    if re.search(phrases.QUESTION, asked):
        kind, score = "question", 0.6 * (lost and not _asks(target, long))
    elif re.search(phrases.REQUEST, asked):
        kind, score = "request", 0.4 * (lost and not _asks(target, long))
    elif re.search(phrases.ORDER, spoken):
        kind, score = "order", 0.3 * (lost and re.search(phrases.ARABIC, told) is not None)
    elif re.search(phrases.UNMARKED, asked):
        kind, score = "question", 0.3 * (lost and not _asks(target, long))
    else:
        return 0.0, ""
    if re.search(phrases.DECLINES, told) and not re.search(phrases.SOURCE_REFUSES, f"{spoken} {asked}"):
        score += 0.6
    score += 0.4 * opens
    if long:
        score += 0.4
    elif told_chars > _LONGER * asked_chars + _SOME or (asked_chars >= _SOME and told_chars < _SHORTER * asked_chars):
        score += 0.25
    return min(score + 0.2 * renumbered + 0.6 * program, 1.0), kind


def _asks(target: str, long: bool) -> bool:
    """Whether an Arabic text opens as a question does, or one of its clauses; of a long one, the first or the last."""
    clauses = [" ".join(_WORD.findall(phrases.normalised(clause))) for clause in _CLAUSE.split(target)]
    clauses = [clause for clause in clauses if clause]
    for place, clause in enumerate(clauses):
        if long and 0 < place < len(clauses) - 1:
            continue
        words = clause.split()[: _LATER_WORDS if place else _WORDS]
        words += [word[1:] for word in words if word[0] in "وف"]
        if phrases.INTERROGATIVES_ANYWHERE.intersection(words) or re.search(phrases.INTERROGATIVE_OPENING, clause):
            return True
    return False
