"""What a dataset card says in plain words: what every step did, and what the corpus cannot promise."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hala_factory import recipe

DEDUP, CLEAN = ("near_dedup",), ("decontaminate",)


def made(manifest: dict[str, Any]) -> str:
    """Every step in order, with the first sentence of its documentation and what it took away."""
    known = recipe.steps_called(frozenset(step["step"] for step in manifest["steps"]))
    lost = _lost(manifest)
    lines = []
    for number, step in enumerate(manifest["steps"], 1):
        doc = ((known[step["step"]].__doc__ or "") if step["step"] in known else "").strip().split("\n\n")[0]
        count = lost[step["label"]]
        gone = f"; {count:,} row{'s' * (count != 1)} went" if count else ""
        lines.append(f"{number}. `{step['label']}`: {' '.join(doc.split()).rstrip('.')}{gone}.")
    return "\n".join(lines) + "\n"


def limits(manifest: dict[str, Any]) -> str:
    """What a reader has to know before they trust the rows: what was not looked for, and what failed."""
    steps = {step["step"] for step in manifest["steps"]}
    lost = _lost(manifest)
    says = ["Filters are rules and small models: some good rows were dropped, and some bad ones stayed."]
    if "translate" in steps:
        labels = {step["label"] for step in manifest["steps"] if step["step"] == "translate"}
        failed = sum(n for key, n in manifest["rows"]["failed"].items() if key.partition(".")[0] in labels)
        tail = f"; {failed:,} of {manifest['rows']['in']:,} rows could not be translated" if failed else ""
        says.append(f"The translations are as they came, and no person has corrected them{tail}.")
    if not steps & set(CLEAN):
        says.append("No row was held against a benchmark: scores of a model that has seen them prove little.")
    if not steps & set(DEDUP):
        says.append("Near duplicates were not looked for.")
    if "pii" not in steps:
        says.append("Personal data was not looked for: what the sources hold of it is still there.")
    if manifest["licence"]["conflicts"]:
        says.append("Not every licence is known or fits the others: see Licence.")
    if sum(lost.values()):
        says.append("`dropped/` is there to be checked, not to be trained on: it holds what was found to be wrong.")
    return "\n".join(f"- {sentence}" for sentence in says) + "\n"


def _lost(manifest: dict[str, Any]) -> Counter[str]:
    lost: Counter[str] = Counter()
    for status in ("dropped", "failed"):
        for key, count in manifest["rows"][status].items():
            lost[key.partition(".")[0]] += count
    return lost
