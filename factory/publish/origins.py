"""Where a published version is pulled from: a repository of the Hub at one commit, or a folder of a file system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from hala_factory.errors import InputError
from hala_factory.hub import commit_of, endpoint
from hala_factory.publish import filesystems
from hala_factory.publish.digests import BLOCK
from hala_factory.publish.publishing import named
from hala_factory.publish.repository import Repository, explained
from hala_factory.publish.secrets import hub_token


class Origin(Protocol):
    """A place that holds one version."""

    address: str

    def manifest(self) -> bytes:
        """The bytes of its manifest. Raises InputError where it has none."""

    def fetch(self, path: str, size: int, scratch: Path) -> Path:
        """Have a file on this machine, below `scratch`, where an earlier attempt may have left a part of it."""


class OnHub:
    """A repository at the commit that a revision stands for now."""

    def __init__(self, repo: str, revision: str | None) -> None:
        self.repository = Repository(named(repo), "dataset")
        self.commit = commit_of(repo, "dataset", revision)
        self.address = f"{self.repository.id} at {revision or self.commit[:12]}"

    def manifest(self) -> bytes:
        """The bytes of its manifest."""
        from huggingface_hub.errors import EntryNotFoundError

        with explained(self.repository, "reading"):
            try:
                return self.repository.read(self.commit, "manifest.json")
            except EntryNotFoundError:
                raise InputError(
                    f"{self.address} holds no manifest.json: it was not published by hala-factory"
                ) from None

    def fetch(self, path: str, size: int, scratch: Path) -> Path:
        """By the Hub's own client, which takes a torn connection up again; a killed one begins the file anew."""
        from huggingface_hub import hf_hub_download

        with explained(self.repository, "reading"):
            return Path(
                hf_hub_download(
                    self.repository.id,
                    path,
                    repo_type="dataset",
                    revision=self.commit,
                    local_dir=scratch,
                    endpoint=endpoint(),
                    token=hub_token() or False,
                )
            )


class InFolder:
    """A folder of this machine, or of an object store."""

    def __init__(self, url: str) -> None:
        self.files, self.root = filesystems.opened(url)
        self.address = url

    def manifest(self) -> bytes:
        """The bytes of its manifest."""
        with filesystems.explained(self.address, "reading"):
            try:
                return bytes(self.files.cat_file(f"{self.root}/manifest.json"))
            except (FileNotFoundError, NotADirectoryError):
                raise InputError(
                    f"{self.address} holds no manifest.json; expected the folder of a version, as 'publish' prints it"
                ) from None

    def fetch(self, path: str, size: int, scratch: Path) -> Path:
        """Block by block, from where an earlier attempt broke off."""
        target = scratch / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with filesystems.explained(self.address, "reading"), target.open("ab") as out:
            if out.tell() > size:
                out.truncate(0)
            if out.tell() < size:
                self._copy(path, out)
        return target

    def _copy(self, path: str, out: Any) -> None:
        with self.files.open(f"{self.root}/{path}", "rb", block_size=BLOCK, cache_type="readahead") as file:
            file.seek(out.tell())
            while block := file.read(BLOCK):
                out.write(block)


def origin(place: str, revision: str | None) -> Origin:
    """The origin that a person names. Raises InputError where it can be none."""
    if "://" not in place and not os.path.isdir(place):
        return OnHub(place, revision)
    if revision is not None:
        raise InputError("--revision is of a repository on the Hub; a folder holds one version")
    return InFolder(place)
