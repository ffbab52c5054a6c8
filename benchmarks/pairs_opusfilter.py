"""The rival of `pairs.py`: the same two rules by OpusFilter 3.3.1, run as a script by a Python that has it.

python pairs_opusfilter.py FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from opusfilter.filters import LengthFilter, LengthRatioFilter
from opusfilter.opusfilter import OpusFilter
from opusfilter.pipeline import FilterPipeline


def main(folder: str) -> None:
    """Its step `filter` over two files of lines; prints its seconds without the start."""
    filters = [
        {"LengthFilter": {"unit": "char", "min_length": 5, "max_length": 500}},
        {"LengthRatioFilter": {"unit": "char", "threshold": 3}},
    ]
    step = {"inputs": ["text.en", "text.ar"], "outputs": ["kept.en", "kept.ar"], "filters": filters}
    started = time.monotonic()
    OpusFilter(
        {"common": {"output_directory": folder}, "steps": [{"type": "filter", "parameters": step}]}
    ).execute_steps()
    seconds = time.monotonic() - started
    with (Path(folder) / "kept.en").open("rb") as lines:
        print(json.dumps({"seconds": seconds, "filters": alone(folder), "kept": sum(1 for _ in lines)}))


def alone(folder: str) -> float:
    """Seconds of the two filters over pairs in memory, the best of five."""
    sides = [Path(folder, f"text.{code}").read_text(encoding="utf-8").split("\n")[:-1] for code in ("en", "ar")]
    pairs = list(zip(*sides, strict=True))
    rules = FilterPipeline(
        [LengthFilter(unit="char", min_length=5, max_length=500), LengthRatioFilter(3, unit="char")]
    )
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        list(rules.filter(iter(pairs)))  # as its step does; what is dropped is gone
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main(sys.argv[1])
