"""The YAML head of a dataset card, in the words that the Hub knows."""

from __future__ import annotations

import re
from typing import Any

from hala_factory.licence_table import TABLE

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
)
_SIDE = re.compile(r"'(\w+)': String")


def head(manifest: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a corpus, https://huggingface.co/docs/hub/datasets-cards."""
    kept, models = manifest["rows"]["kept"], manifest["lock"]["models"]
    folders = ["data", *(e for e in manifest["exports"] if e != "messages")]
    sides = _SIDE.findall(manifest["columns"].get("translation", ""))
    hubs = [entry["hub"] for entry in manifest["lock"]["sources"].values() if entry.get("hub")]
    hubs = [] if manifest["samples"] else hubs
    written = {"annotations_creators": ["machine-generated"], "language_creators": ["machine-generated"]}
    return {
        "pretty_name": f"{manifest['name']} {manifest['version']}",
        "language": sorted(sides) or [manifest["language"]],
        **licence(manifest["licence"]),
        "multilinguality": ["translation" if sides else "monolingual"],
        "size_categories": [size(kept)],
        **({"source_datasets": list(dict.fromkeys(hubs))} if hubs else {}),
        **(written if models else {}),
        "task_categories": ["translation" if sides else "text-generation"],
        "tags": [
            "hala-factory",
            "parallel-corpus" if sides else "instruction-tuning",
            *(["synthetic"] if models else []),
        ],
        "configs": [
            {
                "config_name": "default" if f == "data" else f,
                "data_files": [{"split": "train", "path": f"{f}/*.parquet"}],
                **({"default": True} if f == "data" else {}),
            }
            for f in folders
        ],
    }


def size(rows: int) -> str:
    """The Hub's word for so many rows."""
    return next((word for bound, word in _SIZES if rows < bound), "10B<n<100B")


def licence(told: dict[str, Any]) -> dict[str, Any]:
    """The licence in the Hub's words; `other` and a name where it has none, or none fits."""
    under = told["published_under"]
    word = TABLE[under].hub if under else ""
    if word:
        return {"license": word}
    name = under or ("unresolved" if told["conflicts"] else "none")
    return {"license": "other", "license_name": name.lower(), "license_link": "ATTRIBUTION.md"}
