"""The engine `batch`, form `openai`: requests and answers in the files of OpenAI's Batch API.

vLLM (`run_batch`) and most vendors take the same files. The model:
- A request's `custom_id` is its key in the generation store: whoever answers it, and whenever, the answer finds its
  question. Answer files may hold lines in any order, of other rounds, twice, torn, or with errors.
- An answer or a refusal settles a request. Any other failure has it written again, in the file of the next round,
  `ATTEMPTS` times in all.
"""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hala_factory.catalog import Model
from hala_factory.generate import completion
from hala_factory.generate.answers import Answer, ModelIdentity, Request, Unit
from hala_factory.generate.checkpoint import served
from hala_factory.generate.offline import OfflineEngine, Outbox
from hala_factory.yamlfile import display

URL = "/v1/chat/completions"
MAX_BYTES = 190_000_000  # the Batch API takes files of 200 MB (platform.openai.com/docs/guides/batch)
ATTEMPTS = 3
_REFUSED = {400, 413, 422}
_OFFSET_BITS = 44  # 16 TB a file, a million files


class BatchEngine(OfflineEngine):
    """Writes `requests-*.jsonl` into its folder and reads `answers*.jsonl` from it, both in OpenAI's batch format."""

    unit: Unit = "segment"
    prompted = True

    def __init__(self, name: str, model: Model, folder: Path, *, revision: str | None) -> None:
        super().__init__(name, folder)
        assert model.batch is not None
        self._model = model
        self._revision = revision
        self._outbox = Outbox(folder, ".jsonl", max_requests=model.batch.max_requests, max_bytes=MAX_BYTES)
        self._waiting: set[int] = set()
        """The beginnings of the keys that this build waits for."""
        self._new = 0

    @cached_property
    def identity(self) -> dict[str, Any]:
        """As of endpoints: a batch of a model's answers is as good as its answers one by one."""
        return served(self.name, self._model, self._revision)

    def load(self) -> None:
        """Index the requests and the answers by their keys; the answers themselves stay in the files."""
        self._requested = LineIndex(sorted(self.folder.glob("requests-*.jsonl")))
        self._answered = LineIndex(sorted(self.folder.glob("answers*.jsonl")))

    def look(self, request: Request) -> Answer | None:
        """What the answer files say to a request, which is written where it has not to be waited for already."""
        key = request.key(ModelIdentity(self.name, self.identity))
        refusal, failures = None, {}
        for line in self._answered.find(key):
            try:
                answer = read(line)
            except completion.Failed as e:
                failures[str(line.get("id")) + str(e)] = str(e)
                continue
            if answer.finish_reason != "error":
                return answer
            refusal = refusal or answer
        if refusal:
            return refusal
        start = int(key[:16], 16)
        requested = sum(1 for _ in self._requested.find(key))
        if len(failures) >= requested >= ATTEMPTS:
            return Answer("", "error", error=f"{list(failures.values())[-1]} (in {requested} batches)", final=False)
        if len(failures) >= requested and start not in self._waiting:
            called = self._model.model or self._model.hub or self.name
            body = completion.spoken(called, request)
            line = {"custom_id": key, "method": "POST", "url": URL, "body": body}
            self._outbox.add(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self._new += 1
        self._waiting.add(start)
        return None

    def publish(self) -> None:
        """Let the last file of this round take its name."""
        self._outbox.publish()

    def told(self) -> str:
        """How many requests wait, in which files, and what to do."""
        old = len(self._waiting) - self._new
        files = ", ".join(p.name for p in self._outbox.files)
        parts = [f"{self._new:,} new in {files}"] if self._new else []
        parts += [f"{old:,} of earlier files"] if old else []
        told = (
            f"model {self.name!r}: {len(self._waiting):,} requests wait for answers in {display(self.folder)} "
            f"({', '.join(parts)}); have them answered as OpenAI batches, put the answers beside them as "
            "answers*.jsonl, the errors too, and run the same command again"
        )
        if old:
            told += "; what a deleted file asked for is asked for anew"
        doubts = []
        if torn := self._answered.torn:
            doubts.append("lines that cannot be read: " + ", ".join(f"{f.name} {n:,}" for f, n in torn.items()))
        if strays := self._answered.strays(self._requested):
            doubts.append(f"answers to what no file here asked for: {strays:,}")
        return "\n".join([told, *doubts])


def read(line: dict[str, Any]) -> Answer:
    """The answer in a line of a batch's output or error file; a refusal is one. Raises Failed for anything else."""
    response, error = line.get("response"), line.get("error")
    if isinstance(response, dict) and isinstance(status := response.get("status_code"), int):
        body = response.get("body") or error
        spoken = json.dumps(body).encode() if body else b""
        if status == 200:
            return completion.read(spoken, None)
        words = completion.said(spoken, None)
        said = f"HTTP {status}: {words}" if words else f"HTTP {status}, and nothing more"
        if status in _REFUSED:
            return Answer("", "error", error=said)
        raise completion.Failed(said)
    if isinstance(error, dict):
        raise completion.Failed(str(error.get("message") or error.get("code") or error)[:300])
    raise completion.Failed("a line without a response")


class LineIndex:
    """The lines of JSON Lines files by their `custom_id`: 16 bytes of memory each."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.torn: dict[Path, int] = {}
        """Lines that cannot be read, by file: they count as not there."""
        prefixes, places = array("Q"), array("Q")
        for number, path in enumerate(files):
            with path.open("rb") as f:
                offset = 0
                for line in f:
                    key = _key(line)
                    if key is not None:
                        prefixes.append(int(key[:16], 16))
                        places.append(number << _OFFSET_BITS | offset)
                    elif line.strip():
                        self.torn[path] = self.torn.get(path, 0) + 1
                    offset += len(line)
        order = np.argsort(np.frombuffer(prefixes, np.uint64), kind="stable") if prefixes else np.empty(0, np.intp)
        self._prefixes = np.frombuffer(prefixes, np.uint64)[order] if prefixes else np.empty(0, np.uint64)
        self._places = np.frombuffer(places, np.uint64)[order] if places else np.empty(0, np.uint64)

    def find(self, key: str) -> Iterator[dict[str, Any]]:
        """Every line of this key, in the order of the files."""
        start = np.uint64(int(key[:16], 16))
        place = int(np.searchsorted(self._prefixes, start))
        while place < len(self._prefixes) and self._prefixes[place] == start:
            number, offset = divmod(int(self._places[place]), 1 << _OFFSET_BITS)
            with self.files[number].open("rb") as f:
                f.seek(offset)
                line = orjson.loads(f.readline())
            if line["custom_id"] == key:
                yield line
            place += 1

    def strays(self, requested: LineIndex) -> int:
        """Lines whose key none of the requests has."""
        return int((~np.isin(self._prefixes, requested._prefixes)).sum())


def _key(line: bytes) -> str | None:
    """The `custom_id` of a line; one that is no key of ours stands under a key that nobody has."""
    with contextlib.suppress(orjson.JSONDecodeError):
        fields = orjson.loads(line)
        if isinstance(fields, dict) and isinstance(key := fields.get("custom_id"), str):
            with contextlib.suppress(ValueError):
                int(key[:16], 16)
                return key
            return "0" * 64
    return None
