"""Sending an edition to a repository of the Hub: one commit that holds all of it, tried again where it can help."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hala_factory.errors import BuildError
from hala_factory.publish.entries import Changes, Entry, compare
from hala_factory.publish.repository import MAIN, Repository, Seen

TRIES = 5
"""How often a publish starts over when another one came between, or the Hub stumbled."""
FIRST_WAIT = 1.0  # seconds; doubled at every try, so 15 s in all
GROUP = 8
"""Files that are handed to the client at a time; it sends several of them at once."""
OURS = (".gitattributes", "README.md")
"""Files that a repository may hold before anything of ours is in it."""


@dataclass(frozen=True)
class Sent:
    """What became of an edition."""

    commit: str
    """The commit that holds it."""
    committed: bool
    """Whether it is a new one; not where everything stood there already."""
    changes: Changes


def plan(repository: Repository, seen: Seen, edition: list[Entry], artifact: str) -> Changes:
    """What a publish would do. Raises BuildError where the repository holds something else than versions of this."""
    name = artifact.partition("@")[0]
    held = repository.manifest(seen.head) if seen.head and "manifest.json" in seen.files else None
    if held is not None and held.get("name") != name:
        raise BuildError(
            f"{repository.id!r} holds {held.get('name')!r}, which this would replace by {name!r}; "
            "give another --repo: one repository holds the versions of one artifact"
        )
    changes = compare(edition, seen.files, set(held["files"]) if held and "files" in held else set())
    if held is None:
        foreign = sorted({*changes.delete, *(e.path for e in changes.change)} - set(OURS))
        if foreign:
            raise BuildError(
                f"{repository.id!r} holds files that would be replaced or removed and are not of hala-factory: "
                f"{', '.join(foreign[:5])}{' …' * (len(foreign) > 5)}; give another --repo, or remove them there"
            )
    return changes


def send(
    repository: Repository,
    edition: list[Entry],
    artifact: str,
    *,
    branch: str,
    private: bool,
    watch: Callable[[int], None] = lambda sent: None,
) -> Sent:
    """Have the branch hold the edition: no commit where it does already, else one.

    Raises BuildError where the Hub keeps failing; then nothing of it is visible there, and what was sent is kept.
    """
    api = repository.api
    for tried in itertools.count(1):
        try:
            seen = repository.look(branch)
            if not seen.exists:
                api.create_repo(repository.id, repo_type=repository.kind, private=private or None, exist_ok=True)
                seen = repository.look(branch)
            changes = plan(repository, seen, edition, artifact)
            if not seen.branch_exists and branch != MAIN:
                api.create_branch(repository.id, repo_type=repository.kind, branch=branch, exist_ok=True)
            if not changes and seen.head:
                return Sent(seen.head, False, changes)
            return Sent(_commit(api, repository, seen, changes, artifact, branch, watch), True, changes)
        except Exception as error:
            if tried >= TRIES or not _passing(error):
                raise
            time.sleep(FIRST_WAIT * 2 ** (tried - 1))
    raise AssertionError("unreachable")


def tag(repository: Repository, name: str, commit: str, artifact: str) -> None:
    """Put a tag at a commit; one that is there stays."""
    repository.api.create_tag(
        repository.id, repo_type=repository.kind, tag=name, revision=commit, tag_message=artifact, exist_ok=True
    )


def _commit(
    api: Any,
    repository: Repository,
    seen: Seen,
    changes: Changes,
    artifact: str,
    branch: str,
    watch: Callable[[int], None],
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    adds = [
        (e, CommitOperationAdd(e.path, e.content if isinstance(e.content, bytes) else str(e.content)))
        for e in changes.send
    ]
    for start in range(0, len(adds), GROUP):
        group = adds[start : start + GROUP]
        api.preupload_lfs_files(
            repository.id,
            [add for _, add in group],
            repo_type=repository.kind,
            revision=branch,
            free_memory=False,  # the same operations are committed below
        )
        watch(sum(entry.size for entry, _ in group))
    made = api.create_commit(
        repository.id,
        operations=[*(add for _, add in adds), *(CommitOperationDelete(path) for path in changes.delete)],
        commit_message=f"Publish {artifact}",
        repo_type=repository.kind,
        revision=branch,
        parent_commit=seen.head,
    )
    return str(made.oid)


def _passing(error: BaseException) -> bool:
    """Whether trying again can help: the network, a server's fault, or another commit that came between (412)."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # how the client tells of a failed upload
        error = error.__cause__
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else 500
        return status >= 500 or status in (408, 409, 412, 429)
    return isinstance(error, httpx.TransportError | OSError)
