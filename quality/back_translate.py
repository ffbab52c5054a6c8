"""`back_translate`: a model translates a translation back, and what comes is compared with the source."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field, model_validator

from hala_factory import rows, text
from hala_factory.generate.asking import Answerer
from hala_factory.quality.failures import Finding, echoing, misspeaking
from hala_factory.quality.fields import (
    FirstTemperature,
    LanguageCode,
    Protect,
    RequestTokens,
    SegmentChars,
    SystemMessage,
    require_two,
    taken,
)
from hala_factory.quality.ladder import RETRIES, Ladder, Retries, Translation, translatable
from hala_factory.quality.prompts import TRANSLATE, filled, named, require
from hala_factory.step import Ask, Columns, Name, TextPath, register
from hala_factory.structure import prose

Chrf = Annotated[float, Field(ge=0, le=100)]


@register
class BackTranslate(Ask):
    """Translate each translation back with a model, and drop rows whose way there and back ends far from the source.

    The measure is chrF (character 6-grams, β 2, as sacreBLEU has it by default) of the back-translation against the
    source, from 0 to 100; a row has that of its worst message. It is low where either direction went wrong, so the
    model should be a good one, and another than the one that is measured. Prose is compared, without code and
    formulas; a message without a letter outside of them is not asked about, and a row of such has no chrF. A target
    that is its source again or in another language has nothing to translate back and fails as `echo` or
    `wrong_language`; an answer that is no translation fails as it does in `translate`, after the same `retries`.

    The bound finds another sentence, not a small mistake: of English sentences that have nothing to do with each
    other 99 % are below 25 (1,500 pairs of Tatoeba, 600 of NTREX-128), and so are 14 % of those by which two people
    translated one short Arabic sentence (114 pairs of Tatoeba, median 62).
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    example: ClassVar[dict[str, str]] = {
        "kept": "The bakery opens at seven. → يفتح المخبز في السابعة. → The bakery opens at seven.",
        "dropped": "The bakery opens at seven. → يغلق البنك في التاسعة. → The bank closes at nine.",
    }
    measured_by: ClassVar[tuple[str, ...]] = ("max_chars", "max_tokens")

    step: Literal["back_translate"] = "back_translate"
    model: str
    """Name of the model in the catalog."""
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    source_language: LanguageCode = Field("en", alias="from")
    """Language of the source, into which the target is translated back."""
    to: LanguageCode = "ar"
    """Language of the target."""
    prompt: str = TRANSLATE
    """What the model is asked; `{text}` stands for the text, `{language}` for the name of the source's language."""
    system: SystemMessage = None
    max_chars: SegmentChars = 1500
    protect: Protect = True
    temperature: FirstTemperature = 0
    max_tokens: RequestTokens = 1024
    retries: Retries = RETRIES
    """How to ask again after each failure, as in `translate`."""
    min_chrf: Chrf | None = 25
    """Smallest chrF."""
    keep: Name | None = None
    """Column for the back-translations: messages for messages, a text for a pair; null: they are not kept."""

    @model_validator(mode="after")
    def _coherent(self) -> BackTranslate:
        require("prompt", self.prompt, "text")
        require_two(self.source_language, self.to)
        return self

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """Texts that the rows do not have, and a column to keep the back-translations in that is taken."""
        return super().faults(columns) + taken(self.keep, columns)

    def writes(self, columns: Columns) -> Columns:
        """The back-translations where they are kept, and the measures."""
        kept: Columns = {self.keep: rows.MESSAGES if self._listed else pl.String()} if self.keep else {}
        return {**kept, **super().writes(columns)}

    def measures(self) -> Columns:
        return {"chrf": pl.Float32(), "requests": pl.Int64()}

    def rules(self) -> list[tuple[str, pl.Expr]]:
        if self.min_chrf is None:
            return []
        return [("low_chrf", (pl.col("chrf") < self.min_chrf).fill_null(False))]

    @property
    def _listed(self) -> bool:
        return self.target.startswith("messages")

    def translates(self) -> tuple[str, str]:
        return self.to, self.source_language

    def questions(self, frame: pl.DataFrame) -> list[str]:
        """The distinct targets to translate back, in order of first appearance."""
        pairs = rows.text_pairs(frame, self.source, self.target).unique(["source", "target"], maintain_order=True)
        asked = [target for _, source, target in pairs.iter_rows() if self._asked(source, target)]
        return list(dict.fromkeys(asked))

    def _asked(self, source: str, target: str) -> bool:
        return translatable(target, protect=self.protect) and self._missing(source, target) is None

    def _missing(self, source: str, target: str) -> Finding | None:
        """Why a target is no text of its language: what came back of it would be the source itself."""
        return echoing(source, target, self.to) or misspeaking(source, target, self.to)

    async def reply(self, question: str, models: Mapping[str, Answerer]) -> Translation:
        """One target, translated back as `translate` would."""
        ladder = Ladder(
            models["model"],
            self.source_language,
            filled(self.prompt, language=named(self.source_language)),
            max_chars=self.max_chars,
            protect=self.protect,
            max_tokens=self.max_tokens,
            system=self.system,
            temperature=self.temperature,
            retries=self.retries,
        )
        return await ladder.translate(question)

    def apply(
        self, frame: pl.DataFrame, replies: Mapping[str, Translation], called: Mapping[str, str]
    ) -> pl.DataFrame:
        """The rows with the chrF of their worst message. Raises KeyError for a target that nobody translated back."""
        pairs = rows.text_pairs(frame, self.source, self.target)
        number = pl.int_range(1, pl.len() + 1).over("row")
        said = [self._of_pair(source, target, replies) for _, source, target in pairs.iter_rows()]
        found = pl.DataFrame(
            said,
            schema={
                "back": pl.String,
                "chrf": pl.Float64,
                "requests": pl.Int64,
                "failure": pl.String,
                "detail": pl.String,
            },
            orient="row",
        )
        place = pl.format("message {}: ", "number") if self._listed else pl.lit("")
        detail = pl.when(pl.col("failure").is_not_null()).then(pl.concat_str(place, "detail"))
        by_row = (
            pairs.select("row", number.alias("number"))
            .hstack(found)
            .with_columns(detail=detail)
            .group_by("row", maintain_order=True)
            .agg(
                text.measured(pl.col("chrf").min()).alias("chrf"),
                pl.col("requests").sum(),
                pl.col("failure", "detail").drop_nulls().first(),
                pl.col("back"),
            )
        )
        index = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
        matched = frame.select(index).join(by_row, on="row", how="left", maintain_order="left")
        kept = [self._kept(frame, matched["back"])] if self.keep else []
        return frame.with_columns(
            *kept,
            matched["chrf"].alias(f"{self.label}.chrf"),
            matched["requests"].fill_null(0).alias(f"{self.label}.requests"),
            matched["failure"].alias(f"{self.label}.failure"),
            matched["detail"].alias(f"{self.label}.detail"),
        )

    def _of_pair(self, source: str, target: str, replies: Mapping[str, Translation]) -> tuple[Any, ...]:
        """The back-translation of one pair, chrF, requests, failure and detail."""
        if not translatable(target, protect=self.protect):
            # an empty translation of words is as far from them as can be
            return target, 0.0 if translatable(source, protect=self.protect) else None, 0, None, None
        if missing := self._missing(source, target):
            return None, None, 0, missing.failure, missing.detail
        back = replies[target]
        score = chrf(prose(back.text), prose(source)) if self.protect else chrf(back.text, source)
        return back.text, score, back.requests, back.failure, back.detail

    def _kept(self, frame: pl.DataFrame, back: pl.Series) -> pl.Series:
        """The back-translations in the shape of what they translate; null where there is none."""
        if not self._listed:
            return back.list.first().alias(str(self.keep))
        column, _, role = self.target.partition(".")
        built = []
        for messages, texts in zip(frame[column].to_list(), back.to_list(), strict=True):
            left = iter(texts or ())
            built.append(
                messages
                and [
                    {"role": m["role"], "content": next(left)} if not role or m["role"] == role else m
                    for m in messages
                ]
            )
        return pl.Series(str(self.keep), built, dtype=rows.MESSAGES)


def chrf(told: str, wanted: str) -> float:
    """chrF2 of one text against another, 0 to 100; white space does not count."""
    return float(_metric().sentence_score(told, [wanted]).score)


@functools.cache
def _metric() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
