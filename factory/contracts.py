"""Contracts: what a recipe asks of its own drop rates, and the tables that show where they are broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hala_factory.documented import Documented
from hala_factory.validation import FieldError

Per = Literal["corpus", "source", "language", "length"]
Share = Annotated[float, Field(ge=0, le=1)]
Rates = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Per → group → `in`, `kept`, `dropped` and `failed` (each `step.reason` → rows), as manifests hold them."""


class Contract(Documented):
    """Bounds on how many rows of a group are dropped or fail; a build that breaks one is not published."""

    per: Per = "corpus"
    """The groups: all rows together, each source, each language (as the first `language` step measured it), or each
    class of length (characters of the text as it came in)."""
    step: str | None = None
    """Count only what this step drops or fails; every step if not given."""
    max_drop_share: Share | None = None
    """Largest share of a group's rows that may be dropped."""
    max_fail_share: Share | None = None
    """Largest share that may fail."""
    max_drop_change: Share | None = None
    """Most by which the dropped share may rise or fall against the last version built with the same profile."""
    min_kept: Annotated[int, Field(ge=1)] | None = None
    """Fewest rows of a group that must be kept."""
    min_rows: Annotated[int, Field(ge=1)] = 100
    """Shares are judged in groups of at least so many rows: one row is 1 % of this."""

    @model_validator(mode="after")
    def _says_something(self) -> Contract:
        bounds = ("max_drop_share", "max_fail_share", "max_drop_change", "min_kept")
        if all(getattr(self, b) is None for b in bounds):
            raise FieldError("per", f"a contract needs a bound: {', '.join(bounds)}")
        return self

    def words(self) -> str:
        """The contract as a sentence."""
        group = "of all rows" if self.per == "corpus" else f"of the rows of each {_GROUP[self.per]}"
        by = f" by {self.step!r}" if self.step else ""
        said = []
        if self.max_drop_share is not None:
            said.append(f"at most {_percent(self.max_drop_share)} {group} are dropped{by}")
        if self.max_fail_share is not None:
            said.append(f"at most {_percent(self.max_fail_share)} {group} fail{by}")
        if self.max_drop_change is not None:
            said.append(f"the share {group} dropped{by} changes by at most {_percent(self.max_drop_change)}")
        if self.min_kept is not None:
            said.append(f"at least {self.min_kept:,} {group} are kept")
        return "; ".join(said)


_GROUP = {"source": "source", "language": "language", "length": "length"}


@dataclass(frozen=True)
class Breach:
    """One group that breaks one contract."""

    contract: Contract
    group: str
    what: str
    """`dropped`, `failed`, `change` or `kept`."""
    found: float
    bound: float
    counts: Mapping[str, Any]
    before: float | None = None
    """The dropped share of the last version, for a change."""

    def told(self) -> dict[str, Any]:
        """The breach for `--json`."""
        return {
            "contract": self.contract.model_dump(mode="json", exclude_none=True),
            "group": self.group,
            "what": self.what,
            "found": self.found,
            "bound": self.bound,
            "before": self.before,
            "rows": dict(self.counts),
        }


def breaches(contracts: tuple[Contract, ...], rates: Rates, last: Rates | None) -> list[Breach]:
    """Every group that breaks a contract, in the order of the contracts; `last` are the rates of the last version."""
    found = []
    for contract in contracts:
        for group, counts in rates[contract.per].items():
            found += _broken(contract, group, counts, (last or {}).get(contract.per, {}).get(group))
    return found


def _broken(contract: Contract, group: str, counts: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[Breach]:
    found = []
    if contract.min_kept is not None and counts["kept"] < contract.min_kept:
        found.append(Breach(contract, group, "kept", counts["kept"], contract.min_kept, counts))
    if counts["in"] < contract.min_rows:
        return found
    dropped, failed = (share(counts, status, contract.step) for status in ("dropped", "failed"))
    if contract.max_drop_share is not None and dropped > contract.max_drop_share:
        found.append(Breach(contract, group, "dropped", dropped, contract.max_drop_share, counts))
    if contract.max_fail_share is not None and failed > contract.max_fail_share:
        found.append(Breach(contract, group, "failed", failed, contract.max_fail_share, counts))
    if contract.max_drop_change is not None and last is not None and last["in"] >= contract.min_rows:
        before = share(last, "dropped", contract.step)
        if abs(dropped - before) > contract.max_drop_change:
            found.append(Breach(contract, group, "change", dropped - before, contract.max_drop_change, counts, before))
    return found


def share(counts: Mapping[str, Any], status: str, step: str | None) -> float:
    """The share of a group's rows that were dropped or failed, by one step or by all."""
    gone = sum(n for reason, n in counts[status].items() if step is None or reason.split(".")[0] == step)
    return float(gone / counts["in"]) if counts["in"] else 0.0


def table(broken: list[Breach]) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table that shows why."""
    lines = []
    for breach in broken:
        counts, contract = breach.counts, breach.contract
        reasons = Counter({**counts["dropped"], **{f"{r} (failed)": n for r, n in counts["failed"].items()}})
        most = [(r, n) for r, n in reasons.most_common() if contract.step in (None, r.split(".")[0])][:3]
        match breach.what:
            case "kept":
                found, asked = f"{breach.found:,.0f} kept", f"≥ {breach.bound:,.0f}"
            case "change":
                now = _percent(share(counts, "dropped", contract.step))
                found, asked = f"{now} dropped, was {_percent(breach.before or 0)}", f"± {_percent(breach.bound)}"
            case _:
                found, asked = f"{_percent(breach.found)} {breach.what}", f"≤ {_percent(breach.bound)}"
        lines.append([breach.group, f"{counts['in']:,}", found, asked, ", ".join(f"{r} {n:,}" for r, n in most)])
    return ["group", "rows in", "found", "asked", "most by"], lines


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
