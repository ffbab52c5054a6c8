"""How many rows of every stratum are drawn: for the decision, and besides so that no stratum is left unseen.

The model: the rows lie in a line, stratum after stratum, and the line is cut into as many equal slices as there are
draws. One point of every slice is chosen at random, independently of the others. Every row is so drawn `draws / rows`
times on average; bad draws are a sum of independent trials of that mean, for which the binomial bound of the plan
holds (Hoeffding 1956). Within a stratum any row may take any place, so only the counts matter.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hala_factory.acceptance import Sampling

Stratum = tuple[str, int]


@dataclass(frozen=True)
class Share:
    """What is drawn of one stratum."""

    rows: int
    """Different rows for the decision."""
    twice: int
    """How many of them were drawn twice, by the two slices that share them, and count twice."""


def sliced(plan: Sampling, strata: Mapping[Stratum, int], seed: str) -> dict[Stratum, Share]:
    """The share of every stratum, by one draw of every slice."""
    rng = random.Random(seed)
    ends = list(itertools.accumulate(strata.values()))
    drawn = [int((j + rng.random()) * plan.rows / plan.draws) for j in range(plan.draws)]
    rows: dict[Stratum, Counter[int]] = {stratum: Counter() for stratum in strata}
    names = list(strata)
    for row in drawn:
        row = min(row, plan.rows - 1)
        rows[names[bisect.bisect_right(ends, row)]][row] += 1
    return {s: Share(len(c), sum(n > 1 for n in c.values())) for s, c in rows.items()}
