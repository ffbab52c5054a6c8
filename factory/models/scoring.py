"""What a checkpoint answers to benchmarks: asked by lm-eval, and stored by checkpoint and questions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hala_factory import train
from hala_factory.errors import BuildError, InputError
from hala_factory.fingerprint import file_digest, fingerprint
from hala_factory.models import program
from hala_factory.models.step import Bench, Checkpoint
from hala_factory.questions import Question
from hala_factory.store import StageFolder, sweep, write_json

REVISION = 1
"""Raised when the same checkpoint answers the same questions otherwise."""
BATCH = 16
"""Prompts of a forward pass; fixed, for the last digits of a likelihood depend on it."""
_COMMON = "_choices"
ANSWERS = "answers.jsonl"


def tasks() -> dict[str, str]:
    """The benchmarks that we have a task file of lm-eval for, with a digest of what decides their prompts."""
    folder = Path(train.__path__[0]) / "tasks"
    common = file_digest(folder / f"{_COMMON}.yaml")
    names = sorted(path.stem for path in folder.glob("[!_]*.yaml"))
    return {name: fingerprint([common, file_digest(folder / f"{name}.yaml")]) for name in names}


def run(
    checkpoint: Checkpoint, sets: Mapping[str, Sequence[Question]], bench: Bench, *, chat: bool = False
) -> dict[str, dict[str, Any]]:
    """The record of every benchmark, `answers` among it: what stands is not asked again.

    An answer has `right` and the `loglikelihoods` of the choices' labels. Raises InputError without lm-eval,
    BuildError with the end of its log where the program fails.
    """
    folders = {name: _folder(checkpoint, name, asked, bench, chat) for name, asked in sets.items()}
    records: dict[str, Any] = {name: folder.record() for name, folder in folders.items()}
    with contextlib.ExitStack() as stack:
        for name in sorted(name for name, record in records.items() if record is None):
            stack.enter_context(folders[name].lock())
            records[name] = folders[name].record()
        missing = {name: sets[name] for name, record in records.items() if record is None}
        if missing:
            records |= _ask(checkpoint, missing, {name: folders[name] for name in missing}, bench, chat)
    found = {}
    for name, record in records.items():
        lines = (folders[name].path / ANSWERS).read_text(encoding="utf-8").splitlines()
        found[name] = {**record, "answers": [json.loads(line) for line in lines]}
    return found


def _folder(checkpoint: Checkpoint, name: str, asked: Sequence[Question], bench: Bench, chat: bool) -> StageFolder:
    decided = {
        "model": checkpoint.identity,
        "questions": fingerprint([question.told() for question in asked]),
        "task": tasks()[name],
        "chat": chat,
        "lm-eval": _lm_eval(),
        "revision": REVISION,
    }
    return bench.store.stage("scores", fingerprint(decided))


def _lm_eval() -> str:
    """The version of lm-eval. Raises InputError where it is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError(
            "lm-eval is not installed beside hala-factory, and benchmarks are asked by it; install it with: "
            "pip install 'hala-factory[eval]'"
        )
    return importlib.metadata.version("lm-eval")


def _ask(
    checkpoint: Checkpoint,
    sets: Mapping[str, Sequence[Question]],
    folders: Mapping[str, StageFolder],
    bench: Bench,
    chat: bool,
) -> dict[str, dict[str, Any]]:
    """Run lm-eval over what is not stored, in one process that loads the model once."""
    for folder in folders.values():
        sweep(folder.path)
    work = next(iter(folders.values())).path / f".tmp-{uuid.uuid4().hex[:8]}"
    work.mkdir()
    try:
        (work / "out").mkdir()
        order = {
            "model": str(checkpoint.place),
            "revision": checkpoint.revision,
            "chat": chat,
            "batch": BATCH,
            "out": str(work / "out"),
            "tasks": {name: str(_written(work / f"{name}.jsonl", asked)) for name, asked in sets.items()},
        }
        log = bench.store.root / "logs" / f"evaluate-{checkpoint.name}-{os.getpid()}.log"
        total = sum(map(len, sets.values()))
        bench.say(f"scores: {checkpoint.name}, {total:,} questions of {', '.join(sets)}; the log is {log}")
        local = isinstance(checkpoint.place, Path)
        made = program.run("evaluate", order, work, log, bench.say, offline=local)
        records = {}
        for name, folder in folders.items():
            told = made["tasks"][name]
            if told["questions"] != len(sets[name]):
                raise BuildError(f"{log}: {told['questions']} of {len(sets[name])} questions of {name} were answered")
            (work / "out" / f"{name}.jsonl").replace(folder.path / ANSWERS)
            file = folder.path / ANSWERS
            files = {ANSWERS: {"bytes": file.stat().st_size, "sha256": file_digest(file)}}
            record = {
                "model": checkpoint.name,
                "benchmark": name,
                **told,
                "software": made["software"],
                "files": files,
            }
            write_json(folder.path / "stage.json", record)
            records[name] = record
        return records
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _written(path: Path, asked: Sequence[Question]) -> Path:
    lines = (json.dumps(question.told(), ensure_ascii=False) + "\n" for question in asked)
    path.write_text("".join(lines), encoding="utf-8")
    return path
