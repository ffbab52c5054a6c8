"""The engine `local`: a small encoder-decoder translator (Marian or M2M100) on the processor, through CTranslate2."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.fingerprint import fingerprint
from hala_factory.generate import checkpoint as checkpoints
from hala_factory.generate.answers import Answer, Request, Unit
from hala_factory.store import atomic_folder, read_json

BEAMS = 1
"""The likeliest token at each step, as the other engines do at temperature 0. CTranslate2's search of width 2
ends with the first two hypotheses that end, however good: on 20 sentences that a model knows by heart it gave
two short ones, where transformers gave none."""
TOGETHER = 64
"""Requests translated in one batch, at most."""
SAMPLED_FROM = 20
"""Likeliest tokens that are drawn from where the temperature is not 0."""
TYPES = {None: "float32", "INT8": "int8", "FLOAT16": "float16", "BFLOAT16": "bfloat16", "INT8_FLOAT32": "int8_float32"}
"""`quantisation` in the catalog, and what CTranslate2 calls it."""


class LocalEngine:
    """Translates bare texts with a Marian or M2M100 checkpoint: a folder, or an id on the hub.

    The checkpoint is converted once, under `converted`. The prompt is ignored; the source and target
    language of an M2M100 are those of its own configuration. Raises InputError where the extra `local` is
    not installed, and for a checkpoint it cannot use.
    """

    unit: Unit = "segment"
    prompted = False

    def __init__(
        self,
        name: str,
        model: Model,
        checkpoint: Path | str,
        *,
        revision: str | None,
        converted: Path,
        digests: Callable[[Path], str],
        beams: int = BEAMS,
    ) -> None:
        if model.quantisation not in TYPES:
            known = ", ".join(t for t in TYPES if t)
            raise InputError(f"model {name!r}: 'quantisation' of a local model is one of {known}, or none")
        self.name = name
        self.beams = beams
        self._model = model
        self._checkpoint = checkpoint
        self._revision = revision
        self._converted = converted
        self._digests = digests
        self._waiting: asyncio.Queue[tuple[Request, asyncio.Future[Answer]]] = asyncio.Queue()
        self._working: asyncio.Task[None] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._translator: _Translator | None = None
        self._held: BuildError | None = None

    @property
    def capacity(self) -> int:
        """What is translated together."""
        return TOGETHER

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The checkpoint, its quantisation, the width of the search and what is put before a text."""
        of = checkpoints.identity(self.name, self._checkpoint, self._revision, self._digests)
        how = {"quantisation": self._model.quantisation, "beams": self.beams, "prefix": self._model.prefix}
        return {"engine": "local", **of, **how}

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(1, "local")
        loop = asyncio.get_running_loop()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")  # for what we do not use
                self._translator = await loop.run_in_executor(self._threads, self._load)
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._working:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
        if self._threads:
            self._threads.shutdown()

    async def answer(self, request: Request) -> Answer:
        """The translation of the request's bare text; requests that wait together are translated together."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._held:
            raise self._held.with_traceback(None)
        self._waiting.put_nowait((request, future))
        return await future

    async def hold(self, error: BuildError) -> None:
        """Have what is not being translated yet, and what comes later, raise `error`."""
        self._held = error
        while not self._waiting.empty():
            _, future = self._waiting.get_nowait()
            if not future.done():
                future.set_exception(error)

    async def _work(self) -> None:
        assert self._translator is not None
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            for alike in _alike(batch):
                requests = [request for request, _ in alike]
                try:
                    answers = await loop.run_in_executor(self._threads, self._translator.answers, requests)
                except Exception as e:
                    for _, future in alike:
                        if not future.done():
                            future.set_exception(e)
                    continue
                for (_, future), answer in zip(alike, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    def _load(self) -> _Translator:
        try:
            import ctranslate2
            import transformers
        except ImportError as e:
            raise InputError(
                f'model {self.name!r}: the engine local needs {e.name}; run: pip install "hala-factory[local]"'
            ) from None
        transformers.logging.set_verbosity_error()
        source, options = str(self._checkpoint), {"revision": self._revision} if self._revision else {}
        type_ = TYPES[self._model.quantisation]
        of = checkpoints.identity(self.name, self._checkpoint, self._revision, self._digests)
        made_from = {"model": of, "type": type_, "ctranslate2": ctranslate2.__version__}
        folder = self._converted / fingerprint(made_from)[:12]
        if read_json(folder / "made_from.json") is None:
            self._convert(ctranslate2, source, options, folder, type_, made_from)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
            config = transformers.AutoConfig.from_pretrained(source, **options)
            generation = transformers.GenerationConfig.from_model_config(config)
            with contextlib.suppress(OSError):
                generation = transformers.GenerationConfig.from_pretrained(source, **options)
        except (OSError, ValueError) as e:
            raise InputError(f"model {self.name!r}: {source} has no usable tokenizer: {_first_line(e)}") from e
        spoken_first: list[str] = []
        if config.model_type == "m2m_100":
            forced = generation.forced_bos_token_id
            if forced is None:
                raise InputError(
                    f"model {self.name!r}: {source} says no target language; "
                    "set 'forced_bos_token_id' in its generation_config.json"
                )
            spoken_first = [tokenizer.convert_ids_to_tokens(forced)]
        longest = getattr(config, "max_position_embeddings", None) or self._model.context
        longest = min(longest, self._model.context)
        return _Translator(folder, tokenizer, self._model.prefix, spoken_first, longest, self.beams)

    def _convert(
        self,
        ctranslate2: Any,
        source: str,
        options: dict[str, str],
        folder: Path,
        type_: str,
        made_from: dict[str, Any],
    ) -> None:
        import orjson

        self._converted.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as temporary:
            try:
                converter = ctranslate2.converters.TransformersConverter(source, **options)
                converter.convert(str(temporary), quantization=type_, force=True)
            except (ValueError, ImportError, RuntimeError, OSError) as e:
                raise InputError(
                    f"model {self.name!r}: {source} cannot be converted: {_first_line(e)}; "
                    "the engine local takes Marian and M2M100 checkpoints"
                ) from e
            (temporary / "made_from.json").write_bytes(orjson.dumps(made_from))


class _Translator:
    """A loaded model with its own tokenizer; `answers` runs in one thread."""

    def __init__(
        self, folder: Path, tokenizer: Any, prefix: str, spoken_first: list[str], longest: int, beams: int
    ) -> None:
        self.folder = folder
        self.translator = self._opened()
        self.tokenizer = tokenizer
        self.prefix = f"{prefix} " if prefix else ""
        self.spoken_first = spoken_first
        self.longest = longest
        self.beams = beams

    def answers(self, requests: list[Request]) -> list[Answer]:
        """The translations of requests that ask for the same sampling."""
        texts = [self.prefix + _text(r) for r in requests]
        pieces = [self.tokenizer.convert_ids_to_tokens(self.tokenizer(t)["input_ids"]) for t in texts]
        fits = [n for n, p in enumerate(pieces) if len(p) <= self.longest]
        found = {
            n: Answer("", "error", len(p), error=f"the text has {len(p)} tokens, the model takes {self.longest}")
            for n, p in enumerate(pieces)
            if len(p) > self.longest
        }
        first = requests[0]
        translator = self.translator
        sampling: dict[str, Any] = {"beam_size": self.beams}
        if first.temperature > 0:
            # A seed reaches only threads that start after it: what is drawn needs a translator of its own.
            translator = self._opened(first.seed or 0)
            sampling = {"sampling_topk": SAMPLED_FROM, "sampling_temperature": first.temperature, "beam_size": 1}
        results = translator.translate_batch(
            [pieces[n] for n in fits],
            target_prefix=[self.spoken_first] * len(fits) if self.spoken_first else None,
            max_input_length=0,  # ours is checked above; CTranslate2 would cut the text without a word
            max_decoding_length=max(1, min(first.max_tokens, self.longest - 1)),
            return_end_token=True,
            **sampling,
        )
        end = self.tokenizer.eos_token
        for n, result in zip(fits, results, strict=True):
            out = result.hypotheses[0]
            ids = self.tokenizer.convert_tokens_to_ids(out)
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            whole = bool(out) and out[-1] == end
            found[n] = Answer(text, "stop" if whole else "length", len(pieces[n]), len(out))
        return [found[n] for n in range(len(requests))]

    def _opened(self, seed: int | None = None) -> Any:
        import ctranslate2

        if seed is not None:
            ctranslate2.set_random_seed(seed)
        return ctranslate2.Translator(str(self.folder), device="cpu", compute_type="default")


def _text(request: Request) -> str:
    if request.text is None:
        raise TypeError("the engine local translates bare texts: ask with text=…, not with a prompt alone")
    return request.text


def _alike(
    batch: list[tuple[Request, asyncio.Future[Answer]]],
) -> list[list[tuple[Request, asyncio.Future[Answer]]]]:
    """The batch by sampling; what is drawn with a seed stands alone, so that its neighbours decide nothing."""
    groups: dict[tuple[object, ...], list[tuple[Request, asyncio.Future[Answer]]]] = {}
    for request, future in batch:
        alone = id(future) if request.temperature > 0 else None
        groups.setdefault((request.temperature, request.max_tokens, request.seed, alone), []).append((request, future))
    return list(groups.values())


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
