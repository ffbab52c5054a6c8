"""Publishing a version to the Hub: gates, then one commit and a tag, then everything read back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hala_factory.errors import BuildError, InputError
from hala_factory.publish import gates, sending
from hala_factory.publish.cautions import cautions
from hala_factory.publish.edition import edition
from hala_factory.publish.entries import Changes, Entry
from hala_factory.publish.gates import Candidate
from hala_factory.publish.place import Place
from hala_factory.publish.repository import MAIN, Repository, Seen, explained
from hala_factory.publish.secrets import hub_token
from hala_factory.publish.viewer import notes


@dataclass(frozen=True)
class Wish:
    """Where on the Hub a version is to go, and how."""

    repo: str
    branch: str = MAIN
    private: bool = False
    dry_run: bool = False


def to_hub(candidate: Candidate, wish: Wish, watch: Callable[[int], None] = lambda sent: None) -> dict[str, Any]:
    """Publish a version, or say what would be done; the answer of `publish --json`.

    Raises BuildError where a gate is not passed, the Hub keeps failing, or what stands there is not what was sent;
    InputError where the token or the name of the repository is wrong.
    """
    manifest = candidate.manifest
    repository = Repository(named(wish.repo), "model" if manifest["kind"] == "model" else "dataset")
    tag = tag_of(manifest)
    if not wish.dry_run and hub_token() is None:
        raise InputError(
            "HF_TOKEN is not set: make a token that may write at https://huggingface.co/settings/tokens and set it in "
            "the environment; tokens of 'hf auth login' are not used"
        )
    reasons = gates.asked(candidate)
    if (refusal := gates.refusal(candidate, reasons)) and not wish.dry_run:
        raise BuildError(refusal)
    place = Place("hub", repository.page, repository.id, tag or wish.branch)
    entries = edition(candidate, place)
    with explained(repository, "asking for"):
        seen = repository.look(wish.branch)
        _refuse_public(repository, seen, wish)
        _refuse_other(repository, seen, tag, manifest)
        changes = sending.plan(repository, seen, entries, candidate.artifact)
    told = _told(candidate, repository, wish, tag, changes, reasons) | {
        "notes": [*cautions(manifest), *notes(candidate.folder, manifest)]
    }
    if wish.dry_run:
        return told | {"exists": seen.exists, "commit": None, "committed": False}
    with explained(repository, "publishing to"):
        sent = sending.send(
            repository, entries, candidate.artifact, branch=wish.branch, private=wish.private, watch=watch
        )
    with explained(repository, "reading back from"):
        _prove(repository, sent.commit, entries)
        if tag and tag not in seen.tags:
            sending.tag(repository, tag, sent.commit, candidate.artifact)
    if tag in seen.tags and seen.tags[tag] != sent.commit:
        told["notes"].append(f"{tag} stays where it is: the rows are the same, and what stands around them is newer")
    return {
        **told,
        **_told(candidate, repository, wish, tag, sent.changes, reasons),
        "exists": True,
        "commit": sent.commit,
        "committed": sent.committed,
        "verified": {"files": len(entries), "bytes": sum(e.size for e in entries)},
        "notes": told["notes"],
    }


def tag_of(manifest: dict[str, Any]) -> str:
    """The tag of a version; '' for `dev`, which is no version that stays."""
    return f"v{manifest['version']}" if manifest["version"] != "dev" else ""


def named(repo: str) -> str:
    """The name of a repository. Raises InputError where it is not `owner/name`."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise InputError(f"--repo {repo!r}: expected owner/name, e.g. my-organisation/arabic-instruct-v1")
    return repo


def _told(
    candidate: Candidate,
    repository: Repository,
    wish: Wish,
    tag: str,
    changes: Changes,
    reasons: dict[str, list[str]],
) -> dict[str, Any]:
    return {
        "artifact": candidate.artifact,
        "to": repository.page,
        "kind": repository.kind,
        "branch": wish.branch,
        "tag": tag or None,
        "dry_run": wish.dry_run,
        "gates": [{"gate": name, "passed": not found, "reasons": found} for name, found in reasons.items()],
        "files": changes.told(),
        "to_send": {"files": len(changes.send), "bytes": sum(e.size for e in changes.send)},
    }


def _refuse_public(repository: Repository, seen: Seen, wish: Wish) -> None:
    if wish.private and seen.exists and not seen.private:
        raise BuildError(
            f"{repository.id!r} is public, and --private only says how a new repository is made; make it private at "
            f"{repository.page}/settings, or give another --repo"
        )


def _refuse_other(repository: Repository, seen: Seen, tag: str, manifest: dict[str, Any]) -> None:
    """A version that was published never changes."""
    if tag not in seen.tags:
        return
    there = repository.manifest(seen.tags[tag])
    if there is None or there.get("digest") != manifest["digest"]:
        found = f"digest {there.get('digest')}" if there else "no manifest of ours"
        raise BuildError(
            f"{repository.id!r} holds {tag} already, with {found}; this build has {manifest['digest']}: a published "
            "version never changes; bump the version of the recipe"
        )


def _prove(repository: Repository, commit: str, entries: list[Entry]) -> None:
    if wrong := repository.differs(commit, entries):
        raise BuildError(
            f"{repository.id!r} at {commit[:12]} is not what was sent:\n"
            + "\n".join(f"  {each}" for each in wrong)
            + "\nno tag was made; run the same command again, which sends what differs"
        )
