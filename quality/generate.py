"""`generate`: a teacher answers the last instruction of every conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows
from hala_factory.generate.asking import Answerer
from hala_factory.quality.fields import LanguageCode, taken
from hala_factory.quality.teacher import Reply, Taught, Turns, conversation, instruction, measured
from hala_factory.step import Columns, Name, register

NO_INSTRUCTION = Reply("", "no_instruction", "no user message with a text is the last one before an answer")


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

    def paths(self) -> list[str]:
        return ["messages"]

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """Rows without messages, and a column to keep them in that is taken."""
        if "messages" not in rows.text_paths(columns):
            return [("step", "the rows have no 'messages' here; instructions are answered, not pairs")]
        return taken(self.keep, columns)

    def writes(self, columns: Columns) -> Columns:
        """The messages, the kept ones, `teacher`, and the measures."""
        kept: Columns = {self.keep: rows.MESSAGES} if self.keep else {}
        return {"messages": rows.MESSAGES, **kept, "teacher": pl.String(), **super().writes(columns)}

    def questions(self, frame: pl.DataFrame) -> list[Turns]:
        """The distinct conversations up to their last instruction, in order of first appearance."""
        found = (instruction(messages) for messages in frame["messages"].to_list())
        return list(dict.fromkeys(turns for turns in found if turns is not None))

    async def reply(self, question: Turns, models: Mapping[str, Answerer]) -> Reply:
        return await self.teacher(models, self.language).answer(question)

    def apply(self, frame: pl.DataFrame, replies: Mapping[Turns, Reply], called: Mapping[str, str]) -> pl.DataFrame:
        """The rows with their answers. Raises KeyError for an instruction that nobody answered."""
        before = frame["messages"].to_list()
        asked = [instruction(messages) for messages in before]
        said = [NO_INSTRUCTION if turns is None else replies[turns] for turns in asked]
        after = [
            old if turns is None else conversation(turns, reply.text)
            for old, turns, reply in zip(before, asked, said, strict=True)
        ]
        return frame.with_columns(
            *([frame["messages"].alias(self.keep)] if self.keep else []),
            pl.Series("messages", after, dtype=rows.MESSAGES),
            pl.lit(called["model"]).alias("teacher"),
            *measured(self.label, said, self.measures()),
        )
