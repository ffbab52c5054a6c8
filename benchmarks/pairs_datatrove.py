"""The rival of `pairs.py`: the same two rules by datatrove 0.10.1, run as a script by a Python that has it.

python pairs_datatrove.py FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor  # noqa: TID253
from datatrove.pipeline.filters import LambdaFilter  # noqa: TID253
from datatrove.pipeline.readers import JsonlReader  # noqa: TID253
from datatrove.pipeline.writers import JsonlWriter  # noqa: TID253


def long_enough(doc) -> bool:  # type: ignore[no-untyped-def]
    """5 to 500 characters on both sides."""
    return all(5 <= len(side) <= 500 for side in (doc.text, doc.metadata["ar"]))


def alike(doc) -> bool:  # type: ignore[no-untyped-def]
    """At most three times as long on one side as on the other."""
    lengths = sorted((len(doc.text), len(doc.metadata["ar"])))
    return lengths[1] <= 3 * lengths[0]


def main(folder: str) -> None:
    """Filter JSON Lines into the same, with what is dropped beside it; prints its seconds without the start."""
    started = time.monotonic()
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(f"{folder}/rows"),
            LambdaFilter(long_enough, exclusion_writer=JsonlWriter(f"{folder}/short", compression=None)),
            LambdaFilter(alike, exclusion_writer=JsonlWriter(f"{folder}/unlike", compression=None)),
            JsonlWriter(f"{folder}/kept", compression=None),
        ],
        logging_dir=f"{folder}/logs",
    ).run()
    seconds = time.monotonic() - started
    kept = sum(path.read_bytes().count(b"\n") for path in Path(folder, "kept").iterdir())
    print(json.dumps({"seconds": seconds, "filters": alone(folder), "kept": kept}))


def alone(folder: str) -> float:
    """Seconds of the two filters over documents in memory, the best of five."""
    documents = list(JsonlReader(f"{folder}/rows")())
    filters = [LambdaFilter(long_enough), LambdaFilter(alike)]
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        kept, gone = [], []
        for document in documents:
            (kept if all(rule.filter(document) is True for rule in filters) else gone).append(document)
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main(sys.argv[1])
