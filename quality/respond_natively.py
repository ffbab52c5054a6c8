"""`respond_natively`: the instruction is translated, and the answer written in the language itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field, model_validator

from hala_factory.generate.asking import Answerer
from hala_factory.quality.fields import LanguageCode, require_two
from hala_factory.quality.ladder import Ladder
from hala_factory.quality.prompts import TRANSLATE, filled, named, require
from hala_factory.quality.taught import Taught
from hala_factory.quality.teacher import Reply, Turns
from hala_factory.quality.together import together
from hala_factory.step import Name, register


@dataclass(frozen=True)
class Native:
    """What became of one conversation: its turns translated as far as that went, and the answer to them."""

    turns: Turns
    reply: Reply


@register
class RespondNatively(Taught):
    """Translate the instructions of a row with one model, and have another answer them in that language itself.

    An answer that is translated keeps the turns of the original language and its mistakes; one that is written in
    the language does not. All messages up to the last of the user's are translated as `translate` does it, with the
    same checks and ways of asking again; the teacher (`model`) then answers, and its answer is checked and drawn
    again as in `generate`. A row fails with the type of what went wrong; where the translation did, the teacher is
    not asked.

    The original, with its answer, stays in `keep`. Its answer is not the source of the new one: pair filters behind
    this step compare `messages_en.user` with `messages.user`. It writes `translator` and `teacher` (names in the
    catalog) and the measures of `generate`.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    example: ClassVar[dict[str, str]] = {
        "kept": "Name a river in Egypt. → اذكر نهرًا في مصر. → نهر النيل.",
        "dropped": "Name a river in Egypt. → اذكر نهرًا في مصر. → The Nile flows through Egypt to the sea.",
    }
    models: ClassVar[tuple[str, ...]] = ("translator", "model", "judge_model")
    measured_by: ClassVar[tuple[str, ...]] = ("max_tokens", "max_chars")
    credits: ClassVar[dict[str, str]] = {"translator": "translator", "teacher": "model"}

    step: Literal["respond_natively"] = "respond_natively"
    translator: str
    """Name of the model that translates the instructions."""
    to: LanguageCode = "ar"
    """Language to translate into and to answer in."""
    source_language: LanguageCode = Field("en", alias="from")
    """Language of the messages."""
    prompt: str = TRANSLATE
    """What the translator is asked; `{text}` stands for the text, `{language}` for the name of the language."""
    max_chars: int = Field(1500, ge=100)
    """Longest segment that is translated at once, in characters."""
    protect: bool = True
    """Whether code, formulas, URLs and the like are kept from the translator and must come back unchanged."""
    keep: Name | None = None
    """Column for the originals; `messages_en` (with the code of `from`) if not given."""

    @model_validator(mode="after")
    def _coherent(self) -> RespondNatively:
        require("prompt", self.prompt, "text")
        require_two(self.source_language, self.to)
        return self

    @property
    def kept(self) -> str:
        """The column that keeps the messages as they were."""
        return self.keep or f"messages_{self.source_language}"

    def translates(self) -> tuple[str, str]:
        return self.source_language, self.to

    async def reply(self, question: Turns, models: Mapping[str, Answerer]) -> Native:
        """The turns translated, each by itself, and the teacher's answer to them."""
        ladder = Ladder(
            models["translator"],
            self.to,
            filled(self.prompt, language=named(self.to)),
            max_chars=self.max_chars,
            protect=self.protect,
            max_tokens=self.max_tokens,
        )
        done = await together(ladder.translate(content) for _, content in question)
        turns = tuple((role, each.text) for (role, _), each in zip(question, done, strict=True))
        requests = sum(each.requests for each in done)
        for number, ((role, _), each) in enumerate(zip(question, done, strict=True), 1):
            if each.failure is not None:
                detail = f"translating message {number} ({role}): {each.detail}"
                return Native(turns, Reply("", each.failure, detail, requests=requests))
        said = await self.teacher(models, self.to).answer(turns)
        return Native(turns, replace(said, requests=said.requests + requests))

    def apply(self, frame: pl.DataFrame, replies: Mapping[Turns, Native], called: Mapping[str, str]) -> pl.DataFrame:
        """The rows translated and answered. Raises KeyError for a conversation that nobody answered."""
        said = {turns: (native.turns, native.reply) for turns, native in replies.items()}
        return self.answered(frame, said, called)
