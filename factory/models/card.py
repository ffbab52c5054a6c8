"""The card of a model: what it was made of and how, and what was measured, from its manifest alone."""

from __future__ import annotations

from typing import Any

from hala_factory import licences, yamlfile
from hala_factory.licence_table import TABLE
from hala_factory.models import card_training, evaluation
from hala_factory.models.step import NOTHING
from hala_factory.tables import table

RELATIONS = {"quantise": "quantized", "merge": "merge"}
"""What the Hub calls the model to its base, by the last step that made it."""


def render(manifest: dict[str, Any]) -> str:
    """The card of a model as Markdown with the Hub's YAML head."""
    base = manifest["lock"]["base"]
    place = base.get("hub") or base.get("ref") or base["name"]
    revision = f", revision `{base['revision']}`" if base["revision"] else ""
    by = f" by the recipe's profile `{manifest['profile']}`" if manifest["profile"] else ""
    parts = [
        f"---\n{yamlfile.dump(_head(manifest))}---\n",
        f"# {manifest['name']} {manifest['version']}\n",
        f"{manifest['description']}\n" if manifest["description"] else "",
        f"{f'Made of {place}{revision}' if place != NOTHING.name else 'Made from nothing'}{by}; digest "
        f"`{manifest['digest']}`.\n",
        "\n".join(["## Licence\n", *(f"- {line}" for line in licences.tell(manifest["licences"]))]) + "\n",
    ]
    parts.append(_read(manifest))
    for stage in manifest["stages"]:
        step = next(s for s in manifest["steps"] if s["label"] == stage["name"])
        if step["step"] == "init":
            parts.append(card_training.begun(stage["report"], step))
        elif step["step"] == "sft":
            parts.append(card_training.trained(stage["report"], step, card_training.rows_of(step)))
        elif step["step"] == "quantise":
            parts.append(_quantised(stage["report"], step))
        elif step["step"] == "merge":
            parts.append(_merged(stage["report"]))
        elif step["step"] == "accept":
            parts.append(_accepted(stage["report"], stage["name"]))
        elif step["step"] == "evaluate":
            parts.append(evaluation.section(stage["report"], stage["name"]))
    if manifest["gates"]:
        lines = [f"| {g['step']}.{g['gate']} | {g['found']} | {g['asked']} |" for g in manifest["gates"]]
        parts.append("\n".join(["## Gates passed\n", "| gate | found | asked |", "|---|---|---|", *lines]) + "\n")
    return "\n".join(p for p in parts if p)


def tell(manifest: dict[str, Any], path: str) -> str:
    """A version for the terminal."""
    base = manifest["lock"]["base"]
    place = base.get("hub") or base.get("ref") or base.get("path")
    told = [
        f"{manifest['name']}@{manifest['version']}  built {manifest['built_at'][:16].replace('T', ' ')} UTC",
        f"  path    {path}",
        f"  digest  {manifest['digest']}",
        f"  base    {base['name']} ({place}), licence {manifest['licence']}\n",
        table(["stage", "seconds"], [[s["name"], f"{s['seconds']:.1f}"] for s in manifest["stages"]]),
    ]
    for stage in manifest["stages"]:
        if "runs" in stage["report"]:
            head, *lines = measured(stage["report"])
            told.append("\n" + table(head, lines))
        if "benchmarks" in stage["report"]:
            told.append("\n" + evaluation.tell(stage["report"]))
    if gates := [[f"{g['step']}.{g['gate']}", g["found"], g["asked"]] for g in manifest["gates"]]:
        told.append("\n" + table(["gate", "found", "asked"], gates))
    return "\n".join(told)


def measured(report: dict[str, Any]) -> list[list[str]]:
    """Head and lines of the table of an acceptance."""
    before, after = report["runs"]["original"], report["runs"]["quantised"]
    lines = [["", "original", "quantised", "difference"]]
    for word, called in (("chrf", "chrF++"), ("bleu", "BLEU")):
        score = report["scores"][word]
        p = "equal" if score["p"] is None else f"p = {score['p']:.3f}{', noise' if score['noise'] else ''}"
        difference = f"{0.0 - score['loss']:+.2f} ({p})"
        lines.append([called, f"{score['original']:.2f}", f"{score['quantised']:.2f}", difference])
    rates = [r["tokens_per_second"] for r in (before, after)]
    lines.append(["output tokens/s", *(f"{r:,.1f}" for r in rates), f"{report['speedup']:.2f} ×"])
    for field, called in (
        ("disk_bytes", "weights on disk"),
        ("weights_on_gpu_bytes", "weights on a GPU"),
        ("resident_bytes", "memory of the server"),
    ):
        sizes = [r.get(field) for r in (before, after)]
        if all(sizes):
            lines.append([called, *(_size(s) for s in sizes), f"{sizes[1] / sizes[0]:.2f} ×"])
    lines.append(["cut / refused", *(f"{r['cut']:,} / {r['failed']:,}" for r in (before, after)), ""])
    same = f"{report['same_answers']:,} of {report['texts']:,}"
    lines.append(["the same answer", "", "", same])
    return lines


def _head(manifest: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a model, https://huggingface.co/docs/hub/model-cards."""
    base, under = manifest["lock"]["base"], manifest["licences"]["published_under"]
    licence = {"license": TABLE[under].hub} if under and TABLE[under].hub else {"license": "other"}
    if licence["license"] == "other":
        licence["license_name"] = manifest["licence"].lower()
    head: dict[str, Any] = {
        **licence,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["hala-factory"],
    }
    if base.get("hub"):
        head |= {"base_model": base["hub"], "base_model_relation": RELATIONS.get(_last(manifest), "finetune")}
    return head


def _read(manifest: dict[str, Any]) -> str:
    """The corpora that went into it."""
    told = [f"- {c['corpus']}, digest `{c['digest']}`, read by `{c['by']}`" for c in manifest.get("corpora", [])]
    return "\n".join(["## Corpora that went into it\n", *told]) + "\n" if told else ""


def _last(manifest: dict[str, Any]) -> str:
    made = {stage["name"] for stage in manifest["stages"] if stage["kind"] == "make"}
    return str(next(step["step"] for step in reversed(manifest["steps"]) if step["label"] in made))


def _quantised(report: dict[str, Any], step: dict[str, Any]) -> str:
    left = ", ".join(f"`{name}`" for name in report["ignored"]) or "none"
    read = f" over {report['samples']:,} calibration rows" if report["samples"] else ""
    software = ", ".join(f"{name} {version}" for name, version in report["software"].items())
    scheme, layers = f"{report['scheme']} by {step['method']}{read}", f"{report['quantised']:,} linear layers"
    stored = f"Format `{report['format']}` of compressed-tensors; {_size(report['bytes'])} of weights."
    return f"## Quantisation\n\nScheme {scheme}: {layers}, left out: {left}. {stored} Made with {software}.\n"


def _merged(report: dict[str, Any]) -> str:
    *others, tuned = (f"{m['name']} ({m['licence']})" for m in report["models"])
    software = ", ".join(f"{name} {version}" for name, version in report["software"].items())
    return (
        f"## Merge\n\n{report['method']} at t = {report['t']:g}: {' and '.join(others)} at 0, {tuned} at 1. "
        f"{report['tensors']:,} tensors in {report['dtype']}, {_size(report['bytes'])}; {report['checked']:,} of them "
        f"were reckoned again in float64 and differ by {report['largest_error']:.1e} at most, beyond rounding. "
        f"Tokenizer and chat template are those of {report['models'][-1]['name']}. Made with {software}.\n"
    )


def _accepted(report: dict[str, Any], name: str) -> str:
    head, *lines = measured(report)
    machine = report["runs"]["original"]["machine"]
    on = machine["gpus"] or f"{machine['processor']}, {machine['cores']} cores"
    rows = ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]]
    signatures = "\n".join(f"- `{score['signature']}`" for score in report["scores"].values())
    return (
        f"## Acceptance\n\n{report['texts']:,} held-out texts, asked greedily of both by vLLM "
        f"{report['runs']['original']['vllm']} on {on}. All answers stand in `{name}/`.\n\n" + "\n".join(rows) + "\n\n"
        f"p is of a paired bootstrap test; signatures:\n\n{signatures}\n"
    )


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.2f} {unit}"
    return f"{count} bytes"
