"""A workshop: sources, a catalog and a recipe in a folder, built through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from click.testing import CliRunner
from ruamel.yaml import YAML

from hala_factory.cli import main
from hala_factory.fingerprint import file_digest
from hala_factory.generate.journal import entries


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Workshop:
    folder: Path

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def rows(self, name: str, rows: Iterable[dict[str, Any]]) -> Path:
        return self.write(name, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))

    def yaml(self, name: str, data: dict[str, Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as f:
            YAML().dump(data, f)
        return path

    def catalog(self, sources: dict[str, Any], models: dict[str, Any] | None = None, **parts: dict[str, Any]) -> Path:
        plain = {"columns": "alpaca", "language": "en", "licence": "CC0-1.0"}
        return self.yaml(
            "catalog.yaml",
            {"sources": {n: {**plain, **s} for n, s in sources.items()}, "models": models or {}, **parts},
        )

    def recipe(self, sources: list[Any], steps: list[Any], **fields: Any) -> Path:
        uses = [{"source": s} if isinstance(s, str) else s for s in sources]
        head = {"name": "small", "kind": "corpus", "version": "dev", "language": "ar"}
        steps = [{"step": s} if isinstance(s, str) else s for s in steps]
        return self.yaml("recipe.yaml", {**head, "sources": uses, "steps": steps, **fields})

    def run(self, *words: str) -> Said:
        """A command in this process."""
        result = CliRunner().invoke(main, list(words))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def build(self, *words: str) -> dict[str, Any]:
        """`build recipe.yaml --json` in this process."""
        return dict(self.run("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", *words).json)

    def spawn(
        self, *words: str, program: tuple[str, ...] = ("-m", "hala_factory.cli"), **env: str
    ) -> subprocess.Popen[bytes]:
        """A command in a process (group) of its own, to be killed."""
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=self.folder,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def corpus(self, version: str = "dev", name: str = "small", store: str = "store") -> Path:
        return self.folder / store / "corpora" / name / version

    def manifest(self, version: str = "dev", name: str = "small") -> dict[str, Any]:
        return dict(json.loads((self.corpus(version, name) / "manifest.json").read_text()))

    def kept(self, version: str = "dev", name: str = "small") -> pl.DataFrame:
        return pl.read_parquet(self.corpus(version, name) / "data" / "*.parquet")

    def lost(self, version: str = "dev", name: str = "small") -> pl.DataFrame:
        return pl.read_parquet(self.corpus(version, name) / "dropped" / "*.parquet")


def alpaca(n: int, word: str = "row") -> list[dict[str, str]]:
    """`n` distinct plain instructions."""
    return [
        {
            "instruction": f"Tell me something about {word} number {i}.",
            "input": "",
            "output": f"There is a lot that one could say about {word} number {i}, which is one of many.",
        }
        for i in range(n)
    ]


def balanced(rows: dict[str, Any]) -> bool:
    """Whether rows in = kept + dropped + failed."""
    return bool(rows["in"] == rows["kept"] + sum(rows["dropped"].values()) + sum(rows["failed"].values()))


ARABIC = {
    "Tell me something about {word} number {i}.": "أخبرني بشيء عن المادة {word} ذات الرقم {i} من فضلك.",
    "There is a lot that one could say about {word} number {i}, which is one of many.": (
        "هناك الكثير مما يمكن أن يقال عن المادة {word} ذات الرقم {i}، وهي واحدة من مواد كثيرة."
    ),
}
"""What `alpaca` says, in Arabic."""


def answers(n: int, word: str = "row") -> list[dict[str, str]]:
    """Recorded translations of `alpaca(n, word)`."""
    return [
        {"text": text.format(word=word, i=i), "answer": answer.format(word=word, i=i)}
        for i in range(n)
        for text, answer in ARABIC.items()
    ]


def troubled(workshop: Workshop, n: int = 40, **fields: Any) -> Workshop:
    """Three sources in three forms, with rows that are dropped and that fail at every kind of stage."""
    bad = b'{"instruction": "Half a line\n' + b'{"instruction": "Bytes \xff.", "input": "", "output": "None."}\n'
    odd = [{"instruction": None, "output": "x"}, {"instruction": "Say 1.", "output": 1}]
    rows = [{**r, "kind": "aside" if i % 5 == 3 else "main"} for i, r in enumerate([*alpaca(n), *odd, *alpaca(3)])]
    lines = [json.dumps(r).encode() + b"\n" for r in rows]
    workshop.write("first.jsonl", b"".join([*lines[: n // 2], bad, *lines[n // 2 :]]))
    short = [{"instruction": f"Number {i}?", "input": "", "output": "No."} for i in range(n // 8)]
    mixed = [r for pair in zip(alpaca(n // 2, "thing")[::-1], short * n, strict=False) for r in pair]
    pl.DataFrame([*alpaca(n // 4), *mixed]).write_parquet(workshop.folder / "second.parquet")
    asked = [
        f'"Who is {w} number {i}?",,"{w} {i} is one whom nobody has heard of."' for w in "xy" for i in range(n // 4)
    ]
    workshop.write("third.csv", "\n".join(["instruction,input,output", *asked[:5], '"a","b', *asked]) + "\n")
    recorded = [*answers(n), *answers(n // 2, "thing")]
    workshop.rows("answers.jsonl", [r for i, r in enumerate(recorded) if i % 7 != 3])
    workshop.catalog(
        {"first": {"path": "first.jsonl"}, "second": {"path": "second.parquet"}, "third": {"path": "third.csv"}},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0", "by": "two people"}},
    )
    workshop.recipe([{"source": "first", "where": {"kind": ["main", ""]}}, "second", "third"], STEPS, **fields)
    return workshop


STEPS = [
    "chat_shape",
    {"step": "length", "min_chars": 30},
    {"step": "length", "name": "brief", "on": "messages.user", "max_chars": 38},
    {"step": "exact_dedup", "on": "messages.user"},
    {"step": "translate", "to": "ar", "model": "people"},
    {"step": "length", "name": "length_ar", "on": "messages.user", "max_chars": 46},
]
"""What happens to the troubled sources."""


def stored() -> set[str]:
    """The prompts that stand answered in the journals and segments of `store`."""
    journals = Path("store/generations").glob("*/journal-*.jsonl")
    lines = [fields["messages"] for journal in journals for fields in entries(journal)]
    for segment in Path("store/generations").glob("*/segment-*.parquet"):
        lines += pl.read_parquet(segment).get_column("messages").to_list()
    return {messages[-1]["content"] for messages in lines}


def parquet_digests(corpus: Path) -> dict[str, str]:
    """SHA-256 of every Parquet file of a corpus, by its name in it."""
    return {str(p.relative_to(corpus)): file_digest(p) for p in sorted(corpus.rglob("*.parquet"))}
