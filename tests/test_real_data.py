"""Real data, which nobody here wrote, built through the command line: its known dirt is found, no row is lost.

The folder of real data holds a `PROVENANCE.json` per data set, with the rows of every file as counted by
whoever fetched it; what is dirty in them is counted here anew, from the raw files and without the factory.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hala_factory import yamlfile
from tests.workshop import Workshop, balanced

pytestmark = pytest.mark.slow

TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
TICO = "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip"
MANYTHINGS = "manythings-ara/files/seq2seqBasic/ara.txt.gz"
ALPACA = "alpaca-random9k/files/data/random/random_9k.json.gz"
RASBT = "rasbt-instruct/files/ch07/01_main-chapter-code/instruction-data.json"
OASST = "oasst-en100/files/model/model_eval/manual/data/en_100_tree.jsonl"
T0 = "t0-50k/files/data_per_template/*.jsonl.gz"
GPTEACHER = [
    "gpteacher/files/Codegen/codegen-instruct.json.gz",
    "gpteacher/files/Roleplay/roleplay-simple-deduped-roleplay-instruct.json.gz",
    "gpteacher/files/Toolformer/toolformer-similarity-0.6-dataset.json",
]
CODEALPACA = "codealpaca/files/data/new_codealpaca.json.gz"
GSM8K = "gsm8k/files/grade_school_math/data/train.jsonl.gz"
EXAM = 100
"""Rows of GSM8K that are held for a benchmark's."""
RESPONSE = {"prompt": "instruction", "input": "input", "response": "response"}
SIDES = {"source": "translation.en", "target": "translation.ar"}

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "arabic-instruct-v1.yaml"
"""Its steps up to the translation are tried."""
PAIR_STEPS = [
    {"step": "length", "on": "translation.en", "min_chars": 1},
    {"step": "length", "name": "length_ar", "on": "translation.ar", "min_chars": 1},
    {"step": "numbers", **SIDES},
    {"step": "length_ratio", **SIDES},
    {"step": "untranslated", **SIDES},
    {"step": "structure", **SIDES},
    {"step": "script_share", "on": "translation.ar"},
    {"step": "language", "name": "language_en", "on": "translation.en", "keep": ["en", "und"], "min_score": 0.3},
    {
        "step": "language",
        "name": "language_ar",
        "on": "translation.ar",
        "keep": ["ar", "arz", "und"],
        "min_score": 0.3,
    },
    {"step": "exact_dedup", "on": "translation.ar"},
]


def instruction_steps() -> list[Any]:
    """What the project's own recipe does before it translates, and a bound on Arabic in an English text."""
    steps = yamlfile.read(RECIPE).data["steps"]
    words = [step["step"] for step in steps]
    return [*steps[: words.index("translate")], {"step": "script_share", "min_share": None, "max_share": 0.2}]


@dataclass(frozen=True)
class Built:
    """A corpus, and what the command said of it."""

    workshop: Workshop
    said: dict[str, Any]

    @property
    def kept(self) -> pl.DataFrame:
        return self.workshop.kept()

    @property
    def lost(self) -> pl.DataFrame:
        return self.workshop.lost()

    def stage(self, name: str) -> dict[str, Any]:
        """The ledger of one stage, by source."""
        (found,) = (s["sources"] for s in self.workshop.manifest()["stages"] if s["name"] == name)
        return dict(found)


def built(
    folder: Path,
    sources: dict[str, Any],
    steps: list[Any],
    *words: str,
    uses: list[Any] | None = None,
    **parts: dict[str, Any],
) -> Built:
    """A build of these sources and steps; `parts` are other parts of the catalog."""
    folder.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(folder)
    workshop.catalog(sources, **parts)
    workshop.recipe(uses or list(sources), steps)
    places = ["--catalog", str(folder / "catalog.yaml"), "--store", str(folder / "store")]
    said = workshop.run("build", str(folder / "recipe.yaml"), "--json", "--quiet", *places, *words)
    return Built(workshop, dict(said.json))


def pairs(shared: Path) -> dict[str, Any]:
    """Four sources of English and Arabic sentences, each in another form."""
    both = {"rows": "pair", "language": ["en", "ar"], "columns": {"en": "en", "ar": "ar"}}
    sides = {code: str(shared / f"{TATOEBA}.{word}") for code, word in (("en", "eng"), ("ar", "ara"))}
    return {
        "tatoeba": {**both, "format": "moses", "path": sides},
        "tico19": {**both, "format": "tmx", "path": str(shared / TICO)},
        "iso-codes": {
            **both,
            "path": str(shared / "iso-codes/files/*/ar.po"),
            "columns": {"en": "msgid", "ar": "msgstr"},
        },
        "manythings": {**both, "format": "tsv", "path": str(shared / MANYTHINGS), "columns": {"en": "0", "ar": "1"}},
    }


def provenance(shared: Path, *patterns: str) -> int:
    """The rows of the files whose names match, as counted when they were fetched."""
    total = 0
    for pattern in patterns:
        data_set, _, stored = pattern.partition("/")
        described = json.loads((shared / data_set / "PROVENANCE.json").read_text())["files"]
        total += sum(
            f["rows"]
            for f in described
            if Path(f["stored_as"]).match(stored) and (shared / data_set / f["stored_as"]).exists()
        )
    return total


def raw(shared: Path, name: str) -> str:
    data = (shared / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode()


def raw_pairs(shared: Path, source: str) -> list[tuple[str, str]]:
    if source == "tatoeba":
        sides = [raw(shared, f"{TATOEBA}.{word}").splitlines() for word in ("eng", "ara")]
        return list(zip(*sides, strict=True))
    lines = [line.split("\t") for line in raw(shared, MANYTHINGS).splitlines()]
    return [(line[0], line[1]) for line in lines]


def spelt(frame: pl.DataFrame) -> list[tuple[str, str]]:
    return frame.select(pl.col("translation").struct.unnest()).rows()


@pytest.fixture(scope="module")
def instructions(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Six sources in jsonl.gz, json.gz, json, a jsonl of trees, and Parquet; a hundred of GSM8K's are an exam."""
    folder = tmp_path_factory.mktemp("instructions")
    problems = pl.DataFrame([json.loads(line) for line in raw(shared, GSM8K).splitlines()])
    problems.write_parquet(folder / "gsm8k.parquet")
    problems.head(EXAM).write_parquet(folder / "exam.parquet")
    sources = {
        "t0": {"path": str(shared / T0), "columns": "prompt_completion", "strip": ["<|endoftext|>"]},
        "gpteacher": {"path": [str(shared / f) for f in GPTEACHER], "columns": RESPONSE},
        "rasbt": {"path": str(shared / RASBT)},
        "alpaca": {"path": str(shared / ALPACA), "licence": "CC-BY-NC-4.0"},
        "oasst": {"path": str(shared / OASST), "columns": {"tree": "prompt"}},
        "gsm8k": {"path": "gsm8k.parquet", "columns": {"prompt": "question", "response": "answer"}},
    }
    exam = {"path": "exam.parquet", "columns": {"question": "question"}, "language": "en", "licence": "MIT"}
    return built(folder, sources, instruction_steps(), "--workers", "2", benchmarks={"exam": exam})


@pytest.fixture(scope="module")
def sentences(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Four sources in moses, tmx in a zip, po and tsv; only what translators hold for finished of the po."""
    uses = ["tatoeba", "tico19", {"source": "iso-codes", "where": {"fuzzy": False}}, "manythings"]
    folder = tmp_path_factory.mktemp("sentences")
    return built(folder, pairs(shared), PAIR_STEPS, "--workers", "2", uses=uses)


@pytest.mark.parametrize("corpus", ["instructions", "sentences"])
def test_every_row_of_every_source_is_accounted_for(corpus: str, request: pytest.FixtureRequest) -> None:
    made: Built = request.getfixturevalue(corpus)
    before: dict[str, int] = {}
    for stage in made.workshop.manifest()["stages"]:
        for source, counts in stage["sources"].items():
            assert balanced(counts), (stage["name"], source)
            assert counts["in"] == before.get(source, counts["in"]), (stage["name"], source)
            before[source] = counts["kept"]
    assert balanced(made.said["rows"])
    assert made.kept.height == made.said["rows"]["kept"]
    assert made.kept.height + made.lost.height == made.said["rows"]["in"]
    assert Counter(made.kept["source"]) == {s: n for s, n in before.items() if n}


def test_as_many_rows_are_read_as_whoever_fetched_them_counted(
    shared: Path, instructions: Built, sentences: Built
) -> None:
    files = {
        "t0": [T0],
        "gpteacher": GPTEACHER,
        "rasbt": [RASBT],
        "alpaca": [ALPACA],
        "gsm8k": [GSM8K],
        "tatoeba": [f"{TATOEBA}.eng"],
        "tico19": [TICO],
        "iso-codes": ["iso-codes/files/*/ar.po"],
        "manythings": [MANYTHINGS],
    }
    read = {
        source: made.stage(f"source-{source}")[source]["in"]
        for made in (instructions, sentences)
        for source in files
        if f"source-{source}" in {s["name"] for s in made.said["stages"]}
    }
    assert read == {source: provenance(shared, *names) for source, names in files.items()}
    assert sum(read.values()) > 80_000


def test_a_tree_gives_a_row_for_each_of_its_leaves(shared: Path, instructions: Built) -> None:
    def leaves(node: dict[str, Any]) -> int:
        return sum(map(leaves, node["replies"])) if node["replies"] else 1

    trees = [json.loads(line)["prompt"] for line in raw(shared, OASST).splitlines()]
    assert instructions.stage("source-oasst")["oasst"]["in"] == sum(map(leaves, trees)) > len(trees)


NOTHING = re.compile(r"[<\[(]? ?no ?input ?[>\])]?( (required|needed|necessary))?\.?", re.IGNORECASE)


def test_alpacas_empty_answers_and_placeholders_are_dropped(shared: Path, instructions: Built) -> None:
    records = json.loads(raw(shared, ALPACA))
    empty = sum(not r["output"].strip() for r in records)
    no_answer = sum(r["output"].strip().lower() in ("<nooutput>", "<no output>") for r in records)
    no_input = sum(NOTHING.fullmatch(r["input"].strip()) is not None for r in records)
    assert (empty, no_answer, no_input) == (4, 12, 119)
    found = Counter(instructions.lost.filter(source="alpaca", step="chat_shape")["reason"])
    assert found["empty_turn"] == empty
    assert no_answer <= found["placeholder_answer"] < no_answer + 5
    assert no_input <= found["placeholder_input"] < no_input + 15  # "N/A" and "None" among them


def test_lines_of_spaces_are_no_repetition(instructions: Built) -> None:
    """News in T0 have them between paragraphs; what is left is songs, forms and lists."""
    repeated = instructions.lost.filter(source="t0", reason="duplicate_lines")
    assert repeated.height < 0.01 * instructions.stage("source-t0")["t0"]["in"]


def test_no_end_mark_is_left_where_the_catalog_strips_it(instructions: Built) -> None:
    t0 = instructions.kept.filter(source="t0")
    assert t0.height > 13_000  # of 27,694: most texts are asked in several templates, and one of them stays
    texts = t0.select(pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n"))
    assert not texts.to_series().str.contains("<|endoftext|>", literal=True).any()


def test_an_end_mark_that_nobody_strips_is_found_in_every_row(shared: Path, tmp_path: Path) -> None:
    sources = {"t0": {"path": str(shared / T0.replace("*", "a*")), "columns": "prompt_completion"}}
    made = built(tmp_path, sources, ["chat_shape"], "--workers", "1")
    count = provenance(shared, T0.replace("*", "a*"))
    assert made.said["rows"] == {"in": count, "kept": 0, "dropped": {"chat_shape.end_of_text": count}, "failed": {}}


def test_conversations_that_end_in_a_question_are_dropped(instructions: Built) -> None:
    gone = instructions.lost.filter(source="oasst", reason="role_order")
    assert gone.height > 100
    last = gone.select(pl.col("messages").list.last().struct.field("role")).to_series()
    assert last.unique().to_list() == ["user"]


def test_languages_asked_for_by_translation_tasks_are_found(instructions: Built) -> None:
    other = instructions.lost.filter(step="language", reason="language")
    assert {"fr", "es"} <= set(other["language.label"])
    assert instructions.kept["language.label"].unique().to_list() == ["en"]


def test_an_exams_questions_leave_the_corpus_and_nothing_else_does(instructions: Built) -> None:
    gone = instructions.lost.filter(step="decontaminate")
    rows = {row["position"] for row in gone.filter(source="gsm8k")["origin"].to_list()}
    left = {row["position"] for row in instructions.kept.filter(source="gsm8k")["origin"].to_list()}
    assert len(rows & set(range(1, EXAM + 1))) > 0.9 * EXAM  # of the others, some step before had its say
    assert not left & set(range(1, EXAM + 1))
    assert gone.height <= len(rows & set(range(1, EXAM + 1))) + 5


def test_no_text_is_kept_twice(instructions: Built, sentences: Built) -> None:
    joined = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n\n")
    for texts in (
        instructions.kept.select(joined).to_series(),
        sentences.kept.select(pl.col("translation").struct.field("ar")).to_series(),
    ):
        assert texts.str.strip_chars().str.to_lowercase().is_duplicated().sum() == 0


def test_prompts_sold_under_two_licences_are_found_across_sources(shared: Path, tmp_path: Path) -> None:
    ours, theirs = (json.loads(raw(shared, name)) for name in (GPTEACHER[0], CODEALPACA))
    asked = {(r["instruction"], r["input"]) for r in ours}
    common = {(r["instruction"], r["input"]) for r in theirs} & asked
    assert len(common) > 4_000
    sources = {
        "gpteacher": {"path": str(shared / GPTEACHER[0]), "columns": RESPONSE, "licence": "MIT"},
        "codealpaca": {"path": str(shared / CODEALPACA), "licence": "CC-BY-NC-4.0"},
    }
    made = built(tmp_path, sources, [{"step": "exact_dedup", "on": "messages.user"}], "--workers", "1")
    across = made.lost.filter(pl.col("source") == "codealpaca", pl.col("detail").str.ends_with(" of gpteacher"))
    assert across.height >= len(common)
    assert set(made.kept.filter(licence="MIT")["source"]) == {"gpteacher"}


def test_sentence_pairs_of_two_collections_are_kept_once(shared: Path, sentences: Built) -> None:
    """Both collections are cut from Tatoeba: thousands of pairs are the same to the letter."""
    common = set(raw_pairs(shared, "tatoeba")) & set(raw_pairs(shared, "manythings"))
    assert len(common) > 3_800
    kept = {name: set(spelt(sentences.kept.filter(source=name))) for name in ("tatoeba", "manythings")}
    assert kept["tatoeba"] & kept["manythings"] == set()
    gone = sentences.lost.filter(pl.col("source") == "manythings", pl.col("reason") == "duplicate")
    named = gone.filter(pl.col("detail").str.ends_with(" of tatoeba"))
    assert len(common & set(spelt(named))) > 0.9 * len(common)  # of the others, both copies fell before the dedup


def test_numbers_that_differ_are_found_in_a_professional_translation(shared: Path, sentences: Built) -> None:
    """All but one are right in their way: a Roman numeral in ciphers, a dual with no number left, a decade in words."""
    sides = sentences.kept.filter(source="tico19").vstack(
        sentences.lost.filter(source="tico19").select(sentences.kept.columns)
    )
    differ = {(english, arabic) for english, arabic in spelt(sides) if counted(english) != counted(arabic)}
    wrong = sentences.lost.filter(source="tico19", step="numbers")
    assert len(differ) == 12
    assert set(spelt(wrong)) < differ
    assert wrong.height == 1  # the name `B0AT1`, spelt out


def counted(text: str) -> Counter[str]:
    """The runs of digits in a text, those of thousands joined."""
    return Counter(re.findall(r"[0-9]+", re.sub(r"(?<=[0-9])[.,](?=[0-9]{3}(?![0-9]))", "", text)))


def test_fuzzy_entries_are_left_out_only_where_the_recipe_says_so(
    shared: Path, sentences: Built, tmp_path: Path
) -> None:
    files = sorted((shared / "iso-codes").glob("files/*/ar.po"))
    flagged = sum(len(re.findall(r"^#,.*\bfuzzy\b", f.read_text(encoding="utf-8"), re.MULTILINE)) for f in files)
    headers = sum("fuzzy" in f.read_text(encoding="utf-8").split('msgid ""')[0] for f in files)
    dropped = sentences.stage("source-iso-codes")["iso-codes"]["dropped"]
    assert dropped == {"source.where": flagged - headers}
    iso = {"iso-codes": pairs(shared)["iso-codes"]}
    everything = built(tmp_path, iso, [{"step": "length", "on": "translation.en", "min_chars": 1}], "--workers", "1")
    assert (
        everything.said["rows"]["in"]
        == everything.said["rows"]["kept"]
        == provenance(shared, "iso-codes/files/*/ar.po")
    )
    wrong = sentences.lost.filter(step="source", reason="where")
    assert set(wrong["id"]) <= set(everything.kept["id"])


def test_arabic_in_latin_letters_and_untranslated_sentences_are_dropped(shared: Path, sentences: Built) -> None:
    """The labels of Tatoeba say which rows are in Latin script; nobody says which are not translated."""
    labels = raw(shared, f"{TATOEBA}.ara.labels").splitlines()
    latin = {n for n, label in enumerate(labels, 1) if label.endswith("_Latn")}
    kept = sentences.kept.filter(source="tatoeba").select(pl.col("origin").struct.field("position")).to_series()
    assert len(latin) == 13
    assert latin & set(kept) == set()
    arabic = sentences.kept.select(pl.col("translation").struct.field("ar")).to_series()
    assert arabic.str.contains(r"\p{Arabic}").all()
    assert sentences.lost.filter(step="untranslated").height >= 2


def test_entries_that_nobody_translated_are_dropped(shared: Path, sentences: Built) -> None:
    empty = sentences.lost.filter(source="iso-codes", step="length_ar", reason="too_short")
    assert empty.height > 100
    assert set(empty.select(pl.col("translation").struct.field("ar")).to_series()) == {""}


def test_few_good_sentences_are_lost_before_the_dedup(sentences: Built) -> None:
    """People translated all of these: what falls of them, but for copies, is mostly a mistake of ours."""
    for source, most in (("tatoeba", 0.04), ("manythings", 0.04), ("tico19", 0.01)):
        read = sentences.stage(f"source-{source}")[source]["kept"]
        gone = sentences.lost.filter(pl.col("source") == source, pl.col("reason") != "duplicate")
        assert gone.height < most * read, (source, gone.height)


def test_the_digest_depends_neither_on_workers_nor_on_shards(shared: Path, sentences: Built, tmp_path: Path) -> None:
    uses = ["tatoeba", "tico19", {"source": "iso-codes", "where": {"fuzzy": False}}, "manythings"]
    alone = built(tmp_path, pairs(shared), PAIR_STEPS, "--workers", "1", "--shard-rows", "4000", uses=uses)
    assert alone.said["digest"] == sentences.said["digest"]
    assert alone.said["rows"] == sentences.said["rows"]
