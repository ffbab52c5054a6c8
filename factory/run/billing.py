"""The bill of a build: what it may cost, what its models were paid, and what the answers in store would have cost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hala_factory.catalog import Price
from hala_factory.errors import InputError
from hala_factory.generate.asking import Counts
from hala_factory.generate.budget import Budget
from hala_factory.plan import Plan
from hala_factory.step import Ask

UNPAID = {"recorded", "batch"}
"""Engines whose answers come from files: a build pays nobody for them."""
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]{3})?")


class Bill:
    """Money by currency, of the models whose price per token the catalog knows."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.saved: dict[str, float] = {}

    def add(self, price: Price | None, counts: Counts) -> None:
        """Put what one model did on the bill."""
        if price is None:
            return
        for money, prompt, output in (
            (self.spent, counts.prompt_tokens, counts.output_tokens),
            (self.saved, counts.saved_prompt_tokens, counts.saved_output_tokens),
        ):
            money[price.currency] = money.get(price.currency, 0.0) + price.of(prompt, output)

    def told(self) -> dict[str, dict[str, float]]:
        """`spent` and `saved`, each by currency, to a millionth; nothing where no model has a price."""
        if not self.spent:
            return {}
        return {
            word: {currency: round(amount, 6) for currency, amount in sorted(money.items())}
            for word, money in (("spent", self.spent), ("saved", self.saved))
        }


def budget_of(
    plan: Plan, *, max_tokens: int | None = None, max_hours: float | None = None, max_cost: Sequence[str] = ()
) -> Budget | None:
    """The budget of a build, None where nothing is limited. `max_cost` has amounts as people write them: `5`, `5EUR`.

    Raises InputError for an amount that is none, for a model that is to be asked and has no price, and for
    currencies that leave open what may be spent.
    """
    if not (max_tokens or max_hours or max_cost):
        return None
    return Budget(max_tokens=max_tokens, max_hours=max_hours, max_cost=_limits(plan, max_cost) if max_cost else None)


def _limits(plan: Plan, amounts: Sequence[str]) -> dict[str, float]:
    """What may be spent, by currency."""
    prices = _prices(plan)
    paid_in = sorted({price.currency for price in prices.values()})
    limits: dict[str, float] = {}
    for written in amounts:
        match = _AMOUNT.fullmatch(written.strip())
        if match is None:
            raise InputError(f"--max-cost {written!r}: expected an amount, e.g. 5, 2.50 or 5EUR")
        currency = (match[2] or "").upper()
        if not currency:
            if len(paid_in) > 1:
                these = " ".join(f"--max-cost {match[1]}{c}" for c in paid_in)
                raise InputError(
                    f"--max-cost {written}: the models are paid in {' and '.join(paid_in)}, which are not added up; "
                    f"give an amount in each: {these}"
                )
            currency = paid_in[0] if paid_in else "USD"
        if currency in limits:
            raise InputError(f"--max-cost: two amounts in {currency}; give one")
        if paid_in and currency not in paid_in:
            raise InputError(
                f"--max-cost {written}: no model that is to be asked is paid in {currency}; {_told(prices)}"
            )
        limits[currency] = float(match[1])
    if missing := [c for c in paid_in if c not in limits]:
        raise InputError(f"--max-cost: no amount in {' and '.join(missing)}; {_told(prices)}")
    return limits


def _prices(plan: Plan) -> dict[str, Price]:
    """The prices of the models that are to be asked. Raises InputError for one without."""
    prices: dict[str, Price] = {}
    without = []
    stages = [] if plan.corpus.status == "stored" else [s for s in plan.stages if s.status != "stored"]
    for name in dict.fromkeys(m for s in stages for t in s.steps if isinstance(t, Ask) for m in t.asked().values()):
        called, model = plan.ready.model(name)
        if model.engine in UNPAID:
            continue
        if model.price_per_million is None:
            without.append(called)
        else:
            prices[called] = model.price_per_million
    if without:
        models = ", ".join(map(repr, dict.fromkeys(without)))
        raise InputError(
            f"--max-cost: no price in the catalog for {models}; add to each, for a million tokens: "
            "price_per_million: {prompt: 0.15, output: 0.60} (0 where tokens cost nothing), or use --max-tokens"
        )
    return prices


def _told(prices: dict[str, Price]) -> str:
    return ", ".join(f"{name!r} is paid in {price.currency}" for name, price in prices.items())
