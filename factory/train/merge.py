"""The program that merges: `python merge.py ORDER.json`, by mergekit, and a look at what came out.

The order names `method`, `t`, `density` (of `ties`), `models` (`place`, `revision` and `name` of each: where `t` is 0
first, the tuned one last), `sample` (tensors to check, drawn by `seed`), and `out`. The checkpoint has the tuned
model's configuration, tokenizer and chat template. `made.json` is written last, beside the order.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hala_factory.train import formula
from hala_factory.train.checkpoints import BESIDE, TOKENIZER, expect_alike, load, located, main_type, take, tensors

SOFTWARE = ("mergekit", "torch", "transformers", "safetensors")
LARGEST = 200_000_000
"""Numbers of a tensor that is checked; in float64 a larger one takes too much memory."""


def main(order: dict[str, Any], folder: Path) -> None:
    """Merge, take over what belongs to the tuned model, check."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    names = [model["name"] for model in order["models"]]
    places = [located(model["place"], model["revision"]) for model in order["models"]]
    for one in zip(names[:-1], places[:-1], strict=True):
        expect_alike(one, (names[-1], places[-1]))
    tuned, out = tensors(places[-1]), Path(order["out"])
    config = MergeConfiguration.model_validate(asked(order, [str(place) for place in places], main_type(tuned)))
    run_merge(config, str(out), MergeOptions(write_model_card=False, copy_tokenizer=False, quiet=True))
    for pattern in (*BESIDE, *TOKENIZER):
        for file in places[-1].glob(pattern):
            take(file, out / file.name)
    for file in out.glob("*.safetensors"):
        file.chmod(0o644)  # mergekit writes them for the user alone
    errors = check(order, out, places)
    worst = max(errors, key=lambda name: errors[name])
    made = {
        "tensors": len(tuned),
        "checked": len(errors),
        "worst": worst,
        "largest_error": errors[worst],
        "dtype": main_type(tuned),
        "bytes": sum(p.stat().st_size for p in out.glob("*.safetensors")),
        "software": {name: importlib.metadata.version(name) for name in SOFTWARE},
    }
    (folder / "made.json").write_text(json.dumps(made), encoding="utf-8")


def asked(order: dict[str, Any], places: Sequence[str], dtype: str) -> dict[str, Any]:
    """What mergekit is asked for; it reckons in float32 and rounds once, to the tuned model's type."""
    t, method, (first, *others) = order["t"], order["method"], places
    config: dict[str, Any] = {"merge_method": method, "dtype": "float32", "out_dtype": dtype}
    if method == "slerp":
        return {**config, "base_model": first, "models": [{"model": p} for p in places], "parameters": {"t": t}}
    if method == "linear":
        weights = [*[(1 - t) / len(others)] * len(others), t]
        models = [{"model": p, "parameters": {"weight": w}} for p, w in zip(places, weights, strict=True)]
        return {**config, "models": models, "parameters": {"normalize": False}}
    weighed = {"weight": 1.0, **({"density": order["density"]} if method == "ties" else {})}
    models = [{"model": p, "parameters": weighed} for p in others]
    shared = {"lambda": t, "normalize": method == "ties"}
    return {**config, "base_model": first, "models": models, "parameters": shared}


def check(order: dict[str, Any], out: Path, places: Sequence[Path]) -> dict[str, float]:
    """How far tensors of the checkpoint are from the formula, by name: all, or as many as are to be drawn.

    Ends the program where a tensor is missing, or there are others.
    """
    merged, parents = tensors(out), [tensors(place) for place in places]
    if missing := sorted(merged.keys() ^ parents[-1].keys()):
        raise SystemExit(f"{out}: {', '.join(missing[:5])}: expected the tensors of the models merged, and no others")
    fitting = [name for name, tensor in sorted(merged.items()) if math.prod(tensor.shape) <= LARGEST]
    drawn = random.Random(order["seed"]).sample(fitting, min(order["sample"], len(fitting)))
    errors = {}
    for name in sorted(drawn):
        loaded = [load(found[name], name) for found in (merged, *parents)]
        errors[name] = formula.error(loaded[0], loaded[1:], order["method"], order["t"], order["density"])
    return errors


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[1]).parent)
