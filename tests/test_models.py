"""Model recipes: their checks, the chain's stages, gates and versions, with stand-ins for llmcompressor and vLLM."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hala_factory import catalog
from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate import tools
from hala_factory.generate import vllm as vllm_module
from hala_factory.generate.answers import ModelIdentity, Request
from hala_factory.generate.engines import make_engine
from hala_factory.generate.memory import resident, weights_on_gpu
from hala_factory.models import accept
from hala_factory.models.accept import Accept
from hala_factory.models.checked import check, headers
from hala_factory.models.data import RowsFrom, find
from hala_factory.models.scores import compare
from hala_factory.store import Store
from tests import stand_in_compressor
from tests.test_generate_vllm import gone
from tests.workshop import Workshop, alpaca

HERE = Path(__file__).parent
TEXTS = [(f"This is line {n} of the test.", f"هذا هو السطر {n} من الاختبار.") for n in range(30)]
QUANTISE = {"step": "quantise"}
ACCEPT = {"step": "accept", "pairs": {"path": "pairs.jsonl", "n": 20}, "min_n": 10}


@pytest.fixture
def shop(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A catalog with one model, 30 pairs, and stand-ins for both tools."""
    for word, shift, script in (("VLLM", 2, "stand_in_openai.py"), ("LLMCOMPRESSOR", 2, "stand_in_compressor.py")):
        python = workshop.write(
            f"{word}.sh", f'#!/bin/sh\nshift {shift}\nexec {sys.executable} {HERE / script} "$@"\n'
        )
        python.chmod(0o755)
        monkeypatch.setenv(f"HALA_{word}_PYTHON", str(python))
    monkeypatch.setattr(vllm_module, "gpus", list)
    base = workshop.folder / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    stand_in_compressor.safetensors(base / "model.safetensors", {"lm_head.weight": ("BF16", [64, 64])})
    workshop.rows("pairs.jsonl", [{"en": text, "ar": answer} for text, answer in TEXTS])
    pairs = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    asking = {"path": "asking.jsonl"}
    workshop.rows("asking.jsonl", alpaca(40))
    workshop.catalog(
        {"held-out": pairs, "asking": asking},
        {
            "tiny": {"engine": "vllm", "path": "base", "licence": "CC-BY-NC-4.0", "context": 512},
            "people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"},
            "tiny-int8": {"engine": "vllm", "ref": "small@1.0.0", "licence": "CC-BY-NC-4.0"},
        },
    )
    return workshop


def chain(shop: Workshop, *steps: dict, **fields: object) -> Path:
    head = {"name": "small", "kind": "model", "version": "1.0.0", "base": "tiny"}
    return shop.yaml("recipe.yaml", {**head, "steps": list(steps) or [QUANTISE, ACCEPT], **fields})


# What is wrong with a recipe


@pytest.mark.parametrize(
    ("steps", "fields", "told"),
    [
        ([{"step": "quantize"}], {}, "unknown step 'quantize'; did you mean 'quantise'?"),
        (
            [{**QUANTISE, "scheme": "FP9"}],
            {},
            "scheme: 'FP9' is not known; known are: FP8_BLOCK, FP8_DYNAMIC, W4A16, W8A8",
        ),
        ([{**QUANTISE, "shceme": "W8A8"}], {}, "unknown field 'shceme'; did you mean 'scheme'?"),
        ([{**QUANTISE, "method": "gptq"}], {}, "method 'gptq' needs 'calibration'"),
        ([{**QUANTISE, "calibration": {"path": "pairs.jsonl"}}], {}, "method 'rtn' reads no data"),
        ([QUANTISE, QUANTISE], {}, "two steps are called 'quantise': give one of them a 'name'"),
        ([QUANTISE, {**QUANTISE, "name": "again"}], {}, "the model is quantised already"),
        ([ACCEPT], {}, "there is none that makes a model"),
        (
            [QUANTISE, {**ACCEPT, "pairs": {"source": "held-uot"}}],
            {},
            "unknown source 'held-uot'; did you mean 'held-out'?",
        ),
        (
            [QUANTISE, {**ACCEPT, "pairs": {"n": 5}}],
            {},
            "give one of 'source', 'corpus' and 'path': found none of them",
        ),
        (
            [QUANTISE, {**ACCEPT, "pairs": {"corpus": "He ld"}}],
            {},
            "corpus: expected the name of a recipe, or name@version, found 'He ld'",
        ),
        ([QUANTISE, {**ACCEPT, "prompt": "Translate!"}], {}, "prompt: expected a prompt that holds {text}"),
        ([QUANTISE], {"base": "tinyy"}, "unknown model 'tinyy'; did you mean 'tiny'?"),
        ([QUANTISE], {"base": "people"}, "model 'people' has engine 'recorded'; a chain begins with a checkpoint"),
        (
            [QUANTISE],
            {"profiles": {"p": {"steps": {"quantsie": {}}}}},
            "no step called 'quantsie'; did you mean 'quantise'?",
        ),
        (
            [QUANTISE],
            {"profiles": {"p": {"steps": {"quantise": {"step": "accept"}}}}},
            "a profile changes the fields of a step, not its kind",
        ),
        ([QUANTISE], {"profiles": {"p": {"base": "tyni"}}}, "unknown model 'tyni'"),
        ([QUANTISE], {"kind": "modle"}, "kind: 'modle' is not known; did you mean 'model'?"),
        ([QUANTISE], {"version": "1"}, "version: expected a version, such as '1.2.3' or 'dev', found '1'"),
        ([], {"steps": []}, "steps: expected at least 1, found an empty list"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_told_at_its_place(shop, steps, fields, told):
    chain(shop, *steps, **fields)
    said = shop.run("check", "recipe.yaml")
    assert said.code == 2
    assert told in said.err
    assert said.err.startswith("recipe.yaml:")


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ({"path": "nothing.jsonl"}, "nothing.jsonl"),
        ({"corpus": "held-out@1.0.0"}, "there is no corpus 'held-out@1.0.0'"),
    ],
)
def test_rows_that_are_not_there_are_told_before_anything_runs(shop, pairs, told):
    chain(shop, QUANTISE, {**ACCEPT, "pairs": pairs})
    said = shop.run("plan", "recipe.yaml")
    assert said.code == 2
    assert "recipe.yaml:" in said.err
    assert told in said.err


def test_a_limit_and_a_budget_are_for_corpora(shop):
    chain(shop)
    assert "--limit is for corpora" in shop.run("build", "recipe.yaml", "--limit", "5").err
    assert "a budget is for corpora" in shop.run("build", "recipe.yaml", "--max-tokens", "5").err


# The chain


def test_a_chain_makes_a_version_with_its_measurements_beside_the_manifest(shop):
    chain(shop, description="A small one.")
    told = shop.run("plan", "recipe.yaml", "--json").json
    assert [(s["name"], s["kind"], s["status"]) for s in told["stages"]] == [
        ("quantise", "make", "to run"),
        ("accept", "judge", "to run"),
        ("model", "model", "to run"),
    ]
    built = shop.run("build", "recipe.yaml", "--json").json
    folder = shop.folder / "store" / "models" / "small" / "1.0.0"
    assert built["path"] == str(folder)
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "README.md",
        "accept/original.jsonl",
        "accept/quantised.jsonl",
        "config.json",
        "lock.yaml",
        "manifest.json",
        "model.safetensors",
        "quantisation.yaml",
        "recipe.yaml",
    ]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["kind"], manifest["licence"], manifest["lock"]["base"]["name"]) == (
        "model",
        "CC-BY-NC-4.0",
        "tiny",
    )
    assert set(manifest["files"]) == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {
        "manifest.json"
    }
    report = manifest["stages"][1]["report"]
    assert (report["texts"], report["n"], report["same_answers"]) == (20, 20, 20)
    lines = [json.loads(line) for line in (folder / "accept" / "original.jsonl").read_text().splitlines()]
    assert {line["text"]: line["reference"] for line in lines}.items() <= dict(TEXTS).items()
    card = (folder / "README.md").read_text()
    for part in ("A small one.", "FP8_DYNAMIC by rtn", "| chrF++ |", "(equal)", "nw:2", "accept.max_chrf_loss"):
        assert part in card
    assert {s["status"] for s in shop.run("plan", "recipe.yaml", "--json").json["stages"]} == {"stored"}
    again = shop.run("build", "recipe.yaml", "--json").json
    assert (again["digest"], {s["status"] for s in again["stages"]}) == (built["digest"], {"stored"})
    assert "small@1.0.0: everything is stored" in shop.run("build", "recipe.yaml").out


def test_versions_and_show_tell_of_models(shop):
    chain(shop)
    shop.run("build", "recipe.yaml", "--quiet")
    assert "small@1.0.0  a model" in shop.run("versions").out
    assert shop.run("versions", "--json").json[0]["kind"] == "model"
    said = shop.run("show", "small@1.0.0").out
    assert "base    tiny (base), licence CC-BY-NC-4.0" in said
    assert "output tokens/s" in said
    assert "accept.min_n" in said
    assert shop.run("show", "small@1.0.0", "--json").json["kind"] == "model"


CHANGES = [
    ({}, []),
    ({"accept": {"max_chrf_loss": 40}}, []),
    ({"accept": {"min_n": 3}}, []),
    ({"accept": {"min_speedup": 900}}, []),
    ({"accept": {"max_tokens": 90}}, ["accept"]),
    ({"accept": {"prompt": "Say in Arabic: {text}"}}, ["accept"]),
    ({"accept": {"pairs": {"path": "pairs.jsonl", "n": 11}}}, ["accept"]),
    ({"accept": {"pairs": {"path": "pairs.jsonl", "n": 20, "seed": 1}}}, ["accept"]),
    ({"quantise": {"ignore": []}}, ["quantise", "accept"]),
    ({"quantise": {"scheme": "W8A8"}}, ["quantise", "accept"]),
    ({"quantise": {"seed": 3}}, ["quantise", "accept"]),
    ({"quantise": {"method": "gptq", "calibration": {"source": "held-out", "n": 4}}}, ["quantise", "accept"]),
]


def test_a_change_runs_what_it_decides_and_a_gate_runs_nothing(shop):
    chain(shop, version="dev")
    shop.run("build", "recipe.yaml", "--quiet")
    found = []
    for change, _ in CHANGES:
        chain(shop, *({**step, **change.get(step["step"], {})} for step in (QUANTISE, ACCEPT)), version="dev")
        told = shop.run("plan", "recipe.yaml", "--json").json["stages"][:-1]
        found.append((change, [s["name"] for s in told if s["status"] == "to run"]))
    assert found == CHANGES


def test_a_version_that_stands_never_changes(shop):
    chain(shop)
    shop.run("build", "recipe.yaml", "--quiet")
    chain(shop, {**QUANTISE, "scheme": "W8A8"}, ACCEPT)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 2
    assert (
        "small@1.0.0 stands already and was built from something else (first difference: stage 'quantise')" in said.err
    )
    assert "bump the version" in said.err


def test_another_base_another_weight_is_another_model(shop):
    chain(shop, version="dev")
    first = shop.run("plan", "recipe.yaml", "--json").json["fingerprint"]
    stand_in_compressor.safetensors(
        shop.folder / "base" / "model.safetensors", {"lm_head.weight": ("BF16", [64, 64])}, 1
    )
    assert shop.run("plan", "recipe.yaml", "--json").json["fingerprint"] != first


def test_the_original_is_asked_once_for_all_that_are_made_of_it(shop):
    chain(shop, version="dev")
    shop.run("build", "recipe.yaml", "--quiet")
    chain(shop, {**QUANTISE, "scheme": "W8A8"}, ACCEPT, version="dev")
    said = shop.run("build", "recipe.yaml")
    assert said.err.count("answers: ") == 1
    assert "answers: small-quantise, 20 texts" in said.err


# Gates


def test_a_gate_that_is_not_passed_publishes_nothing_and_says_why(shop):
    chain(shop, QUANTISE, {**ACCEPT, "min_n": 25, "min_speedup": 900})
    said = shop.run("build", "recipe.yaml")
    assert said.code == 1
    assert "small@1.0.0 is not accepted" in said.err
    rows = {line.split()[0]: line for line in said.err.splitlines() if line.startswith("accept.")}
    assert "20 texts" in rows["accept.min_n"]
    assert "FAILED" in rows["accept.min_n"]
    assert "FAILED" in rows["accept.min_speedup"]
    assert "passed" in rows["accept.max_chrf_loss"]
    assert not (shop.folder / "store" / "models" / "small" / "1.0.0").exists()
    (stage,) = (shop.folder / "store" / "stages").glob("accept-*")
    assert sorted(p.name for p in (stage / "kept").iterdir()) == ["original.jsonl", "quantised.jsonl"]
    chain(shop)
    assert [s["status"] for s in shop.run("build", "recipe.yaml", "--json").json["stages"]] == ["stored", "stored"]


def test_a_gate_newer_than_the_version_is_asked_of_it(shop):
    chain(shop)
    shop.run("build", "recipe.yaml", "--quiet")
    chain(shop, QUANTISE, {**ACCEPT, "min_speedup": 900})
    assert "accept.min_speedup" in shop.run("build", "recipe.yaml").err


def report(lost=0.0, p=0.5, speedup=2.0, n=500):
    run = {"machine": {"gpus": "", "processor": "a processor"}, "failed": 0, "first_error": None}
    chrf = {"loss": lost, "p": p, "noise": p is None or p > 0.05}
    return {
        "n": n,
        "texts": n,
        "speedup": speedup,
        "scores": {"chrf": chrf},
        "runs": {"original": run, "quantised": run},
    }


@pytest.mark.parametrize(
    ("measured", "gate", "passed", "told"),
    [
        (report(), "max_chrf_loss", True, "+0.00 points lost (noise, p = 0.500)"),
        (report(lost=0.5), "max_chrf_loss", True, "+0.50 points lost"),
        (report(lost=0.51), "max_chrf_loss", False, "noise"),
        (report(lost=0.51, p=0.01), "max_chrf_loss", False, "beyond noise, p = 0.010"),
        (report(lost=-3, p=0.01), "max_chrf_loss", True, "-3.00 points lost (beyond noise"),
        (report(p=None), "max_chrf_loss", True, "both score the same"),
        (report(speedup=1.5), "min_speedup", True, "1.50 ×"),
        (report(speedup=1.49), "min_speedup", False, "1.49 ×"),
        (report(n=200), "min_n", True, "200 texts"),
        (report(n=199), "min_n", False, "199 texts"),
    ],
)
def test_a_bound_is_inclusive_and_says_what_is_noise(measured, gate, passed, told):
    step = Accept(pairs=RowsFrom(path="x"), min_speedup=1.5)
    (verdict,) = (v for v in step.verdicts(measured) if v.gate == gate)
    assert verdict.passed is passed
    assert told in verdict.found


def test_a_bound_that_is_null_is_not_asked():
    step = Accept(pairs=RowsFrom(path="x"), max_chrf_loss=None)
    assert [v.gate for v in step.verdicts(report(lost=50, speedup=0.1))] == ["min_n"]


# Scores


ENGLISH = [
    f"The {a} {b} the {c}." for a in ("cat", "dog", "fox") for b in ("sees", "hears") for c in ("sun", "sea", "day")
]


@pytest.mark.parametrize(
    ("worse", "noise"),
    [(0, True), (1, True), (len(ENGLISH), False)],
    ids=["equal", "one answer of 18", "every answer"],
)
def test_a_difference_is_noise_until_many_answers_make_it(worse, noise):
    original = [e.replace("The", "A") for e in ENGLISH]
    quantised = [f"{o.split()[0]} thing" if n < worse else o for n, o in enumerate(original)]
    score = compare(original, quantised, ENGLISH)["chrf"]
    assert score.noise is noise
    assert (score.p is None) is (worse == 0)
    assert (score.loss > 0) is (worse > 0)


def test_scores_carry_sacrebleu_s_signatures():
    found = compare(ENGLISH, ENGLISH, ENGLISH)
    assert found["bleu"].original == pytest.approx(100)
    assert found["bleu"].signature.startswith(
        "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2."
    )
    assert "nc:6|nw:2" in found["chrf"].signature


# Faults


def test_a_compressor_that_fails_is_told_with_the_end_of_its_log(shop, monkeypatch):
    monkeypatch.setenv("FAKE_COMPRESSOR", "crash")
    chain(shop)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 1
    assert "quantize ended with status 1" in said.err
    assert "no room for the weights" in said.err
    monkeypatch.delenv("FAKE_COMPRESSOR")
    assert shop.run("build", "recipe.yaml", "--json").json["digest"]


def test_a_checkpoint_that_is_not_what_was_ordered_is_never_stored(shop, monkeypatch):
    monkeypatch.setenv("FAKE_COMPRESSOR", "whole")
    chain(shop)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 1
    assert "expected 'quantization_config' of compressed-tensors, found None" in said.err
    (stage,) = (shop.folder / "store" / "stages").glob("quantise-*")
    assert [p.name for p in stage.iterdir()] == [".lock"]


def test_a_layer_to_ignore_that_is_none_is_told(shop):
    chain(shop, {**QUANTISE, "ignore": ["lm_heda"]})
    assert "the model has no linear layer 'lm_heda'; did you mean 'lm_head'?" in shop.run("build", "recipe.yaml").err


def test_nothing_outlives_a_killed_build_and_the_next_one_goes_on(shop):
    chain(shop)
    note = shop.folder / "pid"
    build = shop.spawn("build", "recipe.yaml", "--quiet", FAKE_COMPRESSOR="hang", FAKE_PID=str(note))
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(build.pid, signal.SIGKILL)
    build.communicate()
    assert gone({int(note.read_text())})
    (stage,) = (shop.folder / "store" / "stages").glob("quantise-*")
    assert list(stage.glob(".tmp-*"))
    assert shop.run("build", "recipe.yaml", "--json").json["digest"]
    assert not list(stage.glob(".tmp-*"))


def test_a_build_killed_between_two_models_asks_only_the_second_again(shop, monkeypatch):
    chain(shop)
    run, calls = accept.run, []

    def dies(checkpoint, asked, bench):
        calls.append(checkpoint.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(checkpoint, asked, bench)

    monkeypatch.setattr(accept, "run", dies)
    assert shop.run("build", "recipe.yaml").code == 130
    monkeypatch.setattr(accept, "run", run)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 0
    assert said.err.count("answers: ") == 1


def test_without_the_environment_the_command_that_makes_one_is_told(shop, monkeypatch):
    monkeypatch.delenv("HALA_LLMCOMPRESSOR_PYTHON")
    monkeypatch.setenv("HALA_TOOLS", str(shop.folder / "tools"))
    chain(shop)
    said = shop.run("build", "recipe.yaml")
    assert said.code == 2
    assert "run: hala-factory tools install llmcompressor" in said.err


def test_the_environment_is_known_by_the_releases_that_made_it(tmp_path, monkeypatch):
    monkeypatch.delenv("HALA_LLMCOMPRESSOR_PYTHON", raising=False)
    monkeypatch.setenv("HALA_TOOLS", str(tmp_path))
    assert "llmcompressor==0.14.0.1" in tools.LLMCOMPRESSOR[-1]
    python = tmp_path / "llmcompressor" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(InputError, match="run: hala-factory tools install llmcompressor"):
        tools.find_llmcompressor()  # half made: it has no record
    (tmp_path / "llmcompressor" / "whole.json").write_text(json.dumps({"made_by": tools.LLMCOMPRESSOR}))
    assert tools.install_llmcompressor() == tools.find_llmcompressor() == python


# A checkpoint held against its order


def broken(folder, change):
    """A checkpoint of W8A8 with one thing wrong."""
    made = stand_in_compressor.checkpoint(folder, "W8A8", ["lm_head"])
    config = json.loads((made / "config.json").read_text())
    said, tensors = config["quantization_config"], {n: (t["dtype"], t["shape"]) for n, t in headers(made).items()}
    change(said, tensors)
    (made / "config.json").write_text(json.dumps(config))
    stand_in_compressor.safetensors(made / "model.safetensors", tensors)
    return made


Q, LM = "model.layers.0.self_attn.q_proj", "lm_head"
GROUP = "group_0"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda s, t: s.update(quant_method="fp8"),
            "expected 'quantization_config' of compressed-tensors, found 'fp8'",
        ),
        (lambda s, t: s.update(config_groups={}), "expected one group of layers, for 'Linear'"),
        (
            lambda s, t: s["config_groups"][GROUP]["weights"].update(num_bits=4),
            "weights.num_bits: expected 8, found 4",
        ),
        (
            lambda s, t: s["config_groups"][GROUP]["input_activations"].update(dynamic=False),
            "input_activations.dynamic: expected True, found False",
        ),
        (lambda s, t: s["config_groups"][GROUP].update(input_activations=None), "input_activations: expected"),
        (lambda s, t: s.update(ignore=[]), "config.json does not list layer lm_head in 'ignore'"),
        (lambda s, t: t.pop(f"{Q}.weight_scale"), f"layer {Q} is not quantised"),
        (
            lambda s, t: t.update({f"{LM}.weight_scale": ("F32", [4, 1])}),
            "layer lm_head is quantised and was to be left out",
        ),
        (lambda s, t: t.update({f"{Q}.weight": ("BF16", [4, 4])}), f"{Q}.weight is of type BF16, expected I8"),
        (lambda s, t: t.pop(f"{Q}.weight"), f"{Q}.weight is of type None, expected I8"),
    ],
)
def test_a_checkpoint_that_differs_from_its_order_is_refused(tmp_path, change, told):
    made = broken(tmp_path / "made", change)
    with pytest.raises(BuildError) as error:
        check(made, "W8A8", ["lm_head"], stand_in_compressor.LINEAR)
    assert told in str(error.value)


def test_a_checkpoint_as_ordered_is_told_in_figures(tmp_path):
    made = broken(tmp_path / "made", lambda s, t: None)
    facts = check(made, "W8A8", ["re:lm_.*"], stand_in_compressor.LINEAR)
    assert (facts["quantised"], facts["ignored"], facts["dtypes"]) == (2, ["lm_head"], {"BF16": 2, "F32": 2, "I8": 2})
    with pytest.raises(BuildError, match="not what scheme FP8_DYNAMIC is"):
        check(made, "FP8_DYNAMIC", ["lm_head"], stand_in_compressor.LINEAR)


@pytest.mark.parametrize("torn", [b"", b"\x10\x00", b"\xff" * 20], ids=["empty", "short", "no head"])
def test_weights_that_are_torn_are_told(tmp_path, torn):
    made = stand_in_compressor.checkpoint(tmp_path / "made", "W8A8", [])
    whole = (made / "model.safetensors").read_bytes()
    for content in (torn, whole[:-1]):
        (made / "model.safetensors").write_bytes(content)
        with pytest.raises(BuildError, match="make the checkpoint again"):
            headers(made)


# Identity


def test_a_quantised_model_never_replays_answers_of_another(shop):
    folders = [shop.folder / "base"]
    for word, scheme, seed in (("a", "FP8_DYNAMIC", 0), ("b", "W8A8", 0), ("c", "W8A8", 1)):
        folders.append(stand_in_compressor.checkpoint(shop.folder / word, scheme, ["lm_head"], fill=seed))
    folders.append(stand_in_compressor.checkpoint(shop.folder / "d", "W8A8", [], fill=0))
    request = Request((("user", "Good morning."),), 0.0, 16)
    keys = set()
    for folder in folders:
        model = Model(engine="vllm", path=str(folder), licence="unknown")
        identity = ModelIdentity("m", make_engine("m", model, shop.folder, work=shop.folder).identity)
        keys.add(request.key(identity))
    assert len(keys) == len(folders)


def test_a_built_model_is_named_in_the_catalog_and_asked_as_its_own(shop):
    chain(shop)
    model = Model(engine="vllm", ref="small@1.0.0", licence="unknown")
    store = shop.folder / "store"
    with pytest.raises(InputError, match=r"'ref' names small@1.0.0, which is not in .*; build it first"):
        make_engine("m", model, shop.folder, work=store)
    shop.run("build", "recipe.yaml", "--quiet")
    identity = make_engine("m", model, shop.folder, work=store).identity
    (asked,) = (p for p in (store / "generations").iterdir() if p.name.startswith("small-quantise-"))
    assert asked.name.endswith(ModelIdentity("m", identity).fingerprint[:12])


# Rows


@pytest.mark.parametrize("order", [list(range(30)), list(reversed(range(30)))])
def test_the_same_rows_are_drawn_whatever_their_order(shop, order):
    rows = shop.rows("ordered.jsonl", [{"en": TEXTS[n][0], "ar": TEXTS[n][1]} for n in order])
    drawn = loaded(shop, path=str(rows), n=5, seed=1).pairs("en", "ar")
    assert drawn == loaded(shop, source="held-out", n=5, seed=1).pairs("en", "ar")
    assert len(drawn) == 5
    assert drawn != loaded(shop, path=str(rows), n=5, seed=2).pairs("en", "ar")
    assert set(drawn) <= set(TEXTS)


def loaded(shop, **fields):
    return find(RowsFrom(**fields), catalog.load(shop.folder / "catalog.yaml"), Store.at(shop.folder / "store"))


def test_rows_come_from_a_corpus_too_and_conversations_calibrate(shop):
    shop.recipe(["asking"], [], version="1.0.0")
    shop.build()
    turns = loaded(shop, corpus="small@1.0.0", n=3).conversations()
    assert [[m["role"] for m in t] for _, t in turns] == [["user", "assistant"]] * 3
    assert len(list(loaded(shop, corpus="small@1.0.0", n=None).conversations())) == 40
    with pytest.raises(InputError, match="expected pairs of 'en' and 'ar'; its rows are no pairs"):
        loaded(shop, corpus="small@1.0.0", n=3).pairs("en", "ar")


def test_pairs_calibrate_as_the_questions_and_answers_of_a_translator(shop):
    calibration = {"source": "held-out", "n": 4, "prompt": "To Arabic: {text}"}
    chain(shop, {**QUANTISE, "method": "gptq", "calibration": calibration})
    folder = Path(shop.run("build", "recipe.yaml", "--json").json["path"])
    seen = json.loads((folder / "seen.json").read_text())
    assert len(seen) == 4
    told = {(user["content"].removeprefix("To Arabic: "), answer["content"]) for user, answer in seen}
    assert told <= set(TEXTS)


# By hand, and what is measured of a server


def test_a_model_is_quantised_by_hand(shop):
    said = shop.run("quantize", "base", "--out", "by-hand", "--scheme", "W8A8", "--json").json
    assert (said["scheme"], said["quantised"]) == ("W8A8", 2)
    assert headers(shop.folder / "by-hand")[f"{Q}.weight"]["dtype"] == "I8"
    catalogued = shop.run(
        "quantize", "tiny", "--catalog", "catalog.yaml", "--out", "another", "--ignore", "re:.*q_proj"
    )
    assert catalogued.code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["base", "--out", "base"], "--out base: is there already"),
        (["bsae", "--out", "x"], "no folder and no model of the catalog: 'bsae'"),
        (["base", "--out", "x", "--scheme", "FP9"], "scheme: 'FP9' is not known"),
        (["base", "--out", "x", "--method", "gptq"], "method 'gptq' needs 'calibration'"),
        (["base", "--out", "x", "--rows", "3"], "--rows is of --calibration"),
        (["store", "--out", "x"], "no checkpoint folder"),
    ],
)
def test_what_cannot_be_quantised_by_hand_is_told(shop, words, told):
    (shop.folder / "store").mkdir()
    said = shop.run("quantize", *words)
    assert said.code == 2
    assert told in said.err


def test_the_memory_of_a_server_counts_all_its_processes():
    hold = "import sys, time; held = bytearray(b'x') * 50_000_000; print(flush=True); time.sleep(60)"
    twice = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {hold!r}]); exec({hold!r})"
    with subprocess.Popen([sys.executable, "-c", twice], stdout=subprocess.PIPE, start_new_session=True) as process:
        process.stdout.readline(), process.stdout.readline()
        held = resident(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    assert 100_000_000 < held < 250_000_000
    assert resident(process.pid) == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("INFO [gpu_model_runner.py:5150] Model loading took 13.25 GiB memory and 4.5 seconds", round(13.25 * 2**30)),
        ("INFO [cpu_model_runner.py:68] Starting to load model", None),
    ],
)
def test_the_weights_on_a_gpu_are_read_from_the_server_s_log(tmp_path, line, found):
    (tmp_path / "log").write_text(f"start\n{line}\n")
    assert weights_on_gpu(tmp_path / "log") == found
    assert weights_on_gpu(tmp_path / "none") is None


def test_the_steps_of_models_are_listed_and_explained(workshop):
    assert "accept" in workshop.run("steps").out
    assert "max_chrf_loss (default 0.5): Points of chrF++" in workshop.run("steps", "accept").out
