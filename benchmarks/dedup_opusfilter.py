"""The rival of `dedup.py` for exact duplicates: OpusFilter 3.3.1, run as a script by a Python that has it.

python dedup_opusfilter.py TEXTS_FILE OUT_FILE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from opusfilter.opusfilter import OpusFilter


def main(texts: str, out: str) -> None:
    """Its step `remove_duplicates` with its defaults; prints its seconds alone, without the start."""
    folder = str(Path(texts).parent)
    steps = [{"type": "remove_duplicates", "parameters": {"inputs": [Path(texts).name], "outputs": [out]}}]
    started = time.monotonic()
    OpusFilter({"common": {"output_directory": folder}, "steps": steps}).execute_steps()
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
