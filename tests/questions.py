"""Tables of benchmarks for tests: what a step that compares with benchmarks is bound to."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from hala_factory.benchmarks import COLUMNS

Question = tuple[str, list[str]] | tuple[str, list[str], str] | str


def table(folder: Path, benchmark: str, language: str, questions: Sequence[Question]) -> dict[str, Path]:
    """The table of a benchmark: each question alone, or with its choices, or with its choices and a passage."""
    spelt = [(q, [], "") if isinstance(q, str) else (*q, "")[:3] for q in questions]
    lines = [(benchmark, str(n), language, *each) for n, each in enumerate(spelt, 1)]
    path = folder / f"{benchmark}.parquet"
    pl.DataFrame(lines, schema=COLUMNS, orient="row").write_parquet(path)
    return {benchmark: path}


_FOLDER = Path(tempfile.mkdtemp(prefix="hala-questions-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
TABLES = {
    **table(
        _FOLDER, "english", "en", ["the of and", "word word don't U.S.", ("the", ["of", "and"]), "the the the the"]
    ),
    **table(_FOLDER, "arabic", "ar", ["سلام مُحَمَّد", ("كلام", ["3.5"]), "سلام كلام محمد سلام كلام", "中文 中文 中文"]),
}
"""Of pieces that generated rows are made of."""
