"""The program that quantises: `python quantize.py ORDER.json`, in the llmcompressor environment.

It imports nothing of ours. The order names `model` (folder or hub id), `revision`, `scheme`, `method`, `ignore`,
`seed`, `multiple` (what both sizes of a quantised layer are a multiple of), `out`, and, for a method that calibrates,
`calibration` (a file of conversations, one JSON list of messages a line) and `max_tokens` of each. It writes the
checkpoint to `out`, and last `made.json` beside that folder: the names of the model's linear layers, the number of
samples used, and the versions of what did it.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

SOFTWARE = ("llmcompressor", "compressed-tensors", "torch", "transformers")


def main(order: dict[str, Any]) -> None:
    """Load the model, quantise it, save it."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(order["seed"])
    tokenizer = AutoTokenizer.from_pretrained(order["model"], revision=order["revision"])
    model = AutoModelForCausalLM.from_pretrained(order["model"], revision=order["revision"], dtype="auto")
    layers = dict(model.named_modules())
    linear = [name for name, layer in layers.items() if type(layer).__name__ == "Linear"]
    _expect_sizes(order, {name: tuple(layers[name].weight.shape) for name in linear})
    modifier = {"rtn": QuantizationModifier, "gptq": GPTQModifier}[order["method"]]
    recipe = modifier(targets="Linear", scheme=order["scheme"], ignore=order["ignore"])
    calibration = _calibration(order, tokenizer) if order["calibration"] else {}
    oneshot(model=model, recipe=recipe, **calibration)
    out = Path(order["out"])
    model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    made = {
        "linear": linear,
        "samples": calibration.get("num_calibration_samples", 0),
        "software": {name: importlib.metadata.version(name) for name in SOFTWARE},
    }
    (out.parent / "made.json").write_text(json.dumps(made), encoding="utf-8")


def _expect_sizes(order: dict[str, Any], sizes: dict[str, tuple[int, ...]]) -> None:
    """End before the work where a layer's size does not fit the scheme: a server would refuse it in the end."""
    left_out = [p.removeprefix("re:") if p.startswith("re:") else re.escape(p) + "$" for p in order["ignore"]]
    for name, shape in sizes.items():
        odd = [n for n in shape if n % order["multiple"]]
        if odd and not any(re.match(pattern, name) for pattern in left_out):
            raise SystemExit(
                f"layer {name} is {' × '.join(map(str, shape))}: scheme {order['scheme']} expects sizes that are "
                f"multiples of {order['multiple']}; list it in 'ignore', or take another scheme"
            )


def _calibration(order: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """The conversations as the model reads them, cut to `max_tokens`."""
    from datasets import Dataset

    rows = []
    with open(order["calibration"], encoding="utf-8") as lines:
        for line in lines:
            text = tokenizer.apply_chat_template(json.loads(line), tokenize=False)
            ids = tokenizer(text, add_special_tokens=False, truncation=True, max_length=order["max_tokens"])
            rows.append({"input_ids": ids["input_ids"], "attention_mask": ids["attention_mask"]})
    return {
        "dataset": Dataset.from_list(rows),
        "num_calibration_samples": len(rows),
        "shuffle_calibration_samples": False,  # who wrote the order has drawn them
        "max_seq_length": order["max_tokens"],
    }


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
