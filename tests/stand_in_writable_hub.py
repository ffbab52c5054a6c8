"""A stand-in for the part of the Hub that is written to: repositories with commits, LFS, branches and tags, on loopback.

It offers LFS only, so clients run with HF_HUB_DISABLE_XET=1 against it. Files are content-addressed as on the Hub: an
object that is held is not asked for again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ruamel.yaml import YAML

from tests.stand_in_hub import ABOUT_AGENTS, serving

TOKEN = "hf_standInWriteToken0123456789"
LFS = (".parquet", ".png", ".safetensors", ".bin")
LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc-by-nc-sa-4.0", "other"}


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def at(self, revision: str) -> str | None:
        found = self.branches.get(revision) or self.tags.get(revision) or revision
        return found if found in self.commits else None

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.branches["main"]]


@dataclass
class Fault:
    """The next `times` calls whose method and path match are answered with `status`, before or after they are done."""

    call: str
    status: int
    times: int = 1
    done: bool = False


@dataclass
class Hub:
    url: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    stall_after: int | None = None
    """So many objects are taken; then uploads hang until `go`."""
    stalled: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers with a large file break off."""
    ranges: list[tuple[str, int]] = field(default_factory=list)
    """Files that were asked for, and from which byte."""
    before_commit: list[Any] = field(default_factory=list)
    """Called once each when a commit comes in, before it is looked at."""
    damage: dict[str, bytes] = field(default_factory=dict)
    """What these paths hold after any commit, whatever was sent."""

    def repo(self, name: str, kind: str = "dataset") -> Repo:
        return self.repos[kind, name]

    def make(self, name: str, kind: str = "dataset", private: bool = False) -> Repo:
        first = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
        sha = hashlib.sha1(f"{kind}{name}".encode()).hexdigest()
        self.repos[kind, name] = Repo(private, {sha: first}, {"main": sha})
        return self.repos[kind, name]

    def commit(self, repo: Repo, branch: str, files: dict[str, bytes], message: str) -> str:
        sha = hashlib.sha1(f"{len(repo.commits)}{message}{sorted(files)}".encode()).hexdigest()
        repo.commits[sha] = files
        repo.branches[branch] = sha
        repo.messages.append(message)
        return sha

    @property
    def writes(self) -> list[str]:
        """Calls that change something."""
        reading = r"GET |HEAD |POST .*/(paths-info/|preupload/)|POST /api/validate-yaml|POST /api/agent"
        return [call for call in self.asked if not re.match(reading, call)]

    def sent(self) -> list[str]:
        """SHA-256 of objects that came in, in order, each time they came."""
        return [call.rpartition("/")[2] for call in self.asked if call.startswith("PUT /lfs/")]


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    hub.go.set()

    with serving(_Handler, hub) as hub.url:
        try:
            yield hub
        finally:
            hub.go.set()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
    if path.endswith(LFS):
        told["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return told


def faults_of(card: str) -> list[str]:
    """What the Hub would say against the YAML head of a card (the fields that we write)."""
    head = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    if head is None:
        return ["no YAML head"]
    told = YAML(typ="safe").load(head[1])
    found = [f"license {told.get('license')!r} is not one of the Hub's"] * (told.get("license") not in LICENCES)
    if told.get("license") == "other" and not told.get("license_name"):
        found.append("license other wants license_name")
    for name in ("language", "size_categories", "task_categories", "tags"):
        if name in told and not (isinstance(told[name], list) and all(isinstance(each, str) for each in told[name])):
            found.append(f"{name} must be a list of texts")
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a client waits 40 ms for every answer
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().strip(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def answer(self) -> None:
        content = self.body()
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if path == ABOUT_AGENTS:
            return self.refuse(404, "no such page")
        call = f"{self.command} {path}"
        self.hub.asked.append(call)
        fault = next((f for f in self.hub.faults if f.times and re.search(f.call, call)), None)
        if fault is not None:
            fault.times -= 1
            if not fault.done:
                return self.refuse(fault.status, f"told to fail; you sent {self.headers.get('Authorization')}")
        self.route(path, parse_qs(parts.query), content, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def route(self, path: str, query: dict[str, list[str]], content: bytes, fault: Fault | None) -> None:
        if path == "/api/validate-yaml":
            errors = faults_of(json.loads(content)["content"])
            return self.say({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)
        if path.startswith("/lfs/"):
            return self.take(path[5:], content)
        writing = self.command in ("POST", "PUT", "DELETE") and "/paths-info/" not in path
        if writing and path.startswith("/api/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "Invalid credentials in Authorization header")
        if path == "/api/repos/create":
            return self.create(json.loads(content))
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(content))
        if found := re.fullmatch(r"/api/(dataset|model)s/([^/]+/[^/]+)(?:/(.*))?", path):
            repo = self.hub.repos.get((found[1], found[2]))
            if repo is None or (repo.private and not self.headers.get("Authorization")):
                return self.refuse(
                    401 if not self.headers.get("Authorization") else 404, "Repository not found", "RepoNotFound"
                )
            return self.api(repo, found[2], found[3] or "", query, content, fault)
        if found := re.fullmatch(r"/(?:(dataset)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repo = self.hub.repos.get((found[1] or "model", found[2]))
            if repo is None or (sha := repo.at(found[3])) is None:
                return self.refuse(404, "not found", "RevisionNotFound" if repo else "RepoNotFound")
            return self.file(repo, sha, found[4])
        return self.refuse(404, f"unhandled {path}")

    def api(
        self, repo: Repo, name: str, rest: str, query: dict[str, list[str]], content: bytes, fault: Fault | None
    ) -> None:
        verb, _, rest = rest.partition("/")
        revision, _, below = rest.partition("/")
        if verb == "refs":
            told = {"branches": [("heads", repo.branches)], "tags": [("tags", repo.tags)]}
            return self.say(
                {
                    kind: [
                        {"name": n, "ref": f"refs/{word}/{n}", "targetCommit": sha}
                        for word, refs in groups
                        for n, sha in refs.items()
                    ]
                    for kind, groups in told.items()
                }
                | {"converts": []}
            )
        if verb == "branch":
            start = json.loads(content or b"{}").get("startingPoint", "main")
            sha = repo.at(start)
            if rest in repo.branches or sha is None:
                return self.refuse(409, "exists")
            repo.branches[rest] = sha
            return self.say({})
        if verb == "tag":
            asked = json.loads(content)
            if asked["tag"] in repo.tags:
                return self.refuse(409, "exists")
            found = repo.at(rest)
            assert found is not None
            repo.tags[asked["tag"]] = found
            return self.say({})
        sha = repo.at(revision or "main")
        if sha is None:
            return self.refuse(404, "no such revision", "RevisionNotFound")
        files = repo.commits[sha]
        if verb in ("", "revision"):
            told = {"_id": "1", "id": name, "sha": sha, "private": repo.private, "tags": [], "gated": False}
            return self.say(told | {"siblings": [{"rfilename": f} for f in sorted(files)]})
        if verb == "tree":
            return self.say(self.listing(files, below, query.get("recursive", ["false"])[0].lower() == "true"))
        if verb == "paths-info":
            asked = json.loads(content) if content.startswith(b"{") else parse_qs(content.decode())
            wanted = asked["paths"]
            folders = {p for p in wanted for f in files if f.startswith(f"{p}/")}
            return self.say(
                [entry(p, files[p]) for p in wanted if p in files]
                + [{"type": "directory", "path": p, "oid": "0" * 40, "size": 0} for p in sorted(folders)]
            )
        if verb == "preupload":
            asked = json.loads(content)["files"]
            modes = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["path"].endswith(LFS) else "regular",
                    "shouldIgnore": False,
                    "oid": entry(f["path"], files[f["path"]])["oid"] if f["path"] in files else None,
                }
                for f in asked
            ]
            return self.say({"files": modes})
        if verb == "commit":
            return self.commit(repo, name, revision, content, fault)
        return self.refuse(404, f"unhandled {verb}")

    def listing(self, files: dict[str, bytes], below: str, recursive: bool) -> list[dict[str, Any]]:
        prefix = f"{below}/" if below else ""
        inside = [p for p in sorted(files) if p.startswith(prefix)]
        folders = {prefix + p[len(prefix) :].split("/")[0] for p in inside if "/" in p[len(prefix) :]}
        told = [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)]
        return told + [entry(p, files[p]) for p in inside if recursive or "/" not in p[len(prefix) :]]

    def create(self, asked: dict[str, Any]) -> None:
        kind, name = asked.get("type", "model"), f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.hub.url}/{'' if kind == 'model' else 'datasets/'}{name}"
        if (kind, name) in self.hub.repos:
            return self.say({"url": url}, 409)
        self.hub.make(name, kind, bool(asked.get("private") or asked.get("visibility") == "private"))
        return self.say({"url": url, "name": name, "id": name})

    def batch(self, asked: dict[str, Any]) -> None:
        told = []
        for each in asked["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.url}/lfs/{each['oid']}?X-Amz-Signature=secretsignature", "header": {}},
            }
            told.append({**each, **({} if each["oid"] in self.hub.objects else {"actions": actions})})
        self.say({"transfer": "basic", "objects": told})

    def take(self, oid: str, content: bytes) -> None:
        if self.hub.stall_after is not None and len(self.hub.objects) >= self.hub.stall_after:
            self.hub.stalled.set()
            self.hub.go.wait(60)
        if hashlib.sha256(content).hexdigest() != oid:
            return self.refuse(400, "digest mismatch")
        self.hub.objects[oid] = content
        return self.say({})

    def commit(self, repo: Repo, name: str, branch: str, content: bytes, fault: Fault | None) -> None:
        if self.hub.before_commit:
            self.hub.before_commit.pop(0)(repo)
        lines = [json.loads(line) for line in content.splitlines() if line.strip()]
        head = lines[0]["value"]
        if head.get("parentCommit") and head["parentCommit"] != repo.branches[branch]:
            return self.refuse(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.commits[repo.branches[branch]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        files |= {path: changed for path, changed in self.hub.damage.items() if path in files}
        sha = self.hub.commit(repo, branch, files, head["summary"])
        if fault is not None:
            return self.refuse(fault.status, "done, and then the line went dead")
        told = {
            "success": True,
            "commitOid": sha,
            "commitUrl": f"{self.hub.url}/{name}/commit/{sha}",
            "hookOutput": "",
        }
        return self.say(told)

    def file(self, repo: Repo, sha: str, path: str) -> None:
        content = repo.commits[sha].get(path)
        if content is None:
            return self.refuse(404, "no such file", "EntryNotFound")
        etag = hashlib.sha256(content).hexdigest() if path.endswith(LFS) else git_oid(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        self.hub.ranges.append((path, int(asked[1]) if asked else 0))
        if asked is None:
            return self.send(200, content, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return self.send(416, b"", headers)
        return self.send(
            206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
        )

    def say(self, what: Any, status: int = 200) -> None:
        self.send(status, json.dumps(what).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, message: str, code: str = "") -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.send(status, json.dumps({"error": message}).encode(), {**headers, "Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cut_after and "ETag" in headers and len(content) > 20_000:
            content = content[: self.hub.cut_after.pop(0)]  # the client was told of more
            self.close_connection = True
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
