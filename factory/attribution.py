"""`ATTRIBUTION.md`: sources and models of a corpus with licences, row counts and pages, to be passed on with it."""

from __future__ import annotations

from typing import Any

from hala_factory.licence_table import TABLE, known


def render(manifest: dict[str, Any]) -> str:
    """The page of a corpus, from its manifest alone."""
    told = manifest["licence"]
    blocks = [
        f"# Attribution: {manifest['name']} {manifest['version']}",
        _whole(told),
        "## Sources",
        *(_source(part, manifest["lock"]["sources"]) for part in told["parts"] if part["kind"] == "source"),
    ]
    models = [part for part in told["parts"] if part["kind"] == "model"]
    if models:
        blocks += ["## Models that wrote or chose rows", *(_model(p, manifest["lock"]["models"]) for p in models)]
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
    lock = locked.get(part["name"], {})
    place = f"the file{'s' * (len(lock['files']) != 1)} {', '.join(lock['files'])}" if lock.get("files") else ""
    if lock.get("hub") and lock.get("revision"):
        place = f"https://huggingface.co/datasets/{lock['hub']}"
    revision = f" at {lock['revision']}" if lock.get("revision") else ""
    return _entry(part, f"{place}{revision}")


def _model(part: dict[str, Any], locked: dict[str, Any]) -> str:
    lock = locked.get(part["name"], {})
    place = f"https://huggingface.co/{lock['hub']}" if lock.get("hub") else lock.get("by") or lock.get("model") or ""
    revision = f" at {lock['revision']}" if lock.get("revision") else ""
    return _entry(part, f"{place}{revision}")


def _entry(part: dict[str, Any], place: str) -> str:
    licence = part["licence"] + (f" ({' or '.join(part['says'])})" if part["says"] else "")
    lines = [f"- **{part['name']}**, {part['rows']:,} row{'s' * (part['rows'] != 1)}: {licence}"]
    lines += [f"  - from {place}"] if place else []
    lines += [f"  - licence read at {part['page']}"] if part["page"] else []
    lines += [f"  - {part['note'].strip()}"] if part["note"] else []
    lines += [f"  - also under {name}: {TABLE[str(known(name))].condition}" for name in part["also"] if known(name)]
    return "\n".join(lines)


def _asked(told: dict[str, Any]) -> str:
    names = [n for p in told["parts"] for word in (p["licence"], *p["says"], *p["also"]) if (n := known(word))]
    pages = [f"- {name}: {TABLE[name].page}" for name in dict.fromkeys(names)]
    return "\n".join([*(f"- {sentence}" for sentence in told["obligations"]), *pages]) or "Nothing."
