"""What a comparison says: as data for `--json` and the page, and as text for a terminal."""

from __future__ import annotations

from typing import Any

from hala_factory.diff.causes import WORDS
from hala_factory.diff.comparing import CHANGES, Compared
from hala_factory.diff.drift import MIN_ROWS, MOVED
from hala_factory.diff.settings import shown as setting
from hala_factory.diff.version import Version
from hala_factory.journey import texts
from hala_factory.tables import table


def told(
    compared: Compared, settings: list[dict[str, Any]], drift: list[dict[str, Any]], shown: int, seconds: float
) -> dict[str, Any]:
    """Everything: totals, counts by cause, examples with their texts, settings, drift, sizes, licences."""
    a, b = compared.a, compared.b
    return {
        "a": _facts(a, _chars(compared, "a")),
        "b": _facts(b, _chars(compared, "b")),
        "rows": {**compared.totals(), "same": compared.same, "moved": compared.moved},
        "counts": [{**c, "words": words(c, a, b)} for c in compared.counts()],
        "other_reasons": compared.reasons,
        "settings": settings,
        "drift": drift,
        "sizes": compared.sizes,
        "licences": _licences(a, b),
        "examples": [_example(row, a, b) for row in compared.examples(shown).iter_rows(named=True)],
        "seconds": round(seconds, 3),
    }


def words(cause: dict[str, Any], a: Version, b: Version) -> str:
    """A cause in plain words."""
    there = a if cause["change"] == "added" else b
    here = b if cause["change"] == "added" else a
    said = WORDS[cause["why"]].format(here=here.artifact, there=there.artifact)
    by = f" ({cause['by']})" if cause["by"] else ""
    return f"{said}{by}{'; ' + cause['because'] if cause['because'] else ''}"


def tell(told: dict[str, Any]) -> str:
    """A comparison as text."""
    a, b, rows = told["a"], told["b"], told["rows"]
    moved = f", {rows['moved']:,} of them moved in their source" if rows["moved"] else ""
    lines = [
        f"{a['artifact']} → {b['artifact']}",
        f"  rows       {a['rows']:,} → {b['rows']:,} ({b['rows'] - a['rows']:+,}): "
        + ", ".join(f"{rows[c]:,} {c}" for c in CHANGES),
        f"  the same   {rows['same']:,} rows{moved}",
        f"  characters {a['chars']:,} → {b['chars']:,} ({b['chars'] - a['chars']:+,})",
        f"  data files {_megabytes(a['bytes'])} → {_megabytes(b['bytes'])}",
        *_tokens(a, b),
        f"  compared   in {told['seconds']:.1f} s",
    ]
    parts: list[tuple[str, list[str], list[list[str]]]] = [
        (
            "Rows",
            ["rows", "change", "source", "why"],
            [[f"{c['rows']:,}", c["change"], c["source"], c["words"]] for c in told["counts"]],
        ),
        (
            "Rows that neither keeps, for another reason",
            ["rows", a["artifact"], b["artifact"]],
            [[f"{r['rows']:,}", str(r["a"]), str(r["b"])] for r in told["other_reasons"]],
        ),
        (
            "Settings",
            ["of", "what", a["artifact"], b["artifact"]],
            [[d["of"], d["what"], setting(d["a"]), setting(d["b"])] for d in told["settings"]],
        ),
        ("Sources", ["source", "rows", "", "characters", ""], [_size(s) for s in told["sizes"]]),
        (
            "Measures that moved",
            ["source", "measure", "PSI", "", a["artifact"], b["artifact"]],
            [_moved(d) for d in told["drift"] if d["psi"] >= MOVED],
        ),
        (
            "Licences",
            ["licence", a["artifact"], b["artifact"]],
            [[e["licence"], f"{e['a']:,}", f"{e['b']:,}"] for e in told["licences"]],
        ),
        (
            "For example",
            ["id", "change", "source", "text", "why"],
            [[e["id"], e["change"], e["source"], _cut(e), e["words"]] for e in told["examples"]],
        ),
    ]
    for head, columns, body in parts:
        if body:
            lines += ["", head, table(columns, body)]
    if not any(d["psi"] >= MOVED for d in told["drift"]):
        asked = f"{len(told['drift'])} compared" if told["drift"] else f"no source has {MIN_ROWS} rows on both sides"
        lines += ["", f"No measure moved (PSI below {MOVED}; {asked})."]
    return "\n".join(lines)


def _facts(v: Version, chars: int) -> dict[str, Any]:
    files = v.manifest["files"]
    return {
        "artifact": v.artifact,
        "digest": v.manifest["digest"],
        "built_at": v.manifest["built_at"],
        "rows": v.manifest["rows"]["kept"],
        "chars": chars,
        "bytes": sum(f["bytes"] for name, f in files.items() if name.startswith("data/")),
        "generation": v.manifest["generation"],
    }


def _chars(compared: Compared, side: str) -> int:
    return sum(s["chars"][side] for s in compared.sizes)


def _licences(a: Version, b: Version) -> list[dict[str, Any]]:
    one, other = a.manifest["licences"], b.manifest["licences"]
    return [{"licence": n, "a": one.get(n, 0), "b": other.get(n, 0)} for n in sorted({*one, *other})]


def _example(row: dict[str, Any], a: Version, b: Version) -> dict[str, Any]:
    lines = {side: row.pop(side) for side in "ab"}
    read = {side: None if lines[side] is None else v.row(lines[side]) for side, v in (("a", a), ("b", b))}
    detail = next((r["detail"] for r in read.values() if r and r.get("detail")), None)
    found = {f"text_{side}": None if r is None else texts(r) for side, r in read.items()}
    return {**row, "words": words(row, a, b), "detail": detail, **found}


def _tokens(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    if not (a["generation"]["requests"] or b["generation"]["requests"]):
        return []
    said = [f"{v['generation']['prompt_tokens']:,} + {v['generation']['output_tokens']:,}" for v in (a, b)]
    return [f"  tokens     {said[0]} → {said[1]} (prompts + answers of models)"]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _size(s: dict[str, Any]) -> list[str]:
    told = [s["source"]]
    for word in ("rows", "chars"):
        one, other = s[word]["a"], s[word]["b"]
        told += [f"{one:,} → {other:,}", f"{other - one:+,}"]
    return told


def _moved(d: dict[str, Any]) -> list[str]:
    sides = [f"mean {d[s]['mean']:g}" if "mean" in d[s] else f"most are {d[s]['most']}" for s in "ab"]
    return [d["source"], d["measure"], f"{d['psi']:.2f}", d["verdict"], *sides]


def _cut(example: dict[str, Any], width: int = 60) -> str:
    texts = example["text_b"] if example["change"] != "removed" else example["text_a"]
    first = next(iter(texts.values()), "")
    if isinstance(first, list):
        first = next((turn["content"] for turn in first if turn["role"] == "user"), "")
    if isinstance(first, dict):
        first = next(iter(first.values()), "")
    said = "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in " ".join(str(first).split()))
    return said if len(said) <= width else f"{said[: width - 1]}…"
