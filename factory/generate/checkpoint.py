"""What a checkpoint is: the content of its files, or its revision on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hala_factory.catalog import Model
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
    "*.py",
    "*.tiktoken",
)
"""Files that decide answers: configuration, tokenizer, chat template, weights, code of its own. Not its pages and
licences."""
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


def served(name: str, model: Model, revision: str | None) -> dict[str, Any]:
    """What the catalog knows of a model whose files others have: its name there, revision, quantisation.

    Its chat template is theirs and cannot be looked at; `chat_template` in the catalog says which it is, and
    whoever changes it there, or has them change it, gets new answers by saying so.
    """
    called = model.hub or model.model or name
    template = {"chat_template": model.chat_template} if model.chat_template else {}
    return {"model": called, "revision": revision, "quantisation": model.quantisation, **template}
