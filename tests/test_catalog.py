"""The committed catalog says what is known and no more; a wrong catalog is told in the file's own words and places."""

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from hala_factory import catalog, validation, yamlfile
from hala_factory.errors import InputError
from hala_factory.models.recipe import load

ROOT = Path(__file__).resolve().parents[1]
LOADED = catalog.load(ROOT / "catalog.yaml")
CATALOG = LOADED.catalog

spec = importlib.util.spec_from_file_location("make_samples", ROOT / "samples" / "make.py")
make_samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_samples)


# ---- What the committed catalog says ----

SHAREGPT, MESSAGES = {"conversation": "conversations"}, {"conversation": "messages"}
ORCA = {"system": "system_prompt", "prompt": "question", "response": "response"}
SOURCES = [
    ("open-orca", "Open-Orca/OpenOrca", "MIT", ORCA, 4_233_915),
    ("open-orca-qa", "Open-Orca/OpenOrca", "MIT", {"prompt": "question", "response": "response"}, 4_233_915),
    ("hermes-3", "NousResearch/Hermes-3-Dataset", "Apache-2.0", SHAREGPT, 959_000),
    ("scp-116k", "EricLu/SCP-116K", "conflict", {"prompt": "problem", "response": "matched_solution"}, 116_756),
    ("realign-alpaca", "GAIR/ReAlign-Alpaca", "unknown", {"conversation": "items"}, 52_000),
    (
        "lamini",
        "MBZUAI/LaMini-instruction",
        "CC-BY-NC-4.0",
        {"prompt": "instruction", "response": "response"},
        2_580_000,
    ),
    ("tulu-3", "allenai/tulu-3-sft-mixture", "ODC-By-1.0", MESSAGES, 939_343),
    (
        "synthetic-instruct",
        "Dahoas/synthetic-instruct-gptj-pairwise",
        "unknown",
        {"prompt": "prompt", "response": "chosen"},
        None,
    ),
    ("opus-100", "Helsinki-NLP/opus-100", "unknown", {"en": "translation.en", "ar": "translation.ar"}, 1_000_000),
    ("opus-100-test", "Helsinki-NLP/opus-100", "unknown", {"en": "translation.en", "ar": "translation.ar"}, 2_000),
    ("bilingual-orca", None, "inherited", {"en": "translation.en", "ar": "translation.ar"}, 810_000),
    ("bilingual-opus", None, "inherited", {"en": "translation.en", "ar": "translation.ar"}, 439_592),
]
TULU_PARTS = [
    ("ai2-adapt-dev/flan_v2_converted", "unknown", 89_982),
    ("ai2-adapt-dev/no_robots_converted", "CC-BY-NC-4.0", 9_500),
    ("ai2-adapt-dev/oasst1_converted", "Apache-2.0", 7_132),
    ("ai2-adapt-dev/tulu_v3.9_wildchat_100k", "unknown", 100_000),
    ("ai2-adapt-dev/tulu_hard_coded_repeated_10", "unknown", 240),
    ("ai2-adapt-dev/personahub_ifdata_manual_seed_v3_29980", "unknown", 29_980),
    ("ai2-adapt-dev/tulu_v3.9_table_gpt_5k", "unknown", 5_000),
    ("ai2-adapt-dev/tulu_v3.9_sciriff_10k", "unknown", 10_000),
    ("ai2-adapt-dev/tulu_v3.9_aya_100k", "unknown", 100_000),
    ("ai2-adapt-dev/personahub_math_v5_regen_149960", "ODC-By-1.0", 149_960),
    ("allenai/tulu-3-sft-personas-math-grade", "ODC-By-1.0", 49_980),
    ("ai2-adapt-dev/tulu_v3.9_personahub_math_interm_algebra_20k", "ODC-By-1.0", 20_000),
    ("ai2-adapt-dev/personahub_code_v2_34999", "ODC-By-1.0", 34_999),
    ("ai2-adapt-dev/tulu_v3.9_open_math_2_gsm8k_50k", "unknown", 50_000),
    ("ai2-adapt-dev/evol_codealpaca_heval_decontaminated", "unknown", 107_276),
    ("ai2-adapt-dev/numinamath_tir_math_decontaminated", "unknown", None),
    ("ai2-adapt-dev/coconot_converted", "ODC-By-1.0", 10_983),
    ("ai2-adapt-dev/tulu_v3.9_wildjailbreak_decontaminated_50k", "unknown", 50_000),
    ("ai2-adapt-dev/tulu_v3.9_synthetic_finalresp_wildguardmixtrain_decontaminated_50k", "unknown", 50_000),
]
MODELS = [
    ("command-a-translate", "CohereLabs/command-a-translate-08-2025", "vllm", "CC-BY-NC-4.0"),
    ("command-a-translate-fp8", None, "vllm", "CC-BY-NC-4.0"),
    ("hala-translator-1.2b", None, "vllm", "CC-BY-NC-4.0"),
    ("hala-1.2b-en-ar-translator", "hammh0a/Hala-1.2B-EN-AR-Translator", "vllm", "CC-BY-NC-4.0"),
    ("tiny-teacher", None, "vllm", "Apache-2.0"),
    ("tiny-teacher-int8", None, "vllm", "Apache-2.0"),
    ("tiny-base", None, "vllm", "Apache-2.0"),
    ("tiny-translator", None, "vllm", "Apache-2.0"),
    ("judge", "Qwen/Qwen2.5-3B-Instruct", "vllm", "unknown"),
    ("lfm2-350m", "LiquidAI/LFM2-350M", "vllm", "lfm1.0"),
    ("lfm2-700m", "LiquidAI/LFM2-700M", "vllm", "lfm1.0"),
    ("lfm2-1.2b", "LiquidAI/LFM2-1.2B", "vllm", "lfm1.0"),
    ("fanar-1-9b-instruct", "QCRI/Fanar-1-9B-Instruct", "vllm", "unknown"),
    ("opus-mt-en-ar", "Helsinki-NLP/opus-mt-en-ar", "local", "Apache-2.0"),
    ("recorded-samples", None, "recorded", "Apache-2.0"),
    ("recorded-verdicts", None, "recorded", "Apache-2.0"),
]
BENCHMARKS = [
    ("alghafa", "OALL/AlGhafa-Arabic-LLM-Benchmark-Native", "test", "unknown"),
    ("arabic-mmlu", "MBZUAI/ArabicMMLU", "test", "CC-BY-NC-SA-4.0"),
    ("exams", "OALL/Arabic_EXAMS", "test", "unknown"),
    ("madinah-qa", "MBZUAI/MadinahQA", "test", "unknown"),
    ("aratrust", "asas-ai/AraTrust-categorized", "train", "unknown"),
    ("arabic-mmlu-ht", "MBZUAI/human_translated_arabic_mmlu", "test", "unknown"),
    ("arcd", "hsseinmz/arcd", "validation", "MIT"),
    ("xquad-ar", "google/xquad", "validation", "CC-BY-SA-4.0"),
    ("xquad-en", "google/xquad", "validation", "CC-BY-SA-4.0"),
    ("mmlu", "cais/mmlu", "test", "MIT"),
    ("gsm8k", "openai/gsm8k", "test", "MIT"),
    ("arc", "allenai/ai2_arc", "test", "CC-BY-SA-4.0"),
    ("hellaswag", "Rowan/hellaswag", "validation", "unknown"),
    ("truthfulqa", "truthfulqa/truthful_qa", "validation", "Apache-2.0"),
    ("ifeval", "google/IFEval", "train", "Apache-2.0"),
]
ENGLISH_BENCHMARKS = {"xquad-en", "mmlu", "gsm8k", "arc", "hellaswag", "truthfulqa", "ifeval"}
ENTRIES = [(k, e) for part in (CATALOG.sources, CATALOG.models, CATALOG.benchmarks) for k, e in part.items()]


def test_every_source_is_as_published():
    said = [(k, s.hub, s.licence, s.mapping, s.size) for k, s in CATALOG.sources.items()]
    assert said == SOURCES


def test_the_parts_of_tulu_are_as_published():
    said = [(k, s.licence, s.rows) for k, s in CATALOG.sources["tulu-3"].subsets.items()]
    assert said == TULU_PARTS
    assert sum(rows or 0 for _, _, rows in said) == 939_344 - 64_312  # NuminaMath's count is not verified


def test_every_model_is_as_published():
    assert [(k, m.hub, m.engine, m.licence) for k, m in CATALOG.models.items()] == MODELS


def test_every_benchmark_is_as_published():
    assert [(k, b.hub, b.split, b.licence) for k, b in CATALOG.benchmarks.items()] == BENCHMARKS
    assert {k for k, b in CATALOG.benchmarks.items() if b.language == "en"} == ENGLISH_BENCHMARKS
    assert {b.language for k, b in CATALOG.benchmarks.items() if k not in ENGLISH_BENCHMARKS} == {"ar"}


def test_the_first_rows_of_open_orca_come_from_the_gpt_4_file():
    assert CATALOG.sources["open-orca"].files == ["1M-GPT4-Augmented.parquet", "3_5M-GPT3_5-Augmented.parquet"]


def test_opus_pairs_are_english_then_arabic():
    opus = CATALOG.sources["opus-100"]
    assert (opus.config, opus.split, opus.rows, opus.languages) == ("ar-en", "train", "pair", ["en", "ar"])


def test_only_the_aya_part_of_tulu_is_in_many_languages():
    tulu = CATALOG.sources["tulu-3"]
    assert {k: s.language for k, s in tulu.subsets.items() if s.language} == {
        "ai2-adapt-dev/tulu_v3.9_aya_100k": "mul"
    }


def test_the_teacher_is_quantised_by_a_scheme_that_is_only_inferred():
    teacher = CATALOG.models["command-a-translate-fp8"]
    assert teacher.ref == "hala-teacher-fp8"
    recipe = load(LOADED.folder / "recipes" / "hala-teacher-fp8.yaml", LOADED).recipe
    assert (recipe.base, recipe.steps[0].scheme) == ("command-a-translate", "FP8_DYNAMIC")
    assert "inferred" in teacher.note


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[k for k, _ in ENTRIES])
def test_a_licence_has_its_page_or_its_doubt(name, entry):
    if entry.licence in ("unknown", "conflict"):
        assert entry.licence_note
    elif entry.hub:
        assert entry.licence_page


def test_a_part_without_a_stated_licence_says_so():
    parts = CATALOG.sources["tulu-3"].subsets.values()
    assert all(p.note.startswith("No licence stated") for p in parts if p.licence == "unknown")


@pytest.mark.parametrize("name", ["hermes-3", "synthetic-instruct", "judge", "opus-mt-en-ar"])
def test_what_was_not_verified_says_so(name):
    entry = dict(ENTRIES)[name]
    assert "not verified" in f"{entry.note} {entry.licence_note}".lower()


def test_recorded_answers_are_not_said_to_be_a_model_s():
    recorded = CATALOG.models["recorded-samples"]
    assert recorded.by == "the authors of hala-factory; not a translator model's output"
    assert list(LOADED.folder.glob(recorded.path))


def test_no_revision_is_given_that_is_not_known_to_be_right():
    assert [k for k, e in ENTRIES if e.revision] == []


# ---- Samples ----


def sample_columns(path: Path) -> set[str]:
    """Columns of a sample file, those of a struct as `column.field`."""
    if path.suffix == ".parquet":
        schema = pq.read_schema(path)
        nested = [f"{f.name}.{g.name}" for f in schema if f.type.__class__.__name__ == "StructType" for g in f.type]
        return {*schema.names, *nested}
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return set.intersection(*map(set, rows))


READ = {name: source for name, source in CATALOG.sources.items() if source.ref is None}
"""Sources that are not made by our own recipes, whose demo profiles make samples of them."""


@pytest.mark.parametrize("name", READ)
def test_a_sample_has_the_form_and_columns_of_its_source(name):
    source = CATALOG.sources[name]
    path = LOADED.folder / source.sample.path
    assert set(source.mapping.values()) <= sample_columns(path)
    if source.files:
        assert all(f.endswith(path.suffix) for f in source.files)


def test_the_parts_in_the_tulu_sample_are_parts_in_the_catalog():
    tulu = CATALOG.sources["tulu-3"]
    found = pl.read_parquet(LOADED.folder / tulu.sample.path)[tulu.subset].unique().to_list()
    assert set(found) <= set(tulu.subsets)


def test_the_committed_samples_are_what_is_written(capsys):
    assert make_samples.main(["--check"]) == 0, capsys.readouterr().err


def test_every_source_s_sample_is_made():
    assert sorted({s.sample.path for s in READ.values()}) == [f"samples/{f}" for f in make_samples.FILES]


@pytest.fixture
def samples(tmp_path):
    """A copy of what is written, with the files made."""
    (tmp_path / "written").mkdir()
    for path in (ROOT / "samples" / "written").glob("*.jsonl"):
        (tmp_path / "written" / path.name).write_bytes(path.read_bytes())
    assert make_samples.main([], tmp_path) == 0
    return tmp_path


def test_samples_are_made_with_the_same_bytes_twice(samples):
    first = {f: (samples / f).read_bytes() for f in make_samples.FILES}
    make_samples.main([], samples)
    assert {f: (samples / f).read_bytes() for f in make_samples.FILES} == first


@pytest.mark.parametrize("file", make_samples.FILES)
@pytest.mark.parametrize("harm", ["gone", "torn", "a row less"])
def test_the_check_names_the_sample_that_differs(samples, monkeypatch, capsys, file, harm):
    path = samples / file
    match harm:
        case "gone":
            path.unlink()
        case "torn":
            path.write_bytes(path.read_bytes()[:-9])
        case "a row less":
            lines = (samples / "written" / f"{path.stem}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (samples / "written" / f"{path.stem}.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    monkeypatch.chdir(samples)
    assert make_samples.main(["--check"], samples) == 1
    assert capsys.readouterr().err == f"{file}: is not what samples/written makes; run python samples/make.py\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "written/lamini.jsonl: no such file; write the rows of this source there first"),
        (b"", "written/lamini.jsonl:1:1: not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{}\n[]\n", "written/lamini.jsonl:2:1: expected a row, `{…}`"),
        (
            b'{"instruction": "a", "response": 3, "instruction_source": "b"}\n{"instruction": "a"}\n',
            "written/lamini.jsonl:1:1: expected the columns instruction, response, instruction_source "
            "of types string, string, string\n"
            "written/lamini.jsonl:2:1: expected the columns instruction, response, instruction_source "
            "of types string, string, string",
        ),
    ],
    ids=["missing", "empty", "not a row", "wrong columns"],
)
def test_written_rows_that_make_no_sample_are_named(samples, monkeypatch, capsys, text, error):
    path = samples / "written" / "lamini.jsonl"
    path.unlink() if text is None else path.write_bytes(text)
    monkeypatch.chdir(samples)
    assert make_samples.main([], samples) == 2
    assert capsys.readouterr().err == f"{error}\n"


# ---- Wrong catalogs ----

GOOD = "hub: a/b, licence: MIT, language: en, columns: alpaca"
OWN = "path: a.json, licence: MIT, language: en"
FIELDS = (
    "also_under, columns, config, files, format, hub, language, licence, licence_note, licence_page, licence_says, "
    "note, path, ref, revision, rows, "
    "sample, size, split, strip, subset, subsets"
)

WRONG = {
    "unknown section": (
        "source:\n  x: 1\n",
        "catalog.yaml:1:1: unknown field 'source'; did you mean 'sources'?",
    ),
    "unknown field, near": (
        f"sources:\n  x: {{{GOOD}, license: MIT}}\n",
        "catalog.yaml:2:62: unknown field 'license'; did you mean 'licence'?",
    ),
    "unknown field, far": (
        f"sources:\n  x: {{{GOOD}, qqq: MIT}}\n",
        f"catalog.yaml:2:62: unknown field 'qqq'; known are: {FIELDS}",
    ),
    "unknown field of a part": (
        f"sources:\n  x: {{{GOOD}, subset: s, subsets: {{a/b: {{licence: MIT, row: 3}}}}}}\n",
        "catalog.yaml:2:103: unknown field 'row'; did you mean 'rows'?",
    ),
    "missing fields": (
        "sources:\n  x:\n    hub: a/b\n    columns: alpaca\n",
        "catalog.yaml:2:3: field 'language' is missing\ncatalog.yaml:2:3: field 'licence' is missing",
    ),
    "empty licence": (
        "models:\n  x: {engine: vllm, hub: a/b, licence: ''}\n",
        "catalog.yaml:2:40: licence: expected text that is not empty, found ''",
    ),
    "number for text": (
        f"sources:\n  x: {{{GOOD}, note: 1234567}}\n",
        "catalog.yaml:2:68: note: expected text, found 1234567; put it in quotes",
    ),
    "text for number": (
        f"sources:\n  x: {{{GOOD}, size: many}}\n",
        "catalog.yaml:2:68: size: expected a whole number, found 'many'",
    ),
    "number too small": (
        "models:\n  x: {engine: vllm, hub: a/b, licence: MIT, context: 12}\n",
        "catalog.yaml:2:54: context: expected at least 128, found 12",
    ),
    "text for list": (
        f"sources:\n  x: {{{GOOD}, files: a.parquet}}\n",
        "catalog.yaml:2:69: files: expected a list, found 'a.parquet'",
    ),
    "list for text or mapping": (
        f"sources:\n  x: {{{OWN}, columns: [prompt]}}\n",
        "catalog.yaml:2:58: columns: expected one of alpaca, messages, open_orca, prompt_completion, sharegpt "
        "or a mapping, found a list",
    ),
    "one wrong item": (
        "sources:\n  x: {path: [a.json, 1], licence: MIT, language: en, columns: alpaca}\n",
        "catalog.yaml:2:22: path, item 2: expected text, found 1; put it in quotes",
    ),
    "mapping for text or list": (
        "sources:\n  x: {path: a.json, licence: MIT, language: {en: 1}, columns: alpaca}\n",
        "catalog.yaml:2:45: language: expected text or a list, found a mapping",
    ),
    "nothing for an entry": (
        "sources:\n  x:\n  y: 3\n",
        "catalog.yaml:2:3: x: expected a mapping, found nothing\ncatalog.yaml:3:6: y: expected a mapping, found 3",
    ),
    "nothing for a section": (
        "models:\nsources:\n",
        "catalog.yaml:1:1: models: expected a mapping, found nothing\n"
        "catalog.yaml:2:1: sources: expected a mapping, found nothing",
    ),
    "unknown layout": (
        f"sources:\n  x: {{{OWN}, columns: sharegtp}}\n",
        "catalog.yaml:2:58: columns: 'sharegtp' is not known; did you mean 'sharegpt'?",
    ),
    "unknown format": (
        f"sources:\n  x: {{{GOOD}, format: parqet}}\n",
        "catalog.yaml:2:70: format: 'parqet' is not known; did you mean 'parquet'?",
    ),
    "unknown engine": (
        "models:\n  x: {engine: llama.cpp, hub: a/b, licence: MIT}\n",
        "catalog.yaml:2:15: engine: 'llama.cpp' is not known; known are: batch, local, openai, recorded, vllm",
    ),
    "two models in one folder": (
        "models:\n  x: {engine: batch, licence: MIT, batch: {folder: box}}\n"
        "  y: {engine: batch, licence: MIT, batch: {folder: ./box/}}\n",
        "catalog.yaml:3:52: folder: './box/' is that of model 'x' already; give each a folder of its own",
    ),
    "a name that is none": (
        f"sources:\n  Open Orca: {{{GOOD}}}\n",
        "catalog.yaml:2:3: 'Open Orca' is not a name: use lower-case letters, digits, '.', '_' and '-'",
    ),
    "both hub and path": (
        f"sources:\n  x: {{{GOOD}, path: a.json}}\n",
        "catalog.yaml:2:68: give either 'hub' or 'path', not both",
    ),
    "neither hub nor path": (
        "sources:\n  x: {licence: MIT, language: en, columns: alpaca}\nbenchmarks:\n  y: {licence: MIT}\n",
        "catalog.yaml:2:3: give 'hub' or 'path': where the files are\n"
        "catalog.yaml:4:3: give 'hub' or 'path': where the files are",
    ),
    "columns without an answer": (
        f"sources:\n  x: {{{OWN}, columns: {{prompt: q}}}}\n",
        "catalog.yaml:2:58: columns are 'prompt' and 'response', or 'conversation', or 'tree': found 'prompt'",
    ),
    "columns misspelt": (
        f"sources:\n  x: {{{OWN}, columns: {{promt: q, response: a}}}}\n",
        "catalog.yaml:2:58: columns are 'prompt' and 'response', or 'conversation', or 'tree': "
        "unknown 'promt'; did you mean 'prompt'?",
    ),
    "one language for pairs": (
        f"sources:\n  x: {{{OWN}, rows: pair, columns: {{en: en}}}}\n",
        "catalog.yaml:2:70: columns of a pair source name two languages, found 'en'",
    ),
    "moses without a file per language": (
        f"sources:\n  x: {{{OWN}, columns: alpaca, format: moses}}\n",
        "catalog.yaml:2:74: format 'moses' needs a 'path' per language: {en: FILE, ar: FILE}",
    ),
    "a file per language without moses": (
        "sources:\n  x: {path: {en: a, ar: b}, licence: MIT, language: [en, ar], columns: alpaca}\n",
        "catalog.yaml:2:13: a 'path' per language is for 'format: moses' only",
    ),
    "parts without their column": (
        f"sources:\n  x: {{{GOOD}, subsets: {{a: {{licence: MIT}}}}}}\n",
        "catalog.yaml:2:71: 'subsets' needs 'subset': the column that names a row's part",
    ),
    "an engine without what it needs": (
        "models:\n  x: {engine: openai, licence: MIT}\n  y: {engine: recorded, licence: MIT}\n"
        "  z: {engine: vllm, licence: MIT}\n",
        "catalog.yaml:2:15: engine 'openai' needs 'endpoints'\n"
        "catalog.yaml:3:15: engine 'recorded' needs the 'path' of its answers\n"
        "catalog.yaml:4:15: engine 'vllm' needs 'hub', 'path' or 'ref'",
    ),
    "endpoints with faults of their own": (
        "models:\n  x:\n    engine: openai\n    licence: MIT\n    endpoints:\n      - http://a/v1\n"
        "      - {url: http://b/v1, weigt: 2}\n      - {url: http://b/v1, weight: 0}\n      - {weight: 2}\n",
        "catalog.yaml:7:28: unknown field 'weigt'; did you mean 'weight'?\n"
        "catalog.yaml:8:36: weight: expected more than 0, found 0\n"
        "catalog.yaml:9:9: field 'url' is missing",
    ),
    "a key where the name of its variable belongs": (
        "models:\n  x: {engine: openai, licence: MIT, endpoints: [http://a/v1], api_key_env: sk-123}\n",
        "catalog.yaml:2:76: expected the name of an environment variable (letters, digits, '_'), found something "
        "else, which is not shown here in case it is a key; put the key into the environment and name the variable",
    ),
    "several faults at once, in the order of the file": (
        "sources:\n  x:\n    hub: a/b\n    licence:\n    columns: alpacca\n    lang: en\n"
        "models:\n  y:\n    engine: vllm\n    hub: a/b\n    licence: MIT\n    context: big\n",
        "catalog.yaml:2:3: field 'language' is missing\n"
        "catalog.yaml:4:5: licence: expected text, found nothing\n"
        "catalog.yaml:5:14: columns: 'alpacca' is not known; did you mean 'alpaca'?\n"
        "catalog.yaml:6:5: unknown field 'lang'; did you mean 'language'?\n"
        "catalog.yaml:12:14: context: expected a whole number, found 'big'",
    ),
    "a fault in what was merged in": (
        "sources:\n  x: &x\n    hub: 3\n    licence: MIT\n    language: en\n    columns: alpaca\n  y:\n    <<: *x\n",
        "catalog.yaml:3:10: hub: expected text, found 3; put it in quotes\n"
        "catalog.yaml:8:5: hub: expected text, found 3; put it in quotes",
    ),
    "a key twice": (
        "sources:\n  x:\n    licence: MIT\n    licence: MIT\n",
        "catalog.yaml:4:5: key 'licence' is given twice",
    ),
    "an indent that fits nothing": (
        "sources:\n  x:\n    hub: a/b\n   licence: MIT\n",
        "catalog.yaml:4:4: the indentation fits none of the lines above",
    ),
    "a tab": ("sources:\n\tx: 1\n", "catalog.yaml:2:1: a tab; indent with spaces"),
    "a colon in plain text": (
        "sources:\n  x:\n    note: this: that\n",
        "catalog.yaml:3:15: a ':' is not allowed here; put text that holds ': ' in quotes",
    ),
    "an open quote": (
        "sources:\n  x:\n    note: 'abc\n",
        "catalog.yaml:3:11: a quote is opened here and not closed",
    ),
    "two documents": (
        "sources: {}\n---\nmodels: {}\n",
        "catalog.yaml:2:1: a second document begins here; expected one per file",
    ),
    "a control character": ("sources:\n  x: a\0b\n", "catalog.yaml:2:7: character U+0000 may not stand in YAML"),
    "not UTF-8": (b"# \xd9\x85\nsources: \xd9\x85\xff\n", "catalog.yaml:2:11: not UTF-8 text (byte 0xff)"),
    "UTF-16": ("sources: {}\n".encode("utf-16-le"), "catalog.yaml:1:2: character U+0000 may not stand in YAML"),
    "an empty file": ("", "catalog.yaml:1:1: expected a mapping of fields, found nothing"),
    "a list": ("- sources\n", "catalog.yaml:1:1: expected a mapping of fields, found a list"),
    "a word": ("sources\n", "catalog.yaml:1:1: expected a mapping of fields, found a single value"),
    "no file": (None, "catalog.yaml: no such file"),
}


@pytest.mark.parametrize(("text", "error"), WRONG.values(), ids=WRONG)
def test_a_wrong_catalog_is_told_where_and_what(tmp_path, monkeypatch, text, error):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("catalog.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        catalog.load(Path("catalog.yaml"))
    assert str(raised.value) == error
    assert raised.value.exit_code == 2


def test_a_catalog_elsewhere_is_named_by_its_whole_path(tmp_path):
    with pytest.raises(InputError, match="no such file") as raised:
        catalog.load(tmp_path / "catalog.yaml")
    assert str(raised.value) == f"{tmp_path / 'catalog.yaml'}: no such file"


def test_a_folder_is_no_catalog(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("catalog.yaml").mkdir()
    with pytest.raises(InputError) as raised:
        catalog.load(Path("catalog.yaml"))
    assert str(raised.value) == "catalog.yaml: cannot be read: Is a directory"


@pytest.mark.parametrize("revision", ["2025-01-01", "no", "'0123456'", "59ea6a0"])
def test_a_revision_that_looks_like_something_else_stays_text(tmp_path, revision):
    path = tmp_path / "catalog.yaml"
    path.write_text(f"sources:\n  x: {{{GOOD}, revision: {revision}}}\n", encoding="utf-8")
    assert catalog.load(path).catalog.sources["x"].revision == revision.strip("'")


def test_a_value_of_several_types_is_one_fault_however_deep(tmp_path, monkeypatch):
    class Part(BaseModel):
        some: dict[str, int | list[int]]
        share: float | None = Field(None, ge=0)
        loud: bool = False

    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("some:\n  a: [1, b]\n  c: {}\nshare: -1\nloud: maybe\n", encoding="utf-8")
    part, faults = validation.validate(Part, yamlfile.read(Path("x.yaml")))
    assert part is None
    assert [str(f) for f in sorted(faults)] == [
        "x.yaml:2:10: a, item 2: expected a whole number, found 'b'",
        "x.yaml:3:6: c: expected a whole number or a list, found a mapping",
        "x.yaml:4:8: share: expected at least 0, found -1",
        "x.yaml:5:7: loud: expected true or false, found 'maybe'",
    ]


def test_entries_told_apart_by_a_word_are_told_by_it(tmp_path, monkeypatch):
    class Length(BaseModel, extra="forbid"):
        step: Literal["length"]
        keep: str | list[str] = "en"

    class Dedup(BaseModel, extra="forbid"):
        step: Literal["dedup"]

    class Steps(BaseModel):
        steps: list[Annotated[Length | Dedup, Field(discriminator="step")]]

    monkeypatch.chdir(tmp_path)
    text = "steps:\n- {step: length, keep: 3, kep: en}\n- {step: lenght}\n- {stpe: length}\n- 3\n"
    Path("x.yaml").write_text(text, encoding="utf-8")
    _, faults = validation.validate(Steps, yamlfile.read(Path("x.yaml")))
    assert [str(f) for f in sorted(faults)] == [
        "x.yaml:2:24: keep: expected text or a list, found 3; put it in quotes",
        "x.yaml:2:27: unknown field 'kep'; did you mean 'keep'?",
        "x.yaml:3:10: unknown step 'lenght'; did you mean 'length'?",
        "x.yaml:4:3: a step begins with 'step: ' and the name of a step",
        "x.yaml:5:3: steps, item 4: expected a mapping, found 3",
    ]
