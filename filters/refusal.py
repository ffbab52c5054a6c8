"""Refusal: answers in which an assistant declines, or speaks of itself as a model."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import polars as pl

from hala_factory import phrases, text
from hala_factory.step import Columns, Filter, TextPath, register

Place = Literal["opening", "anywhere"]
_QUOTED = r'"[^"\n]*"|“[^”\n]*”|«[^»\n]*»'
_TELLING = rf"[^.!?؟\n]*(?:{phrases.REFUSAL_HINT})[^.!?؟\n]*"


@register
class Refusal(Filter):
    """Drop rows in which an answer is a refusal, or the boilerplate of a chat model speaking of itself.

    «عذرًا، لا أستطيع المساعدة في هذا الطلب» is a refusal, “As an AI language model, …” and what is said of a knowledge
    cut-off or of missing feelings are boilerplate; English and Arabic are known. An apology is none: what is declined
    must be a service (to help, to answer, to write). What stands between quotation marks is quoted, and does not
    count; characters in a dialogue decline things, too, so a refusal counts at the beginning of a text only, by
    default.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "I'm sorry that the parcel came late; the next one is on me.",
        "dropped": "I'm sorry, but I can't help with that.",
    }
    judged_by: ClassVar[tuple[str, ...]] = ("refusal", "boilerplate")

    step: Literal["refusal"] = "refusal"
    on: TextPath = "messages.assistant"
    """Which texts may not decline."""
    refusal: Place | None = "opening"
    """Where a refusal drops the row: in the first 300 characters of a text, or anywhere; null: nowhere."""
    boilerplate: Place | None = "anywhere"
    """Where boilerplate does."""

    def measures(self) -> Columns:
        return {"refuses": pl.String(), "disclaims": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        said = pl.col("said")
        lines = (
            phrases.turns(frame, self.on)
            .filter(said.str.to_lowercase().str.contains(phrases.REFUSAL_HINT))
            .with_columns(said.str.replace_all(_QUOTED, '""'))
            .with_columns(
                said.str.head(phrases.OPENING),
                telling=said.str.to_lowercase().str.extract_all(_TELLING).list.join("\n"),
            )
        )
        found = [_places(*texts) for texts in lines.select("before", "said", "telling").iter_rows()]
        places = pl.DataFrame(found, schema={"refuses": pl.String, "disclaims": pl.String}, orient="row")
        worst = {name: (pl.col(name).max(), "") for name in places.columns}  # "opening" > "later" > ""
        return text.per_row(pl.concat([lines.select("row"), places], how="horizontal"), frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        asked = (("refusal", "refuses", self.refusal), ("boilerplate", "disclaims", self.boilerplate))
        return [
            (reason, pl.col(measure) == "opening" if place == "opening" else pl.col(measure) != "")
            for reason, measure, place in asked
            if place is not None
        ]


def _places(before: str, opening: str, telling: str) -> tuple[str, str]:
    """Where a text refuses, and where it disclaims: `opening`, `later`, or nowhere."""
    opening, telling = phrases.normalised(opening), "\n" + phrases.normalised(telling)

    def place(patterns: tuple[str, ...]) -> str:
        if any(re.search(pattern, opening) for pattern in patterns):
            return "opening"
        return "later" if any(re.search(pattern, telling) for pattern in patterns) else ""

    disclaims = place(phrases.BOILERPLATE)
    if disclaims and re.search(phrases.PERSONA, phrases.normalised(before[-phrases.PROMPT :])):
        disclaims = ""
    return place(phrases.REFUSALS), disclaims
