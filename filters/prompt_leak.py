"""Prompt leak: the translator's own instruction in a translation."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import polars as pl

from hala_factory import phrases, rows, text
from hala_factory.step import Columns, Filter, Share, TextPath, register

_LETTER = re.compile(r"[^\W\d_]")
_SHORT = 3  # fewer letters than this beside a leaked instruction are no text
_MOSTLY = 0.6  # share of Arabic letters from which a text is Arabic; names in Latin letters are allowed for
_ASKED = 0.3  # the score of words that may ask for a translation of what stands beside them


@register
class PromptLeak(Filter):
    """Drop rows in which a message holds the translator's own instruction, a paraphrase of it, or its remarks.

    «كل ما يلي مترجم إلى العربية: …», «إليك الترجمة: …», «… (ملاحظة: قمت بترجمة النص)» are looked for at the
    beginning and the end of a text, in Arabic and English, by their parts (what follows × a verb × into Arabic),
    because what is leaked is a paraphrase, distorted as often as not. A source that speaks of translating may have a
    translation that does. Where there is no source, the message before it stands for one, and words that may ask for
    a translation («ترجم ما يلي إلى العربية: …») are no leak unless Arabic follows them. `form` tells where it stands:
    `prefix`, `suffix`, or `whole` if there is nothing else. A row has the score of its worst message. Of 1,896 user
    turns that one translator published, 31 leak; of 44,000 good pairs, none is dropped (`benchmarks/truth_leaks.py`).
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The lamp burns oil. → يحرق المصباح الزيت.",
        "dropped": "The lamp burns oil. → كل ما يلي مترجم إلى العربية: يحرق المصباح الزيت.",
    }

    step: Literal["prompt_leak"] = "prompt_leak"
    source: TextPath | None = "messages_en"
    """The texts that were translated; null: there are none, and only the target is looked at."""
    target: TextPath = "messages"
    """Their translations."""
    max_score: Share | None = 0.5
    """Largest score of a row that stays."""

    def paths(self) -> list[str]:
        return [path for path in (self.source, self.target) if path is not None]

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        return [fault for fault in super().faults(columns) if fault[0] != "source" or self.source is not None]

    def measures(self) -> Columns:
        return {"score": pl.Float32(), "form": pl.String()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        target = pl.col("target")
        ends = pl.concat_str(target.str.head(phrases.HEAD), target.str.tail(phrases.TAIL), separator="\n")
        looked_at = pl.when(target.str.len_bytes() > 2 * (phrases.HEAD + phrases.TAIL)).then(ends).otherwise(target)
        # Few texts speak of translating, of what follows, or of Arabic; the patterns are for them alone.
        lines = self._lines(frame).filter(looked_at.str.to_lowercase().str.contains(phrases.LEAK_HINT))
        found = [self._found(source, target) for source, target in lines.select("source", "target").iter_rows()]
        leaked = pl.DataFrame(found, schema={"score": pl.Float64, "form": pl.String}, orient="row")
        worst = {
            "score": (text.measured(pl.col("score").max()), 0.0),
            "form": (pl.col("form").get(pl.col("score").arg_max()), ""),
        }
        return text.per_row(pl.concat([lines.select("row"), leaked], how="horizontal"), frame.height, worst)

    def _found(self, source: str, target: str) -> tuple[float, str]:
        """Score and form of the surest leak in one text."""
        surest = (0.0, "")
        for leak, _, beside in phrases.leaks(source, target):
            letters = _LETTER.findall(beside)
            whole = len(letters) < _SHORT and len(target) <= phrases.TAIL
            score = leak.score if self.source is not None else leak.alone
            if self.source is None and leak.asks and (whole or not _mostly_arabic(beside)):
                score = min(score, _ASKED)
            if score > surest[0]:
                surest = (score, "whole" if whole else "prefix" if leak.place == "head" else "suffix")
        return surest

    def _lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`row`, `source`, `target`, one line per message; alone, a message has the one before it for its source."""
        if self.source is not None:
            return rows.text_pairs(frame, self.source, self.target)
        return phrases.turns(frame, self.target).rename({"before": "source", "said": "target"})

    def rules(self) -> list[tuple[str, pl.Expr]]:
        if self.max_score is None:
            return []
        leaked = pl.col("score") > self.max_score
        return [(f"leaked_{form}", leaked & (pl.col("form") == form)) for form in ("whole", "prefix", "suffix")]


def _mostly_arabic(beside: str) -> bool:
    letters: list[str] = _LETTER.findall(re.sub(text.PROTECTED.replace(r"\z", r"\Z"), " ", beside))
    arabic = sum("\u0600" <= letter <= "\u06ff" for letter in letters)
    return arabic >= _MOSTLY * len(letters)
