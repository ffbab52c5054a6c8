"""A pass: the fused row steps of one stage over one shard, batch by batch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from hala_factory.errors import BuildError, HalaError
from hala_factory.rows import LEDGER
from hala_factory.run.files import Writer, batches, row_count
from hala_factory.run.ledger import Ledger, lost
from hala_factory.step import Ask, Columns, Filter, Normaliser, RowStep, Step
from hala_factory.store import StageFolder


@dataclass(frozen=True)
class Job:
    """What every task of a stage needs to know."""

    stage: str
    folder: StageFolder
    inputs: tuple[Path, ...]
    """The parts the stage reads; the shard's number is the index."""
    steps: tuple[Step, ...]
    columns: Columns
    """Of the rows that come in."""
    digests: tuple[str, ...]
    """Of the parts: a shard's record holds for the part that it was made from, and no other."""
    earlier: tuple[Path, ...] = ()
    """The files of an earlier corpus that a barrier compares with."""

    def todo(self, word: str = "done") -> list[int]:
        """The shards that have no record of this kind that holds."""
        records = ((s, self.folder.done(s, word)) for s in range(len(self.inputs)))
        return [s for s, record in records if record is None or record["input"] != self.digests[s]]

    @property
    def columns_out(self) -> Columns:
        """Of the rows that pass."""
        columns = dict(self.columns)
        for step in self.steps:
            columns |= step.writes(columns)
        return columns


def filter_shard(job: Job, shard: int) -> None:
    """Run the stage's steps over one shard and write what passed, what did not, and the record."""
    started = time.monotonic()
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        for frame in batches(job.inputs[shard]):
            outcome.add(frame, *judge(frame, job.steps))
    finish(job, shard, outcome.ledger, started)


class Outcome:
    """The two files of a shard, kept rows and lost ones, with the ledger over them."""

    def __init__(self, folder: StageFolder, shard: int, columns: Columns) -> None:
        self.ledger = Ledger()
        self._folder, self._shard = folder, shard
        self._kept = Writer(folder.part(shard), columns)
        self._lost = Writer(folder.dropped(shard), {**LEDGER, **columns})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Outcome:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._kept)
            stack.enter_context(self._lost)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, came: pl.DataFrame, kept: pl.DataFrame, gone: pl.DataFrame) -> None:
        """Write and count the rows that came in and what became of them."""
        self.ledger.take(came)
        self._kept.write(kept)
        self.ledger.keep(kept)
        self._lost.write(gone)
        self.ledger.lose(gone)
        note(self._folder, self._shard, self.ledger.total.rows_in)


def finish(job: Job, shard: int, ledger: Ledger, started: float, more: Mapping[str, Any] | None = None) -> None:
    """Check a shard's balance against the files themselves and write its record."""
    where = f"{job.stage}, shard {shard}"
    ledger.balance(where)
    files = (job.folder.part(shard), job.folder.dropped(shard))
    came, left = row_count(job.inputs[shard]), sum(map(row_count, files))
    if not came == ledger.total.rows_in == left:
        raise BuildError(
            f"{where}: {came} rows to read, {ledger.total.rows_in} read, {left} written; nothing was published"
        )
    record = {**ledger.told(), **(more or {}), "input": job.digests[shard], "seconds": time.monotonic() - started}
    job.folder.finish(shard, record, list(files))
    job.folder.progress(shard).unlink(missing_ok=True)


def note(folder: StageFolder, shard: int, rows: int) -> None:
    """Leave the number of rows done so far where the progress bar looks."""
    with contextlib.suppress(OSError):  # a full disk is told by the files that matter
        folder.progress(shard).write_text(str(rows))


def judge(frame: pl.DataFrame, steps: Sequence[Step]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that pass all steps, and those that do not, each with all measures taken up to there, in order."""
    empty = lost(frame.clear(), "dropped", "", "")
    gone, numbers = [], pl.int_range(frame.height, eager=True)
    for step in steps:
        if not isinstance(step, RowStep):
            raise BuildError(f"step {step.label!r} does not look at one row at a time")
        frame, found, errors = look(frame, step)
        verdicts = found.with_columns(verdict(step).alias("\x1everdict"))["\x1everdict"]
        evidence = pl.col(f"{step.label}.detail") if "detail" in found.columns else None
        frame = frame.hstack(found.rename({m: f"{step.label}.{m}" for m in found.columns}))
        if errors.null_count() == verdicts.null_count() == frame.height:
            continue
        pieces = (
            (errors.is_not_null(), "failed", pl.lit("error"), pl.lit(errors.drop_nulls())),
            (errors.is_null() & (verdicts == ""), "failed", pl.lit("not_measured"), None),
            (errors.is_null() & (verdicts != ""), "dropped", None, evidence),
        )
        for where, status, reason, detail in pieces:
            where = where.fill_null(False)
            if where.any():
                why = pl.lit(verdicts.filter(where)) if reason is None else reason
                piece = lost(frame.filter(where), status, step.label, why, detail)
                gone.append(piece.with_columns(numbers.filter(where).alias(_NUMBER)))
        stays = errors.is_null() & verdicts.is_null()
        frame, numbers = frame.filter(stays), numbers.filter(stays)
    if not gone:
        return frame, empty
    return frame, pl.concat([empty, *gone], how="diagonal").sort(_NUMBER).drop(_NUMBER)


_NUMBER = "\x1enumber"


def ruled(frame: pl.DataFrame, step: Ask) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that the rules of a step keep, and those that they do not; all were answered for."""
    measured = frame.select(pl.col(f"{step.label}.{m}").alias(m) for m in step.measures())
    said = measured.select(verdict(step)).to_series() if step.rules() else pl.Series([None], dtype=pl.String)
    said = said if len(said) == frame.height else said.new_from_index(0, frame.height)
    detail = pl.col(f"{step.label}.detail")
    unjudged = lost(frame.filter(said == ""), "failed", step.label, "not_measured", detail)
    dropped = lost(frame.filter(said != ""), "dropped", step.label, pl.lit(said.filter(said != "")), detail)
    return frame.filter(said.is_null()), pl.concat([unjudged, dropped])


def verdict(step: RowStep | Ask) -> pl.Expr:
    """The reason for which a row with these measures is dropped; null: none; '': a rule could not answer."""
    rules = step.rules()
    if not rules:
        return pl.lit(None, dtype=pl.String)
    number = pl.lit(None, dtype=pl.UInt32)
    for n, (_, rule) in reversed(list(enumerate(rules, 1))):
        unknown = pl.when(rule.is_null()).then(pl.lit(0, dtype=pl.UInt32))
        number = unknown.when(rule).then(pl.lit(n, dtype=pl.UInt32)).otherwise(number)
    return pl.lit(pl.Series(["", *(word for word, _ in rules)])).gather(number)


def look(frame: pl.DataFrame, step: RowStep) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """The rows as the step leaves them, their measures (null where it raised), and what it said there (else null).

    A batch that raises is halved until the rows at fault stand alone: one bad row costs one row. Raises
    BuildError for a step that does not do what it declares, and what a step says to people.
    """
    expected = pl.Schema(step.measures())
    try:
        left, found = _looked(frame, step)
    except (Exception, pl.exceptions.PanicException) as error:
        if isinstance(error, MemoryError | HalaError) or not frame.height:
            raise
        if frame.height == 1:
            said = f"{type(error).__name__}: {error}"[:2000]
            nothing = pl.DataFrame({n: [None] for n in expected}, schema=expected)
            return frame, nothing, pl.Series([said], dtype=pl.String)
        middle = frame.height // 2
        halves = [look(frame.slice(0, middle), step), look(frame.slice(middle), step)]
        first, second = halves
        return pl.concat([first[0], second[0]]), pl.concat([first[1], second[1]]), first[2].append(second[2])
    for what, schema, height, wanted in (
        ("measured", found.schema, found.height, expected),
        ("left", left.schema, left.height, frame.schema),
    ):
        if schema != wanted or height != frame.height:
            raise BuildError(
                f"step {step.label!r} {what} {_told(schema)} for {height} rows; expected {_told(wanted)} "
                f"for {frame.height}: this is a defect of the step, and nothing was published"
            )
    return left, found, _none(frame.height)


def _looked(frame: pl.DataFrame, step: RowStep) -> tuple[pl.DataFrame, pl.DataFrame]:
    if isinstance(step, Normaliser):
        return step.normalise(frame)
    assert isinstance(step, Filter)
    return frame, step.measure(frame)


def _none(height: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, height)


def _told(schema: pl.Schema) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in schema.items()) or "nothing"
