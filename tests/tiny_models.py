"""Tiny models made on the spot, that know a few answers by heart: for tests of engines that run real checkpoints.

As a program, in an environment that has torch and transformers (and, for `marian`, sentencepiece):
`python tiny_models.py llama|marian PAIRS.json FOLDER`, where PAIRS.json is a list of [text, answer]. It writes a
Hugging Face checkpoint and prints {"pairs", "recalled", "seconds", "parameters"} as JSON. `endless` knows nothing,
and never stops before it has said as much as it may.
"""

import json
import random
import sys
import time
from pathlib import Path

CHAT_TEMPLATE = (
    "{{- bos_token -}}{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
PAD, BOS, START, END = "<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>"


def untrained(texts, context, end=END):
    """A llama of about a million parameters that has learnt nothing, and a tokenizer made from these texts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=2500,
            special_tokens=[PAD, BOS, START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=end,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=1,
        eos_token_id=None if end is None else 3,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    return model, tokenizer


def endless(pairs, folder, *, context=2048):
    """Write a llama that has learnt nothing and knows no end."""
    started = time.monotonic()
    model, tokenizer = untrained([t for pair in pairs for t in pair], context, end=None)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return _told(pairs, 0, started, model)


def memorise(pairs, folder, *, context=2048, max_steps=1500, seconds=240):
    """Train a llama of about a million parameters until it answers every text of `pairs` by heart."""
    import torch

    model, tokenizer = untrained([t for pair in pairs for t in pair], context)
    examples = []
    for text, answer in pairs:
        chat = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        tail = tokenizer(answer + END, add_special_tokens=False)["input_ids"]
        examples.append((head + tail, [-100] * len(head) + tail))

    def batch(chosen):
        longest = max(len(ids) for ids, _ in chosen)
        ids = torch.tensor([i + [0] * (longest - len(i)) for i, _ in chosen])
        labels = torch.tensor([y + [-100] * (longest - len(y)) for _, y in chosen])
        return ids, labels, (torch.arange(longest)[None] < torch.tensor([len(i) for i, _ in chosen])[:, None]).long()

    def wrong(chosen):
        ids, labels, mask = batch(chosen)
        with torch.no_grad():
            best = model(input_ids=ids, attention_mask=mask).logits[:, :-1].argmax(-1)
        return int(((best != labels[:, 1:]) & (labels[:, 1:] != -100)).sum())

    started = time.monotonic()
    _train(model, examples, batch, wrong, 3e-3, max_steps, seconds)
    model.eval()
    recalled = 0
    for text, answer in pairs:
        chat = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False, return_token_type_ids=False)
        out = model.generate(**ids, max_new_tokens=context // 2, do_sample=False)
        recalled += tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True) == answer
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return _told(pairs, recalled, started, model)


def tiny_marian(folder, pairs, *, max_steps=3000, seconds=240):
    """Train a Marian translator of about a million parameters until it translates every text by heart."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    torch.manual_seed(0)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"</s>": 0, "<unk>": 1}
    for side, name in enumerate(("source", "target")):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([p[side] for p in pairs]),
            model_prefix=str(folder / name),
            vocab_size=500,
            hard_vocab_limit=False,
            character_coverage=1.0,
            model_type="unigram",
            bos_id=-1,
            eos_id=0,
            unk_id=1,
            minloglevel=2,
        )
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))
        for n in range(2, pieces.get_piece_size()):
            vocabulary.setdefault(pieces.id_to_piece(n), len(vocabulary))
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        (folder / f"{name}.vocab").unlink()
    vocabulary["<pad>"] = len(vocabulary)  # CTranslate2 cuts the last row off: it must be the pad's
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"), model_max_length=256
    )
    tokenizer.save_pretrained(folder)
    pad = vocabulary["<pad>"]
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(vocabulary),
            d_model=128,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=256,
            decoder_ffn_dim=256,
            max_position_embeddings=256,
            pad_token_id=pad,
            eos_token_id=0,
            decoder_start_token_id=pad,
            forced_eos_token_id=None,
            activation_function="swish",
            scale_embedding=True,
            dropout=0.0,
            init_std=0.06,
        )
    )
    examples = [(tokenizer(text)["input_ids"], tokenizer(text_target=answer)["input_ids"]) for text, answer in pairs]

    def batch(chosen):
        def padded(rows, fill):
            longest = max(map(len, rows))
            return torch.tensor([r + [fill] * (longest - len(r)) for r in rows])

        ids = padded([s for s, _ in chosen], pad)
        return ids, padded([t for _, t in chosen], -100), (ids != pad).long()

    def wrong(chosen):
        ids, labels, mask = batch(chosen)
        with torch.no_grad():
            best = model(input_ids=ids, attention_mask=mask, labels=labels).logits.argmax(-1)
        return int(((best != labels) & (labels != -100)).sum())

    started = time.monotonic()
    _train(model, examples, batch, wrong, 1e-3, max_steps, seconds)
    model.eval()
    model.generation_config.num_beams = 1
    recalled = 0
    for text, answer in pairs:
        out = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=200, do_sample=False)
        recalled += tokenizer.decode(out[0], skip_special_tokens=True) == answer
    model.save_pretrained(folder)
    return _told(pairs, recalled, started, model)


def _train(model, examples, batch, wrong, rate, max_steps, seconds):
    """Step over shuffled batches until every token of every answer is the likeliest one."""
    import torch

    order, started = random.Random(0), time.monotonic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
    groups = []
    for step in range(max_steps):
        if not groups:
            shuffled = sorted(examples, key=lambda e: len(e[0]) + len(e[1]) + order.random() * 60)
            groups = [shuffled[i : i + 16] for i in range(0, len(shuffled), 16)]
            order.shuffle(groups)
            if step and loss.item() < 0.05:  # noqa: F821 - set by the step before
                model.eval()
                if not sum(wrong(g) for g in groups) and loss.item() < 0.01:  # noqa: F821
                    return
                model.train()
        ids, labels, mask = batch(groups.pop())
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * (1.0 if step < 600 else 0.5)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if time.monotonic() - started > seconds:
            return


def _told(pairs, recalled, started, model):
    return {
        "pairs": len(pairs),
        "recalled": recalled,
        "seconds": round(time.monotonic() - started, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


if __name__ == "__main__":
    what, file, out = sys.argv[1:]
    given = [tuple(p) for p in json.loads(Path(file).read_text(encoding="utf-8"))]
    made = tiny_marian(out, given) if what == "marian" else {"llama": memorise, "endless": endless}[what](given, out)
    print(json.dumps(made))
