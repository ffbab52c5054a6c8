"""Self-referential tasks: instructions about their own words, which lose their point when they are translated.

The model: the task of an English instruction is the first of `TASKS` whose pattern is found in its opening; a task
for a program is none, because programs work on letters in every language. What such a task works on is its
*payload*: what is quoted, and what follows the instruction.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import polars as pl

Task = Literal["language", "counting", "grammar", "letters", "rhyme", "spacing"]
TASKS: tuple[Task, ...] = get_args(Task)

ASKED = 400
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
_PROGRAM = (
    r"(?i)\b(?:functions?|programs?|code|scripts?|python|java\w*|c\+\+|c#|sql|regex|regular\s+expressions?|algorithms?"
    r"|arrays?|passwords?|quer(?:y|ies)|html|css|methods?|strings?|lists?\s+of\s+(?:numbers|integers|strings)|class(?:es)?|loops?|bash|php"
    r"|ruby|swift|variables?|databases?|data\s+frames?|api)\b"
)


def task(asked: pl.Expr) -> pl.Expr:
    """The kind of task that an English message asks for, one of `TASKS`; null where it asks for none of them."""
    opening = asked.str.slice(0, ASKED)
    program = opening.str.contains(_PROGRAM)
    return pl.coalesce(pl.when(opening.str.contains(f"(?i){_BREAKS[t]}") & ~program).then(pl.lit(t)) for t in TASKS)


_QUOTED = re.compile(r"""(?<!\w)(?:"[^"\n]+"|“[^“”\n]+”|«[^«»\n]+»|‘[^‘’\n]+’(?!\w)|'[^'\n]+'(?!\w)|`[^`\n]+`)""")
"""An apostrophe inside a word opens and closes nothing."""
_SET_APART = re.compile(r"\n[ \t]*\n\s*|:\s*\n\s*|:[ \t]+|\n\s*")
"""What stands between an instruction and the text to work on."""
_SHORTEST_INSTRUCTION = 3  # words; before fewer, `Input: …`, the instruction is yet to come


def payload(asked: str) -> list[tuple[int, int]]:
    """Where the text that a task works on stands in its message: start and end of each stretch, in order.

    It is what is quoted in the instruction, quotation marks included, and all that follows the instruction's blank
    line, colon or line end. Empty where the whole message is the instruction.
    """
    ends = (m for m in _SET_APART.finditer(asked) if len(asked[: m.start()].split()) >= _SHORTEST_INSTRUCTION)
    quoted = [m.span() for m in _QUOTED.finditer(asked)]
    end = next((m.end() for m in ends if not any(a < m.start() < b for a, b in quoted)), len(asked))
    stretches = [span for span in quoted if span[1] <= end]
    if asked[end:].strip():
        stretches.append((end, end + len(asked[end:].rstrip())))
    return stretches


def is_quoted(stretch: str) -> bool:
    """Whether a stretch is one quotation and nothing else."""
    return bool(_QUOTED.fullmatch(stretch))
