"""Steps: one frozen pydantic model is a step's configuration, schema, documentation and behaviour.

The model:
- A *filter* is a measure plus rules over it; the first rule that is true is the reason of the drop.
- A *normaliser* changes texts of a row and measures what it changed; it may have rules, too.
- A *barrier* needs all rows at once (dedup); an *ask* has a model answer (translate).
- Everything else about a row (its ledger, its files) is done by `run`, once, for every step.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import polars as pl
from pydantic import Field, StringConstraints

from hala_factory import rows
from hala_factory.documented import Documented
from hala_factory.errors import did_you_mean

Columns = dict[str, pl.DataType]
TextPath = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)?$"),
    Field(description="Which texts of a row: `messages`, `messages.user`, `translation.ar`, …"),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Step(Documented, ABC):
    """What every step has: its kind (`step:`), an optional name, and the columns it reads and writes."""

    revision: ClassVar[int] = 1
    """Raised when the step's code starts to answer differently: stored outputs of older code are not reused."""
    example: ClassVar[dict[str, str]] = {}
    """For the docs, one text each: `kept` and `dropped`, or `before` and `after` of a normaliser."""
    measured_by: ClassVar[tuple[str, ...]] = ()
    """Fields called `min_…` or `max_…` that are no mere thresholds: what is measured (or indexed) depends on them."""
    judged_by: ClassVar[tuple[str, ...]] = ()
    """Other fields on which only the verdict depends, e.g. the list of languages to keep."""

    step: str
    """The kind of step."""
    name: Name | None = None
    """Carried by the measures and reasons of this step; its kind if not given."""

    @property
    def label(self) -> str:
        """The name under which the step stands in the ledger."""
        return self.name or self.step

    def paths(self) -> list[str]:
        """The text paths the step reads (checked against the columns before anything runs)."""
        return [str(getattr(self, field)) for field in ("on", "source", "target") if field in type(self).model_fields]

    def writes(self, columns: Columns) -> Columns:
        """The columns the step adds or changes, given the ones it finds."""
        return {}

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """What is wrong with this step on rows with these columns: (field, message)."""
        known = rows.text_paths(columns)
        found: list[tuple[str, str]] = []
        for field in ("on", "source", "target"):
            if field in type(self).model_fields and str(getattr(self, field)) not in known:
                path = str(getattr(self, field))
                found.append((field, f"the rows have no text {path!r} here{did_you_mean(path, known)}"))
        return found

    def tests(self) -> list[str]:
        """Names of the benchmarks in the catalog that the step compares with; it is `bound` to them before it runs.

        `*` stands for all that the catalog has in the `test_languages`.
        """
        return []

    def test_languages(self) -> list[str]:
        """The languages of the tests that are meant by `*`."""
        return []

    def bound(self, tables: Mapping[str, Path]) -> Self:
        """This step knowing the files of its benchmarks (Parquet, columns of `benchmarks.COLUMNS`)."""
        return self

    @classmethod
    def thresholds(cls) -> list[str]:
        """The fields on which only the verdict depends: with others, what was measured is judged again (`whatif`)."""
        bounds = [f for f in cls.model_fields if f.startswith(("min_", "max_")) and f not in cls.measured_by]
        return [*bounds, *cls.judged_by]

    def identity(self) -> dict[str, Any]:
        """What decides the step's output, for its fingerprint."""
        return {"config": {**self.model_dump(mode="json"), **self.contents()}, "revision": self.revision}

    def contents(self) -> dict[str, Any]:
        """Fields for which their content counts in the fingerprint: the digest of a file for its path.

        So a file that is moved changes nothing, and one that is changed does.
        """
        return {}


class RowStep(Step):
    """A step that needs one row at a time: it measures, and drops the rows that a rule over its measures names."""

    @abstractmethod
    def measures(self) -> Columns:
        """Names (without the step's name) and types of what is measured."""

    @abstractmethod
    def rules(self) -> list[tuple[str, pl.Expr]]:
        """Reason and a Boolean expression over the measures (true: drop), in the order they are asked.

        An expression must never be null; a row for which it is counts as failed (`not_measured`).
        """

    def writes(self, columns: Columns) -> Columns:
        """The measures, under the step's name."""
        return {f"{self.label}.{m}": t for m, t in self.measures().items()}


class Filter(RowStep):
    """A step that only looks."""

    @abstractmethod
    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line per row of `frame`, in its order, with exactly the columns of `measures()`."""


class Normaliser(RowStep):
    """A step that changes texts of a row, and says what it changed."""

    @abstractmethod
    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The frame with its texts changed, and the measures: both one line per row, in the order of `frame`.

        The frame keeps its columns and their types. Measures count what was changed in the row (Int32, one per
        kind of change), 0 where nothing was. Normalising twice changes nothing more.
        """

    def rules(self) -> list[tuple[str, pl.Expr]]:
        """None: a normaliser keeps every row, unless it says otherwise."""
        return []


class Barrier(Step):
    """A step whose verdict on a row depends on all the others: it indexes every shard, then decides once."""

    def earlier(self) -> str | None:
        """`name@version` of a finished corpus whose rows are indexed as well, if the step compares with one."""
        return None

    def measures(self) -> Columns:
        """What the decision says besides of the rows it lists (null for all the others), without the step's name."""
        return {}

    @abstractmethod
    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the decision needs to know of every row of `frame`, in its order."""

    @abstractmethod
    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        """Rows with a verdict: `shard`, `row`, `reason` (null: it stays), `detail`, and the columns of `measures()`.

        `index` holds what `index()` answered for all rows, with `shard`, `row` (0-based in the shard), `id`,
        `source` and `earlier`: true for rows of the earlier corpus, which nothing is decided about. `shard` and
        `row` ascend in the order of the rows; `sources` are the recipe's, in its order.
        """

    def writes(self, columns: Columns) -> Columns:
        """The measures, under the step's name."""
        return {f"{self.label}.{m}": t for m, t in self.measures().items()}


class Ask(Step):
    """A step for which models answer (or people, through a file).

    `run` drives it: it has the distinct `questions` of a shard answered, each by `reply`, then `apply`s the replies.
    A row whose `<label>.failure` is not null then has failed with that reason, and `<label>.detail` says more; of
    the others a rule over the measures may drop some.
    """

    models: ClassVar[tuple[str, ...]] = ("model",)
    """Fields that name a model of the catalog; one that is null names none."""

    def asked(self) -> dict[str, str]:
        """The models that answer: field → name in the catalog."""
        return {field: str(name) for field in self.models if (name := getattr(self, field)) is not None}

    @abstractmethod
    def measures(self) -> Columns:
        """Names (without the step's name) and types of what is measured, besides of `failure` and `detail`."""

    def rules(self) -> list[tuple[str, pl.Expr]]:
        """As a filter's, over the measures of rows that did not fail; none if not said otherwise."""
        return []

    def writes(self, columns: Columns) -> Columns:
        """The measures, `failure` and `detail`, under the step's name."""
        found = {**self.measures(), "failure": pl.String(), "detail": pl.String()}
        return {f"{self.label}.{m}": t for m, t in found.items()}

    def translates(self) -> tuple[str, str] | None:
        """The languages from and to which answers translate the `text` they are asked with; None: they do not."""
        return None

    async def prove(self, models: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be known of the models before they are asked for rows, for the stage's record; {}: nothing.

        Called once per build of the stage, with what `reply` is given. Raises BuildError for a model that is not fit.
        """
        return {}

    @abstractmethod
    def questions(self, frame: pl.DataFrame) -> list[Any]:
        """What is to be answered for these rows: distinct, hashable, in order of first appearance."""

    @abstractmethod
    async def reply(self, question: Any, models: Mapping[str, Any]) -> Any:
        """What came of one question; `models` holds an `Answerer` for each field of `asked()`."""

    @abstractmethod
    def apply(self, frame: pl.DataFrame, replies: Mapping[Any, Any], called: Mapping[str, str]) -> pl.DataFrame:
        """The rows with the columns of `writes`; `called` has, per field, the name of the model that answered."""


_STEPS: dict[str, type[Step]] = {}
S = TypeVar("S", bound=type[Step])


def register(cls: S) -> S:
    """Make a step known to recipes under the word of its `step` field."""
    word = cls.__pydantic_fields__["step"].default
    if not isinstance(word, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", word):
        raise TypeError(f"{cls.__name__} needs a default for `step`, its word in recipes")
    if _STEPS.get(word, cls).__qualname__ != cls.__qualname__:
        raise TypeError(f"two steps are called {word!r}: {_STEPS[word].__qualname__} and {cls.__qualname__}")
    _STEPS[word] = cls
    return cls


def registered() -> dict[str, type[Step]]:
    """Every step known so far, by its word, sorted."""
    return dict(sorted(_STEPS.items()))
