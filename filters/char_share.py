"""Character share: how much of a text is symbols, digits, capitals, white space, or nothing that can be seen."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from hala_factory import rows, text
from hala_factory.step import Columns, Count, Filter, Share, TextPath, register

# A joiner inside a word and the marks of direction are not seen either, but belong to text (`clean_text` counts them).
_UNPRINTABLE = r"[\p{Cc}\p{Co}\x{ad}\x{fff9}-\x{ffff}\x{feff}--\s]"


@register
class CharShare(Filter):
    """Drop texts of which too large a part is symbols, digits, capitals, white space or unprintable characters.

    `symbols` and `digits` are shares of the visible characters, `capitals` of those that are neither (letters of
    any script), `space` and `unprintable` of all characters. Code, formulas, addresses and tags are left out unless
    `outside_code` is false. A text with fewer than `min_chars` visible characters is not judged: `2 + 2 = 4` and
    «OK!» are fine.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "The answer is 2 + 2 = 4, and not 5!",
        "dropped": "~~~*** === BUY NOW === ***~~~ !!! >>> @@@ <<< !!!",
    }

    revision: ClassVar[int] = 2

    step: Literal["char_share"] = "char_share"
    on: TextPath = "messages"
    outside_code: bool = True
    """Count outside fenced and inline code, formulas, web addresses and tags only."""
    min_chars: Count | None = 20
    """Fewest visible characters of a text that is judged."""
    # 99.9 % of Alpaca, GSM8K, TICO-19, Tatoeba, MT-GenEval, T0 and code are below 0.32, 0.35, 0.44 and 0.45.
    max_symbols: Share | None = 0.4
    """Largest share of visible characters that are neither letters, marks nor digits."""
    max_digits: Share | None = 0.5
    """Largest share of visible characters that are digits."""
    max_capitals: Share | None = 0.6
    """Largest share of letters that are capitals."""
    max_space: Share | None = 0.6
    """Largest share of white space."""  # the rows of Alpaca and of code sets: 0.45 at most
    max_unprintable: Share | None = 0.01
    """Largest share of control and private characters."""

    def measures(self) -> Columns:
        return {
            "chars": pl.Int32(),
            "symbols": pl.Float32(),
            "digits": pl.Float32(),
            "capitals": pl.Float32(),
            "space": pl.Float32(),
            "unprintable": pl.Float32(),
        }

    def measure(self, frame: pl.DataFrame) -> pl.DataFrame:
        whole = pl.col("text")
        texts = frame.select(text=text.prose(rows.text(self.on)) if self.outside_code else rows.text(self.on))
        counts = texts.select(
            all=whole.str.len_chars(),
            space=whole.str.count_matches(r"\s"),
            symbols=whole.str.count_matches(text.SYMBOL),
            digits=whole.str.count_matches(r"\p{Nd}"),
            capitals=whole.str.count_matches(r"\p{Lu}"),
            unprintable=whole.str.count_matches(_UNPRINTABLE),
        ).with_columns(visible=pl.col("all") - pl.col("space") - pl.col("unprintable"))
        symbols = pl.max_horizontal(pl.col("symbols").cast(pl.Int64) - pl.col("unprintable"), 0)
        return counts.select(
            chars=pl.col("visible").cast(pl.Int32),
            symbols=text.ratio(symbols, pl.col("visible")),
            digits=text.ratio(pl.col("digits"), pl.col("visible")),
            capitals=text.ratio(pl.col("capitals"), pl.col("visible") - symbols - pl.col("digits")),
            space=text.ratio(pl.col("space"), pl.col("all")),
            unprintable=text.ratio(pl.col("unprintable"), pl.col("all")),
        )

    def rules(self) -> list[tuple[str, pl.Expr]]:
        judged = pl.col("chars") >= (self.min_chars or 0)
        bounds = [
            ("unprintable", self.max_unprintable, pl.lit(True)),
            ("symbols", self.max_symbols, judged),
            ("digits", self.max_digits, judged),
            ("capitals", self.max_capitals, judged),
            ("space", self.max_space, judged),
        ]
        return [(name, where & (pl.col(name) > bound)) for name, bound, where in bounds if bound is not None]
