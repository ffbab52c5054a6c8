"""Blocks around a built card: what is known only when a version is published, put in so that it can be taken out."""

from __future__ import annotations

import re

from hala_factory.errors import BuildError

_BEGIN, _END = "<!-- published: begin -->", "<!-- published: end -->"
_BLOCK = re.compile(rf"\n{_BEGIN}\n.*?\n{_END}\n", re.DOTALL)
_TITLE = re.compile(r"^# .*\n", re.MULTILINE)


def put(built: str, head: str, tail: str) -> str:
    """A card with `head` below its title and `tail` at its end, from which `without` makes the built one again.

    Raises BuildError where the card holds the marks of such blocks already.
    """
    title = _TITLE.search(built)
    at = title.end() if title else 0
    made = built[:at] + _block(head) + built[at:] + _block(tail)
    if without(made) != built:
        raise BuildError(
            f"README.md holds the mark {_BEGIN!r}; take it out of the recipe's description and build again"
        )
    return made


def without(published: str) -> str:
    """The card as it was built."""
    return _BLOCK.sub("", published)


def _block(text: str) -> str:
    return f"\n{_BEGIN}\n{text.strip()}\n{_END}\n" if text.strip() else ""
