"""The rival of `dedup.py` for near duplicates: MinHash by datatrove 0.10.1, run as a script by a Python that has it.

python dedup_datatrove.py ROWS_FOLDER OUT_FOLDER WORKERS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor  # noqa: TID253
from datatrove.pipeline.dedup import (  # noqa: TID253
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig  # noqa: TID253
from datatrove.pipeline.readers import JsonlReader  # noqa: TID253
from datatrove.pipeline.writers import ParquetWriter  # noqa: TID253


def main(rows: str, out: str, workers: int) -> None:
    """Its four stages with its defaults: 5-grams of words, 14 bands of 8."""
    config = MinhashConfig()
    files = len(list(Path(rows).glob("*.jsonl")))
    spent: dict[str, float] = {}

    def stage(name: str, pipeline: list[Any], tasks: int) -> None:
        started = time.monotonic()
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=min(workers, tasks), logging_dir=f"{out}/logs/{name}"
        ).run()
        spent[name] = time.monotonic() - started

    stage("signatures", [JsonlReader(rows), MinhashDedupSignature(f"{out}/signatures", config)], files)
    buckets = [MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)]
    stage("buckets", buckets, config.num_buckets)
    stage("clusters", [MinhashDedupCluster(f"{out}/buckets", f"{out}/removed", config)], 1)
    stage("filter", [JsonlReader(rows), MinhashDedupFilter(f"{out}/removed"), ParquetWriter(f"{out}/kept")], files)
    (Path(out) / "seconds.json").write_text(json.dumps(spent))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
