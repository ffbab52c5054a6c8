"""What every page of ours is made with: data and script that stand inside it, and nothing to load."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup


def embedded(value: Any) -> Markup:
    """JSON that stands safely inside a script element: no tag can begin or end in it."""
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        said = said.replace(char, f"\\u{ord(char):04x}")
    return Markup(said)


def allowed(script: str) -> str:
    """How a Content-Security-Policy names one script: its SHA-256 in base64. No other one runs in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder: whatever is put into them is escaped, and what they lack is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
