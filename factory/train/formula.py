"""What merged weights should be, in float64: by the formulas of the papers, not by mergekit's code.

The model: the first tensor is where `t` is 0, the last is the tuned model's, where it is 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

PARALLEL = 0.9995
"""The cosine from which mergekit's slerp takes the straight line instead: the arc's formula divides by its sine."""
NEAR = 1e-6
"""How near to a border a number reckoned in float32 may be on its other side."""

Choices = list[Any]
"""What the merged tensor may be; more than one where float32 may fall on either side of a border."""


def slerp(tensors: Sequence[Any], t: float, density: float) -> Choices:
    """Along the arc between two tensors, each taken as one vector (Shoemake 1985)."""
    a, b = tensors
    norms = [norm if norm > 1e-8 else 1.0 for norm in (float(a.norm()), float(b.norm()))]
    cosine = max(-1.0, min(1.0, float((a * b).sum()) / norms[0] / norms[1]))
    found = []
    if abs(cosine) > PARALLEL - NEAR:
        found.append((1 - t) * a + t * b)
    if abs(cosine) < PARALLEL + NEAR:
        angle = math.acos(cosine)
        found.append((math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle))
    return found


def linear(tensors: Sequence[Any], t: float, density: float) -> Choices:
    """A weighted mean (arXiv 2203.05482): `t` of the last tensor, and of the others the rest in equal parts."""
    *others, tuned = tensors
    return [t * tuned + (1 - t) * sum(others) / len(others)]


def task_arithmetic(tensors: Sequence[Any], t: float, density: float) -> Choices:
    """What was learnt, all of it added to the first tensor, `t` times (arXiv 2212.04089)."""
    base, *others = tensors
    return [base + t * sum(other - base for other in others)]


def ties(tensors: Sequence[Any], t: float, density: float) -> Choices:
    """What was learnt most by each, where most of it points one way (arXiv 2306.01708): its mean, `t` times.

    Several answers: float32 may keep a change as large as the smallest one kept or not, and changes that balance may
    point either way.
    """
    base, *others = tensors
    changes = [other - base for other in others]
    found = []
    for slack, lean in itertools.product((1 - NEAR, 1 + NEAR), (-NEAR, NEAR)):
        kept = [change * (change.abs() >= _least_kept(change, density) * slack) for change in changes]
        way = (sum(kept) >= lean * sum(change.abs() for change in kept)) * 2 - 1
        agreeing = [change * (change.sign() == way) for change in kept]
        count = sum((change != 0).to(base.dtype) for change in agreeing)
        found.append(base + t * sum(agreeing) / count.clamp(min=1))
    return found


def _least_kept(change: Any, density: float) -> Any:
    count = max(1, int(density * change.numel()))
    return change.abs().reshape(-1).kthvalue(change.numel() - count + 1).values


FORMULAS: dict[str, Callable[[Sequence[Any], float, float], Choices]] = {
    "slerp": slerp,
    "linear": linear,
    "task_arithmetic": task_arithmetic,
    "ties": ties,
}


def error(merged: Any, tensors: Sequence[Any], method: str, t: float, density: float) -> float:
    """How far a merged tensor is from its formula at most, beyond what its type must round.

    Where the formula leaves a choice, each number may be either.
    """
    import torch

    half = torch.finfo(merged.dtype).eps / 2
    choices = FORMULAS[method]([tensor.double() for tensor in tensors], t, density)
    off = [(merged.double() - choice).abs() - half * choice.abs() for choice in choices]
    least = off[0]
    for other in off[1:]:
        least = least.minimum(other)
    return max(0.0, float(least.max()))
