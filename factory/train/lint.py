"""The program that looks at conversations as a model will be trained on them: `python lint.py ORDER.json`.

The order names `files` (Parquet with a column `messages`, or JSONL with that field or of bare lists; `id` beside it),
`language` (the column that says which one a row is in, or null), `tokenizer` (folder or hub id), `revision`, and
`max_length` (tokens, or null: what the model can read). `made.json`, beside it, holds counts and ids of a few rows.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hala_factory.train.tally import Tally
from hala_factory.train.template import Tokens, special_ids, tokens_of_all
from hala_factory.train.turns import TemplateFailure, role_order

BATCH = 1_000
"""Rows tokenised together."""
LETTERS = {
    "Arab": re.compile("[\u0620-\u06ff\u0750-\u077f\u08a0-\u08ff]+"),
    "Latn": re.compile("[A-Za-z\u00c0-\u024f]+"),
}
"""Scripts (ISO 15924) that a message is told by where no column says its language."""


def main(order: dict[str, Any], folder: Path) -> None:
    """Look at every row."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # nothing is forked here
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(order["tokenizer"], revision=order["revision"])
    max_length = order["max_length"] or context(order)
    tally, began = Tally(), time.monotonic()
    rows = (row for file in order["files"] for row in read(Path(file), order["language"]))
    with (folder / "said.txt").open("a", encoding="utf-8") as said:
        while batch := list(islice(rows, BATCH)):
            look(tokenizer, batch, max_length, tally)
            if tally.rows % (20 * BATCH) == 0:
                rate = tally.rows / (time.monotonic() - began)
                said.write(f"{tally.rows:,} rows looked at, {rate:,.0f} a second\n")
                said.flush()
    (folder / "made.json").write_text(json.dumps(tally.told(max_length), ensure_ascii=False), encoding="utf-8")


def context(order: dict[str, Any]) -> int | None:
    """The tokens that the model can read; None where it does not say."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(order["tokenizer"], revision=order["revision"])
    return getattr(config, "max_position_embeddings", None)


def read(file: Path, language: str | None) -> Iterator[dict[str, Any]]:
    """The rows of a file; a place in the file is the id of one that has none."""
    if file.suffix != ".parquet":
        with file.open(encoding="utf-8") as lines:
            for n, line in enumerate(lines, 1):
                row = json.loads(line)
                named = row if isinstance(row, dict) else {"messages": row}
                yield {"id": f"{file.name}:{n}", "language": None, **named}
        return
    from pyarrow.parquet import ParquetFile

    columns = [c for c in ("id", "messages", language) if c]
    for batch in ParquetFile(file).iter_batches(BATCH, columns=columns):
        for row in batch.to_pylist():
            yield {**row, "language": row[language] if language else None}


def look(tokenizer: Any, rows: Sequence[dict[str, Any]], max_length: int | None, tally: Tally) -> None:
    """Tell what is to be told of some rows."""
    special = special_ids(tokenizer)
    unknown = tokenizer.unk_token_id
    if unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id):
        unknown = None  # such a token stands for the end, and for nothing unknown
    for row, tokens in zip(rows, tokens_of_all(tokenizer, [row["messages"] for row in rows]), strict=True):
        tally.rows += 1
        if isinstance(tokens, Tokens):
            _look_at_length(row, tokens, max_length, tally)
        else:
            tally.find("failed", row)
            tally.find(f"failed.{tokens.kind}", row, str(tokens))
        if wrong := role_order([m.get("role") for m in row["messages"]]):
            tally.find("role_order", row)
            tally.find(f"role_order.{wrong}", row)
        texts = [m.get("content") or "" for m in row["messages"]]
        held: set[int] = set()
        strange = 0
        for text, ids in zip(texts, _ids_of(texts, tokens, tokenizer), strict=True):
            strange += ids.count(unknown) if unknown is not None else 0
            held |= special.intersection(ids) - {unknown}
            counts = tally.languages.setdefault(language_of(row["language"], text), Counter())
            counts.update(messages=1, words=len(text.split()), characters=len(text), tokens=len(ids))
        tally.sums["unknown"] += strange
        tally.special.update(tokenizer.convert_ids_to_tokens(sorted(held)))
        empty = not all(text.strip() for text in texts)
        for word, true in (("special_in_text", held), ("unknown_token", strange), ("empty_turn", empty)):
            if true:
                tally.find(word, row)


def _ids_of(texts: Sequence[str], tokens: Tokens | TemplateFailure, tokenizer: Any) -> Iterator[list[int]]:
    """The tokens of each text, where it stands in the conversation; of one that the template rewrote, by itself."""
    reached = 0
    for text in texts:
        start = tokens.text.find(text.strip(), reached) if isinstance(tokens, Tokens) else -1
        if start < 0 or not isinstance(tokens, Tokens):
            yield tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            continue
        reached = start + len(text.strip())
        yield tokens.ids[bisect_left(tokens.offsets, (start,)) : bisect_left(tokens.offsets, (reached,))]


def _look_at_length(row: dict[str, Any], tokens: Tokens, max_length: int | None, tally: Tally) -> None:
    length = len(tokens.ids)
    tally.lengths[length] += 1
    tally.sums.update(total=length, trained=sum(tokens.trained))
    if not any(tokens.trained):
        tally.find("no_trainable", row)
    if max_length and length > max_length:
        tally.sums["cut"] += length - max_length
        tally.find("over_length", row)
        if any(tokens.trained) and not any(tokens.trained[:max_length]):
            tally.find("no_trainable_once_cut", row)


def language_of(said: str | None, text: str) -> str:
    """What a column says, if that is one language; else the script of most letters at the text's beginning."""
    if said and "," not in said:
        return said
    head = text[:1_000]
    counts = {name: sum(map(len, letters.findall(head))) for name, letters in LETTERS.items()}
    most = max(counts, key=lambda name: counts[name])
    if counts[most]:
        return most
    return "other" if any(c.isalpha() for c in head) else "und"


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[1]).parent)
