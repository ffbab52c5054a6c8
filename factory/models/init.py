"""`init`: a model that has learnt nothing yet, with a tokenizer of its own: where a chain without a base begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from hala_factory.catalog import Model
from hala_factory.models import program
from hala_factory.models.data import RowsFrom, find
from hala_factory.models.step import Bench, Making
from hala_factory.validation import FieldError


class Texts(RowsFrom):
    """The rows whose texts a tokenizer is made from."""

    n: int | None = Field(100_000, ge=1)
    """Rows to draw; all where there are fewer."""


class Init(Making):
    """Make a small model with random weights, and a tokenizer (byte-level BPE) from the texts of some rows.

    For a translator that is trained from nothing, and for trials of a whole chain. Its chat template is ChatML, as
    LFM2 has it. An `lfm2` has a layer of attention after every two of convolution.
    """

    step: Literal["init"] = "init"
    architecture: Literal["lfm2", "llama"] = "lfm2"
    """Which kind of model."""
    texts: Texts
    """What the tokenizer is made from."""
    vocabulary: int = Field(8_000, ge=300)
    """Tokens of the tokenizer: 256 bytes, 4 marks and what it learns."""
    hidden: int = Field(256, ge=16)
    """Width of the model."""
    layers: int = Field(9, ge=3)
    """Layers of the model."""
    heads: int = Field(4, ge=1)
    """Heads of attention."""
    kv_heads: int = Field(2, ge=1)
    """Heads that keys and values have."""
    ffn: int = Field(768, ge=16)
    """Width within a layer."""
    context: int = Field(512, ge=64)
    """Tokens that it can be asked and answer."""
    seed: int = 0
    """Of the weights."""
    serve: tuple[str, ...] = ()
    """Further arguments of the vllm server, where the chain asks what it makes."""

    revision: ClassVar[int] = 1
    execution: ClassVar[tuple[str, ...]] = ("serve",)
    begins: ClassVar[bool] = True

    @model_validator(mode="after")
    def _coherent(self) -> Init:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise FieldError("heads", f"heads: {self.hidden} wide is no even width for each of {self.heads} heads")
        if self.heads % self.kv_heads:
            raise FieldError("kv_heads", f"kv_heads: {self.heads} heads cannot share {self.kv_heads} evenly")
        return self

    def data(self) -> dict[str, RowsFrom]:
        """The texts of the tokenizer."""
        return {"texts": self.texts}

    def served(self, before: Model) -> Model:
        """By its own arguments, with the context that it has."""
        return before.model_copy(update={"context": self.context, "serve": list(self.serve)})

    def make(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Have the tokenizer and the weights made. Raises InputError where the rows are missing."""
        found = find(self.texts, bench.catalog, bench.store)
        file = folder / "texts.jsonl"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in found.texts())
        order = {
            "texts": str(file),
            "architecture": self.architecture,
            "sizes": {field: getattr(self, field) for field in ("hidden", "layers", "heads", "kv_heads", "ffn")},
            "vocabulary": self.vocabulary,
            "context": self.context,
            "seed": self.seed,
            "out": str(folder / "checkpoint"),
        }
        log = bench.store.root / "logs" / f"{self.label}-{os.getpid()}.log"
        bench.say(f"{self.label}: a tokenizer of {self.vocabulary:,} and an {self.architecture}; the log is {log}")
        return program.run("init", order, folder, log, bench.say)
