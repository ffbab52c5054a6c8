"""Scores of two sets of translations of the same texts: BLEU and chrF++ by sacreBLEU, and what is noise in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

NOISE = 0.05
"""A difference whose p is above this is told as noise."""
RESAMPLES = 1_000
"""Of the paired bootstrap; sacreBLEU's default."""


@dataclass(frozen=True)
class Score:
    """One metric over both sets, from 0 to 100."""

    original: float
    quantised: float
    p: float | None
    """How likely resampling alone makes such a difference; None where both are equal."""
    signature: str
    """sacreBLEU's, to be cited with the scores."""

    @property
    def loss(self) -> float:
        """What the second set lost."""
        return self.original - self.quantised

    @property
    def noise(self) -> bool:
        """Whether the difference is within what other pairs of texts could have shown."""
        return self.p is None or self.p > NOISE

    def told(self) -> dict[str, Any]:
        """The score for a manifest."""
        return {**asdict(self), "loss": self.loss, "noise": self.noise}


def compare(original: list[str], quantised: list[str], references: list[str]) -> dict[str, Score]:
    """`bleu` and `chrf` (chrF++: words count up to pairs) of both, with a paired bootstrap resampling test."""
    from sacrebleu.significance import PairedTest

    metrics = _metrics()
    systems: list[tuple[str, Sequence[str]]] = [("original", original), ("quantised", quantised)]
    test = PairedTest(systems, metrics, [references], test_type="bs", n_samples=RESAMPLES)
    signatures, found = test()
    scores = {}
    for word, called in zip(metrics, signatures, strict=True):
        before, after = (round(float(result.score), 4) for result in found[called])  # type: ignore[union-attr]
        # sacreBLEU gives two equal systems the least p there is: no resampling differs by more than nothing
        p = None if before == after else round(float(found[called][1].p_value), 4)  # type: ignore[union-attr, arg-type]
        scores[word] = Score(before, after, p, str(signatures[called]))
    return scores


def score(hypotheses: list[str], references: list[str]) -> dict[str, tuple[float, str]]:
    """`bleu` and `chrf` of one set, with the signature."""
    found = {}
    for word, metric in _metrics().items():
        points = round(float(metric.corpus_score(hypotheses, [references]).score), 4)
        found[word] = (points, str(metric.get_signature()))
    return found


def _metrics() -> dict[str, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return {"bleu": BLEU(), "chrf": CHRF(word_order=2)}
