"""The six benchmarks of the Hala report with questions of a test's own, in the columns that the catalog gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hala_factory.models.evaluate import SIX
from hala_factory.questions import ARABIC, LETTERS
from hala_factory.yamlfile import read
from tests.workshop import Workshop

CATALOG = Path(__file__).resolve().parents[1] / "catalog.yaml"
Asked = tuple[str, list[str], int]
"""A question, its choices, and which is right."""


def _options(choices: list[str]) -> dict[str, Any]:
    return {f"Option {n + 1}": choices[n] if n < len(choices) else None for n in range(5)}


def _letters(choices: list[str]) -> dict[str, Any]:
    return dict(zip("ABCD", choices, strict=False)) | {letter: "" for letter in "ABCD"[len(choices) :]}


RECORDS = {
    "alghafa": lambda q, c, a: {"query": q, **{f"sol{n + 1}": t for n, t in enumerate(c)}, "label": str(a)},
    "arabic-mmlu": lambda q, c, a: {
        **{"Question": q, "Context": "فقرة", **_options(c), "Answer Key": LETTERS[a]},
        **{"Subject": "History" if len(c) % 2 else "Law", "Level": None if len(c) % 2 else "Prof"},
    },
    "exams": lambda q, c, a: {"question": q, **_letters(c), "answer": LETTERS[a], "subject": "Islamic_Studies"},
    "madinah-qa": lambda q, c, a: {
        "Question": q,
        "Context": "نص قصير." if len(c) % 2 else None,
        **_options(c),
        "Answer Key": LETTERS[a],
    },
    "aratrust": lambda q, c, a: {"Question": q, **dict(zip("ABC", c, strict=False)), "Answer": ARABIC[a]},
    "arabic-mmlu-ht": lambda q, c, a: {"question": q, "choices": c, "answer": a},
}
"""A record of each as its own files have it."""
SIZES = {
    "alghafa": (2, 3, 4, 5),
    "arabic-mmlu": (2, 3, 4, 5),
    "exams": (4,),
    "madinah-qa": (2, 3, 4, 5),
    "aratrust": (3,),
    "arabic-mmlu-ht": (4,),
}
"""How many choices its questions have."""


def labels(name: str, n: int) -> list[str]:
    """What a model is asked for in place of the choices."""
    numbers = {"alghafa": range(n), "arabic-mmlu-ht": range(1, n + 1)}
    return [str(label) for label in numbers.get(name, ARABIC[:n])]


def questions(name: str, count: int = 12) -> list[Asked]:
    """Questions of every size that the benchmark has, with every choice right in turn."""
    made = []
    for n in range(count):
        size = SIZES[name][n % len(SIZES[name])]
        made.append((f"{name} سؤال {n}؟", [f"خيار {n}.{m}" for m in range(size)], (n // len(SIZES[name])) % size))
    return made


def written(shop: Workshop, asked: dict[str, list[Asked]]) -> dict[str, Any]:
    """Entries of a catalog for the files of these questions; all but their place is the project's own."""
    known = read(CATALOG).data["benchmarks"]
    entries = {}
    for name, each in asked.items():
        shop.rows(f"{name}.jsonl", [RECORDS[name](*one) for one in each])
        kept = {k: v for k, v in known[name].items() if k in ("columns", "answer_as", "unscored", "licence")}
        sample = {"path": f"{name}.jsonl", "licence": "CC0-1.0"}
        entries[name] = {**kept, "path": f"{name}.jsonl", "sample": sample}
    return entries


ALL = {name: questions(name) for name in SIX}
