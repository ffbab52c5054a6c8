"""The order in which waiting requests are sent: nothing lost, nobody kept waiting, long ones and like ones first."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hala_factory.generate.answers import Request
from hala_factory.generate.lineup import ALIKE, Lineup

LONG = "A document that several questions are about. " * 20
assert len(LONG) > 2 * ALIKE


def request(text, max_tokens=64, system=None):
    first = () if system is None else (("system", system),)
    return Request((*first, ("user", text)), 0.0, max_tokens)


def sent(*requests):
    """The numbers of these requests, which all wait, in the order in which they are sent."""
    lineup = Lineup()
    for number, one in enumerate(requests):
        lineup.add(one, number)
    return [lineup.next() for _ in requests]


ORDERS = {
    "long ones first": (["a" * 10, "b" * 1000, "c" * 100], [1, 2, 0]),
    "equals in their order by text": (["a", "b", "c"], [0, 1, 2]),
    "one beginning stands together": (
        [LONG + "Who?", "x" * 500, LONG + "When was it, and why?", "y" * 2000, LONG + "Where?"],
        [3, 2, 4, 0, 1],
    ),
    "what all share groups nobody": ([LONG + "a" * 10, LONG + "b" * 500, LONG + "c" * 100], [1, 2, 0]),
    "a short common beginning groups nobody": (["Translate: a", "Translate: b" * 90, "Translate: a a"], [1, 2, 0]),
}


@pytest.mark.parametrize(("texts", "order"), ORDERS.values(), ids=ORDERS)
def test_the_order_of_a_batch(texts, order):
    assert sent(*map(request, texts)) == order


def test_longer_answers_count_as_longer():
    assert sent(request("a", 10), request("b", 500), request("c", 100)) == [1, 2, 0]


def test_a_system_message_is_a_beginning_too():
    systems = [LONG, "Another one.", LONG, "Another one."]
    order = sent(*(request(f"{n}" * (40 - n), system=s) for n, s in enumerate(systems)))
    assert order.index(2) - order.index(0) in (1, -1)


def test_those_who_come_while_a_batch_is_sent_make_the_next_one():
    lineup = Lineup()
    for number, text in enumerate(["short", "a bit longer"]):
        lineup.add(request(text), number)
    first = lineup.next()
    lineup.add(request("the longest of all by far"), 2)
    assert [first, lineup.next(), lineup.next()] == [1, 0, 2]


def test_who_comes_back_goes_first():
    lineup = Lineup()
    lineup.add(request("long " * 100), "new")
    lineup.add(request("short"), "again", again=True)
    assert [lineup.next(), lineup.next()] == ["again", "new"]
    with pytest.raises(IndexError):
        lineup.next()


@given(st.lists(st.tuples(st.text(max_size=40), st.booleans(), st.booleans())), st.integers(0, 100))
def test_everybody_is_sent_once(arrivals, seed):
    lineup, chance, came = Lineup(), random.Random(seed), []
    for number, (text, shared, again) in enumerate(arrivals):
        lineup.add(request(LONG * shared + text), number, again=again)
        if chance.random() < 0.3:
            came.append(lineup.next())
    assert len(lineup) == len(arrivals) - len(came)
    came += lineup.drain() if seed % 2 else [lineup.next() for _ in range(len(lineup))]
    assert sorted(came) == list(range(len(arrivals)))
    assert len(lineup) == 0


@given(st.integers(0, 1000))
def test_nobody_waits_longer_than_for_the_batch_before(seed):
    lineup, chance = Lineup(), random.Random(seed)
    lineup.add(request("short"), "short")
    for n in range(100):
        lineup.add(request("long " * chance.randrange(20, 50)), n)
    turns = 0
    while lineup.next() != "short":
        turns += 1
        lineup.add(request("long " * 100), f"later {turns}")
    assert turns <= 100
