"""Decontamination on real tests and real rows: planted questions that are found, and rows that are dropped wrongly.

    python benchmarks/truth_decontamination.py [--data DIR] [--read N] [--json] [--only defaults]

The tests: XQuAD (English, Arabic), ARCD, MMLU in Arabic as AceGPT translated it, ACVA, HateCheck in Arabic, and the
problems of GSM8K (its training part, the only one there is here: a test for this purpose). Every question is planted
in a row of its own, as it stands or changed; the rows of T0, Alpaca, GPTeacher, Tatoeba and ManyThings hold none of
them but by chance, so each of theirs that falls is printed by `--read`. As a yardstick the same is done by plain runs
of 8 words that hold half of a question's (Tülu 3, arXiv 2411.15124).

Where the data folder has them (`mmlu-en/*.csv` with a header, `truthfulqa/TruthfulQA.csv`, `gsm8k/test.jsonl`), these
tests, for which nothing was tuned but how much of a short question must stand in a row, are a third group.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import real
from finding import Finding, chat, falls, report, weighed
from real import cells, read

from hala_factory.benchmarks import COLUMNS
from hala_factory.filters.decontaminate import Decontaminate

Question = tuple[str, str, list[str], str]
"""Benchmark, question, choices, passage."""
EXAMS = "en, other tests"


def squad(name: str, path: Path) -> list[Question]:
    """The questions of a file in SQuAD's form, with their passages."""
    return [(name, asked["question"], [], part["context"]) for part in real.squad(path) for asked in part["qas"]]


def questions(data: Path) -> dict[str, list[Question]]:
    """The questions by language, and those of other tests in English."""
    english = list(squad("xquad-en", data / "xquad/files/xquad.en.json"))
    problems = read(data / "gsm8k/files/grade_school_math/data/train.jsonl.gz").splitlines()
    english += [("gsm8k", json.loads(line)["question"], [], "") for line in problems]
    arabic = list(squad("xquad-ar", data / "xquad/files/xquad.ar.json.gz"))
    arabic += squad("arcd", data / "arcd/files/data/arcd-test.json")
    for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/test/*")):
        arabic += [("mmlu-ar", row[0], row[1:5], "") for row in cells(path) if len(row) == 6]
    facts = read(data / "acegpt-bench/files/ArabicCulture/difficulty-easy-TF_dev.jsonl").splitlines()
    arabic += [("acva", json.loads(line)["question"], [], "") for line in facts]
    head, *cases = cells(next(data.glob("hatecheck-ar/files/*/*.csv")))
    arabic += [("hatecheck", row[head.index("test_case")], [], "") for row in cases]
    exams = [("mmlu", row[0], row[1:5], "") for path in sorted(data.glob("mmlu-en/*.csv")) for row in cells(path)[1:]]
    exams += [("truthfulqa", row[2], [], "") for path in data.glob("truthfulqa/*.csv") for row in cells(path)[1:]]
    lines = [line for path in data.glob("gsm8k/test.jsonl") for line in read(path).splitlines()]
    exams += [("gsm8k-test", json.loads(line)["question"], [], "") for line in lines]
    return {"en": english, "ar": arabic} | ({EXAMS: exams} if exams else {})


def tables(asked: dict[str, list[Question]], folder: Path) -> dict[str, Path]:
    """The questions as a step is bound to them."""
    made = {}
    for language, found in asked.items():
        for name in dict.fromkeys(q[0] for q in found):
            own = [q for q in found if q[0] == name]
            lines = [
                (name, str(n), language, question, choices, passage)
                for n, (_, question, choices, passage) in enumerate(own, 1)
            ]
            made[name] = folder / f"{name}.parquet"
            pl.DataFrame(lines, schema=COLUMNS, orient="row").write_parquet(made[name])
    return made


def clean(data: Path) -> dict[tuple[str, str], list[str]]:
    """Rows of other sets, by language and name."""
    found = {
        ("en", "t0"): [f"{prompt}\n\n{answer.removesuffix(real.END)}" for prompt, answer in real.t0(data)],
        ("en", "alpaca"): ["\n\n".join(row) for row in real.alpaca(data)],
        ("en", "gpteacher"): ["\n\n".join(row) for row in real.gpteacher(data)],
    }
    for name, pairs in (("tatoeba", real.tatoeba(data)), ("manythings", real.manythings(data))):
        found["en", name] = [english for english, _ in pairs]
        found["ar", name] = [arabic for _, arabic in pairs]
    return found


def spoken(asked: str) -> str:
    """Other case, no diacritics, other punctuation, and an introduction."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", asked.upper()) if not unicodedata.combining(c))
    return "Answer this question: " + bare.translate(str.maketrans({"؟": " !", "?": " !", ",": "", "،": "", "'": "’"}))


def with_choices(asked: str, choices: list[str]) -> str:
    return "\n".join([asked, *(f"{letter}) {choice}" for letter, choice in zip("ABCDE", choices, strict=False))])


def changed(asked: str, vocabulary: list[str], chance: random.Random) -> str:
    """One word in ten is another one."""
    return " ".join(chance.choice(vocabulary) if chance.random() < 0.1 else word for word in asked.split())


def plants(found: list[Question]) -> dict[str, list[str]]:
    """Rows that hold each question once, by what was done to it."""
    chance = random.Random(7)
    vocabulary = [word for _, question, _, _ in found for word in question.split()]
    answer = "\n\nSure, the answer follows."
    kinds: dict[str, Callable[[Question], str]] = {
        "as it stands": lambda q: q[1] + answer,
        "with its choices": lambda q: with_choices(q[1], q[2]) + answer,
        "other case, marks, introduction": lambda q: spoken(q[1]) + answer,
        "in the middle of prose": lambda q: f"A friend of mine asked: {q[1]} I did not know what to say to that.",
        "a tenth of its words changed": lambda q: changed(q[1], vocabulary, chance) + answer,
    }
    return {kind: [make(q) for q in found] for kind, make in kinds.items()}


RUNS = "runs of 8 words"
STEPS: dict[str, dict[str, Any]] = {"defaults": {}, "passages too": {"passages": True}}
LEAST = {
    "as it stands": 0.99,
    "with its choices": 0.99,
    "other case, marks, introduction": 0.99,
    "in the middle of prose": 0.98,
}
"""The goals. Of a question with a tenth of its words changed there is none: of four words it is another question."""
MOST = {EXAMS: 0.001}
"""The goals for rows of other sets, else 0.0005: some chats ask what these tests ask as well."""

Judge = Callable[[list[str]], list[bool]]
"""Whether each of some rows falls."""


def findings(data: Path) -> Iterator[Finding]:
    """What the step finds by default, and drops of other sets."""
    yield from measured(data, "defaults")


def measured(data: Path, told: str) -> Iterator[Finding]:
    """What the step with some options (or the yardstick) finds of planted questions, and drops of other sets."""
    step = f"`decontaminate`{'' if told == 'defaults' else f', {told}'}" if told in STEPS else told
    with tempfile.TemporaryDirectory(prefix="hala-tests-") as name:
        for group, asked in questions(data).items():
            judge = by_step(group[:2], asked, Path(name), STEPS[told]) if told in STEPS else by_runs(asked)
            for kind, planted in plants(asked).items():
                gone = judge(planted)
                yield weighed(
                    f"a test's question, {kind}",
                    f"{group}: {', '.join(dict.fromkeys(q[0] for q in asked))}",
                    step,
                    zip(planted, [True] * len(planted), gone, strict=True),
                    least=LEAST.get(kind) if told == "defaults" else None,
                    label=lengths(asked, gone),
                )
            for (language, of), texts in clean(data).items():
                if language == group[:2]:
                    rows = zip(texts, [False] * len(texts), judge(texts), strict=True)
                    yield weighed("a test's question", f"{group}: {of}", step, rows, most=MOST.get(group, 0.0005))


def by_step(language: str, asked: list[Question], folder: Path, options: dict[str, Any]) -> Judge:
    """The step, bound to these questions."""
    step = Decontaminate(texts={language: "messages"}, **options).bound(tables({language: asked}, folder))
    return lambda texts: falls(step, conversations(texts))


def by_runs(asked: list[Question]) -> Judge:
    """Runs of 8 words that a row and a question share, where they hold more than half of its words."""

    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.casefold())

    held: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    sizes = [len(words(question)) for _, question, _, _ in asked]
    for number, (_, question, _, _) in enumerate(asked):
        for at, run in enumerate(_runs(words(question))):
            held[run].append((number, at))

    def falls(text: str) -> bool:
        said: dict[int, set[int]] = defaultdict(set)
        for run in _runs(words(text)):
            for number, at in held.get(run, ()):
                said[number].update(range(at, at + 8))
        return any(2 * len(places) > sizes[number] for number, places in said.items())

    return lambda texts: [falls(text) for text in texts]


def _runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[first:] for first in range(8)), strict=False)


def conversations(texts: list[str]) -> pl.DataFrame:
    """Texts as rows of one message each."""
    return chat([(text, "") for text in texts])


def lengths(asked: list[Question], gone: list[bool]) -> str:
    """The share that is found by the length of the question."""
    sizes = pl.Series([len(question.split()) for _, question, _, _ in asked])
    cut = sizes.cut([3, 5, 7, 11, 19], labels=["1-3", "4-5", "6-7", "8-11", "12-19", "20-"])
    found = pl.DataFrame({"length": cut, "gone": gone}).group_by("length").agg(pl.col("gone").mean()).sort("length")
    return ", ".join(f"{size} words {share:.3f}" for size, share in found.rows())


if __name__ == "__main__":
    makers = {told: lambda data, told=told: measured(data, told) for told in (*STEPS, RUNS)}
    sys.exit(report(makers, __doc__ or ""))
