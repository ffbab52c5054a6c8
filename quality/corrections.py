"""Corrections: texts that people corrected in the review of an earlier version, put in the place of the old ones."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from hala_factory.errors import InputError
from hala_factory.fingerprint import file_digest
from hala_factory.step import Columns, Normaliser, TextPath, register

_KEYS = {"id", "source", "review", "by", "at", "turns"}


@register
class Corrections(Normaliser):
    """Put the corrections of a review in the place of what was corrected, in rows of the same id and text.

    The file is what `hala-factory review corrections NAME@VERSION --out FILE` writes. A row is corrected where every
    text that was corrected still reads as it did; else its corrections are `stale`, and it stays as it is. `changed`
    counts the texts that were put in, `detail` says who corrected them, when, and in the review of which version. It
    belongs behind the steps that change texts, so that it finds the texts that people saw.
    """

    example: ClassVar[dict[str, str]] = {"before": "البئر عميقة 35.", "after": "عمق البئر 35 مترًا."}

    step: Literal["corrections"] = "corrections"
    file: str
    """The corrections, one row a line."""
    on: TextPath = "messages"
    """What was corrected: `messages`, or a language of pairs, such as `translation.ar`."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if "." in self.on and not self.on.startswith("translation."):
            found.append(("on", f"expected 'messages' or a language of pairs, found {self.on!r}"))
        try:
            read(Path(self.file).expanduser())
        except InputError as error:
            found.append(("file", str(error)))
        return found

    def contents(self) -> dict[str, Any]:
        """The corrections."""
        return {"file": file_digest(Path(self.file).expanduser())}

    def measures(self) -> Columns:
        return {"changed": pl.Int32(), "stale": pl.Int32(), "detail": pl.String()}

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        path = Path(self.file).expanduser()
        known = _known(str(path), path.stat().st_mtime_ns)
        column, _, language = self.on.partition(".")
        told = [(0, 0, "")] * frame.height
        values: dict[int, Any] = {}
        for place, (row, source) in enumerate(frame.select("id", "source").iter_rows()):
            correction = known.get((row, source))
            if correction is None:
                continue
            value = frame[column][place]
            value = value.to_list() if isinstance(value, pl.Series) else value
            made, changed, stale = _applied(value, correction["turns"], language)
            if changed:
                values[place] = made
                said = f"corrected by {correction['by']} on {correction['at'][:10]} in the review of "
                told[place] = (changed, 0, said + correction["review"])
            else:
                told[place] = (0, stale, "")
        if values:
            texts = [values.get(i, old) for i, old in enumerate(frame[column].to_list())]
            frame = frame.with_columns(pl.Series(column, texts, dtype=frame.schema[column]))
        return frame, pl.DataFrame(told, schema=self.measures(), orient="row")


def _applied(value: Any, turns: list[dict[str, Any]], language: str) -> tuple[Any, int, int]:
    """The corrected value, how many texts changed, and how many corrections do not fit what stands there."""
    if value is None:
        return value, 0, len(turns)
    there = [value[language]] if language else [turn["content"] for turn in value]
    fits = [t["turn"] < len(there) and there[t["turn"]] == t["was"] for t in turns]
    if not all(fits):
        done = all(t["turn"] < len(there) and there[t["turn"]] == t["now"] for t in turns)
        return value, 0, 0 if done else fits.count(False)
    if language:
        return {**value, language: turns[0]["now"]}, 1, 0
    now = {t["turn"]: t["now"] for t in turns}
    return [{**turn, "content": now.get(i, turn["content"])} for i, turn in enumerate(value)], len(turns), 0


@lru_cache(maxsize=4)
def _known(path: str, changed: int) -> dict[tuple[str, str], dict[str, Any]]:
    return {(c["id"], c["source"]): c for c in read(Path(path))}


def read(path: Path) -> list[dict[str, Any]]:
    """The corrections in a file. Raises InputError where it cannot be read, or at the first line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            whole = set(row) == _KEYS and row["turns"] and all({"turn", "was", "now"} == set(t) for t in row["turns"])
        except (ValueError, TypeError):
            whole = False
        if not whole:
            raise InputError(f"{path}:{number}: is no correction as `hala-factory review corrections` writes them")
        found.append(row)
    return found
