"""The program that evaluates: `python evaluate.py ORDER.json`, with lm-eval.

It imports nothing of ours. The order names `model` (folder or hub id), `revision`, `chat` (whether a prompt is put as
a user's turn in the model's template), `batch`, `out` (a folder), and `tasks`: for each of the task files in `tasks/`
that is asked for, the file of its questions, a line of JSON each with `question`, `choices`, `answer` (which choice is
right, from 0), `context` and `topic`. It writes `out/TASK.jsonl`, a line per question in their order with `right`
and the log-likelihood of each choice's label, and last `made.json` beside the order: the accuracy of every task as
lm-eval has it, how many prompts were cut because the model takes no longer ones, and the versions of what did it.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

SOFTWARE = ("lm-eval", "torch", "transformers")
TASKS = Path(__file__).parent / "tasks"


def main(order: dict[str, Any], folder: Path, model: Any = None) -> None:
    """Ask the model (a language model of lm-eval, in place of the one that the order names) all questions."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    _say(folder, f"loading {order['model']}")
    model = model or _loaded(order)
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    made: dict[str, Any] = {}
    for name, file in order["tasks"].items():
        _say(folder, f"asking {name}")
        data = {"data_files": {"test": file}, "cache_dir": str(folder / "datasets")}
        found = simple_evaluate(
            model,
            tasks=[{**manager.task_index[name].cfg, "dataset_kwargs": data}],
            task_manager=manager,
            apply_chat_template=order["chat"],
            bootstrap_iters=0,  # how sure a difference is, who wrote the order finds out
        )
        samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
        _write(Path(order["out"]) / f"{name}.jsonl", samples)
        accuracy = found["results"][name]["acc_norm,none"]
        made[name] = {"accuracy": accuracy, "questions": len(samples), "cut": _cut(model, samples)}
        _say(folder, f"{name}: {100 * accuracy:.2f} % of {len(samples):,} right")
    software = {name: importlib.metadata.version(name) for name in SOFTWARE}
    (folder / "made.json").write_text(json.dumps({"tasks": made, "software": software}), encoding="utf-8")


def _loaded(order: dict[str, Any]) -> Any:
    import torch
    from lm_eval.models.huggingface import HFLM

    device = "cuda" if torch.cuda.is_available() else "cpu"  # without CUDA, lm-eval's own choice is an error
    revision = order["revision"] or "main"
    return HFLM(pretrained=order["model"], revision=revision, batch_size=order["batch"], device=device)


def _write(path: Path, samples: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for sample in samples:
            found = [float(likelihood) for likelihood, _ in sample["filtered_resps"]]
            out.write(json.dumps({"right": bool(sample["acc_norm"]), "loglikelihoods": found}) + "\n")


def _cut(model: Any, samples: list[dict[str, Any]]) -> int:
    """How many prompts with their label are longer than the model takes; lm-eval cuts their beginning."""
    longest = getattr(model, "max_length", None)
    if longest is None:
        return 0
    prompts = ["".join(sample["arguments"][0]) for sample in samples]
    # a token stands for a byte or more: only long prompts need to be counted
    return sum(len(p.encode()) >= longest and len(model.tok_encode(p)) > longest + 1 for p in prompts)


def _say(folder: Path, line: str) -> None:
    with (folder / "said.txt").open("a", encoding="utf-8") as said:
        said.write(line + "\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[1]).parent)
