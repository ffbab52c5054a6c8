"""The results of a review as text for a terminal."""

from __future__ import annotations

from typing import Any

from hala_factory.tables import table


def tell(r: dict[str, Any]) -> str:
    """The whole report as text."""
    lines = [
        f"{r['artifact']}: {r['standing']['state'].upper()}",
        f"  {r['standing']['words']}",
        f"  plan    {r['plan']}",
    ]
    for old in r["earlier"]:
        lines.append(f"  before  {old['version']} was rejected on {old['at']}: {old['words']}")
    if r["decision"] is None:
        return "\n".join(lines)
    said = r["answers"]
    lines.append(
        f"  answers {said['submitted']:,} submitted, {said['discarded']:,} discarded, {said['draft']:,} drafts, "
        f"in {r['rounds']} round{'s' * (r['rounds'] != 1)}"
    )
    if r["reversals"]:
        lines.append(f"  note    rejected after round {r['reversals'][0]}; answers were changed since")
    d = r["defects"]
    exact = d["exact"]
    lines += [
        "",
        f"bad rows    {band(d['all'])} of the corpus, by strata (Wilson)",
        f"            {exact['bad']} of {exact['draws']} draws that decide: "
        f"{percent(exact['low'])} to {percent(exact['high'])} (Clopper-Pearson)",
    ]
    if d["all"]["unseen"]:
        lines.append(f"            {d['all']['unseen']:,} rows are in strata of which nothing is judged yet")
    m = r["mqm"]
    if m["per_1000_words"] is not None:
        kinds = ", ".join(f"{k} {n}" for k, n in m["errors"].items()) or "no errors named"
        lines.append(f"MQM         {m['per_1000_words']:.1f} points per 1,000 words ({kinds})")
    lines += ["", _strata("source", d["by_source"])]
    if d["by_score"]:
        lines += ["", _strata("bin", d["by_score"])]
    lines += ["", *_agreement(r["agreement"]), "", _annotators(r["annotators"])]
    lines += ["", *_false_drops(r["false_drops"]), "", *_calibration(r["calibration"])]
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """A share as per cent."""
    return "–" if share is None else f"{100 * share:.1f} %"


def band(found: dict[str, Any]) -> str:
    """A share with its interval and count."""
    if found["share"] is None:
        return "not known"
    return f"{percent(found['share'])} ({percent(found['low'])} to {percent(found['high'])})"


def _strata(word: str, found: list[dict[str, Any]]) -> str:
    head = ["source" if word == "source" else "score", "judged", "bad", "share", "95 %"]
    lines = []
    for f in found:
        interval = f"{percent(f['low'])} to {percent(f['high'])}" if f["judged"] else "–"
        lines.append([f[word], str(f["judged"]), str(f["bad"]), percent(f["share"]), interval])
    return table(head, lines)


def _agreement(found: dict[str, Any]) -> list[str]:
    if not found["tasks"]:
        return ["agreement   no task was judged by two people yet"]
    alpha = "not defined: everybody said the same" if found["alpha"] is None else f"{found['alpha']:.2f}"
    if found["interval"]:
        alpha += f" ({found['interval'][0]:.2f} to {found['interval'][1]:.2f})"
    return [
        f"agreement   {percent(found['raw'])} of pairs on {found['tasks']} tasks; Gwet's AC1 {found['ac1']:.2f}; "
        f"Krippendorff's alpha {alpha}"
    ]


def _annotators(found: list[dict[str, Any]]) -> str:
    def of(s: dict[str, Any]) -> str:
        return f"{s['count']} of {s['of']}" if s["of"] else "–"

    lines = [
        [f["annotator"], str(f["submitted"]), str(f["discarded"]), of(f["gold"]), of(f["repeats"])] for f in found
    ]
    return table(["annotator", "judged", "discarded", "gold right", "repeats alike"], lines)


def _false_drops(found: dict[str, Any]) -> list[str]:
    if not found["all"]["judged"]:
        return ["dropped     no dropped row was judged yet"]
    lines = [
        [f["reason"], str(f["judged"]), str(f["good"]), f"{percent(f['low'])} to {percent(f['high'])}"]
        for f in found["by_reason"]
    ]
    return [
        f"dropped     {band(found['all'])} of them are good by themselves",
        table(["dropped by", "judged", "good", "95 %"], lines),
    ]


def _calibration(found: dict[str, Any]) -> list[str]:
    if not found["enough"]:
        return [
            f"thresholds  {found['bad']} bad rows and {found['others']} others are too few to set any by: "
            f"{found['fewest']} of both are wanted"
        ]
    if not found["thresholds"]:
        return ["thresholds  no measure of the filters differs among the rows that were judged"]
    lines = [
        [
            t["set"],
            f"{t['now']:g}",
            f"{t['bad_dropped']} of {found['bad']}",
            f"{t['others_dropped']} of {found['others']}",
            f"{percent(t['share_before'])} → {percent(t['share_after'])}",
            f"{t['by_chance']:.2f}",
        ]
        for t in found["thresholds"]
    ]
    head = ["threshold", "now", "bad dropped", "others dropped", "bad rows", "chance does as well"]
    best = found["thresholds"][0]
    return [
        table(head, lines),
        f"try: {best['whatif']}"
        + ("" if best["by_chance"] <= 0.05 else "  (no better than what chance finds among so many bounds)"),
    ]
