"""Exact tails of the binomial and the hypergeometric distribution, and what follows: sample sizes, intervals.

Sums of terms by their logarithms: right to about 1e-12, which tests hold against published tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

LARGEST = 1_000_000
"""Rows of the largest sample that is looked for."""


def binomial_tail(count: int, draws: int, share: float) -> float:
    """P(X ≤ count) of so many independent draws, each bad with probability `share`."""
    if count >= draws or share <= 0:
        return 1.0
    if count < 0 or share >= 1:
        return 0.0
    yes, no = math.log(share), math.log1p(-share)
    return min(1.0, math.fsum(math.exp(_choose(draws, k) + k * yes + (draws - k) * no) for k in range(count + 1)))


def hypergeometric_tail(count: int, rows: int, bad: int, sample: int) -> float:
    """P(X ≤ count) of bad rows in a simple random sample without replacement of `rows`, of which `bad` are bad."""
    least, most = max(0, sample + bad - rows), min(bad, sample)
    if count >= most:
        return 1.0
    whole = _choose(rows, sample)
    terms = (_choose(bad, k) + _choose(rows - bad, sample - k) - whole for k in range(least, count + 1))
    return min(1.0, math.fsum(map(math.exp, terms)))


def _choose(n: int, k: int) -> float:
    """The logarithm of n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def draws_needed(max_bad_share: float, confidence: float, allowed: int) -> int:
    """The fewest draws of which at most `allowed` are bad with a probability of at most 1 - confidence.

    For any share of bad rows above `max_bad_share`. `allowed` is then at most the expected count less one, so that the
    bound holds for draws of unequal probabilities, too (Hoeffding 1956, theorem 4; see the decision on review).
    """

    def safe(n: int) -> bool:
        expected = allowed == 0 or allowed <= n * max_bad_share - 1
        return expected and binomial_tail(allowed, n, max_bad_share) <= 1 - confidence

    return _first(safe, allowed + 1, LARGEST)


def rows_needed(max_bad_share: float, confidence: float, allowed: int, rows: int) -> int:
    """As `draws_needed`, for a simple random sample without replacement of `rows`; no more than all of them."""
    bad = least_bad(max_bad_share, rows)
    return _first(lambda n: hypergeometric_tail(allowed, rows, bad, n) <= 1 - confidence, min(allowed + 1, rows), rows)


def least_bad(max_bad_share: float, rows: int) -> int:
    """The fewest bad rows that are more than this share of `rows`."""
    return math.floor(round(max_bad_share * rows, 9)) + 1


def _first(true: Callable[[int], bool], low: int, high: int) -> int:
    """The first number for which it is true, as it is for all above; `high` where there is none."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle + 1, high)
    return low


def exact(bad: int, draws: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of Clopper and Pearson (1934) for a share: never covers less than it says."""
    if draws == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if bad == 0 else _root(lambda p: 1 - binomial_tail(bad - 1, draws, p) - tail)
    high = 1.0 if bad == draws else _root(lambda p: tail - binomial_tail(bad, draws, p))
    return low, high


def _root(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def wilson(share: float, draws: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of Wilson (1927) for a share found in so many draws; these may be an effective number."""
    if draws <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(share * (1 - share) / draws + z * z / (4 * draws * draws))
    return max(0.0, middle - half), min(1.0, middle + half)
