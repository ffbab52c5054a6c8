"""Real rows for benchmarks, from the folder of real data beside the checkout."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_rows(data: Path) -> Iterator[tuple[str, str]]:
    """Prompt and answer of T0, GPTeacher and Alpaca, in the order of the files."""
    for path in sorted(data.glob("t0-50k/files/*/*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            row = json.loads(line)
            yield row["prompt"], row["completion"].removesuffix("<|endoftext|>")
    for path in sorted([*data.glob("gpteacher/files/*/*.json*"), *data.glob("alpaca-random9k/files/**/*.json.gz")]):
        content = path.read_bytes()
        for row in json.loads(gzip.decompress(content) if path.suffix == ".gz" else content):
            answer = row.get("response") or row.get("output") or ""
            yield "\n\n".join(t for t in (row["instruction"], row["input"]) if t.strip()), answer
