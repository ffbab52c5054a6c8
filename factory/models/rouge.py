"""ROUGE-L: the longest common subsequence of the words of a translation and its reference (Lin 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

SIGNATURE = "rouge-l|f1|tok:intl|case:mixed|mean of sentences"
"""How it is counted. `intl` is sacreBLEU's tokenizer that parts punctuation and symbols of every script from words;
that of the package rouge_score knows no letters but a to z, and finds nothing in Arabic."""


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """F1 of every pair, from 0 to 1; 0 where either has no word."""
    return [_f1(_words(h), _words(r)) for h, r in zip(hypotheses, references, strict=True)]


def _f1(hypothesis: list[str], reference: list[str]) -> float:
    common = _longest_common(hypothesis, reference)
    return 2 * common / (len(hypothesis) + len(reference)) if common else 0.0


def _longest_common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, a bit for every word of `one` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for n, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << n
    everything = (1 << len(one)) - 1
    row = everything
    for word in other:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & everything
    return len(one) - row.bit_count()


def _words(text: str) -> list[str]:
    return str(_tokenizer()(text)).split()


@cache
def _tokenizer() -> Any:
    from sacrebleu.tokenizers import tokenizer_intl

    made: Any = tokenizer_intl.TokenizerV14International
    return made()
