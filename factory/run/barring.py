"""A barrier stage: index every shard, decide once over all of them, then split each shard by the decision."""

from __future__ import annotations

import time

import polars as pl

from hala_factory import store
from hala_factory.fingerprint import fingerprint
from hala_factory.run.files import BATCH, batches
from hala_factory.run.ledger import lost
from hala_factory.run.passing import Job, Outcome, finish
from hala_factory.step import Barrier


def index_shard(job: Job, shard: int) -> None:
    """Write what the barrier must know of the rows of one shard."""
    step = _barrier(job)
    frames = []
    for number, frame in enumerate(batches(job.inputs[shard])):
        head = frame.select(
            pl.lit(shard, dtype=pl.UInt32).alias("shard"),
            (pl.int_range(pl.len(), dtype=pl.UInt32) + number * BATCH).alias("row"),
            "id",
            "source",
        )
        frames.append(head.hstack(step.index(frame)))
    path = job.folder.side("index", shard)
    with store.atomic(path) as temporary:
        pl.concat(frames).write_parquet(temporary, mkdir=True)
    job.folder.finish(shard, {"input": job.digests[shard]}, [path], word="indexed")


def decide(job: Job, sources: list[str]) -> None:
    """Write which rows are to be dropped, of all shards, unless that stands already."""
    inputs = fingerprint(list(job.digests))
    known = job.folder.done(0, "decided")
    if known is not None and known["input"] == inputs:
        return
    index = pl.scan_parquet([job.folder.side("index", s) for s in range(len(job.inputs))])
    path = job.folder.side("decision", 0)
    with store.atomic(path) as temporary:
        decision = _barrier(job).decide(index, sources)
        decision.sort("shard", "row").sink_parquet(temporary, engine="streaming")
    job.folder.finish(0, {"input": inputs}, [path], word="decided")


def split_shard(job: Job, shard: int) -> None:
    """Split one shard into kept and dropped rows."""
    started = time.monotonic()
    decided = pl.scan_parquet(job.folder.side("decision", 0)).filter(pl.col("shard") == shard)
    decision = decided.select("row", verdict="reason", evidence="detail").collect()
    label = _barrier(job).label
    with Outcome(job.folder, shard, job.columns_out) as outcome:
        for number, frame in enumerate(batches(job.inputs[shard])):
            rows = (pl.int_range(pl.len(), dtype=pl.UInt32) + number * BATCH).alias("row")
            judged = frame.with_columns(rows).join(decision, on="row", how="left", maintain_order="left").drop("row")
            kept = judged.filter(pl.col("verdict").is_null()).drop("verdict", "evidence")
            gone = judged.filter(pl.col("verdict").is_not_null())
            gone = lost(gone, "dropped", label, pl.col("verdict"), pl.col("evidence")).drop("verdict", "evidence")
            outcome.add(frame, kept, gone)
    finish(job, shard, outcome.ledger, started)


def _barrier(job: Job) -> Barrier:
    (step,) = job.steps
    assert isinstance(step, Barrier)
    return step
