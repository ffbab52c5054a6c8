"""Fields that several asking steps have: their bounds and their words in the schema, and what is checked of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from hala_factory.step import Columns
from hala_factory.validation import FieldError

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
SystemMessage = Annotated[str | None, Field(description="A system message before it.")]
SegmentChars = Annotated[int, Field(ge=100, description="Longest segment, in characters.")]
Protect = Annotated[
    bool,
    Field(
        description="Whether code, formulas, URLs and the like are kept from the model and must come back unchanged."
    ),
]
FirstTemperature = Annotated[float, Field(ge=0, le=2, description="Of the first attempt.")]
RequestTokens = Annotated[int, Field(ge=1, description="Longest answer to one request.")]


def require_two(source_language: str, to: str) -> None:
    """Raise FieldError for a translation from a language into itself."""
    if to == source_language:
        raise FieldError("to", f"'to' and 'from' are both {to!r}")


def taken(keep: str | None, columns: Columns) -> list[tuple[str, str]]:
    """The fault of a step that is to keep something in a column that the rows have already."""
    if keep not in columns:
        return []
    return [("keep", f"the rows have a column {keep!r} already; name another one")]
