"""A stand-in for llmcompressor: run as our program is, it writes a checkpoint that only looks quantised.

FAKE_COMPRESSOR in the environment can make it `crash`, `hang` (after noting its process id), or write something else
than was ordered (`whole`: nothing is quantised).
"""

import json
import os
import re
import struct
import sys
import time
from pathlib import Path

LINEAR = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj", "lm_head"]
SIZES = {"F8_E4M3": 1, "I8": 1, "I32": 4, "F32": 4, "BF16": 2}
WEIGHTS = {
    "FP8_DYNAMIC": {"num_bits": 8, "type": "float", "strategy": "channel", "dynamic": False},
    "W8A8": {"num_bits": 8, "type": "int", "strategy": "channel", "dynamic": False},
}
INPUTS = {
    "FP8_DYNAMIC": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
    "W8A8": {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True},
}


def safetensors(path, tensors, fill=0):
    """A file of tensors: name → (type, shape), every byte of them the same."""
    head, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = SIZES[dtype]
        for n in shape:
            size *= n
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    spelt = json.dumps({"__metadata__": {"format": "pt"}, **head}).encode()
    path.write_bytes(struct.pack("<Q", len(spelt)) + spelt + bytes([fill]) * end)


def checkpoint(folder, scheme, ignore, fill=0, **config):
    """A checkpoint folder as compressed-tensors writes it."""
    folder.mkdir(parents=True)
    kept = [n for n in LINEAR if any(re.match(p[3:], n) if p.startswith("re:") else p == n for p in ignore)]
    group = {"targets": ["Linear"], "weights": WEIGHTS[scheme], "input_activations": INPUTS[scheme]}
    said = {
        "quant_method": "compressed-tensors",
        "format": "some",
        "ignore": kept,
        "config_groups": {"group_0": group},
    }
    (folder / "config.json").write_text(json.dumps({"quantization_config": {**said, **config}}))
    (folder / "recipe.yaml").write_text("default_stage: {}\n")
    tensors = {"model.embed_tokens.weight": ("BF16", [8, 4])}
    for name in LINEAR:
        whole = name in kept
        tensors[f"{name}.weight"] = ("BF16" if whole else {"FP8_DYNAMIC": "F8_E4M3", "W8A8": "I8"}[scheme], [4, 4])
        if not whole:
            tensors[f"{name}.weight_scale"] = ("F32", [4, 1])
    safetensors(folder / "model.safetensors", tensors, fill)
    return folder


def main(order):
    if os.environ.get("FAKE_COMPRESSOR") == "crash":
        sys.exit("RuntimeError: no room for the weights")
    if os.environ.get("FAKE_COMPRESSOR") == "hang":
        Path(os.environ["FAKE_PID"]).write_text(str(os.getpid()))
        time.sleep(600)
    out = Path(order["out"])
    checkpoint(out, order["scheme"], order["ignore"], fill=order["seed"])
    samples = 0
    if order["calibration"]:
        lines = Path(order["calibration"]).read_text(encoding="utf-8").splitlines()
        (out / "seen.json").write_text(json.dumps([json.loads(line) for line in lines], ensure_ascii=False))
        samples = len(lines)
    if os.environ.get("FAKE_COMPRESSOR") == "whole":
        (out / "config.json").write_text("{}")
    made = {"linear": LINEAR, "samples": samples, "software": {"llmcompressor": "0"}}
    (out.parent / "made.json").write_text(json.dumps(made))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text()))
