"""What is trained on, in which order: conversations in tokens, and the rows of every epoch in batches of one length.

The order is laid out before the training, so that one that is taken up goes on with the row it had come to.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

from hala_factory.train.template import tokens_of_all
from hala_factory.train.turns import TemplateFailure

POOL = 50
"""Batches of rows that are sorted by length together."""


def rows(file: str, max_length: int, tokenizer: Any) -> Iterator[dict[str, Any]]:
    """Tokens and labels of every conversation that has something to train, cut at `max_length`."""
    with open(file, encoding="utf-8") as lines:
        while chunk := [json.loads(line) for line in itertools.islice(lines, 500)]:
            for found in tokens_of_all(tokenizer, chunk):
                if isinstance(found, TemplateFailure):
                    continue  # the lint has counted it, and let it pass
                ids, trained = found.ids[:max_length], found.trained[:max_length]
                if any(trained):
                    labels = [token if wanted else -100 for token, wanted in zip(ids, trained, strict=True)]
                    yield {"input_ids": ids, "labels": labels, "length": len(ids), "trained": sum(trained)}


def order(lengths: list[int], size: int, epochs: float, seed: int) -> list[int]:
    """The rows of all epochs: in each every row once, batches of `size` rows of about one length, drawn by `seed`.

    What is left over of the epochs' rows comes last. A part of an epoch is the first rows of one.
    """
    rng, whole, left = random.Random(seed), list[int](), list[int]()
    for _ in range(-int(-epochs // 1)):
        drawn = list(range(len(lengths)))
        rng.shuffle(drawn)
        pools = [
            sorted(drawn[i : i + POOL * size], key=lengths.__getitem__) for i in range(0, len(drawn), POOL * size)
        ]
        batches = [pool[i : i + size] for pool in pools for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        whole += [row for batch in batches if len(batch) == size for row in batch]
        left += [row for batch in batches if len(batch) < size for row in batch]
    return (whole + left)[: round(len(lengths) * epochs)]
