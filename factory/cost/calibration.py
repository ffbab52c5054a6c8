"""A calibration: what a model took for a sample of a stage's questions, as it was really asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hala_factory.cost.band import Band
from hala_factory.cost.sampling import Fit
from hala_factory.plan import Plan, Stage
from hala_factory.store import read_json, write_json

ROWS = 200
"""Rows of a calibration. Of 1,290 instructions of GPTeacher and Alpaca, 19 of 20 samples of so many were within 4 %
of the tokens of all, and the worst of 200 samples was 8 % off."""


@dataclass(frozen=True)
class Taken:
    """What a question takes of one model."""

    requests: Fit
    prompt: Fit
    output: Fit


@dataclass(frozen=True)
class Calibration:
    """What was measured for one stage."""

    rows: int
    questions: int
    per_row: Band
    """Questions of a row."""
    size: Band
    """Characters of the questions of a row."""
    taken: dict[str, Taken]
    """By the field that names the model."""
    shares: dict[str, float]
    """By source, the share of the rows of `before` that reach the stage, as far as filters and models decide it."""
    before: list[str]
    """The stages from which the rows were taken."""


def place(plan: Plan, stage: Stage) -> Path:
    """Where the calibration of a stage stands."""
    return plan.store.root / "calibrations" / f"{stage.name}-{stage.fingerprint[:12]}.json"


def known(plan: Plan, stage: Stage) -> Calibration | None:
    """The calibration of a stage, if there was one."""
    said = read_json(place(plan, stage))
    if said is None:
        return None
    taken = {
        field: Taken(**{word: Fit(**numbers) for word, numbers in fits.items()})
        for field, fits in said["taken"].items()
    }
    read = {"per_row": Band(**said["per_row"]), "size": Band(**said["size"]), "taken": taken}
    return Calibration(**{**said, **read})


def keep(plan: Plan, stage: Stage, calibration: Calibration) -> None:
    """Write the calibration of a stage."""
    write_json(place(plan, stage), asdict(calibration))
