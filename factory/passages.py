"""Passages: a text of a row as a page can show it: which way it runs, where code stands, what cannot be seen.

Rows are untrusted. Characters that turn the direction of what follows, and all others without a shape of their own,
are shown by their number, so that no text can dress as another.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from hala_factory import structure

MAX_CHARS = 1_200
"""Characters of a text that a page shows; a row may be a book."""
RESULT = "result"
"""What the side is called that steps made of the others."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_MARKED = re.compile(r"[`$\\<{@/]|^(?: {4}|\t)", re.MULTILINE)
"""Without any of these a text holds no span to find."""
_LEFT_TO_RIGHT = {"code", "latex", "url", "email", "path", "placeholder", "tag", "json_key"}


def passage(text: str | None, most: int | None = MAX_CHARS) -> dict[str, Any]:
    """`dir` (rtl or ltr) and `parts`: pairs of a kind and a text; `cut` says how many characters are left out.

    `most` is how many characters are shown; None: all of them.

    Kinds: `t` text, `c` a span that is read from left to right, `b` a block of it, `u` the number of a character
    that cannot be seen.
    """
    if text is None:
        return {"dir": "ltr", "parts": [], "cut": 0}
    shown = text[:most]
    spans = [s for s in structure.spans(shown) if s.kind in _LEFT_TO_RIGHT] if _MARKED.search(shown) else []
    parts: list[tuple[str, str]] = []
    prose, at = [], 0
    for span in spans:
        if span.start < at:
            continue
        before = shown[at : span.start]
        prose.append(before)
        parts += _seen("t", before.removesuffix("\n") if span.block else before)
        parts += _seen("b" if span.block else "c", span.text)
        at = span.end + (span.block and shown[span.end : span.end + 1] == "\n")
    prose.append(shown[at:])
    parts += _seen("t", shown[at:])
    return {"dir": direction("".join(prose)), "parts": parts, "cut": len(text) - len(shown)}


def direction(text: str) -> str:
    """`rtl` where more letters run from right to left than the other way."""
    kinds = [unicodedata.bidirectional(c) for c in text[:MAX_CHARS]]
    right = sum(kind in ("R", "AL") for kind in kinds)
    return "rtl" if right > kinds.count("L") else "ltr"


def _seen(kind: str, text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    for match in _UNSEEN.finditer(text):
        found += [(kind, text[at : match.start()]), ("u", f"U+{ord(match[0]):04X}")]
        at = match.end()
    found.append((kind, text[at:]))
    return [(k, t) for k, t in found if t]


def plain(text: str) -> str:
    """One line of a text, with what cannot be seen by its number."""
    return "".join(t if k == "t" else f"[{t}]" for k, t in _seen("t", " ".join(text.split())))


def turns(texts: dict[str, Any]) -> list[dict[str, Any]]:
    """The texts of a row, turn by turn, each with what it was made from: `role` and `sides` (`label`, a passage).

    Messages and what is kept of them before a translation (`messages_en`) stand side by side, the source first.
    """
    lists = {k: v for k, v in texts.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    found = []
    if lists:
        order = [*(k for k in lists if k != "messages"), *(k for k in lists if k == "messages")]
        for number in range(max(map(len, lists.values()))):
            here = {k: lists[k][number] for k in order if number < len(lists[k])}
            role = next(reversed(here.values())).get("role") or "?"
            sides = [
                {"label": k.partition("_")[2] or (RESULT if len(here) > 1 else ""), **passage(v.get("content"))}
                for k, v in here.items()
            ]
            found.append({"role": str(role), "sides": sides})
    for name, value in texts.items():
        if isinstance(value, dict):
            found.append({"role": name, "sides": [{"label": k, **passage(v)} for k, v in value.items()]})
    return found
