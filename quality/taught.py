"""What steps share in which a teacher answers conversations: their fields, and the way of the rows through them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, model_validator

from hala_factory import rows
from hala_factory.generate.asking import Answerer
from hala_factory.quality.fields import taken
from hala_factory.quality.prompts import require
from hala_factory.quality.teacher import JUDGE_PROMPT, RETRIES, Fault, Referee, Reply, Teacher, Turns
from hala_factory.step import Ask, Columns
from hala_factory.validation import FieldError

NO_INSTRUCTION = Reply("", "no_instruction", "no user message with a text is the last one before an answer")
"""What becomes of a row that asks nothing."""


class Taught(Ask):
    """What the steps have in common in which a teacher answers the last instruction of a row."""

    models: ClassVar[tuple[str, ...]] = ("model", "judge_model")
    measured_by: ClassVar[tuple[str, ...]] = ("max_tokens",)
    credits: ClassVar[dict[str, str]] = {"teacher": "model"}
    """Columns that say who wrote what in a row, each with the field that names the model."""

    model: str
    """Name of the teacher in the catalog."""
    system: str | None = None
    """A system message, for conversations that have none."""
    samples: int = Field(1, ge=1, le=64)
    """How many answers are drawn."""
    temperature: float = Field(0, ge=0, le=2)
    """Of the draws; what is drawn again because nothing was good is drawn at 0.3 where this is 0."""
    max_tokens: int = Field(2048, ge=1)
    """Longest answer."""
    seed: int = Field(1, ge=0)
    """Of the first draw; each further one has the next."""
    judge_model: str | None = None
    """Name of the model that scores the good answers from 1 to 5, of which the best is taken; null: none does."""
    judge_prompt: str = JUDGE_PROMPT
    """What it is asked; `{instruction}` and `{answer}` stand for the texts. The form of the answer is put behind."""
    judge_retries: int = Field(2, ge=0)
    """How often an answer of it that is no score is asked for again."""
    pick: Literal["first", "longest"] = "first"
    """Which good answer is taken where no model scores them; with `first` no more are drawn than are needed."""
    min_score: Annotated[float, Field(ge=1, le=5)] | None = None
    """Smallest score of the answer that is taken."""
    keep_refusals: bool = False
    """Whether a refusal is an answer like any other, as for instructions that ought to be refused."""
    retries: dict[Fault, int] = RETRIES
    """How many more answers are drawn after each fault, where none is good."""

    @model_validator(mode="after")
    def _drawable(self) -> Taught:
        require("judge_prompt", self.judge_prompt, "instruction", "answer")
        if self.samples > 1 and not self.temperature:
            raise FieldError("samples", "samples: at temperature 0 they would all be the same; give a 'temperature'")
        if self.min_score is not None and self.judge_model is None:
            raise FieldError("min_score", "'min_score' needs a 'judge_model'")
        return self

    @property
    @abstractmethod
    def kept(self) -> str | None:
        """The column that keeps the messages as they were, if any does."""

    def paths(self) -> list[str]:
        return ["messages"]

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """Rows without messages, and a column to keep them in that is taken."""
        if "messages" not in rows.text_paths(columns):
            return [("step", "the rows have no 'messages' here; instructions are answered, not pairs")]
        return taken(self.kept, columns)

    def writes(self, columns: Columns) -> Columns:
        """The messages, the kept ones, who wrote them, and the measures."""
        kept: Columns = {self.kept: rows.MESSAGES} if self.kept else {}
        credits: Columns = dict.fromkeys(self.credits, pl.String())
        return {"messages": rows.MESSAGES, **kept, **credits, **super().writes(columns)}

    def questions(self, frame: pl.DataFrame) -> list[Turns]:
        """The distinct conversations up to their last instruction, in order of first appearance."""
        return list(dict.fromkeys(turns for turns in _instructions(frame) if turns is not None))

    def answered(
        self, frame: pl.DataFrame, replies: Mapping[Turns, tuple[Turns, Reply]], called: Mapping[str, str]
    ) -> pl.DataFrame:
        """The rows with their answers; `replies` has per conversation the turns that are written, and the answer.

        Raises KeyError for an instruction that nobody answered.
        """
        said = [None if turns is None else replies[turns] for turns in _instructions(frame)]
        after = [
            old if new is None else conversation(new[0], new[1].text)
            for old, new in zip(frame["messages"].to_list(), said, strict=True)
        ]
        return frame.with_columns(
            *([frame["messages"].alias(self.kept)] if self.kept else []),
            pl.Series("messages", after, dtype=rows.MESSAGES),
            *(pl.lit(called[field]).alias(column) for column, field in self.credits.items()),
            *self._measured([NO_INSTRUCTION if new is None else new[1] for new in said]),
        )

    def measures(self) -> Columns:
        """How many answers were drawn and were good, the score and the end of the one taken, and all requests."""
        counts = dict.fromkeys(("samples", "finished"), pl.Int32())
        return {**counts, "score": pl.Int32(), "finish": pl.String(), "requests": pl.Int64()}

    def rules(self) -> list[tuple[str, pl.Expr]]:
        if self.min_score is None:
            return []
        return [("low_score", (pl.col("score") < self.min_score).fill_null(False))]

    def teacher(self, models: Mapping[str, Answerer], language: str | None) -> Teacher:
        """The teacher that the fields describe."""
        referee = None
        if self.judge_model is not None:
            referee = Referee(models["judge_model"], self.judge_prompt, max_tokens=64, retries=self.judge_retries)
        return Teacher(
            models["model"],
            system=self.system,
            samples=self.samples,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            longest=self.pick == "longest",
            retries=self.retries,
            language=language,
            keep_refusals=self.keep_refusals,
            referee=referee,
        )

    def _measured(self, replies: Sequence[Reply]) -> list[pl.Series]:
        """The columns of `writes` that are of replies, one line each; an answer that is taken has no detail."""
        types = {**self.measures(), "failure": pl.String(), "detail": pl.String()}
        return [
            pl.Series(f"{self.label}.{m}", [getattr(r, m) if r.failure or m != "detail" else None for r in replies], t)
            for m, t in types.items()
        ]


def instruction(messages: list[dict[str, Any]] | None) -> Turns | None:
    """The messages up to the last of the user's; None where there is none, or one before it has no text."""
    turns = [(m["role"], m["content"]) for m in messages or ()]
    while turns and turns[-1][0] != "user":
        turns.pop()
    if not turns or not all(role and isinstance(content, str) for role, content in turns):
        return None
    return tuple(turns) if turns[-1][1].strip() else None


def conversation(turns: Turns, answer: str) -> list[dict[str, str]]:
    """The messages of a row: `turns` and the answer of the assistant."""
    return [{"role": role, "content": content} for role, content in (*turns, ("assistant", answer))]


def _instructions(frame: pl.DataFrame) -> list[Turns | None]:
    return [instruction(messages) for messages in frame["messages"].to_list()]
