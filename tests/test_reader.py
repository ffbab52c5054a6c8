"""Every form and every layout of a source becomes rows; what cannot is a failed row or an error, never a silence."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hala_factory import reader, rows
from hala_factory.catalog import Source
from hala_factory.errors import BuildError, InputError
from hala_factory.reader import documents, records
from hala_factory.reader.columns import wanted as wanted_by

PAIR = {"rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
ALPACA = [
    {"instruction": "Name a colour.", "input": "", "output": "Blue."},
    {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"},
    {"instruction": "اكتب كلمة", "input": None, "output": "سلام"},
]
ALPACA_TALKS = [
    [("user", "Name a colour."), ("assistant", "Blue.")],
    [("user", "Add the numbers.\n\n2 and 3"), ("assistant", "5")],
    [("user", "اكتب كلمة"), ("assistant", "سلام")],
]


def source(path: Any = "data", **fields: Any) -> Source:
    return Source.model_validate({"path": path, "columns": "alpaca", "language": "en", "licence": "MIT", **fields})


def batches(folder: Path, entry: Source, **how: Any) -> list[reader.Batch]:
    return list(reader.read("s", entry, reader.locate(entry, folder), **how))


def kept(found: list[reader.Batch]) -> list[dict[str, Any]]:
    return [row for batch in found for row in batch.rows.to_dicts()]


def failed(found: list[reader.Batch]) -> list[dict[str, Any]]:
    return [row for batch in found for row in batch.failed.to_dicts()]


def dropped(found: list[reader.Batch]) -> list[dict[str, Any]]:
    return [row for batch in found for row in batch.dropped.to_dicts()]


def talks(found: list[reader.Batch]) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in row["messages"]] for row in kept(found)]


def pairs(found: list[reader.Batch]) -> list[tuple[str, str]]:
    return [(row["translation"]["en"], row["translation"]["ar"]) for row in kept(found)]


def jsonl(*records: Any) -> bytes:
    return b"".join(r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in records)


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(folder: Path, name: str, data: dict[str, Any] | pa.Table, **how: Any) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data if isinstance(data, pa.Table) else pa.table(data), folder / name, **how)
    return folder / name


# ---- Forms ----

COLUMNS = {key: [r[key] for r in ALPACA] for key in ALPACA[0]}
CSV = 'instruction,input,output\nName a colour.,,Blue.\n"Add the numbers.",2 and 3,5\nاكتب كلمة,,سلام\n'
FORMS = {
    "a.jsonl": jsonl(*ALPACA),
    "a.ndjson": jsonl(*ALPACA),
    "crlf.jsonl": jsonl(*ALPACA).replace(b"\n", b"\r\n"),
    "bom.jsonl": b"\xef\xbb\xbf" + jsonl(*ALPACA),
    "no-last-line-feed.jsonl": jsonl(*ALPACA).rstrip(),
    "blank-lines.jsonl": jsonl(ALPACA[0], b"\n", ALPACA[1], b"  \n", ALPACA[2], b"\n"),
    "a.jsonl.gz": gzip.compress(jsonl(*ALPACA)),
    "two-members.jsonl.gz": gzip.compress(jsonl(ALPACA[0])) + gzip.compress(jsonl(*ALPACA[1:])),
    "a.jsonl.zst": zstandard.compress(jsonl(*ALPACA)),
    "two-frames.jsonl.zst": zstandard.compress(jsonl(ALPACA[0])) + zstandard.compress(jsonl(*ALPACA[1:])),
    "a.json": json.dumps(ALPACA).encode(),
    "indented.json": b"\xef\xbb\xbf" + json.dumps(ALPACA, indent=1, ensure_ascii=False).encode() + b"\n",
    "object.json": json.dumps({"version": 1, "data": ALPACA}).encode(),
    "a.json.gz": gzip.compress(json.dumps(ALPACA).encode()),
    "a.csv": CSV.encode(),
    "bom.csv": b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(),
    "a.csv.zst": zstandard.compress(CSV.encode()),
    "a.tsv": CSV.replace('"', "").replace(",", "\t").encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, FORMS[name])
    found = batches(tmp_path, source(name))
    assert talks(found) == ALPACA_TALKS
    assert not failed(found)
    assert found[-1].rows.schema == rows.schema("instruction", ["en"])
    assert {row["origin"]["file"] for row in kept(found)} == {name}


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_gives_the_same_rows_whatever_its_type_of_text(tmp_path: Path, text: pa.DataType) -> None:
    table(tmp_path, "a.parquet", {k: pa.array(v).cast(text) for k, v in COLUMNS.items()})
    assert talks(batches(tmp_path, source("a.parquet"))) == ALPACA_TALKS


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_a_json_list_is_the_same_however_much_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(documents, "BYTES", size)
    write(tmp_path, "a.json", json.dumps([*ALPACA, 1234, -5.5e3], ensure_ascii=False, indent=2))
    found = batches(tmp_path, source("a.json"))
    assert talks(found) == ALPACA_TALKS
    assert [f["detail"].partition(": ")[2] for f in failed(found)] == ["1234", "-5500.0"]


def test_a_position_is_the_line_where_a_person_finds_the_row(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", FORMS["blank-lines.jsonl"])
    assert [row["origin"]["position"] for row in kept(batches(tmp_path, source("a.jsonl")))] == [1, 3, 5]


def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path) -> None:
    odd = "one\u2028two\x85three\x0cfour"
    write(tmp_path, "a.jsonl", jsonl({**ALPACA[0], "output": odd}))
    write(tmp_path, "a.tsv", f"instruction\tinput\toutput\nSay it.\t\t{odd}\n")
    for name in ("a.jsonl", "a.tsv"):
        assert kept(batches(tmp_path, source(name)))[0]["messages"][1]["content"] == odd


def test_a_csv_field_may_hold_line_feeds_delimiters_and_quotes(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'instruction,input,output\n"Say, ""hi""",,"one\ntwo"\nNext,,row\n')
    assert talks(batches(tmp_path, source("a.csv"))) == [
        [("user", 'Say, "hi"'), ("assistant", "one\ntwo")],
        [("user", "Next"), ("assistant", "row")],
    ]


def test_a_quote_in_a_tsv_is_a_character_unless_its_form_is_said_to_be_csv(tmp_path: Path) -> None:
    write(tmp_path, "a.tsv", '0\t"quoted"\n')
    entry = {**PAIR, "columns": {"en": "0", "ar": "1"}}
    assert pairs(batches(tmp_path, source("a.tsv", **entry))) == [("0", '"quoted"')]
    assert pairs(batches(tmp_path, source("a.tsv", format="csv", **entry))) == [("0", "quoted")]


def test_columns_named_by_number_are_of_a_file_with_no_header(tmp_path: Path) -> None:
    write(tmp_path, "ara.txt", 'Hi.\tمرحبًا.\tCC-BY\n"Go!" he said.\tاذهب\tCC-BY\n')
    entry = source("ara.txt", format="tsv", subset="2", **{**PAIR, "columns": {"en": "0", "ar": "1"}})
    assert pairs(found := batches(tmp_path, entry)) == [("Hi.", "مرحبًا."), ('"Go!" he said.', "اذهب")]
    assert kept(found)[0]["subset"] == "CC-BY"
    assert reader.columns_of(entry, reader.locate(entry, tmp_path)) == ["0", "1", "2"]


TMX = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body>
<tu tuid="1"><prop type="domain">travel</prop><tuv xml:lang="EN-us"><seg>Go <bpt i="1">&lt;b&gt;</bpt>now<!-- not text -->!</seg></tuv>
<tuv xml:lang="ar-SA"><seg>اذهب!</seg></tuv><tuv xml:lang="ar-EG"><seg>روح!</seg></tuv></tu>
<tu tuid="2"><tuv xml:lang="en"><seg>Only English</seg></tuv></tu>
<tu tuid="3"><tuv lang="en"><seg/></tuv><tuv lang="ar"><seg>فارغ</seg></tuv></tu>
</body></tmx>"""


@pytest.mark.parametrize("wrapped", ["plain", "gz", "zip"])
def test_tmx_gives_a_row_per_unit_that_has_both_languages(tmp_path: Path, wrapped: str) -> None:
    name = {"plain": "a.tmx", "gz": "a.tmx.gz", "zip": "a.zip"}[wrapped]
    write(tmp_path, name, gzip.compress(TMX.encode()) if wrapped == "gz" else TMX)
    if wrapped == "zip":
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("en-ar.tmx", TMX)
            archive.writestr("LICENSE", "CC0")
    found = batches(tmp_path, source(name, format="tmx", **PAIR))
    assert pairs(found) == [("Go <b>now!", "اذهب!"), ("", "فارغ")]
    assert [(f["reason"], f["origin"]["position"]) for f in failed(found)] == [("missing_column", 2)]
    assert failed(found)[0]["translation"] == {"en": "Only English", "ar": None}


def test_where_sees_the_props_and_attributes_of_a_tmx_unit(tmp_path: Path) -> None:
    write(tmp_path, "a.tmx", TMX)
    entry = source("a.tmx", **PAIR)
    assert len(pairs(batches(tmp_path, entry, where={"domain": "travel"}))) == 1
    assert pairs(batches(tmp_path, entry, where={"tuid": 3})) == [("", "فارغ")]


@pytest.mark.parametrize("used", ["&c;", "plain"])
def test_a_tmx_that_defines_entities_is_refused(tmp_path: Path, used: str) -> None:
    bomb = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/hostname">]>'
    unit = f'<tu><tuv xml:lang="en"><seg>{used}</seg></tuv><tuv xml:lang="ar"><seg>x</seg></tuv></tu>'
    write(tmp_path, "a.tmx", f'<?xml version="1.0"?>{bomb}<tmx><body>{unit}</body></tmx>')
    with pytest.raises(BuildError, match=r"a\.tmx: it defines XML entities \(a, b, c\)"):
        batches(tmp_path, source("a.tmx", **PAIR))


PO = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5;\n"

msgid "Open \"file\"\n"
msgstr "افتح \"الملف\"\n"

#, fuzzy
msgid "Close"
msgstr "قريب"

msgctxt "menu"
msgid "%d page"
msgid_plural "%d pages"
msgstr[0] "لا صفحات"
msgstr[1] "صفحة واحدة"
msgstr[2] "صفحتان"
msgstr[3] "%d صفحات"
msgstr[4] "%d صفحة"
msgstr[5] "%d صفحة"

msgid "Not yet"
msgstr ""

#~ msgid "Gone"
#~ msgstr "ذهب"
"""


def test_po_entries_in_use_are_rows_and_a_plural_gives_its_form_for_one(tmp_path: Path) -> None:
    write(tmp_path, "ar.po", PO)
    entry = source("ar.po", **{**PAIR, "columns": {"en": "msgid", "ar": "msgstr"}})
    found = batches(tmp_path, entry, where={"fuzzy": False})
    assert pairs(found) == [('Open "file"\n', 'افتح "الملف"\n'), ("%d page", "صفحة واحدة"), ("Not yet", "")]
    assert [row["detail"] for row in dropped(found)] == ["'fuzzy' is true, not 'false' or 'False' or 'FALSE'"]


def test_moses_files_are_read_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, "t.en", "One\n\nThree")
    write(tmp_path, "t.ar.gz", gzip.compress("واحد\n\nثلاثة\n".encode()))
    found = batches(tmp_path, source({"en": "t.en", "ar": "t.ar.gz"}, format="moses", **PAIR))
    assert pairs(found) == [("One", "واحد"), ("", ""), ("Three", "ثلاثة")]
    assert kept(found)[2]["origin"] == {"file": "t.en", "position": 3, "part": 0}


def test_moses_files_of_different_lengths_are_refused_before_any_row(tmp_path: Path) -> None:
    write(tmp_path, "t.en", "One\nTwo\n")
    write(tmp_path, "t.ar", "واحد\n")
    entry = source({"en": "t.en", "ar": "t.ar"}, format="moses", **PAIR)
    with pytest.raises(BuildError, match=r"t\.en has 2 lines and t\.ar has 1 lines"):
        batches(tmp_path, entry, limit=1)


# ---- Layouts ----

TALK = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("function_call", "{}")]
SHAREGPT = [{"from": r, "value": t} for r, t in [("system", "Be brief."), ("human", "Hi"), ("GPT", "Hello"), TALK[3]]]
OPENAI = [{"role": r, "content": t, "weight": None} for r, t in TALK]


@pytest.mark.parametrize("turns", [SHAREGPT, OPENAI])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_a_conversation_keeps_its_turns_and_roles_no_one_knows(tmp_path: Path, name: str, turns: Any) -> None:
    data = [{"talk": turns}, {"talk": []}, {"talk": turns[:2]}]
    if name == "a.parquet":
        table(tmp_path, name, {"talk": [r["talk"] for r in data]})
    else:
        write(tmp_path, name, jsonl(*data) if name == "a.jsonl" else json.dumps(data))
    found = batches(tmp_path, source(name, columns={"conversation": "talk"}))
    assert talks(found) == [TALK, [], TALK[:2]]


@pytest.mark.parametrize(
    ("system", "expected"),
    [("Be kind.", [("system", "Be kind.")]), ("", []), (" \n", []), (None, [])],
)
def test_an_empty_system_text_is_no_message(tmp_path: Path, system: str | None, expected: list[Any]) -> None:
    write(tmp_path, "a.jsonl", jsonl({"system_prompt": system, "question": "Q", "response": "A"}))
    found = batches(tmp_path, source("a.jsonl", columns="open_orca"))
    assert talks(found) == [[*expected, ("user", "Q"), ("assistant", "A")]]


@pytest.mark.parametrize("record", [{"en": "Go", "ar": "اذهب"}, {"translation": {"en": "Go", "ar": "اذهب"}}])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_pair_may_lie_in_nested_columns(tmp_path: Path, record: dict[str, Any], form: str) -> None:
    nested = "translation." if "translation" in record else ""
    if form == "parquet":
        table(tmp_path, "a.parquet", pa.Table.from_pylist([record]))
    else:
        write(tmp_path, "a.jsonl", jsonl(record))
    entry = source(f"a.{form}", **{**PAIR, "columns": {"ar": f"{nested}ar", "en": f"{nested}en"}})
    found = batches(tmp_path, entry)
    assert kept(found)[0]["translation"] == {"en": "Go", "ar": "اذهب"}
    assert list(kept(found)[0]["translation"]) == ["ar", "en"]  # in the order of `columns`


def test_a_column_whose_own_name_has_a_dot_comes_before_a_nested_one(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"t.en": "flat", "t": {"en": "nested", "ar": "x"}}))
    entry = source("a.jsonl", **{**PAIR, "columns": {"en": "t.en", "ar": "t.ar"}})
    assert pairs(batches(tmp_path, entry)) == [("flat", "x")]


def node(text: Any, role: str, *replies: Any) -> dict[str, Any]:
    return {"text": text, "role": role, "replies": list(replies)}


def test_every_path_from_a_trees_root_to_a_leaf_is_a_row(tmp_path: Path) -> None:
    answers = [node("a", "assistant", node("more?", "prompter", node("c", "assistant"))), node("b", "assistant")]
    write(
        tmp_path, "a.jsonl", jsonl({"prompt": node("q", "prompter", *answers)}, {"prompt": node("alone", "prompter")})
    )
    found = batches(tmp_path, source("a.jsonl", columns={"tree": "prompt"}))
    assert talks(found) == [
        [("user", "q"), ("assistant", "a"), ("user", "more?"), ("assistant", "c")],
        [("user", "q"), ("assistant", "b")],
        [("user", "alone")],
    ]
    assert [row["origin"]["position"] for row in kept(found)] == [1, 1, 2]
    assert [row["origin"]["part"] for row in kept(found)] == [0, 1, 0]
    assert found[-1].records == 2


def test_a_tree_in_parquet_is_read_as_one_in_json(tmp_path: Path) -> None:
    tree = {"text": "q", "role": "prompter", "replies": [{"text": t, "role": "assistant"} for t in "ab"]}
    table(tmp_path, "a.parquet", {"prompt": [tree, None]})
    found = batches(tmp_path, source("a.parquet", columns={"tree": "prompt"}))
    assert [talk[1][1] for talk in talks(found)] == ["a", "b"]
    assert [(f["reason"], f["origin"]["position"]) for f in failed(found)] == [("null", 2)]


def test_a_broken_branch_costs_its_own_paths_only(tmp_path: Path) -> None:
    write(
        tmp_path, "a.jsonl", jsonl({"prompt": node("q", "prompter", node(None, "assistant"), node("b", "assistant"))})
    )
    found = batches(tmp_path, source("a.jsonl", columns={"tree": "prompt"}))
    assert talks(found) == [[("user", "q"), ("assistant", "b")]]
    assert [(f["reason"], f["messages"]) for f in failed(found)] == [("null", [{"role": "user", "content": "q"}])]


def test_a_tree_deeper_than_pythons_stack_is_read(tmp_path: Path) -> None:
    deep: dict[str, Any] = node("leaf", "assistant")
    for _ in range(400):
        deep = node("up", "prompter", deep)
    write(tmp_path, "a.jsonl", jsonl({"prompt": deep}))
    assert len(talks(batches(tmp_path, source("a.jsonl", columns={"tree": "prompt"})))[0]) == 401


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("done<|endoftext|>", "done"),
        ("done \n<|endoftext|>\n <|endoftext|></s>  ", "done"),
        ("<|endoftext|> stays in front", "<|endoftext|> stays in front"),
        ("white space alone stays \n", "white space alone stays \n"),
        ("<|endoftext|>", ""),
    ],
)
def test_stripped_texts_go_from_the_end_with_the_white_space_around_them(
    tmp_path: Path, text: str, expected: str
) -> None:
    ends = ["<|endoftext|>", "</s>"]
    write(tmp_path, "a.jsonl", jsonl({"instruction": "Q</s>", "input": text, "output": text, "en": text, "ar": text}))
    found = talks(batches(tmp_path, source("a.jsonl", strip=ends)))[0]
    assert found[1] == ("assistant", expected)
    assert found[0] == ("user", f"Q</s>\n\n{expected}" if expected else "Q")
    assert pairs(batches(tmp_path, source("a.jsonl", strip=ends, **PAIR))) == [(expected, expected)]


def test_the_licence_of_a_row_is_its_subsets_else_the_sources(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*({**ALPACA[0], "source": part} for part in ("robots", "other", None))))
    entry = source("a.jsonl", subset="source", subsets={"robots": {"licence": "CC-BY-NC-4.0"}})
    found = kept(batches(tmp_path, entry))
    assert [row["subset"] for row in found] == ["robots", "other", None]
    assert [row["licence"] for row in found] == ["CC-BY-NC-4.0", "MIT", "MIT"]


def test_an_id_is_the_contents_and_not_the_places(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*ALPACA))
    write(tmp_path, "b.json", json.dumps(ALPACA[::-1]))
    one, other = (kept(batches(tmp_path, source(name))) for name in ("a.jsonl", "b.json"))
    assert [r["id"] for r in one] == [r["id"] for r in other][::-1]
    assert len({r["id"] for r in one}) == 3


# ---- Records that cannot become rows ----

GOOD = ALPACA[0]
BAD: dict[str, tuple[bytes, str, str]] = {
    "null": (jsonl({**GOOD, "output": None}), "null", '\'output\' is null: {"instruction":"Name a colour."'),
    "missing": (
        jsonl({"instruction": "Hi", "outptu": "x"}),
        "missing_column",
        'no column \'output\' in this record, which has instruction, outptu: {"instruction":"Hi"',
    ),
    "number": (jsonl({**GOOD, "output": 5}), "wrong_type", "expected text in 'output', found a number: {"),
    "odd input": (jsonl({**GOOD, "input": ["a"]}), "wrong_type", "expected text in 'input', found a list: {"),
    "list": (jsonl(["Hi", "x"]), "wrong_type", 'expected an object, found a list: ["Hi","x"]'),
    "string": (jsonl('{"a": 1}'), "wrong_type", 'expected an object, found text: "{\\"a\\": 1}"'),
    "torn": (
        b'{"output": "Hel\n',
        "bad_json",
        'not JSON: unexpected control character in string at character 16 of the line: {"output": "Hel',
    ),
    "two on a line": (jsonl(GOOD).strip() + b"," + jsonl(GOOD), "bad_json", "not JSON: "),
    "latin-1": ('{"output": "caf\xe9"}\n'.encode("latin-1"), "bad_utf8", "not UTF-8 at byte 16 of the line: {"),
    "half a character": (b'{"instruction": "\\ud83d", "output": "x"}\n', "bad_utf8", "'instruction' is not valid"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_line_is_one_failed_row_with_its_reason_place_and_text(tmp_path: Path, case: str) -> None:
    line, reason, detail = BAD[case]
    write(tmp_path, "a.jsonl", jsonl(GOOD, line, GOOD))
    found = batches(tmp_path, source("a.jsonl"))
    assert len(kept(found)) == 2
    [row] = failed(found)
    assert (row["status"], row["step"], row["reason"]) == ("failed", "source", reason)
    assert row["detail"].startswith(detail)
    assert row["origin"] == {"file": "a.jsonl", "position": 2, "part": 0}
    assert found[-1].failed.schema == {**rows.schema("instruction", ["en"]), **rows.LEDGER}


@pytest.mark.parametrize(
    "line",
    [b'{"instruction": "Q", "output": "A", "score": NaN}\n', b'{"instruction": "Q", "output": "A", "x": "\\ud83d"}\n'],
)
def test_oddities_in_columns_that_nobody_asked_for_cost_nothing(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, "a.jsonl", jsonl(GOOD, line))
    assert talks(batches(tmp_path, source("a.jsonl")))[1] == [("user", "Q"), ("assistant", "A")]


TURNS_BAD: dict[str, tuple[Any, str]] = {
    "null": (None, "null"),
    "null turn": ([None], "null"),
    "null text": ([{"from": "human", "value": None}], "null"),
    "null role": ([{"from": None, "value": "Hi"}], "null"),
    "text": ("Hi", "wrong_type"),
    "object": ({"from": "human", "value": "Hi"}, "wrong_type"),
    "list of texts": (["Hi"], "wrong_type"),
    "number": ([{"from": "human", "value": 3}], "wrong_type"),
    "other keys": ([{"speaker": "human", "value": "Hi"}], "missing_column"),
}


@pytest.mark.parametrize("case", TURNS_BAD)
def test_a_broken_conversation_is_one_failed_row(tmp_path: Path, case: str) -> None:
    turns, reason = TURNS_BAD[case]
    write(tmp_path, "a.jsonl", jsonl({"talk": SHAREGPT}, {"talk": turns}, {"talk": SHAREGPT}))
    found = batches(tmp_path, source("a.jsonl", columns={"conversation": "talk"}))
    assert talks(found) == [TALK, TALK]
    assert [(f["reason"], f["messages"], f["origin"]["position"]) for f in failed(found)] == [(reason, None, 2)]


def test_nulls_in_parquet_are_failed_rows_with_what_is_known(tmp_path: Path) -> None:
    table(tmp_path, "a.parquet", {"en": ["a", None, "c", "d"], "ar": ["1", "2", None, "4"], "more": [1, 2, 3, 4]})
    found = batches(tmp_path, source("a.parquet", **PAIR))
    assert pairs(found) == [("a", "1"), ("d", "4")]
    assert [(f["reason"], f["translation"]["en"], f["origin"]["position"]) for f in failed(found)] == [
        ("null", None, 2),
        ("null", "c", 3),
    ]


def test_nulls_within_the_turns_of_parquet_are_failed_rows(tmp_path: Path) -> None:
    turn = {"from": "human", "value": "Hi"}
    bad = [None, [None], [turn, {"from": "gpt", "value": None}], [{"from": None, "value": "x"}]]
    table(tmp_path, "a.parquet", {"talk": [[turn], *bad, [turn]]})
    found = batches(tmp_path, source("a.parquet", columns={"conversation": "talk"}))
    assert talks(found) == [[("user", "Hi")]] * 2
    assert [(f["reason"], f["origin"]["position"]) for f in failed(found)] == [("null", n) for n in (2, 3, 4, 5)]


def test_text_in_parquet_that_is_not_utf8_is_a_failed_row(tmp_path: Path) -> None:
    good = pa.array([b"one", b"caf\xe9", b"three"])
    text = pa.Array.from_buffers(pa.string(), 3, good.buffers())  # as writers in other languages leave it
    turns = pa.StructArray.from_arrays([pa.array(["user"] * 3), text], ["role", "content"])
    talk = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), turns)
    table(tmp_path, "a.parquet", {"instruction": text, "input": text, "output": text, "talk": talk})
    for columns in ("alpaca", {"conversation": "talk"}):
        found = batches(tmp_path, source("a.parquet", columns=columns))
        assert len(kept(found)) == 2
        assert [(f["reason"], f["origin"]["position"]) for f in failed(found)] == [("bad_utf8", 2)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"only one\n", "bad_row"),
        (b"a,b,c,d\n", "bad_row"),
        (b'x,,"open quote\n', "bad_row"),
        (b'"quote" inside,,x\n', "bad_row"),
        (b"caf\xe9,,x\n", "bad_utf8"),
    ],
)
@pytest.mark.parametrize("after", [1, 3])
def test_a_broken_line_of_a_csv_costs_that_line(tmp_path: Path, broken: bytes, reason: str, after: int) -> None:
    write(tmp_path, "a.csv", b"instruction,input,output\nA,,1\n" + broken + b'B,,"2"\n' * after)
    found = batches(tmp_path, source("a.csv"))
    assert [t[1][1] for t in talks(found)] == ["1", *["2"] * after]
    assert [(f["reason"], f["origin"]["position"]) for f in failed(found)] == [(reason, 2)]


def test_a_broken_byte_in_a_json_document_costs_one_record(tmp_path: Path) -> None:
    write(tmp_path, "a.json", b'[{"en": "a", "ar": "1"}, {"en": "caf\xe9", "ar": "2"}, {"en": "c", "ar": "3"}]')
    found = batches(tmp_path, source("a.json", **PAIR))
    assert pairs(found) == [("a", "1"), ("c", "3")]
    assert failed(found)[0]["reason"] == "bad_utf8"


def test_failed_rows_have_ids_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(GOOD, b"{one\n", b"{two\n"))
    assert len({row["id"] for row in failed(batches(tmp_path, source("a.jsonl")))}) == 2


def test_the_evidence_of_a_failed_row_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(GOOD, {"instruction": "x" * 100_000, "output": None}))
    assert 2_000 < len(failed(batches(tmp_path, source("a.jsonl")))[0]["detail"]) < 2_100


VALUE = st.one_of(st.none(), st.text(max_size=4), st.integers(0, 3), st.lists(st.text(max_size=2), max_size=1))
RECORD = st.one_of(
    st.dictionaries(st.sampled_from(["instruction", "input", "output", "kind"]), VALUE),
    st.fixed_dictionaries({"instruction": st.text(max_size=4), "output": st.text(max_size=4), "input": VALUE}),
    VALUE,
)


@given(st.lists(RECORD, max_size=6))
def test_the_quick_way_answers_what_the_careful_way_does(found: list[Any]) -> None:
    wanted = wanted_by(source(), {"kind": ("x",)})
    places = range(1, len(found) + 1)
    quick, careful = records.take(found, wanted), records.careful(found, wanted)
    assert quick.frame("f", places, 0).equals(careful.frame("f", places, 0))


# ---- Files that cannot be read, and columns that are not there ----

ENDS_EARLY = TMX[: TMX.index('<tu tuid="2"')]
RANDOM = bytes(range(256)) * 40
TORN: dict[str, tuple[bytes, str]] = {
    "empty.jsonl": (b"", "empty"),
    "torn.jsonl.gz": (gzip.compress(RANDOM)[:-12], "Truncated"),
    "torn.jsonl.zst": (zstandard.compress(jsonl(*ALPACA * 900))[:-9], "Truncated"),
    "not-gzip.jsonl.gz": (jsonl(*ALPACA), "inflate|header"),
    "pointer.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
    "torn.json": (json.dumps(ALPACA).encode()[:-30], r"torn\.json:1: not a JSON document"),
    "torn-between.json": (b'[{"a": 1},', "ends within the list"),
    "two.json": (b"[]\n[]", "after the end"),
    "lines.json": (jsonl(*ALPACA), "say 'format: jsonl'"),
    "two-lists.json": (b'{"a": [], "b": []}', "an object with one list in it, found 'a'"),
    "text.json": (b'"hello"', "expected a list of objects"),
    "torn.parquet": (b"PAR1" + RANDOM, "[Pp]arquet"),
    "a.po": (b'msgid "a"\nnonsense\n', "not a PO file"),
}


@pytest.mark.parametrize("name", TORN)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    content, said = TORN[name]
    write(tmp_path, name, content)
    entry = source(name, **({**PAIR, "columns": {"en": "msgid", "ar": "msgstr"}} if name.endswith(".po") else {}))
    with pytest.raises(BuildError, match=said) as error:
        batches(tmp_path, entry)
    assert str(error.value).startswith(name)


def test_a_torn_side_of_a_moses_pair_is_the_one_that_is_named(tmp_path: Path) -> None:
    write(tmp_path, "t.en", "One\nTwo\n")
    write(tmp_path, "t.ar.gz", gzip.compress("واحد\nاثنان\n".encode())[:-3])
    with pytest.raises(BuildError, match=r"^t\.ar\.gz: cannot be read: Truncated"):
        batches(tmp_path, source({"en": "t.en", "ar": "t.ar.gz"}, format="moses", **PAIR))


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_xml_that_ends_early_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, ENDS_EARLY if name == "a.tmx" else gzip.compress(ENDS_EARLY.encode()))
    with pytest.raises(BuildError, match=rf"{name}: cannot be read: .*line 4"):
        batches(tmp_path, source(name, **PAIR))


def test_a_parquet_torn_in_its_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = table(tmp_path, "a.parquet", {"en": ["text " * 50] * 2000, "ar": ["x"] * 2000}, compression="zstd")
    content = bytearray(path.read_bytes())
    content[10:60] = b"\0" * 50
    path.write_bytes(content)
    with pytest.raises(BuildError, match=r"^a\.parquet: cannot be read"):
        batches(tmp_path, source("a.parquet", **PAIR))


def test_a_file_that_changed_since_it_was_located_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", jsonl(*ALPACA))
    entry = source("a.jsonl")
    located = reader.locate(entry, tmp_path)
    path.write_bytes(jsonl(ALPACA[0]))
    with pytest.raises(BuildError, match=r"a\.jsonl: .* when the build was planned"):
        list(reader.read("s", entry, located))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"[]"),
        ("a.jsonl", b"\n\n"),
        ("a.csv", b"instruction,input,output\n"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("a.tmx", b"<tmx><body></body></tmx>"),
    ],
)
def test_a_file_with_nothing_in_it_is_no_rows_and_no_error(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path, name, content)
    assert kept(batches(tmp_path, source(name, **(PAIR if name == "a.tmx" else {})))) == []


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_a_column_that_the_whole_file_lacks_is_told_before_any_row(tmp_path: Path, form: str) -> None:
    columns = {"instruction": ["Q"], "outputs": ["A"], "input": [""]}
    record = {k: v[0] for k, v in columns.items()}
    if form == "parquet":
        table(tmp_path, "b.parquet", columns)
    else:
        delimiter = "\t" if form == "tsv" else ","
        lines = "\n".join([delimiter.join(record), delimiter.join(record.values())])
        write(tmp_path, f"b.{form}", {"jsonl": jsonl(record), "json": json.dumps([record])}.get(form, lines))
    with pytest.raises(InputError) as error:
        batches(tmp_path, source(f"b.{form}"))
    assert str(error.value).startswith(f"b.{form}: there is no column 'output'; did you mean 'outputs'?")
    assert "The columns are: input, instruction, outputs" in str(error.value)


def test_a_column_of_where_that_the_whole_file_lacks_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*ALPACA))
    with pytest.raises(InputError, match="there is no column 'langauge'"):
        batches(tmp_path, source("a.jsonl"), where={"langauge": "en"})


@pytest.mark.parametrize(
    ("column", "said"),
    [([1, 2], "expected text, found int64"), ([["a"], ["b"]], "expected text, found list")],
)
def test_a_typed_column_that_cannot_be_text_is_told_once(tmp_path: Path, column: list[Any], said: str) -> None:
    table(tmp_path, "a.parquet", {"en": column, "ar": ["1", "2"]})
    with pytest.raises(InputError, match=rf"a\.parquet: column 'en': {said}"):
        batches(tmp_path, source("a.parquet", **PAIR))


# ---- where ----

RECORDS = [
    {**GOOD, "n": 1, "ok": True, "kind": "a", "meta": {"lang": "en"}},
    {**GOOD, "n": 2.0, "ok": False, "kind": "b", "meta": {"lang": "ar"}},
    {**GOOD, "n": 2.5, "ok": None, "kind": "c", "meta": None},
    {**GOOD, "output": None, "n": 4, "ok": True, "kind": "a", "meta": {"lang": "en"}},
]
WHERE: list[tuple[dict[str, Any], list[int], int]] = [
    ({"kind": "a"}, [1], 1),
    ({"kind": ["b", "c"]}, [2, 3], 0),
    ({"n": 1}, [1], 0),
    ({"n": 2}, [2], 0),
    ({"n": 2.5}, [3], 0),
    ({"ok": True}, [1], 1),
    ({"ok": [False, None]}, [2, 3], 0),
    ({"meta.lang": "en"}, [1], 1),
    ({"kind": ["a", "b"], "ok": False}, [2], 0),
    ({}, [1, 2, 3], 1),
]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize(("where", "expected", "faulty"), WHERE)
def test_where_keeps_what_was_asked_for_and_drops_the_rest(
    tmp_path: Path, form: str, where: dict[str, Any], expected: list[int], faulty: int
) -> None:
    if form == "parquet":
        table(tmp_path, "a.parquet", pa.Table.from_pylist(RECORDS))
    else:
        write(tmp_path, "a.jsonl", jsonl(*RECORDS))
    found = batches(tmp_path, source(f"a.{form}"), where=where)
    assert [row["origin"]["position"] for row in kept(found)] == expected
    assert len(failed(found)) == faulty
    assert len(dropped(found)) == 4 - len(expected) - faulty
    assert {row["reason"] for row in dropped(found)} <= {"where"}


def test_a_dropped_row_says_which_condition_and_what_was_found(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "en,ar,checked\nGo,اذهب,True\nStop,قف,False\n")
    found = batches(tmp_path, source("a.csv", **PAIR), where={"checked": True})
    assert pairs(found) == [("Go", "اذهب")]
    [row] = dropped(found)
    assert row["detail"] == "'checked' is False, not 'true' or 'True' or 'TRUE'"
    assert (row["status"], row["step"], row["translation"]["en"]) == ("dropped", "source", "Stop")


@pytest.mark.parametrize("where", [{"kind": {"a": 1}}, {"kind": []}, {"without_code": "yes"}])
def test_a_condition_that_means_nothing_is_told(tmp_path: Path, where: dict[str, Any]) -> None:
    write(tmp_path, "a.jsonl", jsonl(*RECORDS))
    with pytest.raises(InputError, match="where: "):
        batches(tmp_path, source("a.jsonl"), where=where)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\n```", True),
        ("Call `len(x)` first.", True),
        ("Here:\ndef add(a, b):\n    return a + b", True),
        ("#include <stdio.h>", True),
        ("SELECT name FROM users WHERE id = 1", True),
        ("const total = items.length;", True),
        ("import numpy as np", True),
        ("for (let i = 0; i < 3; i++) {", True),
        ("<html>\n<p>Hi</p>", True),
        ("Select the best answer from the list.", False),
        ("Import duties rose; class sizes fell (again).", False),
        ("If the price is 3 (or more): wait.", False),
        ("For a function f(x) = 3x, find f(2).", False),
        ("Let x be 3. Return home while it is light.", False),
        ("- one\n- two\n\n| a | b |", False),
        ("قل: «مرحبًا» ثم اذهب.", False),
    ],
)
def test_without_code_leaves_out_rows_that_hold_code_and_no_others(tmp_path: Path, text: str, code: bool) -> None:
    write(tmp_path, "a.jsonl", jsonl({**GOOD, "output": text, "en": text, "ar": "x"}))
    for entry in (source("a.jsonl"), source("a.jsonl", **PAIR)):
        found = batches(tmp_path, entry, where={"without_code": True})
        assert len(dropped(found)) == int(code)
        assert not batches(tmp_path, entry, where={"without_code": False})[0].dropped.height


# ---- Reading on, and no further than asked ----


def many(folder: Path, form: str) -> Source:
    """Seven records with faults and drops among them, in two files."""
    texts = ["a", "b", None, "d", "e", "f", "g"]
    lines = [{"en": t, "ar": "x", "kind": "k" if t != "e" else "other"} for t in texts]
    if form == "tree":
        trees = [{"prompt": node(t, "user", node("1", "bot"), node("2", "bot")), "kind": "k"} for t in "abcdefg"]
        write(folder, "d/1.jsonl", jsonl(*trees[:4]))
        write(folder, "d/2.jsonl", jsonl(*trees[4:]))
        return source("d", columns={"tree": "prompt"})
    for number, part in enumerate((lines[:4], lines[4:]), 1):
        match form:
            case "jsonl":
                write(folder, f"d/{number}.jsonl", jsonl(*part[:2], b"\n", *part[2:], b"\n"))
            case "json":
                write(folder, f"d/{number}.json", json.dumps(part))
            case "parquet":
                table(folder, f"d/{number}.parquet", pa.Table.from_pylist(part), row_group_size=2)
            case "csv":
                rows_ = [f"{r['en']},{r['ar']},{r['kind']}" if r["en"] else "too,many,fields,here" for r in part]
                write(folder, f"d/{number}.csv", "\n".join(["en,ar,kind", *rows_]))
            case "tmx":
                units = "".join(
                    f'<tu kind="{r["kind"]}"><tuv xml:lang="ar"><seg>x</seg></tuv>'
                    + (f'<tuv xml:lang="en"><seg>{r["en"]}</seg></tuv></tu>' if r["en"] else "</tu>")
                    for r in part
                )
                write(folder, f"d/{number}.tmx", f"<tmx><body>{units}</body></tmx>")
    return source("d", **PAIR)


MANY = ["jsonl", "json", "parquet", "csv", "tmx", "tree"]


def everything(found: list[reader.Batch]) -> list[dict[str, Any]]:
    parts = [p for b in found for p in (b.rows, b.dropped, b.failed)]
    whole = pl.concat(parts, how="diagonal").to_dicts() if parts else []
    return sorted(whole, key=lambda r: (r["origin"]["file"], r["origin"]["position"], r["id"]))


@pytest.mark.parametrize("form", MANY)
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_reading_on_after_any_batch_gives_what_straight_reading_gives(
    tmp_path: Path, form: str, batch_rows: int
) -> None:
    entry = many(tmp_path, form)
    straight = batches(tmp_path, entry, where={"kind": "k"})
    assert len(everything(straight)) == (14 if form == "tree" else 7)
    assert len(kept(straight)) == (14 if form == "tree" else 5)
    found = batches(tmp_path, entry, where={"kind": "k"}, batch_rows=batch_rows)
    for cut, batch in enumerate(found, 1):
        rest = batches(tmp_path, entry, where={"kind": "k"}, batch_rows=batch_rows, skip=batch.records)
        assert everything(found[:cut] + rest) == everything(straight)
    assert len(found) > 1 or batch_rows == 100


@pytest.mark.parametrize("form", MANY)
@pytest.mark.parametrize("limit", range(6))
def test_a_limit_gives_exactly_so_many_rows_and_reading_on_gives_the_rest(
    tmp_path: Path, form: str, limit: int
) -> None:
    entry = many(tmp_path, form)
    straight = batches(tmp_path, entry, where={"kind": "k"})
    found = batches(tmp_path, entry, where={"kind": "k"}, limit=limit)
    assert [r["id"] for r in kept(found)] == [r["id"] for r in kept(straight)][:limit]
    if form != "tree":  # the rest of a tree that a limit cuts is not wanted by anyone
        rest = batches(tmp_path, entry, where={"kind": "k"}, skip=found[-1].records if found else 0)
        assert everything(found + rest) == everything(straight)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([b"good", b"\n", b"{bad\n", b"null"]), max_size=12), st.integers(1, 4), st.data())
def test_every_line_is_accounted_for_wherever_reading_is_cut(
    tmp_path: Path, lines: list[bytes], batch_rows: int, data: st.DataObject
) -> None:
    known = {b"good": jsonl(GOOD), b"null": jsonl({**GOOD, "output": None})}
    write(tmp_path, "a.jsonl", jsonl(GOOD, *(known.get(line, line) for line in lines)))
    found = batches(tmp_path, source("a.jsonl"), batch_rows=batch_rows)
    assert len(everything(found)) == 1 + len(lines) - lines.count(b"\n")
    assert len(kept(found)) == 1 + lines.count(b"good")
    cut = data.draw(st.integers(1, len(found)))
    rest = batches(tmp_path, source("a.jsonl"), skip=found[cut - 1].records)
    assert everything(found[:cut] + rest) == everything(found)


def test_a_limit_leaves_the_rest_of_a_large_file_unread(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*ALPACA * 8_000) + b"\xff broken from here on")
    taken: list[int] = []
    entry = source("a.jsonl")
    located = reader.locate(entry, tmp_path)
    for batch in reader.read("s", entry, located, limit=5):
        taken += [batch.rows.height, batch.records]
    assert taken == [5, 5]


def test_skipped_row_groups_of_parquet_are_not_touched(tmp_path: Path) -> None:
    path = table(tmp_path, "a.parquet", {"en": list("abcdef"), "ar": list("123456")}, row_group_size=3)
    group = pq.ParquetFile(path).metadata.row_group(0)
    start, size = group.column(0).dictionary_page_offset, group.column(0).total_compressed_size
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\0" * size
    path.write_bytes(content)
    assert pairs(batches(tmp_path, source("a.parquet", **PAIR), skip=4)) == [("e", "5"), ("f", "6")]
    with pytest.raises(BuildError):
        batches(tmp_path, source("a.parquet", **PAIR), skip=2)


def test_small_files_share_batches(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, f"d/{number:02}.jsonl", jsonl(*ALPACA))
    found = batches(tmp_path, source("d"))
    assert [batch.rows.height for batch in found] == [60]
    assert kept(found)[-1]["origin"] == {"file": "d/19.jsonl", "position": 3, "part": 0}


# ---- Locating ----


def names(folder: Path, path: Any, **fields: Any) -> list[str]:
    return [file.name for file in reader.locate(source(path, **fields), folder).files]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name in ("d/b.jsonl", "d/a.jsonl", "d/deep/c.jsonl.gz", "d/.hidden/x.jsonl", "d/notes.md", "e/b.jsonl"):
        write(tmp_path, name, b"{}")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("d", ["d/a.jsonl", "d/b.jsonl", "d/deep/c.jsonl.gz"]),
        ("d/*.jsonl", ["d/a.jsonl", "d/b.jsonl"]),
        ("d/**/*.jsonl*", ["d/a.jsonl", "d/b.jsonl", "d/deep/c.jsonl.gz"]),
        (["e/*.jsonl", "d/a.jsonl"], ["e/b.jsonl", "d/a.jsonl"]),
        (["d/b.jsonl", "d/*.jsonl"], ["d/b.jsonl", "d/a.jsonl"]),
        ("*/b.jsonl", ["d/b.jsonl", "e/b.jsonl"]),
    ],
)
def test_files_come_in_a_fixed_order_and_once_each(house: Path, path: Any, expected: list[str]) -> None:
    assert names(house, path) == expected


def test_names_do_not_depend_on_where_the_data_lies(house: Path) -> None:
    assert names(house / "e", str(house / "d")) == ["a.jsonl", "b.jsonl", "deep/c.jsonl.gz"]
    assert names(house / "e", "../d/*.jsonl") == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("d/*.csv", {}, r"no file matches 'd/\*\.csv'; the folder .*d has a\.jsonl, b\.jsonl, deep/, notes\.md"),
        ("nowhere/at/all.jsonl", {}, r"no file matches 'nowhere/at/all\.jsonl'; the folder .* has d/, e/"),
        ("d/notes.md", {}, r"the form of 'd/notes\.md' is not known by its ending; say 'format:'"),
        (["d/a.jsonl", "t.tsv"], {}, "the files are of several forms: jsonl .*, tsv .*; narrow the glob"),
        ({"en": "d/*.jsonl", "ar": "t.tsv"}, {"format": "moses", **PAIR}, "path of 'en': expected one file"),
        ({"en": "t.tsv", "de": "t.tsv"}, {"format": "moses", **PAIR}, "'columns' names 'ar', but 'path' has"),
    ],
)
def test_a_place_with_no_fitting_file_is_told(house: Path, path: Any, fields: dict[str, Any], said: str) -> None:
    write(house, "t.tsv", b"a\tb\n")
    with pytest.raises(InputError, match=said):
        reader.locate(source(path, **fields), house)


def test_a_sample_stands_in_for_the_data_and_for_the_hub(tmp_path: Path) -> None:
    write(tmp_path, "samples/s.jsonl", jsonl(*ALPACA))
    entry = Source.model_validate(
        {"hub": "a/b", "columns": "alpaca", "language": "en", "licence": "MIT", "sample": {"path": "samples/s.jsonl"}}
    )
    located = reader.locate(entry, tmp_path, sample=True)
    assert (located.revision, located.format, [f.name for f in located.files]) == (None, "jsonl", ["samples/s.jsonl"])
    with pytest.raises(InputError, match="has no 'sample'"):
        reader.locate(source("samples"), tmp_path, sample=True)


def test_digests_are_the_callers_to_remember(house: Path) -> None:
    located = reader.locate(source("d/a.jsonl"), house, digests=lambda path: f"of {path.name}")
    assert located.files[0].digest == "of a.jsonl"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", jsonl({"a": 1}, {"a": 2, "b": {"c": 3}}), ["a", "b", "b.c"]),
        ("a.csv", b"x,y\n1,2\n", ["x", "y"]),
        ("a.json", b'{"rows": [{"q": 1}]}', ["q"]),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), None),
    ],
)
def test_the_columns_of_a_source_are_known_cheaply(
    tmp_path: Path, name: str, content: bytes, expected: list[str] | None
) -> None:
    write(tmp_path, name, content)
    entry = source(name)
    assert reader.columns_of(entry, reader.locate(entry, tmp_path)) == expected


def test_nested_columns_of_parquet_are_known_by_their_paths(tmp_path: Path) -> None:
    table(tmp_path, "a.parquet", {"id": [1], "translation": [{"en": "a", "ar": "b"}]})
    entry = source("a.parquet", **PAIR)
    columns = ["id", "translation", "translation.en", "translation.ar"]
    assert reader.columns_of(entry, reader.locate(entry, tmp_path)) == columns


# ---- Real data, where it lies beside the checkout ----

INSTRUCTION_RESPONSE = {"prompt": "instruction", "input": "input", "response": "response"}
NUMBERED = {**PAIR, "columns": {"en": "0", "ar": "1"}}
TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
REAL: dict[str, tuple[Any, dict[str, Any], int]] = {
    "t0-50k": ("t0-50k/files", {"columns": "prompt_completion", "strip": ["<|endoftext|>"]}, 27_694),
    "gpteacher": ("gpteacher/files/Roleplay/*.json.gz", {"columns": INSTRUCTION_RESPONSE}, 1_923),
    "gpteacher code": ("gpteacher/files/Codegen/*", {"columns": INSTRUCTION_RESPONSE}, 4_535),
    "rasbt": ("rasbt-instruct/files/ch07/01_main-chapter-code/*.json", {}, 1_100),
    "alpaca": ("alpaca-random9k/files/**/*.json.gz", {}, 9_229),
    "tatoeba": ({"en": f"{TATOEBA}.eng", "ar": f"{TATOEBA}.ara"}, {"format": "moses", **PAIR}, 10_305),
    "tico19": ("tico19-en-ar/files/data/TM/all.en-ar.tmx.zip", PAIR, 3_071),
    "iso-codes": ("iso-codes/files/iso_3166-1/ar.po", {**PAIR, "columns": {"en": "msgid", "ar": "msgstr"}}, 425),
    "manythings": ("manythings-ara/files/**/ara.txt.gz", {"format": "tsv", **NUMBERED}, 12_561),
    "glaive": ("llamafactory-demo/files/data/glaive_toolcall_en_demo.json", {"columns": "sharegpt"}, 300),
}


@pytest.mark.parametrize("case", REAL)
def test_real_files_give_as_many_rows_as_their_provenance_says(shared: Path, case: str) -> None:
    path, fields, expected = REAL[case]
    found = batches(shared, source(path, **fields))
    assert (len(kept(found)), len(failed(found))) == (expected, 0)
    if case == "t0-50k":
        assert not any(
            batch.rows.select(rows.text("messages").str.contains("<|endoftext|>", literal=True).any()).item()
            for batch in found
        )


def test_a_real_forest_gives_a_row_per_leaf(shared: Path) -> None:
    path = "oasst-en100/files/model/model_eval/manual/data/en_100_tree.jsonl"

    def leaves(of: dict[str, Any]) -> int:
        return sum(map(leaves, of["replies"])) or 1

    trees = [json.loads(line)["prompt"] for line in (shared / path).read_text().splitlines()]
    found = batches(shared, source(path, columns={"tree": "prompt"}))
    assert found[-1].records == len(trees) == 100
    assert len(kept(found)) == sum(map(leaves, trees)) > 100
    assert {m["role"] for row in kept(found) for m in row["messages"]} == {"user", "assistant"}


def test_without_code_takes_the_code_out_of_real_instructions(shared: Path) -> None:
    def share(path: str) -> float:
        found = batches(shared, source(path, columns=INSTRUCTION_RESPONSE), where={"without_code": True})
        return len(dropped(found)) / (len(dropped(found)) + len(kept(found)))

    assert share("gpteacher/files/Codegen/*") > 0.95
    assert share("gpteacher/files/Roleplay/*.json.gz") < 0.01
