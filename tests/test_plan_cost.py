"""What `plan` says a build will cost, against what it costs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.scripted_translator import WORDS, Translator, translating
from tests.workshop import Workshop, alpaca

ROOT = Path(__file__).resolve().parents[1]
PRICE = {"prompt": 150, "output": 600}
WITHIN = 0.15


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real tokenizer, learnt from our own samples."""
    texts = [p.read_text(encoding="utf-8") for p in sorted((ROOT / "samples").glob("**/*.jsonl"))]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=3000, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([*texts, " ".join(WORDS)], trainer)
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    bpe.save(str(file))
    return file


@pytest.fixture(scope="session")
def count(tokenizer_file: Path) -> Callable[[str], int]:
    bpe = Tokenizer.from_file(str(tokenizer_file))
    return lambda text: len(bpe.encode(text).ids)


@pytest.fixture
def server(count: Callable[[str], int]) -> Iterator[Translator]:
    with translating(count) as server:
        yield server


def entry(server: Translator, **fields: Any) -> dict[str, Any]:
    return {"engine": "openai", "endpoints": [server.url], "model": "m", "licence": "MIT", **fields}


def planned(workshop: Workshop, *words: str, recipe: str = "recipe.yaml") -> dict[str, Any]:
    return dict(workshop.run("plan", recipe, "--json", *words).json)


def asked(told: dict[str, Any], stage: str = "translate") -> dict[str, Any]:
    """What the plan says of the one model that a stage asks."""
    (model,) = next(s["cost"]["models"] for s in told["stages"] if s["name"] == stage)
    return dict(model)


def cost(told: dict[str, Any], stage: str = "translate") -> dict[str, Any]:
    return dict(next(s["cost"] for s in told["stages"] if s["name"] == stage))


def sum_of(out: str) -> str:
    """The line of a plan that says what is to be paid."""
    starts = ("to pay", "nothing to pay", "everything is stored")
    return next(line for line in out.splitlines() if line.startswith(starts))


def holds(band: dict[str, float], actual: float) -> bool:
    return band["low"] <= actual <= band["high"]


def real_rows(shared: Path) -> list[dict[str, str]]:
    """Instructions of three kinds: roles to play, code, and short tasks."""
    found = []
    for place, wanted in (
        ("gpteacher/files/Roleplay/roleplay-simple-deduped-roleplay-instruct.json.gz", 250),
        ("gpteacher/files/Codegen/codegen-instruct.json.gz", 200),
        ("alpaca-random9k/files/data/random/random_9k.json.gz", 250),
    ):
        rows = json.loads(gzip.decompress((shared / place).read_bytes()))[:wanted]
        found += [
            {
                "instruction": r["instruction"],
                "input": r.get("input") or "",
                "output": r.get("response") or r["output"],
            }
            for r in rows
        ]
    return found


# ---- Within 15 % of the truth ----


def own_recipe(workshop: Workshop, server: Translator, shared: Path, **model: Any) -> str:
    rows = real_rows(shared)
    workshop.rows("first.jsonl", rows[:450])
    workshop.rows("second.jsonl", rows[450:])
    workshop.catalog(
        {"first": {"path": "first.jsonl"}, "second": {"path": "second.jsonl"}},
        {"m": entry(server, price_per_million=PRICE, **model)},
    )
    steps = ["chat_shape", {"step": "length", "min_chars": 30, "max_chars": 6000}, "exact_dedup"]
    workshop.recipe(["first", "second"], [*steps, {"step": "translate", "to": "ar", "model": "m"}])
    return "recipe.yaml"


def flagship(workshop: Workshop, server: Translator, shared: Path, **model: Any) -> str:
    """The project's own recipe over its samples, its translator behind an endpoint."""
    (workshop.folder / "samples").symlink_to(ROOT / "samples")
    catalog = (ROOT / "catalog.yaml").read_text(encoding="utf-8")
    entered = json.dumps(entry(server, price_per_million=PRICE, **model))
    workshop.write("catalog.yaml", catalog.replace("\nmodels:\n", f"\nmodels:\n  scripted: {entered}\n", 1))
    recipe = (ROOT / "recipes" / "arabic-instruct-v1.yaml").read_text(encoding="utf-8")
    recipe = recipe.replace("recorded-samples", "scripted").partition("\ncontracts:")
    profiles = recipe[2][recipe[2].index("\nexports:") :]
    workshop.write("recipe.yaml", recipe[0] + profiles)
    return "recipe.yaml"


@pytest.mark.slow
@pytest.mark.parametrize(("lay_out", "profile"), [(own_recipe, ()), (flagship, ("--profile", "demo"))])
def test_after_calibration_the_tokens_of_a_plan_are_within_15_percent(
    workshop: Workshop,
    server: Translator,
    tokenizer_file: Path,
    shared: Path,
    lay_out: Any,
    profile: tuple[str, ...],
) -> None:
    recipe = lay_out(workshop, server, shared, tokenizer=str(tokenizer_file))
    before = asked(planned(workshop, *profile))
    told = planned(workshop, "--calibrate", *profile)
    said = asked(told)
    tried = len(server.seen)
    assert 150 < tried < 900, "200 rows of two texts or so, with their retries"
    built = workshop.run("build", recipe, "--json", "--quiet", "--workers", "1", *profile).json
    name, version = built["artifact"].split("@")
    (compared,) = workshop.manifest(version, name)["cost"]
    actual = compared["actual"]
    for word in ("prompt_tokens", "output_tokens"):
        assert abs(said[word]["expected"] / actual[word] - 1) <= WITHIN, word
        assert holds(said[word], actual[word])
        assert holds(before[word], actual[word]), "the band without a calibration is wide, and true"
    assert (
        abs(
            cost(told)["rows"]["expected"] / next(s for s in built["stages"] if s["name"] == "translate")["rows_in"]
            - 1
        )
        <= WITHIN
    )
    paid = built["generation"]["prompt_tokens"] + built["generation"]["output_tokens"]
    to_pay = sum(said["to_pay"][word]["expected"] for word in ("prompt_tokens", "output_tokens"))
    assert len(server.seen) - tried == built["generation"]["requests"] - built["generation"]["from_store"]
    assert paid <= to_pay * (1 + WITHIN)


# ---- What is told without asking anybody ----


def small(workshop: Workshop, server: Translator, rows: int = 40, steps: tuple[Any, ...] = (), **model: Any) -> None:
    workshop.rows("plain.jsonl", alpaca(rows))
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"m": entry(server, **model)})
    workshop.recipe(["plain"], [*steps, {"step": "translate", "to": "ar", "model": "m"}])


def test_a_plan_without_calibration_asks_nobody_and_says_what_it_assumes(
    workshop: Workshop, server: Translator
) -> None:
    small(workshop, server, price_per_million=PRICE)
    said = asked(planned(workshop))
    assert not server.seen
    assert said["requests"]["expected"] == 80
    assert "an assumption" in said["from"]["tokens"]
    assert said["output_per_second"] is None
    assert said["hours"] is None
    assert said["output_tokens"]["high"] > 2 * said["output_tokens"]["low"]
    out = workshop.run("plan", "recipe.yaml").out
    assert "unknown" in out
    assert "≤ 40" in out
    assert "not known" not in sum_of(out)


def test_prompt_tokens_come_from_the_models_tokenizer_where_it_is_at_hand(
    workshop: Workshop, server: Translator, tokenizer_file: Path
) -> None:
    small(workshop, server)
    rough = asked(planned(workshop))
    small(workshop, server, tokenizer=str(tokenizer_file))
    said = asked(planned(workshop))
    assert "the model's tokenizer" in said["from"]["tokens"]
    assert "the model's tokenizer" not in rough["from"]["tokens"]
    workshop.build()
    actual = workshop.manifest()["cost"][0]["actual"]["prompt_tokens"]
    assert abs(said["prompt_tokens"]["expected"] / actual - 1) < 0.1, "but for the template, and for retries"
    assert abs(said["prompt_tokens"]["expected"] - actual) < abs(rough["prompt_tokens"]["expected"] - actual)


def test_a_tokenizer_that_cannot_be_read_is_told_and_holds_nothing_back(
    workshop: Workshop, server: Translator
) -> None:
    file = workshop.write("tokenizer.json", '{"model": "torn')
    small(workshop, server, tokenizer=str(file))
    assert "as tokenizer.json cannot be read" in asked(planned(workshop))["from"]["tokens"]
    assert workshop.build()["rows"]["kept"] > 0


def test_a_tokenizer_of_the_hub_counts_where_its_copy_stands_in_the_cache(
    workshop: Workshop, server: Translator, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(workshop.folder / "cache"))
    small(workshop, server, hub="org/model")
    assert "the model's tokenizer" not in asked(planned(workshop))["from"]["tokens"]
    copy = workshop.folder / "cache" / "models--org--model" / "snapshots" / "abc" / "tokenizer.json"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(tokenizer_file.read_bytes())
    assert "the model's tokenizer" in asked(planned(workshop))["from"]["tokens"]


@pytest.mark.parametrize(
    ("fields", "hours", "gpu_hours", "money"),
    [
        ({}, False, False, None),
        ({"throughput": {"output_per_second": 100, "source": "a test"}}, True, True, None),
        ({"throughput": {"output_per_second": 100, "gpus": 0, "source": "a test"}}, True, False, None),
        (
            {
                "throughput": {"output_per_second": 100, "gpus": 4, "source": "a test"},
                "price_per_gpu_hour": {"amount": 2.5},
            },
            True,
            True,
            "USD",
        ),
        ({"price_per_million": {**PRICE, "currency": "EUR"}}, False, False, "EUR"),
    ],
)
def test_hours_and_money_are_told_as_far_as_they_are_known(
    workshop: Workshop, server: Translator, fields: dict[str, Any], hours: bool, gpu_hours: bool, money: str | None
) -> None:
    small(workshop, server, **fields)
    told = planned(workshop)
    said = asked(told)
    assert (said["hours"] is not None, said["gpu_hours"] is not None) == (hours, gpu_hours)
    assert (said["money"] or {}).get("currency") == money
    if hours:
        seconds = said["to_pay"]["output_tokens"]["expected"] / 100
        assert said["hours"]["expected"] == pytest.approx(seconds / 3600, abs=1e-4)
        assert said["from"]["speed"] == "the catalog: a test"
    if gpu_hours and money:
        assert said["gpu_hours"]["expected"] == pytest.approx(4 * said["hours"]["expected"], abs=4e-4)
        assert said["money"]["expected"] == pytest.approx(2.5 * said["gpu_hours"]["expected"], rel=0.05)
    assert bool(told["cost"]["unknown"]) == (not hours and money is None)
    assert list(told["cost"]["money"]) == ([money] if money else [])


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}.{key}")
    else:
        yield path, value


def test_every_number_of_the_cost_is_a_number_in_json(workshop: Workshop, server: Translator) -> None:
    small(workshop, server, price_per_million=PRICE)
    told = planned(workshop, "--calibrate")
    said = asked(told)
    for path, value in numbers({k: v for k, v in said.items() if k not in ("field", "model", "engine", "from")}):
        assert value is None or path.endswith(".currency") or isinstance(value, int | float), (path, value)
    for path, value in numbers(told["cost"]["money"]):
        assert isinstance(value, int | float), path


def test_what_is_not_known_before_others_have_answered_is_unknown_until_it_is_calibrated(
    workshop: Workshop, server: Translator
) -> None:
    small(workshop, server, price_per_million=PRICE)
    both = {"m": entry(server, price_per_million=PRICE), "n": entry(server, price_per_million=PRICE)}
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, both)
    translate = {"step": "translate", "to": "ar", "model": "m"}
    workshop.recipe(["plain"], [translate, {"step": "back_translate", "model": "n", "min_chrf": None}])
    told = planned(workshop)
    back = asked(told, "back_translate")
    assert back["requests"] is None
    assert back["money"] is None
    assert told["cost"]["unknown"] == ["back_translate: n"]
    assert "--calibrate" in sum_of(workshop.run("plan", "recipe.yaml").out)
    told = planned(workshop, "--calibrate")
    assert asked(told, "back_translate")["requests"]["expected"] > 0
    assert told["cost"]["unknown"] == []
    tried = len(server.seen)
    built = workshop.build()
    assert len(server.seen) == tried, "everything was asked in the calibration, and is not paid twice"
    assert built["generation"]["from_store"] == built["generation"]["requests"]


# ---- What is stored ----


def test_what_is_stored_is_not_to_be_paid_and_the_plan_says_what_it_saves(
    workshop: Workshop, server: Translator
) -> None:
    small(workshop, server, 20, price_per_million=PRICE)
    workshop.build()
    told = planned(workshop)
    assert told["cost"]["nothing_to_pay"] is True
    assert told["cost"]["stored"]["requests"] == 40
    assert told["cost"]["saved"]["USD"] == workshop.manifest()["generation"]["spent"]["USD"]
    assert "everything is stored: nothing to pay; 40 answers of" in workshop.run("plan", "recipe.yaml").out
    small(workshop, server, 20, price_per_million=PRICE)
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("model: m", "model: m\n  max_chars: 900"))
    told = planned(workshop)  # the stage is to run, and every answer it needs is there
    said = asked(told)
    spent = workshop.manifest()["generation"]
    assert told["cost"]["nothing_to_pay"] is True
    assert said["money"] == {"expected": 0, "low": 0, "high": 0, "currency": "USD"}
    assert said["stored"]["output_tokens"]["expected"] == spent["output_tokens"]
    assert said["saved"]["expected"] == pytest.approx(spent["spent"]["USD"], abs=1e-6)
    assert sum_of(workshop.run("plan", "recipe.yaml").out).startswith("nothing to pay; the store saves ")
    small(workshop, server, 40, price_per_million=PRICE)
    workshop.recipe(["plain"], ["exact_dedup"], name="rows")
    workshop.build()
    workshop.recipe(["plain"], ["exact_dedup", {"step": "translate", "to": "ar", "model": "m"}])
    said = asked(planned(workshop))
    assert said["stored"]["output_tokens"]["expected"] == spent["output_tokens"], "half of it"
    assert said["to_pay"]["output_tokens"]["expected"] == pytest.approx(spent["output_tokens"], rel=0.1)
    assert said["from"]["tokens"] == "40 stored answers of the model"


def test_recorded_answers_cost_nothing(workshop: Workshop) -> None:
    workshop.run("check")
    out = workshop.run("plan", "arabic-instruct-v1", "--profile", "demo", "--catalog", str(ROOT / "catalog.yaml")).out
    assert sum_of(out) == "nothing to pay"


# ---- What earlier builds know ----


def test_speed_and_kept_shares_come_from_the_last_build(workshop: Workshop, server: Translator) -> None:
    dedup = ({"step": "length", "min_chars": 30}, "exact_dedup")
    small(workshop, server, 40, dedup)
    workshop.rows("plain.jsonl", [*alpaca(30), *alpaca(10)])
    workshop.build()
    workshop.rows("plain.jsonl", [*alpaca(60, "thing"), *alpaca(20, "thing")])
    told = planned(workshop)
    rows = cost(told)
    assert rows["rows_from"] == "sizes of the sources, shares kept in small@dev"
    assert rows["rows"]["expected"] == 60
    assert rows["rows_upper_bound"] is False
    said = asked(told)
    assert said["output_per_second"]["expected"] > 0
    assert said["from"]["speed"].startswith("measured on ")
    assert said["hours"]["expected"] >= 0
    assert said["from"]["tokens"] == "60 stored answers of the model"


def test_predicted_against_actual_stands_in_manifest_show_and_card_and_not_in_the_digest(
    workshop: Workshop, server: Translator
) -> None:
    small(workshop, server, 30, price_per_million=PRICE)
    first = workshop.build()
    (compared,) = workshop.manifest()["cost"]
    assert (compared["stage"], compared["field"], compared["model"]) == ("translate", "model", "m")
    generation = workshop.manifest()["generation"]
    assert compared["actual"]["output_tokens"] == generation["output_tokens"]
    assert compared["actual"]["money"] == {"amount": generation["spent"]["USD"], "currency": "USD"}
    assert compared["predicted"]["requests"]["expected"] == 60
    line = next(
        li for li in workshop.run("show", "small@dev").out.splitlines() if li.startswith("cost of translate, m: ")
    )
    assert " tokens, " in line
    assert " USD, " in line
    assert line.count(" predicted") == 3
    assert "Cost of translate, m: " in (workshop.corpus() / "README.md").read_text(encoding="utf-8")
    again = workshop.build("--store", "other")
    assert again["digest"] == first["digest"]
    assert workshop.run("plan", "recipe.yaml", "--store", "other").code == 0


def test_a_source_of_unknown_size_makes_the_rows_unknown_and_not_invented(
    workshop: Workshop, server: Translator
) -> None:
    rows = "".join(json.dumps(r) + "\n" for r in alpaca(60_000, "thing"))
    small(workshop, server)
    workshop.write("plain.jsonl.gz", gzip.compress(rows.encode(), 0))
    workshop.catalog({"plain": {"path": "plain.jsonl.gz"}}, {"m": entry(server)})
    told = cost(planned(workshop))
    assert told["rows"] is None
    assert told["models"][0]["requests"] is None
    assert "unknown" in workshop.run("plan", "recipe.yaml").out
    workshop.catalog({"plain": {"path": "plain.jsonl.gz", "size": 60_000}}, {"m": entry(server)})
    assert cost(planned(workshop))["rows"] == {"expected": 60_000, "low": 0, "high": 60_000}
