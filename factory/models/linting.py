"""The training lint: rows as a model's tokenizer and chat template read them, counted and held against bounds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.documented import Documented
from hala_factory.errors import BuildError, InputError
from hala_factory.models import program
from hala_factory.models.data import Found, Task
from hala_factory.models.lint_table import rows_with, share, tell
from hala_factory.models.step import Checkpoint, Verdict
from hala_factory.step import Share
from hala_factory.store import read_json


class LintBounds(Documented):
    """How much of a corpus may be what no model learns well from, as shares of its rows; 1: not asked."""

    max_failed_share: Share = 0.0
    """Rows that the chat template refuses, or writes so that no prompt is what the model is asked later."""
    max_no_trainable_share: Share = 0.0
    """Rows of which no token is learnt, be it that all that is were cut off."""
    max_role_order_share: Share = 0.0
    """Rows that are not user and assistant by turns, after a system message or none, with an answer last."""
    max_empty_share: Share = 0.0
    """Rows with a message of nothing but white space."""
    max_special_share: Share = 0.0
    """Rows with a special token in a message's own text, such as `<|im_end|>`: to the model a turn ends there."""
    max_over_length_share: Share = 0.05
    """Rows that are cut: of those a model does not learn to end. A choice of ours."""
    max_unknown_share: Share = 0.001
    """Unknown tokens of all tokens of the texts: characters that the tokenizer does not have. A choice of ours."""


@dataclass(frozen=True)
class Rows:
    """What is looked at."""

    files: Sequence[Path]
    """Parquet files with a column `messages`; or JSONL files with that field, or of bare lists of messages."""
    language: str | None = None
    """The column that says the language of a row; that of other messages is told by their script."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Records of a file that are no rows, by the reason."""


def check(
    rows: Rows,
    model: Checkpoint,
    max_length: int | None,
    bounds: LintBounds,
    folder: Path,
    log: Path,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The report of `lint`. Raises BuildError with the table of it where a bound is broken."""
    report = lint(rows, model, max_length, folder, log, say)
    verdicts = hold(report, bounds)
    if not all(v.passed for v in verdicts):
        raise BuildError(
            f"these rows are not fit to train {model.name} on:\n{tell(report, verdicts)}\n"
            "drop or mend the rows named, take another max_length, or raise the bound"
        )
    return report


def lint(
    rows: Rows, model: Checkpoint, max_length: int | None, folder: Path, log: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Counts of what a model would see of some rows, with ids of rows to look at; `folder` is the program's.

    `max_length` is in tokens; None: what the model can read. Raises BuildError where the tokenizer cannot be loaded.
    """
    order = {
        "files": [str(f) for f in rows.files],
        "language": rows.language,
        "tokenizer": str(model.place),
        "revision": model.revision,
        "max_length": max_length,
    }
    report = program.run("lint", order, folder, log, say, offline=isinstance(model.place, Path))
    if not report["rows"]:
        raise InputError(f"no rows in {', '.join(map(str, rows.files))}; expected conversations")
    return {**report, "unread": dict(rows.unread)}


def hold(report: dict[str, Any], bounds: LintBounds) -> list[Verdict]:
    """Every bound, asked over a report."""
    asked = {
        "max_failed_share": ("failed",),
        "max_no_trainable_share": ("no_trainable", "no_trainable_once_cut"),
        "max_role_order_share": ("role_order",),
        "max_empty_share": ("empty_turn",),
        "max_special_share": ("special_in_text",),
        "max_over_length_share": ("over_length",),
    }
    verdicts = []
    for gate, words in asked.items():
        found, bound = sum(rows_with(report, word) for word in words) / report["rows"], getattr(bounds, gate)
        verdicts.append(Verdict(gate, f"{found:.3%}", f"≤ {bound:.3%}", found <= bound))
    unknown = share(report["tokens"]["unknown"], sum(c["tokens"] for c in report["languages"].values()))
    bound = bounds.max_unknown_share
    return [*verdicts, Verdict("max_unknown_share", f"{unknown:.3%}", f"≤ {bound:.3%}", unknown <= bound)]


def rows_of(found: Found, folder: Path, *tasks: Task) -> Rows:
    """The rows that were found: a whole corpus of conversations as it stands, others written to `folder`.

    A pair becomes one conversation of each task.
    """
    if found.wanted.n is None and (files := found.parquet()):
        column = _language(read_json(files[0].parent.parent / "manifest.json") or {})
        return Rows(files, column if column in pl.read_parquet_schema(files[0]) else None)
    file = folder / "rows.jsonl"
    unread: Counter[str] = Counter()
    with file.open("w", encoding="utf-8") as out:
        for row, turns in found.conversations(*tasks, unread=unread):
            out.write(json.dumps({"id": row, "messages": turns}, ensure_ascii=False) + "\n")
    return Rows([file], unread=dict(unread))


def _language(manifest: dict[str, Any]) -> str | None:
    """The column in which the last language step of a corpus says what it found, if no model wrote after it."""
    for step in reversed(manifest.get("steps", [])):
        if step["step"] == "language" and step["on"] == "messages":
            return f"{step['label']}.label"
        if step.get("model"):
            return None
    return None
