"""Self-destruction: whether a task lost its point when it was translated."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.errors import did_you_mean
from hala_factory.step import Columns, Filter, Share, TextPath, register

Task = Literal["language", "counting", "grammar", "letters", "rhyme", "spacing"]
TASKS: tuple[Task, ...] = get_args(Task)

_ASKED = 400
"""Characters of a message in which its instruction is looked for: what follows is the text to work on."""
_LANGUAGE = (
    "Afrikaans|Albanian|Amharic|Arabic|Armenian|Bengali|Bulgarian|Catalan|Chinese|Croatian|Czech|Danish|Dutch|English"
    "|Estonian|Farsi|Filipino|Finnish|French|Gaelic|Georgian|German|Greek|Gujarati|Hawaiian|Hebrew|Hindi|Hungarian"
    "|Icelandic|Indonesian|Irish|Italian|Japanese|Kannada|Khmer|Korean|Lao|Latin|Latvian|Lithuanian|Malay|Malayalam"
    "|Mandarin|Marathi|Mongolian|Nepali|Norwegian|Pashto|Persian|Polish|Portuguese|Punjabi|Romanian|Russian|Serbian"
    "|Slovak|Slovenian|Somali|Spanish|Swahili|Swedish|Tagalog|Tamil|Telugu|Thai|Turkish|Ukrainian|Urdu|Uzbek"
    "|Vietnamese|Welsh|Yoruba|Zulu"
)
_ON_TEXT = r"(?:sentences?|texts?|phrases?|words?|paragraphs?|passages?|quotes?|statements?|expressions?|lines?|poem)"
_UNITS = r"(?:letters?|words|characters|syllables?|vowels?|consonants?)\b"
_BREAKS: dict[Task, str] = {
    "language": (
        rf"\btranslat\w+\b[^.\n]{{0,120}}\b(?:in|into|to|from)\s+(?:\w+\s)?(?:{_LANGUAGE})\b"
        rf"|\btranslat(?:e|ing)\s+(?:the|this|these|that)\s+(?:following\s+|given\s+)?{_ON_TEXT}\b"
        rf"|\b(?:say|write|rewrite|express|convert|change|rephrase|answer|respond|put)\b[^.\n]{{0,80}}"
        rf"\b(?:in|into|to)\s+(?:\w+\s)?(?:{_LANGUAGE})\b"
        r"|\b(?:simple|simpler|plain|basic|British|American|Old|Shakespearean)\s+English\b"
        rf"|\bthe\s+(?:{_LANGUAGE})\s+(?:word|phrase|translation|equivalent|term)s?\b|\bEnglish\s+(?:idiom|proverb)s?\b"
    ),
    "counting": (
        rf"\bhow\s+many\s+(?:[\w-]+\s+){{0,2}}{_UNITS}|\bcount\b[^.?\n]{{0,40}}\b{_UNITS}"
        rf"|\b(?:determine|identify|find|calculate|output|give|state|what\s+is)\b[^.?\n]{{0,20}}\bnumber\s+of\b[^.?\n]{{0,15}}\b{_UNITS}"
        r"|\b(?:output|give|find|calculate|determine|the)\s+word\s+count\b|\blength\s+of\s+the\s+word\b"
    ),
    "grammar": (
        r"\b(?:fix|correct|find|identify|detect|edit|proofread|check|improve|rewrite|re-write|revise|spot|mistakes?|errors?)\b"
        r"[^.?\n]{0,60}\b(?:gramma\w+|spelling|misspell\w*|punctuat\w+|typos?|capitali[sz]\w+)\b"
        r"|\bgrammatical\w*\s+(?:correct|errors?|mistakes?|incorrect)"
        r"|\b(?:spelling|grammar|punctuation)\s+(?:errors?|mistakes?)"
        r"|\b(?:fix|correct|proofread)\s+(?:the|this|any)\s+(?:following\s+|given\s+|errors?\s+in\s+(?:the|this)\s+)*"
        r"(?:sentences?|texts?|phrases?|paragraphs?|passages?)\b"  # a statement may be wrong otherwise
        r"|\b(?:insert|add|use|place|provide|correctly)\b[^.?\n]{0,30}\b(?:commas?|apostrophes?|semicolons?|punctuat\w+)\b"
    ),
    "letters": (
        r"\b(?:start|begin|end)(?:s|ing)?\s+with\s+(?:the\s+|an?\s+)?(?:same\s+)?"
        r"(?:letters?|vowel|consonant|[\"'“‘]?(?-i:[A-Z])[\"'”’]?(?:\W|$))"
        r"|\bletters?\s+[\"'“‘]?[A-Z][\"'”’]?(?:\W|$)|\banagrams?\b|\bpalindrom\w+|\bacrostic|\balliterat\w+"
        r"|\b(?:create|make|form|generate|come\s+up\s+with|invent)\b[^.?\n]{0,30}\bacronyms?\b"
        r"|\bunscrambl\w+|\bscrambled\b|\b(?:upper|lower)\s?case\b|\bcapital\s+letters?\b|\btitle\s+case\b|\ball\s+caps\b"
        r"|\balphabetical(?:ly)?\b|\balphabeti[sz]e\b|\bspell\s+(?:the|out|it)\b|\bdo\s+you\s+spell\b|\bpig\s+latin\b"
        r"|\bvowels?\b|\bhomophones?\b|\bhomonyms?\b|\brearrang\w+\s+(?:the\s+)?(?:following\s+|given\s+)?letters\b"
        r"|\bcontractions?\s+(?:in|of|for|with)\b"
    ),
    "rhyme": (
        r"\brhym(?:e|es|ed|ing)\s+with\b|\bthat\s+rhymes?\b|\brhyming\b"
        r"|\b(?:write|create|compose|generate|make|come\s+up|construct|tell|rewrite|turn|put|convert|give|provide|produce"
        r"|think|craft|build)\b[^.?\n]{0,60}"
        r"\b(?:rhymes?|limericks?|haikus?|tongue[ -]twisters?|puns?|sonnets?|iambic|wordplay|syllables?)\b"
    ),
    "spacing": (
        r"\b(?:add|insert|missing|put|remove|without)\s+(?:the\s+|any\s+)?(?:missing\s+)?(?:white\s?)?spac(?:es?|ing)\b"
    ),
}
# Programs work on letters in every language.
_PROGRAM = (
    r"(?i)\b(?:functions?|programs?|code|scripts?|python|java\w*|c\+\+|c#|sql|regex|regular\s+expressions?|algorithms?"
    r"|arrays?|passwords?|quer(?:y|ies)|html|css|methods?|strings?|lists?\s+of\s+(?:numbers|integers|strings)|class(?:es)?|loops?|bash|php"
    r"|ruby|swift|variables?|databases?|data\s+frames?|api)\b"
)
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
    revision: ClassVar[int] = 2
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
        asked = pl.col("asked_source").str.slice(0, _ASKED)
        program = asked.str.contains(_PROGRAM)
        task = [pl.when(asked.str.contains(f"(?i){_BREAKS[t]}") & ~program).then(pl.lit(t)) for t in TASKS]
        lines = turns.select("row", echo=_echoes(), task=pl.coalesce(*task, pl.lit(""))).with_columns(
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
    each = frame.with_row_index("row").select(
        "row",
        roles=pl.col(source).list.eval(role),
        asked_source=pl.col(source).list.eval(content),
        asked_target=pl.col(target).list.eval(content),
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
