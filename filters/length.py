"""Length: how many characters, words and tokens a text has."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from hala_factory import rows
from hala_factory.errors import InputError
from hala_factory.fingerprint import file_digest
from hala_factory.step import Columns, Count, Filter, TextPath, register
from hala_factory.words import count

_FILE = "tokenizer.json"
_BATCH = 512
"""Texts in the tokenizer at a time: what it answers is a hundred times as large as the numbers kept of it."""


@register
class Length(Filter):
    """Drop texts that are too short or too long.

    Characters are Unicode characters without the white space at the ends; words are what white space separates;
    tokens are those of a `tokenizer`, without the special ones. Each bound can be left out (null); words are only
    counted where one of theirs is set.
    """

    example: ClassVar[dict[str, str]] = {"kept": "Name three rivers that flow through Egypt.", "dropped": "Hi"}

    revision: ClassVar[int] = 2

    step: Literal["length"] = "length"
    on: TextPath = "messages"
    min_chars: Count | None = None
    """Fewest characters."""
    max_chars: Count | None = None
    """Most characters."""
    min_words: Count | None = None
    """Fewest words."""
    max_words: Count | None = None
    """Most words."""
    tokenizer: str | None = None
    """Whose tokens are counted: a `tokenizer.json`, the folder it lies in, or the id of a model on the Hub."""
    min_tokens: Count | None = None
    """Fewest tokens; needs a `tokenizer`."""
    max_tokens: Count | None = None
    """Most tokens, such as the context that a model is trained with; needs a `tokenizer`."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if self.tokenizer is None:
            asked = [name for name in ("min_tokens", "max_tokens") if getattr(self, name) is not None]
            return found + [(name, f"'{name}' needs a 'tokenizer'") for name in asked]
        try:
            _load(_file(self.tokenizer))
        except InputError as error:
            found.append(("tokenizer", str(error)))
        return found

    def contents(self) -> dict[str, Any]:
        """The tokenizer."""
        return {} if self.tokenizer is None else {"tokenizer": file_digest(_file(self.tokenizer))}

    @property
    def _counts_words(self) -> bool:
        return self.min_words is not None or self.max_words is not None

    def measures(self) -> Columns:
        counted = {"chars": True, "words": self._counts_words, "tokens": self.tokenizer is not None}
        return {name: pl.Int32() for name, asked in counted.items() if asked}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        texts = frame.select(text=rows.text(self.on)).to_series()
        found = texts.to_frame("chars").select(pl.col("chars").str.strip_chars().str.len_chars().cast(pl.Int32))
        if self._counts_words:
            words = count(texts, lambda chunk: {"words": chunk.spaced}, ["words"])["words"]
            found = found.with_columns(words.cast(pl.Int32))
        if self.tokenizer is not None:
            found = found.with_columns(tokens=_tokens(texts, _load(_file(self.tokenizer))))
        return found

    def rules(self) -> list[tuple[str, pl.Expr]]:
        chars, words, tokens = pl.col("chars"), pl.col("words"), pl.col("tokens")
        bounds = [
            ("too_short", self.min_chars, chars.lt),
            ("too_long", self.max_chars, chars.gt),
            ("too_few_words", self.min_words, words.lt),
            ("too_many_words", self.max_words, words.gt),
        ]
        if self.tokenizer is not None:
            bounds += [
                ("too_few_tokens", self.min_tokens, tokens.lt),
                ("too_many_tokens", self.max_tokens, tokens.gt),
            ]
        return [(reason, beyond(bound)) for reason, bound, beyond in bounds if bound is not None]


def _tokens(texts: pl.Series, tokenizer: Any) -> pl.Series:
    """How many tokens each text has."""
    counts: list[int] = []
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH].to_list()
        counts += map(len, tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    return pl.Series(counts, dtype=pl.Int32)


@lru_cache(maxsize=8)
def _file(place: str) -> Path:
    """The `tokenizer.json` that is meant. Raises InputError where there is none."""
    path = Path(place).expanduser()
    if path.is_dir():
        path /= _FILE
    if path.is_file():
        return path
    if path.exists() or path.suffix == ".json" or place.startswith((".", "~", "/")) or place.count("/") > 1:
        raise InputError(f"no such tokenizer: {path} is no file")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(place, _FILE))
    except Exception as error:
        said = str(error).strip().split("\n")[0]
        raise InputError(f"{place!r} is no file here, and the Hub gave no {_FILE} of that name ({said})") from error


@lru_cache(maxsize=2)
def _load(path: Path) -> Any:
    """A tokenizer that cuts nothing off and fills nothing up. Raises InputError for a file that is none."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise InputError(f"{path} is no tokenizer of the package tokenizers: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
