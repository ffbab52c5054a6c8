"""A stand-in for an OpenAI-compatible server, in this process: answers, counts, and misbehaves as it is told.

Run as a program it stands in for `python -m vllm.entrypoints.openai.api_server`: it serves on its `--port` until
it is killed, with a helper process beside it, as vLLM has. FAKE_VLLM in the environment can make it `crash` at
once, and a text that says `crash` makes it crash then. STAND_IN in the environment has fields of `StandIn` as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


def reversed_words(text):
    return " ".join(reversed(text.split()))


@dataclass
class StandIn:
    """`script` holds what to do with the next requests, one word each; after it, and for None, it answers.

    Words: a status code (`"429"`, or `"429:2"` with a Retry-After), `garbage`, `empty`, `null`, `no finish`,
    `shape` (JSON of another kind), `length`, `hang`, `close`, `torn` (half of an answer), `half a character`.
    """

    script: list = field(default_factory=list)
    delay: float = 0.0
    always: str | None = None
    refuse: str | None = None
    """Texts with this in them are refused with a 400."""
    poison: str | None = None
    """Texts with this in them break the server (500)."""
    crash: str | None = None
    """Texts with this in them end the process."""
    room: int | None = None
    """With more than so many at once, it refuses (429)."""
    serves: str = "tiny"
    known: str | None = None
    """A file of recorded answers (JSON Lines); other texts come back with their words reversed."""
    log: str | None = None
    """A file that takes one JSON line for every request, and one for every good answer; it outlives the process."""
    jitter: float = 0.0
    """Seconds that an answer may take longer than another, by lot: they come out of order."""
    cut: str | None = None
    """Texts with this in them are cut to half, as by a limit of the server's own, if they are longer than 60."""
    hangs: str | None = None
    """Once `hang_after` requests have come, the process makes this file and answers nothing any more; if the file
    is there already, it does not."""
    hang_after: int = 10
    front: bool = False
    """Whether a hung process still answers what it is asked about itself: health, models and metrics."""
    seen: list = field(default_factory=list)
    keys: set = field(default_factory=set)
    connections: int = 0
    most_at_once: int = 0
    refused: int = 0

    def __post_init__(self):
        self._at_once = 0
        self._server = None
        self._open = set()
        self.texts = Counter()
        self._hung = False
        self._answers = {}
        if self.known:
            lines = Path(self.known).read_text(encoding="utf-8").splitlines()
            self._answers = {r["text"]: r["answer"] for r in map(json.loads, lines)}

    async def __aenter__(self):
        return await self.start()

    async def start(self, port=0):
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def stop(self):
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)
        self._server = None

    async def _connection(self, reader, writer):
        self.connections += 1
        self._open.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if self._hung and not (self.front and head[0].startswith("GET")):
            await asyncio.Event().wait()
        if head[0].startswith("GET /metrics"):
            tokens = 7 if self._hung else time.monotonic_ns()  # while it works, it counts
            writer.write(_response(200, None, f'vllm:generation_tokens_total{{engine="0"}} {tokens}\n'.encode()))
            await writer.drain()
            return True
        if head[0].startswith("GET"):
            writer.write(_response(200, {"data": [{"id": self.serves}]}))
            await writer.drain()
            return True
        self.keys.add(headers.get("authorization"))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._chat(json.loads(body), head[0], writer)
        finally:
            self._at_once -= 1

    async def _chat(self, request, line, writer):
        text = request["messages"][-1]["content"]
        self.seen.append(request)
        self.texts[text] += 1
        self._note("asked", request)
        if self.hangs and len(self.seen) >= self.hang_after and not Path(self.hangs).exists():
            with contextlib.suppress(OSError):  # a file that cannot be: it hangs every time
                Path(self.hangs).touch()
            self._hung = True
            await asyncio.Event().wait()
        word = self.script.pop(0) if self.script else self.always
        if self.room is not None and self._at_once > self.room:
            self.refused += 1
            writer.write(_response(429, {"error": {"message": "too many at once"}}))
            await writer.drain()
            return True
        if self.refuse and self.refuse in text:
            word = "400"
        if self.poison and self.poison in text:
            word = "500"
        if self.crash and self.crash in text:
            os._exit(3)
        await asyncio.sleep(self.delay + random.uniform(0, self.jitter))
        if "/v1/chat/completions" not in line:
            word = "404"
        if word == "close":
            return False
        if word == "hang":
            await asyncio.sleep(60)
        if word == "garbage":
            writer.write(_response(200, None, b"<html>gateway</html>"))
        elif word == "shape":
            writer.write(_response(200, {"object": "list", "data": []}))
        elif word == "torn":
            whole = _response(200, *self._completion(text, None))
            writer.write(whole[: len(whole) - 20])
            await writer.drain()
            return False
        elif word == "empty":
            writer.write(_response(200, None, b""))
        elif word and word[0].isdigit():
            status, _, wait = word.partition(":")
            message = f"status {status}; you sent {line} with {sorted(str(k) for k in self.keys)}"
            writer.write(_response(int(status), {"error": {"message": message}}, wait=wait))
        else:
            writer.write(_response(200, *self._completion(text, word)))
            if word in (None, "length"):
                self._note("answered", request)
        await writer.drain()
        return True

    def _note(self, what, request):
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                said = json.dumps(request, sort_keys=True)
                log.write(json.dumps({"what": what, "time": time.time(), "request": said}) + "\n")

    def _completion(self, text, word):
        answer = self._answers.get(text.partition(":\n\n")[2]) or reversed_words(text)
        if self.cut and self.cut in text and len(text) > 60:
            return _completion(text, answer[: len(answer) // 2], "length")
        return _completion(text, answer, word)


def _completion(text, answer, word):
    content = {"null": None, "half a character": "a\ud83d"}.get(word, answer)
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    if word in ("length", "thought"):
        choice["finish_reason"] = "length"
    if word == "thought":
        choice["message"]["content"] = None
    if word == "no finish":
        del choice["finish_reason"]
    usage = {"prompt_tokens": len(text.split()) + 4, "completion_tokens": len(text.split())}
    return ({"choices": [choice], "usage": usage},)


def _response(status, body, raw=None, wait=""):
    raw = json.dumps(body).encode() if raw is None else raw
    retry = f"Retry-After: {wait}\r\n" if wait else ""
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{retry}Content-Length: {len(raw)}\r\n\r\n"
    ).encode() + raw


async def main(port, name, delay=0.02, crash="crash"):
    told = json.loads(os.environ.get("STAND_IN", "{}"))
    await StandIn(**{"serves": name or "tiny", "crash": crash, "delay": delay, **told}).start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    print("stand-in started with", sys.argv[1:], flush=True)
    if os.environ.get("FAKE_VLLM") == "crash":
        sys.exit("RuntimeError: no room for the weights")
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int)
    options.add_argument("--served-model-name")
    given, _ = options.parse_known_args()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    asyncio.run(main(given.port, given.served_model_name))
