"""Quality estimate: a learned score of a translation, by whatever function answers it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar, Literal

import polars as pl

from hala_factory import rows, text
from hala_factory.errors import BuildError, InputError, did_you_mean
from hala_factory.step import Columns, Filter, TextPath, register

Scorer = Callable[[list[str], list[str]], Sequence[float]]
_GROUP = "hala_factory.scorers"


@register
class QualityEstimate(Filter):
    """Drop rows in which a message's translation is poor in the judgement of a model of yours (COMET-QE, MetricX, …).

    `scorer` names a Python function: `package.module:function`, or an entry point of the group
    `hala_factory.scorers`. It is called with a list of sources and a list of targets, and answers one number each,
    the same for the same pair in any company. Its attribute `version` says what model it is: another version, and
    all is measured anew. A pair with no finite score, or that makes the function raise, is a failed row; an answer
    of another length ends the build. A row has the score of its worst message. No threshold fits all models, so none
    is set: COMET-QE at 0.7 dropped about 80 % of prompts translated to Arabic (arXiv 2408.05882).
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The bakery opens at seven. → يفتح المخبز في السابعة.",
        "dropped": "The bakery opens at seven. → المخبز يفتح سبعة من.",
    }

    step: Literal["quality_estimate"] = "quality_estimate"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    scorer: str
    """The function: `package.module:function`, or the name of an entry point."""
    min_score: float | None = None
    """Smallest score, on the scorer's own scale."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        try:
            _version(self.scorer)
        except InputError as error:
            return [*super().faults(columns), ("scorer", str(error))]
        return super().faults(columns)

    def identity(self) -> dict[str, Any]:
        """The version of the scorer counts with its name."""
        return {**super().identity(), "scorer": _version(self.scorer)}

    def measures(self) -> Columns:
        return {"score": pl.Float32(), "pairs": pl.Int32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target)
        distinct = pairs.select("source", "target").unique(maintain_order=True)
        scores = self._scores(distinct["source"].to_list(), distinct["target"].to_list())
        numbers = pl.Series("score", scores, dtype=pl.Float64)
        scored = distinct.with_columns(numbers).with_columns(text.measured(pl.col("score")))
        lines = pairs.join(scored, on=["source", "target"])
        worst = {"score": (pl.col("score").min(), 0.0), "pairs": (pl.len().cast(pl.Int32), 0)}
        return text.per_row(lines, frame.height, worst)

    def _scores(self, sources: list[str], targets: list[str]) -> list[float]:
        if not sources:
            return []
        answer = _loaded(self.scorer)(sources, targets)
        try:
            scores = [float(score) for score in answer]
        except (TypeError, ValueError) as error:
            raise BuildError(f"scorer {self.scorer!r} answers no list of numbers: {error}") from error
        if len(scores) != len(sources):
            raise BuildError(f"scorer {self.scorer!r} answered {len(scores)} scores for {len(sources)} pairs")
        for source, score in zip(sources, scores, strict=True):
            if not math.isfinite(score):
                raise ValueError(f"scorer {self.scorer!r} answered {score} for {source[:60]!r}")
        return scores

    def rules(self) -> list[tuple[str, pl.Expr]]:
        if self.min_score is None:
            return []
        return [("low_score", (pl.col("pairs") > 0) & (pl.col("score") < self.min_score))]


def _version(name: str) -> str:
    version = getattr(_loaded(name), "version", None)
    if version is None:
        raise InputError(f"scorer {name!r} has no attribute 'version': set one, and raise it when the model changes")
    return str(version)


def _loaded(name: str) -> Scorer:
    """The function of that name. Raises InputError where there is none."""
    module, colon, function = name.partition(":")
    try:
        if colon:
            found = getattr(importlib.import_module(module), function)
        else:
            known = {point.name: point for point in entry_points(group=_GROUP)}
            if name not in known:
                hint = did_you_mean(name, known) or f"; none is installed in the group {_GROUP}"
                raise InputError(f"no scorer {name!r}{hint}; a function is named as 'package.module:function'")
            found = known[name].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"scorer {name!r} cannot be loaded: {error}") from error
    if not callable(found):
        raise InputError(f"scorer {name!r} is a {type(found).__name__}, not a function")
    answering: Scorer = found
    return answering
