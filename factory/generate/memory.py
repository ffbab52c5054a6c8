"""What a server that we started holds in memory, as the system and its own log tell it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_WEIGHTS = re.compile(r"Model loading took ([0-9.]+) GiB")


def resident(session: int) -> int:
    """Bytes of memory that the processes of a session hold, what they share counted once."""
    return sum(
        _held(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _session(entry) == session
    )


def weights_on_gpu(log: Path) -> int | None:
    """Bytes that the weights took when a GPU loaded them, by the vllm server's log; None where it does not say."""
    found = _WEIGHTS.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    return round(float(found[-1]) * 2**30) if found else None


def _session(process: Path) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    return -1


def _held(process: Path) -> int:
    """Its proportional share, in bytes; what is resident where the system does not tell that."""
    with contextlib.suppress(OSError):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((process / "statm").read_text().split()[1]) * 4096
    return 0
