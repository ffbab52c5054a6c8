"""The process of a build, set up for work on one batch after the other."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os

OBJECTS = 50_000
"""So many new objects before garbage is looked for: the records of a batch are no garbage, and hold no cycles."""
DECAY = 10_000
"""Milliseconds for which memory that is free is kept: a batch takes less."""
KEPT_BYTES = 1 << 28
"""Free memory that the C library keeps at most."""
LARGEST_BYTES = 1 << 25
"""The largest piece of memory that it keeps, and the largest that it can be told to keep."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def settle() -> None:
    """Have this process keep the memory of one batch for the next, which needs as much of it.

    By default polars, Arrow and the C library give it back to the system and ask for it again, which costs a
    tenth of a pass. To be called before polars and Arrow are imported. Processes started from here inherit all
    but the last part, which does nothing where the C library is not glibc.
    """
    gc.set_threshold(OBJECTS, 20, 20)
    atexit.register(gc.freeze)  # what is left when the process ends needs no sorting out
    os.environ.setdefault("_RJEM_MALLOC_CONF", f"dirty_decay_ms:{DECAY},muzzy_decay_ms:{DECAY}")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # that of the C library
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
