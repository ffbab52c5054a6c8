"""Output tokens per second of one vLLM server, asked by vLLM's own benchmark client and by ours; then 4 servers to 1.

    python benchmarks/throughput.py --data DIR [--model FOLDER] [--vllm-python PYTHON] [--rounds N] [--only one|four]

One server, the same real prompts in the same order, the same sampling, the same requests at a time, in turns:
`vllm bench serve` (chat completions, streamed, as it always does), a bare loop (no stream, no check, nothing kept: the
most that Python gets), our client alone, and `hala-factory build` with its store. Without `--model`, a tiny llama is
made that never stops before `--tokens`, so that all do the same work; with one, tokens are counted and it may stop.
The server caches no prefixes, so that no round finds the work of the one before. Medians of the rounds are told.

Then stand-ins that answer after `--delay` seconds, each in a process of its own: four against one, client and build.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from hala_factory.catalog import Model
from hala_factory.generate import completion
from hala_factory.generate.answers import Request
from hala_factory.generate.client import ChatClient
from hala_factory.generate.engines import make_engine
from hala_factory.generate.tools import find_vllm

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
NAME = "measured"
FILES = {"alpaca-random9k": ("instruction", "input"), "gpteacher": ("instruction", "input")}
LONGEST_PROMPT = 3_000
"""Characters: what fits the tiny model's context, and nearly all of the prompts."""
THEIRS = """
import argparse, sys
from vllm.benchmarks.serve import add_cli_args, main
parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""
STAND_IN = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from stand_in_openai import main
asyncio.run(main(int(sys.argv[2]), sys.argv[3], delay=float(sys.argv[4]), crash=None))
"""
ENOUGH, SCALED = 0.97, 3.8
"""Goals: our share of what the other client gets out of the server, and how many times one server four are worth."""


@dataclass(frozen=True)
class Run:
    """What one way of asking took."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Output tokens per second."""
        return self.tokens / self.seconds


def main() -> None:
    """Measure and print tables; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of real data (alpaca-random9k, gpteacher)")
    parser.add_argument("--model", type=Path, help="a checkpoint folder; a tiny one is made if not given")
    parser.add_argument("--vllm-python", type=Path, default=find_vllm())
    parser.add_argument("--prompts", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="longest answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=2.0, help="seconds until a stand-in answers")
    parser.add_argument("--only", choices=["one", "four"])
    asked = parser.parse_args()
    prompts = real_prompts(asked.data, asked.prompts)
    if asked.vllm_python is None and asked.only != "four":
        sys.exit("there is no vllm environment; name one with --vllm-python, or run: hala-factory tools install vllm")
    with tempfile.TemporaryDirectory(prefix="hala-bench-") as name:
        reached = True
        if asked.only != "four":
            os.environ["HALA_VLLM_PYTHON"] = str(asked.vllm_python)
            reached = asyncio.run(one_server(asked, prompts, Path(name)))
        if asked.only != "one":
            reached = asyncio.run(four_servers(asked, prompts, Path(name))) and reached
    sys.exit(not reached)


def real_prompts(data: Path, count: int) -> list[str]:
    """So many different instructions of people, in an order of their own."""
    found: dict[str, None] = {}
    for folder, columns in FILES.items():
        for path in sorted((data / folder / "files").rglob("*.json.gz")):
            for row in json.loads(gzip.decompress(path.read_bytes())):
                text = "\n".join(row[c] for c in columns if row.get(c)).strip()
                if 0 < len(text) <= LONGEST_PROMPT:
                    found[text] = None
    prompts = list(found)
    random.Random(0).shuffle(prompts)
    if len(prompts) < count:
        sys.exit(f"{data} has {len(prompts):,} prompts, {count:,} are wanted")
    return prompts[:count]


# One server


async def one_server(asked: argparse.Namespace, prompts: list[str], folder: Path) -> bool:
    """All ways of asking one server, in turns, as a table; whether the goal is reached."""
    python, checkpoint = str(asked.vllm_python), asked.model
    if checkpoint is None:
        (folder / "pairs.json").write_text(json.dumps([[p, p] for p in prompts]), encoding="utf-8")
        checkpoint = folder / "model"
        command = [python, str(TESTS / "tiny_models.py"), "endless", str(folder / "pairs.json"), str(checkpoint)]
        await asyncio.to_thread(finished, command)
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
    serve = ["--no-enable-prefix-caching", "--disable-log-stats"]
    model = Model(licence="unknown", engine="vllm", path=str(checkpoint.resolve()), context=2048, serve=serve)
    engine = make_engine(NAME, model, folder, work=folder)
    async with engine:
        url: str = engine._servers[0].url  # type: ignore[attr-defined]
        ways: dict[str, Callable[[], Any]] = {
            "`vllm bench serve`": lambda: theirs(python, url, checkpoint, asked, folder),
            "a bare loop": lambda: bare(url, prompts, asked),
            "our client": lambda: ours([url], prompts, asked.concurrency, asked.tokens),
            "our `build`, its stage that asks": lambda: build([url], prompts, asked, folder)[0],
        }
        await bare(url, prompts[: 4 * asked.concurrency], asked)  # warm
        runs: dict[str, list[Run]] = {way: [] for way in ways}
        for number in range(asked.rounds):
            for way in list(ways) if number % 2 == 0 else reversed(ways):
                measured = ways[way]()
                runs[way].append(await measured if asyncio.iscoroutine(measured) else measured)
                print(f"  {way}: {runs[way][-1].rate:,.0f} tokens/s", file=sys.stderr)
    rates = {way: statistics.median(r.rate for r in measured) for way, measured in runs.items()}
    first = next(iter(rates.values()))
    print("| who asks | output tokens/s (median) | of each round | tokens a round | ratio |\n|---|---|---|---|---|")
    for way, rate in rates.items():
        each = ", ".join(f"{r.rate:,.0f}" for r in runs[way])
        print(f"| {way} | {rate:,.0f} | {each} | {runs[way][0].tokens:,} | {rate / first:.3f} |")
    least = min(rate / first for way, rate in rates.items() if way.startswith("our "))
    print(f"\nthe least of ours is {least:.1%} of `vllm bench serve`; goal {ENOUGH:.0%}\n", flush=True)
    return least >= ENOUGH


async def theirs(python: str, url: str, checkpoint: Path, asked: argparse.Namespace, folder: Path) -> Run:
    """The client of vLLM itself."""
    options = {
        "--backend": "openai-chat",
        "--base-url": url.removesuffix("/v1"),
        "--endpoint": "/v1/chat/completions",
        "--model": str(checkpoint),
        "--served-model-name": NAME,
        "--dataset-name": "custom",
        "--dataset-path": str(folder / "prompts.jsonl"),
        "--num-prompts": str(asked.prompts),
        "--custom-output-len": str(asked.tokens),
        "--max-concurrency": str(asked.concurrency),
        "--temperature": "0",
        "--result-dir": str(folder),
        "--result-filename": "theirs.json",
    }
    switches = ["--disable-shuffle", "--skip-chat-template", "--save-result", "--disable-tqdm"]
    command = [python, "-c", THEIRS, *(part for option in options.items() for part in option), *switches]
    await asyncio.to_thread(finished, command)
    said = json.loads((folder / "theirs.json").read_text())
    if said["completed"] != asked.prompts:
        sys.exit(f"vllm bench serve completed {said['completed']} of {asked.prompts} requests")
    return Run(said["total_output_tokens"], said["duration"])


async def bare(url: str, prompts: Sequence[str], asked: argparse.Namespace) -> Run:
    """Nothing but requests and a semaphore."""
    gate = asyncio.Semaphore(asked.concurrency)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(prompt: str) -> int:
            body = orjson.dumps(completion.spoken(NAME, request(prompt, asked.tokens)))
            headers = {"Content-Type": "application/json"}
            async with gate, session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                tokens: int = orjson.loads(await response.read())["usage"]["completion_tokens"]
                return tokens

        started = time.perf_counter()
        tokens = await asyncio.gather(*(one(p) for p in prompts))
        return Run(sum(tokens), time.perf_counter() - started)


async def ours(urls: Sequence[str], prompts: Sequence[str], concurrency: int, tokens: int) -> Run:
    """Our client, without a store, with as many requests at a time at each server."""
    async with ChatClient(NAME, NAME, urls, start=concurrency, most=concurrency) as client:
        started = time.perf_counter()
        answers = await asyncio.gather(*(client.answer(request(p, tokens)) for p in prompts))
        seconds = time.perf_counter() - started
    if any(a.error for a in answers):
        sys.exit(next(a.error for a in answers if a.error))
    return Run(sum(a.output_tokens for a in answers), seconds)


def request(prompt: str, tokens: int) -> Request:
    return Request((("user", prompt),), 0.0, tokens)


def build(urls: Sequence[str], prompts: Sequence[str], asked: argparse.Namespace, folder: Path) -> tuple[Run, Run]:
    """A corpus with answers from these servers, into a new store: the stage that asks, and the command as a whole."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        rows = ({"instruction": p, "input": "", "output": ""} for p in prompts)
        (place / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        model = {"engine": "openai", "model": NAME, "endpoints": list(urls), "licence": "unknown"}
        source = {"path": "prompts.jsonl", "columns": "alpaca", "language": "en", "licence": "unknown"}
        step = {"step": "generate", "model": NAME, "max_tokens": asked.tokens, "retries": {}}
        written = {
            "catalog.yaml": {
                "sources": {"prompts": source},
                "models": {NAME: model | {"max_concurrency": asked.concurrency}},
            },
            "recipe.yaml": {
                "name": "throughput",
                "kind": "corpus",
                "version": "1.0.0",
                "language": "en",
                "sources": [{"source": "prompts"}],
                "steps": [step],
            },
        }
        for file, content in written.items():
            (place / file).write_text(json.dumps(content))  # JSON is YAML
        command = [sys.executable, "-m", "hala_factory.cli", "build", str(place / "recipe.yaml"), "--json"]
        command += ["--catalog", str(place / "catalog.yaml"), "--store", str(place / "store")]
        started = time.perf_counter()
        said = json.loads(finished(command))
        seconds = time.perf_counter() - started
    tokens = said["generation"]["output_tokens"]
    if said["generation"]["requests"] != len(prompts) or said["generation"]["from_store"]:
        sys.exit(f"the build asked otherwise than expected: {said['generation']}")
    stage = next(s for s in said["stages"] if s["name"] == "generate")
    return Run(tokens, stage["seconds"]), Run(tokens, seconds)


# Four servers


async def four_servers(asked: argparse.Namespace, prompts: list[str], folder: Path) -> bool:
    """One stand-in against four, as a table; whether the goal is reached."""
    each = 15 * asked.concurrency  # requests for each server, so that beginning and end count little
    rates: dict[tuple[str, int], list[float]] = {}
    with stand_ins(4, asked.delay) as urls:
        await up(urls)
        for _ in range(asked.rounds):
            for servers in (1, 4):
                texts = [f"{n}: {prompts[n % len(prompts)]}" for n in range(each * servers)]
                client = await ours(urls[:servers], texts, asked.concurrency, asked.tokens)
                rates.setdefault(("our client", servers), []).append(len(texts) / client.seconds)
                stage, _ = await asyncio.to_thread(build, urls[:servers], texts, asked, folder)
                rates.setdefault(("our `build`, its stage that asks", servers), []).append(len(texts) / stage.seconds)
    print("| who asks | requests/s of 1 server | of 4 servers | times |\n|---|---|---|---|")
    times = []
    for way in dict.fromkeys(way for way, _ in rates):
        one, four = (statistics.median(rates[way, servers]) for servers in (1, 4))
        times.append(four / one)
        print(f"| {way} | {one:,.1f} | {four:,.1f} | {four / one:.2f} |")
    print(
        f"\nat best a server takes {asked.concurrency / asked.delay:.0f} requests/s; goal {SCALED} times", flush=True
    )
    return min(times) >= SCALED


@contextlib.contextmanager
def stand_ins(count: int, delay: float) -> Iterator[list[str]]:
    """So many servers of the tests, each in a process of its own."""
    processes, urls = [], []
    try:
        for _ in range(count):
            port = free_port()
            command = [sys.executable, "-c", STAND_IN, str(TESTS), str(port), NAME, str(delay)]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            urls.append(f"http://127.0.0.1:{port}/v1")
        yield urls
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def up(urls: Sequence[str]) -> None:
    """Wait until all of them answer."""
    async with aiohttp.ClientSession() as session:
        for url in urls:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/models"):
                        break
                await asyncio.sleep(0.1)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def finished(command: Sequence[str]) -> str:
    """What a command printed. Ends the benchmark with the command's words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(
            f"{' '.join(command[:4])} … ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    main()
