"""Files as a place of review: a deck goes out as a page, as JSONL or as a spreadsheet, and answers come back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hala_factory.errors import Fault, InputError
from hala_factory.review import form, lines, sheet
from hala_factory.review.answers import Answer
from hala_factory.review.decks import Deck
from hala_factory.review.shares import share
from hala_factory.store import atomic

FORMS = (".html", ".jsonl", ".xlsx")
_NOT_IN_NAMES = re.compile(r"[^\w-]+")


def push(deck: Deck, file: Path, reviewers: Sequence[str] = ()) -> list[Path]:
    """Write the deck to a file, or to one for each reviewer (`review.html`: `review-amira.html`, …), all or none.

    Raises InputError for another form, and where a file is there already and is not the same: it may hold answers.
    """
    if file.suffix not in FORMS:
        raise InputError(f"{file}: {file.suffix or 'no ending'} is no form of a review; expected {', '.join(FORMS)}")
    shares = share(deck, reviewers) if reviewers else {"": deck}
    places = {name: file.with_stem(f"{file.stem}-{_NOT_IN_NAMES.sub('-', name)}") if name else file for name in shares}
    if len(set(places.values())) < len(places):
        raise InputError(f"reviewers {', '.join(reviewers)}: two of these names make one file name")
    texts = {name: _text(part, file.suffix, name or None) for name, part in shares.items()}
    for name, place in places.items():
        text = texts[name]
        if place.exists() and (text is None or place.read_bytes() != text.encode()):
            raise InputError(f"{place} is there already, and may hold answers: pull it, or name another file")
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        text = texts[name]
        with atomic(place) as temporary:
            if text is None:
                sheet.write(shares[name], temporary, name or None)
            else:
                temporary.write_text(text, encoding="utf-8")
    return list(places.values())


def _text(deck: Deck, suffix: str, reviewer: str | None) -> str | None:
    """The file as text; None for a workbook."""
    if suffix == ".html":
        return form.page(deck, reviewer)
    return lines.write(deck, reviewer) if suffix == ".jsonl" else None


def pull(deck: Deck, files: Sequence[Path]) -> list[Answer]:
    """The answers in files, the last of what one person said of one task. Raises InputError with the faults of all."""
    found: dict[tuple[str, str], Answer] = {}
    faults: list[Fault] = []
    for file in files:
        try:
            answers = sheet.read(file, deck) if file.suffix == ".xlsx" else lines.read(file, deck)
        except InputError as error:
            faults += error.faults
            continue
        for answer in answers:
            key = (answer.task, answer.annotator)
            if key not in found or found[key].at <= answer.at:
                found[key] = answer
    if faults:
        raise InputError(faults)
    return list(found.values())
