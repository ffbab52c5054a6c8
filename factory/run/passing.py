"""A pass: the fused filters of one stage over one shard, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hala_factory.errors import BuildError
from hala_factory.rows import LEDGER
from hala_factory.run.files import Writer, batches, row_count
from hala_factory.run.ledger import Ledger, lost
from hala_factory.step import Columns, Filter, Step
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

    @property
    def columns_out(self) -> Columns:
        """Of the rows that pass."""
        columns = dict(self.columns)
        for step in self.steps:
            columns |= step.writes(columns)
        return columns


def filter_shard(job: Job, shard: int) -> None:
    """Run the stage's filters over one shard and write what passed, what did not, and the record."""
    started, ledger = time.monotonic(), Ledger()
    part, dropped = job.folder.part(shard), job.folder.dropped(shard)
    with Writer(part, job.columns_out) as kept_file, Writer(dropped, {**LEDGER, **job.columns_out}) as lost_file:
        for frame in batches(job.inputs[shard]):
            ledger.take(frame)
            kept, gone = judge(frame, job.steps)
            kept_file.write(kept)
            lost_file.write(gone)
            ledger.keep(kept)
            ledger.lose(gone)
            note(job.folder, shard, ledger.total.rows_in)
    finish(job, shard, ledger, started)


def finish(job: Job, shard: int, ledger: Ledger, started: float) -> None:
    """Check a shard's balance against the files themselves and write its record."""
    where = f"{job.stage}, shard {shard}"
    ledger.balance(where)
    files = (job.folder.part(shard), job.folder.dropped(shard))
    came, left = row_count(job.inputs[shard]), sum(map(row_count, files))
    if not came == ledger.total.rows_in == left:
        raise BuildError(
            f"{where}: {came} rows to read, {ledger.total.rows_in} read, {left} written; nothing was published"
        )
    job.folder.finish(shard, {**ledger.told(), "seconds": time.monotonic() - started}, list(files))
    job.folder.progress(shard).unlink(missing_ok=True)


def note(folder: StageFolder, shard: int, rows: int) -> None:
    """Leave the number of rows done so far where the progress bar looks."""
    folder.progress(shard).write_text(str(rows))


def judge(frame: pl.DataFrame, steps: Sequence[Step]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that pass all filters, and those that do not, each with all measures taken up to there."""
    gone = []
    for step in steps:
        if not isinstance(step, Filter):
            raise BuildError(f"step {step.label!r} does not look at one row at a time")
        frame, found, failed = measure(frame, step)
        verdict = pl.lit(None, dtype=pl.String)
        for reason, rule in reversed(step.rules()):
            verdict = pl.when(rule.is_null()).then(pl.lit("")).when(rule).then(pl.lit(reason)).otherwise(verdict)
        verdicts = (
            found.select(verdict.alias("verdict")).to_series() if found.height else pl.Series("verdict", [], pl.String)
        )
        frame = frame.hstack(found.rename({m: f"{step.label}.{m}" for m in found.columns}))
        bad = frame.filter(verdicts.is_not_null())
        reasons = verdicts.drop_nulls()
        gone += [
            failed,
            lost(bad.filter(reasons == ""), "failed", step.label, "not_measured"),
            lost(bad.filter(reasons != ""), "dropped", step.label, pl.lit(reasons.filter(reasons != ""))),
        ]
        frame = frame.filter(verdicts.is_null())
    empty = lost(frame.clear(), "dropped", "", "")
    return frame, pl.concat([empty, *(g for g in gone if g.height)], how="diagonal")


def measure(frame: pl.DataFrame, step: Filter) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The rows that could be measured, their measures, and the rows on which measuring raised (failed).

    A batch that raises is halved until the rows at fault stand alone: one bad row costs one row.
    """
    try:
        found = step.measure(frame)
    except Exception as error:
        if isinstance(error, MemoryError) or not frame.height:
            raise
        if frame.height == 1:
            failed = lost(frame, "failed", step.label, "error", pl.lit(f"{type(error).__name__}: {error}"[:2000]))
            return frame.clear(), pl.DataFrame(schema=step.measures()), failed
        middle = frame.height // 2
        halves = [measure(frame.slice(0, middle), step), measure(frame.slice(middle), step)]
        well, found = pl.concat([h[0] for h in halves]), pl.concat([h[1] for h in halves])
        return well, found, pl.concat([h[2] for h in halves], how="diagonal")
    if found.columns != list(step.measures()) or found.height != frame.height:
        raise BuildError(
            f"filter {step.label!r} measured {found.columns} for {found.height} rows; "
            f"expected {list(step.measures())} for {frame.height}"
        )
    return frame, found, lost(frame.clear(), "failed", "", "")
