"""The Hugging Face Hub: which commit a name stands for, and what its refusals mean."""

from __future__ import annotations

import os
import re
from typing import Literal

from hala_factory.errors import InputError

RepoKind = Literal["dataset", "model"]


def commit_of(repo: str, kind: RepoKind, revision: str | None = None) -> str:
    """The commit that a revision (a tag, a branch, none for the newest) stands for; a commit is itself.

    Raises InputError where the Hub does not answer, has no such repository or revision, or wants a login.
    """
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi

    try:
        commit = HfApi(endpoint=endpoint()).repo_info(repo, repo_type=kind, revision=revision).sha
    except Exception as error:
        raise InputError(explained(error, repo, kind, revision)) from error
    assert commit is not None
    return str(commit)


def endpoint() -> str | None:
    """Where the Hub is, None for its usual place.

    Read at every call: the client's own constant keeps what the variable said when it was first imported.
    """
    return os.environ.get("HF_ENDPOINT") or None


def explained(error: Exception, repo: str, kind: RepoKind, revision: str | None) -> str:
    """What went wrong with the Hub, and what to do about it."""
    from huggingface_hub import errors

    page = f"datasets/{repo}" if kind == "dataset" else repo
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{kind} {repo!r} on the Hub is gated: accept its terms at https://huggingface.co/{page}, "
            "then set HF_TOKEN or run 'hf auth login'"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{kind} {repo!r} on the Hub has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"there is no {kind} {repo!r} on the Hub, or it is private: check the spelling, "
            "or set HF_TOKEN or run 'hf auth login'"
        )
    return (
        f"the Hub did not answer for {kind} {repo!r} ({first_line(error)}): check the network and HF_ENDPOINT, "
        "or use the profile that reads samples"
    )


def first_line(error: Exception) -> str:
    """The first line of an error, as part of a sentence."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
