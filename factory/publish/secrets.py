"""What must not be told: tokens and keys of the environment, and the signatures in addresses."""

from __future__ import annotations

import os
import re

from hala_factory.errors import InputError

NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
"""Variables whose values never stand in an answer, a log, a manifest or an error."""
_SHAPES = (
    re.compile(r"hf_[A-Za-z0-9]{8,}"),
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?<=://)[^/@\s]+@"),
    re.compile(r"(?<=\?)[^\s'\")>]*(?:signature|x-amz|token|credential)[^\s'\")>]*", re.IGNORECASE),
)


def redacted(text: str) -> str:
    """`text` with every secret of the environment, and everything that looks like one, as `***`."""
    for name in NAMES:
        if value := os.environ.get(name, "").strip():
            text = text.replace(value, "***")
    for shape in _SHAPES:
        text = shape.sub("***", text)
    return text


def hub_token() -> str | None:
    """The token of the Hub, from HF_TOKEN and from nowhere else."""
    return os.environ.get("HF_TOKEN", "").strip() or None


def without_credentials(place: str) -> str:
    """An address, if it carries no name or key of its own. Raises InputError otherwise, without repeating it."""
    authority = place.partition("://")[2].partition("/")[0]
    if "@" in authority:
        raise InputError(
            "the address holds credentials before an '@'; leave them out, and set the variables of the environment "
            "that the store's client reads (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3://)"
        )
    return place
