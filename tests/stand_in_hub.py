"""A stand-in for the Hugging Face Hub on the loopback: what its client asks to find and read the files of a dataset."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LFS = ("*.parquet", "*.gz", "*.zst")
"""Files that the Hub keeps in LFS, and so knows by their SHA-256."""


@dataclass
class Hub:
    """What the stand-in has, how it is to misbehave, and what it was asked."""

    datasets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers with a file's content break off."""
    asked: list[str] = field(default_factory=list)
    served: int = 0
    """Bytes of files that went out."""
    models: set[str] = field(default_factory=set)
    commit: str = COMMIT
    """The newest commit, at which `datasets` are."""
    older: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """By commit, the datasets as they were."""
    url: str = ""

    def push(self, dataset: str, files: dict[str, bytes]) -> str:
        """Put other files in place of a dataset's, at a new commit."""
        self.older[self.commit] = {**self.datasets}
        self.commit = hashlib.sha1(self.commit.encode()).hexdigest()
        self.datasets[dataset] = files
        return self.commit

    def files(self, dataset: str, commit: str) -> dict[str, bytes]:
        return (self.datasets if commit == self.commit else self.older[commit])[dataset]

    def entry(self, dataset: str, commit: str, path: str) -> dict[str, Any]:
        content = self.files(dataset, commit)[path]
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": oid}
        if any(fnmatch(path, kind) for kind in LFS):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def listing(self, dataset: str, commit: str, below: str, recursive: bool) -> list[dict[str, Any]]:
        prefix = f"{below}/" if below else ""
        inside = [path for path in sorted(self.files(dataset, commit)) if path.startswith(prefix)]
        folders = {prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
        entries = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)]
        files = [p for p in inside if recursive or "/" not in p[len(prefix) :]]
        return entries + [self.entry(dataset, commit, path) for path in files]


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub that answers at `url` until the end of the block."""
    hub = Hub()

    with serving(_Handler, hub) as hub.url:
        yield hub


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], hub: Any) -> Iterator[str]:
    """The address at which a handler answers for `hub`, which it has as `self.hub`, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ABOUT_AGENTS = "/api/agent-harnesses"
"""What the Hub's client asks for once in a process, before its first request, and once a day at most."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_GET

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if path == ABOUT_AGENTS:
            return self.refuse(404, "EntryNotFound")
        self.hub.asked.append(f"{self.command} {path}")
        if (model := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path)) and model[
            1
        ] in self.hub.models:
            return self.say({"_id": "2", "id": model[1], "sha": self.hub.commit, "tags": [], "siblings": []})
        asked = re.fullmatch(r"/(?P<api>api/)?datasets/(?P<dataset>[^/]+/[^/]+)(?:/(?P<rest>.*))?", path)
        if asked is None or asked["dataset"] not in self.hub.datasets:
            return self.refuse(404, "RepoNotFound")
        dataset, (verb, _, rest) = asked["dataset"], (asked["rest"] or "").partition("/")
        if dataset in self.hub.gated and not (asked["api"] and verb in ("", "revision")):
            return self.refuse(403, "GatedRepo")
        revision, _, rest = rest.partition("/")
        commit = self.hub.commit if revision in ("", "main") else revision
        if commit != self.hub.commit and commit not in self.hub.older:
            return self.refuse(404, "RevisionNotFound")
        held = self.hub.files(dataset, commit)
        if not asked["api"]:
            return self.file(dataset, commit, rest)
        if verb == "tree":
            recursive = parse_qs(parts.query).get("recursive", ["false"])[0].lower() == "true"
            return self.say(self.hub.listing(dataset, commit, rest, recursive))
        if verb == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            return self.say([self.hub.entry(dataset, commit, p) for p in wanted if p in held])
        if verb in ("", "revision"):
            files = [{"rfilename": name} for name in sorted(held)]
            return self.say({"_id": "1", "id": dataset, "sha": commit, "tags": [], "siblings": files})
        return self.refuse(404, "EntryNotFound")

    def file(self, dataset: str, commit: str, path: str) -> None:
        content = self.hub.files(dataset, commit).get(path)
        if content is None:
            return self.refuse(404, "EntryNotFound")
        entry = self.hub.entry(dataset, commit, path)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self.send(200, content, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return self.send(416, b"", headers)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return self.send(206, content[start : end + 1], headers)

    def say(self, what: Any) -> None:
        self.send(200, json.dumps(what).encode(), {"Content-Type": "application/json"}, counted=False)

    def refuse(self, status: int, code: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, counted=False)

    def send(self, status: int, content: bytes, headers: dict[str, str], *, counted: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if counted and self.hub.cut_after:
            content = content[: self.hub.cut_after.pop(0)]
            self.close_connection = True
        try:
            for at in range(0, len(content), 1 << 16):  # so that what a client did not wait for is not counted
                block = content[at : at + (1 << 16)]
                self.wfile.write(block)
                self.hub.served += len(block) if counted else 0
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
