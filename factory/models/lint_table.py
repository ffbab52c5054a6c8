"""The report of a lint for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hala_factory.models.step import Verdict
from hala_factory.tables import table


def tell(report: dict[str, Any], verdicts: Sequence[Verdict]) -> str:
    """A report for people: what was found, the tokens, the languages, the bounds."""
    rows, tokens, lengths = report["rows"], report["tokens"], report["lengths"]
    found = [
        [word, f"{f['rows']:,}", f"{share(f['rows'], rows):.3%}", f"{', '.join(f['examples'][:3])}  {f['message']}"]
        for word, f in report["findings"].items()
    ]
    limit = f"{report['max_length']:,} tokens" if report["max_length"] else "any length"
    parts = [
        f"{rows:,} rows, up to {limit}; {tokens['total']:,} tokens, {share(tokens['trained'], tokens['total']):.1%} "
        f"of them trained, {share(tokens['cut'], tokens['total']):.3%} cut; "
        + ", ".join(f"{word} {n:,}" for word, n in lengths.items()),
        table(["found", "rows", "share", "for example"], found) if found else "nothing found",
    ]
    if report["unread"]:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(report["unread"].items()))
        parts.append(f"records that are no rows, and were not looked at: {reasons}")
    if report["special"]:
        parts.append("special tokens in texts: " + ", ".join(f"{t} ({n:,})" for t, n in report["special"].items()))
    spoken = [
        [name, f"{c['messages']:,}", f"{c['tokens']:,}", *(f"{v:.2f}" if v else "" for v in fertility(c).values())]
        for name, c in sorted(report["languages"].items(), key=lambda item: -item[1]["tokens"])
    ]
    parts.append(table(["language", "messages", "tokens", "tokens/word", "tokens/character"], spoken))
    held = [[v.gate, v.found, v.asked, "passed" if v.passed else "FAILED"] for v in verdicts]
    return "\n\n".join([*parts, table(["bound", "found", "asked", ""], held)])


def fertility(counts: dict[str, int]) -> dict[str, float | None]:
    """Tokens of a word (what stands between white space) and of a character; None where there is none."""
    per = {"tokens_per_word": counts["words"], "tokens_per_character": counts["characters"]}
    return {name: round(counts["tokens"] / n, 4) if n else None for name, n in per.items()}


def rows_with(report: dict[str, Any], word: str) -> int:
    """The rows of which something was found."""
    return int(report["findings"].get(word, {"rows": 0})["rows"])


def share(part: int, whole: int) -> float:
    """A part of a whole; 0 of nothing."""
    return part / whole if whole else 0.0
