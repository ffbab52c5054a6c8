"""Banned words: words and phrases of a list that stand in a text."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.errors import InputError
from hala_factory.fingerprint import file_digest
from hala_factory.step import Columns, Count, Filter, TextPath, register

_SHOWN = 5
# Particles and pronouns that Arabic writes as part of a word; of shorter words they make other words (كل, بكل, كلي).
_BEFORE, _AFTER = "[وف]?(?:[بكل]?ال|لل|[بكل])?", "(?:هما|كما|ها|هم|هن|كم|كن|نا|ني|ه|ك|ي)?"
_SHORTEST_WITH_CLITICS = 3
_GAP, _NO_LETTER_BEFORE, _NO_LETTER_AFTER = r"[\W_]+", r"(?<![^\W_])", r"(?![^\W_])"
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"  # Thai, Lao, Burmese, Khmer, CJK
_ARABIC_WORD = re.compile(rf"[ء-ي]{{{_SHORTEST_WITH_CLITICS},}}")


@register
class BannedWords(Filter):
    """Drop texts with words or phrases of a list, e.g. toxic ones.

    A phrase is found as whole words, whatever the case, the diacritics, the form of alef, ya and ta marbuta, and
    what stands between its words (`text.matching_key`); in scripts without spaces wherever it stands. With
    `clitics`, an Arabic word is also found with و, ال, ب, ك, ل before it and a pronoun behind it («وبالكلمة»,
    «كلمتهم»). `hits` counts what was found, `detail` shows the first few different ones.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The classic passage on scent (list: ass, cent).",
        "dropped": "He is an ASS! (list: ass, cent)",
    }

    step: Literal["banned_words"] = "banned_words"
    on: TextPath = "messages"
    path: str | None = None
    """A file with one word or phrase a line, in UTF-8."""
    words: list[str] = Field(default=[])
    """Words and phrases besides those of the file."""
    clitics: bool = True
    """Find Arabic words of three and more letters with particles and pronouns attached."""
    max_hits: Count | None = 0
    """Most words and phrases of the list in a text."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if self.path is None and not self.words:
            return [*found, ("path", "a list is needed: give 'path: FILE' or 'words: [...]'")]
        try:
            listed = self._listed()
        except InputError as error:
            return [*found, ("path", str(error))]
        if not _compiled(listed, self.clitics)[0]:
            found.append(("words", "no word or phrase in it can be found in a text"))
        return found

    def contents(self) -> dict[str, Any]:
        """The list."""
        return {"path": file_digest(Path(self.path).expanduser()) if self.path else None}

    def measures(self) -> Columns:
        return {"hits": pl.Int32(), "detail": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        stems, patterns = _compiled(self._listed(), self.clitics)
        texts = frame.select(text=rows.text(self.on)).with_row_index("row")
        whole = pl.col("text")
        ascii_only = whole.str.len_bytes() == whole.str.len_chars()
        lines: list[tuple[int, int, str]] = []
        # English needs no more of the folding than lower case, which is a good deal cheaper.
        for those, key in ((ascii_only, whole.str.to_lowercase()), (~ascii_only, text.matching_key(whole))):
            folded = texts.filter(those).select("row", key=key)
            near = folded.filter(pl.col("key").str.contains_any(stems)) if stems else folded.clear()
            stem = pl.col("key").str.extract_many(stems, overlapping=True).list.unique(maintain_order=True)
            for row, content, found in near.select("row", "key", stem=stem).iter_rows() if near.height else ():
                hits = [hit for s in found for pattern in patterns[s] for hit in pattern.findall(content)]
                if hits:
                    lines.append((row, len(hits), ", ".join(list(dict.fromkeys(hits))[:_SHOWN])))
        schema = {"row": pl.UInt32, "hits": pl.Int32, "detail": pl.String}
        worst = {"hits": (pl.col("hits").first(), 0), "detail": (pl.col("detail").first(), "")}
        return text.per_row(pl.DataFrame(lines, schema=schema, orient="row"), frame.height, worst)

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [] if self.max_hits is None else [("banned_words", pl.col("hits") > self.max_hits)]

    def _listed(self) -> tuple[str, ...]:
        return (*(_read(self.path) if self.path else ()), *self.words)


def _read(path: str) -> list[str]:
    """The lines of a list. Raises InputError for a file that is missing, empty or not UTF-8."""
    file = Path(path).expanduser()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"no such file: {path}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    if not any(line.strip() for line in lines):
        raise InputError(f"{path} is empty; one word or phrase a line is expected")
    return lines


@lru_cache(maxsize=4)
def _compiled(listed: tuple[str, ...], clitics: bool) -> tuple[list[str], dict[str, list[re.Pattern[str]]]]:
    """What to look for in all texts, and for each of these the patterns that may be there when it is."""
    guarded = pl.DataFrame({"phrase": [f"x {phrase} x" for phrase in listed]}, schema={"phrase": pl.String})
    keys = guarded.select(text.matching_key(pl.col("phrase"))).to_series().str.slice(1).str.head(-1).str.strip_chars()
    patterns: dict[str, list[re.Pattern[str]]] = {}
    for phrase in dict.fromkeys(keys):
        stem, pattern = _pattern(phrase, clitics)
        if stem:
            patterns.setdefault(stem, []).append(re.compile(pattern))
    return list(patterns), patterns


def _pattern(phrase: str, clitics: bool) -> tuple[str, str]:
    """A part that stands wherever the phrase does, and the phrase as a pattern over folded texts."""
    if re.search(_UNSPACED, phrase):
        return phrase, re.escape(phrase)
    if re.search(r"[^\w\s'’.\-]", phrase):  # `a$$`: the sign is a letter here
        before = _NO_LETTER_BEFORE if phrase[0].isalnum() else ""
        after = _NO_LETTER_AFTER if phrase[-1].isalnum() else ""
        return phrase, before + re.escape(phrase) + after
    words = [word for word in re.split(_GAP, phrase) if word]
    if not words:
        return "", ""
    spelt = [re.escape(word) for word in words]
    stem = max(words, key=len)
    if clitics and _ARABIC_WORD.fullmatch(words[0]):
        spelt[0] = _BEFORE + spelt[0]
    if clitics and _ARABIC_WORD.fullmatch(words[-1]):
        feminine = words[-1].endswith("ه")  # ta marbuta, folded; before a pronoun it is written ت
        spelt[-1] = f"{spelt[-1][:-1]}(?:ه|ت{_AFTER[:-1]})" if feminine else spelt[-1] + _AFTER
        stem = stem[:-1] if feminine and stem == words[-1] else stem
    return stem, _NO_LETTER_BEFORE + _GAP.join(spelt) + _NO_LETTER_AFTER
