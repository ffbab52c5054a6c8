"""Sources on the Hub, against a stand-in on the loopback: found at one commit, and read no further than needed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hala_factory import reader
from hala_factory.catalog import Source
from hala_factory.errors import BuildError, InputError
from tests.stand_in_hub import COMMIT, Hub, running

ROWS = [{"prompt": f"Question {n}", "completion": f"Answer {n}"} for n in range(30_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
OTHER = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        for name, value in environment(hub).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield hub


def environment(hub: Hub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", "HF_TOKEN": ""}


def source(**fields: Any) -> Source:
    columns = {"columns": "prompt_completion", "language": "en", "licence": "MIT"}
    return Source.model_validate({"hub": "maker/set", **columns, **fields})


def locate(entry: Source, **how: Any) -> reader.Located:
    return reader.locate(entry, Path("."), **how)


def answers(entry: Source, **how: Any) -> list[str]:
    found = reader.read("s", entry, locate(entry), **how)
    return [row["messages"][1]["content"] for batch in found for row in batch.rows.to_dicts()]


def parquet(rows: list[dict[str, str]], **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **how)
    return sink.getvalue()


# ---- Which files, at which commit ----


def test_files_are_those_that_the_globs_match_at_the_commit_of_the_revision(hub: Hub) -> None:
    content = gzip.compress(LINES)
    hub.datasets["maker/set"] = {
        "README.md": b"# Set",
        "data/b.jsonl": b"{}\n",
        "data/a.jsonl": b"{}\n",
        "data/more/c.jsonl.gz": content,
        "old/a.jsonl": b"{}\n",
    }
    located = locate(source(files=["data/**/*.jsonl.gz", "data/*.jsonl"]))
    assert (located.revision, located.format) == (COMMIT, "jsonl")
    assert [file.name for file in located.files] == ["data/more/c.jsonl.gz", "data/a.jsonl", "data/b.jsonl"]
    first, second, _ = located.files
    assert first.url == f"hf://datasets/maker/set@{COMMIT}/data/more/c.jsonl.gz"
    assert (first.digest, first.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert second.digest == hashlib.sha1(b"blob 3\0{}\n").hexdigest()


def test_a_locked_revision_comes_before_the_catalogs(hub: Hub) -> None:
    hub.datasets["maker/set"] = {"a.jsonl": LINES}
    assert locate(source(files=["*.jsonl"], revision=OTHER), revision=COMMIT).revision == COMMIT
    assert hub.asked == [f"GET /api/datasets/maker/set/tree/{COMMIT}"]
    with pytest.raises(InputError, match=f"'maker/set' on the Hub has no revision '{OTHER}'"):
        locate(source(files=["*.jsonl"], revision=OTHER))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"hub": "maker/sett", "files": ["*"]},
            "there is no dataset 'maker/sett' on the Hub, or it is private.*HF_TOKEN",
        ),
        ({"hub": "a/b/c", "files": ["*"]}, "there is no dataset 'a/b/c' on the Hub"),
        ({"hub": "maker/gated", "files": ["*"]}, "'maker/gated' on the Hub is gated: accept its terms.*HF_TOKEN"),
        ({"files": ["b.jsonl"]}, r"no file of 'maker/set' on the Hub matches 'b\.jsonl'; did you mean 'a\.jsonl'"),
        ({"files": ["*.md"]}, r"the form of 'README\.md' is not known by its ending; say 'format:'"),
    ],
)
def test_what_the_hub_does_not_have_is_told_with_what_to_do(hub: Hub, fields: dict[str, Any], said: str) -> None:
    hub.datasets["maker/set"] = {"a.jsonl": b"{}\n", "README.md": b"# Set"}
    hub.datasets["maker/gated"] = {"a.jsonl": b"{}\n"}
    hub.gated.add("maker/gated")
    with pytest.raises(InputError, match=said):
        locate(source(**fields))


def test_a_hub_out_of_reach_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as hub:
        gone = environment(hub)
    for name, value in gone.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"the Hub did not answer for dataset 'maker/set' .*HF_ENDPOINT"):
        locate(source(files=["*"]))


CARD = b"---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: train, path: s/*.jsonl}\n  - {split: test, path: t.jsonl}\n---\n"
ASK = """
import sys
from pathlib import Path
from hala_factory import reader
from hala_factory.catalog import Source
from hala_factory.errors import InputError
for asked in sys.argv[1:]:
    config, split = asked.split("/")
    entry = Source(hub="maker/set", config=config, split=split, columns="alpaca", language="en", licence="MIT")
    try:
        located = reader.locate(entry, Path("."))
        print(located.revision, *(file.name for file in located.files))
    except InputError as error:
        print(error)
"""


def test_without_globs_the_files_are_those_of_the_configuration_and_split(hub: Hub, tmp_path: Path) -> None:
    files = {f"s/{n}.jsonl": b'{"instruction": "a"}\n' for n in (2, 1)}
    hub.datasets["maker/set"] = {"README.md": CARD, "t.jsonl": b"{}\n", **files}
    command = [sys.executable, "-c", ASK, "small/train", "small/tests", "large/train"]
    asked = {**os.environ, **environment(hub), "HF_HOME": str(tmp_path)}  # `datasets` keeps its first endpoint
    answered = subprocess.run(command, env=asked, capture_output=True, text=True, check=True, timeout=120)
    found, no_split, no_config = answered.stdout.splitlines()
    assert found == f"{COMMIT} s/1.jsonl s/2.jsonl"
    assert no_split == "'maker/set' on the Hub has no split 'tests'; did you mean 'test'?"
    assert "'maker/set' on the Hub: BuilderConfig 'large' not found" in no_config
    assert "name its 'files:' instead" in no_config


# ---- Reading ----


def test_lines_stream_and_a_limit_ends_the_download(hub: Hub) -> None:
    hub.datasets["maker/set"] = {"a.jsonl": LINES * 12}
    entry = source(files=["a.jsonl"])
    assert answers(entry, limit=3) == ["Answer 0", "Answer 1", "Answer 2"]
    assert hub.served < len(LINES) * 12 / 2


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv"])
def test_whole_files_are_read_as_they_are_on_disk(hub: Hub, name: str) -> None:
    csv = "prompt,completion\n" + "".join(f"{r['prompt']},{r['completion']}\n" for r in ROWS)
    content = {"a.jsonl": LINES, "a.jsonl.gz": gzip.compress(LINES), "a.csv": csv.encode()}[name]
    hub.datasets["maker/set"] = {name: content}
    assert answers(source(files=[name]), skip=29_990) == [row["completion"] for row in ROWS[29_990:]]
    assert hub.served == len(content)


def test_a_limited_slice_of_a_parquet_file_is_a_small_part_of_its_bytes(hub: Hub) -> None:
    rng = random.Random(0)
    noise = [{"prompt": f"Q{n}", "completion": f"A{n}", "other": rng.randbytes(4_000).hex()} for n in range(4_000)]
    long = [{**row, "completion": row["completion"] + rng.randbytes(4_000).hex()} for row in noise]
    content = parquet(long, compression="none", use_dictionary=False)  # one row group
    hub.datasets["maker/set"] = {"a.parquet": content}
    assert len(content) > 60_000_000
    entry = source(files=["a.parquet"])
    assert [answer.startswith(f"A{n}") for n, answer in enumerate(answers(entry, limit=5))] == [True] * 5
    assert hub.served < len(content) / 5
    hub.served = 0
    assert reader.columns_of(entry, locate(entry)) == ["prompt", "completion", "other"]
    assert hub.served < len(content) / 6


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
@pytest.mark.parametrize("cuts", [[1_000], [1_000, 0, 5_000], [0, 0, 0]])
def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, name: str, cuts: list[int]) -> None:
    content = {"a.jsonl": LINES, "a.jsonl.gz": gzip.compress(LINES), "a.parquet": parquet(ROWS)}[name]
    hub.datasets["maker/set"] = {name: content}
    hub.cut_after = list(cuts)
    assert answers(source(files=[name])) == [row["completion"] for row in ROWS]
    assert not hub.cut_after


def test_what_has_arrived_is_not_asked_for_again(hub: Hub) -> None:
    hub.datasets["maker/set"] = {"a.jsonl": LINES}
    hub.cut_after = [len(LINES) - 10, 0, 0]  # the client itself tries once more
    assert answers(source(files=["a.jsonl"])) == [row["completion"] for row in ROWS]
    assert len(LINES) < hub.served < len(LINES) * 3 / 2


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_connection_that_never_holds_is_an_error_that_names_the_file(hub: Hub, name: str) -> None:
    hub.datasets["maker/set"] = {name: LINES if name == "a.jsonl" else parquet(ROWS)}
    hub.cut_after = [0] * 100
    with pytest.raises(BuildError, match=rf"^{name}: cannot be read"):
        answers(source(files=[name]))
