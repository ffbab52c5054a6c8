"""`diff` on two large versions: seconds of the whole command, and whether it tells exactly what was done.

    python benchmarks/diff.py [--rows N] [--chars N]

Two synthetic versions of N instruction rows of about as many characters, with ten measures. In the second, one row in
a hundred is gone, one is new, one reads otherwise and one was dropped by a threshold; the rest are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hala_factory.rows import LEDGER, MESSAGES

FILE_ROWS = 100_000
MEASURES = [f"length.m{i}" for i in range(10)]
POOL = " ".join("".join(map(chr, w)) for w in np.random.default_rng(1).integers(97, 122, (20_000, 6)))
"""Text that compresses about as words do."""
STEP = {"step": "length", "label": "length", "name": None, "on": "messages"}


def main() -> None:
    """Write the versions, compare them and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chars", type=int, default=800, help="characters of a row, about as real instructions have")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        store = Path(name)
        numbers = np.arange(asked.rows)
        write(store, "1.0.0", numbers, numbers % 100 == 3, numbers < 0, asked.chars)
        later = np.arange(asked.rows + asked.rows // 100)
        lost = (later % 100 == 1) & (later < asked.rows)
        write(store, "2.0.0", later[~((later % 100 == 0) & (later < asked.rows))], lost, later % 100 == 2, asked.chars)
        load = os.getloadavg()[0]
        started = time.monotonic()
        program = Path(sys.executable).with_name("hala-factory")
        words = ["diff", "big@1.0.0", "big@2.0.0", "--store", str(store), "--json"]
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        took = time.monotonic() - started
    if done.returncode:
        sys.exit(done.stderr)
    told = json.loads(done.stdout)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6
    print(f"{cpu:.1f} s of CPU; ", end="")
    expected = expect(asked.rows)
    exact = all(told["rows"][k] == n for k, n in expected.items())
    print(
        f"{asked.rows:,} rows of {asked.chars} characters against {later.size - asked.rows // 100:,}: {took:.1f} s, ",
        end="",
    )
    print(f"of which comparing {told['seconds']:.1f} s; peak {peak:.1f} GB; load before {load:.1f}; ", end="")
    print(f"{'exact' if exact else 'NOT EXACT'}: {told['rows']}, expected {expected}")


def expect(rows: int) -> dict[str, int]:
    """What was done to the second version: rows new or no longer dropped, gone or newly dropped, and changed."""
    hundredth = rows // 100
    return {"added": 2 * hundredth, "removed": 2 * hundredth, "changed": hundredth}


def write(store: Path, version: str, numbers: Any, lost: Any, changed: Any, chars: int) -> None:
    """A version of the rows with these numbers; masks are by number."""
    folder = store / "corpora" / "big" / version
    files: dict[str, Any] = {}
    kept = numbers[~lost[numbers]] if lost.size > numbers.max() else numbers[~lost]
    gone = np.setdiff1d(numbers, kept)
    for word, some in (("data", kept), ("dropped", gone)):
        (folder / word).mkdir(parents=True)
        for at in range(0, max(1, len(some)), FILE_ROWS):
            path = folder / word / f"{at:09d}.parquet"
            frame(some[at : at + FILE_ROWS], changed, chars, word == "dropped").write_parquet(path, statistics=False)
            files[str(path.relative_to(folder))] = {"bytes": path.stat().st_size}
    manifest = {
        "name": "big",
        "version": version,
        "digest": "",
        "built_at": "",
        "profile": None,
        "steps": [{**STEP, "min_chars": 10 if version == "1.0.0" else 20}],
        "stages": [{"name": "length", "kind": "filter", "steps": ["length"]}],
        "lock": {
            "sources": {f"s{i}": {"revision": None, "files": {"f": {"digest": version}}} for i in range(4)},
            "models": {},
            "benchmarks": {},
        },
        "rows": {"kept": len(kept)},
        "licences": {},
        "generation": {"requests": 0, "prompt_tokens": 0, "output_tokens": 0},
        "contracts": [],
        "software": {},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def frame(numbers: Any, changed: Any, chars: int, lost: bool) -> pl.DataFrame:
    """These rows."""
    random = np.random.default_rng(int(numbers[0]) if len(numbers) else 0)
    number = pl.Series("n", numbers, dtype=pl.Int64)
    other = pl.Series("c", changed[numbers] & ~(numbers >= changed.size), dtype=pl.Boolean)
    at = (pl.col("n") * 7_919) % (len(POOL) - chars)
    half = chars // 2
    made = pl.DataFrame([number, other]).select(
        id=pl.col("n").cast(pl.String).str.zfill(8).hash(1).cast(pl.String).str.zfill(24),
        source=pl.format("s{}", pl.col("n") % 4),
        subset=pl.lit(None, pl.String),
        licence=pl.lit("CC0-1.0"),
        origin=pl.struct(file=pl.lit("f"), position=pl.col("n"), part=pl.lit(0, pl.Int32)),
        messages=pl.concat_list(
            pl.struct(role=pl.lit("user"), content=pl.format("{} {}", "n", pl.lit(POOL).str.slice(at, half))),
            pl.struct(
                role=pl.lit("assistant"),
                content=pl.format(
                    "{} {}",
                    pl.lit(POOL).str.slice(at + half, half),
                    pl.when("c").then(pl.lit("!")).otherwise(pl.lit("")),
                ),
            ),
        ).cast(MESSAGES),
    )
    measures = [pl.Series(m, random.normal(100, 20, len(numbers)), dtype=pl.Float32) for m in MEASURES]
    made = made.hstack(measures)
    if lost:
        ledger = dict(zip(LEDGER, ("dropped", "length", "too_short", None), strict=True))
        made = made.with_columns(stage=pl.lit("length"), **{k: pl.lit(v, pl.String) for k, v in ledger.items()})
    return made


if __name__ == "__main__":
    main()
