"""Whole builds whose translations come from a real vLLM server, and from a real small translator, over real rows.

The models are made on the spot: they know the human translations of some Tatoeba sentences by heart.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hala_factory.generate import tools
from tests.workshop import Workshop, balanced

HERE = Path(__file__).parent
VLLM = tools.find_vllm()
LOCAL = all(importlib.util.find_spec(m) for m in ("ctranslate2", "torch", "transformers"))
PROMPT = "Translate everything that follows into Arabic:\n\n{text}"
KNOWN, MORE = 24, 200


def tatoeba(shared: Path, language: str) -> list[str]:
    stem = shared / "opusmt-tatoeba-ara-eng" / "files" / "testsets" / "ara-eng" / "tatoeba-test-v2021-08-07"
    return Path(f"{stem}.{language}").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def pairs(shared: Path) -> list[tuple[str, str]]:
    """Real sentences and their human translations: short, distinct, in standard Arabic, with no digits."""
    labels = tatoeba(shared, "ara.labels")
    found: dict[str, str] = {}
    for english, arabic, label in zip(tatoeba(shared, "eng"), tatoeba(shared, "ara"), labels, strict=True):
        plain = label == "ara" and 25 <= len(english) <= 60 and 15 <= len(arabic) <= 60 and english.endswith(".")
        if plain and english.isascii() and not any(c.isdigit() for c in english + arabic):
            found.setdefault(english, arabic.strip())
    assert len(found) > KNOWN + MORE
    return list(found.items())


def made(python: Path, kind: str, pairs: list[tuple[str, str]], folder: Path) -> Path:
    """A checkpoint that answers these pairs by heart, made by the Python of an environment that has torch."""
    listed = folder / "pairs.json"
    listed.write_text(json.dumps(pairs, ensure_ascii=False), encoding="utf-8")
    command = [str(python), str(HERE / "tiny_models.py"), kind, str(listed), str(folder / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["recalled"] == len(pairs)
    return folder / "model"


def instructions(sentences: list[str]) -> list[dict[str, str]]:
    """Two sentences a row, as prompt and completion."""
    return [{"prompt": a, "completion": b} for a, b in zip(sentences[::2], sentences[1::2], strict=True)]


def bench(workshop: Workshop, sentences: list[str], model: dict[str, Any]) -> None:
    """A source of these sentences and a recipe that has `model` translate them."""
    workshop.rows("rows.jsonl", instructions(sentences))
    workshop.catalog(
        {"tatoeba": {"path": "rows.jsonl", "columns": "prompt_completion", "licence": "CC-BY-2.0"}},
        {"tiny": {"licence": "Apache-2.0", **model}},
    )
    translate = {"step": "translate", "to": "ar", "model": "tiny", "prompt": PROMPT, "max_tokens": 96}
    workshop.recipe(["tatoeba"], ["chat_shape", translate, "numbers", {"step": "script_share", "min_share": 0.5}])


def translated(workshop: Workshop) -> dict[str, str]:
    """English → Arabic of every message that was kept."""
    return {
        e["content"]: a["content"]
        for row in workshop.kept().iter_rows(named=True)
        for e, a in zip(row["messages_en"], row["messages"], strict=True)
    }


def running(word: str) -> list[int]:
    """Processes with `word` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


needs_vllm = pytest.mark.skipif(VLLM is None, reason="no vllm environment (hala-factory tools install vllm)")
needs_local = pytest.mark.skipif(not LOCAL, reason='the extra "local" is not installed')


@pytest.fixture(scope="module")
def llama(pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert VLLM is not None
    known = [(PROMPT.replace("{text}", english), arabic) for english, arabic in pairs[:KNOWN]]
    return made(VLLM, "llama", known, tmp_path_factory.mktemp("llama"))


@pytest.mark.vllm
@pytest.mark.slow
@needs_vllm
def test_a_real_server_translates_real_rows_and_is_gone_afterwards(
    workshop: Workshop, pairs: list[tuple[str, str]], llama: Path
) -> None:
    known = dict(pairs[:KNOWN])
    bench(workshop, list(known), {"engine": "vllm", "path": str(llama), "context": 1024})
    told = workshop.build()
    assert told["rows"] == {"in": KNOWN // 2, "kept": KNOWN // 2, "dropped": {}, "failed": {}}
    assert translated(workshop) == known
    assert told["generation"]["requests"] == KNOWN
    assert told["generation"]["from_store"] == 0
    assert told["generation"]["prompt_tokens"] > told["generation"]["output_tokens"] > KNOWN
    assert running(str(llama)) == []

    # another threshold: the answers come from the store, no server is started
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("max_tokens: 96", "max_tokens: 96\n  max_chars: 900"))
    again = workshop.build()
    assert again["generation"] == {"requests": KNOWN, "from_store": KNOWN, "prompt_tokens": 0, "output_tokens": 0}
    assert again["digest"] == told["digest"]
    assert len(list((workshop.folder / "store" / "logs").glob("vllm-*.log"))) == 1


@pytest.mark.vllm
@pytest.mark.slow
@needs_vllm
def test_a_server_killed_in_the_middle_of_a_build_is_started_again_and_the_build_ends_well(
    workshop: Workshop, pairs: list[tuple[str, str]], llama: Path
) -> None:
    sentences = [english for english, _ in pairs[: KNOWN + MORE]]
    bench(workshop, sentences, {"engine": "vllm", "path": str(llama), "context": 1024})
    build = workshop.spawn("build", "recipe.yaml", "--json")
    journals = workshop.folder / "store" / "generations"
    deadline = time.monotonic() + 240
    while not any(j.stat().st_size for j in journals.glob("*/journal-*.jsonl")) and build.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    servers = [p for p in running(str(llama)) if b"keeper" not in Path(f"/proc/{p}/cmdline").read_bytes()]
    assert servers
    os.kill(min(servers), signal.SIGKILL)
    out, err = build.communicate(timeout=400)
    assert build.returncode == 0, err.decode()
    told = json.loads(out)
    assert told["rows"]["in"] == (KNOWN + MORE) // 2
    assert balanced(told["rows"])
    known = dict(pairs[:KNOWN])
    assert {e: a for e, a in translated(workshop).items() if e in known} == known
    (log,) = (workshop.folder / "store" / "logs").glob("vllm-*.log")
    assert log.read_text(errors="replace").count("api_server --model") == 2
    assert running(str(llama)) == []


@pytest.mark.local
@pytest.mark.slow
@needs_local
def test_a_small_translator_on_the_processor_translates_real_rows(
    workshop: Workshop, pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    known = dict(pairs[:KNOWN])
    marian = made(Path(sys.executable), "marian", list(known.items()), tmp_path_factory.mktemp("marian"))
    bench(workshop, list(known), {"engine": "local", "path": str(marian), "context": 256})
    told = workshop.build()
    assert told["rows"] == {"in": KNOWN // 2, "kept": KNOWN // 2, "dropped": {}, "failed": {}}
    assert translated(workshop) == known
