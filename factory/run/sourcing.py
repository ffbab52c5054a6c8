"""A source stage: its records become rows, cut into parts in their order; a part that stands is not read again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory import reader, rows
from hala_factory.catalog import Source
from hala_factory.errors import BuildError
from hala_factory.recipe import SourceUse
from hala_factory.run.files import row_count
from hala_factory.run.passing import Outcome
from hala_factory.store import StageFolder


@dataclass(frozen=True)
class SourceJob:
    """What the task that reads one source needs to know."""

    stage: str
    folder: StageFolder
    use: SourceUse
    entry: Source
    located: reader.Located
    shard_rows: int


def read_source(jobs: list[SourceJob], index: int) -> None:
    """Read one source to its end (or limit) into parts of about `shard_rows` rows, each with its record."""
    job = jobs[index]
    records, kept, shard = 0, 0, 0
    while (done := job.folder.done(shard)) is not None:
        records, kept, shard = done["records"], kept + done["rows"]["kept"], shard + 1
        if done["last"]:
            return
    for stale in range(shard, shard + 1 + len(list(job.folder.path.glob("done-*.json")))):
        (job.folder.path / f"done-{stale:05d}.json").unlink(missing_ok=True)
    limit = None if job.use.limit is None else job.use.limit - kept
    batches = iter(
        reader.read(
            job.use.source,
            job.entry,
            job.located,
            where=dict(job.use.where),
            skip=records,
            limit=limit,
            batch_rows=min(10_000, job.shard_rows),
        )
        if limit is None or limit > 0
        else ()
    )
    ahead = next(batches, None)
    while True:
        started = time.monotonic()
        with Outcome(job.folder, shard, rows.schema(job.entry.rows, job.entry.languages)) as outcome:
            ledger = outcome.ledger
            while ahead is not None and ledger.total.rows_in < job.shard_rows:
                came = pl.concat([f.select("source") for f in (ahead.rows, ahead.dropped, ahead.failed)])
                gone = pl.concat([ahead.dropped, ahead.failed]).sort(_place(job.located), maintain_order=True)
                outcome.add(came, ahead.rows, gone)
                records = ahead.records
                ahead = next(batches, None)
        ledger.balance(f"{job.stage}, shard {shard}")
        files = [job.folder.part(shard), job.folder.dropped(shard)]
        if sum(map(row_count, files)) != ledger.total.rows_in:
            raise BuildError(f"{job.stage}, shard {shard}: rows were lost in writing; nothing was published")
        record: dict[str, Any] = {**ledger.told(), "records": records, "last": ahead is None}
        job.folder.finish(shard, {**record, "seconds": time.monotonic() - started}, files)
        job.folder.progress(shard).unlink(missing_ok=True)
        shard += 1
        if ahead is None:
            return


def _place(located: reader.Located) -> list[pl.Expr]:
    """What sorts records as they stand in their source, whatever their fate."""
    order = {f.name: number for number, f in enumerate(located.files)}
    file = pl.col("origin").struct.field("file")
    place = pl.col("origin").struct
    return [
        file.replace_strict(order, default=None, return_dtype=pl.Int64),
        place.field("position"),
        place.field("part"),
    ]
