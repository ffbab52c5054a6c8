"""One endpoint and how it fares: a circuit that opens where it fails, and closes where it works again."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from hala_factory.generate.limit import Limit

TRIP = 3
"""Failures in a row after which an endpoint rests, and then is tried with one request at a time."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
LONGEST_ASKED_WAIT = 300.0
"""Seconds of a `Retry-After` that are honoured at a time."""


@dataclass
class Endpoint:
    """One server and how it fares. All times are the event loop's."""

    url: str
    weight: float = 1.0
    """Its share of the requests, beside the others', as long as all have room."""
    key: str | None = field(default=None, repr=False)
    limit: Limit = field(default_factory=Limit)
    session: aiohttp.ClientSession | None = None
    busy: int = 0
    failures: int = 0
    """In a row."""
    down: bool = False
    """It could not be reached, or was busy, when it was last asked."""
    tripped: bool = False
    rests_until: float = 0.0
    rested_at: float = 0.0
    held: bool = False
    """Its keeper (`vllm`) is starting it: nobody asks it, and it does not count as down."""

    @property
    def shown(self) -> str:
        """The address without what might be secret in it."""
        url = urlsplit(self.url)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def load(self) -> float:
        """How busy it is for its weight: the endpoint with the least is asked next."""
        return (self.busy + 1) / self.weight

    def room(self, now: float) -> bool:
        """Whether it may be asked now."""
        return not self.held and self.rests_until <= now and self.busy < (1 if self.tripped else self.limit.value)

    def send(self) -> None:
        """Note that it is asked."""
        self.busy += 1
        self.limit.sent(self.busy)

    def rest(self, began: float, now: float, down: bool, wait: float | None) -> None:
        """Note a failure of an attempt that began then; attempts begun before the last rest tell nothing new."""
        if began < self.rested_at:
            return
        self.failures += 1
        self.down = down
        self.tripped = self.tripped or self.failures >= TRIP
        if down or self.tripped:
            self.rests_until = now + max(pause(self.failures), min(wait or 0.0, LONGEST_ASKED_WAIT))
            self.rested_at = now

    def works(self, began: float) -> None:
        """Note an answer to an attempt that began then; what began before the last rest says nothing of now."""
        if began >= self.rested_at:
            self.revive()

    def revive(self) -> None:
        """It works: forget how it fared."""
        self.failures, self.down, self.tripped, self.rests_until = 0, False, False, 0.0


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, and never the same for all who wait."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1)
