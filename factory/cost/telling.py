"""A plan's cost in words for people, and in numbers for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hala_factory.cost.band import Band, total
from hala_factory.cost.estimate import Asked, Cost, Money, step_of
from hala_factory.cost.rows import COUNTED
from hala_factory.plan import Plan
from hala_factory.tables import table

UNKNOWN = "unknown"
_FINE = {"hours": 4, "money": 6, "speed": 2}
"""Decimals in `--json`; counts have none."""


def hits(cost: Cost) -> dict[str, int] | None:
    """How many of the questions are stored; None where no rows are there to look them up."""
    if cost.questions is None or not cost.looked_up or (cost.rows and cost.rows.how != COUNTED):
        return {"questions": 0, "looked_up": 0, "stored": 0} if cost.questions == Band.exact(0) else None
    return {"questions": round(cost.questions.expected), "looked_up": cost.looked_up, "stored": cost.stored}


def tell_hits(hits: Mapping[str, int]) -> str:
    """The hits in words: `all of 20 questions stored`, `about 12,000 questions, 83 % stored (of 500 looked up)`."""
    questions, looked_up, stored = hits["questions"], hits["looked_up"], hits["stored"]
    if looked_up == questions:
        which = {questions: "all", 0: "none"}.get(stored, f"{stored:,}") if questions else "none"
        return f"{which} of {questions:,} questions stored"
    share = 100 * stored // max(1, looked_up)
    return f"about {questions:,} questions, {share} % stored (of {looked_up:,} looked up)"


def told(cost: Cost) -> dict[str, Any]:
    """The cost of a stage for `plan --json`: every number a number, a band as expected, low and high."""
    rows = cost.rows
    return {
        "rows": _band(rows.count if rows else None),
        "rows_upper_bound": rows.upper_bound if rows else None,
        "rows_from": rows.how if rows else "not known: a source does not say how many rows it has",
        "questions": _band(cost.questions),
        "models": [_asked(each) for each in cost.models],
    }


def _asked(each: Asked) -> dict[str, Any]:
    return {
        "field": each.field,
        "model": each.model,
        "engine": each.engine,
        "requests": _band(each.requests),
        "prompt_tokens": _band(each.prompt_tokens),
        "output_tokens": _band(each.output_tokens),
        "to_pay": {"prompt_tokens": _band(each.fresh_prompt), "output_tokens": _band(each.fresh_output)},
        "stored": {"prompt_tokens": _band(each.saved_prompt), "output_tokens": _band(each.saved_output)},
        "output_per_second": _band(each.output_per_second, _FINE["speed"]),
        "hours": _band(each.hours, _FINE["hours"]),
        "gpu_hours": _band(each.gpu_hours, _FINE["hours"]),
        "money": _money(each.money),
        "saved": _money(each.saved),
        "from": {"tokens": each.tokens_from, "speed": each.speed_from, "price": each.price_from},
    }


def summed(plan: Plan, costs: Mapping[str, Cost]) -> dict[str, Any]:
    """What the whole plan is to cost, as numbers: hours, GPU-hours, `money` and `saved` by currency, and gaps."""
    models = [each for cost in costs.values() for each in cost.models]
    unknown = [f"{name}: {each.model}" for name, cost in costs.items() for each in cost.models if _is_open(each)]
    if plan.corpus.status == "stored":
        return {"nothing_to_pay": True, "unknown": [], **stored(plan)}
    return {
        "nothing_to_pay": not unknown and all(_is_free(each) for each in models),
        "unknown": unknown,
        "hours": _band(total(each.hours for each in models if each.hours), _FINE["hours"]),
        "gpu_hours": _band(total(each.gpu_hours for each in models if each.gpu_hours), _FINE["hours"]),
        "money": _by_currency(each.money for each in models),
        "saved": _by_currency(each.saved for each in models),
        "stored_tokens": {
            "prompt": _band(total(each.saved_prompt for each in models if each.saved_prompt)),
            "output": _band(total(each.saved_output for each in models if each.saved_output)),
        },
    }


def stored(plan: Plan) -> dict[str, Any]:
    """What the answers of a corpus that stands took, and would cost again."""
    took = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}
    saved: dict[str, float] = {}
    names = {stage.name: stage for stage in plan.stages if stage.kind == "ask"}
    for record in (plan.manifest or {}).get("stages", []):
        for field, spent in record.get("generation", {}).items():
            for word in took:
                took[word] += spent[word]
            stage = names.get(record["name"])
            if stage is None:
                continue
            _, model = plan.ready.model(step_of(stage).asked()[field])
            if (price := model.price_per_million) is not None:
                amount = price.of(spent["prompt_tokens"], spent["output_tokens"])
                saved[price.currency] = saved.get(price.currency, 0.0) + amount
    return {"stored": took, "saved": {currency: round(amount, 6) for currency, amount in sorted(saved.items())}}


def tell(plan: Plan, costs: Mapping[str, Cost]) -> str:
    """The cost of a plan: a table of what is asked, how that is known, and what is to be paid."""
    if plan.corpus.status == "stored":
        return _tell_stored(stored(plan))
    if not costs:
        return "no model is to be asked: nothing to pay"
    lines, how = [], []
    for name, cost in costs.items():
        for each in cost.models:
            lines.append(_line(name, cost, each))
            how += [f"{name}, {each.model}", *(f"  {what:<8}  {said}" for what, said in _how(cost, each).items())]
    head = ["asks", "model", "rows", "requests", "prompt tokens", "output tokens", "tokens/s", "hours", "money"]
    return "\n".join([table(head, lines), "", *how, "", _tell_sum(summed(plan, costs))])


def tell_compared(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """For `show` and the card, a line for every model: what was predicted, and what it was."""
    lines = []
    for each in compared:
        predicted, actual = each["predicted"], each["actual"]
        paid = actual["money"] or {}
        said = [
            _against("tokens", _tokens(predicted), _tokens(actual)),
            _against("hours", _middle(predicted["hours"]), actual["hours"]),
            _against(paid.get("currency", ""), _middle(predicted["money"]), paid.get("amount")),
        ]
        lines.append(f"{each['stage']}, {each['model']}: {'; '.join(part for part in said if part)}")
    return lines


def _against(what: str, predicted: float | None, actual: float | None) -> str:
    if actual is None:
        return ""
    off = f" ({actual / predicted - 1:+.0%})" if predicted and actual else ""
    return f"{short(actual)} {what}, {UNKNOWN if predicted is None else short(predicted)} predicted{off}"


def _tokens(said: Mapping[str, Any]) -> float | None:
    found = [said["prompt_tokens"], said["output_tokens"]]
    if None in found:
        return None
    return float(sum(each["expected"] if isinstance(each, dict) else each for each in found))


def _middle(band: Mapping[str, Any] | None) -> float | None:
    return None if band is None else float(band["expected"])


def _line(name: str, cost: Cost, each: Asked) -> list[str]:
    most = bool(cost.rows and cost.rows.upper_bound)
    free = each.engine == "recorded"
    return [
        name,
        each.model,
        banded(cost.rows.count if cost.rows else None, most=most),
        banded(each.requests, most=most),
        "none" if free else banded(each.fresh_prompt, most=most),
        "none" if free else banded(each.fresh_output, most=most),
        "" if free else (short(each.output_per_second.expected) if each.output_per_second else UNKNOWN),
        "" if free else banded(each.hours, most=most),
        "none" if each.engine in ("recorded", "local") else _amount(each.money, most=most),
    ]


def _how(cost: Cost, each: Asked) -> dict[str, str]:
    """How it is known, by what."""
    found = {}
    if cost.rows and cost.rows.how != COUNTED:
        found["rows"] = cost.rows.how
    if each.engine == "recorded":
        return {**found, "tokens": "none: recorded answers"}
    found["tokens"] = each.tokens_from
    if each.saved_output and each.saved_output.expected:
        saved = total([each.saved_output, each.saved_prompt or Band.exact(0)])
        found["stored"] = f"{short(saved.expected)} tokens, which are not paid again"
    if each.output_per_second:
        found["tokens/s"] = each.speed_from
    if each.money is not None:
        found["money"] = each.price_from
    return found


def _tell_sum(sum_: Mapping[str, Any]) -> str:
    saved = ", ".join(f"{_shown(band)} {currency}" for currency, band in sum_["saved"].items() if band["expected"])
    saved = f"; the store saves {saved}" if saved else ""
    if sum_["nothing_to_pay"]:
        return f"nothing to pay{saved}"
    parts = [f"{_shown(band)} {currency}" for currency, band in sum_["money"].items()]
    if (gpu := sum_["gpu_hours"]) and gpu["expected"]:
        parts.append(f"{_shown(gpu)} GPU-hours")
    elif sum_["hours"] and sum_["hours"]["expected"]:
        parts.append(f"{_shown(sum_['hours'])} hours")
    told = f"to pay: {', '.join(parts)}" if parts else "to pay: unknown"
    if sum_["unknown"]:
        told += (
            f"{saved}; not known in full for {', '.join(sum_['unknown'])} (--calibrate measures tokens and tokens/s)"
        )
        return told
    return told + saved


def _tell_stored(sum_: Mapping[str, Any]) -> str:
    took = sum_["stored"]
    money = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sum_["saved"].items())
    if not took["requests"]:
        return "everything is stored: nothing to pay"
    answers = f"{took['requests']:,} answers"
    tokens = took["prompt_tokens"] + took["output_tokens"]
    answers += f" of {short(tokens)} tokens" if tokens else ""
    return f"everything is stored: nothing to pay; {answers}{f' worth {money}' if money else ''} stand already"


def _is_open(each: Asked) -> bool:
    """Whether something is not known that decides what is paid."""
    if each.engine == "recorded":
        return False
    return each.fresh_output is None or (each.money is None and each.hours is None)


def _is_free(each: Asked) -> bool:
    paid = [band for band in (each.fresh_prompt, each.fresh_output) if band is not None]
    return each.engine == "recorded" or not any(band.high for band in paid)


def _by_currency(money: Iterable[Money | None]) -> dict[str, Any]:
    found: dict[str, list[Band]] = {}
    for each in money:
        if each is not None:
            found.setdefault(each.currency, []).append(each.amount)
    return {currency: total(bands).told(_FINE["money"]) for currency, bands in sorted(found.items())}


def _band(band: Band | None, digits: int = 0) -> dict[str, float] | None:
    return None if band is None else band.told(digits)


def _money(money: Money | None) -> dict[str, Any] | None:
    return None if money is None else {**money.amount.told(_FINE["money"]), "currency": money.currency}


def _amount(money: Money | None, *, most: bool) -> str:
    return UNKNOWN if money is None else f"{banded(money.amount, most=most)} {money.currency}"


def _shown(band: Mapping[str, float]) -> str:
    return banded(Band(band["expected"], band["low"], band["high"]), most=not band["low"] and bool(band["high"]))


def banded(band: Band | None, *, most: bool = False) -> str:
    """`1.2 M (1.1 M–1.4 M)`; one number where it is known to the digits shown, `≤ 1.4 M` where it is only a bound."""
    if band is None:
        return UNKNOWN
    if most:
        return f"≤ {short(band.high)}"
    low, middle, high = (short(n) for n in (band.low, band.expected, band.high))
    return middle if low == middle == high else f"{middle} ({low}–{high})"


def short(number: float) -> str:
    """A number in two or three digits: `0.042`, `7.3`, `950`, `12.4 k`, `1.2 M`."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= 0.9995 * size:
            scaled = number / (size if letter != " k" else 1e3)
            return f"{scaled:,.0f}{letter}" if scaled >= 100 else f"{scaled:.1f}{letter}"
    if number >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 1 else f"{number:.2g}"
