"""A model that is served and asked, for what it answers and how fast: one run, stored with the machine it was on."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory.errors import BuildError
from hala_factory.fingerprint import file_digest, fingerprint
from hala_factory.generate import tools
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.engines import make_engine
from hala_factory.generate.gpus import gpus
from hala_factory.generate.store import GenerationStore
from hala_factory.generate.vllm import VllmEngine
from hala_factory.models.step import Bench, Checkpoint
from hala_factory.store import StageFolder, atomic, sweep, write_json

REVISION = 1
"""Raised when a run measures something else."""
WARM = 4
"""Requests that are asked before the clock starts: the first ones wait for what the server makes once."""


@dataclass(frozen=True)
class Asked:
    """What to ask, and how long an answer may be."""

    texts: tuple[str, ...]
    prompt: str
    max_tokens: int

    def requests(self) -> list[Request]:
        """Greedy, one a text."""
        return [self.request(text) for text in self.texts]

    def request(self, text: str) -> Request:
        """The request about one text."""
        return Request((("user", self.prompt.replace("{text}", text)),), 0.0, self.max_tokens)


def run(checkpoint: Checkpoint, asked: Asked, bench: Bench) -> dict[str, Any]:
    """The record of a run: `hypotheses`, and what was measured; a run that stands is not made again.

    A run is one of a model, texts, and a machine: seconds of two machines are never compared. Its answers are kept in
    the generation store as well. Raises InputError without a vllm environment, BuildError where no server stays up.
    """
    here, engine = machine(), _engine(checkpoint, bench)
    decided = {
        "model": engine.identity,
        "served": [checkpoint.model.serve, checkpoint.model.context],
        "requests": [r.key(ModelIdentity("", {})) for r in asked.requests()],
        "machine": here,
        "vllm": tools.VLLM,
        "revision": REVISION,
    }
    folder = bench.store.stage("answers", fingerprint(decided))
    with folder.lock():
        if (record := folder.record()) is None:
            sweep(folder.path)
            bench.say(f"answers: {checkpoint.name}, {len(asked.texts):,} texts")
            measured, answers = asyncio.run(_ask(engine, asked, bench))
            _write(folder, asked, answers)
            file = folder.path / "answers.jsonl"
            files = {file.name: {"bytes": file.stat().st_size, "sha256": file_digest(file)}}
            record = {"model": checkpoint.name, **measured, "machine": here, "vllm": tools.VLLM, "files": files}
            write_json(folder.path / "stage.json", record)
    lines = (folder.path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return {**record, "hypotheses": [json.loads(line)["answer"] for line in lines]}


def machine() -> dict[str, str]:
    """What decides how fast this machine is, as far as it tells: GPUs, processor, cores."""
    cards: list[str] = []
    if visible := gpus():
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.splitlines()
        cards = [line.strip() for line in listed][: len(visible)]
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(named, "").partition(":")[2].strip()
    cores = str(len(os.sched_getaffinity(0)))
    return {"gpus": "; ".join(cards), "processor": model or platform.machine(), "cores": cores}


def _engine(checkpoint: Checkpoint, bench: Bench) -> VllmEngine:
    engine = make_engine(
        checkpoint.name,
        checkpoint.model,
        bench.catalog.folder,
        work=bench.store.root,
        revision=checkpoint.revision,
        digests=bench.store.digest_of,
    )
    assert isinstance(engine, VllmEngine)  # a chain's checkpoints are served by nothing else
    return engine


async def _ask(engine: VllmEngine, asked: Asked, bench: Bench) -> tuple[dict[str, Any], list[Answer]]:
    requests = asked.requests()
    with GenerationStore(bench.store.generations, ModelIdentity(engine.name, engine.identity)) as store:
        async with engine:
            await asyncio.gather(*(engine.answer(asked.request(f"{n}.")) for n in range(WARM)))
            started = time.monotonic()
            answers = await asyncio.gather(*(engine.answer(request) for request in requests))
            seconds = time.monotonic() - started
            resident, weights = engine.memory()
        for request, answer in zip(requests, answers, strict=True):
            key = request.key(store.model)
            if answer.finish_reason in ("stop", "length") and store.get(key) is None:
                store.put(key, request, answer)
    errors = [a.error for a in answers if a.finish_reason == "error"]
    if len(errors) == len(answers):
        raise BuildError(f"model {engine.name!r} refused every text: {errors[0]}; see to 'context' and 'serve'")
    tokens = sum(a.output_tokens for a in answers)
    return {
        "answered": len(answers) - len(errors),
        "failed": len(errors),
        "cut": sum(a.finish_reason == "length" for a in answers),
        "first_error": errors[0] if errors else None,
        "seconds": round(seconds, 3),
        "prompt_tokens": sum(a.prompt_tokens for a in answers),
        "output_tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 2),
        "resident_bytes": resident,
        "weights_on_gpu_bytes": weights,
    }, list(answers)


def _write(folder: StageFolder, asked: Asked, answers: list[Answer]) -> None:
    with atomic(folder.path / "answers.jsonl") as temporary, temporary.open("w", encoding="utf-8") as out:
        for text, answer in zip(asked.texts, answers, strict=True):
            line = {
                "text": text,
                "answer": answer.text,
                "finish_reason": answer.finish_reason,
                "output_tokens": answer.output_tokens,
            }
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
