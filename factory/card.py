"""The dataset card: what a corpus holds, how it was made and what was left out, from its manifest alone."""

from __future__ import annotations

from typing import Any

from hala_factory import card_head, card_words, yamlfile
from hala_factory.cost import telling
from hala_factory.guarantees import Guarantee
from hala_factory.quality.controls import AGREEMENT, agreement


def render(manifest: dict[str, Any]) -> str:
    """The card of a corpus as Markdown with the Hub's YAML head."""
    rows, name = manifest["rows"], manifest["name"]
    parts = [
        f"---\n{yamlfile.dump(card_head.head(manifest))}---\n",
        f"# {name} {manifest['version']}\n",
        f"{manifest['description']}\n" if manifest["description"] else "",
        f"{rows['kept']:,} rows of {rows['in']:,} that were read; digest `{manifest['digest']}`.\n",
        _warning(manifest),
        _unexpected(manifest),
        "## Where the rows come from\n\n" + _sources(manifest),
        "## How they were made\n\n" + card_words.made(manifest) + "\n" + _stages(manifest),
        "## What was left out, and why\n\n" + _reasons(manifest),
        _guarantees(manifest),
        _models(manifest),
        "## Limits and known failures\n\n" + card_words.limits(manifest),
        _licences(manifest),
        "## Columns\n\nMeasures are named after their step (`length.chars`); `origin` says where in its source a "
        "row stood. Dropped and failed rows stand in `dropped/` with the reason and what was measured.\n",
    ]
    return "\n".join(p for p in parts if p)


def _licences(manifest: dict[str, Any]) -> str:
    told = manifest["licence"]
    lines = [f"- {sentence}" for sentence in told["obligations"]]
    if told["conflicts"]:
        under = "may not be published as it is" if told["override"] is None else "is published on a person's word"
        lines += ["", f"No licence covers all of it, so it {under}:", ""]
        lines += [f"- {conflict['text']}" for conflict in told["conflicts"]]
    if signed := told["override"]:
        under = told["published_under"] or "no one licence"
        lines += ["", f"Signed, to be published under {under}, by {signed['by']}: {signed['reason']}"]
    whole = f"{told['licence']}: the freest that carries every row whose licence is known. " if told["licence"] else ""
    head = (
        f"{whole}Every row says its own licence; sources, models and pages stand in [ATTRIBUTION.md](ATTRIBUTION.md)."
    )
    return "## Licence\n\n" + "\n".join([head, "", *lines]).rstrip() + "\n"


def _warning(manifest: dict[str, Any]) -> str:
    if not manifest["samples"]:
        return ""
    return (
        "> **A demonstration.** The rows are samples written by the authors of hala-factory in each source's own "
        "schema; they are not rows of those sources.\n"
    )


def _unexpected(manifest: dict[str, Any]) -> str:
    """What soft contracts warn of."""
    warned = [told["warning"] for told in manifest["contracts"] if "warning" in told]
    return "> **Not as expected.**\n" + "".join(f"> - {said}\n" for said in warned) if warned else ""


def _guarantees(manifest: dict[str, Any]) -> str:
    """What the recipe asks of the finished version, and what was found."""
    lines = []
    for told in manifest["contracts"]:
        if "words" in told:
            guarantee = Guarantee.model_validate(told["contract"])
            found = told["found"]
            lines.append([told["words"], guarantee.tell(found) if isinstance(found, float) else found])
    return "## What is guaranteed\n\n" + _table(["contract", "found"], lines) if lines else ""


def _table(head: list[str], lines: list[list[Any]]) -> str:
    shown = [[f"{c:,}" if isinstance(c, int) else str(c) for c in line] for line in lines]
    rule = ["---:" if lines and isinstance(c, int) else "---" for c in lines[0]] if lines else ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *shown]) + "\n"


def _sources(manifest: dict[str, Any]) -> str:
    lock = manifest["lock"]["sources"]
    lines = []
    for source, counts in manifest["sources"].items():
        direct = source in lock and "corpus" not in lock[source]
        came = [entry for entry in lock.values() if source in entry.get("origins", {})]
        places = [lock[source]["hub"] or "files"] if direct else []
        licences = {
            p["licence"] for p in manifest["licence"]["parts"] if p["kind"] == "source" and p["name"] == source
        }
        gone = sum(counts["dropped"].values())
        lines.append(
            [
                source,
                ", ".join([*places, *(entry["corpus"] for entry in came)]),
                lock[source]["licence"] if direct else ", ".join(sorted(licences)),
                counts["in"],
                counts["kept"],
                gone,
                sum(counts["failed"].values()),
            ]
        )
    return _table(["source", "from", "licence", "read", "kept", "dropped", "failed"], lines)


def _stages(manifest: dict[str, Any]) -> str:
    lines = [
        [s["name"], ", ".join(s["steps"]) or "read", s["rows"]["in"], s["rows"]["kept"]] for s in manifest["stages"]
    ]
    judged = [f"The model that judged in `{name}` is {told}.\n" for name, told in proofs(manifest).items()]
    return "\n".join([_table(["stage", "steps", "rows in", "rows kept"], lines), *judged])


def proofs(manifest: dict[str, Any]) -> dict[str, str]:
    """How far the judge of a stage agreed with pairs of known quality, in words, by the stage's name."""
    found = ((s["name"], s.get("proof", {})) for s in manifest["stages"])
    return {name: agreement(proof) for name, proof in found if proof.keys() >= AGREEMENT}


def _reasons(manifest: dict[str, Any]) -> str:
    rows = manifest["rows"]
    lines = [[reason, "dropped", n] for reason, n in rows["dropped"].items()]
    lines += [[reason, "failed", n] for reason, n in rows["failed"].items()]
    lines.sort(key=lambda line: (-line[2], line[0]))
    return _table(["reason", "", "rows"], lines) if lines else "Nothing.\n"


def _models(manifest: dict[str, Any]) -> str:
    models = manifest["lock"]["models"]
    if not models:
        return ""
    told = []
    for name, model in models.items():
        if model["engine"] == "recorded":
            by = model.get("by") or "an unnamed author"
            told.append(f"- `{name}` stands in for `{model['asked_as']}`: recorded answers by {by}.")
        else:
            place = model.get("hub") or model.get("model") or model.get("path")
            told.append(f"- `{name}`: {place}, engine {model['engine']}, licence {model['licence']}.")
    told += [f"- Cost of {line}." for line in telling.tell_compared(manifest.get("cost", []))]
    return "## Who translated\n\n" + "\n".join(told) + "\n"
