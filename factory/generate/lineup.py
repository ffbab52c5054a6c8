"""The order in which waiting requests are sent: long ones first, those with a common beginning together.

The model:
- What waits is sent in *batches*: those who come while a batch is being sent make the next one, so nobody waits
  longer than for the batch before theirs, however long the others are.
- In a batch, requests that begin alike stand together, so that the server's prefix cache still holds the beginning;
  the group with the longest request comes first, and in a group the longest: what takes longest is not begun last.
- A request that came back to be sent again goes before all.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from hala_factory.generate.answers import Request

ALIKE = 256
"""Characters that requests must share, beyond what all of the batch share, to stand together: four blocks of 16
tokens, the unit of vLLM's prefix cache, at 4 characters a token."""
TOKEN_CHARS = 4
"""Characters of a token, roughly; only the order depends on it."""

T = TypeVar("T")


class Lineup(Generic[T]):
    """Those who wait with their requests, in the order in which they are sent."""

    def __init__(self) -> None:
        self._again: deque[T] = deque()
        self._batch: deque[T] = deque()
        self._coming: list[tuple[str, float, T]] = []

    def __len__(self) -> int:
        return len(self._again) + len(self._batch) + len(self._coming)

    def add(self, request: Request, who: T, *, again: bool = False) -> None:
        """Have `who` wait; `again`: for another attempt."""
        if again:
            self._again.append(who)
        else:
            self._coming.append((_words(request), size(request), who))

    def next(self) -> T:
        """The first of those who wait. Raises IndexError when nobody does."""
        if self._again:
            return self._again.popleft()
        if not self._batch:
            self._batch, self._coming = deque(ordered(self._coming)), []
        return self._batch.popleft()

    def drain(self) -> list[T]:
        """All who wait; after this nobody does."""
        everyone = [*self._again, *self._batch, *(who for _, _, who in self._coming)]
        self._again.clear()
        self._batch.clear()
        self._coming = []
        return everyone


def size(request: Request) -> float:
    """Tokens that a request may take, read and written, roughly: how long its answer is on the way."""
    return request.max_tokens + sum(len(content) for _, content in request.messages) / TOKEN_CHARS


def ordered(waiting: list[tuple[str, float, T]]) -> list[T]:
    """A batch in the order in which it is sent: of each the words, the size and who it is."""
    if len(waiting) < 2:
        return [who for _, _, who in waiting]
    alphabetical = sorted(waiting, key=lambda w: w[0])
    beyond = _common(alphabetical[0][0], alphabetical[-1][0]) + ALIKE
    groups: list[list[tuple[str, float, T]]] = []
    for entry in alphabetical:
        if groups and groups[-1][-1][0][:beyond] == entry[0][:beyond] and len(entry[0]) >= beyond:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    for group in groups:
        group.sort(key=lambda w: -w[1])
    groups.sort(key=lambda g: -g[0][1])
    return [who for group in groups for _, _, who in group]


def _words(request: Request) -> str:
    return "\n".join(f"{role}\n{content}" for role, content in request.messages)


def _common(a: str, b: str) -> int:
    """Characters at their beginnings that two texts share."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
