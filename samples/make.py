"""Makes the sample files that the catalog names from what is written in `samples/written/`.

Each `written/<source>.jsonl` holds one row per line in the source's real schema; here it takes the form of the
source's own files (Parquet, JSON list, JSON lines). Run as `python samples/make.py [--check]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import Fault, HalaError, InputError
from hala_factory.yamlfile import display

HERE = Path(__file__).resolve().parent
TEXT = pa.string()
MESSAGE = pa.struct({"role": TEXT, "content": TEXT})

SCHEMAS = {
    "open-orca": pa.schema({"id": TEXT, "system_prompt": TEXT, "question": TEXT, "response": TEXT}),
    "opus-100": pa.schema({"translation": pa.struct({"ar": TEXT, "en": TEXT})}),
    "lamini": pa.schema({"instruction": TEXT, "response": TEXT, "instruction_source": TEXT}),
    "tulu-3": pa.schema({"id": TEXT, "messages": pa.list_(pa.field("element", MESSAGE)), "source": TEXT}),
    "synthetic-instruct": pa.schema({"prompt": TEXT, "chosen": TEXT, "rejected": TEXT}),
}
"""Columns of the sources that publish Parquet; the schema is spelt out so that no row decides it."""

FILES = [
    "hermes-3.json",
    "lamini.parquet",
    "open-orca.parquet",
    "opus-100.parquet",
    "realign-alpaca.json",
    "scp-116k.jsonl",
    "synthetic-instruct.parquet",
    "tulu-3.parquet",
]


def written(path: Path) -> list[dict[str, Any]]:
    """The rows of one written file. Raises InputError when it is missing, empty or has a line that is no row."""
    if not path.is_file():
        raise InputError(Fault(display(path), 0, 0, "no such file; write the rows of this source there first"))
    rows = []
    for number, line in enumerate(path.read_bytes().removesuffix(b"\n").split(b"\n"), 1):
        try:
            row = json.loads(line.decode())
        except ValueError as e:  # broken UTF-8 is one too
            raise InputError(Fault(display(path), number, 1, f"not JSON: {e}")) from None
        if not isinstance(row, dict):
            raise InputError(Fault(display(path), number, 1, "expected a row, `{…}`"))
        rows.append(row)
    return rows


def table(path: Path, schema: pa.Schema) -> pa.Table:
    """The rows of one written file as Arrow. Raises InputError with every row that does not fit the schema."""
    rows = written(path)
    message = f"expected the columns {', '.join(schema.names)} of types {', '.join(map(str, schema.types))}"
    if faults := [Fault(display(path), n, 1, message) for n, row in enumerate(rows, 1) if not _fits(row, schema)]:
        raise InputError(faults)
    return pa.Table.from_pylist(rows, schema=schema)


def _fits(row: dict[str, Any], schema: pa.Schema) -> bool:
    try:
        return bool(pa.Table.from_pylist([row], schema=schema).to_pylist() == [row])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False


def text(source: Path, form: str) -> bytes:
    """The rows of one written file as a JSON list, or as they stand (JSON lines). Raises InputError as `written`."""
    rows = written(source)
    return (json.dumps(rows, ensure_ascii=False, indent=2) + "\n").encode() if form == ".json" else source.read_bytes()


def make(source: Path, target: Path) -> None:
    """Write one sample file: the same rows always give the same bytes (for one version of Arrow)."""
    if target.suffix == ".parquet":
        pq.write_table(table(source, SCHEMAS[target.stem]), target, store_schema=False)
    else:
        target.write_bytes(text(source, target.suffix))


def differs(source: Path, target: Path) -> bool:
    """Whether a sample file is not what its written rows make.

    Parquet is compared by schema and rows, since its bytes name the version of Arrow that wrote them.
    """
    if not target.is_file():
        return True
    if target.suffix != ".parquet":
        return target.read_bytes() != text(source, target.suffix)
    expected = table(source, SCHEMAS[target.stem])
    try:
        return not pq.read_table(target).equals(expected, check_metadata=True)
    except pa.ArrowException:  # torn, or no Parquet at all
        return True


def main(arguments: list[str], folder: Path = HERE) -> int:
    """Make every file below `folder`, or with `--check` say which differ; answers the exit code."""
    parser = argparse.ArgumentParser(description="Make the sample files from samples/written/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    check = parser.parse_args(arguments).check
    stale = []
    try:
        for name in FILES:
            source, target = folder / "written" / f"{Path(name).stem}.jsonl", folder / name
            if not check:
                make(source, target)
            elif differs(source, target):
                stale.append(display(target))
    except HalaError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    for file in stale:
        print(f"{file}: is not what samples/written makes; run python samples/make.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
