"""The last stage: the corpus, in files that are cut the same way whatever the shards were, with its manifest."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import itertools
import platform
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import attribution, card, seal, store, yamlfile
from hala_factory.errors import BuildError
from hala_factory.fingerprint import file_digest
from hala_factory.inheriting import inherited, licence_counts
from hala_factory.locking import lock_of
from hala_factory.plan import FORMAT, Plan
from hala_factory.recipe import columns_after
from hala_factory.rows import LEDGER
from hala_factory.run.files import Writer, batches
from hala_factory.run.guaranteeing import guarantee
from hala_factory.run.ledger import Ledger, Tally
from hala_factory.run.predicting import compared
from hala_factory.run.rates import Fates, hold
from hala_factory.run.reviewing import sampled
from hala_factory.step import Columns

FILE_ROWS = 100_000
"""Rows of a published file; a Parquet file of this size opens quickly in the Hub's viewer."""
SHAREGPT = {"user": "human", "assistant": "gpt"}
Look = Callable[[pl.DataFrame], None]
SOFTWARE = ("hala-factory", "polars", "pyarrow", "datatrove", "fasttext-predict", "pydantic")


def assemble(plan: Plan, generation: dict[str, Any], *, report: bool = True) -> dict[str, Any]:
    """Write the corpus of a plan whose stages are all stored, and return its manifest.

    The folder appears whole or not at all, with a `report.html` unless that is not wanted. Raises BuildError when the
    ledger of the whole build does not balance, or a contract of the recipe is broken.
    """
    recipe = plan.ready.recipe
    parts = [p for name in plan.corpus.inputs for p in plan.parts(plan.stage(name))]
    ledger, stages = _ledger(plan)
    columns = columns_after(plan.ready)
    licence = inherited(plan, parts)
    fates = Fates(plan)
    with store.atomic_folder(plan.store.corpus(recipe.name, recipe.version)) as folder:
        digest = write_data(folder, parts, columns, recipe.exports, ledger.total.kept, fates.keep)
        _write_dropped(folder, plan, columns, fates.lose)
        found = fates.rates(ledger)
        held = [*hold(plan, found), *guarantee(plan, parts, licence)]
        shutil.copyfile(plan.ready.document.file, folder / "recipe.yaml")
        lock = lock_of(plan)
        (folder / "lock.yaml").write_text(yamlfile.dump(lock), encoding="utf-8")
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": recipe.name,
            "version": recipe.version,
            "kind": recipe.kind,
            "language": recipe.language,
            "description": recipe.description,
            "profile": plan.ready.profile,
            "samples": plan.ready.samples,
            "built_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "fingerprint": plan.corpus.fingerprint,
            "digest": f"sha256:{digest}",
            **ledger.told(),
            "rates": found,
            "contracts": held,
            "licences": licence_counts(licence.parts),
            "licence": licence.told(),
            "stages": stages,
            "steps": [{**s.model_dump(mode="json", by_alias=True), "label": s.label} for s in recipe.steps],
            "exports": list(recipe.exports),
            "columns": {name: str(dtype) for name, dtype in columns.items()},
            "uses": [u.model_dump(mode="json") for u in recipe.sources],
            "catalog": {n: s.model_dump(mode="json", exclude_none=True) for n, s in plan.ready.sources.items()},
            "generation": generation,
            "cost": compared(plan),
            "lock": lock,
            "software": {**{p: importlib.metadata.version(p) for p in SOFTWARE}, "python": platform.python_version()},
        }
        if recipe.review is not None:
            manifest["review"] = sampled(plan, folder, manifest["digest"])
        (folder / "README.md").write_text(card.render(manifest), encoding="utf-8")
        (folder / "ATTRIBUTION.md").write_text(attribution.render(manifest), encoding="utf-8")
        if report:
            _write_report(folder, manifest, plan)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        manifest["files"] = {
            str(p.relative_to(folder)): {"bytes": p.stat().st_size, "sha256": file_digest(p)} for p in files
        }
        seal.write(folder / "manifest.json", manifest)
    return manifest


def _write_report(folder: Path, manifest: dict[str, Any], plan: Plan) -> None:
    """Draw the report; a page that cannot be drawn is told, and no reason to hold back a corpus of many hours."""
    from hala_factory import report  # takes as long to import as a thousand rows to filter

    try:
        page = report.render(folder, manifest, plan.ready.recipe.steps)
    except Exception as error:
        warnings.warn(
            f"the report of {plan.artifact} could not be drawn ({type(error).__name__}: {error}); the corpus "
            f"is whole; draw it later with: hala-factory report {plan.artifact} --out report.html",
            stacklevel=2,
        )
    else:
        (folder / "report.html").write_text(page, encoding="utf-8")


def write_data(
    folder: Path, parts: list[Path], columns: Columns, exports: tuple[str, ...], kept: int, look: Look
) -> str:
    """Write `data/` and the other exports, with a `look` at every frame; the digest of the rows.

    The digest is SHA-256 over the rows in order, each as a line of JSON with the columns that are content
    (measures, which hold a dot in their names, are not).
    """
    sha = RowDigest(columns)
    forms: dict[str, tuple[Columns, Callable[[pl.DataFrame], pl.DataFrame]]] = {"data": (columns, lambda f: f)}
    if "conversations" in exports:
        forms["conversations"] = (CONVERSATIONS, to_conversations)
    count = max(1, -(-kept // FILE_ROWS))
    groups = itertools.groupby(_numbered(parts), key=lambda pair: pair[0])
    for number in range(count):
        with contextlib.ExitStack() as stack:
            name = f"train-{number:05d}-of-{count:05d}.parquet"
            writers = {w: stack.enter_context(Writer(folder / w / name, form[0])) for w, form in forms.items()}
            for _, frame in next(groups, (number, iter(())))[1]:
                look(frame)
                for word, writer in writers.items():
                    writer.write(forms[word][1](frame))
                sha.update(frame)
    return sha.hexdigest()


class RowDigest:
    """SHA-256 over rows in order, each as a line of JSON with the columns that are content."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._sha = hashlib.sha256()
        self._content = [c for c in columns if "." not in c]

    def update(self, frame: pl.DataFrame) -> None:
        """Take in the next rows, however many at a time."""
        lines = BytesIO()
        frame.select(self._content).write_ndjson(lines)
        self._sha.update(lines.getbuffer())

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        return self._sha.hexdigest()


CONVERSATIONS: Columns = {
    "id": pl.String(),
    "conversations": pl.List(pl.Struct({"from": pl.String, "value": pl.String})),
}


def to_conversations(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows in ShareGPT's form, as Hala is published: `conversations` of `from` (human, gpt, system) and `value`."""
    turn = pl.element().struct
    turns = pl.struct(turn.field("role").replace(SHAREGPT).alias("from"), turn.field("content").alias("value"))
    return frame.select("id", pl.col("messages").list.eval(turns).alias("conversations"))


def _numbered(parts: list[Path]) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of all parts in order, each frame with the number of the published file it belongs to."""
    position = 0
    for part in parts:
        for frame in batches(part):
            while frame.height:
                number, used = divmod(position, FILE_ROWS)
                piece = frame.slice(0, FILE_ROWS - used)
                frame = frame.slice(piece.height)
                position += piece.height
                yield number, piece


def _write_dropped(folder: Path, plan: Plan, columns: Columns, look: Look) -> None:
    """Every row that was dropped or failed, stage by stage in order, with all that was measured of it."""
    stages = plan.stages[:-1]
    widest: Columns = {"stage": pl.String(), **LEDGER, **columns}
    with Writer(folder / "dropped" / "dropped-00000.parquet", widest) as out:
        for stage in stages:
            stored = plan.folder(stage)
            for shard in range(len(plan.parts(stage))):
                for frame in batches(stored.dropped(shard)):
                    look(frame)
                    out.write(frame.with_columns(stage=pl.lit(stage.name)))


def _ledger(plan: Plan) -> tuple[Ledger, list[dict[str, Any]]]:
    """The ledger of the whole build, and the told counts of each stage; both balanced, from stage to stage."""
    whole, stages = Ledger(), []
    kept_before = Ledger()
    for stage in plan.stages[:-1]:
        record = plan.record(stage)
        here = Ledger.read([record])
        here.balance(stage.name)
        for source, tally in here.items():
            mine = whole.setdefault(source, Tally())
            if stage.kind == "source":  # rows of one source may come from several, one of them a corpus
                whole[source] = mine + tally
                kept_before[source] = kept_before.get(source, Tally()) + tally
                continue
            if tally.rows_in != kept_before[source].kept:
                raise BuildError(
                    f"{stage.name}: {source}: {tally.rows_in} rows came in, "
                    f"{kept_before[source].kept} were kept before"
                )
            mine.kept, mine.dropped, mine.failed = tally.kept, mine.dropped + tally.dropped, mine.failed + tally.failed
            kept_before[source] = tally
        for source in set(whole) - set(here) if stage.kind != "source" else ():
            if kept_before[source].kept:
                raise BuildError(f"{stage.name}: the {kept_before[source].kept} rows of {source} did not come in")
        stages.append(
            {
                "name": stage.name,
                "kind": stage.kind,
                "fingerprint": stage.fingerprint,
                "steps": [s.label for s in stage.steps],
                "inputs": list(stage.inputs),
                **here.told(),
                **({"generation": record["generation"]} if "generation" in record else {}),
                **({"proof": record["proof"]} if "proof" in record else {}),
                "seconds": round(float(record["seconds"]), 3),
            }
        )
    whole.balance("the whole build")
    return whole, stages
