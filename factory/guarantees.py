"""Guarantees: contracts on what a finished version holds, whatever became of the rows on the way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from hala_factory.contracts import Contract
from hala_factory.documented import Documented
from hala_factory.validation import FieldError

What = Literal["languages", "sources", "tokens", "duplicates", "contamination", "licence"]
SHARES = ("languages", "sources", "duplicates", "contamination")
"""Those whose bounds are shares of the rows."""
NAMES = ("languages", "sources", "licence")
"""Those that are about names, which `of` lists."""
_MEASURED = {"languages": "language", "contamination": "decontaminate"}


class Guarantee(Documented):
    """A bound on a figure of the finished version; a build that breaks one is not published."""

    holds: What
    """The figure: the share of rows in the languages `of`, or from the sources `of`; the tokens of all texts (counted
    by their letters, so within some 10 %); the share of rows whose texts another row has too; the share of rows that
    share `overlap` or more with a text of a benchmark; or the derived licence, which has to be one `of` these."""
    of: tuple[str, ...] = ()
    """Languages (codes as the `language` step gives them), sources, or licences (SPDX)."""
    min: Annotated[float, Field(ge=0)] | None = None
    """The least it may be: a share (0 to 1), or tokens."""
    max: Annotated[float, Field(ge=0)] | None = None
    """The most it may be."""
    step: str | None = None
    """The `language` or `decontaminate` step that measured it, by its name; the last one if not given."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of contamination: the share of a benchmark's words from which on a row counts as contaminated."""
    soft: bool = False
    """A break is told as a warning and stops nothing."""

    @model_validator(mode="after")
    def _says_something(self) -> Guarantee:
        if self.holds in NAMES and not self.of:
            raise FieldError("of", f"'holds: {self.holds}' needs 'of': a list of {self.holds.rstrip('s')}s")
        if self.holds not in NAMES and self.of:
            raise FieldError("of", f"'of' says nothing about {self.holds}: leave it out")
        if self.holds == "licence":
            if self.min is not None or self.max is not None:
                raise FieldError("holds", "a licence is one of those in 'of': it has no 'min' and no 'max'")
            return self
        if self.min is None and self.max is None:
            raise FieldError("holds", f"'holds: {self.holds}' needs a bound: min, max")
        for name, bound in (("min", self.min), ("max", self.max)):
            if self.holds in SHARES and bound is not None and bound > 1:
                raise FieldError(name, f"{name} is a share of the rows: expected 0 to 1, found {bound:g}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise FieldError("max", f"expected at least min ({self.min:g}), found {self.max:g}")
        return self

    @property
    def measured_by(self) -> str | None:
        """The kind of step that measures it; None: it is seen in the rows themselves."""
        return _MEASURED.get(self.holds)

    def words(self) -> str:
        """The guarantee as a sentence."""
        if self.holds == "licence":
            return f"the licence is {' or '.join(self.of)}"
        what = {
            "languages": f"of the rows are in {', '.join(self.of)}",
            "sources": f"of the rows are from {', '.join(self.of)}",
            "tokens": "tokens",
            "duplicates": "of the rows have the texts of another row",
            "contamination": f"of the rows share {self.tell(self.overlap)} or more of a benchmark's text",
        }[self.holds]
        bounds = {"at least": self.min, "at most": self.max}
        return " and ".join(f"{w} {self.tell(b)}" for w, b in bounds.items() if b is not None) + f" {what}"

    def tell(self, figure: float) -> str:
        """A figure of this kind in words: a share in per cent, or a count."""
        return f"{100 * figure:.3g} %" if self.holds in SHARES else f"{figure:,.0f}"

    def broken_by(self, found: Any) -> bool:
        """Whether a figure, or the name of a licence, is out of bounds."""
        if self.holds == "licence":
            return found not in self.of
        return not (self.min or 0) <= found <= (float("inf") if self.max is None else self.max)


def _kind(value: Any) -> str:
    holds = "holds" in value if isinstance(value, dict) else isinstance(value, Guarantee)
    return "guarantee" if holds else "contract"


AnyContract = Annotated[
    Annotated[Contract, Tag("contract")] | Annotated[Guarantee, Tag("guarantee")], Discriminator(_kind)
]
"""What a recipe lists under `contracts`: one with `holds` is a guarantee."""
