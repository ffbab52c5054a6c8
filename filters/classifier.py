"""Classifier: how surely a text has a label, by a fastText model of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field

from hala_factory import rows, text
from hala_factory.errors import InputError, did_you_mean
from hala_factory.fingerprint import file_digest
from hala_factory.lid import load
from hala_factory.step import Columns, Filter, Share, TextPath, register

_PREFIX = "__label__"
_ALL = 100_000  # labels; no model has more
_LEAST = 4e-5  # a smaller probability is stored as 0; to be told all of lid.176 takes half as long again
_TRIED = ("\n", "a the of and to in is\n", "من في على و إلى أن\n")


@register
class Classifier(Filter):
    """Drop texts that a fastText model does not give a label, or gives it too surely.

    For classifiers of quality, of topics or of toxic language, such as DCLM's (arXiv 2406.11794), which keeps what
    is surely enough `hq`. `score` is the probability of `label`, `top` the likeliest label. Line ends are read as
    spaces, as such models are trained. A text without a word the model can read has the score 0.
    """

    model_config = ConfigDict(populate_by_name=True)  # every step has a `label` of its own: its name

    example: ClassVar[dict[str, str]] = {
        "kept": "The river floods in spring (label: good, score 0.93).",
        "dropped": "click here best price (label: good, score 0.04).",
    }

    step: Literal["classifier"] = "classifier"
    on: TextPath = "messages"
    model: Annotated[str, Field(min_length=1)]
    """Path of a supervised fastText model (`.bin`, `.ftz`)."""
    wanted: str = Field(alias="label", min_length=1)
    """The label that is asked for, with or without `__label__`."""
    min_score: Share | None = 0.5
    """Smallest probability of the label; null for a label that is unwanted."""
    max_score: Share | None = None
    """Largest probability of the label."""
    head_chars: Annotated[int, Field(ge=1)] | None = None
    """How many characters are read; null: all."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        try:
            known = labels(self._path())
        except InputError as error:
            return [*found, ("model", str(error))]
        if self._label() not in known:
            found.append(("label", f"the model has no label {self._label()!r}{did_you_mean(self._label(), known)}"))
        return found

    def contents(self) -> dict[str, Any]:
        """The model, and the label as the model spells it."""
        return {"model": file_digest(self._path()), "wanted": self._label()}

    def measures(self) -> Columns:
        return {"score": pl.Float32(), "top": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = rows.text(self.on) if self.head_chars is None else rows.text(self.on).str.slice(0, self.head_chars)
        lines = frame.select(line=whole.str.replace_all(r"[\r\n]", " "))["line"]
        predict, wanted = load(self._path()).f.predict, _PREFIX + self._label()
        scores, tops = [], []
        for line in lines:
            answers = predict(line + "\n", _ALL, _LEAST, "replace")  # the likeliest first
            scores.append(next((min(max(score, 0.0), 1.0) for score, label in answers if label == wanted), 0.0))
            tops.append(answers[0][1].removeprefix(_PREFIX) if answers else "")
        found = pl.DataFrame({"score": scores, "top": tops}, schema={"score": pl.Float64, "top": pl.String})
        return found.select(score=text.measured(pl.col("score")), top="top")

    def rules(self) -> list[tuple[str, pl.Expr]]:
        bounds = [
            ("low_score", self.min_score, pl.col("score").lt),
            ("high_score", self.max_score, pl.col("score").gt),
        ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]

    def _label(self) -> str:
        return self.wanted.removeprefix(_PREFIX)

    def _path(self) -> Path:
        return Path(self.model).expanduser()


def labels(path: Path) -> frozenset[str]:
    """The labels a model knows. Raises InputError for a file that is no supervised fastText model."""
    predict = load(path).f.predict
    try:
        # A text without a word the model knows has no answer, so several are tried.
        answered = (predict(words, _ALL, -1.0, "replace") for words in _TRIED)
        answers: list[tuple[float, str]] = next(filter(None, answered), [])
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a supervised fastText model: {error}") from None
    return frozenset(label.removeprefix(_PREFIX) for _, label in answers)
