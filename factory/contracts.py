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
    """Bounds on how many rows of a group are dropped, fail or are kept; a build that breaks one is not published."""

    per: Per = "corpus"
    """The groups: all rows together, each source, each language (as the first `language` step measured it), or each
    class of length (characters of the text as it came in)."""
    group: str | None = None
    """Hold this one group to it, by its name, whether it has rows or not; every group if not given."""
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
    expect_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of a group that are expected to be kept, e.g. as a paper reports them. Not judged where only some rows are
    read: of samples, by a profile with a `limit` or sources of its own, and by `--limit`."""
    within: Share | None = None
    """By which share of them the kept rows may differ from `expect_rows`; 0.05 if not given."""
    soft: bool = False
    """A break is told as a warning, in the build's answer, manifest, card and report, and stops nothing."""
    min_rows: Annotated[int, Field(ge=1)] = 100
    """Shares are judged in groups of at least so many rows: one row is 1 % of this."""

    @model_validator(mode="after")
    def _says_something(self) -> Contract:
        bounds = ("max_drop_share", "max_fail_share", "max_drop_change", "min_kept", "expect_rows")
        if all(getattr(self, b) is None for b in bounds):
            raise FieldError("per", f"a contract needs a bound: {', '.join(bounds)}")
        if self.within is not None and self.expect_rows is None:
            raise FieldError("within", "'within' is of 'expect_rows': say how many rows are expected")
        if self.group is not None and self.per == "corpus":
            raise FieldError("group", "'group' needs 'per: source', 'language' or 'length'")
        return self

    @property
    def expected(self) -> tuple[float, float] | None:
        """The fewest and the most rows that are as expected."""
        if self.expect_rows is None:
            return None
        share = WITHIN if self.within is None else self.within
        return self.expect_rows * (1 - share), self.expect_rows * (1 + share)

    def words(self) -> str:
        """The contract as a sentence."""
        group = "of all rows" if self.per == "corpus" else f"of the rows of each {self.per}"
        if self.group is not None:
            group = f"of the rows of {self.group}"
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
        if self.expect_rows is not None:
            share = WITHIN if self.within is None else self.within
            said.append(f"{self.expect_rows:,} {group} are kept, give or take {_percent(share)}")
        return "; ".join(said)


WITHIN = 0.05
"""Share by which a count may differ from what is expected: our choice, as a corpus that is read again at another
revision differs by some percent."""


@dataclass(frozen=True)
class Breach:
    """One group that breaks one contract."""

    contract: Contract
    group: str
    what: str
    """`dropped`, `failed`, `change`, `kept` or `expected`."""
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


def breaches(
    contracts: tuple[Contract, ...], rates: Rates, last: Rates | None, *, counted: bool = True
) -> list[Breach]:
    """Every group that breaks a contract, in the order of the contracts; `last` are the rates of the last version.

    Unless rows are `counted`, as only some were read, expected counts are not judged.
    """
    found = []
    for contract in contracts:
        groups = dict(rates[contract.per])
        if contract.group is not None:
            groups = {contract.group: groups.get(contract.group, _NONE)}
        for group, counts in groups.items():
            before = (last or {}).get(contract.per, {}).get(group)
            found += _broken(contract, group, counts, before, counted=counted)
    return found


_NONE: Mapping[str, Any] = {"in": 0, "kept": 0, "dropped": {}, "failed": {}}


def _broken(
    contract: Contract, group: str, counts: Mapping[str, Any], last: Mapping[str, Any] | None, *, counted: bool
) -> list[Breach]:
    found = []
    if contract.expected is not None and counted:
        least, most = contract.expected
        if not least <= counts["kept"] <= most:
            found.append(Breach(contract, group, "expected", counts["kept"], contract.expect_rows or 0, counts))
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
            case "expected":
                low, high = contract.expected or (0, 0)
                found, asked = f"{breach.found:,.0f} kept", f"{low:,.0f} to {high:,.0f}"
            case "change":
                now = _percent(share(counts, "dropped", contract.step))
                found, asked = f"{now} dropped, was {_percent(breach.before or 0)}", f"± {_percent(breach.bound)}"
            case _:
                found, asked = f"{_percent(breach.found)} {breach.what}", f"≤ {_percent(breach.bound)}"
        lines.append([breach.group, f"{counts['in']:,}", found, asked, ", ".join(f"{r} {n:,}" for r, n in most)])
    return ["group", "rows in", "found", "asked", "most by"], lines


def warning(broken: list[Breach]) -> str:
    """The breaches of one soft contract in a sentence."""
    _, lines = table(broken)
    said = "; ".join(f"{group}: {found}, asked {asked}" for group, _, found, asked, _ in lines)
    return f"{broken[0].contract.words()}: {said}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
