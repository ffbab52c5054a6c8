"""The engine `local`: a real Marian checkpoint, made on the spot, translated through CTranslate2."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hala_factory.catalog import Model
from hala_factory.errors import InputError
from hala_factory.generate.answers import Request
from hala_factory.generate.engines import make_engine
from tests.test_generate_vllm import PAIRS, checkpoint

HERE = Path(__file__).parent
EXTRA = ("torch", "transformers", "ctranslate2", "sentencepiece")
needs_extra = pytest.mark.skipif(
    not all(importlib.util.find_spec(p) for p in EXTRA), reason="the extra `local` is not installed"
)


def request(text, **changes):
    return Request((("user", "ignored"),), **{"temperature": 0.0, "max_tokens": 200, "text": text, **changes})


def engine(folder, **fields):
    model = Model(**{"licence": "unknown", "engine": "local", "path": "model", "context": 256, **fields})
    return make_engine("marian", model, folder, work=folder / "store")


def answers(it, *requests):
    async def go():
        async with it:
            return await asyncio.gather(*(it.answer(r) for r in requests), return_exceptions=True)

    return asyncio.run(go())


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """A real Marian that translates `PAIRS` by heart."""
    folder = tmp_path_factory.mktemp("marian")
    (folder / "pairs.json").write_text(json.dumps(PAIRS), encoding="utf-8")
    made = subprocess.run(
        [sys.executable, str(HERE / "tiny_models.py"), "marian", str(folder / "pairs.json"), str(folder / "model")],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads(made.stdout)["recalled"] == len(PAIRS)
    return folder


@pytest.mark.local
@pytest.mark.slow
@needs_extra
def test_a_marian_checkpoint_translates_as_it_does_in_transformers(translator):
    found = answers(engine(translator), *(request(text) for text, _ in PAIRS))
    assert [a.text for a in found] == [answer for _, answer in PAIRS]
    assert {a.finish_reason for a in found} == {"stop"}
    assert all(a.prompt_tokens > 2 and a.output_tokens > 2 for a in found)


@pytest.mark.local
@pytest.mark.slow
@needs_extra
def test_a_checkpoint_is_converted_once_and_for_each_quantisation(translator):
    answers(engine(translator), request(PAIRS[0][0]))
    (made,) = (translator / "store" / "converted").iterdir()
    before = (made / "model.bin").stat()
    answers(engine(translator), request(PAIRS[0][0]))
    assert (made / "model.bin").stat().st_mtime_ns == before.st_mtime_ns
    found = answers(engine(translator, quantisation="INT8"), *(request(text) for text, _ in PAIRS))
    small = next(f for f in (translator / "store" / "converted").iterdir() if f != made)
    assert (small / "model.bin").stat().st_size < before.st_size / 2
    assert sum(a.text == answer for a, (_, answer) in zip(found, PAIRS, strict=True)) >= 0.8 * len(PAIRS)


@pytest.mark.local
@pytest.mark.slow
@needs_extra
def test_what_does_not_fit_is_said_and_its_neighbours_are_translated(translator):
    text, answer = PAIRS[0]
    good, long, cut, bare = answers(
        engine(translator),
        request(text),
        request("tea " * 400),
        request(text, max_tokens=2),
        Request((("user", text),), 0.0, 100),
    )
    assert (good.text, good.finish_reason) == (answer, "stop")
    assert long.finish_reason == "error"
    assert "tokens, the model takes 256" in long.error
    assert (cut.finish_reason, cut.output_tokens) == ("length", 2)
    assert isinstance(bare, TypeError)


@pytest.mark.local
@pytest.mark.slow
@needs_extra
def test_a_drawn_answer_is_decided_by_its_seed_and_not_by_its_neighbours(translator):
    drawn = {"temperature": 3.0, "seed": 7}
    alone = answers(engine(translator), request("The bread is free.", **drawn))
    among = answers(engine(translator), request("It rained.", **drawn), request("The bread is free.", **drawn))
    other = answers(engine(translator), *(request("The bread is free.", temperature=3.0, seed=n) for n in range(5)))
    assert alone[0].text == among[1].text
    assert len({a.text for a in other}) > 1


def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    checkpoint(tmp_path / "model")

    async def go():
        async with engine(tmp_path):
            pass

    with pytest.raises(InputError, match=r'needs ctranslate2; run: pip install "hala-factory\[local\]"'):
        asyncio.run(go())


def test_a_quantisation_that_is_unknown_is_told(tmp_path):
    with pytest.raises(InputError, match="'quantisation' of a local model is one of INT8"):
        engine(tmp_path, quantisation="FP8_DYNAMIC")


def test_the_identity_of_a_translator_counts_checkpoint_quantisation_and_prefix(tmp_path):
    checkpoint(tmp_path / "model")
    identities = [engine(tmp_path, **f).identity for f in ({}, {"quantisation": "INT8"}, {"prefix": ">>ara<<"})]
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    identities.append(engine(tmp_path).identity)
    assert len({json.dumps(i, sort_keys=True) for i in identities}) == 4
