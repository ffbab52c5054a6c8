"""What became of the rows of a build, by source, language and length: what contracts are held against."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from hala_factory import contracts, rows
from hala_factory.contracts import Breach, Contract
from hala_factory.errors import BuildError
from hala_factory.plan import Plan
from hala_factory.run.ledger import Ledger
from hala_factory.step import Ask
from hala_factory.tables import table

LENGTHS = (100, 500, 2_000, 8_000)
"""Characters at which the next class of length begins."""
UNKNOWN = "not measured"


class Fates:
    """What became of each row, counted by language and length while the corpus is written."""

    def __init__(self, plan: Plan) -> None:
        steps = plan.ready.recipe.steps
        self._language = next((f"{s.label}.label" for s in steps if s.step == "language"), None)
        self._originals = [str(s.kept) for s in steps if isinstance(s, Ask) and hasattr(s, "kept")]
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def keep(self, frame: pl.DataFrame) -> None:
        """Count rows of the corpus."""
        self._take(frame, pl.lit("kept"), pl.lit(""))

    def lose(self, frame: pl.DataFrame) -> None:
        """Count rows that a stage dropped, or that failed in it, with the ledger's columns."""
        self._take(frame, pl.col("status"), pl.concat_str("step", pl.lit("."), "reason"))

    def _take(self, frame: pl.DataFrame, status: pl.Expr, why: pl.Expr) -> None:
        label = pl.col(self._language).fill_null(UNKNOWN) if self._language in frame.columns else pl.lit(UNKNOWN)
        held = [c for c in (*self._originals, "messages", "translation") if c in frame.columns]
        length = _class(pl.coalesce(_chars(c, frame.schema[c]) for c in held))
        told = frame.select(language=label, length=length, status=status, why=why)
        for *fate, n in told.group_by(pl.all()).len().iter_rows():
            self._counts[tuple(fate)] += n

    def rates(self, ledger: Ledger) -> contracts.Rates:
        """Per `corpus`, `source`, `language` and `length`: rows in, kept, dropped and failed by reason."""
        found: dict[str, dict[str, Any]] = {
            "corpus": {"all": ledger.total.told()},
            "source": {source: tally.told() for source, tally in sorted(ledger.items())},
            "language": {},
            "length": {},
        }
        for (language, length, status, why), n in sorted(self._counts.items()):
            for per, group in (("language", language), ("length", length)):
                counts = found[per].setdefault(group, {"in": 0, "kept": 0, "dropped": {}, "failed": {}})
                counts["in"] += n
                if status == "kept":
                    counts["kept"] += n
                else:
                    counts[status][why] = counts[status].get(why, 0) + n
        order = [_length(i) for i in range(len(LENGTHS) + 1)] + [UNKNOWN]
        found["length"] = dict(sorted(found["length"].items(), key=lambda item: order.index(item[0])))
        found["language"] = dict(sorted(found["language"].items(), key=lambda item: (-item[1]["in"], item[0])))
        return found


def _chars(column: str, dtype: pl.DataType) -> pl.Expr:
    """Characters of all texts of a column, null where it is."""
    if dtype == rows.MESSAGES:
        return pl.col(column).list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
    assert isinstance(dtype, pl.Struct)
    first = dtype.fields[0].name
    return pl.col(column).struct.field(first).str.len_chars()


def _class(chars: pl.Expr) -> pl.Expr:
    said = pl.lit(_length(len(LENGTHS)))
    for i in reversed(range(len(LENGTHS))):
        said = pl.when(chars < LENGTHS[i]).then(pl.lit(_length(i))).otherwise(said)
    return pl.when(chars.is_null()).then(pl.lit(UNKNOWN)).otherwise(said)


def _length(number: int) -> str:
    low = ("0", *(str(n) for n in LENGTHS))[number]
    return f"{low}-{LENGTHS[number] - 1} characters" if number < len(LENGTHS) else f"{low} characters or more"


def hold(plan: Plan, found: contracts.Rates) -> list[dict[str, Any]]:
    """Hold the recipe's contracts against the rates of its build; what the manifest says of them.

    A soft contract that is broken is told with its `broken` groups. Raises BuildError with the table that shows why,
    when another one is.
    """
    asked = tuple(c for c in plan.ready.recipe.contracts if isinstance(c, Contract))
    last = _last(plan)
    every = contracts.breaches(asked, found, last["rates"] if last else None, counted=not plan.ready.sliced)
    broken = [b for b in every if not b.contract.soft]
    against = f"{last['name']}@{last['version']}" if last else None
    if broken:
        which = [c for c in asked if any(b.contract is c for b in broken)]
        head, lines = contracts.table(broken)
        told = "\n".join(f"  {contract.words()}" for contract in which)
        compared = f" (the last version is {against})" if against else ""
        raise BuildError(
            f"{plan.artifact}: {len(which)} of {len(asked)} contracts of the recipe "
            f"{'is' if len(which) == 1 else 'are'} broken{compared}; nothing was published\n{told}\n\n"
            f"{table(head, lines)}"
        )
    sliced = plan.ready.sliced
    return [
        _told(c, against, [b for b in every if b.contract is c], judged=not (c.expected and sliced)) for c in asked
    ]


def _told(contract: Contract, against: str | None, broken: list[Breach], *, judged: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"contract": contract.model_dump(mode="json", exclude_none=True), "against": against}
    told |= {} if judged else {"judged": False}  # some other bound of it may have been
    return told | ({"broken": [b.told() for b in broken], "warning": contracts.warning(broken)} if broken else {})


def warnings_of(held: list[dict[str, Any]]) -> list[str]:
    """What soft contracts warn of, as the manifest tells it."""
    return [told["warning"] for told in held if "warning" in told]


def _last(plan: Plan) -> dict[str, Any] | None:
    """The manifest of the version that was built last with the same profile, from anything else than this plan."""
    versions = plan.store.versions(plan.ready.recipe.name)
    others = [
        m
        for m in versions
        if m["profile"] == plan.ready.profile and m["fingerprint"] != plan.corpus.fingerprint and "rates" in m
    ]
    return others[-1] if others else None
