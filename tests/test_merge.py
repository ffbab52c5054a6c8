"""The merge step: merged weights against the formulas in float64, over tiny llamas and LFM2s made on the spot."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest

from hala_factory.models import merge as step_module
from hala_factory.train import formula
from hala_factory.train import merge as program
from hala_factory.train.checkpoints import load, tensors
from tests.tiny_parents import KINDS, parents
from tests.workshop import Workshop

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("mergekit") is None, reason="needs the extra `merge`"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mergekit's imports
]

METHODS = [("slerp", 1.0), ("linear", 1.0), ("task_arithmetic", 1.0), ("ties", 0.3)]


@pytest.fixture(
    scope="module", params=[(kind, dtype) for kind in KINDS for dtype in ("float32", "bfloat16")], ids="-".join
)
def pair(request, tmp_path_factory):
    return parents(tmp_path_factory.mktemp("-".join(request.param)), *request.param)


@pytest.fixture(scope="module")
def llamas(tmp_path_factory):
    return parents(tmp_path_factory.mktemp("llamas"), "llama", "float32")


def merged(folder: Path, models, method="slerp", t=0.5, density=1.0) -> tuple[Path, dict]:
    order = {
        "method": method,
        "t": t,
        "density": density,
        "models": [{"name": m.name, "place": str(m), "revision": None} for m in models],
        "sample": 1_000,
        "seed": 0,
        "out": str(folder / "checkpoint"),
    }
    folder.mkdir(exist_ok=True)
    program.main(order, folder)
    return folder / "checkpoint", {**order, **json.loads((folder / "made.json").read_text())}


def weights(folder: Path) -> dict:
    return {name: load(tensor, name) for name, tensor in tensors(folder).items()}


# Against the formula


@pytest.mark.parametrize(("method", "density"), METHODS)
def test_merged_weights_are_the_formula_in_float64(pair, tmp_path, method, density):
    out, made = merged(tmp_path, pair, method, 0.5, density)
    assert made["checked"] == made["tensors"] == len(tensors(pair[0]))
    assert made["largest_error"] <= 1e-6
    assert set(weights(out)) == set(weights(pair[1]))
    assert {t.dtype for t in weights(out).values()} == {t.dtype for t in weights(pair[1]).values()}


def test_the_arc_is_reckoned_here_without_the_step_s_own_formula(pair, tmp_path):
    a, b, found = (weights(folder) for folder in (*pair, merged(tmp_path, pair, t=0.3)[0]))
    for name in found:
        x, y = a[name].double().flatten(), b[name].double().flatten()
        angle = math.acos(float(x @ y / x.norm() / y.norm()))
        expected = 0.7 * x + 0.3 * y
        if math.cos(angle) < 0.9995:
            expected = (math.sin(0.7 * angle) * x + math.sin(0.3 * angle) * y) / math.sin(angle)
        off = (found[name].double().flatten() - expected).abs()
        import torch

        rounding = torch.finfo(found[name].dtype).eps / 2 * expected.abs()
        assert float((off - rounding).max()) <= 1e-6, name


@pytest.mark.parametrize("method", ["slerp", "linear"])
@pytest.mark.parametrize("t", [0, 1])
def test_at_0_and_at_1_stand_the_parents_bit_for_bit(pair, tmp_path, method, t):
    found, parent = weights(merged(tmp_path, pair, method, float(t))[0]), weights(pair[t])
    assert all(found[name].equal(parent[name]) for name in parent)


@pytest.mark.parametrize(("t", "within"), [(0, 0.0), (1, 1e-6)])
def test_a_task_added_not_at_all_is_the_base_and_added_once_the_tuned_model(llamas, tmp_path, t, within):
    found, parent = weights(merged(tmp_path, llamas, "task_arithmetic", float(t))[0]), weights(llamas[t])
    assert max(float((found[name] - parent[name]).abs().max()) for name in parent) <= within


@pytest.mark.parametrize(("method", "density"), METHODS[1:])
def test_three_models_are_merged_by_the_formula_too(llamas, tmp_path, method, density):
    (tmp_path / "third").mkdir()
    third = parents(tmp_path / "third", "llama", "float32", apart=0.2)[1]
    _, made = merged(tmp_path / "out", [llamas[0], third, llamas[1]], method, 0.4, density)
    assert made["largest_error"] <= 1e-6


@pytest.mark.parametrize(("apart", "line"), [(1e-5, True), (0.05, False)])
def test_parallel_tensors_go_along_the_line(tmp_path, apart, line):
    base, tuned = parents(tmp_path, "llama", "float32", apart=apart)
    _, made = merged(tmp_path / "out", (base, tuned))
    name = "model.layers.0.self_attn.q_proj.weight"
    both = [weights(folder)[name].double() for folder in (base, tuned)]
    (expected,) = formula.slerp(both, 0.5, 1.0)
    assert expected.equal((both[0] + both[1]) / 2) is line
    assert made["largest_error"] <= 1e-6


def test_near_the_border_of_parallel_either_is_right():
    import torch

    for off, choices in ((-3e-6, 1), (-5e-7, 2), (5e-7, 2), (3e-6, 1)):
        angle = math.acos(formula.PARALLEL + off)
        ends = [torch.tensor([1.0, 0.0]).double(), torch.tensor([math.cos(angle), math.sin(angle)]).double()]
        assert len(formula.slerp(ends, 0.5, 1.0)) == choices


def test_a_tensor_that_was_altered_is_found(pair, tmp_path):
    from safetensors.torch import load_file, save_file

    out, made = merged(tmp_path, pair)
    (file,) = out.glob("*.safetensors")
    altered = load_file(file)
    name = "model.embed_tokens.weight"
    altered[name].view(-1)[7] += 0.01
    save_file(altered, file)
    errors = program.check(made, out, pair)
    assert [n for n, off in errors.items() if off > 1e-6] == [name]


# What belongs to the tuned model, and what may not be merged


def test_configuration_tokenizer_and_chat_template_are_the_tuned_model_s(pair, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    noted = json.loads((pair[1] / "config.json").read_text())
    (pair[1] / "config.json").write_text(json.dumps({**noted, "_name_or_path": str(pair[1])}))
    out, _ = merged(tmp_path, pair)
    assert AutoTokenizer.from_pretrained(out).chat_template.endswith("{#- tuned #}")
    assert json.loads((out / "config.json").read_text()) == noted
    model = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert model.generation_config.max_new_tokens == 7
    assert str(next(model.parameters()).dtype) == f"torch.{noted['dtype']}"
    for file in out.iterdir():
        assert str(tmp_path.parent).encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("wider", "model.embed_tokens.weight: 294 × 128 in base, 300 × 128 in other"),
        ("renumbered", "base and other number 2 tokens differently: '<|pad|>' is 0 in base and 1 in other"),
        ("quantised", "is quantised; expected whole weights"),
        ("empty", "no weights (*.safetensors) here"),
    ],
)
def test_models_that_do_not_fit_each_other_are_refused(llamas, tmp_path, change, told):
    import shutil

    from transformers import AutoModelForCausalLM

    other = tmp_path / "other"
    shutil.copytree(llamas[1], other)
    if change == "wider":
        model = AutoModelForCausalLM.from_pretrained(other)
        model.resize_token_embeddings(300)
        model.save_pretrained(other)
    elif change == "renumbered":
        text = (other / "tokenizer.json").read_text()
        said = json.loads(text)
        said["model"]["vocab"] |= {"<|pad|>": 1, "<|startoftext|>": 0}
        for token, n in zip(said["added_tokens"][:2], (1, 0), strict=True):
            token["id"] = n
        (other / "tokenizer.json").write_text(json.dumps(said))
    elif change == "quantised":
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**config, "quantization_config": {}}))
    else:
        (other / "model.safetensors").unlink()
    with pytest.raises(SystemExit) as refused:
        merged(tmp_path / "out", (llamas[0], other))
    assert told in str(refused.value)
    assert not (tmp_path / "out" / "checkpoint").exists()


# In a chain, and by hand


MERGE = {"step": "merge"}


@pytest.fixture
def shop(workshop: Workshop, llamas):
    entry = {"engine": "vllm", "licence": "CC-BY-NC-4.0"}
    places = {"base": llamas[0], "tuned": llamas[1]}
    workshop.catalog(
        {}, {name: {**entry, "path": str(place)} for name, place in places.items()} | {
            "people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}
        },
    )  # fmt: skip
    return workshop


def chain(shop: Workshop, *steps: dict) -> Path:
    head = {"name": "mixed", "kind": "model", "version": "1.0.0", "base": "tuned"}
    return shop.yaml("recipe.yaml", {**head, "steps": list(steps)})


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([{**MERGE, "method": "sluurp"}], "method: 'sluurp' is not known; did you mean 'slerp'?"),
        ([{**MERGE, "t": 1.5}], "t: expected at most 1, found 1.5"),
        ([{**MERGE, "with": ["bsae"]}], "unknown model 'bsae'; did you mean 'base'?"),
        ([{**MERGE, "with": ["base", "tuned"]}], "slerp merges two models, and 'with' names 2; take 'linear'"),
        ([{**MERGE, "method": "ties"}], "method 'ties' needs 'density'"),
        ([{**MERGE, "density": 0.2}], "'density' is of method 'ties', and this is 'slerp'"),
        ([MERGE], "nothing is made yet that could be merged with the base; name models in 'with'"),
        ([{"step": "quantise"}, MERGE], "merge whole weights, and quantise what comes of it"),
        ([{**MERGE, "with": ["people"]}], "model 'people' has engine 'recorded'; expected a checkpoint"),
    ],
)
def test_what_is_wrong_with_a_merge_is_told_at_its_place(shop, steps, told):
    chain(shop, *steps)
    said = shop.run("check", "recipe.yaml")
    assert (said.code, told in said.err) == (2, True), said.err
    assert said.err.startswith("recipe.yaml:")


@pytest.mark.slow
def test_a_chain_merges_with_others_and_with_its_base_and_its_card_says_so(shop, llamas):
    chain(shop, {**MERGE, "name": "first", "with": ["base"], "t": 0.25}, MERGE)
    first = shop.run("build", "recipe.yaml", "--json", "--quiet").json
    version = Path(first["path"])
    (stage,) = (shop.folder / "store" / "stages").glob("first-*")
    found, between, (base, tuned) = weights(version), weights(stage / "checkpoint"), (weights(f) for f in llamas)
    for name in found:
        (expected,) = formula.slerp([base[name].double(), tuned[name].double()], 0.25, 1.0)[:1]
        assert float((between[name] - expected).abs().max()) < 1e-6
        (expected,) = formula.slerp([tuned[name].double(), between[name].double()], 0.5, 1.0)[:1]
        assert float((found[name] - expected).abs().max()) < 1e-6
    card = (version / "README.md").read_text()
    assert "slerp at t = 0.25: base (CC-BY-NC-4.0) at 0, tuned (CC-BY-NC-4.0) at 1" in card
    assert "slerp at t = 0.5: tuned (CC-BY-NC-4.0) at 0, mixed-first (CC-BY-NC-4.0) at 1" in card
    assert "were reckoned again in float64 and differ by" in card
    stages = shop.run("build", "recipe.yaml", "--json").json["stages"]
    assert [s["status"] for s in stages] == ["stored", "stored"]
    shared = ("manifest.json", "recipe.yaml", "lock.yaml", "README.md")
    files = [f for f in version.iterdir() if f.name not in shared]
    assert len(files) >= 5
    assert not [f.name for f in files if str(shop.folder).encode() in f.read_bytes()]


def test_a_merge_counts_by_what_it_is_merged_with_and_not_by_its_name(shop, llamas, tmp_path_factory):
    chain(shop, {**MERGE, "with": ["base"]})
    plan = shop.run("plan", "recipe.yaml", "--json").json["fingerprint"]
    text = (shop.folder / "catalog.yaml").read_text()
    (shop.folder / "catalog.yaml").write_text(text.replace("base:", "renamed:"))
    chain(shop, {**MERGE, "with": ["renamed"]})
    assert shop.run("plan", "recipe.yaml", "--json").json["fingerprint"] == plan
    other = parents(tmp_path_factory.mktemp("other"), "llama", "float32", apart=0.3)[1]
    (shop.folder / "catalog.yaml").write_text(text.replace("base:", "renamed:").replace(str(llamas[0]), str(other)))
    assert shop.run("plan", "recipe.yaml", "--json").json["fingerprint"] != plan


def test_weights_that_are_not_the_formula_are_never_stored(shop, monkeypatch):
    made = {"largest_error": 2e-6, "worst": "model.norm.weight", "software": {"mergekit": "0.2"}}
    monkeypatch.setattr(step_module.program, "run", lambda *given, **named: made)
    chain(shop, {**MERGE, "with": ["base"]})
    said = shop.run("build", "recipe.yaml")
    assert said.code == 1
    assert "model.norm.weight is off its formula by 2.00e-06, expected at most 1e-06" in said.err
    (stage,) = (shop.folder / "store" / "stages").glob("merge-*")
    assert [p.name for p in stage.iterdir()] == [".lock"]
    monkeypatch.setattr(step_module.program, "run", lambda *given, **named: {**made, "largest_error": math.nan})
    assert "off its formula by nan" in shop.run("build", "recipe.yaml").err


@pytest.mark.slow
def test_models_are_merged_by_hand(shop, llamas, tmp_path):
    words = ("merge", str(llamas[0]), "tuned", "--out", str(tmp_path / "by-hand"), "--catalog", "catalog.yaml")
    told = shop.run(*words, "--t", "1", "--json").json
    assert told["largest_error"] == 0
    found, parent = weights(tmp_path / "by-hand"), weights(llamas[1])
    assert all(found[name].equal(parent[name]) for name in parent)
    assert "is there already" in shop.run(*words).err
    wrong = shop.run("merge", str(llamas[0]), "tuend", "--out", str(tmp_path / "x"), "--catalog", "catalog.yaml")
    assert "no folder and no model of the catalog: 'tuend'; did you mean 'tuned'?" in wrong.err
