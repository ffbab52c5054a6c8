"""Bad data is a failed row with its reason, or a file that is named; nothing else is lost, and no traceback is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workshop import Workshop, alpaca, parquet_digests, troubled

GOOD = alpaca(6)
LINES = [json.dumps(r).encode() for r in GOOD]


def build_with(workshop: Workshop, third: bytes) -> dict[str, Any]:
    """A build of six good lines, and this one between the second and the third."""
    workshop.write("one.jsonl", b"\n".join([*LINES[:2], third, *LINES[2:]]) + b"\n")
    workshop.catalog({"one": {"path": "one.jsonl"}})
    workshop.recipe(["one"], ["length"])
    return workshop.build("--shard-rows", "3")


def shown(output: str) -> str:
    return f'{{"instruction":"Tell me something about row number 0.","input":"","output":{output}}}'


def broken(**fields: Any) -> bytes:
    return json.dumps({**GOOD[0], **fields}).encode()


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (broken(output=None), "null", "'output' is null: " + shown("null")),
        (broken(output=7), "wrong_type", "expected text in 'output', found a number: " + shown("7")),
        (broken(output=["a"]), "wrong_type", "expected text in 'output', found a list: " + shown('["a"]')),
        (
            b'{"instruction": "Half a li',
            "bad_json",
            'not JSON: unexpected control character in string at character 27 of the line: {"instruction": "Half a li',
        ),
        (
            b'{"instruction": "a", "input": "", "output": "\xff"}',
            "bad_utf8",
            'not UTF-8 at byte 46 of the line: {"instruction": "a", "input": "", "output": "\ufffd"}',
        ),
        (b"[1, 2]", "wrong_type", "expected an object, found a list: [1,2]"),
        (
            b'{"instruction": "no answer"}',
            "missing_column",
            'no column \'output\' in this record, which has instruction: {"instruction":"no answer"}',
        ),
        (
            b"\x00\x00\x00",
            "bad_json",
            "not JSON: unexpected character, expected a JSON value at character 1 of the line: \0\0\0",
        ),
    ],
    ids=["null", "number", "list", "torn line", "broken UTF-8", "no object", "missing column", "zero bytes"],
)
def test_one_bad_record_is_one_failed_row(workshop: Workshop, line: bytes, reason: str, detail: str) -> None:
    told = build_with(workshop, line)
    assert told["rows"] == {"in": 7, "kept": 6, "dropped": {}, "failed": {f"source.{reason}": 1}}
    (lost,) = workshop.lost().iter_rows(named=True)
    assert lost["origin"] == {"file": "one.jsonl", "position": 3, "part": 0}
    assert (lost["status"], lost["step"], lost["reason"]) == ("failed", "source", reason)
    assert lost["detail"] == detail
    assert workshop.kept()["origin"].struct.field("position").to_list() == [1, 2, 4, 5, 6, 7]


# ---- Files that cannot be read ----


def torn(path: Path) -> None:
    pl.DataFrame(alpaca(1000)).write_parquet(path)
    os.truncate(path, path.stat().st_size // 2)


def parquet_without_answers(path: Path) -> None:
    pl.DataFrame(GOOD).drop("output").write_parquet(path)


def parquet_of_numbers(path: Path) -> None:
    pl.DataFrame(GOOD).with_columns(output=pl.lit(1)).write_parquet(path)


AGAIN = "; fetch the file again, or leave it out of the source"
FILES: list[tuple[str, str, Callable[[Path], Any], int, str]] = [
    ("a torn Parquet file", "two.parquet", torn, 1, "two.parquet: cannot be read: Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file." + AGAIN),
    ("an empty file", "two.jsonl", Path.touch, 1, "two.jsonl: the file is empty (0 bytes); fetch it again, or leave it out of the source"),
    ("an empty Parquet file", "two.parquet", Path.touch, 1, "two.parquet: the file is empty (0 bytes); fetch it again, or leave it out of the source"),
    ("text named as Parquet", "two.parquet", lambda p: p.write_text("id\n" * 9), 1, "two.parquet: cannot be read: Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file." + AGAIN),
    ("a torn archive", "two.jsonl.gz", lambda p: p.write_bytes(b"\x1f\x8b\x08\x00garbage"), 1, "two.jsonl.gz: cannot be read: Truncated compressed stream" + AGAIN),
    ("no such file", "two.jsonl", lambda p: None, 2, "source 'two': no file matches 'two.jsonl'; the folder . has catalog.yaml, one.jsonl, recipe.yaml, store/"),
    ("a folder with nothing in it", "two.jsonl", Path.mkdir, 2, "source 'two': folder 'two.jsonl' holds no file of a known form (.csv, .json, .jsonl, .ndjson, .parquet, .po, .tab, .tmx, .tsv); it has nothing in it"),
    ("a missing column", "two.parquet", parquet_without_answers, 2, "source 'two': two.parquet has no column 'output'; it has: input, instruction"),
    ("a column of another type", "two.parquet", parquet_of_numbers, 2, "two.parquet: column 'output': expected text, found int32"),
    ("lines without a column", "two.jsonl", lambda p: p.write_text('{"instruction": "a"}\n'), 2, "source 'two': two.jsonl has no column 'output'; it has: instruction"),
    ("a misspelt column", "two.parquet", lambda p: pl.DataFrame(GOOD).rename({"output": "outputs"}).write_parquet(p), 2, "source 'two': two.parquet has no column 'output'; did you mean 'outputs'?"),
    ("a file of an unknown form", "two.doc", lambda p: p.write_text("a"), 2, "source 'two': the form of 'two.doc' is not known by its ending; say 'format:'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "code", "message"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_a_file_that_cannot_be_read_is_named(
    workshop: Workshop, name: str, make: Callable[[Path], Any], code: int, message: str
) -> None:
    workshop.rows("one.jsonl", GOOD)
    make(workshop.folder / name)
    workshop.catalog({"one": {"path": "one.jsonl"}, "two": {"path": name}})
    workshop.recipe(["one", "two"], ["length"])
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert (said.code, said.out, said.err) == (code, "", message + "\n")
    assert not workshop.corpus().exists()


# ---- Rows that are all bad, or none ----


@pytest.mark.parametrize(
    ("name", "make", "rows_in"),
    [
        ("bad.jsonl", lambda p: p.write_text('{"instruction": "a", "output": null}\n' * 3), 3),
        ("none.parquet", lambda p: pl.DataFrame(GOOD).clear().write_parquet(p), 0),
        ("none.csv", lambda p: p.write_text("instruction,input,output\n"), 0),
        ("blank.jsonl", lambda p: p.write_text("\n\n"), 0),
    ],
    ids=["only bad rows", "no rows in Parquet", "only a header", "only blank lines"],
)
@pytest.mark.parametrize("beside", [[], GOOD], ids=["alone", "beside good rows"])
def test_a_source_without_a_good_row_is_built_and_told(
    workshop: Workshop, name: str, make: Callable[[Path], Any], rows_in: int, beside: list[Any]
) -> None:
    make(workshop.folder / name)
    sources = {"bad": {"path": name}}
    if beside:
        workshop.rows("good.jsonl", beside)
        sources["good"] = {"path": "good.jsonl"}
    workshop.catalog(sources)
    workshop.recipe(list(sources), ["chat_shape", "exact_dedup", "length"], exports=["messages", "conversations"])
    told = workshop.build()
    failed = {"source.null": rows_in} if rows_in else {}
    assert told["rows"] == {"in": rows_in + len(beside), "kept": len(beside), "dropped": {}, "failed": failed}
    assert workshop.manifest()["sources"]["bad"] == {"in": rows_in, "kept": 0, "dropped": {}, "failed": failed}
    assert workshop.kept().height == len(beside)
    assert workshop.run("show", "small@dev").code == 0


# ---- A full disk, a folder that cannot be written ----

FILLED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from hala_factory.cli import main
main()
"""
"""The command line on a disk that takes no file larger than so many bytes."""


@pytest.mark.parametrize("limit", [0, 300, 2_600, 6_000, 12_000])
def test_a_full_disk_ends_the_build_with_what_to_do_and_costs_nothing(workshop: Workshop, limit: int) -> None:
    troubled(workshop, 40)
    words = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "1")
    process = workshop.spawn(str(limit), *words, program=("-c", FILLED))
    out, err = process.communicate(timeout=60)
    told = err.decode()
    assert (process.returncode, out) == (1, b""), told
    assert told.endswith("; free some space and run the same command again\n") or told.endswith(
        "; free some space and run the same command again; every answer so far is kept\n"
    )
    assert told.startswith(str(workshop.folder / "store"))
    assert "File too large" in told or "the disk is full" in told
    assert not [p for p in Path("store").rglob("*") if ".tmp-" in p.name]
    again = workshop.build()
    (workshop.folder / "store").rename(workshop.folder / "store-filled")
    files = parquet_digests(workshop.folder / "store-filled/corpora/small/dev")
    assert workshop.build()["digest"] == again["digest"]
    assert parquet_digests(workshop.corpus()) == files


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_is_told(workshop: Workshop) -> None:
    troubled(workshop, 8)
    (workshop.folder / "store").mkdir(mode=0o500)
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert said.err.endswith("cannot be written: Permission denied; see to it and run the same command again\n")


def test_a_store_that_is_a_file_is_told(workshop: Workshop) -> None:
    troubled(workshop, 8)
    workshop.write("store", "not a folder")
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert (said.code, said.err) == (2, "--store store: cannot be made: File exists\n")
