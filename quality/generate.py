"""`generate`: a teacher answers the last instruction of every conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl

from hala_factory.generate.asking import Answerer
from hala_factory.quality.fields import LanguageCode
from hala_factory.quality.taught import Taught
from hala_factory.quality.teacher import Reply, Turns
from hala_factory.step import Name, register


@register
class Generate(Taught):
    """Ask a teacher for the answer to the last instruction of a row, draw several where wanted, and take the best.

    What stands behind the last user message gives way to the answer. An answer that is empty, refused, cut short,
    looping, its instruction again or in another language than `language` is drawn again as `retries` say; where none
    is good the row fails with that type and its last answer kept. With a `judge_model` the good ones are scored from
    1 to 5 and the best is taken. A row without a user message fails as `no_instruction`.

    It writes `keep` (the messages as they were), `teacher` (the model's name in the catalog), and the measures
    `samples` (answers drawn), `finished` (good ones), `score`, `finish`, `requests`, `failure` and `detail`.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Name a river in Egypt. → The Nile.",
        "dropped": "Name a river in Egypt. → I'm sorry, but I can't help with that.",
    }

    step: Literal["generate"] = "generate"
    language: LanguageCode | None = None
    """Language that the answer has to be in; null: any."""
    keep: Name | None = "messages_before"
    """Column for the messages as they were; null: they are not kept."""

    @property
    def kept(self) -> str | None:
        return self.keep

    async def reply(self, question: Turns, models: Mapping[str, Answerer]) -> Reply:
        return await self.teacher(models, self.language).answer(question)

    def apply(self, frame: pl.DataFrame, replies: Mapping[Turns, Reply], called: Mapping[str, str]) -> pl.DataFrame:
        """The rows with their answers. Raises KeyError for an instruction that nobody answered."""
        return self.answered(frame, {turns: (turns, reply) for turns, reply in replies.items()}, called)
