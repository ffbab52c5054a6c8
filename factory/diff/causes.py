"""Why a row is in one version and not in the other, or reads otherwise: from the ledgers and the settings of both.

A cause is three columns: `why`, a stable identifier; `by`, the `step.reason` (or step) that it hangs on; and
`because`, what is known to differ there, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from hala_factory import lineage, recipe
from hala_factory.diff.settings import changed_fields
from hala_factory.diff.version import Version
from hala_factory.step import Normaliser

CORRECTIONS = "corrections"
"""The step by which people's corrections come into a version."""
WORDS = {
    "new_source": "its source is new in {here}",
    "new_in_source": "its source has more rows: its files changed",
    "edited_in_source": "its source was edited: another row stood at its place",
    "not_read": "{there} did not read that far into the same files",
    "was_dropped": "{there} dropped it",
    "was_failed": "it failed in {there}",
    "source_gone": "its source is not in {there}",
    "gone_from_source": "its source has it no more: its files changed",
    "edited_away": "its source was edited: another row stands at its place",
    "no_longer_read": "{there} does not read that far into the same files",
    "now_dropped": "{there} drops it",
    "now_failed": "it fails in {there}",
    "other_model": "another model wrote it",
    "other_settings": "a step that writes texts is set otherwise",
    "other_steps": "other steps write its texts",
    "corrected": "people corrected it in a review",
    "normalised": "a normaliser changed it otherwise",
    "answered_otherwise": "the same model, asked otherwise or again, answered otherwise",
    "other_facts": "its licence or subset is stated otherwise",
    "unexplained": "nothing that both versions recorded differs: the code of a step may",
}
"""Every `why` in plain words; `{here}` holds the row and `{there}` does not."""


@dataclass(frozen=True)
class Cause:
    """Why a step judged rows otherwise, as far as the settings tell."""

    because: str | None
    by_row: bool = False
    """Whether it is to be asked of each row."""


def of_step(label: str, gone: str, a: Version, b: Version) -> Cause:
    """Why the version `gone` (`a` or `b`) lost rows at a step, which the other one keeps."""
    one, other = (a, b) if gone == "a" else (b, a)
    if label == "source":
        return Cause("what is read of the source, and how, differs")
    if label not in other.steps:
        return Cause(f"{other.artifact} has no such step")
    if one.steps[label]["step"] != other.steps[label]["step"]:
        return Cause(f"{other.artifact} calls another step so: {other.steps[label]['step']}")
    if said := changed_fields(a, b, label):
        return Cause(f"set otherwise: {said}")
    if one.models_of(label) != other.models_of(label):
        return Cause("another model answers")
    if one.kinds.get(label) == "barrier":
        return Cause("the same rule over other rows: another row stays, or a copy is new or gone")
    return Cause(None, by_row=True)


def of_absence(one: Version, other: Version, *, source: str, edited: str, files: str, limit: str) -> pl.Expr:
    """Why rows of `one` (`source`, and `replaced`: another row stands at their place) are not among those of `other`.

    What is given are the words for the four cases: the source is not there; another row stands at the place; the
    files of the source differ; the files are the same, so it was not read so far.
    """
    here, there = one.manifest["lock"]["sources"], other.manifest["lock"]["sources"]
    same = [s for s in here if s in there and _digests(here[s]) == _digests(there[s])]
    came = lineage.through(lineage.corpora(here), pl.col("source"), pl.col("file"))
    return (
        pl.when(~came.is_in(list(there)))
        .then(pl.lit(source))
        .when(came.is_in(same))
        .then(pl.lit(limit))
        .when(pl.col("replaced"))
        .then(pl.lit(edited))
        .otherwise(pl.lit(files))
    )


def of_drops(flips: pl.DataFrame, gone: str, a: Version, b: Version) -> pl.Series:
    """`because` of rows that the version `gone` (`a` or `b`) lost at `step` and the other keeps."""
    one = a if gone == "a" else b
    causes = {label: of_step(label, gone, a, b) for label in flips["step"].unique().drop_nulls().to_list()}
    told = flips.select(
        because=pl.col("step").replace_strict(
            {k: c.because for k, c in causes.items()}, default=None, return_dtype=pl.String
        )
    )["because"]
    for label in (k for k, c in causes.items() if c.by_row):
        mine = (flips["step"] == label).fill_null(False)
        rows = flips.filter(mine)
        measures = [c for c in a.schema if c.startswith(f"{label}.") and c in b.schema]
        differs = _differ(a.columns(measures, rows["a"]), b.columns(measures, rows["b"]))
        same = WORDS["answered_otherwise" if one.kinds.get(label) == "ask" else "unexplained"]
        words = pl.select(pl.when(differs).then(pl.lit("its text came there otherwise")).otherwise(pl.lit(same)))
        told = told.scatter(mine.arg_true(), words.to_series())
    return told


def of_texts(changed: pl.DataFrame, a: Version, b: Version) -> pl.DataFrame:
    """`why`, `by` and `because` of rows that both keep and that read otherwise (lines `a` and `b`; `columns` differ).

    The first step that writes texts and of which something differs is named: of a normaliser, what it counted in the
    row; of a model, what decides its answers.
    """
    every, nothing = pl.lit(True), pl.lit(None, pl.String)
    chain: list[tuple[pl.Expr | pl.Series, str, str, str | None]] = []
    writers = _writers(a, b)
    for label, asks in writers.items():
        both = label in a.steps and label in b.steps
        settings = changed_fields(a, b, label)
        hits = every if asks else _counted_otherwise(label, changed, a, b)
        home = b if label in b.steps else a
        if home.steps[label]["step"] == CORRECTIONS:
            chain.append((hits, "corrected", label, None))
        elif not both:
            chain.append((hits, "other_steps", label, f"only {(a if label in a.steps else b).artifact} has it"))
        elif asks and a.models_of(label) != b.models_of(label):
            chain.append((hits, "other_model", label, _models(a, b, label)))
        elif settings:
            chain.append((hits, "other_settings", label, settings))
        elif not asks:
            chain.append((hits, "normalised", label, None))
    again = [w for w, asks in writers.items() if asks and w in a.steps and w in b.steps]
    if again:
        chain.append((every, "answered_otherwise", again[0], None))
    texts = ~pl.col("columns").list.eval(pl.element().is_in(["licence", "subset"])).list.all()
    answer = {"why": pl.lit("unexplained"), "by": nothing, "because": nothing}
    for hits, *cause in reversed(chain):
        for name, said in zip(answer, cause, strict=True):
            answer[name] = pl.when(hits).then(pl.lit(said, pl.String)).otherwise(answer[name])
    stated = {"why": pl.lit("other_facts"), "by": nothing, "because": nothing}
    return changed.select(pl.when(texts).then(answer[n]).otherwise(stated[n]).alias(n) for n in answer)


def _differ(ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.Series:
    """The rows in which any of these columns differs."""
    found = pl.Series([False]).new_from_index(0, ours.height)
    for name in ours.columns:
        found = found | ours[name].ne_missing(theirs[name])
    return found


def _counted_otherwise(label: str, changed: pl.DataFrame, a: Version, b: Version) -> pl.Series:
    """The rows in which a normaliser counted other changes; one that a version does not have counts nothing."""
    kinds = {c: kind for v in (a, b) for c, kind in v.schema.items() if c.startswith(f"{label}.")}
    said = [
        pl.col(c).cast(pl.String).fill_null("") if kind == pl.String else pl.col(c).cast(pl.Int64).fill_null(0)
        for c, kind in kinds.items()
    ]
    counts = [v.columns(kinds, changed[word]).select(said) for v, word in ((a, "a"), (b, "b"))]
    return _differ(*counts)


def _writers(a: Version, b: Version) -> dict[str, bool]:
    """The steps that write content, in order: true for those that ask a model, false for normalisers."""
    order = [*(s for s in a.steps if s not in b.steps), *b.steps]
    known = recipe.steps_called(frozenset(s["step"] for v in (a, b) for s in v.steps.values()))
    found: dict[str, bool] = {}
    for label in order:
        home = b if label in b.steps else a
        cls = known.get(home.steps[label]["step"])
        if cls is not None and issubclass(cls, Normaliser):
            found[label] = False
        elif home.kinds.get(label) == "ask":
            writes = cls.model_validate(home.steps[label]).writes(home.schema) if cls is not None else {"": None}
            if any("." not in column for column in writes):
                found[label] = True
    return found


def _models(a: Version, b: Version, label: str) -> str:
    names = [", ".join(m["model"] for m in v.models_of(label).values()) for v in (a, b)]
    return f"{names[0]} → {names[1]}" if names[0] != names[1] else f"{names[0]}, of another revision or quantisation"


def _digests(source: dict[str, Any]) -> list[str]:
    return sorted(f["digest"] for f in source["files"].values())
