"""The generation store at size: seconds to open, time of a lookup, bytes in memory and on disk, compaction.

    python benchmarks/store.py [--answers N] [--segment-rows N]

Synthetic answers (prompts and answers of 60 words, as a paragraph has) stand in segments as builds leave them; a part
of them is written one by one through the journal, to time that. The store is opened, asked in the order of writing (as
a replay does), in random order, and for what it has not; then compacted, and measured again. Times are of the CPU, so
that neighbours on the machine do not count; memory is what the index holds, and what the process holds more.
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

import pyarrow as pa

from hala_factory.generate import segments
from hala_factory.generate import store as generation_store
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.compaction import compact
from hala_factory.generate.store import SEGMENT_ROWS, GenerationStore

MODEL = ModelIdentity("synthetic", {"model": "synthetic"})
WRITTEN = 20_000
LOOKUPS = 20_000
RANDOM_LOOKUPS = 2_000


def main() -> None:
    """Write, open, look up, compact, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--segment-rows", type=int, default=SEGMENT_ROWS)
    asked = parser.parse_args()
    texts = list(paragraphs(5_000))
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        root = Path(name)
        folder = root / MODEL.folder
        print("| what | figure |\n|---|---|")
        written = min(WRITTEN, asked.answers // 2)
        seconds = timed(lambda: write(root, written, asked.segment_rows, texts))
        say("an answer written, through the journal and into a segment", f"{1e6 * seconds / written:.0f} µs")
        for start in range(written, asked.answers, asked.segment_rows):
            table = rows(range(start, min(asked.answers, start + asked.segment_rows)), texts)
            segments.write(segments.segment_path(folder, f"{start:012d}"), [table])
        generation_store.MANY = asked.answers  # none at a close
        measure(root, asked.answers, "before the compaction")
        seconds = timed(lambda: compact(folder, many=2))
        say("compaction of all segments", f"{seconds:.1f} s, {asked.answers / seconds:,.0f} answers a second")
        measure(root, asked.answers, "after the compaction")


def measure(root: Path, answers: int, when: str) -> None:
    """Open and ask."""
    files = segments.standing(root / MODEL.folder)
    say(f"segments {when}", f"{len(files)}, {sum(f.stat().st_size for f in files) / answers:.0f} bytes an answer")
    gc.collect()
    before, started = resident(), time.process_time()
    with GenerationStore(root, MODEL) as store:
        say(f"open {when}", f"{time.process_time() - started:.2f} s")
        held = sum(r.prefix.nbytes + r.segment.nbytes + r.row.nbytes for r in store._runs)
        more = max(0, resident() - before)
        say(f"memory {when}", f"{held / answers:.0f} bytes an answer (the process: {more / answers:.0f})")
        first = random.Random(2).randrange(max(1, answers - LOOKUPS))
        in_order = [key(n) for n in range(first, min(answers, first + LOOKUPS))]
        chance = random.Random(3)
        anywhere = [key(chance.randrange(answers)) for _ in range(RANDOM_LOOKUPS)]
        absent = [key(answers + n) for n in range(LOOKUPS)]
        for words, keys, found in (
            ("stored, in the order of writing", in_order, True),
            ("stored, in random order", anywhere, True),
            ("not stored", absent, False),
        ):
            seconds = timed(lambda keys=keys, found=found: ask(store, keys, found))  # type: ignore[misc]
            say(f"a lookup {when}, {words}", f"{1e6 * seconds / len(keys):.0f} µs")


def ask(store: GenerationStore, keys: list[str], found: bool) -> None:
    """Look all of them up."""
    for each in keys:
        assert (store.get(each) is not None) is found


def write(root: Path, answers: int, in_a_segment: int, texts: list[str]) -> None:
    """Put so many answers, as a build does."""
    with GenerationStore(root, MODEL, segment_rows=in_a_segment) as store:
        for n in range(answers):
            request = Request((("user", f"{n} {texts[n % len(texts)]}"),), 0.0, 1024)
            store.put(key(n), request, Answer(f"{texts[-(n % len(texts))]} {n}", "stop", 90, 110))


def rows(numbers: range, texts: list[str]) -> pa.Table:
    """The rows of a segment."""
    count, many = len(numbers), len(texts)
    same = {"temperature": 0.0, "max_tokens": 1024, "seed": None, "finish_reason": "stop", "prompt_tokens": 90}
    same |= {"output_tokens": 110, "error": None, "schema": None}
    columns = {
        "key": [key(n) for n in numbers],
        "messages": [[{"role": "user", "content": f"{n} {texts[n % many]}"}] for n in numbers],
        "answer": [f"{texts[-(n % many)]} {n}" for n in numbers],
        "time": [1_760_000_000_000 + n for n in numbers],
        **{name: [value] * count for name, value in same.items()},
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in segments.SEGMENT], schema=segments.SEGMENT)


def paragraphs(count: int) -> Iterator[str]:
    """Texts of 60 words."""
    chance = random.Random(1)
    words = [hashlib.md5(str(n).encode()).hexdigest()[: chance.randrange(2, 9)] for n in range(20_000)]
    for _ in range(count):
        yield " ".join(chance.choices(words, k=60))


def key(n: int) -> str:
    """The key of the n-th answer."""
    return hashlib.sha256(str(n).encode()).hexdigest()


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def timed(work: Callable[[], object]) -> float:
    """Seconds of the CPU that it takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def say(what: str, figure: str) -> None:
    """A line of the table."""
    print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
