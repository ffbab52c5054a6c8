"""`translate`: a model writes the texts of a row in another language, and every answer is checked.

What stands here is the configuration and the rows: which texts are asked for, and where their translations go.
How a text is asked for is `ladder`'s, what is wrong with an answer is `failures`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from hala_factory import rows
from hala_factory.errors import did_you_mean
from hala_factory.generate.asking import Answerer
from hala_factory.quality.failures import Failure, Judge
from hala_factory.quality.ladder import RETRIES, Ladder, Rung, Translation
from hala_factory.quality.scripts import LETTER, SCRIPTS
from hala_factory.step import Ask, Columns, Name, register
from hala_factory.structure import prose
from hala_factory.validation import FieldError

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
FieldPath = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.(\*|[a-z][a-z0-9_-]*))?(\.content)?$")]
PROMPT = "Translate everything that follows into Arabic:\n\n{text}"


@register
class Translate(Ask):
    """Translates the texts of a row with a model, keeps the originals beside them, and fails what it cannot do well.

    Long texts are cut into segments; code blocks and display formulas are not sent, other code, formulas,
    URLs, placeholders and tags travel as marks. An answer that is refused, echoed, cut, looping, leaking its
    instruction, in the wrong language or of another structure is asked for again as `retries` say; what is
    still wrong then makes a failed row, with its text kept. Texts without a letter outside code and formulas
    pass as they are.

    It writes `keep` (the column as it was), `translator` (the model's name in the catalog), and the measures
    `requests` (of all texts of the row), `failure` and `detail`.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    revision: ClassVar[int] = 2
    measured_by: ClassVar[tuple[str, ...]] = ("max_chars", "max_tokens")

    step: Literal["translate"] = "translate"
    to: LanguageCode
    """Language to translate into."""
    source_language: LanguageCode = Field("en", alias="from")
    """Language of the texts."""
    fields: list[FieldPath] = Field(["messages.*.content"], min_length=1)
    """Which texts: `messages.*.content`, `messages.user.content` (one role), or `translation.en` of pair rows,
    whose translation is written beside it under the code of `to`."""
    model: str
    """Name of the model in the catalog."""
    prompt: str = PROMPT
    """What the model is asked; `{text}` stands for the text."""
    system: str | None = None
    """A system message before it."""
    max_chars: int = Field(1500, ge=100)
    """Longest segment, in characters."""
    protect: bool = True
    """Whether code, formulas, URLs and the like are kept from the model and must come back unchanged."""
    temperature: float = Field(0, ge=0, le=2)
    """Of the first attempt."""
    max_tokens: int = Field(1024, ge=1)
    """Longest answer to one request."""
    retries: dict[Failure, tuple[Rung, ...]] = RETRIES
    """How to ask again after each failure, in order; what is written here replaces the whole table."""
    keep: Name | None = None
    """Column for the originals; `messages_en` (the column and its language) if not given."""

    @model_validator(mode="after")
    def _coherent(self) -> Translate:
        if self.prompt.count("{text}") != 1:
            found = self.prompt.count("{text}")
            raise FieldError("prompt", f"prompt: expected {{text}} once, found it {found} times")
        if self.to == self.source_language:
            raise FieldError("to", f"'to' and 'from' are both {self.to!r}")
        if self.prompt == PROMPT and SCRIPTS.get(self.to) != "Arabic":
            raise FieldError("to", f"'prompt' asks for Arabic unless you write it; write one for {self.to!r}")
        if len({_column(f) for f in self.fields}) > 1:
            raise FieldError("fields", "'fields' must be texts of one column")
        if not self._instructs and len(self.fields) > 1:
            raise FieldError("fields", "'fields' names one text of a pair")
        return self

    @property
    def column(self) -> str:
        """The column the texts stand in."""
        return _column(self.fields[0])

    @property
    def kept(self) -> str:
        """The column that keeps it as it was."""
        return self.keep or f"{self.column}_{self.source_language}"

    @property
    def _instructs(self) -> bool:
        return self.column.startswith("messages")

    @property
    def _parts(self) -> list[str]:
        return [_part(f) for f in self.fields]

    def paths(self) -> list[str]:
        """The text paths it reads, `messages` standing for every role."""
        return [self.column if part in ("*", "") else f"{self.column}.{part}" for part in self._parts]

    def writes(self, columns: Columns) -> Columns:
        """The translated column, the kept one, `translator`, and the measures."""
        before = columns.get(self.column, rows.MESSAGES)
        after = before
        if isinstance(before, pl.Struct):
            after = pl.Struct({**{f.name: f.dtype for f in before.fields}, self.to: pl.String})
        return {
            self.column: after,
            self.kept: before,
            "translator": pl.String(),
            **super().writes(columns),
        }

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """Fields the rows do not have, and a column to keep the originals in that is taken."""
        known = rows.text_paths(columns)
        found = [
            ("fields", f"the rows have no text {path!r} here{did_you_mean(path, known)}")
            for path in self.paths()
            if path not in known
        ]
        if self.kept in columns:
            found.append(("keep", f"the rows have a column {self.kept!r} already; name another one"))
        return found

    def measures(self) -> Columns:
        return {"requests": pl.Int64()}

    def questions(self, frame: pl.DataFrame) -> list[str]:
        """The distinct texts to translate, in order of first appearance."""
        found = self._long(frame).get_column("text").drop_nulls().unique(maintain_order=True)
        return [text for text in found if self._worth_sending(text)]

    def _worth_sending(self, text: str) -> bool:
        return bool(LETTER.search(text)) and (not self.protect or bool(LETTER.search(prose(text))))

    async def reply(self, question: str, models: Mapping[str, Answerer]) -> Translation:
        """One text, asked for as the fields say; one with nothing to translate passes as it is."""
        if not self._worth_sending(question):
            return Translation(question)
        judge = Judge(self.to, instruction=self.prompt.replace("{text}", "\n"), structure=self.protect)
        ladder = Ladder(
            models["model"],
            prompt=self.prompt,
            system=self.system,
            max_chars=self.max_chars,
            protect=self.protect,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            retries=self.retries,
            judge=judge,
        )
        return await ladder.translate(question)

    def apply(
        self, frame: pl.DataFrame, replies: Mapping[str, Translation], called: Mapping[str, str]
    ) -> pl.DataFrame:
        """The rows with their texts translated as the replies say.

        Raises ValueError when a text that is to be translated has none.
        """
        long = self._long(frame)
        for text in long.get_column("text").drop_nulls().unique(maintain_order=True):
            if text not in replies and self._worth_sending(text):
                raise ValueError(f"no translation was made of {text[:60]!r}")
        answers = pl.DataFrame(
            [(text, t.text, t.failure, t.detail, t.requests) for text, t in replies.items()],
            schema={
                "text": pl.String,
                "new": pl.String,
                "failure": pl.String,
                "detail": pl.String,
                "requests": pl.Int64,
            },
            orient="row",
        )
        place = pl.concat_str(pl.lit("message "), pl.col("number"), pl.lit(" ("), pl.col("role"), pl.lit("): "))
        detail = pl.when(pl.col("failure").is_not_null()).then(
            pl.concat_str(place if self._instructs else pl.lit(""), pl.col("detail"))
        )
        long = long.join(answers, on="text", how="left", maintain_order="left").with_columns(detail.alias("detail"))
        by_row = long.group_by("row", maintain_order=True).agg(
            pl.col("requests").sum(),
            pl.col("failure", "detail").drop_nulls().first(),
            self._rebuilt().alias("new"),
        )
        index = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
        matched = frame.select(index).join(by_row, on="row", how="left", maintain_order="left")
        old, new = frame.get_column(self.column), matched.get_column("new")
        return frame.with_columns(
            old.alias(self.kept),
            new.zip_with(matched.get_column("requests").is_not_null(), old.cast(new.dtype)).alias(self.column)
            if self._instructs
            else self._paired(frame, new),
            pl.lit(called["model"]).alias("translator"),
            matched.get_column("requests").fill_null(0).alias(f"{self.label}.requests"),
            matched.get_column("failure").alias(f"{self.label}.failure"),
            matched.get_column("detail").alias(f"{self.label}.detail"),
        )

    def _long(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line per message or pair: `row`, `number` (from 1), `role`, `whole`, and `text` where it is wanted."""
        rows_ = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), pl.col(self.column).alias("whole"))
        if not self._instructs:
            text = pl.col("whole").struct.field(self._parts[0])
            return rows_.select("row", "whole", text.alias("text"), number=pl.lit(1), role=pl.lit(""))
        message = pl.col("whole").struct
        role = message.field("role").fill_null("")
        wanted = pl.lit(True) if {"*", ""} & set(self._parts) else role.is_in(self._parts)
        return (
            rows_.filter(pl.col("whole").list.len() > 0)
            .explode("whole")
            .select(
                "row",
                "whole",
                pl.int_range(1, pl.len() + 1).over("row").alias("number"),
                role.alias("role"),
                pl.when(wanted).then(message.field("content")).alias("text"),
            )
        )

    def _rebuilt(self) -> pl.Expr:
        if not self._instructs:
            return pl.coalesce("new", "text").first()
        content = pl.coalesce("new", pl.col("whole").struct.field("content"))
        return pl.col("whole").struct.with_fields(content.alias("content"))

    def _paired(self, frame: pl.DataFrame, new: pl.Series) -> pl.Series:
        """The pairs, with the translation under the code of `to`."""
        struct = frame.get_column(self.column).struct.unnest().with_columns(new.alias(self.to))
        return struct.to_struct(self.column)


def _column(field: str) -> str:
    return field.partition(".")[0]


def _part(field: str) -> str:
    return field.removesuffix(".content").partition(".")[2]
