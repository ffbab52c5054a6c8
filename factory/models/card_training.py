"""The sections of a model's card that tell how it began and how it was trained."""

from __future__ import annotations

from typing import Any


def begun(report: dict[str, Any], step: dict[str, Any]) -> str:
    """Of `init`."""
    sizes = f"{step['layers']} layers, {step['hidden']} wide, {step['vocabulary']:,} tokens asked"
    return (
        f"## Beginning\n\nRandom weights (seed {step['seed']}): a {report['architecture']} of "
        f"{report['parameters']:,} parameters ({sizes}, {report['vocabulary']:,} in the vocabulary).\n"
    )


def trained(report: dict[str, Any], step: dict[str, Any], rows: str) -> str:
    """Of `sft`: what it learnt from and how, how the loss fell, and what the collapse check saw."""
    lora, looks = step["lora"], report["looks"]
    how = f"LoRA of rank {lora['r']}" if lora else "all weights"
    part = f"{report['trained_parameters']:,} of {report['parameters']:,} parameters ({how})"
    software = ", ".join(f"{name} {version}" for name, version in report["software"].items())
    parts = [
        f"## Training\n\n{part}, on {rows}: {report['rows']:,} conversations of {report['tokens']:,} tokens, "
        f"{report['trained_tokens']:,} of them what the assistant says, which alone is learnt. {report['steps']:,} "
        f"steps of {step['batch_size']} conversations, rate {step['learning_rate']:g} ({step['schedule']}, "
        f"{step['warmup']} steps of warm-up), {step['precision']}, seed {step['seed']}; {report['seconds']:,.0f} s on "
        f"{report['device']}. Made with {software}.\n",
        f"![loss over {report['steps']:,} steps](loss.svg)\n",
    ]
    if looks:
        lines = []
        for k in looks:
            losses = f"{k['loss']:.3f} | {k['shifted_loss']:.3f} | {k['gap']:+.3f}"
            lines.append(f"| {k['step']:,} | {losses} | {k['distinct_share']:.0%} |")
        parts.append(
            f"Of {looks[-1]['n']} conversations that were held out: the loss (nats a token), the loss of the same "
            "answers to other questions, which is higher in a model that reads them, and the share of distinct "
            "answers.\n\n| step | loss | other questions | gap | distinct |\n|---|---|---|---|---|\n"
            + "\n".join(lines)
            + "\n"
        )
    return "\n".join(parts)


def rows_of(step: dict[str, Any]) -> str:
    """What a step read, in a word."""
    rows = step["rows"]
    return f"`{rows['corpus'] or rows['source'] or rows['path']}`"
