"""A training as it goes on: how far it is, and whether what is trained reads its questions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hala_factory.train import collapse

EVERY = 5.0
"""Seconds between two lines about how far a training is."""


class Watch(TrainerCallback):  # type: ignore[misc]
    """Says how far a training is, looks for a collapse at set steps, and stops the training of a collapsed model."""

    def __init__(self, order: dict[str, Any], tokenizer: Any, held_out: list[collapse.Turns], said: Path) -> None:
        self.order, self.tokenizer, self.held_out, self.said = order, tokenizer, held_out, said
        self._noted = Path(order["scratch"]) / "looks.jsonl"
        self.looks: list[dict[str, Any]] = []
        self.collapsed: str | None = None
        self._told = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Take up the looks of a training that was broken off, as far as it is taken up itself."""
        noted = self._noted.read_text(encoding="utf-8").splitlines() if self._noted.exists() else []
        looks = [json.loads(line) for line in noted if line.endswith("}")]
        self.looks = [look for look in looks if look["step"] <= state.global_step]
        for look in self.looks:
            self._judge(look, state, control)
        self._noted.write_text("".join(json.dumps(look) + "\n" for look in self.looks), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **rest: Any) -> None:
        """Add a line about the newest loss."""
        if logs and "loss" in logs and state.is_world_process_zero and time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self._say(f"step {state.global_step:,} of {state.max_steps:,}: loss {float(logs['loss']):.4f}")

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Look, at as many steps as were ordered."""
        every = max(1, state.max_steps // self.order["looks"])
        left = state.max_steps - state.global_step
        if left and (state.global_step % every or left < every):
            return
        if not self.held_out or any(look["step"] == state.global_step for look in self.looks):
            return
        figures = collapse.look(
            model, self.tokenizer, self.held_out, batch=self.order["micro_batch"], max_length=self.order["max_length"]
        )
        self.looks.append({"step": state.global_step, **figures})
        if state.is_world_process_zero:
            with self._noted.open("a", encoding="utf-8") as out:
                out.write(json.dumps(self.looks[-1]) + "\n")
            self._say(
                f"step {state.global_step:,}: held-out loss {figures['loss']:.4f}, with other questions "
                f"{figures['shifted_loss']:.4f}; {figures['distinct_share']:.0%} distinct answers"
            )
        self._judge(self.looks[-1], state, control)

    def _judge(self, look: dict[str, Any], state: Any, control: Any) -> None:
        """Stop the training where a look shows a collapse."""
        bounds = self.order["collapse"]
        if bounds and look["step"] >= bounds["from_share"] * state.max_steps:
            wrong = collapse.verdict(look, bounds)
            if wrong:
                self.collapsed = f"collapsed at step {look['step']:,} of {state.max_steps:,}: {wrong}"
                control.should_training_stop = True

    def _say(self, line: str) -> None:
        with self.said.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
