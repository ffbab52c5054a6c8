"""The bill of a build: what its models were paid, and what the answers in store would have cost."""

from __future__ import annotations

from hala_factory.catalog import Price
from hala_factory.generate.asking import Counts


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
