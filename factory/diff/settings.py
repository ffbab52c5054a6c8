"""What two versions were told to be: steps, sources, models and software, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hala_factory.diff.version import Version

_RUN = ("max_concurrent", "endpoints", "context", "serve", "asked_as")
"""Of a model, what does not decide its answers."""


def differences(a: Version, b: Version) -> list[dict[str, Any]]:
    """Settings that differ: `of` (steps, sources, catalog, models, …), `what`, and the values in `a` and `b`.

    A whole entry that only one version has is told once, with null on the other side.
    """
    found = []
    for (of, one), (_, other) in zip(_told(a), _told(b), strict=True):
        if one is None or other is None:  # a version of an older hala-factory, which did not note this
            continue
        for what in [*one, *(w for w in other if w not in one)]:
            found += [{"of": of, **d} for d in _nested(what, one.get(what), other.get(what))]
    orders = [list(v.steps) for v in (a, b)]
    shared = [[s for s in order if s in orders[1 - i]] for i, order in enumerate(orders)]
    if shared[0] != shared[1]:
        found.append({"of": "steps", "what": "order", "a": shared[0], "b": shared[1]})
    return found


def changed_fields(a: Version, b: Version, label: str) -> str:
    """What differs in the configuration of a step that both have, in a few words; '' where nothing does."""
    parts = [f"{d['what'].partition('.')[2]} {shown(d['a'])} → {shown(d['b'])}" for d in _step(a, b, label)]
    return ", ".join(parts)


def shown(value: Any, width: int = 60) -> str:
    """A setting in a few characters."""
    if value is None:
        return "(none)"
    if isinstance(value, dict):
        value = [f"{k} {v}" for k, v in value.items()]
    said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    said = " ".join(said.split())
    return said if len(said) <= width else f"{said[: width - 1]}…"


def _step(a: Version, b: Version, label: str) -> Iterator[dict[str, Any]]:
    if label in a.steps and label in b.steps:
        yield from _nested(label, a.steps[label], b.steps[label])


def _told(v: Version) -> Iterator[tuple[str, dict[str, Any] | None]]:
    m, lock = v.manifest, v.manifest["lock"]
    recipe = ("language", "description", "profile", "samples", "exports")
    yield "recipe", {k: m.get(k) for k in recipe}
    yield "steps", v.steps
    yield "sources", {u["source"]: u for u in m["uses"]} if "uses" in m else None
    yield "catalog", m.get("catalog")
    yield (
        "files",
        {
            n: {
                "revision": s["revision"],
                **({"corpus": s["corpus"]} if "corpus" in s else {}),
                **{f: facts["digest"][:23] for f, facts in s["files"].items()},
            }
            for n, s in lock["sources"].items()
        },
    )
    yield "models", {n: {k: x for k, x in s.items() if k not in _RUN} for n, s in lock["models"].items()}
    yield (
        "benchmarks",
        {
            n: {"revision": s["revision"], **{f: facts["digest"][:23] for f, facts in s["files"].items()}}
            for n, s in lock["benchmarks"].items()
        },
    )
    yield "contracts", {str(i + 1): c["contract"] for i, c in enumerate(m["contracts"])}
    yield "software", m["software"]


def _nested(what: str, a: Any, b: Any) -> Iterator[dict[str, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            yield from _nested(f"{what}.{key}", a.get(key), b.get(key))
    elif a != b:
        yield {"what": what, "a": a, "b": b}
