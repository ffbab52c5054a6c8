"""Headless Chromium: the page as it stands after its script ran, what it said, and what it asked the network for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
]
BROWSER = "not an origin"

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@dataclass(frozen=True)
class Seen:
    """A page in the browser."""

    html: str
    console: list[str]
    """What the page itself wrote to the console, errors above all."""
    requests: set[str]
    """Addresses it asked for, other than itself."""


def look(page: Path, folder: Path, fragment: str = "", width: int = 1280) -> Seen:
    """Open a page in Chromium with a profile of its own."""
    assert CHROMIUM
    log, address = folder / "net.json", f"file://{page}"
    done = subprocess.run(
        [
            *(CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"),
            *("--dump-dom", f"--window-size={width},1000", f"{address}{fragment}"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    events = json.loads(log.read_text()).get("events", [])
    told = [e["params"] for e in events if isinstance(e.get("params"), dict)]
    # What the browser asks for itself (updates, the time) has no origin; a page has one, be it `null`.
    asked = {str(p["url"]) for p in told if p.get("initiator", BROWSER) != BROWSER and "url" in p}
    return Seen(done.stdout, console, {a for a in asked if re.match(r"(https?|wss?|ftp)://", a)})
