"""Questions of benchmarks with their right answers, however these are spelt; what cannot be scored is an error."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hala_factory import benchmarks, catalog, questions
from hala_factory.errors import BuildError, InputError
from hala_factory.fingerprint import file_digest
from tests import six_benchmarks as six
from tests.stand_in_hub import Hub, running
from tests.workshop import Workshop

COLUMNS = {"question": "q", "choices": ["a", "b", "c"], "answer": "key"}


def located(shop: Workshop, rows: list[dict[str, Any]], **entry: Any) -> benchmarks.Located:
    shop.rows("b.jsonl", rows)
    made = {"path": "b.jsonl", "licence": "MIT", "columns": COLUMNS, **entry}
    loaded = catalog.load(shop.catalog({}, benchmarks={"b": made}))
    return benchmarks.find(["b"], loaded, file_digest)["b"]


@pytest.mark.parametrize(
    ("spelt", "key", "row", "right"),
    [
        ("letter", "A", {}, "x"),
        ("letter", " C ", {}, "z"),
        ("letter", "C", {"b": None}, "z"),  # the third option, though only the second that is there
        ("arabic_letter", "ب", {}, "y"),
        ("arabic_letter", "ا", {}, "x"),
        ("index", 0, {}, "x"),
        ("index", "2", {}, "z"),
        ("index", 1.0, {}, "y"),
        ("number", 3, {}, "z"),
        ("text", "y ", {}, "y"),
    ],
)
def test_an_answer_names_one_of_the_choices(workshop, spelt, key, row, right):
    found = located(workshop, [{"q": "Which?", "a": "x", "b": "y", "c": "z", **row, "key": key}], answer_as=spelt)
    (question,) = questions.read(found)
    assert question.choices[question.answer] == right


@pytest.mark.parametrize("spelt", ["letter", "arabic_letter", "index", "number"])
@pytest.mark.parametrize("n", range(5))
def test_there_may_be_five_choices(workshop, spelt, n):
    key = {"letter": "ABCDE", "arabic_letter": questions.ARABIC, "index": range(5), "number": range(1, 6)}[spelt][n]
    rows = [{"q": "Which?", "all": ["v", "w", "x", "y", "z"], "key": key}]
    found = located(workshop, rows, columns={**COLUMNS, "choices": "all"}, answer_as=spelt)
    assert questions.read(found)[0].answer == n


GOOD = {"q": "Which?", "a": "x", "b": "y", "c": "z", "key": "B"}
FAULTS = [
    (
        {"key": "D"},
        {},
        BuildError,
        "b.jsonl:2: the answer is 'D', expected one of A, B, C (letter); mend it, or see to",
    ),
    ({"key": "C", "c": ""}, {}, BuildError, "the answer is 'C', expected one of A, B (letter)"),
    ({"key": None}, {}, BuildError, "the answer is '', expected one of A, B, C (letter)"),
    ({"key": "AB"}, {}, BuildError, "the answer is 'AB'"),
    ({"key": 3}, {"answer_as": "index"}, BuildError, "b.jsonl:2: the answer is '3', expected one of 0, 1, 2 (index)"),
    ({"key": 0}, {"answer_as": "number"}, BuildError, "the answer is '0', expected one of 1, 2, 3 (number)"),
    ({"key": "w"}, {"answer_as": "text"}, BuildError, "the answer is 'w', expected the text of one of its choices"),
    (
        {"key": "x", "b": "x"},
        {"answer_as": "text"},
        BuildError,
        "the answer is 'x', expected the text of one of its choices",
    ),
    ({"b": "", "c": None, "key": "A"}, {}, BuildError, "b.jsonl:2: the question has 1 choice, expected 2 to 5"),
    (
        {},
        {"columns": {**COLUMNS, "answer": "kye"}},
        InputError,
        "there is no column 'kye'; did you mean 'key'?",
    ),
    (
        {},
        {"columns": {"question": "q", "choices": ["a", "b"]}},
        InputError,
        "benchmark 'b': its 'columns' do not say which one holds the answer; without answer it cannot be scored",
    ),
    ({}, {"columns": {"question": "q", "answer": "key"}}, InputError, "do not say which one holds the choices"),
    (
        {},
        {"columns": {**COLUMNS, "subset": "q"}, "unscored": ["Which?"]},
        BuildError,
        "benchmark 'b': it has no question outside Which?",
    ),
]


@pytest.mark.parametrize(("row", "entry", "kind", "told"), FAULTS)
def test_a_question_that_cannot_be_scored_is_told_at_its_place(workshop, row, entry, kind, told):
    rows = [GOOD if entry.get("answer_as") is None else {**GOOD, "key": "y" if entry["answer_as"] == "text" else 1}]
    with pytest.raises(kind) as raised:
        questions.read(located(workshop, [*rows, {**rows[0], **row}], **entry))
    assert told in str(raised.value)


def test_a_spelling_that_is_none_is_told(workshop):
    with pytest.raises(InputError, match="answer_as: 'leter' is not known"):
        located(workshop, [GOOD], answer_as="leter")


def test_a_limit_draws_the_same_questions_every_time_and_of_every_part(workshop):
    rows = [{**GOOD, "q": f"Number {n}?"} for n in range(200)]
    found = located(workshop, rows)
    drawn = [q.row for q in questions.read(found, 40)]
    assert drawn == [q.row for q in questions.read(found, 40)]
    assert drawn == sorted(drawn, key=lambda row: int(row.split(":")[1]))
    assert 5 < sum(int(row.split(":")[1]) <= 100 for row in drawn) < 35
    assert {q.row for q in questions.read(found, 20)} < set(drawn)
    assert len(questions.read(found, 500)) == 200


def test_what_only_scores_need_decides_nothing_in_decontamination(workshop):
    plain = located(workshop, [GOOD], columns={"question": "q", "choices": ["a", "b", "c"]})
    scored = located(
        workshop, [GOOD], columns={**COLUMNS, "subset": "none", "topic": "none"}, answer_as="letter", unscored=["s"]
    )
    assert (scored.identity, benchmarks.table_name(scored)) == (plain.identity, benchmarks.table_name(plain))
    assert benchmarks.read(scored).rows() == benchmarks.read(plain).rows()  # a column that is not there is not read
    assert questions.identity(scored) != questions.identity(plain)


def test_the_samples_of_all_six_can_be_scored_with_no_hub():
    loaded = catalog.load(six.CATALOG)
    found = benchmarks.find(six.SIX, loaded, file_digest, samples=True)
    counted = {name: len(questions.read(each)) for name, each in found.items()}
    assert list(counted) == list(six.SIX)
    assert min(counted.values()) >= 5


def test_the_subset_of_a_question_is_told_by_its_columns(workshop):
    entries = six.written(workshop, {"arabic-mmlu": six.ALL["arabic-mmlu"]})
    loaded = catalog.load(workshop.catalog({}, benchmarks=entries))
    found = questions.read(benchmarks.find(["arabic-mmlu"], loaded, file_digest)["arabic-mmlu"])
    assert {q.subset for q in found} == {"History", "Law Prof"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_TOKEN", "")
        yield hub


READ = """
import pickle, sys
from pathlib import Path
from hala_factory import benchmarks, catalog, questions
from hala_factory.fingerprint import file_digest
name, place = sys.argv[1:3]
found = benchmarks.find([name], catalog.load(Path(place)), file_digest)[name]
Path(sys.argv[3]).write_bytes(pickle.dumps((questions.identity(found), questions.read(found))))
"""


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "scored", "split", "other", "left_out"),
    [
        ("aratrust", ["Ethics", "Privacy"], "train", "test", []),
        ("madinah-qa", ["Arabic Language (General)", "Arabic Language (Grammar)"], "test", "dev", []),
        ("alghafa", ["meta_ar_msa", "multiple_choice_sentiment_task"], "test", "train", ["mcq_exams_test_ar"]),
    ],
)
def test_a_configuration_on_the_hub_is_a_subset_and_its_evaluated_split_is_read(
    hub: Hub, workshop: Workshop, name, scored, split, other, left_out
) -> None:
    """Read by another process, for the client remembers the Hub that it was imported with."""
    entry = json.loads(json.dumps(dict(catalog.load(six.CATALOG).document.data["benchmarks"][name])))
    del entry["sample"]
    front, files = "---\nconfigs:\n", {}
    for n, config in enumerate([*scored, *left_out]):
        front += f'- config_name: "{config}"\n  data_files:\n'
        for part in (split, other):
            place = f"{n}/{part}-00000-of-00001.parquet"
            front += f"  - {{split: {part}, path: {place}}}\n"
            asked = six.RECORDS[name](f"{config} {part}؟", ["w", "x", "y", "z", "v"][: six.SIZES[name][-1]], 1)
            files[place] = parquet([asked])
    hub.datasets[entry["hub"]] = {"README.md": f"{front}---\n".encode(), **files}
    place = workshop.yaml("catalog.yaml", {"benchmarks": {name: entry}})
    out = workshop.folder / "found"
    env = {**os.environ, "HF_HOME": str(workshop.folder / "home")}
    command = [sys.executable, "-c", READ, name, str(place), str(out)]
    subprocess.run(command, check=True, env=env, timeout=120)
    identity, found = pickle.loads(out.read_bytes())
    assert {q.subset: (q.question, q.answer) for q in found} == {c: (f"{c} {split}؟", 1) for c in scored}
    assert set(identity["subsets"].values()) == {*scored, *left_out}
