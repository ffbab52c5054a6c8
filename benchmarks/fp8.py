"""A quantised model against the one it was made of: chrF++, BLEU, output tokens a second, memory.

    python benchmarks/fp8.py --model FOLDER_OR_HUB_ID [--scheme FP8_DYNAMIC] [--n 1000] [--pairs FILE.jsonl]
    python benchmarks/fp8.py --tiny

The first is for a GPU that computes in FP8: the original in its own type (bfloat16 as a rule) against FP8_DYNAMIC. The
second trains a llama of about a million parameters on a few sentences until it knows them by heart, and compares W8A8
with it on the CPU: figures of a small model say that all of it works, not what is gained by it. Both go through a
recipe of `kind: model`, so what is measured and how is what `accept` says of itself. Both tools have to be there
(`hala-factory tools install vllm`, `… llmcompressor`). Pairs are NTREX-128's by default (data beside the checkout).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import real

from hala_factory import catalog, yamlfile
from hala_factory.generate import tools
from hala_factory.models import building, card, plan, recipe
from hala_factory.store import Store, read_json

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "Translate everything that follows into Arabic:\n\n{text}"
TINY_PAIRS = 20
"""Sentences that the tiny model learns: more take minutes."""


def main() -> None:
    """Build the recipe and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint folder or an id on the Hub")
    parser.add_argument("--tiny", action="store_true", help="a model made on the spot, on the CPU")
    parser.add_argument("--scheme", help="FP8_DYNAMIC; W8A8 for the tiny model")
    parser.add_argument("--pairs", type=Path, help="lines of JSON with en and ar")
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--context", type=int, default=4_096)
    parser.add_argument("--serve", default="", help="further arguments of the vllm server, e.g. '-tp 2'")
    parser.add_argument("--data", type=Path, default=real.DATA)
    parser.add_argument("--store", type=Path, help="keep what is built here, and go on with it")
    asked = parser.parse_args()
    if asked.tiny == bool(asked.model):
        parser.error("give either --model or --tiny")
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        told = compare(asked, folder, asked.store or folder / "store")
    print(table(asked, told))


def compare(asked: argparse.Namespace, folder: Path, store: Path) -> dict[str, Any]:
    """The reports of the chain's stages, by their names."""
    if asked.tiny:
        pairs = [p for p in real.manythings(asked.data) if 20 < len(p[0]) < 60][::7][:TINY_PAIRS]
        place, scheme = {"path": str(memorised(pairs, folder, asked.prompt))}, asked.scheme or "W8A8"
        serve, context = ["--enforce-eager"], 512
    else:
        found = asked.pairs.read_text(encoding="utf-8").splitlines() if asked.pairs else []
        pairs = [(line["en"], line["ar"]) for line in map(json.loads, found)] or real.ntrex(asked.data)
        here = Path(asked.model).is_dir()
        place, scheme = {"path" if here else "hub": asked.model}, asked.scheme or "FP8_DYNAMIC"
        serve, context = asked.serve.split(), asked.context
    (folder / "pairs.jsonl").write_text(
        "".join(json.dumps({"en": en, "ar": ar}, ensure_ascii=False) + "\n" for en, ar in pairs), encoding="utf-8"
    )
    model = {"engine": "vllm", "licence": "unknown", "context": context, "serve": serve, **place}
    accept = {"step": "accept", "pairs": {"path": "pairs.jsonl", "n": asked.n}, "prompt": asked.prompt}
    chain = [
        {"step": "quantise", "scheme": scheme},
        {**accept, "max_tokens": context // 2, "max_chrf_loss": None, "min_n": 1},
    ]
    head = {"name": "compared", "kind": "model", "version": "dev", "base": "original", "steps": chain}
    (folder / "catalog.yaml").write_text(yamlfile.dump({"models": {"original": model}}), encoding="utf-8")
    (folder / "recipe.yaml").write_text(yamlfile.dump(head), encoding="utf-8")
    ready = recipe.load(folder / "recipe.yaml", catalog.load(folder / "catalog.yaml"))
    made = building.build(plan.plan(ready, Store.at(store)), lambda line: print(line, file=sys.stderr))
    manifest = read_json(Path(made["path"]) / "manifest.json") or {}
    return {stage["name"]: stage["report"] for stage in manifest["stages"]}


def memorised(pairs: list[real.Pair], folder: Path, prompt: str) -> Path:
    """A llama that knows the pairs by heart."""
    texts = folder / "by-heart.json"
    texts.write_text(json.dumps([[prompt.replace("{text}", en), ar] for en, ar in pairs]), encoding="utf-8")
    program = [str(ROOT / "tests" / "tiny_models.py"), "llama", str(texts), str(folder / "tiny")]
    said = subprocess.run([str(tools.find_llmcompressor()), *program], check=True, capture_output=True, text=True)
    print(said.stdout.strip(), file=sys.stderr)
    return folder / "tiny"


def table(asked: argparse.Namespace, told: dict[str, Any]) -> str:
    """The table for RESULTS.md."""
    made, report = told["quantise"], told["accept"]
    machine = report["runs"]["original"]["machine"]
    on = machine["gpus"] or f"{machine['processor']}, {machine['cores']} cores"
    head, *lines = card.measured(report)
    head[:3] = [f"{date.today().isoformat()}", asked.model or "tiny llama", made["scheme"]]
    rows = [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines]]
    seconds = [f"{run['seconds']:.1f}" for run in report["runs"].values()]
    return "\n".join(
        [
            *rows,
            "",
            f"{report['texts']:,} texts on {on}; answered in {' and '.join(seconds)} s; {made['quantised']} layers.",
        ]
    )


if __name__ == "__main__":
    main()
