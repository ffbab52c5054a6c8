"""Connections to an endpoint: their pool, what they trust, the proxy on their way, and how many there may be."""

from __future__ import annotations

import email.utils
import resource
import ssl
import time
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

KEPT_ALIVE = 4.0
"""Seconds an idle connection is kept: less than the 5 after which uvicorn, under vLLM, closes it."""
CONNECTING = 10.0
"""Seconds within which a connection must stand."""
OTHER_FILES = 256
"""Files that a build has open beside its connections."""


def connected(url: str, key: str | None, deadline: float, *, local: bool) -> aiohttp.ClientSession:
    """A pool of connections to a server; an exchange takes `deadline` seconds at most, from first to last byte."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=deadline, sock_connect=min(CONNECTING, deadline)),
        connector=aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEPT_ALIVE, ssl=_trusted() if url.startswith("https://") else True
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=None if local else _proxy(url),  # a proxy is no way to a server on this machine
    )


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted, SSL_CERT_FILE among them; reading them takes a quarter of a second."""
    return httpx.create_ssl_context()


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def connections(wanted: int) -> int:
    """How many connections this process may have; it is allowed more files if need be, up to the system's limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted + OTHER_FILES:
        soft = wanted + OTHER_FILES if hard == resource.RLIM_INFINITY else min(hard, wanted + OTHER_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - OTHER_FILES))


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
