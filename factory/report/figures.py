"""Figures: everything a report shows of a corpus, as plain data, from the manifest and the corpus's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hala_factory.contracts import Contract
from hala_factory.guarantees import Guarantee
from hala_factory.report.corpus import Corpus
from hala_factory.report.samples import examples_of
from hala_factory.rules import Rule


def waterfall(manifest: dict[str, Any], source: str | None = None) -> list[dict[str, Any]]:
    """Step by step: `step`, `stage`, `rows_in`, `lost` by reason, `rows_out` and, of all sources, `by_source`.

    The first line is what was read; what a reader leaves out is lost there.
    """
    names = list(manifest["sources"]) if source is None else [source]
    alive = {n: manifest["sources"][n]["in"] for n in names}
    lost: dict[str, dict[str, Counter[str]]] = {}
    for name in names:
        for status in ("dropped", "failed"):
            for key, count in manifest["sources"][name][status].items():
                step, _, reason = key.partition(".")
                lost.setdefault(step, {}).setdefault(name, Counter())[reason] += count
    found = []
    order = [("source", "source"), *((s["name"], label) for s in manifest["stages"] for label in s["steps"])]
    for stage, step in order:
        rows_in = sum(alive.values())
        gone: Counter[str] = Counter()
        for name, reasons in lost.get(step, {}).items():
            gone += reasons
            alive[name] -= reasons.total()
        out = sum(alive.values())
        found.append(
            {"step": "read" if step == "source" else step, "stage": stage, "rows_in": rows_in, "rows_out": out}
            | {"lost": dict(gone.most_common()), "by_source": dict(alive)}
        )
    return found


def reasons(manifest: dict[str, Any], corpus: Corpus, rules: Sequence[Rule], shown: int = 3) -> list[dict[str, Any]]:
    """Every reason rows were lost for, the most frequent first, with what the rule says and some of the rows."""
    rows = manifest["rows"]
    found = [(n, status, key) for status in ("dropped", "failed") for key, n in rows[status].items()]
    some = examples_of(corpus, shown)
    told = []
    for count, status, key in sorted(found, key=lambda f: (-f[0], f[2])):
        step, _, reason = key.partition(".")
        rule = next((r for r in rules if (r.label, r.reason) == (step, reason)), None)
        sources = {n: s[status][key] for n, s in manifest["sources"].items() if s[status].get(key)}
        told.append(
            {"step": step, "reason": reason, "status": status, "rows": count, "sources": sources, "rule": rule}
            | {"examples": some.get((step, reason), [])}
        )
    return told


def generation(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Of every step that asks models: rows that came in, what was asked, and what came back wrong, by type."""
    found = []
    config = {s["label"]: s for s in manifest["steps"]}
    for stage in manifest["stages"]:
        if stage["kind"] != "ask":
            continue
        step = stage["steps"][0]
        failed = Counter({k.partition(".")[2]: n for k, n in stage["rows"]["failed"].items()})
        asked = {str(config[step].get(field) or field): n for field, n in stage.get("generation", {}).items()}
        found.append(
            {
                "step": step,
                "rows": stage["rows"]["in"],
                "kept": stage["rows"]["kept"],
                "failed": dict(failed.most_common()),
                "models": [{"name": n, **counts} for n, counts in asked.items()],
                "seconds": stage["seconds"],
            }
        )
    return found


def contracts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every contract: its `words`, what was `found`, and whether it is `soft` and `broken`."""
    found = []
    for told in manifest["contracts"]:
        broken = "warning" in told
        if "holds" in told["contract"]:
            guarantee = Guarantee.model_validate(told["contract"])
            value = told["found"]
            words, said = guarantee.words(), guarantee.tell(value) if isinstance(value, float) else value
        else:
            words = Contract.model_validate(told["contract"]).words()
            holds = "holds" if told.get("judged", True) else "not judged: only some rows were read"
            said = told["warning"].removeprefix(f"{words}: ") if broken else holds
        found.append({"words": words, "found": said, "soft": told["contract"]["soft"], "broken": broken})
    return found


def _rows_of(manifest: dict[str, Any], sources: Iterable[str]) -> dict[str, int]:
    """Rows that were read and are kept of these sources together."""
    counts = [manifest["sources"][source] for source in sources if source in manifest["sources"]]
    return {"read": sum(c["in"] for c in counts), "kept": sum(c["kept"] for c in counts)}


def lineage(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the corpus was made of: sources and models with what pins them, and the stages between, in order."""
    lock = manifest["lock"]
    sources = [
        {
            "name": n,
            "place": s["hub"] or s.get("corpus") or "files",
            "revision": (s["revision"] or "")[:12],
            "licence": s["licence"],
            "files": len(s["files"]),
            "bytes": sum(f.get("bytes", 0) for f in s["files"].values()),
            **_rows_of(manifest, s.get("origins", [n])),
        }
        for n, s in lock["sources"].items()
    ]
    asked = {m["asked_as"]: n for n, m in lock["models"].items()}
    config = {s["label"]: s for s in manifest["steps"]}
    stages = [
        {
            "name": s["name"],
            "kind": s["kind"],
            "steps": s["steps"],
            "rows_in": s["rows"]["in"],
            "rows_out": s["rows"]["kept"],
            "fingerprint": s["fingerprint"][:12],
            "models": sorted(
                {asked[v] for label in s["steps"] for v in config[label].values() if isinstance(v, str) and v in asked}
            ),
        }
        for s in manifest["stages"]
        if s["kind"] != "source"
    ]
    models = [
        {
            "name": n,
            "asked_as": m["asked_as"],
            "engine": m["engine"],
            "place": m.get("hub") or m.get("model") or m.get("path") or "",
            "revision": (m.get("revision") or "")[:12],
            "licence": m["licence"],
            "by": m.get("by") or "",
        }
        for n, m in lock["models"].items()
    ]
    return {"sources": sources, "stages": stages, "models": models}
