"""Text queries: the syntax of Elasticsearch's `simple_query_string`, asked of words whose spelling is folded.

Words are joined by and; `|` is or, `-` is not, `"…"` a phrase, `word*` a beginning, `( )` a group. Letter case,
Arabic diacritics and lengthening, the carriers of hamza, final ya and ta marbuta, and the script of digits make no
difference: people search as they type, and type as they like.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

Match = Callable[[Sequence[str]], float | None]
"""Of the words of a text: None where they do not match, else how well they do, above 0."""

BREAK = "\0"
"""Between two texts, so that no phrase spans both."""
_SAME = {**dict.fromkeys("أإآٱ", "ا"), "ؤ": "و", "ئ": "ي", "ى": "ي", "ة": "ه"}
_SAME |= {digit: str(n % 10) for n, digit in enumerate("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹")}
_FOLD = str.maketrans(_SAME)
_MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_WORD = re.compile(r"\w+")
_PART = re.compile(r'"[^"]*"?|[()|+]|-(?=[("\w])|[^\s()|+"]+')


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    folded = _MARKS.sub("", unicodedata.normalize("NFKC", text).casefold()).translate(_FOLD)
    return _WORD.findall(folded)


def words_of(value: Any) -> list[str]:
    """The words of everything that is text in a field: a string, or a chat's list of turns."""
    if isinstance(value, str):
        return [*words(value), BREAK]
    if isinstance(value, dict):
        return [word for part in value.values() for word in words_of(part)]
    if isinstance(value, list):
        return [word for part in value for word in words_of(part)]
    return []


def query(text: str) -> Match | None:
    """What a query asks of a text; None where it asks nothing."""
    parser = _Parser(_PART.findall(text))
    found = []
    while parser.left:
        found.append(parser.either())
        parser.skip(")")  # one that closes nothing
    return _all([match for match in found if match])


class _Parser:
    def __init__(self, parts: list[str]) -> None:
        self.left = parts[::-1]

    def skip(self, part: str) -> bool:
        if self.left and self.left[-1] == part:
            self.left.pop()
            return True
        return False

    def either(self) -> Match | None:
        matches = [self.every()]
        while self.skip("|"):
            matches.append(self.every())
        return _any([match for match in matches if match])

    def every(self) -> Match | None:
        matches = []
        while self.left and self.left[-1] not in ("|", ")"):
            if not self.skip("+"):
                matches.append(self.one())
        return _all([match for match in matches if match])

    def one(self) -> Match | None:
        if self.skip("-"):
            return _none(self.one()) if self.left and self.left[-1] not in ("|", ")") else None
        if self.skip("("):
            inner = self.either()
            self.skip(")")
            return inner
        part = self.left.pop()
        asked = words(part)
        if not asked:
            return None
        if len(asked) > 1:  # quoted, or joined by a hyphen or the like
            return _counted(lambda text: _phrases(text, asked))
        if part.endswith("*"):
            return _counted(lambda text: sum(word.startswith(asked[0]) for word in text))
        return _counted(lambda text: text.count(asked[0]))


def _phrases(text: Sequence[str], phrase: list[str]) -> int:
    return sum(list(text[at : at + len(phrase)]) == phrase for at, word in enumerate(text) if word == phrase[0])


def _counted(count: Callable[[Sequence[str]], int]) -> Match:
    def match(text: Sequence[str]) -> float | None:
        found = count(text)
        return 1 + math.log(found) if found else None

    return match


def _all(matches: list[Match]) -> Match | None:
    def match(text: Sequence[str]) -> float | None:
        total = 0.0
        for each in matches:
            score = each(text)
            if score is None:
                return None
            total += score
        return total

    return match if matches else None


def _any(matches: list[Match]) -> Match | None:
    def match(text: Sequence[str]) -> float | None:
        scores = [score for each in matches if (score := each(text)) is not None]
        return sum(scores) if scores else None

    return match if matches else None


def _none(inner: Match | None) -> Match | None:
    return None if inner is None else lambda text: 1.0 if inner(text) is None else None
