"""Datatrove: any filter of the datatrove library, as it is."""

from __future__ import annotations

import inspect
import json
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field

from hala_factory import rows
from hala_factory.errors import InputError, did_you_mean
from hala_factory.step import Columns, Filter, TextPath, register

# What cannot be a step whose verdict on a row is the same everywhere, offline: why, and what can be used.
_UNUSABLE = {
    "C4BadWordsFilter": "it downloads its lists; give one to the step 'banned_words'",
    "FastTextClassifierFilter": "it needs another build of fastText than ours; use the step 'classifier'",
    "LambdaFilter": "a recipe holds no code; write a step of your own",
    "LanguageFilter": "it downloads its model; use the step 'language'",
    "SamplerFilter": "it drops at random, and others after every change of order; use the step 'sample'",
    "UnigramLogProbFilter": "it downloads its word frequencies; use the step 'classifier'",
    "URLFilter": "it judges the address of a page, and rows have none",
}
_OURS = {"self", "exclusion_writer", "batch_size"}  # dropped rows are kept by the factory, and batches are its own
_PROBE = "The river rises in the hills to the south of the town.\nFarmers have lived along it for a long time."


@register
class Datatrove(Filter):
    """Drop what a filter of datatrove drops: exact, and slow.

    The filter is asked about each text on its own, one after the other; `detail` holds its reason. What a filter
    cuts out of a text it keeps (C4's lines) is not cut here. A text at which it raises is a failed row. Filters
    that split words (Gopher, FineWeb, C4's sentences) need spaCy: `pip install spacy`. Our own steps for the same
    rules, `gopher_quality`, `repetition`, `fineweb_lines` and `c4_lines`, are many times as fast.
    """

    model_config = ConfigDict(populate_by_name=True)

    example: ClassVar[dict[str, str]] = {
        "kept": "A sentence without it (filter: RegexFilter, with: {regex_exp: forbidden}).",
        "dropped": "A forbidden sentence.",
    }

    step: Literal["datatrove"] = "datatrove"
    on: TextPath = "messages"
    filter: str
    """Name of a class of `datatrove.pipeline.filters`."""
    arguments: dict[str, Any] = Field(default={}, alias="with")
    """Its arguments, by name."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        known = _filters()
        if self.filter not in known:
            usable = [name for name in known if name not in _UNUSABLE]
            return [*found, ("filter", f"datatrove has no filter {self.filter!r}{did_you_mean(self.filter, usable)}")]
        if self.filter in _UNUSABLE:
            return [*found, ("filter", f"{self.filter} cannot be used here: {_UNUSABLE[self.filter]}")]
        parameters = inspect.signature(known[self.filter].__init__).parameters
        names = [name for name in parameters if name not in _OURS]
        wrong = [name for name in self.arguments if name not in names]
        if wrong:
            lacks = [(f"{self.filter} has no argument {name!r}{did_you_mean(name, names)}") for name in wrong]
            return found + [("with", message) for message in lacks]
        missing = [n for n in names if parameters[n].default is inspect.Parameter.empty and n not in self.arguments]
        if missing:
            return found + [("with", f"{self.filter} needs the argument {name!r}") for name in missing]
        try:
            _verdict(_made(self.filter, self._spelt()), _PROBE)
        except Exception as error:
            found.append(("with", f"{self.filter} does not work so: {type(error).__name__}: {error}"))
        return found

    def identity(self) -> dict[str, Any]:
        """Another version of datatrove may answer differently."""
        return {**super().identity(), "datatrove": version("datatrove")}

    def measures(self) -> Columns:
        return {"kept": pl.Boolean(), "detail": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        made = _made(self.filter, self._spelt())
        texts = frame.select(text=rows.text(self.on))["text"]
        found = [_verdict(made, text) for text in texts]
        return pl.DataFrame(found, schema=self.measures(), orient="row")

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [("rejected", ~pl.col("kept"))]

    def _spelt(self) -> str:
        return json.dumps(self.arguments, sort_keys=True)


def _filters() -> dict[str, type[Any]]:
    """Every filter that datatrove has, by its name."""
    from datatrove.pipeline import filters
    from datatrove.pipeline.filters.base_filter import BaseFilter

    return {
        name: cls
        for name, cls in sorted(vars(filters).items())
        if inspect.isclass(cls) and issubclass(cls, BaseFilter) and cls is not BaseFilter
    }


@lru_cache(maxsize=8)
def _made(name: str, arguments: str) -> Any:
    """One of datatrove's filters, once per process: some load a tokenizer."""
    known = _filters()
    if name not in known:
        raise InputError(f"datatrove has no filter {name!r}{did_you_mean(name, known)}")
    return known[name](**json.loads(arguments))


def _verdict(made: Any, text: str) -> tuple[bool, str]:
    """Whether the filter keeps a text, and the reason it gives if not."""
    from datatrove.data import Document

    answer = made.filter(Document(text=text, id=""))
    kept, reason = answer if isinstance(answer, tuple) else (answer, None)
    return bool(kept), "" if kept else str(reason or "")
