"""`sft`: a model that has learnt from conversations, or from pairs as the questions and answers of a translator."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from hala_factory.documented import Documented
from hala_factory.errors import BuildError, InputError
from hala_factory.generate.gpus import gpus
from hala_factory.models import curve, linting, program
from hala_factory.models.data import RowsFrom, Task, Turns, find, lot
from hala_factory.models.step import Bench, Making
from hala_factory.store import atomic
from hala_factory.validation import FieldError


class TrainingRows(RowsFrom):
    """What is learnt."""

    n: int | None = Field(None, ge=1)
    """Rows to draw; all if not given."""


class Lora(Documented):
    """Train small matrices beside the linear layers and leave the weights as they are (arXiv 2106.09685)."""

    r: int = Field(16, ge=1)
    """Rank of the matrices."""
    lora_alpha: int = Field(32, ge=1)
    """What they are scaled by, over their rank."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of their inputs that is left out at random."""


class Collapse(Documented):
    """What shows that a model does not read its questions: a training that is so is stopped, and its model refused."""

    from_share: float = Field(0.5, ge=0, le=1)
    """Look from this share of the training on: at first every model is so."""
    min_gap: float = Field(0.05, ge=0)
    """By how many nats a token the answers to other questions are less likely, at least."""
    min_distinct_share: float = Field(0.3, ge=0, le=1)
    """Distinct answers among those to distinct held-out questions, at least."""


class Sft(Making):
    """Fine-tune the model on what is answered in conversations (TRL's SFTTrainer; one loss for every answered token).

    Pairs are the questions and answers of a translator, one of each task. Some rows are held out: over those the loss
    is told as it falls, and the collapse check looks whether answers depend on questions. A training that is broken
    off goes on from its last checkpoint to the same losses. Nothing is said in the paper of how Hala was trained; the
    defaults are our choice.
    """

    step: Literal["sft"] = "sft"
    rows: TrainingRows
    """Conversations or pairs."""
    tasks: tuple[Task, ...] = Field((Task(),), min_length=1)
    """How a pair becomes a conversation; several make several of it."""
    held_out: int = Field(64, ge=0)
    """Rows, drawn by lot, that are not trained on."""
    max_length: int = Field(1_024, ge=16)
    """Tokens of a conversation; what is longer is cut."""
    epochs: float = Field(1.0, gt=0)
    """How often every row is seen."""
    max_steps: int | None = Field(None, ge=1)
    """Stop after so many steps of the optimiser."""
    batch_size: int = Field(64, ge=1)
    """Conversations (packs of them, if packed) to a step of the optimiser, on all GPUs together."""
    learning_rate: float = Field(2e-5, gt=0)
    """Highest rate of AdamW."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the rate falls."""
    warmup: int = Field(100, ge=0)
    """Steps in which the rate rises from nothing."""
    weight_decay: float = Field(0.0, ge=0)
    """Of AdamW."""
    adam_beta2: float = Field(0.98, gt=0, lt=1)
    """Of AdamW: how slowly it forgets the size of gradients."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Longer gradients are cut to this length."""
    lora: Lora | None = None
    """Train by LoRA; the whole model if not given. The weights that come out are whole ones either way."""
    packing: bool = False
    """Several conversations in one sequence; refused where the model would read one from another, which is tried."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """In which numbers is computed; whole weights are kept in fp32 while they are trained."""
    seed: int = 0
    """Of the order of rows, and of what LoRA begins with."""
    collapse: Collapse | None = Collapse()
    """What the collapse check asks; null: it only tells."""
    lint: linting.LintBounds | None = linting.LintBounds()
    """How much of the rows may be what no model learns well from; null: they are not looked at."""
    looks: int = Field(8, ge=1)
    """How often in a training the held-out rows are looked at."""
    micro_batch: int = Field(8, ge=1)
    """Conversations that go through the model at a time on one GPU."""
    gradient_checkpointing: bool = False
    """Compute twice what would not fit in memory."""
    save_every: int = Field(200, ge=1)
    """Steps between two checkpoints, of which the last is taken up after a break."""
    processes: int | None = Field(None, ge=1)
    """Processes that train together, by accelerate's launcher; one a GPU if not given."""
    accelerate_config: str | None = None
    """A configuration file of accelerate (FSDP, DeepSpeed, several machines), relative to the catalog."""
    logs: Literal["none", "tensorboard", "trackio"] = "none"
    """Where else losses are logged to, in the store's `logs/`; their packages are to be installed."""

    revision: ClassVar[int] = 1
    execution: ClassVar[tuple[str, ...]] = (
        "micro_batch",
        "gradient_checkpointing",
        "save_every",
        "processes",
        "accelerate_config",
        "logs",
        "lint",
        "collapse",  # a gate: what was trained before it was broken is taken up when it is loosened
    )

    @model_validator(mode="after")
    def _coherent(self) -> Sft:
        if self.batch_size % self._micro:
            message = f"micro_batch: {self.micro_batch} does not divide batch_size {self.batch_size}"
            raise FieldError("micro_batch", message)
        return self

    @property
    def _micro(self) -> int:
        return min(self.micro_batch, self.batch_size)

    def data(self) -> dict[str, RowsFrom]:
        """What is learnt."""
        return {"rows": self.rows}

    def make(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Train. Raises InputError where rows are missing, BuildError where the training fails or collapses."""
        if self.logs != "none" and importlib.util.find_spec(self.logs) is None:
            raise InputError(
                f"{self.label}: logs: {self.logs!r} is not installed: pip install {self.logs}, or leave it out"
            )
        processes = self.processes or max(1, len(gpus()))
        if self.batch_size % (self._micro * processes):
            raise BuildError(
                f"{self.label}: {processes} processes of {self._micro} conversations cannot share a batch of "
                f"{self.batch_size} evenly; set batch_size, micro_batch or processes"
            )
        bench.scratch.mkdir(parents=True, exist_ok=True)
        train, held_out = self._files(bench)
        logs = bench.store.root / "logs"
        log = logs / f"{self.label}-{bench.artifact}-{os.getpid()}.log"
        own = self.model_dump(mode="json", exclude={"rows", "tasks", "held_out", "lint", "name", "step"})
        order = own | {
            "model": str(bench.model.place),
            "revision": bench.model.revision,
            "train": str(train),
            "held_out": str(held_out),
            "scratch": str(bench.scratch),
            "logs_folder": str(logs / self.logs / f"{bench.artifact}-{self.label}"),
            "processes": processes,
            "out": str(folder / "checkpoint"),
        }
        linted = self._linted(bench, train, folder)
        bench.say(f"{self.label}: training {bench.model.name}; the log is {log}")
        local, launch = isinstance(bench.model.place, Path), self._launch(bench, processes)
        made = program.run("sft", order, folder, log, bench.say, launch=launch, offline=local)
        if made["collapsed"]:
            raise BuildError(
                f"{self.label}: the model {made['collapsed']}. It answers without reading what it is asked; train it "
                "longer, on more rows or at another rate, or loosen 'collapse'"
            )
        (folder / "checkpoint" / "loss.svg").write_text(curve.draw(made["losses"], made["looks"]), encoding="utf-8")
        return {**made, "lint": linted}

    def _linted(self, bench: Bench, train: Path, folder: Path) -> dict[str, Any] | None:
        if self.lint is None:
            return None
        work = folder / "lint"
        work.mkdir()
        log = bench.store.root / "logs" / f"lint-{bench.artifact}-{os.getpid()}.log"
        rows = linting.Rows([train])
        return linting.check(rows, bench.model, self.max_length, self.lint, work, log, bench.say)

    def _launch(self, bench: Bench, processes: int) -> list[str]:
        if self.accelerate_config:
            config = bench.catalog.folder / self.accelerate_config
            return ["-m", "accelerate.commands.launch", "--config_file", str(config)]
        if processes == 1:
            return []
        if gpus():
            each = ["--num_processes", str(processes), "--num_machines", "1"]
            return ["-m", "accelerate.commands.launch", "--multi_gpu", *each]
        # without GPUs accelerate's own launcher wants MPI
        return ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]

    def _files(self, bench: Bench) -> tuple[Path, Path]:
        """The conversations to train on and those held out, written once; a training that is taken up has the same."""
        train, held_out = bench.scratch / "train.jsonl", bench.scratch / "held_out.jsonl"
        if held_out.exists():
            return train, held_out
        found = find(self.rows, bench.catalog, bench.store)
        ids = {row for row, _ in found.conversations(*self.tasks)} if self.held_out else set()
        chosen = set(sorted(ids, key=lambda row: (lot(self.rows.seed + 1, row), row))[: self.held_out])
        if self.held_out and len(chosen) == len(ids):
            raise BuildError(f"{self.label}: {found.told} has {len(ids):,} rows, and all would be held out")
        kept: list[Turns] = []
        with atomic(train) as temporary, temporary.open("w", encoding="utf-8") as out:
            for row, turns in found.conversations(*self.tasks):
                if row in chosen:
                    kept.append(turns)
                else:
                    out.write(json.dumps(turns, ensure_ascii=False) + "\n")
        with atomic(held_out) as temporary, temporary.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(turns, ensure_ascii=False) + "\n" for turns in _answered(kept))
        return train, held_out


def _answered(chats: list[Turns]) -> Iterator[Turns]:
    """Conversations up to their last answer, one of each question."""
    seen = set()
    for chat in chats:
        said = [n for n, turn in enumerate(chat) if turn["role"] == "assistant"]
        asked = str(chat[: said[-1]]) if said and said[-1] else ""
        if asked and asked not in seen:
            seen.add(asked)
            yield list(itertools.islice(chat, said[-1] + 1))
