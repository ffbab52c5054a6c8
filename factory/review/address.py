"""Where an Argilla server answers, and the key to it: from the environment, or kept beside a local server's data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hala_factory.errors import InputError
from hala_factory.store import read_json

URL, KEY = "HALA_ARGILLA_URL", "HALA_ARGILLA_KEY"
WORKSPACE = "review"
"""The workspace of Argilla that all reviews are in."""
RECORD = "server.json"
"""In the folder of a local server, for its owner's eyes: `url`, `api_key`, `secret`, and whether it is `whole`."""


@dataclass(frozen=True)
class Server:
    """A server that we may talk to."""

    url: str
    key: str = field(repr=False)
    """Of a person who may make datasets there; in no message, log or file of ours but `RECORD`."""


def local(data: Path) -> Server | None:
    """The server that `review serve` keeps in a folder, whether it runs or not."""
    record = read_json(data / RECORD)
    return Server(record["url"], record["api_key"]) if record and record.get("whole") else None


def find(url: str | None, data: Path) -> Server:
    """The server at `url`, else at `HALA_ARGILLA_URL`, else the one of the folder `data`.

    The key is that of `HALA_ARGILLA_KEY`; to the server of `data` it is in that folder, too. Raises InputError where
    there is no server, or no key to it.
    """
    kept, key = local(data), os.environ.get(KEY)
    url = (url or os.environ.get(URL) or "").rstrip("/")
    if not url:
        if kept is None:
            raise InputError(
                f"there is no Argilla server: give its address with --url or {URL} (and its key with {KEY}), "
                f"or start one here with: hala-factory review serve --data {data}"
            )
        return Server(kept.url, key or kept.key)
    if not url.startswith(("http://", "https://")):
        raise InputError(f"the address of an Argilla server is {url!r}; expected http:// or https:// and a name")
    if key:
        return Server(url, key)
    if kept is not None and kept.url == url:
        return kept
    raise InputError(
        f"there is no key to the Argilla server at {url}: set {KEY} to an owner's API key (Argilla: My settings)"
    )
