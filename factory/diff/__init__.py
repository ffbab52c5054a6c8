"""Two versions compared: rows added, removed and changed, each with its cause; settings, drift, sizes, licences."""

from __future__ import annotations

import time
from typing import Any

from hala_factory.diff.comparing import Compared, compare
from hala_factory.diff.drift import drift
from hala_factory.diff.settings import differences
from hala_factory.diff.telling import tell, told
from hala_factory.diff.version import Version

__all__ = ["Compared", "Version", "compare", "diff", "tell"]


def diff(a: Version, b: Version, shown: int = 10) -> tuple[Compared, dict[str, Any]]:
    """The differing rows, and everything that is told of them (`shown` examples with their texts).

    Raises InputError where a file of a version is missing.
    """
    started = time.monotonic()
    compared = compare(a, b)
    measures = drift(a, b)
    return compared, told(compared, differences(a, b), measures, shown, time.monotonic() - started)
