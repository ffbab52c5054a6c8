"""The program that trains: `python sft.py ORDER.json` fine-tunes a model on conversations by TRL's SFTTrainer.

The order names `model` and `revision`, `train` and `held_out` (files, one JSON list of messages a line), `scratch` (a
folder whose checkpoints are taken up again), `logs_folder`, `out`, and the fields of the step `sft`. Only what the
assistant says is trained. It writes the checkpoint to `out`, and last `made.json` beside that folder.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hala_factory.train import batches
from hala_factory.train.packing import expect_apart
from hala_factory.train.watch import Watch

SOFTWARE = ("trl", "peft", "accelerate", "torch", "transformers")


def main(order: dict[str, Any], said: Path) -> None:
    """Train, or take up a training that was broken off, and save."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    if int(os.environ.get("WORLD_SIZE", "1")) != order["processes"]:
        raise SystemExit(f"{os.environ.get('WORLD_SIZE', '1')} processes were launched, ordered {order['processes']}")
    set_seed(order["seed"])
    os.environ |= {"TENSORBOARD_LOGGING_DIR": order["logs_folder"], "TRACKIO_DIR": order["logs_folder"]}
    place = {"pretrained_model_name_or_path": order["model"], "revision": order["revision"]}
    own, tokenizer = AutoConfig.from_pretrained(**place).dtype, AutoTokenizer.from_pretrained(**place)
    lora, half = order["lora"], order["precision"] == "bf16"
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16 if lora and half else torch.float32)
    kwargs = {"file": order["train"], "max_length": order["max_length"], "tokenizer": tokenizer}
    rows = Dataset.from_generator(batches.rows, gen_kwargs=kwargs, cache_dir=f"{order['scratch']}/rows")
    if order["packing"]:
        expect_apart(model, sorted(rows[: min(len(rows), 64)]["input_ids"], key=len)[-2:])
    order_of_rows = batches.order(list(rows["length"]), order["batch_size"], order["epochs"], order["seed"])
    steps = min(order["max_steps"] or len(order_of_rows), -(-len(order_of_rows) // order["batch_size"]))
    micro = min(order["micro_batch"], order["batch_size"])
    config = SFTConfig(
        output_dir=f"{order['scratch']}/checkpoints",
        max_length=order["max_length"],
        packing=order["packing"],
        dataset_kwargs={"skip_prepare_dataset": not order["packing"]},
        num_train_epochs=1,  # the order of the rows holds every epoch
        max_steps=order["max_steps"] or -1,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, order["batch_size"] // (micro * order["processes"])),
        learning_rate=order["learning_rate"],
        lr_scheduler_type=order["schedule"],
        warmup_steps=order["warmup"],
        weight_decay=order["weight_decay"],
        max_grad_norm=order["max_grad_norm"],
        adam_beta2=order["adam_beta2"],
        bf16=half,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=order["gradient_checkpointing"],
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        logging_steps=max(1, steps // 200),
        logging_first_step=True,
        save_steps=order["save_every"],
        save_total_limit=2,
        report_to=order["logs"],
        disable_tqdm=True,
        seed=order["seed"],
        loss_type="nll",
    )
    held = [json.loads(line) for line in Path(order["held_out"]).read_text(encoding="utf-8").splitlines()]
    watch = Watch(order, tokenizer, held, said)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=rows.select(order_of_rows).select_columns(["input_ids", "labels"]),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **lora) if lora else None,
        callbacks=[watch],
    )
    started = time.monotonic()
    taken_up = _last(Path(config.output_dir))
    trainer.train(resume_from_checkpoint=taken_up)
    if not trainer.is_world_process_zero():
        return
    if watch.collapsed is None:
        trained = trainer.accelerator.unwrap_model(trainer.model)
        (trained.merge_and_unload() if lora else trained).to(own).save_pretrained(order["out"])
        tokenizer.save_pretrained(order["out"])
    history = trainer.state.log_history
    made = {
        "collapsed": watch.collapsed,
        "steps": trainer.state.global_step,
        "rows": len(rows),
        "tokens": sum(rows["length"]),
        "trained_tokens": sum(rows["trained"]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "losses": [[h["step"], round(float(h["loss"]), 6)] for h in history if "loss" in h],
        "looks": watch.looks,
        "seconds": round(time.monotonic() - started, 1),
        "taken_up_at": int(taken_up.rpartition("-")[2]) if taken_up else 0,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        "software": {name: importlib.metadata.version(name) for name in SOFTWARE},
    }
    Path(order["out"]).with_name("made.json").write_text(json.dumps(made), encoding="utf-8")


def _last(folder: Path) -> str | None:
    """The last checkpoint that was written to its end: its state is written last."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda p: -int(p.name.rpartition("-")[2])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
            return str(checkpoint)
        except (OSError, ValueError):
            shutil.rmtree(checkpoint, ignore_errors=True)
    return None


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[1]).with_name("said.txt"))
