"""`whatif`: a finished corpus judged again by other thresholds, from what was measured of every row.

The model:
- Every row, kept or not, stands in the corpus with its measures; rules over them are asked again as columns.
- A row that a loosened threshold rescues was never seen by the later steps: it is run through them now. A barrier
  whose rows have changed decides again over its stored index. Where a model stands between, rescued rows wait.
- Rows keep their order, so the answer is that of a real rebuild.
"""

from __future__ import annotations

import functools
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import lineage, recipe, rows, yamlfile
from hala_factory.errors import InputError, did_you_mean
from hala_factory.run.barring import index_head
from hala_factory.run.passing import judge, verdict
from hala_factory.step import Ask, Barrier, Columns, RowStep, Step
from hala_factory.store import Store
from hala_factory.tables import table
from hala_factory.validation import validate

KEPT, WAITING = "kept", "to generate"
FATE = {"status": pl.String(), "step": pl.String(), "reason": pl.String()}
IN_MEMORY = 256_000_000
"""Bytes of a barrier's stored index up to which it is decided in memory; a larger one lies on disk meanwhile."""
_FOLDERS = ("data", "dropped")
_KEY = ["id", "source", "origin"]


@dataclass(frozen=True)
class Answer:
    """What other thresholds would make of a version."""

    flips: pl.DataFrame
    """Rows whose fate changes: `id`, `source`, `origin`, `was` and `becomes` (each status, step and reason)."""
    kept_before: int
    kept_after: int
    generation: dict[str, Any]
    """Of rows that wait for a model: `rows`, `texts`, `chars`, and `prompt_tokens`, `output_tokens`, `hours` as
    estimated by the requests of the version's own build (null where it sent none)."""
    notes: list[str]
    seconds: float

    def counts(self) -> list[dict[str, Any]]:
        """Flips by source and by what changes, the most frequent first."""
        sides = self.flips.select("source", *(said(side).alias(side) for side in ("was", "becomes")))
        counted = sides.group_by("source", "was", "becomes").len("rows")
        return counted.sort("rows", "source", "was", "becomes", descending=[True, False, False, False]).to_dicts()


def said(side: str) -> pl.Expr:
    """A fate in a word: `step.reason`, or its status where no step ended the row."""
    parts = pl.col(side).struct
    step, reason, status = parts.field("step"), parts.field("reason"), parts.field("status")
    return (
        pl.when(step.is_null()).then(status).otherwise(pl.concat_str(step, pl.coalesce(reason, status), separator="."))
    )


def whatif(store: Store, manifest: dict[str, Any], settings: list[str]) -> Answer:
    """Judge a version again by `settings`, each `step.field=value` (the value as in YAML).

    Raises InputError for a setting that does not fit the version's steps, for a field that decides what is
    measured (which only a build can answer), and when the index of a barrier is no longer in the store.
    """
    started = time.monotonic()
    before = recipe.steps_of(manifest)
    after = changed(before, settings)
    walk = _Walk(store, manifest, before, after)
    walk.go()
    flips = walk.flips()
    kept = manifest["rows"]["kept"]
    was, becomes = (flips[side].struct.field("status") == KEPT for side in ("was", "becomes"))
    return Answer(
        flips,
        kept,
        kept - int(was.sum()) + int(becomes.sum()),
        walk.generation,
        walk.notes,
        time.monotonic() - started,
    )


def changed(steps: tuple[Step, ...], settings: list[str]) -> tuple[Step, ...]:
    """The steps with the settings applied, all faults at once. Raises InputError."""
    made, faults = {s.label: s for s in steps}, []
    values: dict[str, dict[str, Any]] = {}
    for setting in settings:
        place, equals, written = setting.partition("=")
        label, dot, name = place.strip().partition(".")
        if not (equals and dot and name):
            faults.append(f"--set {setting!r}: expected step.field=value, e.g. length.min_chars=30")
        elif label not in made:
            faults.append(f"--set {setting!r}: the version has no step {label!r}{did_you_mean(label, made)}")
        elif name not in type(made[label]).model_fields:
            options = made[label].thresholds()
            faults.append(f"--set {setting!r}: {label!r} has no field {name!r}{did_you_mean(name, options)}")
        elif name not in (options := made[label].thresholds()):
            can = f"what can be set is {', '.join(options)}" if options else "none of its fields only judges"
            faults.append(
                f"--set {setting!r}: {name!r} decides more than a verdict on what is stored; {can}; for the "
                "rest, change the recipe and build"
            )
        else:
            values.setdefault(label, {})[name] = yamlfile.value(written)
    for label, new in values.items():
        step = made[label]
        document = yamlfile.plain({**step.model_dump(by_alias=True), **new})
        better, found = validate(type(step), document)
        faults += [f"--set {label}: {f.message}" for f in found]
        if better is not None:
            measured = step.measures() if isinstance(step, RowStep) else {}
            if isinstance(better, RowStep) and (lacking := [m for m in better.measures() if m not in measured]):
                faults.append(
                    f"--set {label}: the version did not measure {', '.join(lacking)}, as it had no use for it; "
                    "change the recipe and build"
                )
            made[label] = better
            faults += [f"--set {label}: {message}" for _, message in recipe.crossed(better)]
    if faults:
        raise InputError("\n".join(faults))
    return tuple(made.values())


@dataclass
class _Walk:
    """One walk through the steps, from the first that changed."""

    store: Store
    manifest: dict[str, Any]
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    generation: dict[str, Any] = field(default_factory=lambda: {"rows": 0, "texts": 0, "chars": 0})
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = self.store.corpus(self.manifest["name"], self.manifest["version"])
        self.labels = [s.label for s in self.before]
        changes = [i for i, (a, b) in enumerate(zip(self.before, self.after, strict=True)) if a != b]
        self.changes, self.first = changes, min(changes, default=len(self.before))
        self.world = self._world()
        """Rows that reached the first changed step: `folder`, `line`, `at` (the step that ended them, or their
        number), `status`, `reason`, the measures of the changed steps, and `new_step`, `new_status`, `new_reason`."""
        self.rescued = pl.DataFrame()
        """Rows on a new road, with their columns as at this step, and `folder`, `line`."""

    def _world(self) -> pl.DataFrame:
        measures = [
            f"{s.label}.{m}"
            for i in self.changes
            if isinstance(s := self.before[i], RowStep | Ask)
            for m in s.measures()
        ]
        frames = []
        for number, name in enumerate(_FOLDERS):
            scan = pl.scan_parquet(sorted((self.folder / name).glob("*.parquet"))).with_row_index("line")
            if name == "data":
                at = pl.lit(len(self.labels)).alias("at")
                fate = [pl.lit(KEPT).alias("status"), pl.lit(None, pl.String).alias("reason")]
            else:
                places = {label: i for i, label in enumerate(self.labels)}
                at = pl.col("step").replace_strict(places, default=-1, return_dtype=pl.Int32).alias("at")
                fate = [pl.col("status"), pl.col("reason")]
            picked = scan.select("line", at.cast(pl.Int32), *fate, *measures, folder=pl.lit(number, pl.Int8))
            frames.append(picked.filter(pl.col("at") >= self.first))
        new = {"new_status": pl.String, "new_step": pl.Int32, "new_reason": pl.String}
        return pl.concat(frames).with_columns(pl.lit(None, t).alias(n) for n, t in new.items()).collect()

    @property
    def _here(self) -> pl.Expr:
        """Rows that are still on the road they went in the build."""
        return pl.col("new_status").is_null()

    def go(self) -> None:
        for number in range(self.first, len(self.after)):
            step = self.after[number]
            if isinstance(step, RowStep):
                self._run_rescued(number, step)
                if number in self.changes:
                    self._judge(number, step)
            elif isinstance(step, Barrier):
                self._decide(number, step)
            elif isinstance(step, Ask):
                self._wait(number, step)
                if number in self.changes:
                    self._judge(number, step)
        if self.rescued.height:
            self._settle(self.rescued.with_columns(status=pl.lit(KEPT), reason=None), None)

    # Filters and normalisers

    def _judge(self, number: int, step: RowStep | Ask) -> None:
        """Ask the rules again of the rows that were measured."""
        prefix = f"{step.label}."
        failed = (pl.col("at") == number) & (pl.col("status") == "failed")
        asked = self._here & (pl.col("at") >= number) & ~failed
        measured = self.world.select(pl.col(f"{prefix}{m}").alias(m) for m in step.measures())
        said = measured.with_columns(verdict(step).alias("\x1everdict"))["\x1everdict"]
        world = self.world.with_columns(said.alias("said"))
        old = pl.when(pl.col("at") == number).then("reason")
        differs = asked & pl.col("said").ne_missing(old)
        status = pl.when(pl.col("said") == "").then(pl.lit("failed")).otherwise(pl.lit("dropped"))
        reason = pl.when(pl.col("said") == "").then(pl.lit("not_measured")).otherwise("said")
        falls = differs & pl.col("said").is_not_null()
        rises = world.filter(differs & pl.col("said").is_null()).select("folder", "line")
        self.world = world.with_columns(
            pl.when(falls).then(status).otherwise("new_status").alias("new_status"),
            pl.when(falls).then(pl.lit(number, pl.Int32)).otherwise("new_step").alias("new_step"),
            pl.when(falls).then(reason).otherwise("new_reason").alias("new_reason"),
        ).drop("said")
        self._rescue(rises, number)

    def _run_rescued(self, number: int, step: RowStep) -> None:
        if not self.rescued.height:
            return
        if step.tests():
            step = self._bound(step)
        road = self.rescued.select("folder", "line")
        numbered = self.rescued.drop("folder", "line", strict=False).with_columns(
            pl.int_range(pl.len()).alias("\x1ewhich")
        )
        kept, gone = judge(numbered, [step])
        self._settle(road[gone["\x1ewhich"]].hstack(gone.select("status", "reason")), number)
        self.rescued = kept.drop("\x1ewhich").hstack(road[kept["\x1ewhich"]])

    def _bound(self, step: RowStep) -> RowStep:
        """The step knowing the tables of its benchmarks, as the build left them in the store."""
        tables = {n: self.store.benchmarks / e["table"] for n, e in self.manifest["lock"]["benchmarks"].items()}
        gone = [n for n, path in tables.items() if not path.exists()]
        if gone:
            raise InputError(
                f"the questions of {', '.join(gone)} are no longer in the store; build the version again to have them"
            )
        return step.bound(tables)

    # Barriers

    def _decide(self, number: int, step: Barrier) -> None:
        """Decide again where the rows that come in are others, or the step is."""
        left = self.world.filter(~self._here & (pl.col("at") >= number)).select("folder", "line")
        if not (left.height or self.rescued.height or number in self.changes):
            return
        if self.generation["rows"]:
            self.notes.append(f"{step.label}: judged without the {self.generation['rows']} rows that wait for a model")
        stage = next(s for s in self.manifest["stages"] if s["steps"] == [step.label])
        stored = self.store.stage(stage["name"], stage["fingerprint"])
        files = sorted(stored.path.glob("index-*.parquet"))
        if not files or stored.record() is None:
            raise InputError(
                f"the index of {step.label!r} is no longer in the store ({stored.path}); "
                "build the version again to have it, or set thresholds of later steps only"
            )
        fresh = self.rescued.drop("folder", "line", strict=False)
        index = pl.scan_parquet(files)
        gone = self._keys(left)
        old = index.join(
            gone.lazy(), left_on=["id", "source", "place"], right_on=_KEY, how="anti", maintain_order="left"
        )
        with tempfile.TemporaryDirectory(prefix="hala-factory-") as scratch:
            pieces = [old]
            if fresh.height:
                pieces.append(index_head(fresh, 0, 0, earlier=False).hstack(step.index(fresh)).lazy())
            whole = Path(scratch) / "index.parquet"
            ranked = pl.concat(pieces, how="vertical_relaxed").with_columns(
                was_shard=pl.col("shard"), was_row=pl.col("row")
            )
            ordered = ranked.sort(self._order(), maintain_order=True) if fresh.height else ranked
            numbered = ordered.with_columns(
                pl.when("earlier").then(1).otherwise(0).cast(pl.UInt32).alias("shard"),
                pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
            )
            if sum(f.stat().st_size for f in files) <= IN_MEMORY:
                scan = numbered.collect().lazy()
            else:
                numbered.sink_parquet(whole)
                scan = pl.scan_parquet(whole)
            sources = lineage.row_sources(self.manifest["lock"]["sources"])
            said = step.decide(scan, sources).filter(pl.col("reason").is_not_null()).select("shard", "row", "reason")
            heads = scan.filter(~pl.col("earlier")).select("shard", "row", *_KEY[:2], pl.col("place").alias("origin"))
            now = heads.join(said, on=["shard", "row"], how="inner").select(*_KEY, "reason").collect()
        then = self._dropped_at(number)
        self._part(number, now, then, fresh)

    def _order(self) -> list[pl.Expr]:
        """What sorts rows as the build has them: by source, file, place in the file; an earlier corpus last."""
        order = self.manifest["lock"]["sources"]
        sources = list(order)
        corpora = lineage.corpora(order)
        files = [
            f"{s}\x1f{lineage.file_in(s, name) if s in corpora else name}"
            for s, entry in order.items()
            for name in entry["files"]
        ]
        place = pl.col("place").struct
        came = lineage.through(corpora, pl.col("source"), place.field("file"))
        named = pl.concat_str(came, pl.lit("\x1f"), place.field("file"))
        return [
            pl.col("earlier"),
            came.replace_strict(sources, range(len(sources)), default=len(sources), return_dtype=pl.Int32),
            named.replace_strict(files, range(len(files)), default=len(files), return_dtype=pl.Int32),
            place.field("position"),
            place.field("part"),
        ]

    def _dropped_at(self, number: int) -> pl.DataFrame:
        """Rows that the barrier dropped in the build and that still come in, with their keys and reasons."""
        there = self.world.filter(self._here & (pl.col("at") == number) & (pl.col("status") == "dropped"))
        found = there.select("folder", "line", then="reason")
        return found.hstack(self._keys(found))

    def _part(self, number: int, now: pl.DataFrame, then: pl.DataFrame, fresh: pl.DataFrame) -> None:
        """Settle the rows on which a new decision differs from the old one, and those on a new road."""
        mine = self.rescued.select(*_KEY, "folder", "line") if fresh.height else None
        if mine is not None:
            dropped = mine.join(now, on=_KEY, how="inner").with_columns(status=pl.lit("dropped"))
            self._settle(dropped, number)
            self.rescued = self.rescued.join(dropped, on=["folder", "line"], how="anti", maintain_order="left")
            now = now.join(mine, on=_KEY, how="anti")
        both = now.join(then, on=_KEY, how="full", coalesce=True)
        other = pl.col("reason").is_not_null() & pl.col("reason").ne_missing(pl.col("then"))
        falls = both.filter(other).select(*_KEY, "reason", status=pl.lit("dropped"))
        if falls.height:
            self._settle(self._places(falls), number)
        rises = both.filter(pl.col("reason").is_null()).select("folder", "line")
        self._rescue(rises, number)

    # A model

    def _wait(self, number: int, step: Ask) -> None:
        if not self.rescued.height:
            return
        texts = step.questions(self.rescued.drop("folder", "line", strict=False))
        self.generation["rows"] += self.rescued.height
        self.generation["texts"] += len(texts)
        self.generation["chars"] += sum(map(_chars, texts))
        stage = next(s for s in self.manifest["stages"] if s["steps"] == [step.label])
        spent = stage.get("generation", {}).values()
        built = {word: sum(s[word] for s in spent) for word in ("requests", "prompt_tokens", "output_tokens")}
        for word, spent in (
            ("prompt_tokens", built["prompt_tokens"]),
            ("output_tokens", built["output_tokens"]),
            ("hours", stage["seconds"] / 3600),
        ):
            share = len(texts) / built["requests"] if built["requests"] else None
            self.generation[word] = None if share is None else round(spent * share, 3 if word == "hours" else None)
        self._settle(self.rescued.with_columns(status=pl.lit(WAITING), reason=None), number)
        self.rescued = self.rescued.clear()

    # Rows and their places

    def _settle(self, which: pl.DataFrame, number: int | None) -> None:
        """Write the new fate of rows: `folder`, `line`, `status`, `reason`."""
        if not which.height:
            return
        fate = which.select(
            "folder", "line", s="status", n=pl.lit(number, pl.Int32), r=pl.col("reason").cast(pl.String)
        )
        joined = self.world.join(fate, on=["folder", "line"], how="left", maintain_order="left")
        new = (("new_status", "s"), ("new_step", "n"), ("new_reason", "r"))
        hit = pl.col("s").is_not_null()
        self.world = joined.with_columns(pl.when(hit).then(by).otherwise(name).alias(name) for name, by in new).drop(
            "s", "n", "r"
        )

    def _rescue(self, which: pl.DataFrame, number: int) -> None:
        """Put rows that step `number` had dropped on the road again, behind it."""
        if not which.height:
            return
        self._settle(which.with_columns(status=pl.lit("rescued"), reason=None), number)
        columns: Columns = self._columns(number)
        picked = self._read(which, list(columns))
        picked = picked.with_columns(pl.col(n).cast(t) for n, t in columns.items())
        self.rescued = pl.concat([self.rescued, picked], how="diagonal") if self.rescued.height else picked

    def _columns(self, number: int) -> Columns:
        """The columns of rows behind step `number`."""
        kind = next(iter(rows.text_paths(self._schema)))
        body = "messages" if kind.startswith("messages") else "translation"
        columns: Columns = {**rows.HEAD, body: self._schema[body]}
        for step in self.before[: number + 1]:
            columns = {**columns, **step.writes(columns)}
        return columns

    @functools.cached_property
    def _schema(self) -> Columns:
        return dict(pl.scan_parquet(sorted((self.folder / "dropped").glob("*.parquet"))).collect_schema())

    def _read(self, which: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """These rows of the corpus, with `folder` and `line`, in the order of the corpus."""
        found = []
        for number, name in enumerate(_FOLDERS):
            lines = which.filter(pl.col("folder") == number)["line"]
            scan = pl.scan_parquet(sorted((self.folder / name).glob("*.parquet"))).with_row_index("line")
            picked = scan.filter(pl.col("line").is_in(lines.implode())) if lines.len() else scan.head(0)
            found.append(picked.select(*columns, pl.lit(number, pl.Int8).alias("folder"), "line").collect())
        return pl.concat(found)

    def _keys(self, which: pl.DataFrame) -> pl.DataFrame:
        """Id, source and origin of these rows, in their order."""
        known = self._read(which, _KEY)
        return (
            which.select("folder", "line")
            .join(known, on=["folder", "line"], how="left", maintain_order="left")
            .select(_KEY)
        )

    def _places(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Rows by their keys, with `folder` and `line`."""
        ids = keys["id"].unique().implode()
        found = []
        for number, name in enumerate(_FOLDERS):
            scan = pl.scan_parquet(sorted((self.folder / name).glob("*.parquet"))).with_row_index("line")
            picked = scan.filter(pl.col("id").is_in(ids)).select(
                *_KEY, pl.lit(number, pl.Int8).alias("folder"), "line"
            )
            found.append(picked.collect())
        return keys.join(pl.concat(found), on=_KEY, how="inner")

    def flips(self) -> pl.DataFrame:
        """The rows whose fate has changed, in the order of the corpus."""
        number = pl.col("new_step")
        labels = dict(enumerate(self.labels))
        was_step = pl.when(pl.col("status") != KEPT).then(pl.col("at").replace_strict(labels, default="source"))
        new_step = pl.when(number.is_not_null()).then(
            number.replace_strict(labels, default=None, return_dtype=pl.String)
        )
        fate = self.world.filter(~self._here).select(
            "folder",
            "line",
            was=pl.struct(status="status", step=was_step, reason="reason"),
            becomes=pl.struct(status="new_status", step=new_step, reason="new_reason"),
        )
        fate = fate.filter(pl.col("was").ne_missing(pl.col("becomes")))
        told = self._keys(fate)
        return told.hstack(fate.select("was", "becomes"))


def _chars(question: Any) -> int:
    """Characters of a question, which may be texts in a tuple."""
    return len(question) if isinstance(question, str) else sum(map(_chars, question))


def told(artifact: str, settings: list[str], answer: Answer, shown: int) -> dict[str, Any]:
    """An answer for `--json`: totals, counts and the first `shown` rows of every kind of flip together."""
    turns = answer.flips.with_columns(said(side).alias(f"{side}_said") for side in ("was", "becomes"))
    each = pl.int_range(pl.len()).over("was_said", "becomes_said")
    some = turns.with_columns(each=each).sort("each", maintain_order=True).head(shown)  # of every kind one, then two
    return {
        "artifact": artifact,
        "set": settings,
        "kept": {"before": answer.kept_before, "after": answer.kept_after},
        "flips": answer.flips.height,
        "counts": answer.counts(),
        "generation": answer.generation,
        "rows": some.select("id", "source", "origin", was="was_said", becomes="becomes_said").to_dicts(),
        "notes": answer.notes,
        "seconds": round(answer.seconds, 3),
    }


def tell(told: dict[str, Any]) -> str:
    """An answer as text."""
    kept = told["kept"]
    lines = [
        f"{told['artifact']} with {', '.join(told['set'])}",
        f"  kept    {kept['before']:,} → {kept['after']:,} ({kept['after'] - kept['before']:+,})",
        f"  flips   {told['flips']:,} rows, in {told['seconds']:.1f} s",
    ]
    waiting = told["generation"]
    if waiting["rows"]:
        cost = [f"{waiting['texts']:,} texts of {waiting['chars']:,} characters"]
        if waiting.get("output_tokens") is not None:
            cost.append(f"about {waiting['prompt_tokens']:,} prompt and {waiting['output_tokens']:,} output tokens")
            cost.append(f"{waiting['hours']:g} hours, at the pace of this version's build")
        lines.append(f"  waiting {waiting['rows']:,} rows for a model: {', '.join(cost)}")
    lines += [f"  note    {note}" for note in told["notes"]]
    if told["counts"]:
        counted = [[f"{c['rows']:,}", c["source"], c["was"], c["becomes"]] for c in told["counts"]]
        lines += ["", table(["rows", "source", "was", "becomes"], counted)]
    if told["rows"]:
        listed = [[r["id"], r["source"], r["was"], r["becomes"]] for r in told["rows"]]
        lines += ["", table(["e.g.", "source", "was", "becomes"], listed)]
    return "\n".join(lines)
