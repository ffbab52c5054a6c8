"""Sentence embeddings: real BERT and XLM-R checkpoints, made on the spot, run through CTranslate2."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hala_factory import encoder, hub, rows
from hala_factory.errors import InputError
from hala_factory.filters.similarity import Similarity
from tests.test_filter_promises import AWKWARD, COLUMNS, check_whole
from tests.test_filters import pairs, verdicts

EXTRA = ("torch", "transformers", "ctranslate2")
installed = all(importlib.util.find_spec(p) for p in EXTRA)
local = [pytest.mark.local, pytest.mark.skipif(not installed, reason="the extra `local` is not installed")]
SIDES = {"source": "translation.en", "target": "translation.ar"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WORDS = [
    "the",
    "bakery",
    "opens",
    "at",
    "seven",
    "rain",
    "fell",
    "all",
    "night",
    "query",
    "يفتح",
    "المخبز",
    "هطل",
    "المطر",
]
TEXTS = [
    "the bakery opens at seven",
    "يفتح المخبز",
    "rain",
    "هطل المطر all night .",
    "unknown words",
    "the " * 60,
    ".",
]


def checkpoint(folder: Path, kind: str, *, positions: int = 40) -> Path:
    """A random encoder of a few thousand parameters, with a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    start, end, pad, unknown = (
        ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if kind == "bert" else ("<s>", "</s>", "<pad>", "<unk>")
    )
    special = [start, pad, end, unknown] if kind == "xlmr" else [pad, unknown, start, end]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, "."])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(start, vocabulary[start]), (end, vocabulary[end])]
    words.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ends)
    names = {"bos_token": start, "cls_token": start, "eos_token": end, "sep_token": end, "pad_token": pad}
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token=unknown, **names).save_pretrained(folder)
    torch.manual_seed(0)
    size: dict[str, Any] = {
        **{"vocab_size": len(vocabulary), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "max_position_embeddings": positions, "initializer_range": 0.5},
    }
    if kind == "bert":
        BertModel(BertConfig(**size)).save_pretrained(folder)
    else:
        ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
        XLMRobertaModel(XLMRobertaConfig(**size, **ids)).save_pretrained(folder)
    return folder


def expected(folder: Path, texts: list[str], pooling: str, longest: int) -> np.ndarray[Any, Any]:
    """The same embeddings by transformers, one text at a time."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModel.from_pretrained(str(folder)).eval()
    found = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = model(input_ids=ids).last_hidden_state[0]
        found.append((states[0] if pooling == "cls" else states.mean(0)).numpy())
    return np.stack([vector / np.linalg.norm(vector) for vector in found])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: checkpoint(tmp_path_factory.mktemp("models") / kind, kind) for kind in ("bert", "xlmr")}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder
    encoder._loaded.cache_clear()


class TestWithTheExtra:
    pytestmark = local

    @pytest.mark.parametrize("pooling", ["mean", "cls"])
    @pytest.mark.parametrize(("kind", "longest"), [("bert", 40), ("xlmr", 38)])
    def test_embeddings_are_those_of_transformers(
        self, models: dict[str, Path], kind: str, longest: int, pooling: encoder.Pooling
    ) -> None:
        found = encoder.load(str(models[kind]), None, pooling).embed(TEXTS)
        assert np.abs(found - expected(models[kind], TEXTS, pooling, longest)).max() < 1e-3
        assert np.abs(found[0] - found[1]).max() > 0.05

    def test_a_row_is_measured_alike_in_any_company(self, models: dict[str, Path]) -> None:
        step = Similarity(**SIDES, model=str(models["xlmr"]))
        frame = pairs(*((a, b) for a in TEXTS for b in TEXTS))
        whole = step.measure(frame)
        assert step.measure(frame.reverse()).reverse().equals(whole)
        for row in range(0, frame.height, 5):
            assert step.measure(frame[row : row + 1]).equals(whole[row : row + 1])
        assert whole["cosine"].n_unique() > 10

    def test_awkward_texts_are_measured(self, models: dict[str, Path]) -> None:
        step = Similarity(model=str(models["bert"]))
        both = [([{"role": "user", "content": a}], [{"role": "user", "content": b}]) for a in AWKWARD for b in AWKWARD]
        frame = pl.DataFrame({"messages": [a for a, _ in both], "messages_en": [b for _, b in both]}, schema=COLUMNS)
        check_whole(step, frame)
        assert check_whole(step, frame[:0]).height == 0

    def test_a_message_that_is_unlike_its_source_drops_the_row(self, models: dict[str, Path]) -> None:
        step = Similarity(model=str(models["bert"]), min_similarity=0.9)

        def messages(*contents: str) -> list[dict[str, str]]:
            return [{"role": "user", "content": content} for content in contents]

        frame = pl.DataFrame(
            {
                "messages_en": [messages("rain", "rain"), messages("rain", "rain"), messages(""), messages("x"), []],
                "messages": [
                    messages("rain", "RAIN"),
                    messages("rain", "the bakery"),
                    messages(" "),
                    messages(""),
                    [],
                ],
            },
            schema={"messages_en": rows.MESSAGES, "messages": rows.MESSAGES},
        )
        assert verdicts(step, frame) == [None, "unlike", None, "unlike", None]
        assert step.measure(frame)["cosine"].to_list()[2:] == [1.0, 0.0, 1.0]

    def test_the_prefix_stands_before_every_text(self, models: dict[str, Path]) -> None:
        frame = pairs(("rain", "المطر"), ("query rain", "query المطر"))
        plain = Similarity(**SIDES, model=str(models["bert"])).measure(frame)["cosine"]
        asked = Similarity(**SIDES, model=str(models["bert"]), prefix="query ").measure(frame)["cosine"]
        assert asked[0] == plain[1] != plain[0]

    def test_a_checkpoint_is_converted_once(self, models: dict[str, Path], cache: Path) -> None:
        def converted() -> set[Path]:
            return set(cache.glob("hala-factory/encoders/*"))

        shutil.rmtree(cache, ignore_errors=True)
        encoder.load(str(models["bert"]), None, "mean")
        (made,) = converted()
        before = (made / "model.bin").stat().st_mtime_ns
        encoder._loaded.cache_clear()
        encoder.load(str(models["bert"]), None, "cls")
        assert converted() == {made}
        assert (made / "model.bin").stat().st_mtime_ns == before

    def test_what_the_checkpoint_says_of_itself_is_followed(self, models: dict[str, Path], tmp_path: Path) -> None:
        """Pooling, a dense layer and the longest text, as sentence-transformers writes them down (LaBSE has all)."""
        from safetensors.numpy import save_file

        folder = Path(shutil.copytree(models["bert"], tmp_path / "labse"))
        kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
        modules = [
            {"path": f"{n}_{k}" if n else "", "type": f"sentence_transformers.models.{k}"} for n, k in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
        (folder / "2_Dense").mkdir()
        dense = {"activation_function": "torch.nn.modules.activation.Tanh"}
        (folder / "2_Dense/config.json").write_text(json.dumps(dense))
        drawn = np.random.default_rng(0)
        weights = {"linear.weight": drawn.normal(size=(8, 32)), "linear.bias": drawn.normal(size=8)}
        save_file({name: w.astype(np.float32) for name, w in weights.items()}, folder / "2_Dense/model.safetensors")
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
        found = encoder.load(str(folder), None, None).embed(TEXTS)
        assert found.shape == (len(TEXTS), 8)
        import torch
        from transformers import AutoModel, AutoTokenizer

        tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModel.from_pretrained(str(folder)).eval()
        for text, vector in zip(TEXTS, found, strict=True):
            ids = tokenizer(text, truncation=True, max_length=5, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                first = model(input_ids=ids).last_hidden_state[0, 0].numpy()
            wanted = np.tanh(weights["linear.weight"] @ first + weights["linear.bias"])
            assert np.abs(vector - wanted / np.linalg.norm(wanted)).max() < 1e-3
        for name, config, message in (
            ("1_Pooling", {"pooling_mode": "max"}, "pooling max is not supported"),
            ("2_Dense", {"activation_function": "torch.nn.ReLU"}, "the activation ReLU is not supported"),
        ):
            was = (folder / name / "config.json").read_text()
            (folder / name / "config.json").write_text(json.dumps(config))
            with pytest.raises(InputError, match=message):
                encoder.load(str(folder), None, None)
            (folder / name / "config.json").write_text(was)
        (folder / "2_Dense/model.safetensors").unlink()
        with pytest.raises(InputError, match=r"has no model\.safetensors"):
            encoder.load(str(folder), None, None)
        (folder / "modules.json").write_text(json.dumps([{"path": "", "type": "sentence_transformers.models.CNN"}]))
        with pytest.raises(InputError, match="a module 'CNN'"):
            encoder.load(str(folder), None, None)

    def test_the_content_of_the_model_counts_and_its_place_does_not(
        self, models: dict[str, Path], tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(models["bert"], tmp_path / "moved"))
        here = Similarity(**SIDES, model=str(models["bert"])).identity()
        assert Similarity(**SIDES, model=str(folder)).identity() == here
        (folder / "README.md").write_text("a page")
        assert Similarity(**SIDES, model=str(folder)).identity() == here
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
        assert Similarity(**SIDES, model=str(folder)).identity() != here

    def test_a_checkpoint_that_is_no_encoder_is_told(self, models: dict[str, Path], tmp_path: Path) -> None:
        folder = Path(shutil.copytree(models["bert"], tmp_path / "torn"))
        for weights in folder.glob("*.safetensors"):
            weights.write_bytes(b"torn")
        with pytest.raises(InputError, match=r"cannot be converted: .*; an encoder is a checkpoint of BERT or XLM-R"):
            encoder.load(str(folder), None, None)

    def test_a_model_on_the_hub_is_fetched_at_its_commit(
        self, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def snapshot_download(model: str, **options: Any) -> str:
            asked.append((model, options["revision"]))
            return str(models["bert"])

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
        step = Similarity(**SIDES, model="someone/LaBSE", commit=COMMIT)
        assert step.faults(dict(pairs().schema)) == []
        assert step.measure(pairs(("rain", "rain")))["cosine"].to_list() == [1.0]
        assert asked == [("someone/LaBSE", COMMIT)]
        assert step.identity()["config"]["model"] == {"model": "someone/LaBSE", "commit": COMMIT}

        def refused(model: str, **options: Any) -> str:
            raise OSError("no route to the Hub")

        monkeypatch.setattr("huggingface_hub.snapshot_download", refused)
        encoder._loaded.cache_clear()
        with pytest.raises(InputError, match="someone/LaBSE"):
            step.measure(pairs(("rain", "rain")))

    @pytest.mark.parametrize(
        ("model", "commit", "message"),
        [
            ("no/such/folder", None, "no checkpoint folder (with a config.json), and no id on the Hub"),
            ("someone/LaBSE", None, "wants its 'commit', 40 hex digits"),
            ("someone/LaBSE", "main", "wants its 'commit', 40 hex digits"),
        ],
    )
    def test_a_model_that_is_none_is_found_before_anything_runs(
        self, model: str, commit: str | None, message: str
    ) -> None:
        ((field, said),) = Similarity(**SIDES, model=model, commit=commit).faults(dict(pairs().schema))
        assert field == "model"
        assert message in said


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ctranslate2" else found(name))
    step = Similarity(**SIDES, model="someone/LaBSE", commit=COMMIT)
    said = 'sentence embeddings need ctranslate2; run: pip install "hala-factory[local]"'
    assert step.faults(dict(pairs().schema)) == [("model", said)]
    with pytest.raises(InputError) as error:
        step.measure(pairs(("rain", "rain")))
    assert str(error.value) == said
    assert step.measure(pairs()).height == 0


def test_the_bound_judges_and_may_be_left_out() -> None:
    measured = pl.DataFrame({"cosine": [0.49, 0.5]}, schema={"cosine": pl.Float32})
    ((reason, rule),) = Similarity(**SIDES, model="someone/LaBSE").rules()
    assert reason == "unlike"
    assert measured.select(rule).to_series().to_list() == [True, False]
    assert Similarity(**SIDES, model="someone/LaBSE", min_similarity=None).rules() == []
    assert hub.first_line(ValueError("one\ntwo")) == "one"
    assert "hala_factory.filters.similarity" in sys.modules
