"""Dedup against its rivals, on the same real rows: near dedup against datatrove's MinHash, exact against OpusFilter's.

    python benchmarks/dedup.py [--rows N] [--data DIR] [--workers 2] [--rival-python FILE] [--opusfilter-python FILE]
    python benchmarks/dedup.py --scale [--rows N] [--data DIR]

All read what was written for them before the clock starts, and write what they keep; all are started as a command,
and their time is that of the whole command. The similarity is 0.8 for ours; datatrove's 14 bands of 8 have their
half-way point at 0.72. Then every pair of a sample is counted, and what each overlooks or drops wrongly is told.

`--scale` tells instead what a row costs ours as the rows grow: the real rows once, and up to 22 times in different
letters (so that copies stay copies of their own kind), each index decided in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve()
DATA = HERE.parents[2] / "shared" / "data"
FILES = 8
COPIES = (1, 2, 11, 22)
"""How often the rows stand there when the cost of a row is told."""
SAMPLE = 6_000
"""Rows of which every pair is counted."""
HOW_TO_MAKE_THEM = (
    "python3 -m venv rival && rival/bin/pip install 'datatrove[io]==0.10.1' spacy regex tokenizers 'xxhash<4'\n"
    "python3 -m venv opus && opus/bin/pip install opusfilter==3.3.1\n"
    "(apart from the project's environment, and from each other)"
)


WEIGHED = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: servers of workers outlive the command, and are waited for
first = subprocess.Popen(sys.argv[1:]).pid
cpu, most, code = 0.0, 0, 0
while True:
    try:
        pid, status, usage = os.wait4(-1, 0)
    except ChildProcessError:
        break
    cpu, most = cpu + usage.ru_utime + usage.ru_stime, max(most, usage.ru_maxrss)
    code = os.waitstatus_to_exitcode(status) if pid == first else code
print(most, cpu, file=sys.stderr)
sys.exit(code)
"""
"""Starts a command from a small process: one that is started from a large one is charged with the memory of that."""


@dataclass(frozen=True)
class Spent:
    """What a whole command took, with all its processes."""

    seconds: float
    cpu: float
    """Seconds of all processes together: what can be compared where the machine is busy with other things."""
    megabytes: float
    """Most memory of one of its processes."""


@dataclass(frozen=True)
class Result:
    """What one run took, and which rows it kept."""

    spent: Spent
    kept: set[str]
    stages: dict[str, float]

    def told(self, name: str, rows: int) -> str:
        """Time, memory and rows kept, in words."""
        parts = "".join(f", {stage} {seconds:.1f}" for stage, seconds in self.stages.items())
        return (
            f"{name}: {self.spent.seconds:.1f} s ({rows / self.spent.seconds:,.0f} rows/s{parts}), "
            f"{self.spent.cpu:.1f} CPU seconds, {self.spent.megabytes:,.0f} MB a process at most, "
            f"keeps {len(self.kept):,}"
        )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rival-python", type=Path, help="a Python that has datatrove and spaCy")
    parser.add_argument("--opusfilter-python", type=Path, help="a Python that has OpusFilter")
    parser.add_argument("--scale", action="store_true", help="what a row costs, from the rows once to 22 times")
    parser.add_argument("--decide", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.decide:
        decide(*asked.decide)
        return
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        if asked.scale:
            scale(folder, asked.data, asked.rows)
            return
        texts = write_rows(folder, asked.data, asked.rows)
        size = sum(len(t.encode()) for t in texts.values()) / 1e6
        print(f"{len(texts):,} rows, {size:.1f} MB, {len(set(texts.values())):,} distinct; {asked.workers} workers\n")
        near = {"hala-factory near_dedup": run_ours(folder, {"step": "near_dedup"}, asked.workers)}
        print(near["hala-factory near_dedup"].told("hala-factory near_dedup", len(texts)), flush=True)
        if asked.rival_python:
            near["datatrove MinHash"] = run_datatrove(folder, asked.rival_python, asked.workers)
            print(near["datatrove MinHash"].told("datatrove MinHash", len(texts)))
            theirs, ours = near["datatrove MinHash"].spent, near["hala-factory near_dedup"].spent
            print(f"ratio: {theirs.seconds / ours.seconds:.1f} by the clock, {theirs.cpu / ours.cpu:.1f} by the CPU")
        exact = run_ours(folder, {"step": "exact_dedup"}, 1)  # OpusFilter knows no workers
        print(exact.told("hala-factory exact_dedup", len(texts)), flush=True)
        if asked.opusfilter_python:
            print(
                run_opusfilter(folder, asked.opusfilter_python).told("OpusFilter remove_duplicates", len(texts)),
                flush=True,
            )
        if not asked.rival_python or not asked.opusfilter_python:
            print(f"\nto measure the rivals as well:\n{HOW_TO_MAKE_THEM}")
        print()
        one_process(folder, len(texts))
        print()
        for who, result in near.items():
            judge(who, texts, result.kept)


def write_rows(folder: Path, data: Path, most: int) -> dict[str, str]:
    """The rows for all, spread over the sources, in `FILES` files and for OpusFilter one a line: text by row."""
    found = spread(data, most)
    most = len(found)
    texts = {}
    (folder / "rows").mkdir()
    share = -(-most // FILES)
    for number in range(FILES):
        with (folder / "rows" / f"{number}.jsonl").open("w", encoding="utf-8") as file:
            for line, (prompt, answer) in enumerate(found[number * share : (number + 1) * share], 1):
                row = {"id": f"{number}.jsonl:{line}", "prompt": prompt, "completion": answer}
                texts[row["id"]] = f"{prompt}\n\n{answer}"
                file.write(json.dumps({**row, "text": texts[row["id"]]}, ensure_ascii=False) + "\n")
    lines = (json.dumps(text, ensure_ascii=False) for text in texts.values())
    (folder / "rows.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return texts


def spread(data: Path, most: int) -> list[tuple[str, str]]:
    """So many of the real rows (all, if there are no more), evenly from all of them."""
    found = list(real_rows(data))
    most = min(most, len(found))
    return [found[number * len(found) // most] for number in range(most)]


def read(path: Path) -> str:
    """The text of a file, packed or not."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")


def real_rows(data: Path) -> Iterator[tuple[str, str]]:
    """Prompt and answer: English instructions, Arabic questions, sentence pairs; in the order of the files."""
    for path in sorted(data.glob("t0-50k/files/*/*.jsonl.gz")):
        for line in read(path).splitlines():
            row = json.loads(line)
            yield row["prompt"], row["completion"].removesuffix("<|endoftext|>")
    for pattern in (
        "gpteacher/files/*/*.json*",
        "codealpaca/files/**/*.json.gz",
        "alpaca-random9k/files/**/*.json.gz",
    ):
        for path in sorted(data.glob(pattern)):
            for row in json.loads(read(path)):
                answer = row.get("response") or row.get("output") or ""
                yield "\n\n".join(t for t in (row["instruction"], row["input"]) if t.strip()), answer
    for line in read(data / "gsm8k/files/grade_school_math/data/train.jsonl.gz").splitlines():
        row = json.loads(line)
        yield row["question"], row["answer"]
    for path in sorted([*data.glob("xquad/files/xquad.[ae]*"), *data.glob("arcd/files/data/*.json")]):
        for article in json.loads(read(path))["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    prompt = f"{paragraph['context']}\n\n{question['question']}"
                    yield prompt, question["answers"][0]["text"]
    for path in sorted(data.glob("acegpt-bench/files/MMLUArabic/**/*_test.csv*")):
        for question, *options, answer in (row for row in csv.reader(read(path).splitlines()) if len(row) == 6):
            yield "\n".join([question, *options]), answer
    tatoeba = [
        read(p).splitlines() for p in sorted(data.glob("opusmt-tatoeba-ara-eng/files/testsets/*/*v2021*.[ea][nr][ga]"))
    ]
    yield from zip(*reversed(tatoeba), strict=True)
    for line in read(data / "manythings-ara/files/seq2seqBasic/ara.txt.gz").splitlines():
        english, arabic = line.split("\t")[:2]
        yield english, arabic


def run_ours(folder: Path, step: dict[str, Any], workers: int) -> Result:
    """`hala-factory build` of a recipe of one step, into a fresh store."""
    entry = {"path": "rows/*.jsonl", "columns": "prompt_completion", "language": "en", "licence": "unknown"}
    recipe = {"name": "bench", "kind": "corpus", "version": "dev", "language": "en", "sources": [{"source": "rows"}]}
    (folder / "catalog.yaml").write_text(json.dumps({"sources": {"rows": entry}}))
    (folder / "recipe.yaml").write_text(json.dumps({**recipe, "steps": [step]}))
    store = f"store-{step['step']}"
    words = ["build", "recipe.yaml", "--json", "--quiet", "--no-report", "--store", store, "--workers", str(workers)]
    one_thread = {**os.environ, "POLARS_MAX_THREADS": "1"}  # a worker is a core, as it is for the others
    spent, said = timed([sys.executable, "-m", "hala_factory.cli", *words], folder, one_thread)
    place = pl.format(
        "{}:{}",
        pl.col("origin").struct.field("file").str.split("/").list.last(),
        pl.col("origin").struct.field("position"),
    )
    data = folder / store / "corpora" / "bench" / "dev" / "data" / "*.parquet"
    kept = set(pl.read_parquet(data, columns=["origin"]).select(place).to_series())
    return Result(spent, kept, {s["name"]: s["seconds"] for s in json.loads(said)["stages"]})


def timed(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> tuple[Spent, bytes]:
    """What a command took, and what it said; its complaints are shown if it fails."""
    started = time.monotonic()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", WEIGHED, *command], cwd=folder, env=environment, stdout=out, stderr=err
        )
        status = process.wait()
    seconds = time.monotonic() - started
    said = (folder / "err").read_text()
    if status:
        sys.exit(f"{command} failed:\n{said[-2000:]}")
    kilobytes, cpu = map(float, said.splitlines()[-1].split())
    return Spent(seconds, cpu, kilobytes / 1e3), (folder / "out").read_bytes()


def run_datatrove(folder: Path, python: Path, workers: int) -> Result:
    """Its own four stages: signatures, buckets, clusters, filter."""
    script = HERE.with_name("dedup_datatrove.py")
    out = folder / "datatrove"
    spent, _ = timed([str(python), str(script), str(folder / "rows"), str(out), str(workers)], folder)
    kept = set(pl.read_parquet(out / "kept" / "*.parquet", columns=["id"]).to_series())
    return Result(spent, kept, json.loads((out / "seconds.json").read_text()))


def run_opusfilter(folder: Path, python: Path) -> Result:
    """Its own step for duplicates, on a file with one text a line."""
    script = HERE.with_name("dedup_opusfilter.py")
    spent, said = timed([str(python), str(script), str(folder / "rows.txt"), "kept.txt"], folder)
    kept = set((folder / "kept.txt").read_text(encoding="utf-8").splitlines())
    return Result(spent, kept, {"remove_duplicates": json.loads(said)["seconds"]})


def one_process(folder: Path, rows: int) -> None:
    """What index and decision take in this process, and what the index takes on disk."""
    from hala_factory.filters.exact_dedup import ExactDedup
    from hala_factory.filters.near_dedup import NearDedup
    from hala_factory.rows import MESSAGES
    from hala_factory.run.barring import index_head
    from hala_factory.run.files import BATCH

    parts = sorted((folder / "rows").glob("*.jsonl"))
    frame = pl.concat(pl.read_ndjson(part, infer_schema_length=None) for part in parts)
    message = [
        pl.concat_list(
            pl.struct(role=pl.lit(role), content=pl.col(column))
            for role, column in (("user", "prompt"), ("assistant", "completion"))
        )
    ]
    frame = frame.select("id", messages=message[0].cast(MESSAGES), source=pl.lit("rows"), origin=pl.lit(None))
    for step in (NearDedup(), ExactDedup()):
        started = time.process_time()
        batches = [
            b.pipe(index_head, 0, n * BATCH, earlier=False).hstack(step.index(b))
            for n, b in enumerate(frame.iter_slices(BATCH))
        ]
        indexed = time.process_time()
        path = folder / f"{step.step}.parquet"
        pl.concat(batches).write_parquet(path)
        before = time.process_time()
        gone = step.decide(pl.scan_parquet(path), ["rows"]).filter(pl.col("reason").is_not_null()).collect().height
        decided = time.process_time()
        print(
            f"{step.step}, CPU seconds: index {indexed - started:.2f} ({rows / (indexed - started):,.0f} rows/s), "
            f"decision {decided - before:.2f}; {path.stat().st_size / rows:,.0f} bytes a row on disk; {gone:,} dropped"
        )


def scale(folder: Path, data: Path, rows: int) -> None:
    """CPU time, memory and disk a row, for ever more rows."""
    from hala_factory.recipe import load_steps
    from hala_factory.rows import MESSAGES
    from hala_factory.run.barring import index_head
    from hala_factory.run.files import BATCH
    from hala_factory.step import Barrier

    once = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        for prompt, answer in spread(data, rows)
    ]
    frame = pl.DataFrame({"messages": once}, schema={"messages": MESSAGES}).with_row_index("number")
    for word in ("near_dedup", "exact_dedup"):
        step = load_steps(plugins=False)[word].model_validate({})
        assert isinstance(step, Barrier)
        (folder / word).mkdir()
        indexing = 0.0
        for number in range(COPIES[-1]):
            moved = in_other_letters(frame, number)
            started = time.process_time()
            batches = [
                b.pipe(index_head, number, n * BATCH, earlier=False).hstack(step.index(b))
                for n, b in enumerate(moved.iter_slices(BATCH))
            ]
            indexing += time.process_time() - started
            pl.concat(batches).write_parquet(folder / word / f"{number:03}.parquet")
            if number + 1 not in COPIES:
                continue
            total = frame.height * (number + 1)
            size = sum(path.stat().st_size for path in (folder / word).iterdir())
            command = [sys.executable, str(HERE), "--decide", word, str(folder / word)]
            spent, said = timed(command, folder)
            seconds, before, dropped = json.loads(said)
            print(
                f"{word}, {total:,} rows: index {indexing / total * 1e6:.1f} and decision {seconds / total * 1e6:.1f} "
                f"microseconds of CPU a row; {size / total:,.0f} bytes a row on disk, memory of the decision "
                f"{spent.megabytes:,.0f} MB ({(spent.megabytes - before) * 1e6 / total:,.0f} bytes a row above the "
                f"start); {dropped:,} dropped",
                flush=True,
            )


def in_other_letters(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    """The rows with every letter replaced by one so many places further on in its alphabet."""
    alphabets = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "بتثجحخدذرزسشصضطظعغفقكلمنهو")
    moved = {c: a[(i + number) % len(a)] for a in alphabets for i, c in enumerate(a)} if number else {}
    turn = pl.element().struct
    content = turn.field("content").str.replace_many(moved) if moved else turn.field("content")
    return frame.select(
        id=pl.format("{}_{}", "number", pl.lit(number)),
        source=pl.lit("rows"),
        origin=pl.lit(None),
        messages=pl.col("messages").list.eval(pl.struct(role=turn.field("role"), content=content)),
    )


def decide(word: str, folder: str) -> None:
    """Decide over an index and print the CPU seconds, the megabytes before, and how many rows are dropped."""
    from hala_factory.recipe import load_steps
    from hala_factory.step import Barrier

    step = load_steps(plugins=False)[word].model_validate({})
    assert isinstance(step, Barrier)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    started = time.process_time()
    said = step.decide(pl.scan_parquet(Path(folder) / "*.parquet"), ["rows"])
    said.sink_parquet(Path(folder).with_suffix(".decision"), engine="streaming")
    seconds = time.process_time() - started
    gone = pl.scan_parquet(Path(folder).with_suffix(".decision")).filter(pl.col("reason").is_not_null())
    print(json.dumps([seconds, before, gone.select(pl.len()).collect().item()]))


def judge(who: str, texts: dict[str, str], kept: set[str]) -> None:
    """What a near dedup left that it should not have, and what it dropped though nothing is like it, by counting."""
    copies = len(kept) - len({texts[row] for row in kept})
    print(f"{who}: {copies:,} exact copies are left")
    numbers = [n * len(texts) // SAMPLE for n in range(SAMPLE)] if len(texts) > SAMPLE else range(len(texts))
    chosen = [list(texts)[number] for number in numbers]
    sets = {row: shingles(texts[row]) for row in chosen}
    holders: dict[tuple[str, ...], list[str]] = {}
    for row, found in sets.items():
        for one in found:
            holders.setdefault(one, []).append(row)
    # A shingle of very many rows is boilerplate: pairs that share no other are not similar.
    pairs = {pair for held in holders.values() if 1 < len(held) < 200 for pair in itertools.combinations(held, 2)}
    similar = [(a, b) for a, b in pairs if len(sets[a] & sets[b]) >= 0.8 * len(sets[a] | sets[b])]
    left = sum(a in kept and b in kept for a, b in similar)
    print(
        f"{who}: of {len(similar):,} pairs of {len(chosen):,} rows at 0.8 or more, {left:,} are both left", flush=True
    )


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of five words, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(zip(*(words[n:] for n in range(5)), strict=False))


if __name__ == "__main__":
    main()
