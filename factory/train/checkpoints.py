"""Checkpoints on disk: their tensors without loading them all, and whether two can be reckoned with together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BESIDE = ("config.json", "generation_config.json", "*.jinja", "special_tokens_map.json", "added_tokens.json")
TOKENIZER = ("tokenizer*", "vocab.*", "merges.txt", "*.model", "*.tiktoken")
NAMED = ("_name_or_path", "name_or_path")
"""Fields in which transformers notes where a checkpoint was loaded from."""


@dataclass(frozen=True)
class Tensor:
    """One tensor, and where it stands."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    """As torch calls it."""


def located(place: str, revision: str | None) -> Path:
    """The folder of a checkpoint, from the Hub if need be."""
    if revision is None and Path(place).is_dir():
        return Path(place)
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.safetensors.index.json", *BESIDE, *TOKENIZER]
    return Path(snapshot_download(place, revision=revision, allow_patterns=wanted))


def tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint. Ends the program where there is none, or where they are quantised."""
    from safetensors import safe_open

    if "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8")):
        raise SystemExit(f"{folder}: is quantised; expected whole weights: merge first, and quantise what comes of it")
    types = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no dict
                part = weights.get_slice(name)
                found[name] = Tensor(file, tuple(part.get_shape()), types.get(part.get_dtype(), part.get_dtype()))
    if not found:
        raise SystemExit(f"{folder}: no weights (*.safetensors) here; expected a whole checkpoint, and no adapter")
    return found


def load(tensor: Tensor, name: str) -> Any:
    """A tensor as it is on disk."""
    from safetensors import safe_open

    with safe_open(tensor.file, "pt") as weights:
        return weights.get_tensor(name)


def main_type(found: dict[str, Tensor]) -> str:
    """The type that most tensors have."""
    return Counter(tensor.dtype for tensor in found.values()).most_common(1)[0][0]


def expect_alike(one: tuple[str, Path], other: tuple[str, Path]) -> None:
    """End where two models (name and folder) have other tensors, or number a token otherwise."""
    (first, folder), (second, its) = one, other
    a, b = tensors(folder), tensors(its)
    odd = [
        f"{name}: {_size(a.get(name))} in {first}, {_size(b.get(name))} in {second}"
        for name in sorted({*a, *b})
        if _size(a.get(name)) != _size(b.get(name))
    ]
    if odd:
        shown = "\n  ".join([*odd[:5], *([f"and {len(odd) - 5:,} more"] if len(odd) > 5 else [])])
        raise SystemExit(f"{first} and {second} are not of one shape; expected the same tensors in both:\n  {shown}")
    from transformers import AutoTokenizer

    words, others = (AutoTokenizer.from_pretrained(place).get_vocab() for place in (folder, its))
    differ = sorted((n, word) for word, n in words.items() if others.get(word, n) != n)
    if differ:
        n, word = differ[0]
        raise SystemExit(
            f"{first} and {second} number {len(differ):,} tokens differently: {word!r} is {n} in {first} and "
            f"{others[word]} in {second}; expected models with one tokenizer"
        )


def take(file: Path, target: Path) -> None:
    """Copy a small file of a checkpoint without what it says of the machine that it was loaded on."""
    if file.suffix != ".json" or not any(f'"{word}"' in file.read_text(encoding="utf-8") for word in NAMED):
        target.write_bytes(file.read_bytes())
        return
    said = json.loads(file.read_text(encoding="utf-8"))
    kept = {word: value for word, value in said.items() if word not in NAMED}
    target.write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _size(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else " × ".join(map(str, tensor.shape)) or "one number"
