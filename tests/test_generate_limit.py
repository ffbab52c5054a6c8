"""How many requests a server is given at a time, against simulated servers: a clock that is counted, not waited for."""

import heapq
import random
from dataclasses import dataclass, field

import pytest

from hala_factory.generate.limit import LEAST, MOST, START, Limit

TOKENS = 100


@dataclass
class Roomy:
    """Works on so many requests at a time, and on more so much the slower; refuses what is above `refuses`."""

    slots: int
    refuses: int = 10**9
    latency: float = 1.0

    def __call__(self, now, busy):
        return None if busy > self.refuses else self.latency * max(1, busy / self.slots)


@dataclass
class Metered:
    """Takes so many requests a second, with a bucket of a second's, and refuses the rest."""

    rate: float
    latency: float = 1.0
    left: float = field(default=0.0, init=False)
    then: float = field(default=0.0, init=False)

    def __call__(self, now, busy):
        self.left = min(self.rate, self.left + (now - self.then) * self.rate)
        self.then = now
        if self.left < 1:
            return None
        self.left -= 1
        return self.latency


def simulated(limit, server, answers, *, waiting=10**9, rest=0.5):
    """Seconds until so many answers, refusals, and every limit there was; at most `waiting` requests want to be sent."""
    chance, now, resting = random.Random(0), 0.0, 0.0
    busy = sent = done = refusals = 0
    events, limits = [], [limit.value]
    while done < answers:
        while busy < min(limit.value, waiting) and now >= resting:
            sent, busy = sent + 1, busy + 1
            limit.sent(busy)
            takes = server(now, busy)
            ends = now + (0.01 if takes is None else takes * chance.uniform(0.7, 1.3))
            heapq.heappush(events, (ends, sent, now, takes is None))
        if not events or (now < resting < events[0][0]):
            now = resting
            continue
        now, _, began, refused = heapq.heappop(events)
        busy -= 1
        if refused:
            before = limit.value
            limit.refused(began, now)
            if limit.value < before:
                resting = now + rest * chance.uniform(0.5, 1)
            refusals += 1
        else:
            limit.answered(began, now, TOKENS)
            done += 1
        if limits[-1] != limit.value:
            limits.append(limit.value)
    return now, refusals, limits


@pytest.mark.parametrize(
    ("slots", "share"), [(1, 0.97), (8, 0.97), (50, 0.95), (200, 0.88), (600, 0.75)], ids=lambda v: str(v)
)
def test_a_server_that_refuses_nothing_is_brought_to_its_top(slots, share):
    answers = 40 * max(slots, 50)
    seconds, _, limits = simulated(Limit(), Roomy(slots), answers)
    assert answers / seconds > share * slots
    assert limits[-1] <= max(2 * START, 4 * slots)


def test_more_is_not_asked_at_a_time_than_brings_more():
    _, _, limits = simulated(Limit(), Roomy(20), 5_000)
    assert limits[:2] == [START, 2 * START]  # tried, and found to be of no use
    assert max(limits) <= 2.5 * START


@pytest.mark.parametrize("room", [3, 10, 100])
def test_a_server_with_room_for_so_many_gets_nearly_so_many_and_refuses_few(room):
    answers = 200 * room
    seconds, refusals, limits = simulated(Limit(), Roomy(10**9, refuses=room), answers)
    assert answers / seconds > 0.93 * room
    assert refusals < 31 + 0.06 * answers  # those of the first moment, and a few later
    assert limits[-1] <= room + 1


@pytest.mark.parametrize("rate", [10, 50])
def test_a_quota_a_second_is_neither_starved_nor_hammered(rate):
    answers = 200 * rate
    seconds, refusals, _ = simulated(Limit(), Metered(rate), answers)
    assert answers / seconds > 0.93 * rate
    assert refusals < 0.05 * answers


def test_one_slow_round_does_not_cost_half_of_a_server():
    limit = Limit(32, most=64)
    for n in range(34):  # a round at 32: 33 answers in four seconds
        limit.sent(32)
        limit.answered(0.0, 4 * n / 33, TOKENS)
    assert limit.value == 64
    for n in range(66):  # a round at 64 in which the machine was busy with something else
        limit.sent(64)
        limit.answered(4.1, 8 + 7.5 * n / 65, TOKENS)
    assert limit.value == 64


def test_after_a_bad_moment_it_comes_back():
    limit = Limit(256, most=256)
    limit.refused(0.0, 1.0)
    assert limit.value == 128
    simulated(limit, Roomy(256), 10_000)
    assert limit.value == 256


def test_requests_under_way_together_count_as_one_refusal():
    limit = Limit(64)
    for n in range(20):
        limit.refused(0.0, 1.0 + n / 100)
    assert limit.value == 32
    limit.refused(2.0, 2.1)
    assert limit.value == 25  # a fifth, now that it is nearly right


def test_a_limit_that_is_not_used_to_the_full_is_left_as_it_is():
    _, _, limits = simulated(Limit(), Roomy(1000), 5_000, waiting=START - 1)
    assert limits == [START]


@pytest.mark.parametrize("most", [1, 5, 64, MOST])
def test_the_bounds_hold_whatever_comes(most):
    limit, chance, now = Limit(most=most), random.Random(most), 0.0
    for _ in range(20_000):
        now += chance.random()
        limit.sent(limit.value)
        if chance.random() < 0.003:
            limit.refused(now - 0.5, now)
        else:
            limit.answered(now, now, chance.randrange(500))
        assert LEAST <= limit.value <= most


def test_a_later_bound_holds_too():
    limit = Limit(256)
    limit.bound(100)
    assert (limit.value, limit.most) == (100, 100)
