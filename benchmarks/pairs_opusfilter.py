"""The rival of `pairs.py`: the same two rules by OpusFilter 3.3.1, run as a script by a Python that has it.

python pairs_opusfilter.py FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from opusfilter.opusfilter import OpusFilter


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
        print(json.dumps({"seconds": seconds, "kept": sum(1 for _ in lines)}))


if __name__ == "__main__":
    main(sys.argv[1])
