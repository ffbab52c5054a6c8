"""One repository of the Hub: what it holds at the head of a branch, its tags, and its bytes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hala_factory.errors import BuildError, InputError
from hala_factory.hub import RepoKind, endpoint, first_line
from hala_factory.publish.entries import Entry, Held
from hala_factory.publish.secrets import hub_token, redacted

MAIN = "main"


@dataclass(frozen=True)
class Seen:
    """A repository as it stood when it was looked at."""

    exists: bool
    private: bool = False
    head: str | None = None
    """The commit of the branch, or of `main` where the branch is not there yet."""
    branch_exists: bool = False
    files: dict[str, Held] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    """Their commits, by name."""


@dataclass(frozen=True)
class Repository:
    """A place on the Hub: `id` is `owner/name`."""

    id: str
    kind: RepoKind

    @property
    def api(self) -> Any:
        """The Hub's own client, with the token of the environment and of nowhere else."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=endpoint(), token=hub_token() or False)

    @property
    def page(self) -> str:
        """Its address for people."""
        root = (endpoint() or "https://huggingface.co").rstrip("/")
        return f"{root}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    def look(self, branch: str) -> Seen:
        """What it holds now; `exists` is false where it is not there, or not for this token."""
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        api = self.api
        try:
            info = api.repo_info(self.id, repo_type=self.kind)
        except RepositoryNotFoundError:
            return Seen(False)
        refs = api.list_repo_refs(self.id, repo_type=self.kind)
        branches = {ref.name: ref.target_commit for ref in refs.branches}
        head = branches.get(branch) or branches.get(MAIN)
        files: dict[str, Held] = {}
        if head is not None:
            for entry in api.list_repo_tree(self.id, repo_type=self.kind, revision=head, recursive=True):
                if isinstance(entry, RepoFile):
                    digest = entry.lfs.sha256 if entry.lfs else None
                    files[entry.path] = Held(entry.path, entry.size, entry.blob_id, digest)
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        return Seen(True, bool(info.private), head, branch in branches, files, tags)

    def read(self, commit: str, path: str) -> bytes:
        """The bytes of a file at a commit, from the Hub and not from a cache."""
        from huggingface_hub import hf_hub_url, utils

        tools: Any = utils  # it does not say which of its names it exports
        url = hf_hub_url(self.id, path, repo_type=self.kind, revision=commit, endpoint=endpoint())
        headers = tools.build_hf_headers(token=hub_token() or False)
        answer = tools.http_backoff("GET", url, headers=headers, follow_redirects=True)
        tools.hf_raise_for_status(answer)
        return bytes(answer.content)

    def manifest(self, commit: str) -> dict[str, Any] | None:
        """The manifest at a commit, None where there is none that can be read."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            told = json.loads(self.read(commit, "manifest.json"))
        except (EntryNotFoundError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def differs(self, commit: str, edition: list[Entry]) -> list[str]:
        """What of an edition does not stand at a commit as it was sent; small files are compared by their bytes."""
        from huggingface_hub.hf_api import RepoFile

        tree = self.api.list_repo_tree(self.id, repo_type=self.kind, revision=commit, recursive=True)
        there = {e.path: e for e in tree if isinstance(e, RepoFile)}
        found = []
        for entry in edition:
            held = there.get(entry.path)
            if held is None:
                found.append(f"{entry.path}: is not there")
            elif held.lfs is not None:
                if (held.lfs.sha256, held.size) != (entry.sha256, entry.size):
                    found.append(f"{entry.path}: has SHA-256 {held.lfs.sha256[:12]}…, sent was {entry.sha256[:12]}…")
            elif self.read(commit, entry.path) != entry.read():
                found.append(f"{entry.path}: reads back other bytes than were sent")
        return found


@contextlib.contextmanager
def explained(repository: Repository, doing: str) -> Iterator[None]:
    """Tell what the Hub refused in words, without any secret; `doing` says what was being done.

    Raises InputError where the token or the name is at fault, BuildError where trying again may help.
    """
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"--repo {repository.id}: {first_line(error)}; expected owner/name") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            have = "HF_TOKEN may not do that" if hub_token() else "HF_TOKEN is not set"
            raise InputError(
                f"the Hub refuses {doing} {repository.id!r} ({status}): {have}; make a token that may write at "
                "https://huggingface.co/settings/tokens and set it in the environment"
            ) from None
        raise _again(repository, doing, error) from None
    except (httpx.HTTPError, RuntimeError, OSError, ValueError) as error:
        raise _again(repository, doing, error) from None


def _again(repository: Repository, doing: str, error: Exception) -> BuildError:
    cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    said = redacted(first_line(cause))  # type: ignore[arg-type]
    return BuildError(
        f"{doing} {repository.id!r} on the Hub failed ({said}); check the network and HF_ENDPOINT, and run the same "
        "command again: what was sent is not sent again"
    )
