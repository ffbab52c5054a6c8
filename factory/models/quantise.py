"""`quantise`: a checkpoint in fewer bits, made by llmcompressor and held against what was ordered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from hala_factory.errors import BuildError, did_you_mean
from hala_factory.generate.tools import find_llmcompressor
from hala_factory.models import program
from hala_factory.models.checked import SCHEMES, check, matching
from hala_factory.models.data import PROMPT, RowsFrom, Task, find
from hala_factory.models.step import Bench, Making
from hala_factory.validation import FieldError


class Calibration(RowsFrom):
    """What a method that calibrates reads: conversations, or pairs as the question and answer of a translator."""

    n: int | None = Field(512, ge=1)
    """Rows to draw. 512 is what llmcompressor takes by default."""
    max_tokens: int = Field(2_048, ge=16)
    """Tokens of each; what is longer is cut."""
    prompt: str = PROMPT
    """Of pairs: how the source is put to the model."""
    languages: tuple[str, str] = ("en", "ar")
    """Of pairs: from which language into which."""


class Quantise(Making):
    """Store the weights of a model's linear layers in fewer bits, so that it takes less memory and answers faster.

    `FP8_DYNAMIC` (weights per channel, activations per token as they come; the scheme of Hala's teacher) and
    `FP8_BLOCK` (weights in blocks of 128 × 128) want a GPU that computes in FP8; `W8A8` computes in int8 and runs on
    processors too; `W4A16` only stores in 4 bits. `rtn` rounds the weights as they are and reads no data; `gptq` makes
    up for each rounding in the weights that follow, by what `calibration` rows do in the model.
    """

    step: Literal["quantise"] = "quantise"
    scheme: Literal["FP8_DYNAMIC", "FP8_BLOCK", "W8A8", "W4A16"] = "FP8_DYNAMIC"
    """In which numbers."""
    method: Literal["rtn", "gptq"] = "rtn"
    """How weights are rounded."""
    ignore: tuple[str, ...] = ("lm_head",)
    """Linear layers that stay as they are: names, or `re:` and a regular expression."""
    calibration: Calibration | None = None
    """Rows that `gptq` looks at."""
    seed: int = 0
    """Of everything that is drawn by lot."""

    revision: ClassVar[int] = 1

    @model_validator(mode="after")
    def _coherent(self) -> Quantise:
        if self.method == "gptq" and self.calibration is None:
            raise FieldError("method", "method 'gptq' needs 'calibration': the rows it looks at")
        if self.method == "rtn" and self.calibration is not None:
            raise FieldError("calibration", "method 'rtn' reads no data; take method 'gptq', or leave this out")
        return self

    def data(self) -> dict[str, RowsFrom]:
        """The calibration rows, where there are some."""
        return {"calibration": self.calibration} if self.calibration else {}

    def make(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Have llmcompressor make the checkpoint in its own environment, and check it.

        Raises InputError where that environment or the rows are missing, BuildError with the log's end where it
        fails or the checkpoint is not what was ordered.
        """
        python, checkpoint = find_llmcompressor(), folder / "checkpoint"
        order = {
            "model": str(bench.model.place),
            "revision": bench.model.revision,
            "scheme": self.scheme,
            "method": self.method,
            "ignore": list(self.ignore),
            "multiple": SCHEMES[self.scheme].multiple,
            "seed": self.seed,
            "out": str(checkpoint),
            "calibration": self._conversations(bench, folder),
            "max_tokens": self.calibration.max_tokens if self.calibration else 0,
        }
        log = bench.store.root / "logs" / f"{self.label}-{bench.base.name}-{os.getpid()}.log"
        bench.say(f"{self.label}: {bench.model.name} to {self.scheme} by {self.method}; the log is {log}")
        local = isinstance(bench.model.place, Path)
        made = program.run("quantize", order, folder, log, bench.say, python=python, offline=local)
        _expect_layers(self.ignore, made["linear"])
        facts = check(checkpoint, self.scheme, list(self.ignore), made["linear"])
        (checkpoint / "recipe.yaml").rename(checkpoint / "quantisation.yaml")  # `recipe.yaml` of a version is ours
        return {**facts, "method": self.method, "samples": made["samples"], "software": made["software"]}

    def _conversations(self, bench: Bench, folder: Path) -> str | None:
        if self.calibration is None:
            return None
        found = find(self.calibration, bench.catalog, bench.store)
        source, target = self.calibration.languages
        task = Task(source_language=source, to=target, prompt=self.calibration.prompt)
        lines = [json.dumps(turns, ensure_ascii=False) + "\n" for _, turns in found.conversations(task)]
        file = folder / "calibration.jsonl"
        file.write_text("".join(lines), encoding="utf-8")
        return str(file)


def _expect_layers(ignore: tuple[str, ...], linear: list[str]) -> None:
    for pattern, names in matching(ignore, linear).items():
        if not names:
            hint = did_you_mean(pattern, linear) if len(linear) < 20 or not pattern.startswith("re:") else ""
            raise BuildError(f"ignore: the model has no linear layer {pattern!r}{hint if len(hint) < 200 else ''}")
