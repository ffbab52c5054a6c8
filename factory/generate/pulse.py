"""The pulse of a vLLM server: whether one whose process lives still works.

A sign of life is a healthy answer to `/health` while nothing is under way; and while something is, token counters
that move (`/metrics`; an engine that hangs behind a healthy front does not count), or, where a server keeps none,
`/health` again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import httpx

PATIENCE = 300.0
"""Seconds without a sign of life after which a server counts as hung: longer than any one step of a large model on a
processor, shorter than the 600 that a request may take."""
LOOK = 5.0
"""Seconds between two looks, and for each."""
_COUNTED = re.compile(r"^vllm:(?:prompt_tokens|generation_tokens|request_success)_total\b.*$", re.MULTILINE)


async def lost(root: str, busy: Callable[[], bool]) -> None:
    """Return when the server at `root` (`http://host:port`) has given no sign of life for `PATIENCE` seconds.

    `busy` says whether it has been asked anything that it has not answered.
    """
    seen, counted = time.monotonic(), ""
    async with httpx.AsyncClient(trust_env=False, timeout=LOOK) as client:
        while time.monotonic() - seen < PATIENCE:
            await asyncio.sleep(LOOK)
            if not await _healthy(client, root):
                continue
            now = await _counters(client, root) if busy() else None
            if now is None or now != counted:
                seen, counted = time.monotonic(), now or ""


async def _healthy(client: httpx.AsyncClient, root: str) -> bool:
    try:
        return (await client.get(f"{root}/health")).status_code == 200
    except httpx.HTTPError:
        return False


async def _counters(client: httpx.AsyncClient, root: str) -> str | None:
    """The lines that count tokens and requests; None where a server keeps no count."""
    try:
        return "\n".join(_COUNTED.findall((await client.get(f"{root}/metrics")).text)) or None
    except httpx.HTTPError:
        return ""  # as if nothing had moved: it counts, and does not say
