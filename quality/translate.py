"""`translate`: a model writes the texts of a row in another language, and every answer is checked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hala_factory import rows
from hala_factory.errors import did_you_mean
from hala_factory.generate.answers import Answer, Unit
from hala_factory.quality.failures import SCRIPTS, Failure, Finding, Judge
from hala_factory.step import Ask, Columns, Name, register
from hala_factory.structure import Cut, mask, prose, segments, unmask
from hala_factory.validation import FieldError

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
FieldPath = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.(\*|[a-z][a-z0-9_-]*))?(\.content)?$")]
PROMPT = "Translate everything that follows into Arabic:\n\n{text}"
_LETTER = re.compile(r"[^\W\d_]")
_LINE_BREAKS = re.compile(r"\s*\n\s*")
_SHORTEST_PIECE = 40  # characters; nothing is cut smaller in the hope of a whole answer
T = TypeVar("T")


class Answerer(Protocol):
    """Whatever answers requests; `run` gives one that keeps every answer in the store."""

    @property
    def unit(self) -> Unit:
        """`segment`: pieces that fit a model; `text`: whole texts, the bare text being the prompt."""
        ...

    async def __call__(
        self,
        messages: list[dict[str, str]],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        text: str | None = None,
    ) -> Answer:
        """The answer to `messages`; `text` is the bare text in them, for engines that take no prompt."""
        ...


class Rung(BaseModel):
    """One way of asking again."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cut: Cut = "block"
    """What is sent at once: as much as fits, a line (markers and table pipes stay here), or prose between spans."""
    mask: bool = True
    """Whether code, formulas, URLs and the like inside prose are replaced by marks."""
    share: float = Field(1.0, gt=0, le=1)
    """The longest piece, as a share of the piece that failed."""
    temperature: float | None = Field(None, ge=0, le=2)
    """The step's own if not given."""
    seed: int | None = None
    """Sent with the request, so that it can be repeated."""


_WARM = (Rung(temperature=0.3, seed=1), Rung(temperature=0.3, seed=2, share=0.5))
RETRIES: dict[Failure, tuple[Rung, ...]] = {
    "broken_structure": (Rung(mask=False), Rung(cut="line"), Rung(cut="span")),
    "truncated": (Rung(share=0.5), Rung(share=0.25)),
    "engine_error": (Rung(share=0.5), Rung(share=0.25)),
    "loop": _WARM,
    "prompt_leak": _WARM,
    "refusal": (Rung(share=0.5), *_WARM[:1]),
    "answered": (Rung(cut="line"), *_WARM[:1]),
    "echo": (Rung(mask=False), Rung(cut="line"), *_WARM[:1]),
    "wrong_language": (Rung(mask=False), Rung(cut="line"), *_WARM[:1]),
}


@dataclass(frozen=True)
class Translation:
    """What became of one text: the best there is, kept even when it failed."""

    text: str
    failure: str | None = None
    """A `Failure`, or None when all is well."""
    detail: str = ""
    """The evidence, and the failures of earlier attempts."""
    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class _Piece:
    """What one request carries (`asked`), for which stretch of the text, and what the marks in it stand for."""

    text: str
    asked: str | None
    held: tuple[tuple[str, str], ...] = ()


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

    @property
    def _judge(self) -> Judge:
        return Judge(self.to, instruction=self.prompt.replace("{text}", "\n"), structure=self.protect)

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
            f"{self.label}.requests": pl.Int64(),
            f"{self.label}.failure": pl.String(),
            f"{self.label}.detail": pl.String(),
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

    def texts(self, frame: pl.DataFrame) -> list[str]:
        """The distinct texts to translate, in order of first appearance."""
        found = self._long(frame).get_column("text").drop_nulls().unique(maintain_order=True)
        return [text for text in found if self._worth_sending(text)]

    def _worth_sending(self, text: str) -> bool:
        return bool(_LETTER.search(text)) and (not self.protect or bool(_LETTER.search(prose(text))))

    async def translate_text(self, text: str, ask: Answerer) -> Translation:
        """One text, cut, asked for piece by piece, checked, and asked for again where `retries` say so."""
        if not self._worth_sending(text):
            return Translation(text)
        if ask.unit == "text":
            return await self._recorded(text, ask)
        parts = segments(text, self.max_chars, protect=self.protect)
        done = await _together(self._climb(p.text, ask) if p.sent else _given(p.text) for p in parts)
        whole = _joined(done)
        if whole.failure is None and len(done) > 1:
            whole = _found(whole, self._judge.of_text(text, whole.text))
        if whole.failure == "broken_structure" and all(d.failure is None for d in done) and self.retries:
            last = Rung(cut="span")  # every segment kept its structure, the text did not
            again = await self._attempt(text, self._pieces(text, last), last, ask)
            whole = _spent(again, whole, ["broken_structure"])
        return whole

    async def _recorded(self, text: str, ask: Answerer) -> Translation:
        answer = await ask(
            [{"role": "user", "content": text}], temperature=self.temperature, max_tokens=self.max_tokens, text=text
        )
        judge = Judge(self.to, instruction=self._judge.instruction, structure=False, length=False)
        return _found(_counted(answer), judge.of_answer(text, answer))

    async def _climb(self, text: str, ask: Answerer) -> Translation:
        """One segment, up the ladder until an answer is good or no way of asking is left."""
        rung, before = Rung(), Translation("")
        failures: list[str] = []
        tried = []
        while True:
            pieces = self._pieces(text, rung)
            tried.append((pieces, rung.temperature, rung.seed))
            found = _spent(await self._attempt(text, pieces, rung, ask), before, failures)
            if found.failure is None:
                return found
            failures.append(found.failure)
            for rung in self.retries.get(found.failure, ()):  # type: ignore[call-overload]
                if (self._pieces(text, rung), rung.temperature, rung.seed) not in tried:
                    break
            else:
                return found
            before = found

    async def _attempt(self, text: str, pieces: Sequence[_Piece], rung: Rung, ask: Answerer) -> Translation:
        """Every piece once; the text is judged as a whole when every piece is good."""
        whole = _joined(await _together(self._ask_piece(p, rung, ask) for p in pieces))
        return whole if whole.failure else _found(whole, self._judge.of_text(text, whole.text))

    def _pieces(self, text: str, rung: Rung) -> list[_Piece]:
        most = max(_SHORTEST_PIECE, int(min(self.max_chars, len(text)) * rung.share))
        pieces = []
        for part in segments(text, most, rung.cut if self.protect else "block", protect=self.protect):
            if not part.sent:
                pieces.append(_Piece(part.text, None))
            elif self.protect and rung.mask:
                masked, held = mask(part.text)
                pieces.append(_Piece(part.text, masked, tuple(held.items())))
            else:
                pieces.append(_Piece(part.text, part.text))
        return pieces

    async def _ask_piece(self, piece: _Piece, rung: Rung, ask: Answerer) -> Translation:
        if piece.asked is None:
            return Translation(piece.text)
        messages = [{"role": "user", "content": self.prompt.replace("{text}", piece.asked)}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        answer = await ask(
            messages,
            temperature=self.temperature if rung.temperature is None else rung.temperature,
            max_tokens=self.max_tokens,
            seed=rung.seed,
            text=piece.asked,
        )
        given = _counted(answer)
        unmasked = unmask(given.text, dict(piece.held))
        said = replace(answer, text=given.text if unmasked is None else unmasked)
        judge = replace(self._judge, structure=False)  # a piece's skeleton depends on what stands around it
        found = judge.of_answer(piece.text, said)
        if found is None and unmasked is None:
            found = Finding("broken_structure", f"{len(piece.held)} marks did not come back once each")
        text = said.text
        if rung.cut != "block" and "\n" not in piece.text:
            text = _LINE_BREAKS.sub(" ", text)
        return _found(replace(given, text=text), found)

    def apply(self, frame: pl.DataFrame, done: dict[str, Translation]) -> pl.DataFrame:
        """The rows with their texts translated as `done` says.

        Raises ValueError when a text that is to be translated is not in `done`.
        """
        long = self._long(frame)
        for text in long.get_column("text").drop_nulls().unique(maintain_order=True):
            if text not in done and self._worth_sending(text):
                raise ValueError(f"no translation was made of {text[:60]!r}")
        answers = pl.DataFrame(
            [(text, t.text, t.failure, t.detail, t.requests) for text, t in done.items()],
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
            pl.lit(self.model).alias("translator"),
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


def _counted(answer: Answer) -> Translation:
    return Translation(
        answer.text.strip(), requests=1, prompt_tokens=answer.prompt_tokens, output_tokens=answer.output_tokens
    )


def _found(translation: Translation, finding: Finding | None) -> Translation:
    if finding is None:
        return translation
    return replace(translation, failure=finding.failure, detail=finding.detail)


def _joined(parts: Sequence[Translation]) -> Translation:
    """The parts as one; its failure is that of the first part that failed."""
    first = next((p for p in parts if p.failure), Translation(""))
    return Translation(
        "".join(p.text for p in parts),
        first.failure,
        first.detail,
        sum(p.requests for p in parts),
        sum(p.prompt_tokens for p in parts),
        sum(p.output_tokens for p in parts),
    )


def _spent(last: Translation, before: Translation, failures: Sequence[str]) -> Translation:
    """`last`, charged with the attempts before it, and with their failures in its detail if it failed too."""
    told = f"{last.detail} (before: {', '.join(failures)})" if last.failure and failures else last.detail
    return replace(
        last,
        detail=told,
        requests=last.requests + before.requests,
        prompt_tokens=last.prompt_tokens + before.prompt_tokens,
        output_tokens=last.output_tokens + before.output_tokens,
    )


async def _given(text: str) -> Translation:
    return Translation(text)


async def _together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs, in order; when one raises, the others are called off."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
