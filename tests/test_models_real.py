"""Model recipes with the real llmcompressor and a real vLLM server, over a tiny llama that knows a few answers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from hala_factory.errors import InputError
from hala_factory.generate import tools
from hala_factory.models.checked import headers
from tests.test_generate_vllm import PAIRS, PROMPT, real_vllm
from tests.workshop import Workshop

HERE = Path(__file__).parent


def _compressor():
    try:
        return tools.find_llmcompressor()
    except InputError:
        return None


COMPRESSOR = _compressor()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        COMPRESSOR is None, reason="no llmcompressor environment (hala-factory tools install llmcompressor)"
    ),
]
RECIPE = {
    "name": "tiny-int8",
    "kind": "model",
    "version": "1.0.0",
    "base": "tiny",
    "steps": [
        {
            "step": "quantise",
            "scheme": "W8A8",
            "method": "gptq",
            "calibration": {"path": "pairs.jsonl", "n": 12, "max_tokens": 128},
        },
        {"step": "accept", "pairs": {"path": "pairs.jsonl"}, "max_tokens": 128, "min_n": 20},
    ],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A llama that answers `PAIRS` by heart."""
    folder = tmp_path_factory.mktemp("llama")
    pairs = folder / "pairs.json"
    pairs.write_text(json.dumps([[PROMPT.format(text), answer] for text, answer in PAIRS]), encoding="utf-8")
    command = [str(COMPRESSOR), str(HERE / "tiny_models.py"), "llama", str(pairs), str(folder / "model")]
    made = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert made.returncode == 0, made.stderr[-2000:]
    return folder / "model"


@pytest.fixture
def shop(workshop: Workshop, tiny: Path) -> Workshop:
    workshop.rows("pairs.jsonl", [{"en": text, "ar": answer} for text, answer in PAIRS])
    serve = ["--enforce-eager"]  # compiling takes longer than all the answers
    model = {"engine": "vllm", "path": str(tiny), "context": 512, "licence": "CC0-1.0", "serve": serve}
    workshop.catalog({}, {"tiny": model})
    return workshop


def test_an_fp8_dynamic_checkpoint_is_built_and_is_what_it_says(shop: Workshop, tiny: Path):
    said = shop.run("quantize", str(tiny), "--out", "fp8", "--json")
    told, config = said.json, json.loads((shop.folder / "fp8" / "config.json").read_text())["quantization_config"]
    assert (told["scheme"], told["quantised"], told["ignored"]) == ("FP8_DYNAMIC", 21, ["lm_head"])
    assert told["software"]["llmcompressor"] == "0.14.0.1"
    group = config["config_groups"]["group_0"]
    assert (group["weights"]["strategy"], group["weights"]["type"], group["weights"]["num_bits"]) == (
        "channel",
        "float",
        8,
    )
    assert (group["input_activations"]["strategy"], group["input_activations"]["dynamic"]) == ("token", True)
    tensors = headers(shop.folder / "fp8")
    assert tensors["model.layers.0.mlp.down_proj.weight"]["dtype"] == "F8_E4M3"
    assert tensors["model.embed_tokens.weight"]["dtype"] == "F32"
    assert not list(shop.folder.glob(".tmp-*"))


def test_a_scheme_that_the_layers_do_not_fit_is_refused_before_the_work(shop: Workshop, tiny: Path):
    said = shop.run("quantize", str(tiny), "--out", "block", "--scheme", "FP8_BLOCK")
    assert said.code == 1
    assert "k_proj is 64 × 128: scheme FP8_BLOCK expects sizes that are multiples of 128" in said.err
    assert not (shop.folder / "block").exists()


@pytest.mark.vllm
@real_vllm
def test_a_model_is_quantised_served_asked_and_accepted_and_a_gate_can_refuse_it(shop: Workshop):
    shop.yaml("recipe.yaml", RECIPE)
    built = shop.run("build", "recipe.yaml", "--json").json
    assert [s["status"] for s in built["stages"]] == ["run", "run"]
    folder = Path(built["path"])
    manifest = json.loads((folder / "manifest.json").read_text())
    made, report = (stage["report"] for stage in manifest["stages"])
    assert (made["dtypes"]["I8"], made["samples"], made["method"]) == (21, 12, "gptq")
    assert (report["n"], report["texts"]) == (20, 20)
    assert report["scores"]["chrf"]["original"] == pytest.approx(100)
    assert report["scores"]["chrf"]["quantised"] > 90
    assert report["scores"]["chrf"]["signature"].startswith("nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:2|")
    for run in report["runs"].values():
        assert run["output_tokens"] > 100
        assert run["tokens_per_second"] > 0
        assert run["resident_bytes"] > 100_000_000
    assert report["runs"]["quantised"]["disk_bytes"] < report["runs"]["original"]["disk_bytes"]
    kept = {
        w: [json.loads(line) for line in (folder / "accept" / f"{w}.jsonl").read_text().splitlines()]
        for w in report["runs"]
    }
    assert {line["text"]: line["answer"] for line in kept["original"]} == dict(PAIRS)
    assert len(kept["quantised"]) == 20
    assert "| chrF++ | 100.00 |" in (folder / "README.md").read_text()

    again = shop.run("build", "recipe.yaml", "--json").json
    assert (again["digest"], {s["status"] for s in again["stages"]}) == (built["digest"], {"stored"})

    quantise, accept = RECIPE["steps"]
    shop.yaml("strict.yaml", {**RECIPE, "version": "1.1.0", "steps": [quantise, {**accept, "min_speedup": 50}]})
    refused = shop.run("build", "strict.yaml")  # what was measured is stored: the gate alone is asked
    assert refused.code == 1
    assert "tiny-int8@1.1.0 is not accepted" in refused.err
    assert "accept.min_speedup" in refused.err
    assert "FAILED" in refused.err
    assert not (shop.folder / "store" / "models" / "tiny-int8" / "1.1.0").exists()
    assert len(list((shop.folder / "store" / "stages").glob("answers-*"))) == 2
    assert os.stat(folder / "model.safetensors").st_nlink == 2  # weights are on disk once


@pytest.mark.vllm
@real_vllm
def test_a_model_that_knows_its_translations_by_heart_scores_all_of_them(shop: Workshop):
    report = shop.run("evaluate", "tiny", "--pairs", "pairs.jsonl", "--json").json
    (found,) = report["translations"]
    assert (found["texts"], found["distinct_share"]) == (20, {"model": 1.0})
    assert [round(found["scores"][word]["model"]) for word in ("chrf", "bleu", "rouge_l")] == [100, 100, 100]
    assert found["runs"]["model"] == {"answered": 20, "failed": 0, "cut": 0, "first_error": None}
    assert report["benchmarks"] == {}
