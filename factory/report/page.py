"""The page: figures in a template, with its own style and script inside and nothing to load."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hala_factory import licences
from hala_factory.pages import allowed, embedded, templates
from hala_factory.passages import passage, plain, turns
from hala_factory.report import figures
from hala_factory.report.clusters import clusters
from hala_factory.report.corpus import Corpus
from hala_factory.report.measures import lengths, measured
from hala_factory.report.samples import browsed
from hala_factory.rules import rules
from hala_factory.step import Step

_HERE = Path(__file__).parent
COLOURS = 8
"""Colours that sources are told apart by; more sources share the last one."""


def render(folder: Path, manifest: dict[str, Any], steps: Sequence[Step], found: dict[str, Any] | None = None) -> str:
    """The report of the corpus in `folder`, made by `steps`, as one HTML page; with what its review has `found`."""
    corpus = Corpus(folder)
    known = rules(steps)
    ruled = list(dict.fromkeys(f"{r.label}.{r.measure}" for r in known))
    rows = browsed(corpus, manifest, ruled)
    shown = {"chars": lengths(corpus), "measures": measured(corpus, [s.label for s in steps], known)}
    return fill(
        "report.html",
        title=f"{manifest['name']} {manifest['version']}",
        m=manifest,
        found=found,
        waterfall=figures.waterfall(manifest),
        by_source={n: figures.waterfall(manifest, n) for n in manifest["sources"]},
        colours={n: min(i, COLOURS - 1) for i, n in enumerate(manifest["sources"])},
        reasons=figures.reasons(manifest, corpus, known),
        clusters=clusters(corpus, manifest),
        generation=figures.generation(manifest),
        lineage=figures.lineage(manifest),
        contracts=figures.contracts(manifest),
        licence=licences.tell(manifest["licence"]) if "licence" in manifest else [],
        **shown,
        browsed=len(rows),
        rows=embedded(
            {
                "rules": [[r.label, r.measure, r.reason, r.sign, r.bound] for r in known],
                "measures": ruled,
                "rows": [{k: v for k, v in row.items() if k != "row"} for row in rows],
            }
        ),
    )


def fill(template: str, **values: Any) -> str:
    """A template with these values, all of which are escaped; style and script are ours and stand in the page."""
    style, script = ((_HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    inside = {"style": Markup(style), "script": Markup(script), "csp": allowed(script)}
    return _templates().get_template(template).render(**inside, **values)


@functools.cache
def _templates() -> jinja2.Environment:
    made = templates(_HERE)
    made.filters |= {
        "n": _number,
        "share": _share,
        "mb": _size,
        "plain": lambda t: plain(str(t)),
        "expected": _expected,
    }
    made.globals |= {"passage": passage, "turns": turns}
    return made


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _expected(band: Any) -> str:
    """A predicted figure with its band."""
    if not isinstance(band, dict):
        return _number(band)
    return f"{_number(band['expected'])} ({_number(band['low'])}–{_number(band['high'])})"


def _share(part: float, whole: float) -> str:
    if not whole:
        return "0 %"
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.2g} %"


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
