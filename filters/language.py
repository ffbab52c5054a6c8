"""Language: which language a text is in, by its letters and by fastText."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import lid, rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register

_TOLD = 0.25
"""Likelihood of the likeliest language of a message that speaks for itself.

Code and lists of names have less: of 20,000 instruction rows 514 hold an English message labelled otherwise, 60 with
more; of Danish messages 2 % have less."""


@register
class Language(Filter):
    """Drop texts that are not in one of the languages to `keep`, or not surely enough.

    In Latin script English, and in Arabic script Arabic, is told from all the rest by runs of letters; where they
    leave a doubt, and for every other language, fastText's lid.176 is asked (176 languages, ISO 639-1 codes where
    there is one). Its dialects are not told from Standard Arabic: `ar` is all of them, and a code such as `arz` in
    `keep` means `ar`. Code, formulas, addresses, placeholders and the ends of links are left out, and the head of
    a text decides, in which a letter of Arabic counts as one and a half of others: Arabic is strewn with Latin
    names, English hardly with Arabic ones. A text without a letter outside them has the label `und` and the score
    1: list `und` in `keep` if bare formulas and numbers may stay.

    With `per: message` every message is judged, and the worst counts: `label` lists the languages of a row, and
    `score` is its lowest. Messages with fewer letters than `min_letters`, and those of no likely language (code,
    names), are passed over in a row that has others: `Paris` is no French answer. `foreign` is the share of
    `windows` in another language than the head.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "What is the best way to store fresh bread at home?",
        "dropped": "Quelle est la meilleure façon de conserver du pain frais à la maison ?",
    }

    revision: ClassVar[int] = 3
    measured_by: ClassVar[tuple[str, ...]] = ("min_letters",)
    judged_by: ClassVar[tuple[str, ...]] = ("keep",)

    step: Literal["language"] = "language"
    on: TextPath = "messages"
    keep: Annotated[list[str], Field(min_length=1)]
    """Codes of the languages to keep, e.g. `[ar]`."""
    min_score: Share | None = 0.65
    """Smallest probability of the language; 0.85 finds more of short lines in its neighbours, such as subtitles."""
    # FineWeb's threshold (arXiv 2406.17557, section 3). Of Danish lines among English subtitles 98.4 % are below it
    # or labelled otherwise, and 0.2 % of Tatoeba's English; with 0.85, 99.4 % and 0.5 %.
    max_foreign_share: Share | None = None
    """Largest share of a text's windows that are in another language than its head; needs `windows`."""
    per: Literal["row", "message"] = "row"
    """Whether a row's texts are judged together or one by one; where messages are code, lower `min_score` as well."""
    min_letters: Count = 20
    """Letters of a message that is judged by itself."""
    # shorter ones of the trial data are misjudged ten times as often (1.4 %, 0.14 %)
    windows: Annotated[int, Field(ge=1, le=64)] = 1
    """How many stretches of a text are looked at, evenly spread; 1 is its head only."""
    model: str | None = None
    """Path of another fastText model with `__label__` labels (lid.176.bin, GlotLID, …), which has the last word."""
    head_chars: Annotated[int, Field(ge=50)] = 150
    """How many characters decide."""
    # on 20,000 instruction rows as true as 500 (48 and 56 false drops), in half the time

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if self.max_foreign_share is not None and self.windows == 1:
            found.append(("windows", "'max_foreign_share' needs more than one window; 8 is a good number"))
        return found + lid.faults(self.model, self.keep)

    def contents(self) -> dict[str, Any]:
        """The model."""
        return {"model": lid.model(self.model).digest}

    def measures(self) -> Columns:
        return {"label": pl.String(), "score": pl.Float32(), "foreign": pl.Float32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = frame.select(text=rows.text(self.on)).to_series()
        found = self._identified(whole).select("label", "score")
        found = found.with_columns(foreign=self._foreign(whole, found["label"]))
        column, _, _ = self.on.partition(".")
        if self.per == "row" or not column.startswith("messages"):
            return found
        each = rows.text_pairs(frame, self.on, self.on)
        judged = each.select("row").hstack(self._identified(each["source"]))
        lines = judged.filter((pl.col("letters") >= self.min_letters) & (pl.col("score") >= _TOLD))
        labels = pl.col("label").unique().sort().implode().list.join(",")
        messages = text.per_row(lines, frame.height, {"labels": (labels, ""), "least": (pl.col("score").min(), 1.0)})
        # A row of which no message tells its language is judged as a whole.
        alone = pl.col("labels") == ""
        return pl.concat([found, messages], how="horizontal").select(
            label=pl.when(alone).then("label").otherwise("labels"),
            score=pl.when(alone).then("score").otherwise(pl.col("least").cast(pl.Float32)),
            foreign="foreign",
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        kept = lid.model(self.model).meant(self.keep)
        other = pl.col("label").str.split(",").list.eval(~pl.element().is_in(kept)).list.any()
        rules = [("language", other)]
        if self.min_score is not None:
            rules.append(("low_score", pl.col("score") < self.min_score))
        if self.max_foreign_share is not None:
            rules.append(("foreign_parts", pl.col("foreign") > self.max_foreign_share))
        return rules

    def _identified(self, texts: pl.Series) -> pl.DataFrame:
        return lid.identify(lid.heads(texts, self.head_chars), lid.model(self.model))

    def _foreign(self, texts: pl.Series, labels: pl.Series) -> pl.Series:
        """The share of a text's windows that are in another language than its head."""
        nothing = pl.Series("foreign", [0.0], dtype=pl.Float32).new_from_index(0, len(texts))
        if self.windows == 1:
            return nothing
        longer = texts.to_frame("text").with_row_index("row").with_columns(label=labels)
        longer = longer.filter(pl.col("text").str.len_chars() > self.head_chars)
        longer = longer.with_columns(text=lid.prose(longer["text"]))
        room = (pl.col("text").str.len_chars().cast(pl.Int64) - self.head_chars).clip(lower_bound=0)
        cut = pl.concat(
            [
                longer.select(
                    "row", "label", text=pl.col("text").str.slice(room * n // (self.windows - 1), self.head_chars)
                )
                for n in range(self.windows)
            ]
        )
        seen = lid.identify(cut["text"], lid.model(self.model)).rename({"label": "seen"})
        lines = cut.hstack(seen).filter(pl.col("letters") >= self.min_letters)
        share = ((pl.col("seen") != pl.col("label")) & (pl.col("score") >= _TOLD)).mean()
        return (
            text.per_row(lines, len(texts), {"foreign": (share, 0.0)})
            .select(text.measured(pl.col("foreign")))
            .to_series()
        )
