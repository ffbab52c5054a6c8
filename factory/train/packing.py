"""Packing: several conversations in one sequence, which is only right where the model keeps them apart."""

from __future__ import annotations

from typing import Any

TOLERANCE = 1e-3
"""Of the largest logit: what the order of additions may change in float32, and far less than a leak does."""


def expect_apart(model: Any, rows: list[list[int]]) -> None:
    """End the program where the model reads one packed conversation while it answers the next.

    Two rows of tokens go through the model packed as the trainer packs them, and the second one alone: what the
    model says of it has to be the same. Attention may be told apart by positions; the convolutions of an LFM2 are
    only with their own kernels, and run over the edge elsewhere.
    """
    import torch

    first, second = (row[:64] for row in rows)
    device, training = next(model.parameters()).device, model.training
    model.eval()
    with torch.no_grad():
        alone = model(**_packed([second], device), use_cache=False).logits.float()
        after = model(**_packed([first, second], device), use_cache=False).logits.float()[:, len(first) :]
    model.train(training)
    leak = float((after - alone).abs().max() / alone.abs().max())
    if leak > (TOLERANCE if model.dtype == torch.float32 else 50 * TOLERANCE):
        raise SystemExit(
            f"packing: this {type(model).__name__} lets one packed conversation read the one before it (its logits "
            f"change by {leak:.1%}); leave 'packing' out, or install the kernels that keep them apart"
        )


def _packed(rows: list[list[int]], device: Any) -> dict[str, Any]:
    import torch

    ids = torch.tensor([[token for row in rows for token in row]], device=device)
    positions = torch.tensor([[n for row in rows for n in range(len(row))]], device=device)
    return {"input_ids": ids, "position_ids": positions}
