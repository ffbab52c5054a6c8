"""The seal of a manifest: a digest of its own bytes inside it, so that an edited manifest is found.

The model: the file ends with `"seal"`, the SHA-256 of all its bytes with the seal's digits left out. Every byte
counts, white space too. It finds damage and careless edits; whoever recomputes it on purpose is found by what does not
agree, or by a seal that somebody kept elsewhere (`show` prints it).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from hala_factory import store

_SEAL = re.compile(rb'"seal": "sha256:([0-9a-f]{64})"\n}\n\Z')


def write(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with its seal, atomically. Raises BuildError where it cannot be written."""
    spelt = json.dumps({**manifest, "seal": "sha256:"}, ensure_ascii=False, indent=1) + "\n"
    head, empty, tail = spelt.encode().rpartition(b'"sha256:"')
    assert tail == b"\n}\n"
    digest = hashlib.sha256(head + empty + tail).hexdigest()
    with store.atomic(path) as temporary:
        temporary.write_bytes(head + empty[:-1] + digest.encode() + empty[-1:] + tail)
    manifest["seal"] = f"sha256:{digest}"


def broken(said: bytes) -> str:
    """What is wrong with the seal of a manifest's bytes; '': it holds."""
    found = _SEAL.search(said)
    if found is None:
        return "it does not end with the seal of a manifest: it is torn, was edited, or is older than seals"
    empty = said[: found.start(1)] + said[found.end(1) :]
    if hashlib.sha256(empty).hexdigest().encode() != found[1]:
        return "its bytes have not the digest that its seal names: it was edited or damaged"
    return ""
