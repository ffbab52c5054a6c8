"""What a user sees: the exact answers of the commands about a small build."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hala_factory import recipe
from hala_factory.models import recipe as models
from tests.workshop import Workshop, alpaca, parquet_digests, troubled

SHORT = {"instruction": "Hi.", "input": "", "output": "No."}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def built(workshop: Workshop) -> Workshop:
    """Two sources of which a row is kept, one is dropped by each of two filters, one is a copy, and one fails."""
    workshop.rows("one.jsonl", [*alpaca(2), SHORT, alpaca(1)[0]])
    workshop.rows("two.jsonl", [{"instruction": None, "input": "", "output": "x"}, *alpaca(1, "quite another thing")])
    workshop.catalog({n: {"path": f"{n}.jsonl"} for n in ("one", "two")})
    steps = [
        {"step": "length", "min_chars": 10},
        {"step": "length", "name": "brief", "on": "messages.user", "max_chars": 45},
        "exact_dedup",
    ]
    workshop.recipe(["one", "two"], steps, version="1.0.0", profiles={"demo": {"version": "dev", "limit": 1}})
    workshop.build()
    return workshop


def masked(text: str) -> str:
    """`text` without what differs from run to run: times, digests, the folder."""
    text = re.sub(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d", "<time>", text.replace(str(Path.cwd()), "<here>"))
    return re.sub(r"sha256:[0-9a-f]+", "sha256:<digest>", re.sub(r"(?<= )\d+\.\d$", "<s>", text, flags=re.M))


ROWS = """\
  rows    6 in, 2 kept, 3 dropped, 1 failed
            1  dropped  brief.too_long
            1  dropped  exact_dedup.duplicate
            1  dropped  length.too_short
            1  failed   source.null
"""


def test_build_tells_where_the_corpus_is_and_what_became_of_the_rows(built: Workshop) -> None:
    again = """\
small@1.0.0: everything is stored, nothing to do
  path    <here>/store/corpora/small/1.0.0
  digest  sha256:<digest>
"""
    assert masked(built.run("build", "recipe.yaml").out) == again + ROWS
    anew = built.run("build", "recipe.yaml", "--store", "new")
    assert masked(anew.out) == (again + ROWS).replace("everything is stored, nothing to do", "built").replace(
        "here>/store", "here>/new"
    )
    assert [line.split()[0] for line in anew.err.splitlines()] == [
        "source-one",
        "source-two",
        "length-to-brief",
        "exact_dedup",
        "corpus",
    ]


def test_plan_tells_every_stage_and_why(built: Workshop) -> None:
    assert (
        built.run("plan", "recipe.yaml").out
        == """\
small@1.0.0
stage            status  why        rows
source-one       stored  unchanged  4
source-two       stored  unchanged  1
length-to-brief  stored  unchanged  3
exact_dedup      stored  unchanged  2
corpus           stored  unchanged  2

licence CC0-1.0
"""
    )
    assert (
        built.run("plan", "recipe.yaml", "--profile", "demo").out
        == """\
small@dev (profile demo)
stage            status  why                         rows
source-one       to run  changed since it was built
source-two       to run  changed since it was built
length-to-brief  to run  follows source-one
exact_dedup      to run  follows length-to-brief
corpus           to run  never built

licence CC0-1.0
"""
    )


def test_plan_as_json_has_the_same_stages_as_the_build(built: Workshop) -> None:
    told = built.run("plan", "recipe.yaml", "--json").json
    assert {k: told[k] for k in ("artifact", "profile")} == {"artifact": "small@1.0.0", "profile": None}
    assert told["fingerprint"] == built.manifest("1.0.0")["fingerprint"]
    assert told["licence"] == built.manifest("1.0.0")["licence"]
    assert [set(s) for s in told["stages"]] == [
        {"name", "kind", "steps", "status", "reason", "rows_out", "fingerprint"}
    ] * 5
    assert [s["name"] for s in built.build("--store", "new")["stages"]] == [s["name"] for s in told["stages"]]


def test_show_tells_stages_sources_and_reasons(built: Workshop) -> None:
    shown = """\
small@1.0.0  built <time> UTC
  path    <here>/store/corpora/small/1.0.0
  digest  sha256:<digest>
  seal    sha256:<digest>
  licence CC0-1.0

stage            rows in  kept  seconds
source-one       4        4     <s>
source-two       2        1     <s>
length-to-brief  5        3     <s>
exact_dedup      3        2     <s>

source  rows in  kept  dropped  failed
one     4        2     2        0
two     2        0     1        1

"""
    assert masked(built.run("show", "small@1.0.0").out) == shown + ROWS
    assert built.run("show", "small@1.0.0", "--json").json == built.manifest("1.0.0")


def test_versions_lists_what_the_store_holds(built: Workshop) -> None:
    built.run("build", "recipe.yaml", "--profile", "demo", "--quiet")
    assert (
        masked(built.run("versions").out)
        == """\
version      rows  profile  built (UTC)       digest
small@1.0.0  2              <time>  sha256:<digest>
small@dev    1     demo     <time>  sha256:<digest>
"""
    )
    assert [m["version"] for m in built.run("versions", "small", "--json").json] == ["1.0.0", "dev"]
    said = built.run("versions", "large")
    assert (said.code, said.out, said.err) == (0, "", "nothing is built yet of large\n")


def test_check_tells_what_is_right(built: Workshop) -> None:
    assert (
        built.run("check", "recipe.yaml").out
        == """\
catalog: 2 sources, 0 models, 0 benchmarks: right
small@1.0.0: 3 steps: right; profiles: demo
"""
    )
    assert built.run("check", "recipe.yaml", "--json").json == {"ok": True, "faults": []}
    built.recipe(["one"], ["lenght"])
    said = built.run("check", "recipe.yaml", "--json")
    assert said.code == 2
    assert json.loads(said.out) == {
        "ok": False,
        "faults": [
            {
                "file": "recipe.yaml",
                "line": 8,
                "column": 9,
                "message": "unknown step 'lenght'; did you mean 'length'?",
            }
        ],
    }


# ---- why ----


def ids(workshop: Workshop, status: str) -> list[str]:
    lost = workshop.lost("1.0.0")
    return list((workshop.kept("1.0.0") if status == "kept" else lost.filter(status=status))["id"])


COPIES = """\
0b546a337a07c202f3ef2580  small@1.0.0: kept
  one, one.jsonl, record 1
  messages: user: Tell me something about row number 0.
  messages: assistant: There is a lot that one could say about row number 0, which is one of many.

  source           passed
  length           passed (chars 114)
  brief            passed (chars 37)
  exact_dedup      passed

0b546a337a07c202f3ef2580  small@1.0.0: dropped
  one, one.jsonl, record 4
  messages: user: Tell me something about row number 0.
  messages: assistant: There is a lot that one could say about row number 0, which is one of many.

  source           passed
  length           passed (chars 114)
  brief            passed (chars 37)
  exact_dedup      DROPPED: duplicate
                   same text as 0b546a337a07c202f3ef2580 of one
"""
BRIEF = """\
795614850db21e1c25f15364  small@1.0.0: dropped
  two, two.jsonl, record 2
  messages: user: Tell me something about quite another thing number 0.
  messages: assistant: There is a lot that one could say about quite another thing number 0, which is one of many.

  source           passed
  length           passed (chars 146)
  brief            DROPPED: too_long (chars 53); rule: max_chars 45
"""
FAILED = """\
bb184cb6b5ceb53ecd29c0fa  small@1.0.0: failed
  two, two.jsonl, record 1
  messages: user: (nothing)
  messages: assistant: x

  source           FAILED: null
                   'instruction' is null: {"instruction":null,"input":"","output":"x"}
"""


@pytest.mark.parametrize(
    ("row", "told"),
    [("0b546a337a07c202f3ef2580", COPIES), ("0b546a", COPIES), ("795614850db2", BRIEF), ("bb184cb6", FAILED)],
    ids=["a kept row and its copy", "the beginning of an id", "a dropped row", "a failed row"],
)
def test_why_tells_the_journey_of_a_row(built: Workshop, row: str, told: str) -> None:
    assert built.run("why", row).out == told
    assert built.run("why", row, "small@1.0.0").out == told


def test_why_as_json_has_a_journey_per_row(built: Workshop) -> None:
    told = built.run("why", "0b546a", "--json").json
    assert [(j["status"], j["origin"]["position"], j["steps"][-1]["verdict"]) for j in told] == [
        ("kept", 1, "passed"),
        ("dropped", 4, "dropped"),
    ]


def test_why_takes_an_example_by_itself(built: Workshop) -> None:
    assert built.run("why", "--example", "small@1.0.0").out == COPIES


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["0b5"], "'0b5': give at least 6 characters of a row's id"),
        (["000000000000"], "no row whose id begins with '000000000000' in any version in the store"),
        (["000000000000", "small@1.0.0"], "no row whose id begins with '000000000000' in small@1.0.0"),
        (["0b546a", "--store", "empty"], "no row whose id begins with '0b546a' in an empty store"),
        (["0b546a", "small@1.0.1"], "<here>/store holds no 'small@1.0.1'; did you mean 'small@1.0.0'?"),
        (["0b546a", "small"], "<here>/store holds no 'small'; did you mean 'small@1.0.0'?"),
        ([], "give the beginning of a row's id, or --example"),
    ],
)
def test_why_of_nothing_says_so(built: Workshop, words: list[str], error: str) -> None:
    said = built.run("why", *words)
    assert (said.code, said.out, masked(said.err)) == (2, "", error + "\n")


# ---- Wrong words ----


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["biuld"], "no command 'biuld'; did you mean 'build'?"),
        (
            ["frobnicate"],
            "no command 'frobnicate'; known are: build, check, diff, doctor, evaluate, gc, generations, lint, lock, merge, plan,",
        ),
        (["build"], "Missing argument 'RECIPE'"),
        (
            ["build", "recipe.yaml", "--worker", "1"],
            "No such option '--worker'. (Did you mean one of: '--locked', '--store', '--workers'?)",
        ),
        (["build", "recipe.yaml", "--workers", "0"], "0 is not in the range x>=1"),
        (["build", "absent"], "no recipe 'absent'; known are: "),
        (["build", "absent.yaml"], "absent.yaml: no such file"),
        (["build", "recipe.yaml", "--profile", "dem"], "recipe.yaml: there is no profile 'dem'; did you mean 'demo'?"),
        (["build", "recipe.yaml", "--catalog", "absent.yaml"], "absent.yaml: no such file"),
        (
            ["build", "recipe.yaml", "--store", "s3://bucket"],
            "--store s3://bucket: a store is a folder that this machine",
        ),
        (["show", "smal@1.0.0"], "holds no 'smal@1.0.0'; did you mean 'small@1.0.0'?"),
        (["show", "small@1.0.0", "--store", "empty"], "holds no 'small@1.0.0'; nothing is built yet"),
        (["steps", "lenght"], "no step 'lenght'; did you mean 'length'?"),
    ],
)
def test_a_wrong_word_is_told_with_the_nearest(built: Workshop, words: list[str], error: str) -> None:
    said = built.run(*words)
    assert (said.code, said.out) == (2, "")
    assert error in said.err


# ---- schema, steps, doctor ----


def test_schema_is_printed_and_checked(workshop: Workshop) -> None:
    said = workshop.run("schema")
    assert said.out == models.schema()
    workshop.write("schema.json", said.out)
    assert workshop.run("schema", "--check", "schema.json").code == 0
    workshop.write("schema.json", said.out + " ")
    wrong = workshop.run("schema", "--check", "schema.json")
    assert (wrong.code, wrong.err) == (
        1,
        "schema.json is not the schema of today; write it with: hala-factory schema > schema.json\n",
    )


MODEL_STEPS = ("init", "sft", "quantise", "merge", "accept", "evaluate")


def test_every_step_is_listed_with_a_sentence_and_explained_with_its_fields(workshop: Workshop) -> None:
    lines = workshop.run("steps").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [*recipe.load_steps(), *MODEL_STEPS]
    assert all(len(line.split()) > 3 for line in lines), lines
    explained = workshop.run("steps", "length").out
    for field in ("min_chars", "max_chars", "on", "name"):
        assert f"  {field} (default " in explained
    assert set(workshop.run("steps", "--json").json) == {*recipe.load_steps(), *MODEL_STEPS}


def test_doctor_says_what_works_and_what_to_do(workshop: Workshop) -> None:
    facts = workshop.run("doctor", "--json").json
    assert {"python", "cores", "GPU", "engine vllm", "engine local"} <= {f["what"] for f in facts}
    assert all(f["state"] for f in facts)
    assert all(f["todo"] for f in facts if f["state"] == "not installed")
    assert workshop.run("doctor").out.splitlines()[0].split() == ["what", "state", "to", "do"]


# ---- What is made ----


def test_a_limit_takes_the_first_rows_of_every_source_and_makes_a_dev_version(built: Workshop) -> None:
    told = built.build("--limit", "1")
    assert told["artifact"] == "small@dev"
    assert told["rows"]["in"] == 3  # the failed record before the first row of the second source counts as read
    assert [s["rows_out"] for s in told["stages"][:2]] == [1, 1]
    assert built.kept("1.0.0").height == 2


def test_a_corpus_of_no_rows_is_a_corpus(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", [SHORT, SHORT])
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(
        ["one"], [{"step": "length", "min_chars": 10}, "exact_dedup"], exports=["messages", "conversations"]
    )
    told = workshop.build()
    assert told["rows"] == {"in": 2, "kept": 0, "dropped": {"length.too_short": 2}, "failed": {}}
    assert workshop.kept().height == 0
    assert set(workshop.kept().columns) > {"id", "source", "origin", "messages", "length.chars"}
    assert workshop.run("show", "small@dev").code == 0
    assert workshop.run("why", "--example", "small@dev").out.count("DROPPED: too_short") == 2


def test_the_files_of_a_corpus_have_the_names_of_the_design(workshop: Workshop) -> None:
    troubled(workshop, 8, exports=["messages", "conversations"]).build("--shard-rows", "8")
    assert sorted(str(p.relative_to(workshop.corpus())) for p in workshop.corpus().rglob("*") if p.is_file()) == [
        "ATTRIBUTION.md",
        "README.md",
        "conversations/train-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "dropped/dropped-00000.parquet",
        "lock.yaml",
        "manifest.json",
        "recipe.yaml",
        "report.html",
    ]
    manifest = workshop.manifest()
    assert {n: f["sha256"] for n, f in manifest["files"].items() if n.endswith("parquet")} == parquet_digests(
        workshop.corpus()
    )
    stages = {p.name for p in Path("store/stages").iterdir()}
    assert stages == {f"{s['name']}-{s['fingerprint'][:12]}" for s in manifest["stages"]}
    files = {re.sub(r"\d{5}", "N", p.name) for p in Path("store/stages").glob("chat_shape-*/*")}
    assert files == {".lock", "part-N.parquet", "dropped-N.parquet", "done-N.json", "stage.json"}
    (answers,) = Path("store/generations").iterdir()
    assert re.fullmatch(r"people-[0-9a-f]{12}", answers.name)
    assert all(re.fullmatch(r"segment-.*\.parquet|model\.json|\..*", p.name) for p in answers.iterdir())


def load(corpus: Path, folder: str) -> Any:
    import datasets

    files = str(corpus / folder / "*.parquet")
    return datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(corpus.parent / "cache"))


@pytest.mark.filterwarnings("ignore")
def test_the_files_are_read_by_datasets_and_the_card_by_the_hub(workshop: Workshop) -> None:
    from huggingface_hub import DatasetCard

    troubled(workshop, 16, exports=["messages", "conversations"]).build()
    kept = workshop.kept()
    assert load(workshop.corpus(), "data")["messages"][0] == kept["messages"][0].to_list()
    said = load(workshop.corpus(), "conversations")
    assert said.column_names == ["id", "conversations"]
    assert list(said["id"]) == kept["id"].to_list()
    assert [[t["value"] for t in c] for c in said["conversations"]] == [
        [m["content"] for m in row] for row in kept["messages"].to_list()
    ]
    assert {t["from"] for c in said["conversations"] for t in c} == {"human", "gpt"}
    card = DatasetCard.load(workshop.corpus() / "README.md")
    assert card.data.language == ["ar"]
    assert card.data.configs == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}], "default": True},
        {"config_name": "conversations", "data_files": [{"split": "train", "path": "conversations/*.parquet"}]},
    ]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["dev", "1.0.0"])
def test_two_builds_at_the_same_moment_end_well_with_one_digest(workshop: Workshop, version: str) -> None:
    troubled(workshop, 40, version=version)
    words = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", "--shard-rows", "20")
    both = [workshop.spawn(*words) for _ in range(2)]
    said = [(p.communicate(timeout=60), p.returncode) for p in both]
    assert [code for _, code in said] == [0, 0], said
    one, other = (json.loads(out) for (out, _), _ in said)
    assert one["digest"] == other["digest"]
    assert one["rows"] == other["rows"]
    assert workshop.manifest(version)["digest"] == one["digest"]
    statuses = [[s["status"] for s in told["stages"] if s["name"] != "corpus"] for told in (one, other)]
    assert all({*pair} == {"run", "stored"} for pair in zip(*statuses, strict=True))  # no stage was run twice


def test_check_looks_at_the_files_and_columns_that_are_here(workshop: Workshop) -> None:
    workshop.rows("one.jsonl", [{"question": "Why?", "output": "Because."}])
    workshop.catalog({"one": {"path": "one.jsonl"}, "two": {"path": "two.jsonl"}, "far": {"hub": "maker/set"}})
    workshop.recipe(["one", "two", "far"], [])
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    first, second = said.err.splitlines()
    assert first.startswith("source 'one': one.jsonl has no column 'instruction'")
    assert second.startswith("source 'two': ")
    assert "two.jsonl" in second
