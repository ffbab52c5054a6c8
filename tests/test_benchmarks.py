"""Benchmarks become tables of their questions, whatever form their files have; what cannot be read is an error."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hala_factory import benchmarks, catalog
from hala_factory.errors import BuildError, InputError
from hala_factory.fingerprint import file_digest
from tests.stand_in_hub import COMMIT, Hub, running

ROOT = Path(__file__).resolve().parents[1]
CHOSEN = {"question": "q", "choices": ["A", "B"]}
Line = tuple[str, str, list[str], str]


def loaded(folder: Path, entries: dict[str, Any]) -> catalog.Loaded:
    plain = {"licence": "MIT", "language": "en"}
    path = folder / "catalog.yaml"
    path.write_text(json.dumps({"benchmarks": {n: {**plain, **e} for n, e in entries.items()}}))
    return catalog.load(path)


def located(folder: Path, **entry: Any) -> benchmarks.Located:
    return benchmarks.find(["b"], loaded(folder, {"b": entry}), file_digest)["b"]


def lines(table: pl.DataFrame) -> list[Line]:
    return table.select("row", "question", "choices", "context").rows()


def parquet(*rows: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Rivers",
            "paragraphs": [
                {"context": "It rises in hills.", "qas": [{"id": "r1", "question": "Where does it rise?"}]},
                {
                    "context": "It is long.",
                    "qas": [{"id": "r2", "question": "How long?"}, {"id": "r3", "question": " "}],
                },
            ],
        }
    ],
}
READING = {"question": "question", "context": "context", "id": "id"}
FORMS: dict[str, tuple[str, bytes, dict[str, Any], list[Line]]] = {
    "jsonl, choices of several columns, one of them null": (
        "b.jsonl",
        jsonl({"q": "What is it?", "A": "one", "B": 2}, {"q": "And now?", "A": "", "B": None}),
        {"columns": CHOSEN},
        [("b.jsonl:1", "What is it?", ["one", "2"], ""), ("b.jsonl:2", "And now?", [], "")],
    ),
    "jsonl, a choice's column is missing in some records": (
        "b.jsonl",
        jsonl({"q": "True?", "A": "yes"}, {"q": "Which?", "A": "x", "B": "y"}),
        {"columns": CHOSEN},
        [("b.jsonl:1", "True?", ["yes"], ""), ("b.jsonl:2", "Which?", ["x", "y"], "")],
    ),
    "parquet, a list of choices within a struct": (
        "b.parquet",
        parquet({"id": "a7", "q": "Which?", "c": {"text": ["x", "y"], "label": ["A", "B"]}}),
        {"columns": {"question": "q", "choices": "c.text", "id": "id"}},
        [("a7", "Which?", ["x", "y"], "")],
    ),
    "json of several questions to a record": (
        "b.json",
        json.dumps(SQUAD).encode(),
        {"columns": READING, "each": "paragraphs.qas"},
        [("r1", "Where does it rise?", [], "It rises in hills."), ("r2", "How long?", [], "It is long.")],
    ),
    "json of several questions to a record, without ids": (
        "b.json",
        json.dumps(SQUAD).encode(),
        {"columns": {"question": "question"}, "each": "paragraphs.qas"},
        [("b.json:1.0", "Where does it rise?", [], ""), ("b.json:1.1", "How long?", [], "")],
    ),
    "csv without a header": (
        "b.csv",
        "ما هي؟,واحد,اثنان,B\n".encode(),
        {"columns": {"question": "0", "choices": ["1", "2"]}},
        [("b.csv:1", "ما هي؟", ["واحد", "اثنان"], "")],
    ),
    "csv with a header": (
        "b.csv",
        b'Question,Option 1,Context\n"Who, then?",x,\n',
        {"columns": {"question": "Question", "choices": ["Option 1"], "context": "Context"}},
        [("b.csv:1", "Who, then?", ["x"], "")],
    ),
    "tsv, a question of two columns": (
        "b.tsv",
        b"a\tb\nA man sits.\tHe\n",
        {"columns": {"question": ["a", "b"]}},
        [("b.tsv:1", "A man sits.\n\nHe", [], "")],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_any_form_becomes_the_same_table(form: str, tmp_path: Path) -> None:
    name, content, entry, expected = FORMS[form]
    (tmp_path / name).write_bytes(content)
    table = benchmarks.read(located(tmp_path, path=name, **entry))
    assert dict(table.schema) == benchmarks.COLUMNS
    assert table.select("benchmark", "language").unique().rows() == [("b", "en")]
    assert lines(table) == expected
    assert sum(table.null_count().row(0)) == 0


FAULTS: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "the question's column": (
        "b.jsonl",
        jsonl({"question": "x"}),
        {"columns": {"question": "questoin"}},
        "b.jsonl:1: there is no column 'questoin'; did you mean 'question'?",
    ),
    "all choices": (
        "b.jsonl",
        jsonl({"q": "x", "a": "y"}),
        {"columns": CHOSEN},
        "benchmark 'b': no question in b.jsonl has any of its 'choices'",
    ),
    "a column of csv": (
        "b.csv",
        b"question\nx\n",
        {"columns": {"question": "q"}},
        "b.csv: there is no column 'q'; known are: question",
    ),
    "the list of questions": (
        "b.jsonl",
        jsonl({"qas": {"question": "x"}}),
        {"columns": {"question": "question"}, "each": "qas"},
        "b.jsonl:1: 'each' names 'qas', which is no list of objects there",
    ),
    "a broken line": (
        "b.jsonl",
        b'{"q": "x", "A": "y"}\n{"q": \n',
        {"columns": CHOSEN},
        "b.jsonl:2: not JSON: unexpected end of data at character 8 of the line; mend it, or fetch the file again",
    ),
    "a line that is no object": (
        "b.jsonl",
        b"[1]\n",
        {"columns": CHOSEN},
        "b.jsonl:1: expected an object; mend it, or fetch the file again",
    ),
    "bytes that are no text": (
        "b.csv",
        b"q\ncaf\xe9\n",
        {"columns": {"question": "q"}},
        "b.csv:1: 'question' is not valid UTF-8; fetch the file again",
    ),
    "any question": (
        "b.jsonl",
        jsonl({"q": None, "A": "y"}),
        {"columns": CHOSEN},
        "benchmark 'b': no question stands in b.jsonl; see to its 'columns'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_would_leave_a_question_out_is_an_error_that_says_where(fault: str, tmp_path: Path) -> None:
    name, content, entry, message = FAULTS[fault]
    (tmp_path / name).write_bytes(content)
    with pytest.raises((InputError, BuildError)) as error:
        benchmarks.prepare(located(tmp_path, path=name, **entry), tmp_path / "tables")
    assert str(error.value) == message
    assert list(tmp_path.glob("tables/*")) == []


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_bytes(parquet({"q": "x"})[:-9])
    with pytest.raises(BuildError, match=r"^b.parquet: cannot be read: .*; fetch the file again"):
        benchmarks.read(located(tmp_path, path="b.parquet", columns={"question": "q"}))


def test_a_table_is_written_once_and_anew_when_what_decides_it_changes(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(jsonl({"q": "one", "A": "x"}))
    entry = {"path": "b.jsonl", "columns": CHOSEN}
    first = located(tmp_path, **entry)
    path = benchmarks.prepare(first, tmp_path / "tables")
    written = path.stat().st_mtime_ns
    assert benchmarks.prepare(first, tmp_path / "tables") == path
    assert path.stat().st_mtime_ns == written
    assert benchmarks.prepare(located(tmp_path, **entry, note="told"), tmp_path / "tables") == path
    (tmp_path / "b.jsonl").write_bytes(jsonl({"q": "two", "A": "x"}))
    changed = [located(tmp_path, **entry), located(tmp_path, **entry, language="fr"), located(tmp_path, **entry)]
    paths = [benchmarks.prepare(each, tmp_path / "tables") for each in changed]
    assert len({path, *paths}) == 3
    assert pl.read_parquet(paths[0])["question"].to_list() == ["two"]


# ---- Which benchmarks ----


@pytest.fixture
def three(tmp_path: Path) -> catalog.Loaded:
    (tmp_path / "b.jsonl").write_bytes(jsonl({"q": "x", "A": "y"}))
    entry = {"path": "b.jsonl", "columns": CHOSEN}
    sample = {"sample": {"path": "b.jsonl"}}
    return loaded(tmp_path, {"one": entry, "two": {**entry, **sample}, "three": {**entry, "language": "ar"}})


WANTED: list[tuple[list[str], dict[str, Any], list[str]]] = [
    (["two"], {}, ["two"]),
    (["two", "one", "two"], {}, ["two", "one"]),
    (["*"], {}, ["one", "two", "three"]),
    (["*"], {"languages": ["en"]}, ["one", "two"]),
    (["three"], {"languages": ["en"]}, ["three"]),
    (["*"], {"samples": True}, ["two"]),
]


@pytest.mark.parametrize(("names", "how", "expected"), WANTED)
def test_benchmarks_are_found_by_name_or_all_of_a_language(
    three: catalog.Loaded, names: list[str], how: dict[str, Any], expected: list[str]
) -> None:
    assert list(benchmarks.find(names, three, file_digest, **how)) == expected


UNKNOWN: list[tuple[list[str], dict[str, Any], str]] = [
    (
        ["tow", "xyz"],
        {},
        "benchmark 'tow': it is not in the catalog; did you mean 'two'?\n"
        "benchmark 'xyz': it is not in the catalog; known are: one, three, two",
    ),
    (
        ["one"],
        {"samples": True},
        "benchmark 'one': it has no 'sample'; write a few questions in its columns and name them in the catalog",
    ),
    (["*"], {"languages": ["fr"]}, "the catalog has no benchmark in 'fr' to compare with"),
    (
        ["*"],
        {"languages": ["ar"], "samples": True},
        "the catalog has no benchmark in 'ar' with a 'sample' to compare with",
    ),
]


@pytest.mark.parametrize(("names", "how", "message"), UNKNOWN)
def test_benchmarks_that_cannot_be_found_are_all_told(
    three: catalog.Loaded, names: list[str], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        benchmarks.find(names, three, file_digest, **how)
    assert str(error.value) == message


def test_a_benchmark_whose_columns_are_not_known_is_not_compared_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benchmark 'b': its 'columns' do not say which one holds the question"):
        located(tmp_path, path="b.jsonl")


WRONG = [
    ({"questions": "q"}, "columns of a benchmark: unknown 'questions'; did you mean 'question'?"),
    ({"choices": "c"}, "columns of a benchmark name its 'question': found 'choices'"),
]


@pytest.mark.parametrize(("columns", "message"), WRONG)
def test_wrong_columns_are_told_where_they_stand(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        loaded(tmp_path, {"b": {"path": "b.jsonl", "columns": columns}})
    assert str(error.value).endswith(f": {message}")


def test_the_samples_of_the_project_s_own_catalog_are_read(tmp_path: Path) -> None:
    own = catalog.load(ROOT / "catalog.yaml")
    found = benchmarks.find(["*"], own, file_digest, samples=True)
    tables = [benchmarks.read(each) for each in found.values()]
    assert {name for name, entry in own.catalog.benchmarks.items() if entry.sample} == set(found)
    every = pl.concat(tables)
    assert set(every["language"]) == {"ar", "en"}
    assert every.height >= 80
    with_choices = {n for n, e in own.catalog.benchmarks.items() if e.sample and "choices" in e.columns}
    assert set(every.filter(pl.col("choices").list.len() >= 2)["benchmark"]) == with_choices


# ---- On the Hub ----


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_TOKEN", "")
        yield hub


FIND = """
import pickle, sys
from pathlib import Path
from hala_factory import benchmarks, catalog
from hala_factory.fingerprint import file_digest
found = benchmarks.find(["*"], catalog.load(Path(sys.argv[1])), file_digest)
Path(sys.argv[2]).write_bytes(pickle.dumps(found))
"""


def test_every_configuration_on_the_hub_is_read_where_none_is_named(hub: Hub, tmp_path: Path) -> None:
    front = (
        "---\nconfigs:\n- config_name: easy\n  data_files:\n  - {split: test, path: easy/test.jsonl}\n"
        "- config_name: hard\n  data_files:\n  - {split: test, path: hard/test.jsonl}\n"
        "  - {split: dev, path: hard/dev.jsonl}\n---\n"
    )
    hub.datasets["maker/test"] = {
        "README.md": front.encode(),
        "easy/test.jsonl": jsonl({"q": "Simple?"}),
        "hard/test.jsonl": jsonl({"q": "Difficult?"}),
        "hard/dev.jsonl": jsonl({"q": "Shown before."}),
    }
    entry = {"hub": "maker/test", "columns": {"question": "q"}}
    loaded(tmp_path, {"both": entry, "one": {**entry, "config": "hard"}})
    command = [sys.executable, "-c", FIND, str(tmp_path / "catalog.yaml"), str(tmp_path / "found")]
    # In a process of its own: `datasets` keeps the first endpoint that it sees.
    subprocess.run(command, env={**os.environ, "HF_HOME": str(tmp_path)}, check=True, timeout=120)
    found = pickle.loads((tmp_path / "found").read_bytes())
    assert not [asked for asked in hub.asked if asked.endswith(".jsonl")]
    assert {each.files.revision for each in found.values()} == {COMMIT}
    assert benchmarks.read(found["both"])["question"].to_list() == ["Simple?", "Difficult?"]
    assert benchmarks.read(found["one"])["row"].to_list() == ["hard/test.jsonl:1"]
    assert found["one"].identity["files"] != found["both"].identity["files"]


def test_a_benchmark_that_the_hub_does_not_have_is_told_by_name(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benchmark 'b': there is no dataset 'no/such' on the Hub"):
        located(tmp_path, hub="no/such", columns={"question": "q"})
