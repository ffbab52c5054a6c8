"""Marks: the control text with which chat templates and tokenizers begin and end turns and texts.

As the templates of these models write them: GPT-2, T0, Llama, Mistral, Gemma, Qwen, Phi, Command, DeepSeek, OLMo.
"""

from __future__ import annotations

END = ["<|endoftext|>", "<|endofprompt|>", "<|startoftext|>", "<|end_of_text|>", "<|begin_of_text|>", "<|eot_id|>"]
END += ["<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|eos|>", "<|EOT|>", "<|endofturn|>", "<|pad|>"]
END += ["<|end_of_turn|>", "<|end_of_document|>", "<|fim_pad|>", "<|finetune_right_pad_id|>"]
END += ["<|BOS_TOKEN|>", "<|EOS_TOKEN|>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"]
END += ["<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|user|>", "<|assistant|>", "<|system|>", "<end_of_turn>"]
END += ["<bos>", "<eos>", "<end_of_utterance>", "[INST]", "[/INST]"]
END += ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
"""Marks that stand in no text but by mistake, or in one that is about them."""

COMMON = ["<pad>", "<BOS>", "<EOS>", "<PAD>", "<EOT>", "[BOS]", "[EOS]", "[PAD]"]
"""Marks that answers about tokenizers write: control text at the end of a text only."""

BEGINNING = ["<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<|end_header_id|>", "<<SYS>>", "<</SYS>>"]
"""Marks before a turn, the name of its role beside them."""
