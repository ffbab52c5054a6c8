"""`merge`: one model of two or more, made by mergekit and held against the formula."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from hala_factory.errors import BuildError
from hala_factory.models import program
from hala_factory.models.step import Bench, Checkpoint, Making
from hala_factory.step import Share
from hala_factory.validation import FieldError

MAX_ERROR = 1e-6
"""Of a weight against the formula in float64, beyond what its type must round; mergekit reckons in float32."""
SAMPLE = 64
"""Tensors that are checked; smaller models are checked whole."""


class Merge(Making):
    """Mix the weights of the model that the chain has made with those of the one it was made of, or of others.

    `slerp` goes along the arc between two models (Hala: `t` 0.5 with the base), `linear` takes their mean.
    `task_arithmetic` adds what each model learnt to the chain's base, and `ties` the part of it that they agree on.
    All models have to have the same tensors and one tokenizer. Configuration, tokenizer and chat template are those
    of the chain's model. A sample of the weights is reckoned again in float64; where they differ, nothing is stored.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    revision: ClassVar[int] = 1

    step: Literal["merge"] = "merge"
    method: Literal["slerp", "linear", "task_arithmetic", "ties"] = "slerp"
    """How weights are mixed."""
    t: Share = 0.5
    """How far to go: at 0 stands the base (of `slerp` and `linear`: the models of `with`), at 1 the chain's model."""
    with_: tuple[str, ...] = Field((), alias="with")
    """Models of the catalog to merge with; the chain's base if not given."""
    density: float | None = Field(None, gt=0, le=1)
    """Of `ties`: the share of what was learnt that counts, the largest changes first."""
    # Hala's paper names slerp and 0.5 and no more

    @model_validator(mode="after")
    def _coherent(self) -> Merge:
        if self.method == "slerp" and len(self.with_) > 1:
            raise FieldError("with", f"slerp merges two models, and 'with' names {len(self.with_)}; take 'linear'")
        if self.method == "ties" and self.density is None:
            raise FieldError("density", "method 'ties' needs 'density'; its paper takes 0.2 (arXiv 2306.01708)")
        if self.method != "ties" and self.density is not None:
            raise FieldError("density", f"'density' is of method 'ties', and this is {self.method!r}; leave it out")
        return self

    def models(self) -> dict[str, str]:
        """Those of `with`."""
        return {f"with.{n}": name for n, name in enumerate(self.with_)}

    def identity(self) -> dict[str, Any]:
        """As of every step; the models of `with` count by their content."""
        found = super().identity()
        del found["config"]["with_"]
        return found

    def make(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Have mergekit make the checkpoint, and check it.

        Raises BuildError where the models do not fit each other, mergekit fails, or a weight is not what the formula
        says.
        """
        others = [bench.others[word] for word in self.models()]
        learnt = self.method in ("task_arithmetic", "ties")
        merged = [*([bench.base] if learnt or not others else []), *others, bench.model]
        order = {
            "method": self.method,
            "t": self.t,
            "density": self.density or 1.0,
            "models": [{"name": m.name, "place": str(m.place), "revision": m.revision} for m in merged],
            "sample": SAMPLE,
            "seed": 0,
            "out": str(folder / "checkpoint"),
        }
        log = bench.store.root / "logs" / f"{self.label}-{bench.base.name}-{os.getpid()}.log"
        told = " and ".join(m.name for m in merged)
        bench.say(f"{self.label}: {told} by {self.method}, t = {self.t:g}; the log is {log}")
        local = all(isinstance(m.place, Path) for m in merged)
        made = program.run("merge", order, folder, log, bench.say, offline=local)
        if not made["largest_error"] <= MAX_ERROR:
            raise BuildError(
                f"{self.label}: {made['worst']} is off its formula by {made['largest_error']:.2e}, expected at most "
                f"{MAX_ERROR:g} beyond rounding; mergekit {made['software']['mergekit']} reckons otherwise than 0.1.5"
            )
        return {"method": self.method, "t": self.t, "models": [_told(m) for m in merged], **made}


def _told(model: Checkpoint) -> dict[str, Any]:
    return {"name": model.name, "revision": model.revision, "licence": model.model.licence}
