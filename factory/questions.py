"""Questions with their right answers: what a benchmark of the catalog asks, in one form, for scores.

The model: a question that cannot be asked, or whose answer is none of its choices, is an error: a score over the
others would be another score. Which files are read, and what decides them, is `benchmarks`' business.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import xxhash

from hala_factory import benchmarks, reader
from hala_factory.errors import BuildError, InputError
from hala_factory.reader.values import spell_scalar, value_at
from hala_factory.rows import JOIN

REVISION = 1
"""Raised when the same files give other questions."""
MOST = 5
"""Choices of a question: the letters that the six have."""
LETTERS = "ABCDE"
ARABIC = ("أ", "ب", "ج", "د", "هـ")
_FOLDED = {"ا": "أ", "ه": "هـ"}
"""Other ways to write them."""


@dataclass(frozen=True)
class Question:
    """One question, and which of its choices is right."""

    row: str
    """Its id in its own file, else `FILE:RECORD`."""
    question: str
    choices: tuple[str, ...]
    answer: int
    """Place of the right choice, from 0."""
    context: str
    """The passage it is about; '' where there is none."""
    topic: str
    """What the prompt says that it is about; ''."""
    subset: str
    """The part of the benchmark by which its score is averaged; ''."""

    def told(self) -> dict[str, Any]:
        """The question as a line of JSON holds it."""
        return {**asdict(self), "choices": list(self.choices)}


def identity(located: benchmarks.Located) -> dict[str, Any]:
    """What decides the questions, for fingerprints."""
    entry = located.entry
    scored = {"columns": entry.columns, "answer_as": entry.answer_as, "unscored": entry.unscored}
    subsets = {"subsets": dict(located.subsets)} if located.subsets else {}
    return {**located.identity, **scored, **subsets, "questions": REVISION}


def read(located: benchmarks.Located, limit: int | None = None, seed: int = 0) -> list[Question]:
    """The questions that are scored, in the order of their files; with `limit`, that many of them drawn by lot.

    Raises:
        InputError: The catalog does not say which column holds the answer, or a column is missing.
        BuildError: A record cannot be read, or a question has no right answer among its choices; or there is none.
    """
    expect(located)
    found = [q for file in located.files.files for q in _questions(located, file)]
    if not found:
        left = f" outside {', '.join(located.entry.unscored)}" if located.entry.unscored else ""
        raise BuildError(f"benchmark {located.name!r}: it has no question{left}; see to its 'columns'")
    if limit is None or limit >= len(found):
        return found
    lots = ((xxhash.xxh3_64_intdigest(f"{seed}\x1f{n}\x1f{q.row}".encode()), n) for n, q in enumerate(found))
    return [found[n] for n in sorted(n for _, n in heapq.nsmallest(limit, lots))]


def expect(located: benchmarks.Located) -> None:
    """Raise InputError where the catalog does not say what scores need."""
    for column in ("choices", "answer"):
        if column not in located.entry.columns:
            raise InputError(
                f"benchmark {located.name!r}: its 'columns' do not say which one holds the {column}; "
                f"without {column} it cannot be scored"
            )


def _questions(located: benchmarks.Located, file: reader.File) -> Iterator[Question]:
    entry = located.entry
    for place, asked in benchmarks.records(located, file, entry.columns):
        found = {name: benchmarks.texts(asked, paths, name, place) for name, paths in entry.columns.items()}
        subset = " ".join(found["subset"]) if "subset" in found else located.subsets.get(file.name, "")
        text = JOIN.join(found["question"])
        if not text.strip() or subset in entry.unscored:
            continue
        choices, places = _choices(asked, entry.columns["choices"])
        if len(choices) < 2 or places[-1] >= MOST:
            raise BuildError(
                f"{place}: the question has {len(choices)} choice{'s' * (len(choices) != 1)}, expected 2 to {MOST}; "
                f"mend it, or see to the 'columns' of benchmark {located.name!r}"
            )
        said = "".join(found["answer"])
        right = _place(said, entry.answer_as, choices, places)
        if right is None:
            raise BuildError(
                f"{place}: the answer is {said!r}, expected {_expected(entry.answer_as, choices, places)}; mend it, "
                f"or see to 'answer' and 'answer_as' of benchmark {located.name!r}"
            )
        row = "".join(found.get("id", [])) or place
        context, topic = JOIN.join(found.get("context", [])), " ".join(found.get("topic", []))
        yield Question(row, text, tuple(choices), right, context, topic, subset)


def _choices(asked: dict[str, Any], paths: str | list[str]) -> tuple[list[str], list[int]]:
    """The choices that are not empty, and the place of each among all: answers are spelt by that."""
    held = [value_at(asked, path, None) for path in ([paths] if isinstance(paths, str) else paths)]
    listed = [choice for each in held for choice in (each if isinstance(each, list) else [each])]
    kept = [(spell_scalar(choice), n) for n, choice in enumerate(listed) if choice not in (None, "")]
    return [text for text, _ in kept], [n for _, n in kept]


def _place(said: str, spelt: str, choices: list[str], places: list[int]) -> int | None:
    """Which of the choices an answer means; None where it means none of them."""
    spelling = _spellings(spelt, choices, places)
    word = said.strip()
    word = _FOLDED.get(word, word) if spelt == "arabic_letter" else word
    return spelling.index(word) if spelling.count(word) == 1 else None


def _spellings(spelt: str, choices: list[str], places: list[int]) -> list[str]:
    """How an answer that means each of the choices is spelt."""
    if spelt == "text":
        return [choice.strip() for choice in choices]
    words = {"letter": LETTERS, "arabic_letter": ARABIC, "index": range(MOST), "number": range(1, MOST + 1)}[spelt]
    return [str(words[n]) for n in places]


def _expected(spelt: str, choices: list[str], places: list[int]) -> str:
    if spelt == "text":
        return "the text of one of its choices"
    return f"one of {', '.join(_spellings(spelt, choices, places))} ({spelt})"
