"""The collapse check: whether what a model answers depends on what it is asked.

A translator can end in a falling loss and fluent sentences of the right language while it answers every text with the
same one. Two figures tell: the loss of the right answers to *other* questions, which in a model that reads them is
higher than to their own, and how many distinct answers it gives to distinct questions.

Training looks for itself; as a program, `python collapse.py ORDER.json`, it looks at the `model` (and `revision`) that
the order names, over its `chats`, and writes the figures to `made.json` beside the order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hala_factory.train.template import tokens_of

Turns = list[dict[str, str]]


def shifted(chats: Sequence[Turns]) -> list[Turns]:
    """Every question with the answer to the next one in order of length, so that no answer fits but in length."""
    order = sorted(range(len(chats)), key=lambda i: (len(chats[i][-1]["content"]), i))
    following = dict(zip(order, order[1:] + order[:1], strict=True))
    return [[*chat[:-1], chats[following[i]][-1]] for i, chat in enumerate(chats)]


def loss(model: Any, tokenizer: Any, chats: Sequence[Turns], batch: int, max_length: int) -> float:
    """Mean loss of a trained token over conversations, in nats."""
    import torch

    total, tokens = 0.0, 0
    device = next(model.parameters()).device
    for start in range(0, len(chats), batch):
        rows = [tokens_of(tokenizer, chat) for chat in chats[start : start + batch]]
        width = min(max_length, max(len(row.ids) for row in rows))
        ids = torch.full((len(rows), width), tokenizer.pad_token_id)
        wanted = torch.full((len(rows), width), -100)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for n, row in enumerate(rows):
            size = min(width, len(row.ids))
            ids[n, :size], mask[n, :size] = torch.tensor(row.ids[:size]), 1
            trained = torch.tensor(row.trained[:size])
            wanted[n, :size] = torch.where(trained, ids[n, :size], wanted[n, :size])
        with torch.no_grad():
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits[:, :-1].float()
        flat = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted[:, 1:].flatten().to(device), ignore_index=-100, reduction="sum"
        )
        total, tokens = total + float(flat), tokens + int((wanted[:, 1:] != -100).sum())
    return total / max(tokens, 1)


def answers(model: Any, tokenizer: Any, chats: Sequence[Turns], batch: int, max_tokens: int) -> list[str]:
    """What the model answers greedily to every question."""
    import torch

    device, said = next(model.parameters()).device, []
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    try:
        for start in range(0, len(chats), batch):
            asked = [
                tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, tokenize=False)
                for chat in chats[start : start + batch]
            ]
            given = tokenizer(asked, return_tensors="pt", padding=True, add_special_tokens=False)
            given = {word: given[word].to(device) for word in ("input_ids", "attention_mask")}
            with torch.no_grad():
                out = model.generate(
                    **given, max_new_tokens=max_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
                )
            said += tokenizer.batch_decode(out[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    finally:
        tokenizer.padding_side = side
    return said


def look(model: Any, tokenizer: Any, chats: Sequence[Turns], *, batch: int, max_length: int) -> dict[str, float]:
    """Loss on the right and on the shifted questions (nats a token), and the share of distinct answers.

    Answers are cut at 48 tokens: what is distinct is so by then.
    """
    training = model.training
    model.eval()
    true = loss(model, tokenizer, chats, batch, max_length)
    other = loss(model, tokenizer, shifted(chats), batch, max_length)
    said = answers(model, tokenizer, chats, batch, 48)
    model.train(training)
    distinct = len({text.strip() for text in said}) / max(len({str(chat[:-1]) for chat in chats}), 1)
    return {
        "loss": round(true, 4),
        "shifted_loss": round(other, 4),
        "gap": round(other - true, 4),
        "distinct_share": round(min(distinct, 1.0), 4),
        "n": len(chats),
    }


def verdict(figures: dict[str, float], bounds: dict[str, Any]) -> str | None:
    """What shows that the model does not read its questions; None: it does."""
    wrong = []
    if figures["gap"] < bounds["min_gap"]:
        wrong.append(
            f"the right answers to other questions are as likely as to their own (loss {figures['shifted_loss']:.3f} "
            f"and {figures['loss']:.3f}: {figures['gap']:+.3f} nats a token, asked ≥ {bounds['min_gap']:g})"
        )
    if figures["distinct_share"] < bounds["min_distinct_share"]:
        wrong.append(
            f"{figures['n']} distinct questions get few distinct answers ({figures['distinct_share']:.0%}, asked ≥ "
            f"{bounds['min_distinct_share']:.0%})"
        )
    return "; ".join(wrong) or None


def main(order: dict[str, Any], folder: Path) -> None:
    """Load the model and look."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": order["model"], "revision": order["revision"]}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype="auto")
    model = model.to("cuda") if torch.cuda.is_available() else model
    figures = look(model, tokenizer, order["chats"], batch=8, max_length=order["max_length"])
    (folder / "made.json").write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[1]).parent)
