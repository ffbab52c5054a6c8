"""Two simple filters over pairs, ours against datatrove's and OpusFilter's: characters of both sides, and their ratio.

    python benchmarks/pairs.py [--rows N] [--rival-python PATH] [--opusfilter-python PATH]

Real English-Arabic pairs (Tatoeba, ManyThings, TICO-19, NTREX-128), repeated with a number in front until there are N.
Each is timed three times: as a whole command from start to exit; without the start, so reading, filtering and writing;
and the filters alone, over pairs that are in memory in the form that each works on.
`benchmarks/dedup.py` says how to make the rivals' Pythons.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from real import DATA, manythings, ntrex, tatoeba, tico
from ruamel.yaml import YAML

LEAST, MOST, RATIO = 5, 500, 3
STEPS: list[dict[str, Any]] = [
    {"step": "length", "name": "en", "on": "translation.en", "min_chars": LEAST, "max_chars": MOST},
    {"step": "length", "name": "ar", "on": "translation.ar", "min_chars": LEAST, "max_chars": MOST},
    {
        **{"step": "length_ratio", "source": "translation.en", "target": "translation.ar", "cushion": 1},
        **{"min_ratio": 1 / RATIO, "max_ratio": RATIO},
    },
]
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--rival-python", help="a Python that has datatrove")
    parser.add_argument("--opusfilter-python", help="a Python that has OpusFilter")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        size = write(folder, asked.data, asked.rows)
        print(f"{asked.rows:,} pairs, {size / 1e6:.1f} MB; one worker each")
        whole, alone, kept = ours(folder)
        filters = filters_alone(folder)
        print(f"hala-factory: {whole:.2f} s, without the start {alone:.2f} s, filters {filters:.3f} s, keeps {kept:,}")
        for rival, python in (("datatrove", asked.rival_python), ("opusfilter", asked.opusfilter_python)):
            if python:
                script = str(HERE / f"pairs_{rival}.py")
                started = time.monotonic()
                said = subprocess.run([python, script, str(folder)], check=True, capture_output=True, text=True).stdout
                theirs, told = time.monotonic() - started, json.loads(said.splitlines()[-1])
                print(
                    f"{rival}: {theirs:.2f} s, without the start {told['seconds']:.2f} s, "
                    f"filters {told['filters']:.3f} s, keeps {told['kept']:,}; ratio {theirs / whole:.1f}, "
                    f"without the start {told['seconds'] / alone:.1f}, filters {told['filters'] / filters:.1f}"
                )


def write(folder: Path, data: Path, rows: int) -> int:
    """The same pairs as two files of lines and as JSON Lines; their bytes."""
    real = [*tatoeba(data), *manythings(data), *tico(data), *ntrex(data)]
    numbered = (
        (f"{n // len(real)} {en}", f"{n // len(real)} {ar}") for n, (en, ar) in enumerate(itertools.cycle(real))
    )
    pairs = [tuple(" ".join(side.split()) for side in pair) for pair in itertools.islice(numbered, rows)]
    (folder / "rows").mkdir()
    for code, side in (("en", 0), ("ar", 1)):
        (folder / f"text.{code}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    lines = (json.dumps({"text": en, "ar": ar, "id": n}, ensure_ascii=False) for n, (en, ar) in enumerate(pairs))
    path = folder / "rows" / "pairs.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path.stat().st_size


def ours(folder: Path) -> tuple[float, float, int]:
    """Seconds of the whole command, of its stages, and the rows kept."""
    source = {
        **{"path": "rows/pairs.jsonl", "rows": "pair", "columns": {"en": "text", "ar": "ar"}},
        **{"language": ["en", "ar"], "licence": "unknown"},
    }
    recipe: dict[str, Any] = {
        **{"name": "pairs", "kind": "corpus", "version": "1.0.0", "language": "ar"},
        **{"sources": [{"source": "pairs"}], "steps": STEPS},
    }
    yaml = YAML()
    yaml.dump({"sources": {"pairs": source}}, folder / "catalog.yaml")
    yaml.dump(recipe, folder / "recipe.yaml")
    command = [sys.executable, "-m", "hala_factory.cli", "build", "recipe.yaml", "--catalog", "catalog.yaml", "--json"]
    started = time.monotonic()
    said = subprocess.run(
        [*command, "--quiet", "--no-report", "--workers", "1"],
        cwd=folder,
        env=ONE_THREAD,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    whole, told = time.monotonic() - started, json.loads(said)
    return whole, sum(stage["seconds"] for stage in told["stages"]), told["rows"]["kept"]


def filters_alone(folder: Path) -> float:
    """Seconds of the steps over the rows that the build has read, the best of five."""
    said = subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps(STEPS)],
        cwd=folder,
        env=ONE_THREAD,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(said)


ONE_THREAD = {**os.environ, "POLARS_MAX_THREADS": "1"}  # a worker is a core, as it is for the others
ALONE = """
import json, sys, time
from pathlib import Path
from hala_factory.recipe import load_steps
from hala_factory.run.files import batches
from hala_factory.run.passing import judge
known = load_steps()
steps = [known[told["step"]].model_validate(told) for told in json.loads(sys.argv[1])]
frames = [frame for part in sorted(Path("store/stages").glob("source-*/part-*.parquet")) for frame in batches(part)]
best = float("inf")
for _ in range(5):
    started = time.perf_counter()
    for frame in frames:
        judge(frame, steps)
    best = min(best, time.perf_counter() - started)
print(best)
"""


if __name__ == "__main__":
    main()
