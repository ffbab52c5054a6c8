"""Evaluation with the real lm-eval over real checkpoints: tiny llamas made on the spot, that have learnt nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from hala_factory import benchmarks, catalog, questions
from hala_factory.errors import BuildError
from hala_factory.generate import checkpoint as checkpoints
from hala_factory.models import scoring
from hala_factory.models.evaluate import Evaluate
from hala_factory.models.step import Bench, Checkpoint
from hala_factory.store import Store
from tests import six_benchmarks as six
from tests import tiny_models
from tests.workshop import Workshop

pytestmark = [pytest.mark.train, pytest.mark.slow]
pytest.importorskip("lm_eval")
TEXTS = [text for asked in six.ALL.values() for question, choices, _ in asked for text in (question, *choices)]


def llama(folder: Path, context: int = 2048, noise: float = 0.0) -> Path:
    """An untrained llama; with `noise`, another one."""
    import torch

    model, tokenizer = tiny_models.untrained(TEXTS, context)
    with torch.no_grad():
        for weight in model.parameters():
            weight += noise * torch.randn_like(weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("tiny") / "model")


def bench(shop: Workshop, *names: str) -> Bench:
    """What a step works with, knowing these benchmarks."""
    entries = six.written(shop, {name: six.ALL[name] for name in names})
    loaded = catalog.load(shop.catalog({}, benchmarks=entries))
    store = Store.at(shop.folder / "store")
    nothing = Checkpoint("none", catalog.Model(engine="vllm", path=".", licence="MIT"), Path("."), None, {})
    tests = benchmarks.find(names, loaded, store.digest_of)
    return Bench(store, loaded, nothing, nothing, tests=tests)


def checkpoint(folder: Path, store: Store) -> Checkpoint:
    entry = catalog.Model(engine="vllm", path=str(folder), licence="MIT")
    identity = checkpoints.identity(folder.name, folder, None, store.digest_of)
    return Checkpoint(folder.name, entry, folder, None, identity)


def test_a_model_is_scored_on_the_samples_of_all_six_with_no_hub(workshop, tiny, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")  # nothing answers there
    workshop.write("catalog.yaml", six.CATALOG.read_bytes())
    (workshop.folder / "samples").symlink_to(six.CATALOG.parent / "samples")
    said = workshop.run("evaluate", str(tiny), "--samples", "--json")
    report = said.json
    assert list(report["benchmarks"]) == list(Evaluate().benchmarks)
    assert sum(found["questions"] for found in report["benchmarks"].values()) == 39
    for found in report["benchmarks"].values():
        right = found["accuracy"]["model"] * found["questions"] / 100
        assert right == pytest.approx(round(right), abs=1e-3)
    assert report["samples"] is True
    assert "arabic-mmlu: " in said.err  # what the program says reaches whoever waits
    assert not list((workshop.folder / "store/stages").glob("*/.tmp-*"))
    again = workshop.run("evaluate", str(tiny), "--samples")
    assert "scores: " not in again.err
    assert "the scores say nothing" in again.out
    assert again.out.count("arabic-mmlu-ht") == 2  # in the table, and with its licence


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_likelihoods_are_those_that_transformers_gives_the_label_after_the_prompt(workshop, tiny, chat):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    here = bench(workshop, "arabic-mmlu")
    asked = questions.read(here.tests["arabic-mmlu"])
    found = scoring.run(checkpoint(tiny, here.store), {"arabic-mmlu": asked}, here, chat=chat)
    found = found["arabic-mmlu"]["answers"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    head = "السؤال التالي هو سؤال متعدد الإختيارات. اختر الإجابة الصحيحة:\n\n"
    for question, answer in zip(asked, found, strict=True):
        letters = six.labels("arabic-mmlu", len(question.choices))
        listed = "".join(f"{a}. {c}\n" for a, c in zip(letters, question.choices, strict=True))
        prompt = f"{head}{question.question}\n{listed}الإجابة:"
        if chat:
            turn = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        before = len(tokenizer(prompt.rstrip())["input_ids"])  # a line break that ends a template counts to the label
        expected = []
        for letter in letters:
            ids = torch.tensor([tokenizer(prompt + letter)["input_ids"]])
            with torch.no_grad():
                likely = model(input_ids=ids).logits.log_softmax(-1)
            rest = range(before, ids.shape[1])
            expected.append(sum(float(likely[0, n - 1, ids[0, n]]) for n in rest))
        assert answer["loglikelihoods"] == pytest.approx(expected, abs=1e-3)
        each = [x / len(a) for x, a in zip(expected, letters, strict=True)]
        assert answer["right"] == (max(range(len(each)), key=each.__getitem__) == question.answer)


def test_two_models_are_told_side_by_side_and_one_is_equal_to_itself(workshop, tiny, tmp_path):
    here = bench(workshop, "exams", "arabic-mmlu-ht")
    other = llama(tmp_path / "other", noise=0.05)
    step = Evaluate(benchmarks=("exams", "arabic-mmlu-ht"))
    first, second = checkpoint(tiny, here.store), checkpoint(other, here.store)
    for n, (after, equal) in enumerate([(second, False), (replace(first, name="again"), True)]):
        folder = tmp_path / f"work-{n}"
        folder.mkdir()
        report = step.compared(here, {"before": first, "after": after}, folder)
        lines = [json.loads(line) for line in (folder / "kept/exams.jsonl").read_text().splitlines()]
        assert all(line["before"] == line["after"] for line in lines) is equal
        assert all(math.isfinite(x) for line in lines for x in line["after"]["loglikelihoods"])
        assert (report["mean"]["p"] is None) is equal
        assert set(report["software"]) == {"lm-eval", "torch", "transformers"}
    assert len(list((workshop.folder / "store/stages").glob("scores-*/stage.json"))) == 4


def test_prompts_that_a_model_cannot_take_whole_are_counted(workshop, tmp_path):
    here = bench(workshop, "exams")
    narrow = checkpoint(llama(tmp_path / "narrow", context=48), here.store)
    found = scoring.run(narrow, {"exams": questions.read(here.tests["exams"])}, here)["exams"]
    assert found["cut"] == 12
    (tmp_path / "work").mkdir()
    report = Evaluate(benchmarks=("exams",)).compared(here, {"model": narrow}, tmp_path / "work")
    assert report["benchmarks"]["exams"]["cut"] == {"model": 12}


def test_a_checkpoint_that_cannot_be_loaded_is_told_with_the_end_of_the_log(workshop, tiny, tmp_path):
    here = bench(workshop, "exams")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 1000 if file.suffix == ".safetensors" else None])
    sets = {"exams": questions.read(here.tests["exams"])}
    with pytest.raises(BuildError, match=r"evaluate ended with status 1; .*evaluate-broken-\d+\.log") as raised:
        scoring.run(checkpoint(broken, here.store), sets, here)
    assert "safetensors" in str(raised.value).lower()
    assert not list((workshop.folder / "store/stages").glob("scores-*/[!.]*"))
