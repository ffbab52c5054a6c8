"""Argilla's own page, made to ask nothing of the network and to set every line in its own direction."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
_OF_SCRIPTS = {"/api/v1/docs", "/api/v1/redoc"}
_ELSEWHERE = re.compile(r"@import url\(https?://[^)]*\);?")
# Argilla gives a text the direction of most of its letters: code would turn the Arabic around it.
_STYLE = "<style>.content__text, .--rtl, .--ltr, .--rtl p, .--ltr p, li { unicode-bidi: plaintext; }</style>"


def settle(folder: Path) -> None:
    """Change the copy of the page that Argilla serves: no fonts from elsewhere, and lines of two directions."""
    for sheet in folder.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        if _ELSEWHERE.search(text):
            sheet.write_text(_ELSEWHERE.sub("", text), encoding="utf-8")
    for page in folder.rglob("*.html"):
        page.write_text(page.read_text(encoding="utf-8").replace("</head>", f"{_STYLE}</head>"), encoding="utf-8")


def guarded(app: App) -> App:
    """The application, whose answers tell browsers to load nothing from elsewhere: pictures in records, for one.

    The pages about its API, which are nothing but such scripts, are not there.
    """

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/") in _OF_SCRIPTS:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY)]
            await send(message)

        await app(scope, receive, sent)

    return answer
