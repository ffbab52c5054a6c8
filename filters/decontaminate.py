"""Decontamination: rows that hold a question of a benchmark, in each language against the tests in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, PrivateAttr

from hala_factory import overlap, rows, text
from hala_factory.errors import BuildError, did_you_mean
from hala_factory.step import Columns, Filter, Share, TextPath, register

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")]
Benchmark = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
_BATCH_CHARS = 1 << 17  # looked at at once: their arrays stay in the cache, and memory stays bounded
_EVIDENCE_CHARS = 120
_EMPTY_WORDS = (
    "which what of the following these those statement statements sentence sentences claim claims is are was were "
    "correct incorrect true false right wrong not best most answer answers choose select option options choice "
    "choices about above below all but except one and a an to question "
    # as `text.matching_key` spells them
    "اي ايها ايهما ايا ما ماذا هو هي من بين مما ممايلي يلي التالي التاليه الاتي الاتيه السابق السابقه اعلاه ادناه "
    "هذه هذا العباره العبارات عباره البيان البيانات بيان الجمله الجمل جمله القول الاقوال المعلومات الخيار الخيارات "
    "صحيح صحيحه الصحيح الصحيحه صحيحا خاطئ خاطئه الخاطئ الخاطئه خطا الخطا غير ليس ليست لا اختر حدد الاجابه اجابه "
    "الجواب جميع كل باستثناء عدا ماعدا واحد واحده السؤال في علي و"
)
_ASKS_NOTHING = rf"^(?:\W*\b(?:{'|'.join(_EMPTY_WORDS.split())})\b)+\W*$"
"""A question of nothing but these means nothing without its choices: which of the following is true?"""


@register
class Decontaminate(Filter):
    """Drop rows that hold a question of a benchmark, each language against the tests in that language.

    A question that shares a few runs of `words` words with a row is laid beside the row where these stand, word for
    word: `overlap` is the largest share of one of `long_words` words and more that stands there, `short_overlap`
    that of a shorter one. A word counts as much as it is rare among the questions; a run that many of them share
    does not say where one is. Case, diacritics, the forms of letters and digits, and punctuation make no difference.
    A question of fewer than `min_shared` words is found where it stands whole, between two ends of sentences, lines
    or messages; one of fewer than `min_words` words, or one that asks nothing by itself (which of these is true?),
    only where all its choices stand as well. Choices alone are no match. `detail` names benchmark and row for every
    language that has a match, `benchmark`, `test_row` and `matched` are those of the largest share.

    Of 38,250 real questions (MMLU, GSM8K, XQuAD, ARCD and others, 13,409 of them Arabic) this finds 99.7 % as they
    stand and 88 % with a tenth of their words changed; runs of 8 words that hold half of a question, as Tülu 3 looks
    for them (arXiv 2411.15124), find 82 and 59 %. Of 91,509 real rows 20 fall, of which 12 do ask a test's question;
    by runs 2 fall (`benchmarks/truth_decontamination.py`). An index takes 32 bytes for each word of the questions.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Which rivers flow into the Black Sea?",
        "dropped": "A baker bakes 48 loaves in the morning and half as many at noon. How many does she bake in all?",
    }
    revision: ClassVar[int] = 2
    measured_by: ClassVar[tuple[str, ...]] = ("min_shared", "min_words", "max_questions")

    step: Literal["decontaminate"] = "decontaminate"
    texts: dict[Language, TextPath] = Field(default={"en": "messages_en", "ar": "messages"}, min_length=1)
    """Language code → the texts in it, which are compared with the benchmarks in that language."""
    benchmarks: Literal["all"] | Annotated[list[Benchmark], Field(min_length=1)] = "all"
    """Names in the catalog; `all` means all that it has in these languages."""
    passages: bool = False
    """Whether the passage that a reading question is about is looked for as well."""
    max_overlap: Share | None = 0.5
    """Largest share of a long question."""  # half of a test, as Tülu 3 has it (arXiv 2411.15124)
    # Of 69,743 English rows held against MMLU, TruthfulQA and GSM8K's test 20 fall; 30 at 0.7.
    max_short_overlap: Share | None = 0.75
    """Largest share of a short question, in which one other word may ask for something else."""
    long_words: Annotated[int, Field(ge=1)] = 16  # at 12, 34 of those rows fall
    """Words from which on a question is long."""
    words: Annotated[int, Field(ge=2, le=20)] = 4  # 3 finds 1 % more of changed questions, and drops two good rows
    """Words of a run that is looked up."""
    min_shared: Annotated[int, Field(ge=2)] = 6  # 8 finds 1 % less of changed questions in English, 5 % in Arabic
    """Fewest words in common; a question that has fewer is looked for whole."""
    min_words: Annotated[int, Field(ge=1)] | None = 2
    """Fewest words of a question that is looked for whole without its choices; null: none is looked for whole."""
    # as GPT-3 leaves out runs with more than 10 matches, arXiv 2005.14165, appendix C
    max_questions: Annotated[int, Field(ge=1)] = 10
    """Most questions that share a run which counts; no more than a tenth of them."""

    _tables: tuple[tuple[str, str], ...] | None = PrivateAttr(default=None)

    def tests(self) -> list[str]:
        return ["*"] if self.benchmarks == "all" else list(self.benchmarks)

    def test_languages(self) -> list[str]:
        return list(self.texts)

    def bound(self, tables: Mapping[str, Path]) -> Decontaminate:
        copy = self.model_copy()
        # Another step of the same stage may compare with more.
        wanted = tables if self.benchmarks == "all" else self.benchmarks
        copy._tables = tuple((name, str(path)) for name, path in sorted(tables.items()) if name in wanted)
        return copy

    def paths(self) -> list[str]:
        return list(dict.fromkeys(self.texts.values()))

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        known = rows.text_paths(columns)
        missing = [path for path in self.paths() if path not in known]
        return [("texts", f"the rows have no text {path!r} here{did_you_mean(path, known)}") for path in missing]

    def measures(self) -> Columns:
        return {"overlap": pl.Float32(), "short_overlap": pl.Float32(), **{name: pl.String() for name in _TOLD}}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        found = [match for language, path in self.texts.items() for match in self._found(frame, language, path)]
        lines = pl.DataFrame(found, schema=_MATCH, orient="row").with_columns(detail=_detail())
        best = pl.col("share").arg_max()
        worst: dict[str, tuple[pl.Expr, object]] = {
            "overlap": (text.measured(pl.col("share").filter("long").max().fill_null(0.0)), 0.0),
            "short_overlap": (text.measured(pl.col("share").filter(~pl.col("long")).max().fill_null(0.0)), 0.0),
            **{name: (pl.col(name).get(best), "") for name in _TOLD[:-1]},
            "detail": (pl.col("detail").filter(pl.col("share") >= pl.col("share").max() / 2).str.join("; "), ""),
        }
        return text.per_row(lines, frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = {
            "contaminated": (pl.col("overlap"), self.max_overlap),
            "same_question": (pl.col("short_overlap"), self.max_short_overlap),
        }
        return [(reason, share > most) for reason, (share, most) in bounds.items() if most is not None]

    def _found(self, frame: pl.DataFrame, language: str, path: str) -> Iterator[tuple[object, ...]]:
        """For every row that has matches in this language the best of a long and of a short question, as `_MATCH`."""
        known = self._known(language)
        texts = frame.select(rows.text(path)).to_series().to_list()
        for batch in _batches(texts):
            words = overlap.words_of([texts[row] for row in batch])
            matches = overlap.find(known.index, words)
            longs = known.index.counts[matches.question] >= self.long_words
            done: set[tuple[int, bool]] = set()
            # The largest share first, of equals the earliest question: no other row has a say in it.
            for n in np.lexsort((matches.question, -matches.share.round(4))).tolist():
                number, question, long = int(matches.text[n]), int(matches.question[n]), bool(longs[n])
                whole = bool(matches.whole[n])
                if (number, long) in done or (whole and not known.certain(question, words.of(number))):
                    continue
                done.add((number, long))
                row = batch[number]
                said = overlap.spelt(texts[row])[words.span(int(matches.first[n]), int(matches.last[n]))]
                share = min(float(matches.share[n]), 1.0)
                yield row, language, long, share, *known.names[question], " ".join(said.split())[:_EVIDENCE_CHARS]

    def _known(self, language: str) -> _Known:
        if self._tables is None:
            raise BuildError(
                f"step {self.label!r} runs without its benchmarks: it is bound to them when a build starts"
            )
        named = self.benchmarks != "all"
        counts = (self.words, self.min_shared, self.min_words, self.max_questions)
        return _index(self._tables, tuple(self.texts), language, named, self.passages, *counts)


_TOLD = ("language", "benchmark", "test_row", "matched", "detail")
_MATCH = {
    "row": pl.UInt32(),
    "language": pl.String(),
    "long": pl.Boolean(),
    "share": pl.Float64(),
    "benchmark": pl.String(),
    "test_row": pl.String(),
    "matched": pl.String(),
}


def _detail() -> pl.Expr:
    share = (pl.col("share") * 100).round().cast(pl.Int32)
    return pl.format("{} row {} ({}): {}% of its question: {}", "benchmark", "test_row", "language", share, "matched")


def _batches(texts: list[str]) -> Iterator[list[int]]:
    """Row numbers in runs of about `_BATCH_CHARS` characters."""
    batch: list[int] = []
    chars = 0
    for row, content in enumerate(texts):
        batch.append(row)
        chars += len(content)
        if chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class _Known:
    """The questions in one language."""

    index: overlap.Index
    names: list[tuple[str, str]]
    """Benchmark and row of each."""
    choices: dict[int, list[bytes]]
    """Of the questions that do not suffice alone: the words of each choice."""

    def certain(self, question: int, keys: overlap.Keys) -> bool:
        """Whether a text with these words, in which the question stands whole, holds that question and no other."""
        said = keys.tobytes()
        return all(said.find(choice) % keys.itemsize == 0 for choice in self.choices.get(question, ()))


@functools.lru_cache(maxsize=8)
def _index(
    tables: tuple[tuple[str, str], ...],
    languages: tuple[str, ...],
    language: str,
    named: bool,
    passages: bool,
    words: int,
    min_shared: int,
    min_words: int | None,
    max_questions: int,
) -> _Known:
    """Made once in a process.

    Raises:
        BuildError: The benchmarks hold nothing in a language of the texts, or one of them is in none of these.
    """
    asked = pl.concat([pl.read_parquet(path) for _, path in tables])
    if named and (foreign := asked.filter(~pl.col("language").is_in(languages))).height:
        name, spoken = foreign.select("benchmark", "language").row(0)
        raise BuildError(
            f"benchmark {name!r} is in {spoken!r}, which 'texts' does not name: add it there, or leave it out"
        )
    asked = asked.filter(pl.col("language") == language)
    if not asked.height:
        names = ", ".join(name for name, _ in tables) or "none"
        raise BuildError(f"no benchmark holds a question in {language!r} (known: {names}): leave it out of 'texts'")
    if passages:
        read = asked.filter(pl.col("context") != "").with_columns(
            question="context", choices=pl.lit([], pl.List(pl.String))
        )
        asked = pl.concat([asked, read])
    asked = asked.unique(["question", "choices"], keep="first", maintain_order=True)
    counts = np.bincount(overlap.words_of(asked["question"].to_list()).text, minlength=asked.height)
    sized = asked.with_columns(count=pl.Series(counts), chosen=pl.col("choices").list.len() > 0)
    fewest = min_words or 1
    asked = sized.filter((pl.col("count") >= fewest) | ((pl.col("count") > 0) & pl.col("chosen")))
    empty = asked.select(text.matching_key(pl.col("question")).str.contains(_ASKS_NOTHING)).to_series()
    index = overlap.index(
        asked["question"].to_list(),
        words=words,
        min_shared=min_shared,
        max_questions=max_questions,
        whole=min_words is not None,
        only_whole=empty.arg_true().to_list(),
    )
    unsure = asked.with_row_index("number").filter("chosen", (pl.col("count") < fewest) | empty)
    choices = {number: _keys(held) for number, held in unsure.select("number", "choices").rows()}
    return _Known(index, asked.select("benchmark", "row").rows(), choices)


def _keys(choices: list[str]) -> list[bytes]:
    """The words of each choice as bytes; none for one of nothing but signs."""
    words = overlap.words_of(choices)
    return [words.keys[words.text == number].tobytes() for number in range(len(choices))]
