"""Tables as plain text: columns as wide as they must be, for terminals and messages."""

from __future__ import annotations


def table(head: list[str], lines: list[list[str]]) -> str:
    """Head and lines in columns, two spaces apart."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in [head, *lines]
    )
