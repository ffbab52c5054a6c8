"""Models that are begun and trained by our own recipe: what is learnt, what is told, what is stopped, what goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hala_factory.models import curve
from hala_factory.train import batches, collapse
from tests.workshop import Workshop

pytest.importorskip("trl", reason="needs the extra `train`")
pytestmark = [pytest.mark.train, pytest.mark.slow]

WORDS = ["cat", "dog", "sun", "moon", "tree", "house", "road", "river", "bread", "salt"]
ARABIC = ["قطة", "كلب", "شمس", "قمر", "شجرة", "بيت", "طريق", "نهر", "خبز", "ملح"]
PAIRS = [
    {"en": f"{a} and {b}", "ar": f"{x} و {y}"}
    for a, x in zip(WORDS, ARABIC, strict=True)
    for b, y in zip(WORDS, ARABIC, strict=True)
]
INIT = {
    "step": "init",
    "architecture": "llama",
    "texts": {"path": "pairs.jsonl"},
    "vocabulary": 400,
    "hidden": 64,
    "layers": 3,
    "heads": 4,
    "kv_heads": 2,
    "ffn": 192,
    "context": 128,
}
SFT = {
    "step": "sft",
    "rows": {"path": "pairs.jsonl"},
    "tasks": [{"prompt": "{text}"}],
    "held_out": 20,
    "max_length": 64,
    "epochs": 60,
    "batch_size": 16,
    "micro_batch": 16,
    "learning_rate": 3e-3,
    "warmup": 10,
    "precision": "fp32",
    "looks": 2,
    "collapse": {"from_share": 1.0},
    "save_every": 50,
}


@pytest.fixture
def shop(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what is so small is slower on more
    workshop.rows("pairs.jsonl", PAIRS)
    workshop.catalog({}, {})
    return workshop


def recipe(shop: Workshop, *steps: dict, **fields: object) -> Path:
    return shop.yaml(
        "recipe.yaml", {"name": "small", "kind": "model", "version": "dev", "steps": list(steps), **fields}
    )


def report(shop: Workshop, stage: str) -> dict:
    manifest = json.loads((shop.folder / "store" / "models" / "small" / "dev" / "manifest.json").read_text())
    return next(s["report"] for s in manifest["stages"] if s["name"] == stage)


def learn(model: Path, chats: list) -> tuple[list[str], dict]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    made = AutoModelForCausalLM.from_pretrained(model)
    figures = collapse.look(made, tokenizer, chats, batch=8, max_length=64)
    return collapse.answers(made, tokenizer, chats, 8, 16), figures


# Recipes that cannot work


@pytest.mark.parametrize(
    ("steps", "fields", "told"),
    [
        ([SFT], {}, "field 'base' is missing"),
        ([{**INIT, "heads": 3}, SFT], {}, "heads: 64 wide is no even width for each of 3 heads"),
        ([{**INIT, "kv_heads": 3}, SFT], {}, "kv_heads: 4 heads cannot share 3 evenly"),
        ([SFT, INIT], {"base": "nobody"}, "unknown model 'nobody'"),
        ([INIT, {**SFT, "micro_batch": 5}], {}, "micro_batch: 5 does not divide batch_size 16"),
        ([INIT, {**SFT, "tasks": []}], {}, "tasks"),
        ([INIT, {**SFT, "tasks": [{"prompt": "Translate!"}]}], {}, "prompt: expected a prompt that holds {text}"),
        ([INIT, {**SFT, "rows": {"path": "nothing.jsonl"}}], {}, "nothing.jsonl"),
        ([INIT, {**SFT, "rows": {"corpus": "nobody"}}], {}, "ref 'nobody': there is no recipe 'nobody'"),
    ],
)
def test_a_chain_that_cannot_work_is_refused_before_it_begins(shop, steps, fields, told):
    recipe(shop, *steps, **fields)
    said = shop.run("plan", "recipe.yaml")
    assert (said.code, told in said.err) == (2, True), said.err


# What comes of a training


def test_a_model_from_nothing_learns_to_translate_and_its_card_tells_how(shop):
    recipe(shop, INIT, SFT)
    built = shop.run("build", "recipe.yaml", "--json")
    assert built.code == 0, built.err
    begun, made = report(shop, "init"), report(shop, "sft")
    assert begun["architecture"] == "LlamaForCausalLM"
    assert begun["vocabulary"] <= 400
    assert (made["rows"], made["steps"]) == (80, 300)
    losses = [loss for _, loss in made["losses"]]
    assert losses[-1] < 0.2 * losses[0]
    assert made["looks"][-1]["gap"] > 1.0
    assert made["looks"][-1]["distinct_share"] > 0.8
    assert made["trained_tokens"] < made["tokens"]
    held = [[{"role": "user", "content": p["en"]}, {"role": "assistant", "content": p["ar"]}] for p in PAIRS]
    answers, _ = learn(Path(built.json["path"]), held)
    right = sum(said == pair["ar"] for said, pair in zip(answers, PAIRS, strict=True))
    assert right > 80  # of 100, 20 of which it never saw
    card = (Path(built.json["path"]) / "README.md").read_text()
    assert "![loss over 300 steps](loss.svg)" in card
    assert "80 conversations" in card
    again = shop.run("build", "recipe.yaml", "--json").json
    assert (again["digest"], {s["status"] for s in again["stages"]}) == (built.json["digest"], {"stored"})
    recipe(shop, INIT, {**SFT, "micro_batch": 8, "save_every": 7})  # how the work is done decides nothing
    assert {s["status"] for s in shop.run("build", "recipe.yaml", "--json").json["stages"]} == {"stored"}
    recipe(shop, INIT, {**SFT, "learning_rate": 2e-3})
    stages = {s["name"]: s["status"] for s in shop.run("plan", "recipe.yaml", "--json").json["stages"]}
    assert stages == {"init": "stored", "sft": "to run", "model": "to run"}


def test_a_training_that_was_killed_goes_on_to_the_same_losses_and_weights(shop, monkeypatch):
    steps = (INIT, {**SFT, "epochs": 16, "save_every": 10, "collapse": None})
    recipe(shop, *steps)
    whole = shop.run("build", "recipe.yaml", "--json").json
    losses, looks = (report(shop, "sft")[word] for word in ("losses", "looks"))
    command = [sys.executable, "-m", "hala_factory.cli", "build", "recipe.yaml", "--store", "other"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 240
    while not list(shop.folder.glob("other/stages/sft-*/unfinished/checkpoints/checkpoint-2?")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    monkeypatch.setenv("HALA_STORE", "other")
    again = shop.run("build", "recipe.yaml", "--json", "--store", "other").json
    made = json.loads((shop.folder / "other" / "models" / "small" / "dev" / "manifest.json").read_text())
    told = made["stages"][1]["report"]
    assert told["taken_up_at"] >= 10  # not 20 where the kill tore that one
    assert told["losses"] == losses
    assert told["looks"] == looks
    assert again["digest"] == whole["digest"]
    assert not list(shop.folder.glob("other/stages/sft-*/unfinished"))


def test_a_model_that_does_not_read_its_questions_is_caught_though_its_loss_falls(shop):
    rng = random.Random(0)
    answers = [pair["ar"] for pair in PAIRS]
    rng.shuffle(answers)
    shop.rows("shifted.jsonl", [{"en": p["en"], "ar": ar} for p, ar in zip(PAIRS, answers, strict=True)])
    steps = {
        **SFT,
        "rows": {"path": "shifted.jsonl"},
        "epochs": 8,
    }
    recipe(shop, INIT, steps)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 1
    assert "collapsed at step 40 of 40: the right answers to other questions are as likely" in said.err
    assert "answers without reading what it is asked" in said.err
    assert not list(shop.folder.glob("store/models/small/*"))
    again = shop.run("build", "recipe.yaml")  # from its last checkpoint, which is at the end: it is not let through
    assert (again.code, "collapsed at step 40 of 40" in again.err) == (1, True)
    recipe(shop, INIT, {**steps, "collapse": None})  # whoever wants it all the same goes on from there
    assert shop.run("build", "recipe.yaml").code == 0
    assert report(shop, "sft")["taken_up_at"] == 40


def test_lora_trains_little_and_leaves_whole_weights(shop):
    recipe(shop, INIT, {**SFT, "epochs": 8, "lora": {"r": 4}, "collapse": None})
    built = shop.run("build", "recipe.yaml", "--json")
    assert built.code == 0, built.err
    made = report(shop, "sft")
    assert made["trained_parameters"] < made["parameters"] / 2
    assert made["losses"][-1][1] < made["losses"][0][1]
    from safetensors import safe_open

    def names(folder: Path) -> list[str]:
        with safe_open(folder / "model.safetensors", "pt") as file:
            return sorted(file.keys())

    begun = next(shop.folder.glob("store/stages/init-*/checkpoint"))
    assert names(Path(built.json["path"])) == names(begun)


def test_two_processes_train_together_to_the_same_losses(shop):
    few = {**SFT, "epochs": 2, "collapse": None, "looks": 1}
    recipe(shop, INIT, few)
    assert shop.run("build", "recipe.yaml").code == 0
    alone = [loss for _, loss in report(shop, "sft")["losses"]]
    recipe(shop, INIT, {**few, "processes": 2, "micro_batch": 8})
    said = shop.run("build", "recipe.yaml", "--store", "two", "--json")
    assert said.code == 0, said.err
    manifest = json.loads((shop.folder / "two" / "models" / "small" / "dev" / "manifest.json").read_text())
    assert [loss for _, loss in manifest["stages"][1]["report"]["losses"]] == pytest.approx(alone, rel=1e-3)


# By hand


def test_a_model_is_trained_by_hand_from_a_folder_or_refused_with_a_reason(shop):
    from hala_factory.train import init

    (shop.folder / "texts.jsonl").write_text("".join(json.dumps(p["en"] + p["ar"]) + "\n" for p in PAIRS))
    sizes = {k: INIT[k] for k in ("hidden", "layers", "heads", "kv_heads", "ffn")}
    order = {"texts": "texts.jsonl", "architecture": "llama", "sizes": sizes, "vocabulary": 300, "context": 128}
    init.main({**order, "seed": 0, "out": "begun"})
    fields = ("epochs=2", "held_out=8", "max_length=96", "batch_size=16", "precision=fp32", "collapse=null")
    words = ["train", "begun", "--rows", "pairs.jsonl", "--out", "trained"]
    sets = [word for field in fields for word in ("--set", field)]
    told = shop.run(*words, *sets, "--json").json
    assert (told["rows"], told["steps"]) == (92, 12)
    assert told["lint"]["rows"] == 92
    assert (shop.folder / "trained" / "loss.svg").is_file()
    assert not list(shop.folder.glob(".trained-unfinished"))
    for more, said in (
        (["--set", "epochs"], "--set epochs: expected FIELD=VALUE"),
        (["--set", "epocks=2"], "unknown field 'epocks'; did you mean 'epochs'?"),
        ([], "--out trained: is there already"),
    ):
        refused = shop.run(*words, *more)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    refused = shop.run(*words[:-1], "another", *sets, "--set", "logs=trackio")
    assert "logs: 'trackio' is not installed" in refused.err
    narrow = shop.run(*words[:-1], "another", *sets, "--set", "max_length=16")
    assert (narrow.code, "max_over_length_share" in narrow.err) == (1, True)


# Packing


@pytest.mark.parametrize(("architecture", "apart"), [("llama", True), ("lfm2", False)])
def test_packing_is_refused_where_one_conversation_reads_another(tmp_path, architecture, apart):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hala_factory.train import init, packing

    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(p["en"]) + "\n" for p in PAIRS))
    sizes = {k: INIT[k] for k in ("hidden", "layers", "heads", "kv_heads", "ffn")}
    order = {"texts": str(texts), "architecture": architecture, "sizes": sizes, "vocabulary": 300, "context": 128}
    init.main({**order, "seed": 0, "out": str(tmp_path / "out")})
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")([p["en"] for p in PAIRS[3:5]])["input_ids"]
    if apart:
        packing.expect_apart(model, ids)
    else:
        with pytest.raises(SystemExit, match="Lfm2ForCausalLM lets one packed conversation read the one before it"):
            packing.expect_apart(model, ids)


# Rows, order, figures


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=400),
    size=st.integers(1, 32),
    epochs=st.sampled_from([0.5, 1.0, 1.5, 3.0]),
    seed=st.integers(0, 5),
)
def test_every_epoch_has_every_row_once_in_an_order_of_the_seed(lengths, size, epochs, seed):
    order = batches.order(lengths, size, epochs, seed)
    assert len(order) == round(len(lengths) * epochs)
    seen = [order.count(row) for row in range(len(lengths))]
    assert max(seen) <= -int(-epochs // 1)
    if epochs in (1.0, 3.0):
        assert set(seen) == {int(epochs)}
    assert order == batches.order(lengths, size, epochs, seed)


def test_only_what_the_assistant_says_is_learnt_and_long_ones_are_cut(tmp_path):
    from hala_factory.train.init import TEMPLATE
    from tests.tiny_models import untrained

    _, tokenizer = untrained([p["en"] + p["ar"] for p in PAIRS], 128)
    tokenizer.chat_template = TEMPLATE
    chat = [{"role": "user", "content": "cat"}, {"role": "assistant", "content": "قطة"}]
    long = [{"role": "user", "content": "cat " * 90}, {"role": "assistant", "content": "قطة"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(c) + "\n" for c in (chat, long)))
    (row,) = batches.rows(str(tmp_path / "train.jsonl"), 40, tokenizer)  # of the long one nothing is left to learn
    learnt = [token for token in row["labels"] if token != -100]
    assert "قطة" in tokenizer.decode(learnt)
    assert "cat" not in tokenizer.decode(learnt)
    assert (row["trained"], row["length"]) == (len(learnt), len(row["input_ids"]))


def test_shifted_answers_are_those_of_others_of_about_the_same_length():
    chats = [[{"role": "user", "content": str(n)}, {"role": "assistant", "content": "x" * n}] for n in (5, 1, 3)]
    assert [len(c[1]["content"]) for c in collapse.shifted(chats)] == [1, 3, 5]
    assert [c[0]["content"] for c in collapse.shifted(chats)] == ["5", "1", "3"]


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"gap": 0.3, "distinct_share": 0.9}, None),
        ({"gap": 0.01, "distinct_share": 0.9}, "as likely as to their own"),
        ({"gap": 0.3, "distinct_share": 0.02}, "20 distinct questions get few distinct answers (2%, asked ≥ 30%)"),
        ({"gap": 0.0, "distinct_share": 0.02}, "few distinct answers"),
    ],
)
def test_either_figure_alone_shows_a_collapse(figures, told):
    bounds = {"min_gap": 0.05, "min_distinct_share": 0.3}
    found = collapse.verdict({"loss": 2.0, "shifted_loss": 2.0 + figures["gap"], "n": 20, **figures}, bounds)
    assert (found is None) if told is None else (told in str(found))


def test_the_curve_is_a_drawing_of_both_losses():
    drawn = curve.draw([[1, 4.0], [50, 2.0], [100, 1.5]], [{"step": 100, "loss": 1.8, "shifted_loss": 3.1}])
    assert drawn.startswith("<svg")
    assert all(word in drawn for word in ("training 1.500", "held out 1.800", "other questions 3.100", ">5<"))
    assert "nan" not in curve.draw([[1, float("nan")]], [])
