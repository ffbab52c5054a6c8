"""Language context: which language a row is in, judged together with the rows around it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import lid, rows
from hala_factory.step import Barrier, Columns, Share, TextPath, register

_UNIT = 10_000
"""Probabilities are whole numbers here: a moving sum of fractions would depend on where it began."""
_LEAST = 0.001
"""A row's own word counts for no more than that, either way, so that a whole file outweighs it."""
_EXPECTED = 0.8
"""What a row alone is held for before it is looked at: that likely in a language to keep. Neighbours know better, so
this is taken out of what it says by itself, and put to theirs as one row more, of which all leave a doubt."""
# Tried with 0.5 to 0.9 and half a row to two on films in eight languages, whole, half English and strewn with lines of
# the other side: with 0.5 and half a row 1.0 % of foreign lines are missed and 0.3 % of English ones fall, with these
# 0.6 % and 0.5 %. Of 15,373 English sentences in a row (Tatoeba, TICO-19, NTREX-128) 5 fall.


@register
class LanguageContext(Barrier):
    """Drop rows that are not in one of the languages to `keep`, judged together with their neighbours in the file.

    `Okay.`, a name or `Stop!` may be English or Danish; in a film whose other lines are Danish it is Danish. The
    log-odds that a row is in a language to keep, as `language` measures it, and those of its neighbours (the share
    of them that is) are added up, so one line of another language in an English file falls as well. It has to see
    the whole file: put it where `language` would stand, not after it, and use it for files whose rows follow one
    another, such as subtitles, pages and documents. Of 1,338 Danish lines in the English column of films it found
    all (`language` 98.4 %), and dropped 6 of 981 English ones, 4 of them French.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Okay. (among lines of English)",
        "dropped": "Okay. (among lines of Danish)",
    }

    revision: ClassVar[int] = 2

    step: Literal["language_context"] = "language_context"
    on: TextPath = "messages"
    keep: Annotated[list[str], Field(min_length=1)]
    """Codes of the languages to keep, e.g. `[en]`."""
    neighbours: Annotated[int, Field(ge=1, le=100)] = 10
    """How many rows before and after a row are looked at."""  # of 5, 10 and 20 the best on film subtitles
    min_score: Share = 0.5
    """Smallest probability, with the neighbours', that a row is in a language to keep."""
    model: str | None = None
    """Path of another fastText model with `__label__` labels, which has the last word."""
    head_chars: Annotated[int, Field(ge=50)] = 150
    """How many characters of a text decide."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        return super().faults(columns) + lid.faults(self.model, self.keep)

    def contents(self) -> dict[str, Any]:
        """The model."""
        return {"model": lid.model(self.model).digest}

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = frame.select(text=rows.text(self.on)).to_series()
        model = lid.model(self.model)
        found = lid.identify(lid.heads(whole, self.head_chars), model)
        chance = (lid.chance(model.meant(self.keep)) * _UNIT).round().cast(pl.Int32)
        origin = pl.col("origin").struct
        place = frame.select(file=origin.field("file"), position=origin.field("position"))
        return found.select("label", chance=chance).hstack(place)

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        def around(value: pl.Expr) -> pl.Expr:
            window = value.rolling_sum(2 * self.neighbours + 1, min_samples=1, center=True) - value
            return window.over("source", "file", order_by=["position", "shard", "row"])

        chance = pl.col("chance").cast(pl.Int64)
        # A neighbour that may well be either has no say: of 90 % its weight is 0.17, of 80 % 0.02.
        sure = (2 * chance - _UNIT) ** 2 // _UNIT
        weight = (sure**2 // _UNIT) ** 2 // _UNIT
        seen = index.with_columns(heard=around(weight) / _UNIT, kept=around(weight * chance // _UNIT) / _UNIT)
        context = (pl.col("kept") + _EXPECTED) / (pl.col("heard") + 1)
        own = (chance / _UNIT).clip(_LEAST, 1 - _LEAST)
        both, neither = own * context, (1 - own) * (1 - context) * _EXPECTED / (1 - _EXPECTED)
        told = seen.with_columns(own=own, context=context).filter(both / (both + neither) < self.min_score)
        percent = [(100 * pl.col(c)).round().cast(pl.Int32).cast(pl.String) for c in ("own", "context")]
        words = ["label", pl.lit(", to keep by itself "), percent[0], pl.lit(" %, by its neighbours "), percent[1]]
        detail = pl.concat_str([*words, pl.lit(" %")])
        return told.select("shard", "row", detail=detail, reason=pl.lit("language"))
