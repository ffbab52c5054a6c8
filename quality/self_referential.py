"""Self-referential tasks in `translate`: which conversations have one, and what of their texts is to be translated.

The model: a *turn* is a user message and what follows it; a task is its turn's. Under `instruction_only` the text that
a task works on is held back by placeholders, which the contract of `structure` brings home.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from hala_factory import tasks

Policy = Literal["translate", "skip", "keep_english", "instruction_only"]
"""What becomes of a conversation with such a task."""


def routed(lines: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """`lines` (one message each: `row`, `role`, `said`, and `text` where it is wanted) with `task` and `row_task`.

    `task` is the kind of task of the message's turn, `row_task` the first of its row, both null where there is none.
    `text` is what is to be translated, null where nothing is: under `skip` and `keep_english` of a row with a task,
    under `instruction_only` of an answer to one; of the task itself it then is the instruction, with placeholders.
    """
    found = pl.when(pl.col("role") == "user").then(tasks.task(pl.col("said")).fill_null(""))
    lines = lines.with_columns(found.alias("task")).with_columns(
        pl.col("task").forward_fill().over("row").replace("", None),
        row_task=pl.col("task").replace("", None).drop_nulls().first().over("row"),
    )
    if policy == "translate":
        return lines
    if policy != "instruction_only":
        return lines.with_columns(text=pl.when(pl.col("row_task").is_null()).then("text"))
    asked = pl.when(pl.col("role") == "user").then(
        pl.col("text").map_elements(lambda said: held_back(said)[0], return_dtype=pl.String)
    )
    return lines.with_columns(text=pl.when(pl.col("task").is_null()).then("text").otherwise(asked))


def rejoined(lines: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Answered lines (`new`, `failure`, `detail`) with the payload of each task back, and skipped rows failed.

    A translated instruction that lost its payload's place fails as `broken_structure`.
    """
    task = pl.col("row_task").is_not_null() & (pl.col("role") == "user")
    if policy == "skip":
        why = pl.concat_str(pl.lit("it is about its own words: "), pl.col("task"))
        first = task & pl.col("task").is_not_null()
        return lines.with_columns(
            failure=pl.when(first).then(pl.lit("self_referential")).otherwise("failure"),
            detail=pl.when(first).then(why).otherwise("detail"),
        )
    if policy != "instruction_only":
        return lines
    fixed = []
    for said, kind, role, new, failure, detail in lines.select(
        "said", "task", "role", "new", "failure", "detail"
    ).iter_rows():
        if kind is None or role != "user" or new is None:
            fixed.append((new, failure, detail))
            continue
        try:
            fixed.append((restored(new, held_back(said)[1]), failure, detail))
        except ValueError as e:
            fixed.append((new, failure or "broken_structure", detail or str(e)))
    schema = dict.fromkeys(("new", "failure", "detail"), pl.String)
    return lines.with_columns(pl.DataFrame(fixed, schema=schema, orient="row"))


def held_back(asked: str) -> tuple[str, dict[str, str]]:
    """A task's instruction, a placeholder standing for each stretch of its payload, and what each stands for.

    What follows the instruction is cut off and kept under the empty placeholder.
    """
    name = "text"
    while f"{{{name}_" in asked:
        name += "_"
    parts: list[str] = []
    held: dict[str, str] = {}
    at = 0
    for start, end in tasks.payload(asked):
        if not asked[end:].strip() and not tasks.is_quoted(asked[start:end]):
            head = asked[at:start].rstrip()
            held[""] = asked[at + len(head) :]
            return "".join([*parts, head]), held
        placeholder = f"{{{name}_{len(held) + 1}}}"
        held[placeholder] = asked[start:end]
        parts += [asked[at:start], placeholder]
        at = end
    return "".join(parts) + asked[at:], held


def restored(translated: str, held: Mapping[str, str]) -> str:
    """A translated instruction with its payload.

    Raises ValueError where a placeholder did not come back once.
    """
    for placeholder, stretch in held.items():
        if placeholder and translated.count(placeholder) != 1:
            raise ValueError(f"{placeholder} stands {translated.count(placeholder)} times in {translated[:60]!r}")
        translated = translated.replace(placeholder, stretch) if placeholder else translated
    return translated + held.get("", "")
