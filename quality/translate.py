"""`translate`: a model writes the texts of a row in another language, and every answer is checked.

What stands here is the configuration and the rows: which texts are asked for, and where their translations go.
How a text is asked for is `ladder`'s, what is wrong with an answer is `failures`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from hala_factory import rows
from hala_factory.errors import did_you_mean
from hala_factory.generate.asking import Answerer
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
from hala_factory.quality.scripts import SCRIPTS
from hala_factory.quality.self_referential import Policy, rejoined, routed
from hala_factory.step import Ask, Columns, Name, register
from hala_factory.validation import FieldError

FieldPath = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.(\*|[a-z][a-z0-9_-]*))?(\.content)?$")]
NATIVE = "native"
"""The column that says which rows were not translated, as they are in the language already."""
PROMPT = filled(TRANSLATE, language=named("ar"))


@register
class Translate(Ask):
    """Translates the texts of a row with a model, keeps the originals beside them, and fails what it cannot do well.

    Long texts are cut into segments; code blocks and display formulas are not sent, other code, formulas,
    URLs, placeholders and tags travel as marks. An answer that is refused, echoed, cut, looping, leaking its
    instruction, in the wrong language or of another structure is asked for again as `retries` say; what is
    still wrong then makes a failed row, with its text kept. Texts without a letter outside code and formulas
    pass as they are.

    Some tasks are about their own words: to translate them, to count or correct them, to find a rhyme. They are
    known by the English instruction of a conversation, and `self_referential` says what becomes of them.

    It writes `keep` (the column as it was; null for `native` rows), `translator` (the name of the model in the
    catalog, of both models where the fallback model wrote a part of the row, null where nobody translated), and the
    measures `requests` and `repairs` (of all texts of the row), `task` (the kind of its first self-referential task,
    else empty), `routed` (what the policy did with it: `keep_english` or `instruction_only`, else empty), `failure`
    and `detail`.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    revision: ClassVar[int] = 3
    models: ClassVar[tuple[str, ...]] = ("model", "fallback_model")
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
    fallback_model: str | None = None
    """Name of a stronger model, asked for what the first one cannot do, after all its `retries`."""
    prompt: str = PROMPT
    """What the model is asked; `{text}` stands for the text."""
    system: SystemMessage = None
    max_chars: SegmentChars = 1500
    protect: Protect = True
    temperature: FirstTemperature = 0
    max_tokens: RequestTokens = 1024
    retries: Retries = RETRIES
    """How to ask again after each failure, in order; what is written here replaces the whole table."""
    self_referential: Policy = "translate"
    """What becomes of conversations with a task about its own words: `translate` them as any other, `skip` (the row
    fails, reason `self_referential`), `keep_english` (the row stays as it is), `instruction_only` (of such a task the
    instruction is translated; what is quoted, what follows the instruction, and the answer stay)."""
    native: Name | None = None
    """Name of a `language` step before it: rows that it found to be in the language of `to` are not asked about. They
    pass as they are, with `native` true, and without an original and a translator."""
    keep: Name | None = None
    """Column for the originals; `messages_en` (the column and its language) if not given."""

    @model_validator(mode="after")
    def _coherent(self) -> Translate:
        require("prompt", self.prompt, "text")
        require_two(self.source_language, self.to)
        if self.prompt == PROMPT and SCRIPTS.get(self.to) != "Arabic":
            raise FieldError("to", f"'prompt' asks for Arabic unless you write it; write one for {self.to!r}")
        if len({_column(f) for f in self.fields}) > 1:
            raise FieldError("fields", "'fields' must be texts of one column")
        if not self._instructs and len(self.fields) > 1:
            raise FieldError("fields", "'fields' names one text of a pair")
        if self.native is not None and not self._instructs:
            raise FieldError("native", "'native' is known of conversations; drop the pairs that are not")
        if self.self_referential != "translate" and not self._routes:
            known = "conversations in English ('messages', from: en)"
            raise FieldError("self_referential", f"'self_referential' is known of {known}; leave it out")
        if self.fallback_model == self.model:
            raise FieldError("fallback_model", f"'model' and 'fallback_model' are both {self.model!r}")
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
    def _routes(self) -> bool:
        """Whether self-referential tasks can be told."""
        return self._instructs and self.source_language == "en"

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
        native: Columns = {} if self.native is None else {NATIVE: pl.Boolean()}
        if isinstance(before, pl.Struct):
            after = pl.Struct({**{f.name: f.dtype for f in before.fields}, self.to: pl.String})
        return {
            self.column: after,
            self.kept: before,
            "translator": pl.String(),
            **native,
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
        if self.native is not None and f"{self.native}.label" not in columns:
            labels = [c.removesuffix(".label") for c in columns if c.endswith(".label")]
            hint = did_you_mean(self.native, labels) or "; there is none"
            found.append(("native", f"no step {self.native!r} before this one measures languages{hint}"))
        if self.native is not None and NATIVE in columns:
            found.append(("native", f"the rows have a column {NATIVE!r} already; only one step may say it"))
        return found + taken(self.kept, columns)

    def measures(self) -> Columns:
        return {"requests": pl.Int64(), "repairs": pl.Int64(), "task": pl.String(), "routed": pl.String()}

    def translates(self) -> tuple[str, str]:
        return self.source_language, self.to

    def questions(self, frame: pl.DataFrame) -> list[str]:
        """The distinct texts to translate, in order of first appearance."""
        found = self._long(frame).get_column("text").drop_nulls().unique(maintain_order=True)
        return [text for text in found if translatable(text, protect=self.protect)]

    async def reply(self, question: str, models: Mapping[str, Answerer]) -> Translation:
        """One text, asked for as the fields say; one with nothing to translate passes as it is."""
        ladder = Ladder(
            models["model"],
            self.to,
            self.prompt,
            max_chars=self.max_chars,
            protect=self.protect,
            max_tokens=self.max_tokens,
            system=self.system,
            temperature=self.temperature,
            retries=self.retries,
            fallback=models.get("fallback_model"),
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
            if text not in replies and translatable(text, protect=self.protect):
                raise ValueError(f"no translation was made of {text[:60]!r}")
        schema: dict[str, Any] = dict.fromkeys(("text", "new", "failure", "detail"), pl.String)
        schema |= {"requests": pl.Int64, "repairs": pl.Int64, "fallback": pl.Boolean}
        answers = pl.DataFrame(
            [(text, t.text, t.failure, t.detail, t.requests, t.repairs, t.fallback) for text, t in replies.items()],
            schema=schema,
            orient="row",
        )
        long = rejoined(long.join(answers, on="text", how="left", maintain_order="left"), self.self_referential)
        place = pl.concat_str(pl.lit("message "), pl.col("number"), pl.lit(" ("), pl.col("role"), pl.lit("): "))
        detail = pl.when(pl.col("failure").is_not_null()).then(
            pl.concat_str(place if self._instructs else pl.lit(""), pl.col("detail"))
        )
        by_row = (
            long.with_columns(detail.alias("detail"))
            .group_by("row", maintain_order=True)
            .agg(
                pl.col("requests", "repairs").sum(),
                pl.col("failure", "detail").drop_nulls().first(),
                pl.col("fallback").any(),
                pl.col("row_task").first(),
                pl.len().alias("texts"),
                self._rebuilt().alias("new"),
            )
        )
        index = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
        matched = frame.select(index).join(by_row, on="row", how="left", maintain_order="left")
        matched = matched.with_columns(pl.col("row_task").fill_null(""), pl.col("requests", "repairs").fill_null(0))
        old, new = frame.get_column(self.column), matched.get_column("new")
        native = frame.with_columns(self._is_native(frame).alias(NATIVE)).get_column(NATIVE)
        told = [] if self.native is None else [native]
        return frame.with_columns(
            pl.when(~native).then(old).alias(self.kept),
            *told,
            new.zip_with(matched.get_column("texts").is_not_null(), old.cast(new.dtype)).alias(self.column)
            if self._instructs
            else self._paired(frame, new),
            pl.when(~native).then(matched.select(self._translator(called)).to_series()).alias("translator"),
            *(matched.get_column(m).alias(f"{self.label}.{m}") for m in ("requests", "repairs", "failure", "detail")),
            matched.get_column("row_task").alias(f"{self.label}.task"),
            matched.select(self._routed()).to_series().alias(f"{self.label}.routed"),
        )

    def _routed(self) -> pl.Expr:
        """What the policy did with a row that is here."""
        policy = self.self_referential if self.self_referential in ("keep_english", "instruction_only") else ""
        return pl.when(pl.col("row_task") != "").then(pl.lit(policy)).otherwise(pl.lit(""))

    def _translator(self, called: Mapping[str, str]) -> pl.Expr:
        both = ", ".join(dict.fromkeys(called.values()))
        return (
            pl.when(self._routed() == "keep_english")
            .then(pl.lit(None, pl.String))
            .when(pl.col("fallback").fill_null(False))
            .then(pl.lit(both))
            .otherwise(pl.lit(called["model"]))
        )

    def _is_native(self, frame: pl.DataFrame) -> pl.Expr:
        """Whether rows were found to be in the language of `to`; a plan asks about rows that were not measured."""
        if self.native is None or f"{self.native}.label" not in frame.columns:
            return pl.lit(False)
        return (pl.col(f"{self.native}.label") == self.to).fill_null(False)

    def _long(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line per message or pair.

        `row`, `number` (from 1), `role`, `whole`, `said` (its text), `task` and `row_task`, and `text`: what is to be
        translated of it, null where nothing is.
        """
        index = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
        rows_ = frame.select(index, pl.col(self.column).alias("whole"), native=self._is_native(frame))
        none = pl.lit(None, pl.String)
        if not self._instructs:
            text = pl.col("whole").struct.field(self._parts[0])
            said = rows_.select("row", "whole", said=text, text=text, number=pl.lit(1), role=pl.lit(""))
            return said.with_columns(task=none, row_task=none)
        message = pl.col("whole").struct
        role = message.field("role").fill_null("")
        wanted = pl.lit(True) if {"*", ""} & set(self._parts) else role.is_in(self._parts)
        said = (
            rows_.filter(pl.col("whole").list.len() > 0)
            .explode("whole")
            .select(
                "row",
                "whole",
                pl.int_range(1, pl.len() + 1).over("row").alias("number"),
                role.alias("role"),
                message.field("content").alias("said"),
                pl.when(wanted & ~pl.col("native")).then(message.field("content")).alias("text"),
            )
        )
        return routed(said, self.self_referential) if self._routes else said.with_columns(task=none, row_task=none)

    def _rebuilt(self) -> pl.Expr:
        if not self._instructs:
            return pl.coalesce("new", "said").first()
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
