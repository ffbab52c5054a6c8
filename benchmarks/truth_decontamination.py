"""Decontamination on real tests and real rows: planted questions that are found, and rows that are dropped wrongly.

    python benchmarks/truth_decontamination.py [--data DIR] [--read N]

The tests: XQuAD (English, Arabic), ARCD, MMLU in Arabic as AceGPT translated it, ACVA, HateCheck in Arabic, and the
problems of GSM8K (its training part, the only one there is here: a test for this purpose). Every question is planted
in a row of its own, as it stands or changed; the rows of T0, Alpaca, GPTeacher, Tatoeba and ManyThings hold none of
them but by chance, so each of theirs that falls is printed, to be read. As a yardstick the same is done with runs of
8 words, of which every one counts (Tülu 3, arXiv 2411.15124).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import rows
from hala_factory.benchmarks import COLUMNS
from hala_factory.filters.decontaminate import Decontaminate

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Question = tuple[str, str, list[str], str]
"""Benchmark, question, choices, passage."""


def text(path: Path) -> str:
    """A file's text, unpacked."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def squad(name: str, path: Path) -> Iterator[Question]:
    for article in json.loads(text(path))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                yield name, asked["question"], [], paragraph["context"]


def questions(data: Path) -> dict[str, list[Question]]:
    """The questions by language."""
    english = list(squad("xquad-en", data / "xquad/files/xquad.en.json"))
    problems = text(data / "gsm8k/files/grade_school_math/data/train.jsonl.gz").splitlines()
    english += [("gsm8k", json.loads(line)["question"], [], "") for line in problems]
    arabic = list(squad("xquad-ar", data / "xquad/files/xquad.ar.json.gz"))
    arabic += squad("arcd", data / "arcd/files/data/arcd-test.json")
    for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/test/*")):
        cells = csv.reader(io.StringIO(text(path)))
        arabic += [("mmlu-ar", row[0], row[1:5], "") for row in cells if len(row) == 6]
    facts = text(data / "acegpt-bench/files/ArabicCulture/difficulty-easy-TF_dev.jsonl").splitlines()
    arabic += [("acva", json.loads(line)["question"], [], "") for line in facts]
    cases = next(data.glob("hatecheck-ar/files/*/*.csv"))
    arabic += [("hatecheck", row["test_case"], [], "") for row in csv.DictReader(io.StringIO(text(cases)))]
    return {"en": english, "ar": arabic}


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
    found: dict[tuple[str, str], list[str]] = {("en", "t0"): [], ("en", "gpteacher"): []}
    for path in sorted(data.glob("t0-50k/files/*/*.jsonl.gz")):
        for line in text(path).splitlines():
            row = json.loads(line)
            found["en", "t0"].append(f"{row['prompt']}\n\n{row['completion'].removesuffix('<|endoftext|>')}")

    def alpaca_like(path: Path) -> list[str]:
        told = json.loads(text(path))
        return ["\n\n".join((r["instruction"], r["input"], r.get("output") or r.get("response") or "")) for r in told]

    found["en", "alpaca"] = alpaca_like(next(data.glob("alpaca-random9k/files/**/*.json.gz")))
    for path in sorted(data.glob("gpteacher/files/*/*.json*")):
        found["en", "gpteacher"] += alpaca_like(path)
    found["en", "rasbt"] = alpaca_like(next(data.glob("rasbt-instruct/files/**/*.json")))
    stem = data / "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
    pairs = [line.split("\t") for line in text(data / "manythings-ara/files/seq2seqBasic/ara.txt.gz").splitlines()]
    for side, (language, word) in enumerate((("en", "eng"), ("ar", "ara"))):
        found[language, "tatoeba"] = text(stem.with_suffix(f".{word}")).splitlines()
        found[language, "manythings"] = [pair[side] for pair in pairs]
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


def frame(texts: list[str]) -> pl.DataFrame:
    spelt = [[{"role": "user", "content": content}] for content in texts]
    return pl.DataFrame({"messages": spelt}, schema={"messages": rows.MESSAGES})


def dropped(step: Decontaminate, rows_: pl.DataFrame) -> pl.DataFrame:
    """The measures of all rows, and which fall."""
    measured = step.measure(rows_)
    asked = [rule for _, rule in step.rules()]
    return measured.with_columns(falls=pl.any_horizontal(asked))


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--read", type=int, default=20, help="rows that fall to print of each set")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    tests = questions(asked.data)
    with tempfile.TemporaryDirectory(prefix="hala-tests-") as name:
        known = tables(tests, Path(name))
        for told, options in STEPS.items():
            print(f"\n== {told}")
            steps = {code: Decontaminate(texts={code: "messages"}, **options).bound(known) for code in tests}
            for code, found in tests.items():
                recall(steps[code], code, found)
            precision(steps, clean(asked.data), asked.read if told == "defaults" else 0)


STEPS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "runs of 8 words": {"words": 8, "min_shared": 8, "min_words": None, "max_questions": 1_000_000},
    "defaults, and passages": {"passages": True},
}


def recall(step: Decontaminate, language: str, found: list[Question]) -> None:
    """Print the share of planted questions that are found, by what was done to them and by their length."""
    sizes = [len(question.split()) for _, question, _, _ in found]
    length = pl.Series(sizes).cut([3, 5, 7, 11, 19], labels=["1-3", "4-5", "6-7", "8-11", "12-19", "20-"])
    for kind, texts in plants(found).items():
        falls = dropped(step, frame(texts))["falls"]
        by = (
            pl.DataFrame({"length": length, "falls": falls}).group_by("length").agg(pl.col("falls").mean(), n=pl.len())
        )
        lengths = ", ".join(f"{size} words {share:.3f}" for size, share, _ in by.sort("length").rows())
        print(f"{language} {kind:33} {falls.mean():.4f} of {len(texts):,}  ({lengths})")


def precision(steps: dict[str, Decontaminate], sets: dict[tuple[str, str], list[str]], read: int) -> None:
    """Print how many clean rows fall, and what they held."""
    for (language, name), texts in sets.items():
        held = frame(texts)
        dropped(steps[language], held[:10])  # the index is made once in a process
        started = time.process_time()
        measured = dropped(steps[language], held)
        seconds = time.process_time() - started
        bad = measured.filter("falls")
        print(f"{language} {name:12} {bad.height} of {len(texts):,} fall; {len(texts) / seconds:,.0f} rows per CPU s")
        for detail in bad["detail"].unique(maintain_order=True).head(read):
            print(f"     {detail}")


if __name__ == "__main__":
    main()
