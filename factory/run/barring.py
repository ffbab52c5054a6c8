"""A barrier stage: index every shard, decide once over all of them, then split each shard by the decision."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from hala_factory import store
from hala_factory.fingerprint import fingerprint
from hala_factory.run.files import BATCH, batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish
from hala_factory.step import Barrier


def to_index(job: Job) -> list[int]:
    """The shards that are not indexed: those of the stage's inputs, and after them the files of an earlier corpus."""
    digests = [*job.digests, *(f.name for f in job.earlier)]
    records = ((s, job.folder.done(s, "indexed")) for s in range(len(digests)))
    return [s for s, record in records if record is None or record["input"] != digests[s]]


def index_shard(job: Job, shard: int) -> None:
    """Write what the barrier must know of the rows of one shard, or of one file of an earlier corpus."""
    own = shard < len(job.inputs)
    file = job.inputs[shard] if own else job.earlier[shard - len(job.inputs)]
    path = job.folder.side("index", shard)
    index_file(_barrier(job), file, path, shard, earlier=not own)
    job.folder.finish(shard, {"input": job.digests[shard] if own else file.name}, [path], word="indexed")


def index_file(step: Barrier, file: Path, out: Path, shard: int, *, earlier: bool) -> None:
    """Write the index of the rows of one file, a batch at a time."""
    with store.atomic(out) as temporary:
        frames = []
        for number, frame in enumerate(batches(file)):
            head = index_head(frame, shard, number * BATCH, earlier=earlier)
            frames.append(head.hstack(step.index(frame)))
        pl.concat(frames).write_parquet(temporary, mkdir=True)


def index_head(frame: pl.DataFrame, shard: int, first: int, *, earlier: bool) -> pl.DataFrame:
    """What every index says of its rows: `shard`, `row`, `id`, `source`, `place` (their origin) and `earlier`."""
    return frame.select(
        pl.lit(shard, dtype=pl.UInt32).alias("shard"),
        (pl.int_range(pl.len(), dtype=pl.UInt32) + first).alias("row"),
        "id",
        "source",
        place="origin",
        earlier=pl.lit(earlier),
    )


def decide(job: Job, sources: list[str]) -> None:
    """Write the rows that the barrier has a verdict on, of all shards, unless that stands already."""
    inputs = fingerprint([*job.digests, *(f.name for f in job.earlier)])
    known = job.folder.done(0, "decided")
    if known is not None and known["input"] == inputs:
        return
    shards = len(job.inputs) + len(job.earlier)
    index = pl.scan_parquet([job.folder.side("index", s) for s in range(shards)])
    path = job.folder.side("decision", 0)
    with store.atomic(path) as temporary:
        decision = _barrier(job).decide(index, sources).filter(pl.col("shard") < len(job.inputs))
        decision.sort("shard", "row").sink_parquet(temporary, engine="streaming")
    job.folder.finish(0, {"input": inputs}, [path], word="decided")


def split_shard(job: Job, shard: int) -> None:
    """Split one shard into kept and dropped rows."""
    started = time.monotonic()
    step = _barrier(job)
    measures = {f"{step.label}.{m}": pl.col(m).cast(t) for m, t in step.measures().items()}
    decided = pl.scan_parquet(job.folder.side("decision", 0)).filter(pl.col("shard") == shard)
    decision = decided.select("row", verdict="reason", evidence="detail", **measures).collect()
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        for number, frame in enumerate(batches(job.inputs[shard])):
            rows = (pl.int_range(pl.len(), dtype=pl.UInt32) + number * BATCH).alias("row")
            judged = frame.with_columns(rows).join(decision, on="row", how="left", maintain_order="left").drop("row")
            kept = judged.filter(pl.col("verdict").is_null()).drop("verdict", "evidence")
            gone = judged.filter(pl.col("verdict").is_not_null())
            gone = lost(gone, "dropped", step.label, pl.col("verdict"), pl.col("evidence")).drop("verdict", "evidence")
            outcome.add(frame, kept, gone)
    finish(job, shard, outcome.ledger, started)


def _barrier(job: Job) -> Barrier:
    (step,) = job.steps
    assert isinstance(step, Barrier)
    return step
