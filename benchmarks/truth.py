"""Every kind of dirt in one table: what is found of it in real data, what falls beside it, and the goals.

    python benchmarks/truth.py [--data DIR] [--only PART]... [--json] [--read N]

Answers 1 where a goal is missed. How the dirt is known is told by each part, which runs alone as well
(`truth_language.py`, …); what was read is told in TRUTH.md.
"""

from __future__ import annotations

import sys

import truth_attractors
import truth_decontamination
import truth_dedup
import truth_language
import truth_leaks
import truth_pairs
from finding import report

PARTS = {
    "language": truth_language.findings,
    "leaks": truth_leaks.findings,
    "pairs": truth_pairs.findings,
    "attractors": truth_attractors.findings,
    "dedup": truth_dedup.findings,
    "decontamination": truth_decontamination.findings,
}


if __name__ == "__main__":
    sys.exit(report(PARTS, __doc__ or ""))
