"""Whether the Hub's viewer can show the files of a corpus; what it cannot is told, and stops nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

GROUP_BYTES = 300_000_000
"""In memory; above it the viewer says TooBigContentError (max=286.10 MiB). It advises 100 to 300 MB."""
FILE_BYTES = 5_000_000_000
"""Of all files of a configuration the viewer's search takes in the first 5 GB; one file above that is awkward."""


def notes(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What of a corpus the viewer will not show."""
    found = []
    for name, facts in manifest["files"].items():
        if not name.endswith(".parquet"):
            continue
        if facts["bytes"] > FILE_BYTES:
            found.append(f"{name} has {facts['bytes'] / 1e9:.1f} GB; the Hub's viewer wants files below 5 GB")
        meta = pq.read_metadata(folder / name)
        largest = max((meta.row_group(n).total_byte_size for n in range(meta.num_row_groups)), default=0)
        if largest > GROUP_BYTES:
            found.append(
                f"{name} has a row group of {largest / 1e6:,.0f} MB in memory; the Hub's viewer shows no more than "
                f"{GROUP_BYTES / 1e6:,.0f} MB"
            )
    return found
