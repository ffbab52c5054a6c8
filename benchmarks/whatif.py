"""`whatif` on a large corpus: seconds of the whole command, and whether a real rebuild says the same.

    python benchmarks/whatif.py [--rows N] [--data DIR] [--check]

Real instruction rows, repeated with a number in front until there are N, go through filters and a dedup once;
then thresholds are tightened and loosened, in front of the dedup and behind it. With `--check`, each is built as
well, and the rows that are kept are compared one by one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from real import DATA, real_rows
from ruamel.yaml import YAML

STEPS: list[dict[str, Any]] = [
    {"step": "length", "min_chars": 60, "max_chars": 4_000},
    {"step": "gopher_quality", "min_words": None, "min_stop_words": None, "min_alphabetic_words": 0.6},
    {"step": "exact_dedup", "on": "messages.assistant"},
    {"step": "length", "name": "answers", "on": "messages.assistant", "min_chars": 5, "max_chars": 2_000},
]
SETTINGS = {
    "tighter, behind the dedup": ["answers.min_chars=40"],
    "looser, behind the dedup": ["answers.max_chars=2500"],
    "tighter, in front of it": ["length.min_chars=120"],
    "looser, in front of it": ["gopher_quality.min_alphabetic_words=0.55"],
    "both": ["length.max_chars=4500", "answers.min_chars=8"],
}


def main() -> None:
    """Build, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--check", action="store_true", help="build each, too")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        write_rows(folder, asked.data, asked.rows)
        write_recipe(folder, {})
        took = run(folder, "build", "recipe.yaml", "--quiet")[0]
        before = kept(folder)
        print(f"{asked.rows:,} rows, {before.height:,} kept; built in {took:.0f} s\n")
        print("| setting | seconds | flips | rebuilt in | the same |\n|---|---|---|---|---|")
        for words, settings in SETTINGS.items():
            sets = [part for setting in settings for part in ("--set", setting)]
            seconds, out = run(folder, "whatif", "bench@dev", *sets, "--json", "--out", "flips.parquet")
            flips = json.loads(out)["flips"]
            line = f"| {words}: {', '.join(settings)} | {seconds:.2f} | {flips:,} |"
            if not asked.check:
                print(f"{line} | |", flush=True)
                continue
            told = after(before, pl.read_parquet(folder / "flips.parquet"))
            write_recipe(folder, dict(s.split("=") for s in settings))
            rebuilt = run(folder, "build", "recipe.yaml", "--quiet")[0]
            same = told.equals(kept(folder))
            write_recipe(folder, {})
            run(folder, "build", "recipe.yaml", "--quiet")
            print(f"{line} {rebuilt:.0f} s | {'yes' if same else 'NO'} |", flush=True)


def write_rows(folder: Path, data: Path, rows: int) -> None:
    """The real rows again and again, each round told apart by a number in front of the answer."""
    real = list(real_rows(data))
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number, (prompt, answer) in enumerate(itertools.islice(itertools.cycle(real), rows)):
            turn = number // len(real)
            file.write(json.dumps({"prompt": prompt, "completion": f"{turn} {answer}" if turn else answer}) + "\n")
    source = {"path": "rows.jsonl", "columns": "prompt_completion", "language": "en", "licence": "unknown"}
    with (folder / "catalog.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"sources": {"rows": source}}, file)


def write_recipe(folder: Path, settings: dict[str, str]) -> None:
    """The recipe, with thresholds changed."""
    steps = []
    for step in STEPS:
        label = step.get("name", step["step"])
        changed = {k.split(".")[1]: float(v) for k, v in settings.items() if k.split(".")[0] == label}
        steps.append({**step, **{k: int(v) if v.is_integer() else v for k, v in changed.items()}})
    recipe = {"name": "bench", "kind": "corpus", "version": "dev", "language": "en"}
    with (folder / "recipe.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({**recipe, "sources": [{"source": "rows"}], "steps": steps}, file)


def run(folder: Path, *words: str) -> tuple[float, str]:
    """Seconds of a whole command, and what it said."""
    started = time.monotonic()
    program = Path(sys.executable).with_name("hala-factory")
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"hala-factory {' '.join(words)}: {done.stderr}")
    return time.monotonic() - started, done.stdout


def kept(folder: Path) -> pl.DataFrame:
    """Which rows the version holds, by their place in the source."""
    files = folder / "store" / "corpora" / "bench" / "dev" / "data" / "*.parquet"
    place = pl.col("origin").struct.field("position").alias("position")
    return pl.scan_parquet(files).select(place).sort("position").collect()


def after(before: pl.DataFrame, flips: pl.DataFrame) -> pl.DataFrame:
    """The rows that `whatif` says would be kept."""
    place = pl.col("origin").struct.field("position").alias("position")
    was = flips.filter(pl.col("was").struct.field("status") == "kept").select(place)
    becomes = flips.filter(pl.col("becomes").struct.field("status") == "kept").select(place)
    return pl.concat([before.join(was, on="position", how="anti"), becomes]).sort("position")


if __name__ == "__main__":
    main()
