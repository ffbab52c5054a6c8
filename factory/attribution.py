"""`ATTRIBUTION.md`: sources and models of a corpus with licences, row counts and pages, to be passed on with it."""

from __future__ import annotations

from typing import Any

from hala_factory.licence_table import TABLE, known


def render(manifest: dict[str, Any]) -> str:
    """The page of a corpus, from its manifest alone."""
    told, locked = manifest["licence"], manifest["lock"]["sources"]
    blocks = [
        f"# Attribution: {manifest['name']} {manifest['version']}",
        _whole(told),
        "## Sources",
        *(_source(part, locked) for part in told["parts"] if part["kind"] == "source"),
    ]
    models = [part for part in told["parts"] if part["kind"] == "model"]
    if models:
        blocks += [
            "## Models that wrote or chose rows",
            *(_model(p, manifest["lock"]["models"], locked) for p in models),
        ]
    blocks += ["## What their licences ask", _asked(told)]
    return "\n\n".join(blocks) + "\n"


def _whole(told: dict[str, Any]) -> str:
    if told["override"]:
        signed = told["override"]
        lines = [
            f"Published under **{told['published_under'] or 'no one licence'}**, signed by {signed['by']}: "
            f"{signed['reason']}"
        ]
    elif told["conflicts"]:
        lines = ["**No licence covers this corpus**; it may not be published as it is."]
    else:
        lines = [f"The corpus as a whole is under **{told['licence']}**; every row says its own in `licence`."]
    lines += [f"- {conflict['text']}" for conflict in told["conflicts"]]
    return "\n".join([lines[0], "", *lines[1:]] if len(lines) > 1 else lines)


def _source(part: dict[str, Any], locked: dict[str, Any]) -> str:
    lock, by_way = _found(part["name"], locked, "origins")
    place = f"the file{'s' * (len(lock['files']) != 1)} {', '.join(lock['files'])}" if lock.get("files") else ""
    if lock.get("hub") and lock.get("revision"):
        place = f"https://huggingface.co/datasets/{lock['hub']}"
    revision = f" at {lock['revision']}" if lock.get("revision") else ""
    return _entry(part, f"{place}{revision}", by_way)


def _model(part: dict[str, Any], locked: dict[str, Any], sources: dict[str, Any]) -> str:
    lock, by_way = (locked[part["name"]], "") if part["name"] in locked else _found(part["name"], sources, "models")
    place = f"https://huggingface.co/{lock['hub']}" if lock.get("hub") else lock.get("by") or lock.get("model") or ""
    revision = f" at {lock['revision']}" if lock.get("revision") else ""
    return _entry(part, f"{place}{revision}", by_way)


def _found(name: str, sources: dict[str, Any], word: str) -> tuple[dict[str, Any], str]:
    """What is known of a source or a model, and the corpus with which it came."""
    if name in sources and word == "origins" and "corpus" not in sources[name]:
        return sources[name], ""
    for entry in sources.values():
        if name in entry.get(word, {}):
            return entry[word][name], str(entry["corpus"])
    return {}, ""


def _entry(part: dict[str, Any], place: str, by_way: str) -> str:
    licence = part["licence"] + (f" ({' or '.join(part['says'])})" if part["says"] else "")
    lines = [f"- **{part['name']}**, {part['rows']:,} row{'s' * (part['rows'] != 1)}: {licence}"]
    lines += [f"  - from {place}"] if place else []
    lines += [f"  - came with {by_way}"] if by_way else []
    lines += [f"  - licence read at {part['page']}"] if part["page"] else []
    lines += [f"  - {part['note'].strip()}"] if part["note"] else []
    lines += [f"  - also under {name}: {TABLE[str(known(name))].condition}" for name in part["also"] if known(name)]
    return "\n".join(lines)


def _asked(told: dict[str, Any]) -> str:
    names = [n for p in told["parts"] for word in (p["licence"], *p["says"], *p["also"]) if (n := known(word))]
    pages = [f"- {name}: {TABLE[name].page}" for name in dict.fromkeys(names)]
    return "\n".join([*(f"- {sentence}" for sentence in told["obligations"]), *pages]) or "Nothing."
