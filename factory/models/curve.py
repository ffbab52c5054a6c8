"""The loss of a training as a drawing: an SVG that stands by itself, for the card of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT, LEFT, FOOT, RIGHT, TOP = 640, 260, 44, 28, 120, 14
COLOURS = {"training": "#2563a8", "held out": "#0f7b55", "other questions": "#b4561c"}


def draw(losses: Sequence[Sequence[float]], looks: Sequence[dict[str, Any]]) -> str:
    """Loss in nats a token over steps: in training, on held-out rows, and on those with others' questions.

    `losses` are (step, loss), `looks` have `step`, `loss` and `shifted_loss`.
    """
    lines = {
        "training": [(s, v) for s, v in losses],
        "held out": [(k["step"], k["loss"]) for k in looks],
        "other questions": [(k["step"], k["shifted_loss"]) for k in looks],
    }
    points = [p for line in lines.values() for p in line if math.isfinite(p[1])]
    last = max((s for s, _ in points), default=1) or 1
    top = _round_up(max((v for _, v in points), default=1.0))

    def at(step: float, value: float) -> str:
        x = LEFT + step / last * (WIDTH - LEFT - RIGHT)
        y = TOP + (1 - value / top) * (HEIGHT - TOP - FOOT)
        return f"{x:.1f} {y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="11" aria-label="loss over {last:,} steps"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for n in range(5):
        value = top * n / 4
        _, y = at(0, value).split()
        parts.append(
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end" fill="#555">{value:.4g}</text>'
        )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}" fill="#555">nats a token, by step</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end" fill="#555">{last:,}</text>')
    for n, (name, line) in enumerate(lines.items()):
        known = [at(s, v) for s, v in line if math.isfinite(v)]
        if known:
            parts.append(f'<path d="M{"L".join(known)}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.8"/>')
            label = f'x="{WIDTH - RIGHT + 10}" y="{TOP + 12 + 18 * n}" fill="{COLOURS[name]}"'
            parts.append(f"<text {label}>{name} {line[-1][1]:.3f}</text>")
    return "".join([*parts, "</svg>\n"])


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 and so on."""
    size = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(size * n for n in (1, 2, 5, 10) if size * n >= value)
