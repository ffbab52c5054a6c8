"""Spans: stretches of a text that must survive a translation as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["code", "latex", "url", "email", "path", "placeholder", "tag", "json_key"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, order=True)
class Span:
    """One protected stretch: `text` is exactly what stands between `start` and `end` of the whole text."""

    start: int
    end: int
    kind: Kind
    text: str
    block: bool = False
    """Whether it fills whole lines (a fenced block, a display formula): such a span is never sent anywhere."""
