"""The ledger: for every stage and source, rows in = kept + dropped[reason] + failed[reason]."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from hala_factory.errors import BuildError
from hala_factory.rows import LEDGER


@dataclass
class Tally:
    """The counts of one source in one stage; reasons are `step.reason`."""

    rows_in: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows_in + other.rows_in,
            self.kept + other.kept,
            self.dropped + other.dropped,
            self.failed + other.failed,
        )

    @property
    def out(self) -> int:
        """Rows that are accounted for."""
        return self.kept + self.dropped.total() + self.failed.total()

    def told(self) -> dict[str, Any]:
        """The counts as the manifest and `--json` show them."""
        return {
            "in": self.rows_in,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "failed": dict(sorted(self.failed.items())),
        }

    @classmethod
    def read(cls, told: dict[str, Any]) -> Tally:
        """The counts of a record."""
        return cls(told["in"], told["kept"], Counter(told["dropped"]), Counter(told["failed"]))


class Ledger(dict[str, Tally]):
    """Tallies by source."""

    def take(self, frame: pl.DataFrame) -> None:
        """Count rows that came in."""
        for source, n in frame.get_column("source").value_counts().iter_rows():
            self.setdefault(source, Tally()).rows_in += n

    def keep(self, frame: pl.DataFrame) -> None:
        """Count rows that pass."""
        for source, n in frame.get_column("source").value_counts().iter_rows():
            self.setdefault(source, Tally()).kept += n

    def lose(self, frame: pl.DataFrame) -> None:
        """Count rows that were dropped or failed."""
        for source, status, step, reason, n in frame.group_by("source", "status", "step", "reason").len().iter_rows():
            tally = self.setdefault(source, Tally())
            (tally.dropped if status == "dropped" else tally.failed)[f"{step}.{reason}"] += n

    @property
    def total(self) -> Tally:
        """All sources together."""
        return sum(self.values(), Tally())

    def told(self) -> dict[str, Any]:
        """`rows` of all sources, and `sources`."""
        return {"rows": self.total.told(), "sources": {s: t.told() for s, t in sorted(self.items())}}

    @classmethod
    def read(cls, records: list[dict[str, Any]]) -> Ledger:
        """The sum of several records."""
        made = cls()
        for record in records:
            for source, told in record["sources"].items():
                made[source] = made.get(source, Tally()) + Tally.read(told)
        return made

    def balance(self, where: str) -> None:
        """Raise BuildError if a row is unaccounted for."""
        for source, tally in self.items():
            if tally.rows_in != tally.out:
                raise BuildError(
                    f"{where}: {source}: the ledger does not balance: {tally.rows_in} rows in, but "
                    f"{tally.kept} kept + {tally.dropped.total()} dropped + {tally.failed.total()} failed "
                    f"= {tally.out}; "
                    "this is a defect of hala-factory: nothing was published"
                )


def lost(
    frame: pl.DataFrame, status: str, step: str, reason: pl.Expr | str, detail: pl.Expr | None = None
) -> pl.DataFrame:
    """`frame` with the ledger's columns: `status`, `step`, `reason`, `detail`."""
    reason = pl.lit(reason) if isinstance(reason, str) else reason
    columns = (pl.lit(status), pl.lit(step), reason, pl.lit(None) if detail is None else detail)
    return frame.with_columns(c.cast(t).alias(n) for c, (n, t) in zip(columns, LEDGER.items(), strict=True))
