"""The two ways a command ends badly: the input was wrong (exit 2), or a build or gate failed (exit 1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong in a file: where, what was found, what was expected, what to do."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class HalaError(Exception):
    """Base of the errors a person can act on; `exit_code` is what the command line answers."""

    exit_code = 1


class BuildError(HalaError):
    """A build, a gate or a promise failed; nothing half-made is left behind as whole."""


class InputError(HalaError):
    """The catalog, the recipe, a file or an option is wrong; all `faults` of it at once."""

    exit_code = 2

    def __init__(self, faults: Fault | Iterable[Fault] | str) -> None:
        if isinstance(faults, str):
            faults = Fault("", 0, 0, faults)
        self.faults = [faults] if isinstance(faults, Fault) else sorted(faults)
        super().__init__("\n".join(str(f) if f.file else f.message for f in self.faults))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown `word`: the nearest known one, or the list of them."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are: {', '.join(known)}" if known else ""
