"""Headless Chromium, driven: a page that is opened, clicked, typed into, looked at and photographed.

It speaks the DevTools protocol over a pipe (`--remote-debugging-pipe`: JSON, a zero byte after each message), so it
needs no port and no library. Keys and clicks are the browser's own events, not calls of the page's functions.

    with driving(tmp_path) as page:
        page.open("http://127.0.0.1:6900/sign-in")
        page.fill("input[name=username]", "amira")
        page.press("Enter")
        page.wait_for("location.pathname === '/'")
        page.screenshot(tmp_path / "page.png")
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.browser import CHROMIUM, FLAGS

_ONLY_FOR_LOOKING = ("--enable-logging=stderr", "--virtual-time-budget=3000")
_ON_3_AND_4 = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads orders from descriptor 3 and answers on 4."""
_KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Backspace": ("Backspace", 8, ""),
    " ": ("Space", 32, " "),
}
_MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
_FIND = """((selector, text) => {
  const seen = [...document.querySelectorAll(selector)].filter(e => e.getClientRects().length);
  const exact = seen.filter(e => (e.innerText || '').trim() === text);
  return text === null ? seen[0] : exact[0] || seen.find(e => (e.innerText || '').includes(text));
})"""


class Page:
    """One tab of a browser of its own. Every wait ends in an AssertionError that says what was waited for."""

    def __init__(self, to: int, answers: int, folder: Path) -> None:
        self._to, self._answers, self._buffer, self._last = to, answers, b"", 0
        self.downloads = folder / "downloads"
        self.console: list[str] = []
        """Errors and warnings of the page, and exceptions that nothing caught."""
        self.requests: list[str] = []
        """Addresses that the page asked for, itself too, in their order."""
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")
        self.downloads.mkdir(parents=True, exist_ok=True)
        self.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One order of the protocol, and its answer."""
        self._last += 1
        order = {"id": self._last, "method": method, "params": params}
        order |= {"sessionId": self._session} if self._session else {}
        data = json.dumps(order).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        until = time.monotonic() + 120
        while True:
            message = self._read(until)
            assert message is not None, f"no answer to {method} in two minutes"
            if message.get("id") == self._last:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def open(self, address: str) -> None:
        """Go there, and wait until the document is loaded (a page that draws itself later wants `wait_for`)."""
        told = self.send("Page.navigate", url=address)
        assert "errorText" not in told, f"{address}: {told['errorText']}"
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """What an expression in JavaScript comes to, as JSON; a promise is awaited."""
        told = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, f"{script}: {told['exceptionDetails']}"
        return told["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """The value of an expression once it is true (`seconds`: of patience, not of speed); write `!!` before a node."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError):  # the page may be changing below us
                if value := self.evaluate(script):
                    return value
            if time.monotonic() > until:
                shown = self.evaluate("location.href + '\\n' + (document.body?.innerText || '').slice(0, 2000)")
                raise AssertionError(f"waited for {script}; console: {self.console}; the page is {shown}")
            self._drain(0.1)

    def click(self, selector: str, text: str | None = None) -> None:
        """Click in the middle of the first visible element of a CSS selector (that says `text`)."""
        self.wait_for(f"!!{_call(selector, text)}")
        x, y = self.evaluate(
            f"(() => {{ const e = {_call(selector, text)}; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def fill(self, selector: str, value: str) -> None:
        """Click into a field, select what it holds, and type `value` over it."""
        self.click(selector)
        self.press("a", "Control")
        self.send("Input.insertText", text=value)

    def press(self, key: str, *modifiers: str) -> None:
        """Press and release a key: a character, or `Enter`, `Tab`, `Escape`, `ArrowDown`, …; with `Control`, ….

        Digits and letters come with the code of their key, as shortcuts look at that.
        """
        code, number, text = _KEYS.get(key) or (
            f"Digit{key}" if key.isdigit() else f"Key{key.upper()}",
            ord(key.upper()),
            key,
        )
        held = sum(_MODIFIERS[m] for m in modifiers)
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        commands = {"commands": ["selectAll"]} if (key, modifiers) == ("a", ("Control",)) else {}
        typed = {"text": text} if text and not held & ~_MODIFIERS["Shift"] else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **typed, **commands)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int = 1000) -> None:
        """Another size of the window, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, file: Path) -> Path:
        """The visible part of the page as PNG."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
        return file

    def downloaded(self, pattern: str = "*") -> Path:
        """The file that the page let us download, once it is whole."""
        until = time.monotonic() + 60
        while True:
            found = [p for p in self.downloads.glob(pattern) if p.suffix != ".crdownload"]
            if found:
                return found[0]
            assert time.monotonic() < until, f"nothing like {pattern} was downloaded"
            self._drain(0.1)

    def _drain(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._read(until) is not None:
            pass

    def _read(self, until: float) -> dict[str, Any] | None:
        """The next message, None if none comes in time; events are noted."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            told = params["exceptionDetails"]
            self.console.append(told.get("exception", {}).get("description") or told["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))


def _call(selector: str, text: str | None) -> str:
    return f"{_FIND}({json.dumps(selector)}, {json.dumps(text)})"


@contextlib.contextmanager
def driving(folder: Path, width: int = 1280, height: int = 1000) -> Iterator[Page]:
    """A tab in a browser with a profile of its own in `folder`, ended with everything it started."""
    assert CHROMIUM
    orders, to = os.pipe()
    answers, back = os.pipe()
    profile = folder / "driven-profile"
    flags = [f for f in FLAGS if f not in _ONLY_FOR_LOOKING]
    flags += [f"--user-data-dir={profile}", "--remote-debugging-pipe", f"--window-size={width},{height}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_3_AND_4, str(orders), str(back), CHROMIUM, *flags],
        pass_fds=(orders, back),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(orders)
    os.close(back)
    try:
        page = Page(to, answers, folder)
        page.size(width, height)
        yield page
    finally:
        os.close(to)
        os.close(answers)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: nothing but the browser
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)
