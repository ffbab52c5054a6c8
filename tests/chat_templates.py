"""Chat templates in the styles of ChatML, Llama 3, Gemma and others, and a small tokenizer to read them with."""

BOS, START, END, HEAD, NECK, EOT = "<s>", "<|im_start|>", "<|im_end|>", "<|head|>", "<|neck|>", "<|eot|>"
SPECIAL = [BOS, START, END, HEAD, NECK, EOT]

CHATML = (
    "{{- bos_token -}}{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
CHATML_MARKED = (
    "{{- bos_token -}}{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\n' -}}"
    "{%- if m['role'] == 'assistant' -%}{%- generation -%}{{- m['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- m['content'] + '<|im_end|>' -}}{%- endif -%}{{- '\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
LLAMA = (
    "{{- bos_token }}{%- for m in messages %}{{- '<|head|>' + m['role'] + '<|neck|>\n\n' + m['content'] | trim + "
    "'<|eot|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|head|>assistant<|neck|>\n\n' }}{%- endif %}"
)
DEFAULT_SYSTEM = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\nBe of help.<|im_end|>\n' }}{%- endif %}"
    + CHATML.replace("{{- bos_token -}}", "")
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<|head|>' + role + '\n' + m['content'] | trim + '<|eot|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|head|>model\n' }}{% endif %}"
)
NEEDS_SYSTEM = (
    "{%- if messages[0]['role'] != 'system' %}{{- raise_exception('A system turn is needed') }}{%- endif %}" + CHATML
)
REASONING = CHATML.replace(
    "m['content'] +",
    "(m['content'] if loop.last or '</think>' not in m['content'] else m['content'].split('</think>')[1]) +",
)
ENDED = (  # an end of the conversation, and none of its turns
    "{%- for m in messages %}{{- m['role'] + ': ' + m['content'] + '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'assistant:' }}{%- else %}{{- eos_token }}{%- endif %}"
)
SPACED = "{%- for m in messages %}{{- m['role'] + ': ' + m['content'] + '<|eot|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}"
OTHERWISE = CHATML.replace("{{- '<|im_start|>assistant\n' -}}", "{{- '<|im_start|>answer\n' -}}")
MACRO = (
    "{%- macro turn(m) -%}{%- generation -%}{{- m['content'] -}}{%- endgeneration -%}{%- endmacro -%}"
    "{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\n' + turn(m) + '<|im_end|>\n' -}}{%- endfor -%}"
)


def tokenizer():
    """Words and white space are told apart as in Llama 3: line ends stay together whatever follows."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(r"\s*[\r\n]+| ?\p{L}+| ?[^\s\p{L}]+|\s+(?!\S)|\s+"), "isolated")
    return made_with(
        pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    )


def made_with(splitter):
    """A byte-level BPE of a few hundred tokens behind this pre-tokenizer; it would add a second beginning-of-text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = splitter
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(["a\n\n\nb The Nile The Rhine river assistant: user: system " * 3] * 20, trainer)
    bpe.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)]),  # adds a second, if let
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=END, pad_token=BOS)
