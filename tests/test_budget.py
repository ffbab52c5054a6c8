"""A budget: what it allows is spent and no more, what is stored costs nothing, and the same command goes on."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hala_factory.catalog import Model, Price
from hala_factory.errors import BuildError
from hala_factory.generate import vllm as vllm_module
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.asking import Asker
from hala_factory.generate.budget import AROUND, Budget, Purse, most_tokens
from hala_factory.generate.engines import Deferred, make_engine
from hala_factory.generate.store import GenerationStore
from tests.speaking import model, speaking
from tests.workshop import Workshop, alpaca, answers, balanced

ROWS = 30
KNOWN = {r["text"]: r["answer"] for r in answers(ROWS)}
PRICE = {"prompt": 2.0, "output": 8.0, "currency": "USD"}
BUILD = ("build", "recipe.yaml", "--json", "--quiet", "--workers", "1", "--shard-rows", "15")


def text_of(request: dict[str, Any]) -> str:
    return str(request["messages"][-1]["content"].partition(":\n\n")[2])


def translated(request: dict[str, Any]) -> str:
    return KNOWN[text_of(request)]


def bench(workshop: Workshop, models: dict[str, Any]) -> Workshop:
    workshop.rows("plain.jsonl", alpaca(ROWS))
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, models)
    translate = {"step": "translate", "to": "ar", "model": next(iter(models)), "max_tokens": 100}
    workshop.recipe(["plain"], ["length", translate, "length_ratio"])
    return workshop


def priced(server: Any, **fields: Any) -> dict[str, Any]:
    return {**model(server), "price_per_million": PRICE, **fields}


def undisturbed(workshop: Workshop) -> str:
    """The digest of a build without a budget, in a store of its own."""
    return str(workshop.run(*BUILD, "--store", "undisturbed").json["digest"])


# ---- Builds ----

LIMITS = [
    ("--max-tokens", "1200"),
    ("--max-tokens", "3000"),
    ("--max-cost", "0.005"),
    ("--max-cost", "0.008USD"),
]


@pytest.mark.parametrize(("flag", "limit"), LIMITS)
def test_a_budget_is_not_exceeded_and_the_same_command_goes_on_to_the_same_digest(
    workshop: Workshop, flag: str, limit: str
) -> None:
    price = Price(**PRICE)
    with speaking(translated) as server:
        server.used = lambda request, text: {
            "prompt_tokens": len(request["messages"][-1]["content"]) // 3,
            "completion_tokens": len(text) // 2,
        }
        digest = undisturbed(bench(workshop, {"tiny": priced(server)}))
        everything = Counter(server.texts)
        server.texts.clear()
        stops, said = [], None
        while said is None or said.code == 1:
            server.usage.clear()
            said = workshop.run(*BUILD, flag, limit)
            read, written = (sum(tokens) for tokens in zip(*server.usage, strict=True))
            spent = read + written if flag == "--max-tokens" else price.of(read, written)
            assert 0 < spent <= float(limit.removesuffix("USD"))
            if said.code == 1:
                stops.append((json.loads(said.out), said.err, read + written))
    assert stops
    assert said.json["digest"] == digest
    assert server.texts == everything  # each asked once, in however many runs
    left = [told["stopped"]["questions"]["left"] for told, _, _ in stops]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == len(left)
    for told, err, tokens in stops:
        assert told["stopped"]["reason"] == flag[2:].replace("-", "_")
        assert told["stopped"]["stage"] == "translate"
        assert told["stopped"]["spent"]["tokens"] == tokens
        assert told["generation"]["prompt_tokens"] + told["generation"]["output_tokens"] == tokens
        assert err.count("\n") == 1
        assert err.startswith(f"{flag} ")
        assert "run the same command again to go on" in err


def test_a_run_that_stops_says_what_was_spent_and_what_is_left(workshop: Workshop) -> None:
    with speaking(translated) as server:
        bench(workshop, {"tiny": priced(server)})
        said = workshop.run(*BUILD, "--max-tokens", "1000")
        told = json.loads(said.out)
        asked = len(server.usage)
        assert told["stopped"] == {
            "reason": "max_tokens",
            "budget": {"max_tokens": 1000},
            "spent": {
                "tokens": 18 * asked,
                "hours": told["stopped"]["spent"]["hours"],
                "cost": {"USD": round((11 * 2 + 7 * 8) * asked / 1e6, 6)},
            },
            "stage": "translate",
            "questions": {"asked": 2 * ROWS, "left": 2 * ROWS - asked},
        }
        assert [s["name"] for s in told["stages"]] == ["source-plain", "length"]
        line = said.err
        assert f"; spent {18 * asked} tokens, {78 * asked / 1e6:g} USD in " in line
        assert f"left to do: {2 * ROWS - asked} of {2 * ROWS} questions of 'translate' and what follows it" in line
        assert workshop.run("plan", "recipe.yaml").code == 0


def test_a_budget_is_no_part_of_what_is_built_and_what_is_stored_costs_nothing(workshop: Workshop) -> None:
    with speaking(translated) as server:
        bench(workshop, {"tiny": priced(server)})
        first = workshop.run(*BUILD, "--max-tokens", "1000000", "--max-hours", "1", "--max-cost", "9").json
        asked = len(server.seen)
        second = workshop.run(*BUILD, "--max-tokens", "1", "--max-cost", "0").json
        assert (second["digest"], {s["status"] for s in second["stages"]}) == (first["digest"], {"stored"})
        recipe = workshop.folder / "recipe.yaml"  # another threshold, for which every question is put again
        recipe.write_text(recipe.read_text().replace("max_tokens: 100", "max_tokens: 100\n  max_chars: 900"))
        third = workshop.run(*BUILD, "--max-tokens", "1", "--max-hours", "0.00000001", "--max-cost", "0").json
        assert third["generation"]["from_store"] == third["generation"]["requests"] == asked
        assert (third["digest"], len(server.seen)) == (first["digest"], asked)


def test_a_budget_below_one_request_asks_nothing_and_says_how_much_one_may_take(workshop: Workshop) -> None:
    with speaking(translated) as server:
        bench(workshop, {"tiny": model(server)})
        said = workshop.run(*BUILD, "--max-tokens", "100")
        assert (said.code, server.seen) == (1, [])
        assert said.err.startswith("--max-tokens 100 is reached: the next request may take ")
        assert " tokens, so --max-tokens has to be more; spent 0 tokens in " in said.err


def test_recorded_answers_are_no_expense(workshop: Workshop) -> None:
    workshop.rows("answers.jsonl", answers(ROWS))
    bench(workshop, {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}})
    told = workshop.run(*BUILD, "--max-tokens", "1", "--max-cost", "0.01", "--max-hours", "0.0000001").json
    assert told["rows"]["kept"] == ROWS


def test_after_its_hours_a_build_sends_nothing_more_and_keeps_what_was_under_way(workshop: Workshop) -> None:
    """The server holds every request but the first few until the build has said that its time is over."""
    over = threading.Event()
    sent: list[str] = []

    def slow(request: dict[str, Any]) -> str:
        sent.append(text_of(request))
        return translated(request)

    with speaking(slow) as server:
        digest = undisturbed(bench(workshop, {"tiny": {**model(server), "max_concurrency": 4}}))
        sent.clear()
        chat = server._chat

        async def held(request: Any, line: Any, writer: Any) -> Any:
            if not timer.is_alive() and not over.is_set():
                timer.start()
            while len(sent) >= 5 and not over.is_set():
                await asyncio.sleep(0.02)
            return await chat(request, line, writer)

        timer = threading.Timer(12, over.set)  # begins with the first request, so it ends after the build's 12 s
        server._chat = held
        build = workshop.spawn(*BUILD, "--max-hours", str(12 / 3600))
        out, err = build.communicate(timeout=60)
        assert build.returncode == 1, err.decode()
        stopped = json.loads(out)["stopped"]
        assert (stopped["reason"], stopped["budget"]) == ("max_hours", {"max_hours": 12 / 3600})
        assert "--max-hours 0.00333333 is reached; spent " in err.decode()
        assert len(sent) == len(set(sent)) <= 5 + 4  # the first ones, and those under way with them
        assert stopped["questions"] == {"asked": 2 * ROWS, "left": 2 * ROWS - len(sent)}
        again = workshop.run(*BUILD).json
        assert again["digest"] == digest
        assert len(sent) == len(set(sent)) == 2 * ROWS


def test_servers_that_we_start_are_held_to_the_budget(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Path(__file__).parent / "stand_in_openai.py"
    python = workshop.write("python", f'#!/bin/sh\nshift 2\nexec {sys.executable} {stand_in} "$@"\n')
    python.chmod(0o755)
    workshop.rows("known.jsonl", answers(ROWS))
    monkeypatch.setenv("STAND_IN", json.dumps({"known": str(workshop.folder / "known.jsonl")}))
    monkeypatch.setenv("HALA_VLLM_PYTHON", str(python))
    monkeypatch.setattr(vllm_module, "gpus", list)
    workshop.write("model/config.json", "{}")
    bench(workshop, {"tiny": {"engine": "vllm", "path": "model", "context": 512, "licence": "MIT"}})
    said = workshop.run(*BUILD, "--max-tokens", "2000")
    told = json.loads(said.out)
    assert said.code == 1
    assert 0 < told["stopped"]["spent"]["tokens"] <= 2000
    again = workshop.build()
    asked = again["generation"]["requests"] - again["generation"]["from_store"]
    assert asked == told["stopped"]["questions"]["left"]
    assert again["rows"]["kept"] == ROWS
    assert balanced(again["rows"])


@pytest.mark.parametrize(
    ("amounts", "prices", "said"),
    [
        (
            ["5"],
            [None, PRICE],
            "no price in the catalog for 'one'; add to each, for a million tokens: price_per_million",
        ),
        (["5 euros"], [PRICE, PRICE], "--max-cost '5 euros': expected an amount, e.g. 5, 2.50 or 5EUR"),
        (["5"], [PRICE, {**PRICE, "currency": "EUR"}], "--max-cost 5EUR --max-cost 5USD"),
        (
            ["5EUR"],
            [PRICE, {**PRICE, "currency": "EUR"}],
            "no amount in USD; 'one' is paid in USD, 'two' is paid in EUR",
        ),
        (["5SAR"], [PRICE, PRICE], "no model that is to be asked is paid in SAR; 'one' is paid in USD"),
        (["5", "6USD"], [PRICE, PRICE], "--max-cost: two amounts in USD; give one"),
    ],
)
def test_what_a_cost_leaves_open_is_told_before_anything_runs(
    workshop: Workshop, amounts: list[str], prices: list[Any], said: str
) -> None:
    entry = {"engine": "openai", "endpoints": ["http://127.0.0.1:9/v1"], "licence": "MIT", "model": "m"}
    models = {n: entry | ({"price_per_million": p} if p else {}) for n, p in zip(["one", "two"], prices, strict=True)}
    bench(workshop, models)
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("model: one", "model: one\n  fallback_model: two"))
    told = workshop.run("build", "recipe.yaml", *(w for a in amounts for w in ("--max-cost", a)))
    assert told.code == 2
    assert said in told.err
    assert not Path("store/stages").exists()


def test_currencies_are_limited_apart(workshop: Workshop) -> None:
    with speaking(translated) as server:
        euros = priced(server, price_per_million={**PRICE, "currency": "EUR"})
        bench(workshop, {"tiny": euros, "judge": priced(server)})
        recipe = workshop.folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("model: tiny", "model: tiny\n  fallback_model: judge"))
        said = workshop.run(*BUILD, "--max-cost", "0.003EUR", "--max-cost", "100USD")
        told = json.loads(said.out)["stopped"]
        assert told["budget"] == {"max_cost": {"EUR": 0.003, "USD": 100.0}}
        assert told["spent"]["cost"].keys() == {"EUR"}
        assert "--max-cost 0.003 EUR is reached: the next request may take 0." in said.err


# ---- The parts ----


def request(text: str, max_tokens: int = 10) -> Request:
    return Request((("user", text),), 0.0, max_tokens)


def test_who_does_not_fit_beside_others_waits_in_turn_and_gets_what_they_did_not_need() -> None:
    async def go() -> list[str]:
        budget, order = Budget(max_tokens=100), []
        await budget.reserve({"tokens": 60})

        async def take(name: str, worst: int) -> None:
            await budget.reserve({"tokens": worst})
            order.append(name)

        tasks = [asyncio.create_task(take(name, worst)) for name, worst in (("large", 80), ("small", 10))]
        await asyncio.sleep(0)
        assert order == []  # the small one would fit, but waits its turn
        tasks.append(asyncio.create_task(take("none", 30)))
        await asyncio.sleep(0)
        budget.settle({"tokens": 60}, {"tokens": 10})
        await asyncio.gather(*tasks[:2])
        budget.settle({"tokens": 80}, {"tokens": 80})
        done = await asyncio.gather(tasks[2], return_exceptions=True)
        assert isinstance(done[0], Deferred)
        assert budget.reached == "tokens"
        return order

    assert asyncio.run(go()) == ["large", "small"]


def test_one_who_gives_up_leaves_nothing_reserved() -> None:
    async def go() -> None:
        budget = Budget(max_tokens=100)
        await budget.reserve({"tokens": 60})
        waiting = asyncio.create_task(budget.reserve({"tokens": 50}))
        await asyncio.sleep(0)
        budget.settle({"tokens": 60}, {})  # now it may, and in the same moment it is cancelled
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(budget.reserve({"tokens": 100}), 1)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("given", "spent"),
    [
        (Answer("x", "stop", 30, 5), 35),
        (Answer("x", "length", 30, 10), 40),
        (Answer("", "error", error="HTTP 400"), 0),
        (Answer("x", "stop"), AROUND + 4 + 7 + 10),
        (BuildError("beyond help"), 0),
    ],
    ids=["whole", "cut", "refused", "without usage", "no answer"],
)
def test_an_answer_is_paid_as_its_server_says_or_as_it_might_have_been(given: Any, spent: int) -> None:
    async def answer(_: Request) -> Answer:
        if isinstance(given, Exception):
            raise given
        return given

    async def go() -> Budget:
        budget = Budget(max_tokens=1000)
        await asyncio.gather(Purse(budget, None).pay(request("a prompt"[:7]), answer), return_exceptions=True)
        await budget.reserve({"tokens": 1000 - spent})  # nothing stays reserved
        return budget

    assert asyncio.run(go()).spent["tokens"] == spent


def test_a_template_longer_than_thought_is_reserved_once_it_is_known() -> None:
    async def answer(_: Request) -> Answer:
        return Answer("x", "stop", 900, 1)

    async def go() -> list[Any]:
        purse = Purse(Budget(max_tokens=2000), None)
        return await asyncio.gather(*(purse.pay(request("a" * n), answer) for n in (1, 2, 3)), return_exceptions=True)

    first, second, third = asyncio.run(go())
    assert (first.text, second.text) == ("x", "x")
    assert isinstance(third, Deferred)


@pytest.mark.parametrize("text", ["plain", "عربي مع ألف همزة", "中文", "👩🏽‍💻", "\ud83d"])
def test_no_prompt_has_more_tokens_than_is_reserved(text: str) -> None:
    assert most_tokens(request(text)) >= len(text.encode("utf-8", "replace"))


def test_hours_end_the_start_of_an_engine_that_takes_longer(tmp_path: Path) -> None:
    class Slow:
        unit, prompted, identity = "segment", True, {"model": "slow"}
        left = False

        async def __aenter__(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                self.left = True

    async def go() -> tuple[Any, bool, str | None]:
        engine, budget = Slow(), Budget(max_hours=0.05 / 3600)
        store = GenerationStore(tmp_path, ModelIdentity("slow", {"model": "slow"}))
        async with Asker(engine, store, Purse(budget, None)) as asker:
            said = [{"role": "user", "content": "a"}]
            done = await asyncio.gather(asker(said, temperature=0, max_tokens=9), return_exceptions=True)
        return done[0], engine.left, budget.reached

    error, left, reached = asyncio.run(go())
    assert (type(error), left, reached) == (Deferred, True, "hours")


def test_what_waits_for_a_local_model_is_put_off(tmp_path: Path) -> None:
    async def go() -> list[Any]:
        entry = Model(licence="MIT", engine="local", path="m")
        engine = make_engine("m", entry, tmp_path, work=tmp_path)
        waiting = [asyncio.create_task(engine.answer(request(str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        budget = Budget(max_hours=1)
        await engine.hold(Deferred(budget))
        return await asyncio.gather(*waiting, engine.answer(request("later")), return_exceptions=True)

    assert [type(e) for e in asyncio.run(go())] == [Deferred] * 4


def test_hours_are_those_of_the_build() -> None:
    now = [0.0]
    budget = Budget(max_hours=1, clock=lambda: now[0])
    now[0] = 3599
    budget.check()
    now[0] = 3601
    with pytest.raises(Deferred):
        budget.check()
    assert budget.told() == "--max-hours 1 is reached"
