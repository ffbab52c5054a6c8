"""Fingerprints: what a thing is made from, as one SHA-256 over canonical JSON.

The model: equal content gives an equal fingerprint, whatever the order of keys, the process or the
machine; a value with no stable spelling is refused. Execution settings are never part of the content.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_BLOCK = 1 << 20


def canonical(value: Any) -> Any:
    """`value` as JSON-ready data. Raises TypeError for what has no stable spelling (a set, an object, NaN)."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value!r} has no stable spelling; use a finite number")
        return int(value) if value.is_integer() else value
    if isinstance(value, BaseModel):
        return canonical(value.model_dump(mode="json"))
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError("keys must be text to be fingerprinted")
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    raise TypeError(f"a {type(value).__name__} has no stable spelling; make it a model, a mapping or a list")


def fingerprint(value: Any) -> str:
    """64 hex digits for `value`."""
    spelt = json.dumps(canonical(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelt.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(_BLOCK):
            h.update(block)
    return h.hexdigest()
