"""Steps of model recipes: frozen pydantic models like the steps of corpora, that make a checkpoint or judge one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hala_factory.benchmarks import Located
from hala_factory.catalog import Loaded, Model
from hala_factory.documented import Documented
from hala_factory.models.data import PLACES, RowsFrom
from hala_factory.step import Name
from hala_factory.store import Store


@dataclass(frozen=True)
class Checkpoint:
    """A model at one place of the chain, and how it is served."""

    name: str
    """Its name in the catalog, or in the chain."""
    model: Model
    """The entry by which it is served."""
    place: Path | str
    """Its folder, or its id on the Hub."""
    revision: str | None
    """Its commit on the Hub."""
    identity: dict[str, Any]
    """What decides its answers, see `generate.checkpoint`."""


NOTHING = Checkpoint("nothing", Model(engine="vllm", path=".", licence="unknown"), Path("/nonexistent"), None, {})
"""Where a chain begins that has no base: its first step makes one."""


@dataclass(frozen=True)
class Reading:
    """A corpus that went into a model."""

    corpus: str
    """`name@version`."""
    digest: str
    """Of its rows."""
    by: str
    """The step that read it; behind `name@version` where that was a step of the model that was begun with."""


@dataclass(frozen=True)
class Bench:
    """What a step of a chain works with."""

    store: Store
    catalog: Loaded
    base: Checkpoint
    """Where the chain begins."""
    model: Checkpoint
    """What the steps before have made."""
    say: Callable[[str], None] = lambda line: None
    """Is told what goes on."""
    others: Mapping[str, Checkpoint] = field(default_factory=dict)
    """Further models of the catalog that the step names, by the field that names them."""
    scratch: Path = Path("/nonexistent")
    """A folder of the step's own that outlives a kill, for work that is taken up again; gone when the step is done."""
    artifact: str = ""
    """`name@version` of what is built."""
    tests: Mapping[str, Located] = field(default_factory=dict)
    """The benchmarks that the step asks."""
    read: tuple[Reading, ...] = ()
    """The corpora that went into the model so far."""


@dataclass(frozen=True)
class Verdict:
    """One bound of a gate, and what was found."""

    gate: str
    """The field of the step that sets it."""
    found: str
    asked: str
    passed: bool
    because: str = ""
    """What a reader of a failed gate should know."""


class ModelStep(Documented, ABC):
    """What every step of a chain has."""

    revision: ClassVar[int] = 1
    """Raised when the step's code starts to make or to measure something else."""
    gates: ClassVar[tuple[str, ...]] = ()
    """Fields that only judge what was measured."""
    execution: ClassVar[tuple[str, ...]] = ()
    """Fields that say how the work is done, and not what comes of it."""

    step: str
    """The kind of step."""
    name: Name | None = None
    """Its name in the chain; its kind if not given."""

    @property
    def label(self) -> str:
        """The name under which it stands in the manifest."""
        return self.name or self.step

    def data(self) -> dict[str, RowsFrom]:
        """The rows it reads, by the field that names them."""
        return {}

    def models(self) -> dict[str, str]:
        """Further models of the catalog that it needs, by the field that names them."""
        return {}

    def tests(self) -> list[str]:
        """Benchmarks of the catalog that it asks."""
        return []

    def sampled(self) -> bool:
        """Whether it asks their samples in place of themselves."""
        return False

    def identity(self) -> dict[str, Any]:
        """What of its configuration decides its output, for its fingerprint; rows and models count by their content.

        Fields in `execution` and `gates` decide nothing.
        """
        config = self.model_dump(mode="json", exclude={*self.gates, *self.execution, *self.models(), "name"})
        for name in self.data():
            config[name] = {k: v for k, v in config[name].items() if k not in PLACES}
        return {"config": config, "revision": self.revision}


class Making(ModelStep):
    """A step that makes a checkpoint of the one before it."""

    begins: ClassVar[bool] = False
    """Whether it makes one of nothing, and so stands first in a chain without a base."""

    def served(self, before: Model) -> Model:
        """How what it makes is served, given how the model before it is."""
        return before

    @abstractmethod
    def make(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Write the new checkpoint to `folder / "checkpoint"`; what is to be told of it.

        Raises BuildError when it cannot be made, or is not what was ordered.
        """


class Judging(ModelStep):
    """A step that measures the checkpoint before it, and lets it pass or not."""

    @abstractmethod
    def measure(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """What was measured; files to keep beside the manifest are written to `folder / "kept"`."""

    @abstractmethod
    def verdicts(self, report: dict[str, Any]) -> list[Verdict]:
        """Every gate, asked over what was measured."""
