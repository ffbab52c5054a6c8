"""Answers in a spreadsheet (XLSX): a task in a row, choices from lists, right-to-left text set right to left."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from hala_factory.errors import Fault, InputError
from hala_factory.passages import direction, passage
from hala_factory.review import questions
from hala_factory.review.answers import Answer
from hala_factory.review.decks import Deck, Side, Task, joined
from hala_factory.review.lines import taken

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

MOST_CHARS = 32_767
"""Of a cell, in every program that knows the format."""
COLUMNS = ("task", "source", "target", "verdict", *questions.ERRORS, "severity", "correction", "annotator", "deck")
_WIDTHS = {"task": 18, "source": 60, "target": 60, "correction": 60, "annotator": 16, "deck": 10}
_YES = "x"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that XML, and so the format, cannot hold."""


def write(deck: Deck, file: Path, reviewer: str | None = None) -> None:
    """The tasks as a workbook, with the guidelines on a sheet of their own.

    Raises InputError where a text is longer than a cell may be, or openpyxl is not installed.
    """
    openpyxl = _library()
    from openpyxl.styles import Alignment, Font
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "review"
    sheet.append(COLUMNS)
    for number, task in enumerate(deck.tasks, 2):
        for column, text in _cells(task, deck, reviewer).items():
            _set(sheet, number, column, text, file)
            cell = sheet.cell(number, COLUMNS.index(column) + 1)
            side: Side = "target" if column == "target" else "source"
            cell.alignment = Alignment(wrap_text=True, vertical="top", readingOrder=_order(task, side))
    choices = {
        "verdict": questions.VERDICTS,
        "severity": questions.SEVERITIES,
        **{key: [_YES] for key in questions.ERRORS},
    }
    for column, allowed in choices.items():
        letter = sheet.cell(1, COLUMNS.index(column) + 1).column_letter
        rule = DataValidation(type="list", formula1=f'"{",".join(allowed)}"', allow_blank=True, showErrorMessage=True)
        rule.error = f"One of: {', '.join(allowed)}"
        sheet.add_data_validation(rule)
        rule.add(f"{letter}2:{letter}{len(deck.tasks) + 1}")
    for number, column in enumerate(COLUMNS, 1):
        cell = sheet.cell(1, number)
        cell.font = Font(bold=True)
        sheet.column_dimensions[cell.column_letter].width = _WIDTHS.get(column, 12)
    sheet.freeze_panes = "D2"
    _guide(book.create_sheet("guidelines"), deck)
    book.save(file)


def _cells(task: Task, deck: Deck, reviewer: str | None) -> dict[str, str]:
    told = {"task": task.id, "target": joined(task.turns, "target"), "deck": deck.digest}
    if any(turn.source for turn in task.turns):
        told["source"] = joined(task.turns, "source")
    return {**told, **({"annotator": reviewer} if reviewer else {})}


def _order(task: Task, side: Side) -> int:
    """The reading order of a cell, as the format numbers them: 1 from the left, 2 from the right."""
    texts = [getattr(turn, side) for turn in task.turns]
    return 2 if any(passage(text, None)["dir"] == "rtl" for text in texts) else 1


def _set(sheet: Worksheet, row: int, column: str, text: str, file: Path) -> None:
    if len(text) > MOST_CHARS:
        raise InputError(
            f"{file}: a {column} of {len(text):,} characters does not fit a cell, which holds {MOST_CHARS:,}; "
            "write .html or .jsonl instead"
        )
    cell = sheet.cell(row, COLUMNS.index(column) + 1)
    cell.value = _FORBIDDEN.sub("\ufffd", text)
    cell.data_type = "s"  # a text that begins with = is no formula
    cell.quotePrefix = True


def _guide(sheet: Worksheet, deck: Deck) -> None:
    from openpyxl.styles import Alignment

    sheet.column_dimensions["A"].width = 120
    choices = [
        f"{key}: {choice.label}: {choice.meaning} {choice.meaning_arabic}"
        for known in questions.CHOICES.values()
        for key, choice in known.items()
    ]
    for number, part in enumerate([*questions.guideline_parts(deck.guidelines), "\n".join(choices)], 1):
        cell = sheet.cell(number, 1, part)
        cell.data_type = "s"
        cell.alignment = Alignment(wrap_text=True, vertical="top", readingOrder=2 if direction(part) == "rtl" else 1)


def read(file: Path, deck: Deck) -> list[Answer]:
    """The answers in a workbook; rows that nobody filled in are none. Raises InputError with every fault, by row."""
    openpyxl = _library()
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a workbook (XLSX): {error}") from error
    rows = list((book["review"] if "review" in book.sheetnames else book.worksheets[0]).iter_rows(values_only=True))
    book.close()
    names = [str(name) for name in rows[0]] if rows else []
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise InputError(f"{file}: the columns {', '.join(missing)} are missing: was the first row changed?")
    records, faults = [], []
    for number, row in enumerate(rows[1:], 2):
        cells = {name: str(value).strip() for name, value in zip(names, row, strict=False) if value not in (None, "")}
        if not cells:
            continue
        record: dict[str, Any] = {
            key: cells.get(key) for key in ("deck", "task", "annotator", "verdict", "severity", "correction")
        }
        record["errors"] = [name for name in questions.ERRORS if name in cells]
        odd = [name for name in record["errors"] if cells[name].lower() != _YES]
        faults += [
            Fault(str(file), number, 1, f"{name}: found {cells[name]!r}; expected {_YES} or nothing") for name in odd
        ]
        records.append((number, record))
    return taken(str(file), records, faults, deck, datetime.fromtimestamp(file.stat().st_mtime, UTC))


def _library() -> Any:
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            "workbooks need openpyxl: pip install 'hala-factory[review]'; or use .html or .jsonl"
        ) from None
    return openpyxl
