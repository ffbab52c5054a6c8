"""Sentence encoders (BERT and XLM-R: LaBSE, multilingual E5 and MiniLM) on the processor, through CTranslate2.

The model:
- A checkpoint is a folder, or an id on the Hub with a commit; what it says of itself in the files of
  sentence-transformers (pooling, a dense layer, the longest text) is followed.
- Each text is run alone, so its embedding is the same whatever stands beside it; padded batches differ in the
  sixth digit, and were no faster here (a MiniLM on 400 texts of 5 to 60 words).
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory import hub
from hala_factory.errors import InputError
from hala_factory.fingerprint import file_digest, fingerprint
from hala_factory.store import atomic_folder, read_json, write_json

Floats = npt.NDArray[np.float32]
Pooling = Literal["mean", "cls"]

_WEIGHTS = ("*.safetensors", "*.bin")
_FILES = ("config.json", "*token*", "*.model", "vocab*", "modules.json", "sentence_*config.json", *_WEIGHTS)
_PARTS = ("*_Pooling/config.json", "*_Dense/config.json", "*_Dense/model.safetensors")
_EXTRA = 'run: pip install "hala-factory[local]"'
_ACTIVATIONS = {"Tanh": np.tanh, "Identity": lambda values: values}


def faults(model: str, commit: str | None) -> str | None:
    """What is wrong with a checkpoint, as far as it shows without loading it; None if nothing."""
    missing = [name for name in ("ctranslate2", "transformers", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        return f"sentence embeddings need {missing[0]}; {_EXTRA}"
    if _on_hub(model):
        if commit and re.fullmatch("[0-9a-f]{40}", commit):
            return None
        return f"model {model!r} on the Hub wants its 'commit', 40 hex digits"
    if not (Path(model) / "config.json").is_file():
        return f"no checkpoint folder (with a config.json), and no id on the Hub: {model!r}"
    return None


def identity(model: str, commit: str | None) -> dict[str, Any]:
    """What decides the embeddings: the files of a folder by their digests, or the id on the Hub and its commit."""
    if _on_hub(model):
        return {"model": model, "commit": commit}
    return {"files": {str(p.relative_to(model)): _digest(p, *_mark(p)) for p in _files(Path(model))}}


def load(model: str, commit: str | None, pooling: Pooling | None) -> Encoder:
    """An encoder, once per process; its checkpoint is converted once per machine. Raises InputError."""
    fault = faults(model, commit)
    if fault:
        raise InputError(fault)
    return _loaded(model, commit, pooling, fingerprint(identity(model, commit)))


@functools.lru_cache(maxsize=2)
def _loaded(model: str, commit: str | None, pooling: Pooling | None, made_from: str) -> Encoder:
    return Encoder(_snapshot(model, commit) if _on_hub(model) else Path(model), made_from, pooling)


class Encoder:
    """Texts in, embeddings of length 1 out."""

    def __init__(self, folder: Path, made_from: str, pooling: Pooling | None) -> None:
        import ctranslate2
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.pooling, self._layers = _modules(folder, pooling)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} has no usable tokenizer: {hub.first_line(error)}") from error
        self._longest = _longest(folder, self._tokenizer.model_max_length)
        self._threads = pl.thread_pool_size()  # as many as the steps around it use
        converted = _converted(folder, made_from)
        self._encoder = ctranslate2.Encoder(str(converted), inter_threads=self._threads, intra_threads=1)

    def embed(self, texts: Sequence[str]) -> Floats:
        """One embedding per text, in order; a text is cut at the longest that the model takes."""
        ids = self._tokenizer(list(texts), truncation=True, max_length=self._longest)["input_ids"] if texts else []
        # The longest first, so that no thread is left alone with one in the end.
        order = sorted(range(len(ids)), key=lambda n: -len(ids[n]))
        with ThreadPoolExecutor(self._threads) as threads:
            found = dict(zip(order, threads.map(lambda n: self._one(ids[n]), order), strict=True))
        return np.stack([found[n] for n in range(len(ids))]) if ids else np.zeros((0, 0), np.float32)

    def _one(self, ids: list[int]) -> Floats:
        states: Floats = np.array(self._encoder.forward_batch([ids]).last_hidden_state)[0]
        vector = states[0] if self.pooling == "cls" else states.mean(axis=0)
        for weight, bias, activation in self._layers:
            vector = activation(weight @ vector + bias)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def _on_hub(model: str) -> bool:
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model)) and not Path(model).exists()


def _snapshot(model: str, commit: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(model, revision=commit, endpoint=hub.endpoint(), allow_patterns=[*_FILES, *_PARTS])
        )
    except Exception as error:
        raise InputError(hub.explained(error, model, "model", commit)) from error


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in (*_FILES, *_PARTS) for path in folder.glob(pattern) if path.is_file()})


def _mark(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache
def _digest(path: Path, size: int, changed: int) -> str:
    """The digest of a file, read once as long as its size and time stay."""
    return file_digest(path)


def _modules(folder: Path, pooling: Pooling | None) -> tuple[Pooling, list[tuple[Floats, Floats, Any]]]:
    """How token states become one vector: the pooling, and dense layers after it."""
    layers = []
    listed = json.loads((folder / "modules.json").read_bytes()) if (folder / "modules.json").is_file() else []
    for module in listed:
        kind, place = module["type"].rpartition(".")[2], folder / module["path"]
        if kind == "Pooling":
            pooling = pooling or _said_pooling(place)
        elif kind == "Dense":
            layers.append(_dense(place))
        elif kind not in ("Transformer", "Normalize"):
            raise InputError(f"{folder}: a module {kind!r} of sentence-transformers is not supported")
    return pooling or "mean", layers


def _said_pooling(place: Path) -> Pooling:
    config = json.loads((place / "config.json").read_bytes())
    told = config.get("pooling_mode")
    asked = [told] if told else [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    if asked in (["cls"], ["pooling_mode_cls_token"]):
        return "cls"
    if asked in (["mean"], ["pooling_mode_mean_tokens"]):
        return "mean"
    raise InputError(f"{place}: pooling {', '.join(map(str, asked))} is not supported; say 'pooling: mean' or 'cls'")


def _dense(place: Path) -> tuple[Floats, Floats, Any]:
    config = json.loads((place / "config.json").read_bytes())
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise InputError(f"{place}: the activation {activation} is not supported")
    if not (place / "model.safetensors").is_file():
        raise InputError(f"{place} has no model.safetensors; a newer revision of the model may have one")
    weights = importlib.import_module("safetensors.numpy").load_file(place / "model.safetensors")
    weight = weights["linear.weight"].astype(np.float32)
    bias = weights.get("linear.bias", np.zeros(len(weight))).astype(np.float32)
    return weight, bias, _ACTIVATIONS[activation]


def _longest(folder: Path, tokenizer_says: int) -> int:
    """Tokens of the longest text: what the checkpoint was tuned for, else what it has positions for."""
    config = json.loads((folder / "config.json").read_bytes())
    # XLM-R counts positions from the one after its padding.
    before = config.get("pad_token_id", 1) + 1 if "roberta" in str(config.get("model_type")) else 0
    tuned = read_json(folder / "sentence_bert_config.json") or {}
    places = int(config.get("max_position_embeddings", 512)) - before
    return min(places, int(tuned.get("max_seq_length") or places), tokenizer_says)


def _converted(folder: Path, made_from: str) -> Path:
    """The checkpoint in CTranslate2's form, in the cache of this machine's user."""
    import ctranslate2

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hala-factory" / "encoders"
    form = {"model": made_from, "ctranslate2": ctranslate2.__version__}
    place = cache / fingerprint(form)[:16]
    if read_json(place / "made_from.json") == form:
        return place
    config = json.loads((folder / "config.json").read_bytes())
    with atomic_folder(place) as temporary, tempfile.TemporaryDirectory() as name:
        for path in _files(folder):
            if path.parent == folder and path.name != "config.json":
                (Path(name) / path.name).symlink_to(path.resolve())
        # transformers 5 has no other positions and does not say so any more; the converter asks for it.
        (Path(name) / "config.json").write_text(json.dumps({"position_embedding_type": "absolute", **config}))
        try:
            ctranslate2.converters.TransformersConverter(name).convert(str(temporary), force=True)
        except Exception as error:  # whatever a library three layers down makes of a foreign file
            raise InputError(
                f"{folder} cannot be converted: {hub.first_line(error)}; an encoder is a checkpoint of BERT or XLM-R"
            ) from error
        write_json(temporary / "made_from.json", form)
    return place
