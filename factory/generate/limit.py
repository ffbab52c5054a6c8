"""How many requests an endpoint is given at a time: more while that pays, fewer where it refuses.

The model:
- A *round* is as many answers as the limit allows requests, all of them asked under that limit, while it was used
  to the full; its throughput is tokens (read and written) per second.
- It starts with doubling, while each doubling brings `DOUBLED` more; then it tries `STEP` more now and then, and
  keeps what brings `PAYS` more. What did not pay is tried again later and later.
- A refusal (busy, or no answer in time) takes a share away, at most once for all requests that were under way.
  Then it goes back half of the way with every round; to where it was refused it returns later and later.
"""

from __future__ import annotations

START = 32
"""Requests at a time before anything is known: few enough for a vendor's smallest quota to be found in a few
refusals, one doubling below what vLLM needs on a small machine."""
MOST = 1024
"""Requests at a time, however well they are taken: what vLLM batches at most by default on large GPUs."""
LEAST = 1
DOUBLED, STEP, PAYS = 1.1, 1.25, 1.03
STAYS = 0.9
"""The last doubling stays unless it brought clearly less: one noisy round must not cost half of a server, and what is
sent too early only waits there."""
FALL_FIRST, FALL = 0.5, 0.8
"""What a refusal leaves: while still doubling, and later, when the limit is nearly right."""
SHORTEST_ROUND = 0.25
"""Seconds: shorter rounds say more about the clock than about the server."""
HOLD, LONGEST_HOLD = 2, 64
"""Rounds between two tries: at first, and after many that did not pay."""


class Limit:
    """The limit of one endpoint. All times are seconds of one clock; it reads none itself."""

    def __init__(self, start: int = START, *, most: int = MOST) -> None:
        self.most = max(LEAST, most)
        self.value = min(max(LEAST, start), self.most)
        self._doubling = True
        self._refused_at: int | None = None
        self._before: tuple[int, float] | None = None
        """While a higher limit is tried: the lower one, and what it brought."""
        self._hold = HOLD
        self._held = 0
        self._fell = float("-inf")
        self._since = float("-inf")
        """Only what was sent from then on belongs to the round."""
        self._started: float | None = None
        self._answers, self._tokens, self._full = 0, 0, False

    def bound(self, most: int) -> None:
        """Never let it rise above `most` from now on."""
        self.most = max(LEAST, min(self.most, most))
        self.value = min(self.value, self.most)

    def sent(self, busy: int) -> None:
        """Note that so many requests are under way: a limit that is not used to the full teaches nothing."""
        self._full = self._full or busy >= self.value

    def answered(self, began: float, now: float, tokens: int) -> None:
        """Note an answer, of so many tokens, to a request that was sent at `began`."""
        if began < self._since:
            return
        if self._started is None:
            self._started = now
            return
        self._answers += 1
        self._tokens += max(1, tokens)
        if self._answers >= self.value and now - self._started >= SHORTEST_ROUND:
            if self._full:
                self._learn(self._tokens / (now - self._started), now)
            else:
                self._set(self.value, self._since)

    def refused(self, began: float, now: float) -> None:
        """Note that a request sent at `began` was refused for want of room, or not answered in time."""
        if began < self._fell:
            return
        if not self._doubling:
            self._hold = min(2 * self._hold, LONGEST_HOLD)
        self._refused_at = self.value
        left = FALL_FIRST if self._doubling else FALL
        self._doubling, self._before, self._held, self._fell = False, None, 0, now
        self._set(max(LEAST, int(self.value * left)), now)

    def _learn(self, throughput: float, now: float) -> None:
        """Choose the next limit, after a round at this one."""
        if self._refused_at is not None and self.value < self._refused_at:
            nearer = self.value + max(1, (self._refused_at - self.value) // 2)
            self._held += 1
            if nearer < self._refused_at or self._held >= self._hold:
                self._held = 0
                self._set(nearer, now)
            else:
                self._set(self.value, self._since)
            return
        if self._refused_at is not None:
            self._refused_at, self._hold = None, HOLD
        if self._before is not None:
            lower, brought = self._before
            self._before = None
            if throughput < brought * (DOUBLED if self._doubling else PAYS):
                self._hold = HOLD if self._doubling else min(2 * self._hold, LONGEST_HOLD)
                stays = self._doubling and throughput >= brought * STAYS
                back = self.value if stays else lower
                self._doubling, self._held = False, 0
                self._set(back, now)
                return
            self._hold, self._held = HOLD, self._hold  # it paid: try on at once
        self._held += 1
        if self.value >= self.most or not (self._doubling or self._held >= self._hold):
            self._set(self.value, self._since)
            return
        self._before, self._held = (self.value, throughput), 0
        higher = 2 * self.value if self._doubling else max(self.value + 1, int(self.value * STEP))
        self._set(min(higher, self.most), now)

    def _set(self, value: int, since: float) -> None:
        """Begin a round at this limit, of requests sent from then on."""
        self.value, self._since = value, since
        self._started = None
        self._answers, self._tokens, self._full = 0, 0, False
