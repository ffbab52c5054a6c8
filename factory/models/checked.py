"""What a quantised checkpoint says of itself: its configuration and the heads of its weights, against the order."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory.errors import BuildError


@dataclass(frozen=True)
class Expected:
    """How a scheme stands in a checkpoint of compressed-tensors."""

    weights: dict[str, Any]
    inputs: dict[str, Any] | None
    """Of activations; None where they are not quantised."""
    tensor: str
    """The name under which a layer's weight stands."""
    dtype: str
    """Its type, as safetensors names it."""
    multiple: int = 1
    """What both sizes of every quantised weight have to be a multiple of for a server to load it."""


SCHEMES: dict[str, Expected] = {
    "FP8_DYNAMIC": Expected(
        {"num_bits": 8, "type": "float", "strategy": "channel", "dynamic": False},
        {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
        "weight",
        "F8_E4M3",
    ),
    "FP8_BLOCK": Expected(
        {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128], "dynamic": False},
        {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 128, "dynamic": True},
        "weight",
        "F8_E4M3",
        128,
    ),
    "W8A8": Expected(
        {"num_bits": 8, "type": "int", "strategy": "channel", "dynamic": False},
        {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True},
        "weight",
        "I8",
    ),
    "W4A16": Expected(
        {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "dynamic": False},
        None,
        "weight_packed",
        "I32",
    ),
}
"""What the schemes of compressed-tensors 0.19 (`compressed_tensors.quantization.quant_scheme`) stand for."""


def headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Type and shape of every tensor of a checkpoint, from the heads of its safetensors files.

    Raises BuildError for a folder without weights, or a file that is torn.
    """
    found: dict[str, dict[str, Any]] = {}
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        with file.open("rb") as f:
            try:
                (length,) = struct.unpack("<Q", f.read(8))
                head = json.loads(f.read(length))
                end = (
                    8 + length + max((t["data_offsets"][1] for n, t in head.items() if n != "__metadata__"), default=0)
                )
            except (struct.error, ValueError, LookupError, TypeError, OverflowError, MemoryError):
                raise BuildError(f"{file}: not a whole safetensors file; make the checkpoint again") from None
        if file.stat().st_size != end:
            raise BuildError(f"{file}: {file.stat().st_size:,} bytes, expected {end:,}; make the checkpoint again")
        found |= {name: tensor for name, tensor in head.items() if name != "__metadata__"}
    if not found:
        raise BuildError(f"{folder}: no weights (*.safetensors) here; make the checkpoint again")
    return found


def matching(patterns: Iterable[str], layers: Iterable[str]) -> dict[str, list[str]]:
    """The layers that each pattern names: a layer's whole name, or `re:` and a regular expression."""
    names = list(layers)
    return {p: [name for name in names if _names(p, name)] for p in patterns}


def check(folder: Path, scheme: str, ignore: list[str], linear: list[str]) -> dict[str, Any]:
    """Hold a saved checkpoint against what was ordered; the facts of it.

    `linear` are the names of the model's linear layers. Raises BuildError with everything that is not as ordered.
    """
    expected, tensors = SCHEMES[scheme], headers(folder)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    if not isinstance(said, dict) or said.get("quant_method") != "compressed-tensors":
        raise BuildError(
            f"{folder / 'config.json'}: expected 'quantization_config' of compressed-tensors, found "
            f"{said if said is None else said.get('quant_method')!r}; the checkpoint is not quantised"
        )
    faults = list(_config_faults(said, expected))
    left_out = {name for names in matching(ignore, linear).values() for name in names}
    wanted, end = {name for name in linear if name not in left_out}, f".{expected.tensor}"
    quantised = {
        name.removesuffix("_scale").removesuffix(".weight") for name in tensors if name.endswith("weight_scale")
    }
    faults += [f"layer {name} is not quantised" for name in sorted(wanted - quantised)]
    faults += [f"layer {name} is quantised and was to be left out" for name in sorted(quantised - wanted)]
    declared = {name for names in matching(said.get("ignore") or [], linear).values() for name in names}
    faults += [f"config.json does not list layer {name} in 'ignore'" for name in sorted(left_out - declared)]
    for name in sorted(quantised & wanted):
        found = tensors.get(name + end, {}).get("dtype")
        if found != expected.dtype:
            faults.append(f"{name}{end} is of type {found}, expected {expected.dtype}")
    if not wanted:
        faults.append("'ignore' leaves out every linear layer")
    if faults:
        shown = "\n  ".join(faults[:10] + ([f"and {len(faults) - 10} more"] if len(faults) > 10 else []))
        raise BuildError(f"{folder}: not what scheme {scheme} is:\n  {shown}")
    return {
        "scheme": scheme,
        "format": said.get("format"),
        "quantised": len(quantised),
        "ignored": sorted(left_out),
        "dtypes": _counted(tensor["dtype"] for tensor in tensors.values()),
        "bytes": sum(p.stat().st_size for p in folder.glob("*.safetensors")),
    }


def _config_faults(said: dict[str, Any], expected: Expected) -> Iterable[str]:
    groups = list((said.get("config_groups") or {}).values())
    if len(groups) != 1 or groups[0].get("targets") != ["Linear"]:
        yield f"config.json: expected one group of layers, for 'Linear', found {[g.get('targets') for g in groups]}"
        return
    for part, wanted in (("weights", expected.weights), ("input_activations", expected.inputs)):
        found = groups[0].get(part)
        if wanted is None or found is None:
            if wanted is not found:
                yield f"config.json: {part}: expected {wanted}, found {found}"
            continue
        for key, value in wanted.items():
            if found.get(key) != value:
                yield f"config.json: {part}.{key}: expected {value!r}, found {found.get(key)!r}"


def _names(pattern: str, layer: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern[3:], layer) is not None
    return layer == pattern


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items()))
