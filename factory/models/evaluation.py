"""An evaluation as tables: for the card of a model, and for the terminal."""

from __future__ import annotations

from typing import Any

from hala_factory.models.contamination import sentences
from hala_factory.models.translations import CALLED
from hala_factory.tables import table

Lines = list[list[str]]


def benchmarks(report: dict[str, Any]) -> Lines:
    """Head and lines: the score of every benchmark, and their mean."""
    words = list(report["models"])
    gains = [""] if len(words) == 2 else []
    lines = [["benchmark", "questions", *words, *(["gain"] if gains else [])]]
    for name, found in report["benchmarks"].items():
        subsets = f" of {len(found['subsets'])} subsets" if found["subsets"] else ""
        scores = [f"{found['score'][word]:.2f}" for word in words]
        lines.append([name, f"{found['questions']:,}{subsets}", *scores, *([_gain(found)] if gains else [])])
    if len(report["benchmarks"]) > 1:
        total = sum(found["questions"] for found in report["benchmarks"].values())
        scores = [f"{report['mean']['score'][word]:.2f}" for word in words]
        lines.append(["mean", f"{total:,}", *scores, *([_gain(report["mean"])] if gains else [])])
    return lines


def translations(report: dict[str, Any]) -> Lines:
    """Head and lines: the metrics of every set of translations."""
    words = list(report["models"])
    both = len(words) == 2
    lines = [["translations", "texts", "metric", *words, *(["gain"] if both else [])]]
    for found in report["translations"]:
        head = [f"{found['of']} ({found['from']} → {found['to']})", f"{found['texts']:,}"]
        for word, called in CALLED.items():
            score = found["scores"][word]
            lines.append([*head, called, *(f"{score[w]:.2f}" for w in words), *([_gain(score)] if both else [])])
            head = ["", ""]
        shares = [f"{found['distinct_share'][w]:.1%}" for w in words]
        lines.append([*head, "distinct answers", *shares, *([""] if both else [])])
        gaps = [f"{found['reads'][w]['gap']:+.3f}" for w in words]
        lines.append([*head, "loss of other texts' answers, nats", *gaps, *([""] if both else [])])
        lost = [f"{found['runs'][w]['cut']:,} / {found['runs'][w]['failed']:,}" for w in words]
        lines.append([*head, "cut / refused", *lost, *([""] if both else [])])
    return lines


def notes(report: dict[str, Any]) -> list[str]:
    """What a reader of the tables has to know, in sentences."""
    said = []
    if report["samples"]:
        said.append("These are the few sample questions of this project, not the benchmarks: the scores say nothing.")
    if report["limit"]:
        said.append(f"Of each benchmark no more than {report['limit']:,} questions were drawn by lot.")
    if report["benchmarks"]:
        put = "as a user's turn in the chat template" if report["chat"] else "as plain text"
        said.append(
            f"Asked without examples, {put}; right is the choice whose label is likeliest per character. A score is "
            "the mean over subsets where there are some, else over questions, of 100."
        )
    if terms := {name: found["licence"] for name, found in report["benchmarks"].items()}:
        said.append(f"Licences of the benchmarks: {', '.join(f'{n} {t}' for n, t in terms.items())}.")
    for word, checkpoint in report["models"].items():
        cut = sum(found["cut"][word] for found in report["benchmarks"].values())
        if cut:
            said.append(f"{cut:,} prompts were longer than {checkpoint} takes, and lost their beginning.")
    return said


def tell(report: dict[str, Any]) -> str:
    """An evaluation for the terminal."""
    told = []
    for head, *lines in filter(None, (report["benchmarks"] and benchmarks(report), _pairs(report))):
        told.append(table(head, lines))
    said = [*notes(report), *sentences(report["read"])]
    return "\n\n".join([*told, "\n".join(f"  {line}" for line in said)]) if said else "\n\n".join(told)


def section(report: dict[str, Any], name: str) -> str:
    """An evaluation for the card; the answers stand in the folder `name`."""
    parts = ["## Evaluation"]
    if said := notes(report):
        parts.append(" ".join(said))
    parts += [_markdown(lines) for lines in (report["benchmarks"] and benchmarks(report), _pairs(report)) if lines]
    if report["translations"]:
        found = report["translations"][0]["scores"]
        parts.append("Signatures:\n\n" + "\n".join(f"- `{score['signature']}`" for score in found.values()))
    if any(f["averaged"] == "subsets" for f in report["benchmarks"].values()):
        parts.append(_subsets(report))
    software = ", ".join(f"{n} {version}" for n, version in report["software"].items())
    said = ["p is of a paired bootstrap test."] if len(report["models"]) == 2 else []
    said += [f"All answers stand in `{name}/`.", *([f"Asked by {software}."] if software else [])]
    parts.append(" ".join(said))
    trained = sentences(report["read"])
    said_of = "\n".join(f"- {line}" for line in trained) or "No corpus of this store went into the model."
    parts.append(f"### What went into the model\n\n{said_of}")
    return "\n\n".join(parts) + "\n"


def _pairs(report: dict[str, Any]) -> Lines:
    return translations(report) if report["translations"] else []


def _subsets(report: dict[str, Any]) -> str:
    words = list(report["models"])
    lines = [["subset", "questions", *words]]
    for name, found in report["benchmarks"].items():
        for subset, shares in found["subsets"].items():
            scores = [f"{shares[word]:.2f}" for word in words]
            lines.append([f"{name}: {subset}", f"{shares['questions']:,}", *scores])
    return f"<details><summary>Every subset</summary>\n\n{_markdown(lines)}\n\n</details>"


def _gain(told: dict[str, Any]) -> str:
    sure = "equal" if told["p"] is None else f"p = {told['p']:.3f}{', noise' if told['noise'] else ''}"
    return f"{told['gain']:+.2f} ({sure})"


def _markdown(lines: Lines) -> str:
    head, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rest])
