"""A small translator trained from nothing on real pairs, through recipes: its curve, its scores, what it cost.

    python benchmarks/translator.py [--steps 900] [--threads 2] [--store DIR] [--data …]

Tatoeba (two releases), TICO-19, NTREX-128 and MT-GenEval, English to Arabic, short pairs (data beside the checkout).
500 pairs of Tatoeba are held out, with every pair of the rest that shares a side with one of them. A corpus recipe
cleans and deduplicates what is left; a model recipe begins an LFM2 of a few million parameters, trains it with the
step `sft` and scores it against its untrained self (BLEU, chrF++, ROUGE-L, distinct answers, the collapse check) on
what was held out. On a GPU: `--steps 6000 --precision bf16`. The tool vllm has to be there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import real

from hala_factory import yamlfile

HELD_OUT = 500
TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
NTREX = "ntrex128/files/NTREX-128/newstest2019-ref"
GENEVAL = "mt-geneval/files/data/sentences/dev/geneval-sentences-{}-dev.en_ar"
SERVE = ["--enforce-eager", "--compilation-config", '{"custom_ops": ["-rotary_embedding"]}']
"""An LFM2 on a CPU is right in eager mode only without vLLM's own rotary operator."""


def main() -> None:
    """Lay out, build, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=real.DATA)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="fp32", help="bf16 where the machine computes in it")
    parser.add_argument("--store", type=Path, help="keep what is built here, and go on with it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        counts = lay_out(asked, folder)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        built = build(asked, folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(told(asked, counts, built, cpu, time.monotonic() - started))


def lay_out(asked: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Write the held-out pairs, the catalog and both recipes; rows of Tatoeba by what became of them."""
    sides = [(asked.data / f"{TATOEBA}.{side}").read_text(encoding="utf-8").splitlines() for side in ("eng", "ara")]
    pairs = list(dict(zip(*sides, strict=True)).items())  # one of each text
    random.Random(0).shuffle(pairs)
    held = pairs[:HELD_OUT]
    texts, answers = ({pair[side] for pair in held} for side in (0, 1))
    lines = gzip.decompress((asked.data / "manythings-ara/files/seq2seqBasic/ara.txt.gz").read_bytes()).decode()
    many = [tuple(line.split("\t")[:2]) for line in lines.splitlines()]
    kept = {
        name: [p for p in rows if p[0] not in texts and p[1] not in answers]
        for name, rows in (("tatoeba", pairs[HELD_OUT:]), ("manythings", many))
    }
    for name, rows in {**kept, "held-out": held}.items():
        spelt = (json.dumps({"en": en, "ar": ar}, ensure_ascii=False) + "\n" for en, ar in rows)
        (folder / f"{name}.jsonl").write_text("".join(spelt), encoding="utf-8")
    (folder / "catalog.yaml").write_text(yamlfile.dump(catalog(asked.data)), encoding="utf-8")
    (folder / "small-pairs.yaml").write_text(yamlfile.dump(PAIRS), encoding="utf-8")
    (folder / "small-translator.yaml").write_text(yamlfile.dump(model(asked)), encoding="utf-8")
    return {"held out": len(held), **{name: len(rows) for name, rows in kept.items()}}


def catalog(data: Path) -> dict[str, Any]:
    """The sources; the pairs of Tatoeba stand beside the catalog."""
    pair = {"rows": "pair", "language": ["en", "ar"], "columns": {"en": "en", "ar": "ar"}}

    def moses(en: str, ar: str, licence: str) -> dict[str, Any]:
        return {**pair, "format": "moses", "path": {"en": str(data / en), "ar": str(data / ar)}, "licence": licence}

    return {
        "sources": {
            "tatoeba": {**pair, "path": "tatoeba.jsonl", "licence": "CC-BY-2.0"},
            "manythings": {**pair, "path": "manythings.jsonl", "licence": "CC-BY-2.0"},
            "tico19": {
                **pair,
                "path": str(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip"),
                "licence": "CC0-1.0",
            },
            "ntrex": moses(f"{NTREX}.eng-US.txt.gz", f"{NTREX}.arb.txt", "CC-BY-SA-4.0"),
            **{
                f"geneval-{word}": moses(f"{GENEVAL.format(word)}.en", f"{GENEVAL.format(word)}.ar", "CC-BY-SA-3.0")
                for word in ("masculine", "feminine")
            },
        }
    }


PAIRS: dict[str, Any] = {
    "name": "small-pairs",
    "kind": "corpus",
    "version": "dev",
    "language": "ar",
    "sources": [
        {"source": s} for s in ("tatoeba", "manythings", "tico19", "ntrex", "geneval-masculine", "geneval-feminine")
    ],
    "steps": [
        {"step": "normalise_unicode", "on": "translation"},
        {"step": "normalise_space", "on": "translation"},
        {
            "step": "length",
            "on": "translation.en",
            "min_chars": 2,
            "max_chars": 160,
            "min_words": 1,
            "max_words": None,
        },
        {"step": "language", "on": "translation.ar", "keep": ["ar", "arz"], "min_score": 0.3},
        {"step": "exact_dedup", "on": "translation"},
    ],
}


def model(asked: argparse.Namespace) -> dict[str, Any]:
    """The chain: begin, train, score."""
    task = {"prompt": "{text}"}  # the model has one task, and words that ask for it would only cost time
    held_out = {"path": "held-out.jsonl", "columns": {"en": "en", "ar": "ar"}, "n": HELD_OUT, "max_tokens": 64, **task}
    return {
        "name": "small-translator",
        "kind": "model",
        "version": "dev",
        "steps": [
            {
                "step": "init",
                "texts": {"corpus": "small-pairs"},
                "vocabulary": 4_000,
                "hidden": 192,
                "layers": 6,
                "heads": 4,
                "kv_heads": 2,
                "ffn": 512,
                "context": 256,
                "serve": SERVE,
            },
            {
                "step": "sft",
                "rows": {"corpus": "small-pairs"},
                "tasks": [task],
                "held_out": 128,
                "max_length": 160,
                "epochs": 100,
                "max_steps": asked.steps,
                "batch_size": 64,
                "micro_batch": 64,
                "learning_rate": asked.rate,
                "warmup": 100,
                "weight_decay": 0.01,
                "precision": asked.precision,
                "save_every": 100,
                "looks": 8,
            },
            {"step": "evaluate", "benchmarks": [], "translations": [held_out], "min_chrf_gain": 5},
        ],
    }


def build(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The manifest of the model."""
    store = (asked.store or folder / "store").resolve()
    command = [sys.executable, "-m", "hala_factory.cli", "build", "small-translator.yaml", "--store", str(store)]
    env = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
    subprocess.run(command, cwd=folder, env=env, check=True)
    manifest: dict[str, Any] = json.loads(
        (store / "models" / "small-translator" / "dev" / "manifest.json").read_text()
    )
    return manifest


def told(asked: argparse.Namespace, counts: dict[str, int], manifest: dict[str, Any], cpu: float, wall: float) -> str:
    """The figures as Markdown."""
    begun, trained, scored = (stage["report"] for stage in manifest["stages"])
    found = scored["translations"][0]
    lines = [
        f"{date.today()}: {begun['parameters']:,} parameters; {trained['rows']:,} pairs, {trained['tokens']:,} "
        f"tokens; {trained['steps']:,} steps in {trained['seconds']:,.0f} s, {asked.threads} threads; "
        f"the whole command {cpu / 60:.1f} CPU minutes, {wall / 60:.1f} minutes. Tatoeba: {counts}.",
        "",
        "| held-out Tatoeba | untrained | trained |",
        "|---|---|---|",
        *(
            f"| {name} | {found['scores'][word]['before']:.2f} | {found['scores'][word]['after']:.2f} |"
            for word, name in (("bleu", "BLEU"), ("chrf", "chrF++"), ("rouge_l", "ROUGE-L"))
        ),
        f"| distinct answers | {found['distinct_share']['before']:.1%} | {found['distinct_share']['after']:.1%} |",
        f"| gap, nats a token | {found['reads']['before']['gap']:+.3f} | {found['reads']['after']['gap']:+.3f} |",
        "",
        "| step | held-out loss | other texts' | gap | distinct |",
        "|---|---|---|---|---|",
        *(
            f"| {k['step']:,} | {k['loss']:.3f} | {k['shifted_loss']:.3f} | {k['gap']:+.3f} | "
            f"{k['distinct_share']:.0%} |"
            for k in trained["looks"]
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
