"""What a checkpoint is: the content of its files, or its revision on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hala_factory.errors import InputError

DECIDING = (
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
    "*.spm",
    "*.safetensors",
    "*.bin",
    "*.pt",
)
"""Files that decide answers: configuration, tokenizer, chat template, weights. Not its pages and licences."""
_NOT_DECIDING = {"manifest.json", "trainer_state.json", "training_args.bin", "LICENSE.txt", "requirements.txt"}


def identity(
    name: str, checkpoint: Path | str, revision: str | None, digests: Callable[[Path], str]
) -> dict[str, Any]:
    """The digest of every file of a checkpoint folder, or the hub's id and revision.

    Raises InputError for a folder that holds no checkpoint.
    """
    if isinstance(checkpoint, str):
        return {"model": checkpoint, "revision": revision}
    if not (checkpoint / "config.json").is_file():
        found = "which has no config.json" if checkpoint.is_dir() else "which is not there"
        raise InputError(f"model {name!r}: 'path' is no checkpoint folder: {checkpoint}, {found}")
    files = {p.name: p for pattern in DECIDING for p in checkpoint.glob(pattern) if p.name not in _NOT_DECIDING}
    return {"files": {f: digests(files[f]) for f in sorted(files)}}
