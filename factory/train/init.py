"""The program that begins a model: `python init.py ORDER.json` trains a tokenizer and draws random weights.

The order names `texts` (a file, one JSON string a line), `architecture` (`lfm2` or `llama`), `sizes`, `vocabulary`,
`context`, `seed` and `out`. It writes the checkpoint to `out`, and last `made.json` beside that folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BEGIN, TURN, END, PAD = "<|startoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Turns as ChatML writes them, and as LFM2's own template does; what is trained stands in `generation`."""


def main(order: dict[str, Any]) -> None:
    """Train the tokenizer, make the model, save both."""
    from transformers import set_seed

    tokenizer = _tokenizer(order)
    set_seed(order["seed"])
    model = _model(order, tokenizer)
    out = Path(order["out"])
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    made = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "architecture": type(model).__name__,
    }
    (out.parent / "made.json").write_text(json.dumps(made), encoding="utf-8")


def _tokenizer(order: dict[str, Any]) -> Any:
    """Byte-level BPE, for which no text is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=order["vocabulary"],
        special_tokens=[PAD, BEGIN, TURN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(order["texts"]), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        chat_template=TEMPLATE,
        model_max_length=order["context"],
    )


def _texts(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _model(order: dict[str, Any], tokenizer: Any) -> Any:
    from transformers import Lfm2Config, Lfm2ForCausalLM, LlamaConfig, LlamaForCausalLM

    sizes = order["sizes"]
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv_heads"],
        "max_position_embeddings": order["context"],
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    if order["architecture"] == "llama":
        return LlamaForCausalLM(LlamaConfig(**common, intermediate_size=sizes["ffn"]))
    # vLLM reads these besides: the widths of the convolutions and of the blocks, all that of the model
    width = {"conv_dim": sizes["hidden"], "conv_dim_out": sizes["hidden"], "block_dim": sizes["hidden"]}
    attends = [layer for layer in range(sizes["layers"]) if layer % 3 == 2]  # two convolutions, one attention
    config = Lfm2Config(
        **common, **width, block_ff_dim=sizes["ffn"], block_auto_adjust_ff_dim=False, full_attn_idxs=attends
    )
    return Lfm2ForCausalLM(config)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
