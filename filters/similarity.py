"""Similarity: how close a translation's meaning is to its source's, by a multilingual sentence encoder."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from hala_factory import encoder, rows, text
from hala_factory.step import Columns, Filter, TextPath, register


@register
class Similarity(Filter):
    """Drop rows in which a message does not mean what its source means, by the cosine of their sentence embeddings.

    The encoder is a checkpoint of BERT or XLM-R (LaBSE, multilingual E5, paraphrase-multilingual-MiniLM, …), run on
    the processor. Each model has a scale of its own: E5 has even unlike sentences at 0.7. A text is cut at the
    longest that the model takes. A message that is empty on one side has the similarity 0, one that is empty on
    both 1; a row has that of its worst message. Needs the extra `local`.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The bakery opens at seven. → يفتح المخبز في السابعة.",
        "dropped": "The bakery opens at seven. → هطل المطر طوال الليل.",
    }

    step: Literal["similarity"] = "similarity"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    model: str
    """The encoder: a folder with its checkpoint, or its id on the Hub (`sentence-transformers/LaBSE`)."""
    commit: str | None = None
    """The commit of a model on the Hub, 40 hex digits."""
    pooling: encoder.Pooling | None = None
    """How the states of tokens become one: their mean, or the first (`cls`); as the checkpoint says if not given."""
    prefix: str = ""
    """Put before every text; E5 wants `query: `."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = 0.5
    """Smallest cosine."""  # OpusFilter's and OpusCleaner's default for LASER

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        wrong = encoder.faults(self.model, self.commit)
        return super().faults(columns) + ([("model", wrong)] if wrong else [])

    def contents(self) -> dict[str, Any]:
        """The model, of which its commit is a part."""
        return {"model": encoder.identity(self.model, self.commit), "commit": None}

    def measures(self) -> Columns:
        return {"cosine": pl.Float32()}

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target).with_columns(
            pl.col("source").str.strip_chars(), pl.col("target").str.strip_chars()
        )
        source, target = pl.col("source") != "", pl.col("target") != ""
        full = pairs.filter(source & target)
        cosines = pl.Series("cosine", self._cosines(full), dtype=pl.Float64)
        told = full.select("row", cosines).with_columns(text.measured(pl.col("cosine")))
        bare = pairs.filter(source != target).select("row", cosine=pl.lit(0.0, pl.Float32))
        return text.per_row(pl.concat([told, bare]), frame.height, {"cosine": (pl.col("cosine").min(), 1.0)})

    def _cosines(self, pairs: pl.DataFrame) -> list[float]:
        """The cosine of every pair; a text that stands several times is encoded once."""
        if not pairs.height:
            return []
        distinct = sorted({*pairs["source"], *pairs["target"]})
        found = encoder.load(self.model, self.commit, self.pooling).embed([self.prefix + t for t in distinct])
        number = {t: n for n, t in enumerate(distinct)}
        sides = [found[[number[t] for t in pairs[side]]].astype(np.float64) for side in ("source", "target")]
        cosines: list[float] = np.clip((sides[0] * sides[1]).sum(axis=1), -1, 1).tolist()
        return cosines

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [] if self.min_similarity is None else [("unlike", pl.col("cosine") < self.min_similarity)]
