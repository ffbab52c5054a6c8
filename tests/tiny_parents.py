"""Two tiny models of one shape, as merges want them: made on the spot, of random weights."""

from pathlib import Path

from tests.tiny_models import CHAT_TEMPLATE, untrained

KINDS = ("llama", "lfm2")


def parents(folder: Path, kind: str, dtype: str, *, apart: float = 0.05) -> tuple[Path, Path]:
    """A base and one tuned from it, by `apart` of noise; the tuned one has a chat template of its own."""
    import torch

    llama, tokenizer = untrained(["Name a river. The Nile", "سمّ نهرًا. النيل"], 128)
    model = (llama if kind == "llama" else lfm2(len(tokenizer))).to(getattr(torch, dtype))
    with torch.no_grad():
        for name, weight in model.named_parameters():  # no tensor of ones or noughts: it would hide a mistake
            if "norm" in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    base, tuned = folder / "base", folder / "tuned"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * apart)
    model.generation_config.max_new_tokens = 7
    model.save_pretrained(tuned)
    tokenizer.chat_template = CHAT_TEMPLATE + "{#- tuned #}"
    tokenizer.save_pretrained(tuned)
    return base, tuned


def lfm2(words: int):
    """Two layers that convolve and two that attend."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(0)
    size = 64
    config = Lfm2Config(
        vocab_size=words,
        hidden_size=size,
        intermediate_size=128,
        num_hidden_layers=4,
        layer_types=["conv", "full_attention"] * 2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        block_ff_dim=128,
        block_dim=size,
        conv_dim=size,
        conv_dim_out=size,
        block_auto_adjust_ff_dim=False,
        bos_token_id=1,
        eos_token_id=3,
        pad_token_id=0,
    )
    return Lfm2ForCausalLM(config)
