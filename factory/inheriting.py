"""What a corpus inherits: licences of its sources' rows and of the models that it asks, before and after a build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from hala_factory.catalog import Model, Source
from hala_factory.errors import BuildError
from hala_factory.licences import Derived, Part, derive, forbidden_commerce
from hala_factory.lineage import through
from hala_factory.plan import Plan
from hala_factory.reader import Corpus
from hala_factory.recipe import Ready, SourceUse
from hala_factory.step import Ask

SIGNED = ("translator", "teacher")
"""The columns in which steps say which model wrote a row; several names stand with a comma between."""
_CHOOSES = "judge_model"


def expected(plan: Plan) -> Derived:
    """The licence of a corpus as it stands, or else as it is foreseen."""
    if plan.manifest is not None and plan.corpus.status == "stored" and "licence" in plan.manifest:
        return Derived.read(plan.manifest["licence"])
    return foreseen(plan.ready, _corpora(plan))


def foreseen(ready: Ready, corpora: Mapping[str, Corpus]) -> Derived:
    """The licence of a corpus before anything is read, with the rows of its sources as the catalog knows them.

    `corpora` are those of the store among the sources.
    """
    parts: list[Part] = []
    for use in ready.recipe.sources:
        entry = ready.sources[use.source]
        corpus = corpora.get(use.source)
        if corpus is not None:
            rows = sum(corpus.kept.values())
            parts += _came_with(corpus, use.limit if use.limit and use.limit < rows else None)
            continue
        counts = _sizes(entry, use, sample=ready.samples)
        parts += [_part(use.source, entry, licence, rows) for licence, rows in counts.items()]
    return derive(_merged([*parts, *_models(ready, {})]), ready.recipe.licence_override)


def inherited(plan: Plan, files: list[Path], *, asked: bool = True) -> Derived:
    """The licence of a corpus of the rows in these files, which have `source`, `licence` and `origin`.

    Rows that came with a corpus bring what binds it: their licences as they stood there, and its models, which count
    as having written all of these rows. Rows for which no model was `asked` so far count as to be written by all.
    """
    ready, corpora = plan.ready, _corpora(plan)
    rows = pl.scan_parquet(files)
    came = through(corpora, pl.col("source"), pl.col("origin").struct.field("file"))
    counted = rows.group_by("source", "licence", came=came).len("rows").sort("source", "licence", "came").collect()
    known = {(use, p.name, p.licence): p for use, c in corpora.items() for p in _came_with(c) if p.kind == "source"}
    parts, brought = list[Part](), dict[str, int]()
    for source, licence, use, n in counted.iter_rows():
        if use in corpora:
            brought[use] = brought.get(use, 0) + n
            parts.append(replace(known.get((use, source, licence), Part(source, "source", licence)), rows=n))
        else:
            parts.append(_part(source, ready.sources[source], licence, n))
    names = [c for c in SIGNED if c in rows.collect_schema()]
    wrote: dict[str, int] = {}
    for *said, n in rows.group_by(names).len().collect().iter_rows() if names else ():
        for name in {name for each in said if each for name in each.split(", ")}:
            wrote[name] = wrote.get(name, 0) + n
    total = int(counted["rows"].sum())
    for use, n in brought.items():
        there = [p for p in _came_with(corpora[use]) if p.kind == "model" and p.rows != 0]
        parts += [replace(p, rows=n if p.rows is None or corpora[use].sides else min(n, p.rows)) for p in there]
    models = _models(ready, wrote, total) if asked else _models(ready, {})
    return derive(_merged([*parts, *models]), ready.recipe.licence_override)


def require_commercial(plan: Plan, derived: Derived) -> None:
    """Raise BuildError where the recipe asks for commercial use, and something it is made of does not allow it."""
    against = forbidden_commerce(derived) if plan.ready.recipe.commercial_use else []
    if against:
        listed = "\n".join(f"  - {reason}" for reason in against)
        raise BuildError(
            f"{plan.artifact}: the recipe asks for 'commercial_use', and the corpus would not allow it, because of\n"
            f"{listed}\nnothing was published; leave these rows out ('where' of a source), or take another model"
        )


def _corpora(plan: Plan) -> dict[str, Corpus]:
    """The sources that are corpora of the store."""
    return {s.use.source: s.located.corpus for s in plan.stages if s.use and s.located and s.located.corpus}


def _came_with(corpus: Corpus, limit: int | None = None) -> list[Part]:
    """What binds a corpus, as its manifest told it; with a `limit`, of how many rows is not known."""
    parts = [Part(**{**p, "says": tuple(p["says"]), "also": tuple(p["also"])}) for p in corpus.parts]
    return [replace(p, rows=None) if limit and p.rows else p for p in parts]


def _merged(parts: Iterable[Part]) -> list[Part]:
    """Parts of one name and licence together, their rows added up."""
    found: dict[tuple[str, str, str], Part] = {}
    for part in parts:
        key = (part.kind, part.name, part.licence)
        before = found.get(key)
        if before is not None:
            counts = (before.rows, part.rows)
            part = replace(before, rows=None if None in counts else sum(n for n in counts if n is not None))
        found[key] = part
    return list(found.values())


def _sizes(entry: Source, use: SourceUse, *, sample: bool) -> Mapping[str, int | None]:
    """Rows of a source by licence, as far as the catalog knows them before they are read."""
    if sample or not entry.subsets:
        return {entry.licence: None if sample else _least(entry.size, use.limit)}
    taken = use.where.get(entry.subset) if entry.subset else None
    named = None if taken is None else {str(part) for part in (taken if isinstance(taken, list) else [taken])}
    sizes: dict[str, int | None] = {}
    for name, subset in entry.subsets.items():
        if named is not None and name not in named:
            continue
        before = sizes.get(subset.licence, 0)
        rows = None if use.limit else subset.rows
        sizes[subset.licence] = None if before is None or rows is None else before + rows
    return sizes


def _least(*numbers: int | None) -> int | None:
    return min((n for n in numbers if n is not None), default=None)


def _part(name: str, entry: Source, licence: str, rows: int | None) -> Part:
    own = licence == entry.licence
    notes = [s.note for s in entry.subsets.values() if s.licence == licence and s.note]
    return Part(
        name,
        "source",
        licence,
        rows,
        entry.licence_page,
        entry.licence_note if own or not notes else " ".join(dict.fromkeys(notes)),
        entry.licence_says if own else (),
        entry.also_under,
    )


def _models(ready: Ready, wrote: Mapping[str, int], rows: int | None = None) -> list[Part]:
    """The models that steps ask: with the rows that they wrote where the rows say so, else with all rows."""
    found: dict[str, Part] = {}
    asks = [step for step in ready.recipe.steps if isinstance(step, Ask)]
    signs = {step.label: set(SIGNED).intersection(step.writes({})) for step in asks}
    for step in asks:
        overwritten = any(signs[step.label] & signs[other.label] for other in asks if other is not step)
        for field, asked in step.asked().items():
            name, model = ready.model(asked)
            n = rows
            if rows is not None and signs[step.label] and not overwritten and field != _CHOOSES:
                n = wrote.get(name, 0)
            before = found.get(name)
            if before is not None and before.rows is not None and n is not None:
                n = max(n, before.rows)
            found[name] = model_part(name, model, n)
    return list(found.values())


def model_part(name: str, entry: Model, rows: int | None = None) -> Part:
    """What a model of the catalog wrote, as far as licences go."""
    says, also = entry.licence_says, entry.also_under
    return Part(name, "model", entry.licence, rows, entry.licence_page, entry.licence_note, says, also)


def licence_counts(parts: Iterable[Part]) -> dict[str, int]:
    """Rows by licence, as the manifest's `licences` tells them."""
    counts: dict[str, int] = {}
    for part in parts:
        if part.kind == "source":
            counts[part.licence] = counts.get(part.licence, 0) + (part.rows or 0)
    return dict(sorted(counts.items()))
