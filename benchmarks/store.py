"""The generation store at size: seconds to open, lookups a second, bytes in memory and on disk, compaction.

    python benchmarks/store.py [--answers N] [--segment-rows N]

Synthetic answers (prompts and answers of 60 words, as a paragraph has) are written as a build writes them: one by one
through the journal, in segments. Then the store is opened, asked in the order of writing (as a replay does), in random
order, and for what it has not; and compacted. Memory is what the process holds more after opening.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hala_factory.generate import segments
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.compaction import compact
from hala_factory.generate.store import SEGMENT_ROWS, GenerationStore

MODEL = ModelIdentity("synthetic", {"model": "synthetic"})
LOOKUPS = 20_000
RANDOM_LOOKUPS = 2_000


def main() -> None:
    """Write, open, look up, compact, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--segment-rows", type=int, default=SEGMENT_ROWS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        root = Path(name)
        folder = root / MODEL.folder
        print("| what | figure |\n|---|---|")
        seconds = timed(lambda: write(root, asked.answers, asked.segment_rows))
        say("answers written through the journal", f"{asked.answers / seconds:,.0f} a second")
        measure(root, asked.answers, "before the compaction")
        seconds = timed(lambda: compact(folder, many=2))
        say("compaction of all segments", f"{seconds:.1f} s, {asked.answers / seconds:,.0f} answers a second")
        measure(root, asked.answers, "after the compaction")


def measure(root: Path, answers: int, when: str) -> None:
    """Open and ask."""
    folder = root / MODEL.folder
    files = segments.standing(folder)
    say(f"segments {when}", f"{len(files)}, {sum(f.stat().st_size for f in files) / answers:.0f} bytes an answer")
    gc.collect()
    before = resident()
    started = time.monotonic()
    with GenerationStore(root, MODEL) as store:
        say(f"open {when}", f"{time.monotonic() - started:.2f} s")
        held = sum(r.prefix.nbytes + r.segment.nbytes + r.row.nbytes for r in store._runs)
        gc.collect()
        more = max(0, resident() - before)
        say(f"memory {when}", f"{held / answers:.0f} bytes an answer (the process: {more / answers:.0f})")
        first = random.Random(2).randrange(max(1, answers - LOOKUPS))
        in_order = [key(n) for n in range(first, min(answers, first + LOOKUPS))]
        anywhere = [key(random.Random(n).randrange(answers)) for n in range(RANDOM_LOOKUPS)]
        absent = [key(answers + n) for n in range(LOOKUPS)]
        for words, keys, found in (
            ("stored, in the order of writing", in_order, True),
            ("stored, in random order", anywhere, True),
            ("not stored", absent, False),
        ):
            seconds = timed(lambda keys=keys, found=found: ask(store, keys, found))  # type: ignore[misc]
            say(
                f"lookups {when}, {words}",
                f"{len(keys) / seconds:,.0f} a second, {1e6 * seconds / len(keys):.0f} µs each",
            )


def ask(store: GenerationStore, keys: list[str], found: bool) -> None:
    """Look all of them up."""
    for each in keys:
        assert (store.get(each) is not None) is found


def write(root: Path, answers: int, rows: int) -> None:
    """Put so many answers, as a build does."""
    texts = paragraphs()
    with GenerationStore(root, MODEL, segment_rows=rows) as store:
        for n in range(answers):
            request = Request((("user", f"{n} {next(texts)}"),), 0.0, 1024)
            store.put(key(n), request, Answer(next(texts), "stop", 90, 110))


def paragraphs() -> Iterator[str]:
    """Texts of 60 words."""
    chance = random.Random(1)
    words = [hashlib.md5(str(n).encode()).hexdigest()[: chance.randrange(2, 9)] for n in range(20_000)]
    while True:
        yield " ".join(chance.choices(words, k=60))


def key(n: int) -> str:
    """The key of the n-th answer."""
    return hashlib.sha256(str(n).encode()).hexdigest()


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def say(what: str, figure: str) -> None:
    """A line of the table."""
    print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
