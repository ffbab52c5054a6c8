"""Digests of files in any file system, read a block at a time."""

from __future__ import annotations

import hashlib
from typing import Any

BLOCK = 1 << 22


def digest_in(files: Any, path: str) -> str:
    """SHA-256 (hex) of a file in a file system of fsspec."""
    sha = hashlib.sha256()
    with files.open(path, "rb", block_size=BLOCK, cache_type="readahead") as file:
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()
