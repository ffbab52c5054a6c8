"""Packing: several conversations in one sequence, which is only right where the model keeps them apart."""

from __future__ import annotations

from typing import Any


def expect_apart(model: Any, rows: list[list[int]]) -> None:
    """End the program where the model reads one packed conversation while it answers the next.

    Two rows of tokens go through the model packed as the trainer packs them. What it says of the second is then
    derived by the tokens of the first: where it keeps them apart, that is zero to the last bit, however little the
    model has learnt. Attention is told apart by positions; the convolutions of an LFM2 are only with their own
    kernels, and run over the edge elsewhere.
    """
    import torch

    first, second = (row[:64] for row in rows)
    device, training = next(model.parameters()).device, model.training
    ids = torch.tensor([[*first, *second]], device=device)
    positions = torch.tensor([[*range(len(first)), *range(len(second))]], device=device)
    model.eval()
    with torch.no_grad():
        tokens = model.get_input_embeddings()(ids)
    tokens.requires_grad_(True)
    said = model(inputs_embeds=tokens, position_ids=positions, use_cache=False).logits[:, len(first) :]
    (influence,) = torch.autograd.grad(said.float().square().sum(), tokens)
    model.train(training)
    if bool((influence[:, : len(first)] != 0).any()):
        raise SystemExit(
            f"packing: this {type(model).__name__} lets one packed conversation read the one before it; leave "
            "'packing' out, or install the kernels that keep them apart"
        )
