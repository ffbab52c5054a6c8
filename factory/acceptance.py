"""Acceptance: what a recipe asks of its review, and the sampling plan that answers it, fixed before anyone looks.

The model: `accept_if` names a share of bad rows and how sure one wants to be. A corpus with a larger share than that
passes its review with a probability of at most 1 - confidence. Rows are drawn, and the corpus is accepted if at most
`allowed` draws are bad. The plan is exact: hypergeometric for a corpus of few rows, binomial for a larger one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hala_factory.binomial import binomial_tail, draws_needed, hypergeometric_tail, least_bad, rows_needed
from hala_factory.documented import Documented
from hala_factory.errors import InputError, did_you_mean
from hala_factory.fingerprint import file_digest
from hala_factory.validation import FieldError

REVISION = 1
"""Raised when the same rows and the same plan draw another sample."""
FEW = 10
"""A corpus of less than so many times the sample is sampled without replacement and judged by the hypergeometric."""
Verdict = Literal["good", "fix", "bad"]
Method = Literal["simple", "slices"]


class AcceptIf(Documented):
    """When a corpus is accepted: a share of bad rows and how sure to be, or a size of the sample; one of the two."""

    max_bad_share: float | None = Field(None, gt=0, lt=1)
    """Largest share of bad rows that is acceptable."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """How sure to be: a corpus with a larger share of bad rows is rejected at least this often."""
    sample: int | None = Field(None, ge=1)
    """Rows to look at, in place of a share."""
    allowed: int = Field(0, ge=0)
    """How many of the sample may be bad."""

    @model_validator(mode="after")
    def _one_of_two(self) -> AcceptIf:
        if (self.max_bad_share is None) == (self.sample is None):
            raise FieldError("max_bad_share", "accept_if wants either 'max_bad_share' or 'sample'")
        if self.sample is not None and "confidence" in self.model_fields_set:
            raise FieldError("confidence", "'confidence' goes with 'max_bad_share'; a given 'sample' has its own")
        if self.sample is not None and self.allowed >= self.sample:
            raise FieldError("allowed", f"expected less than 'sample' ({self.sample}), found {self.allowed}")
        return self


class Review(Documented):
    """People look at a sample of the corpus before it may be published; what is drawn is fixed by the build."""

    accept_if: AcceptIf
    """When the corpus is accepted."""
    seed: int = Field(0, ge=0)
    """Draws another sample; fixed in the manifest with the plan."""
    score: str | None = None
    """A measure of the rows (`similarity.score`): the sample is spread over its range, and the report told by it."""
    bins: Annotated[int, Field(ge=2, le=20)] | Annotated[list[float], Field(min_length=1, max_length=19)] = 4
    """Ranges of the score: so many of about equal numbers of rows, or the bounds between them."""
    min_per_stratum: int = Field(5, ge=0, le=100)
    """Fewest rows to look at of every source and range of the score; what is drawn for that does not decide."""
    double: float = 0.15
    """Share of the rows that two people judge without knowing of each other: from 0.1 to 0.2; 0: none."""
    gold: str | None = "planted"
    """Tasks of which the answer is known: `planted`, rows of the corpus made bad on purpose, or a JSONL file of
    `source`, `target` and `verdict`; null: none."""
    gold_share: float = Field(0.05, ge=0, le=0.2)
    """How many tasks of known answer, as a share of the sample."""
    repeat_share: float = Field(0.05, ge=0, le=0.2)
    """How many tasks are asked twice, to see whether one person gives the same answer, as a share of the sample."""
    dropped: int = Field(20, ge=0, le=2_000)
    """How many rows that were dropped are looked at, to see how often that was wrong."""
    counts_as_bad: Annotated[tuple[Verdict, ...], Field(min_length=1)] = ("bad",)
    """Verdicts that make a row bad; `[bad, fix]` is stricter."""
    guidelines: str | None = None
    """What reviewers are told besides the guidelines that all reviews have: Markdown, or the path of a .md file."""

    @model_validator(mode="after")
    def _works(self) -> Review:
        if self.double and not 0.1 <= self.double <= 0.2:
            raise FieldError("double", f"expected 0, or from 0.1 to 0.2, found {self.double:g}")
        if "good" in self.counts_as_bad:
            raise FieldError("counts_as_bad", "a good row cannot count as bad")
        if isinstance(self.bins, list) and self.bins != sorted(set(self.bins)):
            raise FieldError("bins", "expected bounds that rise")
        if self.score is None and "bins" in self.model_fields_set:
            raise FieldError("bins", "'bins' are of a score: name a measure of the rows in 'score'")
        return self

    def faults(self, columns: dict[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with it for rows with these columns: (field, message)."""
        found = []
        measures = {c for c, t in columns.items() if "." in c and t.is_numeric()}
        if self.score is not None and self.score not in measures:
            message = f"the rows have no measure {self.score!r} that is a number{did_you_mean(self.score, measures)}"
            found.append(("score", message))
        for field, read in (("gold", self.gold_items), ("guidelines", self.told_guidelines)):
            try:
                read()
            except InputError as error:
                found.append((field, str(error)))
        return found

    def gold_items(self) -> list[dict[str, str]]:
        """The items of the gold file. Raises InputError where it cannot be read, or at a line that is no item."""
        if self.gold in (None, "planted"):
            return []
        items = []
        for number, line in enumerate(_text(str(self.gold)).splitlines(), 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                made = {"source": item.get("source"), "target": item["target"], "verdict": item["verdict"]}
            except (ValueError, KeyError, TypeError, AttributeError):
                made = {}
            texts = isinstance(made.get("source"), str | None) and isinstance(made.get("target"), str)
            if not texts or made.get("verdict") not in ("good", "fix", "bad"):
                form = '{"source": "…", "target": "…", "verdict": "good", "fix" or "bad"}'
                raise InputError(f"{self.gold}:{number}: expected {form}")
            items.append(made)
        if not items:
            raise InputError(f"{self.gold}: holds no items")
        return items

    def told_guidelines(self) -> str | None:
        """The added guidelines. Raises InputError for a file that cannot be read."""
        if self.guidelines is None or not self.guidelines.endswith(".md"):
            return self.guidelines
        return _text(self.guidelines)

    def identity(self) -> dict[str, Any]:
        """What decides the sample and the decision, for the fingerprint: of files their content."""
        files = {
            field: file_digest(Path(path).expanduser())
            for field, path in (("gold", self.gold), ("guidelines", self.guidelines))
            if path and (path.endswith(".md") or (field == "gold" and path != "planted"))
        }
        return {**self.model_dump(mode="json"), **files, "revision": REVISION}


def _text(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


@dataclass(frozen=True)
class Sampling:
    """A sampling plan for a corpus of known size."""

    rows: int
    """Of the corpus."""
    draws: int
    allowed: int
    method: Method
    """`simple`: a simple random sample without replacement; `slices`: one draw of each of `draws` equal slices of the
    rows in the order of their strata, which may draw a row twice where two slices share it."""

    def accepts(self, share: float) -> float:
        """The operating characteristic: how probably a corpus with this share of bad rows is accepted.

        Of `slices` it is what simple draws would give, which for a share above `max_bad_share` is an upper bound.
        """
        if self.method == "simple":
            return hypergeometric_tail(self.allowed, self.rows, round(share * self.rows), self.draws)
        return binomial_tail(self.allowed, self.draws, share)


def sampling(accept: AcceptIf, rows: int) -> Sampling:
    """The plan for a corpus of so many rows."""
    if accept.sample is not None:
        few = rows < FEW * accept.sample
        return Sampling(rows, min(accept.sample, rows), accept.allowed, "simple" if few else "slices")
    assert accept.max_bad_share is not None
    draws = draws_needed(accept.max_bad_share, accept.confidence, accept.allowed)
    if rows >= FEW * draws:
        return Sampling(rows, draws, accept.allowed, "slices")
    allowed = min(accept.allowed, least_bad(accept.max_bad_share, rows) - 1)
    needed = rows_needed(accept.max_bad_share, accept.confidence, allowed, rows)
    return Sampling(rows, needed, allowed, "simple")


def words(review: Review, rows: int | None) -> str:
    """The plan as a sentence, for a corpus of so many rows or, before it is built, of many."""
    accept = review.accept_if
    plan = sampling(accept, rows if rows is not None else 10**12)
    bad = " or ".join(review.counts_as_bad)
    allowed = {0: f"none is {bad}", 1: f"at most one is {bad}"}.get(plan.allowed, f"at most {plan.allowed} are {bad}")
    count = f"{plan.draws:,} rows" if rows is None else f"{plan.draws:,} of {rows:,} rows"
    said = f"people judge {count}; the corpus is accepted if {allowed}"
    if accept.max_bad_share is not None:
        said += (
            f", so that one with a larger share of bad rows than {accept.max_bad_share:.3g} passes with a probability "
            f"of at most {1 - accept.confidence:.2g}"
        )
    else:
        said += f"; one with 5 % bad rows would pass with a probability of {plan.accepts(0.05):.2g}"
    return said + (f" (fewer where the corpus has less than {FEW * plan.draws:,} rows)" if rows is None else "")
