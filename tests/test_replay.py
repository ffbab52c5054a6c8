"""What decides an answer decides whether it is replayed: anything of it changed, and nothing is; nothing of it, and all is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from hala_factory.generate import vllm as vllm_module
from tests.speaking import model, speaking
from tests.workshop import Workshop, alpaca, answers

pytestmark = pytest.mark.slow

ROWS = 4
QUESTIONS = 2 * ROWS
KNOWN = {r["text"]: r["answer"] for r in answers(ROWS)}
STEP = {"step": "translate", "to": "ar", "model": "tiny", "max_tokens": 100}
ENTRY = {"revision": "abc", "quantisation": "FP8_DYNAMIC", "chat_template": "llama3"}


def translated(request: dict[str, Any]) -> str:
    return next(answer for text, answer in KNOWN.items() if text in request["messages"][-1]["content"])


def bench(workshop: Workshop, entry: dict[str, Any], step: dict[str, Any], name: str = "tiny") -> None:
    workshop.rows("plain.jsonl", alpaca(ROWS))
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {name: entry})
    workshop.recipe(["plain"], ["length", {**STEP, "model": name, **step}])


def again(workshop: Workshop) -> None:
    """Have every question put anew: only the generation store remembers."""
    shutil.rmtree("store/corpora", ignore_errors=True)
    shutil.rmtree("store/stages")


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("nothing", {}, {}, True),
    ("the licence and the price", {"licence": "MIT", "price_per_million": {"prompt": 1, "output": 2}}, {}, True),
    ("where it runs", {"endpoints": ["{url}", "{url}/"]}, {}, True),
    ("what fits it", {"context": 2048}, {}, True),
    ("the longest segment, where no text is longer", {}, {"max_chars": 900}, True),
    ("the retries, where none was needed", {}, {"retries": {}}, True),
    ("the name of the step", {}, {"name": "other"}, True),
    ("the revision", {"revision": "def"}, {}, False),
    ("no revision", {"revision": None}, {}, False),
    ("the quantisation", {"quantisation": "W8A8"}, {}, False),
    ("no quantisation", {"quantisation": None}, {}, False),
    ("the chat template", {"chat_template": "llama3.1"}, {}, False),
    ("the model", {"model": "tiny-2"}, {}, False),
    ("the prompt", {}, {"prompt": "Translate this into Arabic:\n\n{text}"}, False),
    ("white space in the prompt", {}, {"prompt": "Translate everything that follows into Arabic:\n{text}"}, False),
    ("a system message", {}, {"system": "You are a translator."}, False),
    ("the temperature", {}, {"temperature": 0.1}, False),
    ("the longest answer", {}, {"max_tokens": 101}, False),
]


@pytest.mark.parametrize(("entry", "step", "replayed"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_an_answer_is_replayed_if_and_only_if_what_decides_it_is_the_same(
    workshop: Workshop, entry: dict[str, Any], step: dict[str, Any], replayed: bool
) -> None:
    with speaking(translated) as server:
        served = {**model(server), **ENTRY}
        bench(workshop, served, {})
        assert workshop.build()["generation"]["from_store"] == 0
        again(workshop)
        if "endpoints" in entry:
            entry = {"endpoints": [url.replace("{url}", server.url) for url in entry["endpoints"]]}
        changed = {word: value for word, value in {**served, **entry}.items() if value is not None}
        bench(workshop, changed, step)
        assert workshop.build()["generation"]["from_store"] == (QUESTIONS if replayed else 0)
        assert len(server.seen) == (QUESTIONS if replayed else 2 * QUESTIONS)
        assert set(server.texts.values()) <= ({1} if replayed else {1, 2})


def test_an_answer_outlives_the_name_of_its_model_in_the_catalog(workshop: Workshop) -> None:
    with speaking(translated) as server:
        bench(workshop, {**model(server), **ENTRY}, {})
        workshop.build()
        again(workshop)
        bench(workshop, {**model(server), **ENTRY}, {}, name="renamed")
        assert workshop.build()["generation"]["from_store"] == QUESTIONS


FILES: list[tuple[str, str, str, bool]] = [
    ("a page beside the model", "model/README.md", "another page", True),
    ("the weights", "model/model.safetensors", "other weights", False),
    ("the configuration", "model/config.json", '{"quantization_config": {"bits": 8}}', False),
    ("the chat template", "model/chat_template.jinja", "{{ other }}", False),
    ("the tokenizer", "model/tokenizer.json", "[1]", False),
    ("how it samples by default", "model/generation_config.json", '{"top_p": 0.5}', False),
    ("a template named to the server", "template.jinja", "{{ other }}", False),
    ("how many sequences it holds", "--max-num-seqs", "4", True),
    ("how its numbers are kept", "--kv-cache-dtype", "fp8", False),
]


@pytest.mark.parametrize(("place", "content", "replayed"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_answers_of_a_server_we_start_are_those_of_its_files_and_arguments(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, place: str, content: str, replayed: bool
) -> None:
    stand_in = Path(__file__).parent / "stand_in_openai.py"
    workshop.write("python", f'#!/bin/sh\nshift 2\nexec {sys.executable} {stand_in} "$@"\n').chmod(0o755)
    workshop.rows("known.jsonl", answers(ROWS))
    monkeypatch.setenv("STAND_IN", json.dumps({"known": str(workshop.folder / "known.jsonl"), "delay": 0}))
    monkeypatch.setenv("HALA_VLLM_PYTHON", str(workshop.folder / "python"))
    monkeypatch.setattr(vllm_module, "gpus", list)
    for name in ("README.md", "model.safetensors", "config.json", "chat_template.jinja", "tokenizer.json"):
        workshop.write(f"model/{name}", "{}")
    workshop.write("model/generation_config.json", "{}")
    workshop.write("template.jinja", "{{ messages }}")
    serve = ["--chat-template", str(workshop.folder / "template.jinja")]
    entry = {"engine": "vllm", "path": "model", "context": 512, "licence": "MIT", "serve": serve}
    bench(workshop, entry, {})
    assert workshop.build()["rows"]["kept"] == ROWS
    again(workshop)
    if place.startswith("--"):
        bench(workshop, {**entry, "serve": [*serve, place, content]}, {})
    else:
        workshop.write(place, content)
    assert workshop.build()["generation"]["from_store"] == (QUESTIONS if replayed else 0)
