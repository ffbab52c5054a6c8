"""Sources on the Hugging Face Hub: which files at which commit, and their bytes as they are asked for."""

from __future__ import annotations

import io
import re
import time
from typing import Any, BinaryIO

import httpx
from fsspec.utils import glob_translate  # type: ignore[import-untyped]

from hala_factory.catalog import Source
from hala_factory.errors import InputError, did_you_mean
from hala_factory.hub import commit_of, endpoint, explained, first_line
from hala_factory.reader.files import File, Located, form_of

SCHEME = "hf://"
TRIES = 5
"""How often a broken connection is taken up again before the build gives up; the client retries below that."""
FIRST_WAIT = 0.5  # seconds; doubled at every try, so 7.5 s in all

BLOCK = 1 << 22  # bytes of one request into a file read by position: few requests, and little that is not needed
BLOCKS = 16  # such blocks kept, so that the columns of a row group do not push each other out


def locate(source: Source, revision: str | None) -> Located:
    """The files of a source on the Hub at one commit. Raises InputError where the Hub does not have them."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    assert source.hub is not None
    api = HfApi(endpoint=endpoint())
    commit = commit_of(source.hub, "dataset", revision or source.revision)
    try:
        listing = api.list_repo_tree(source.hub, repo_type="dataset", revision=commit, recursive=True)
        there = {entry.path: entry for entry in listing if isinstance(entry, RepoFile)}
    except Exception as error:
        raise InputError(explained(error, source.hub, "dataset", commit)) from error
    names = _chosen(source, there) if source.files else _of_split(source, commit)
    files = []
    for name in names:
        entry = there[name]
        digest = entry.lfs.sha256 if entry.lfs else entry.blob_id
        files.append(File(name, f"{SCHEME}datasets/{source.hub}@{commit}/{name}", entry.size, digest))
    return Located(commit, tuple(files), form_of(names, source.format))


def _chosen(source: Source, there: dict[str, Any]) -> list[str]:
    names: dict[str, None] = {}
    for pattern in source.files or []:
        wanted = re.compile(glob_translate(pattern))
        found = sorted(name for name in there if wanted.fullmatch(name))
        if not found:
            near = did_you_mean(pattern, there) if len(there) <= 40 else f"; it holds {len(there)} files"
            raise InputError(f"no file of {source.hub!r} on the Hub matches {pattern!r}{near}")
        names |= dict.fromkeys(found)
    return list(names)


def _of_split(source: Source, commit: str) -> list[str]:
    """The files that the `datasets` library would read for this configuration and split."""
    from datasets import load_dataset_builder

    assert source.hub is not None
    try:
        builder = load_dataset_builder(source.hub, source.config, revision=commit)
        splits = builder.config.data_files or {}
    except (httpx.HTTPError, OSError) as error:
        raise InputError(explained(error, source.hub, "dataset", commit)) from error
    except (ValueError, RuntimeError) as error:  # unknown configuration, a loading script, no data files
        raise InputError(f"{source.hub!r} on the Hub: {first_line(error)}; name its 'files:' instead") from error
    if source.split not in splits:
        near = did_you_mean(source.split, map(str, splits))
        raise InputError(f"{source.hub!r} on the Hub has no split {source.split!r}{near}")
    prefix = f"{SCHEME}datasets/{source.hub}@{commit}/"
    names = [str(url).removeprefix(prefix) for url in splits[source.split]]
    if outside := [name for name in names if "://" in name]:
        raise InputError(
            f"{source.hub!r} on the Hub keeps files elsewhere ({outside[0]}); fetch them, and give 'path:'"
        )
    return names


def stream(url: str, size: int) -> io.BufferedReader:
    """The bytes of a file from its start, over one connection that is taken up again where it breaks."""
    return io.BufferedReader(_Stream(url, size), 1 << 20)


def seekable(url: str) -> BinaryIO:
    """A file read by position: only the blocks that are asked for cross the network."""
    opened: BinaryIO = _filesystem().open(
        url, "rb", block_size=BLOCK, cache_type="blockcache", cache_options={"maxblocks": BLOCKS}
    )
    return opened


def _filesystem() -> Any:
    from huggingface_hub import HfFileSystem

    return HfFileSystem(endpoint=endpoint())


class _Stream(io.RawIOBase):
    """Knows the size: a connection that ends early and quietly must not look like the end of the file."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._size, self._at = url, size, 0
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if not wanted:
            return 0
        for tried in range(TRIES):
            try:
                if self._file is None:
                    self._file = _filesystem().open(self._url, "rb", block_size=0)
                    self._file.loc = self._at  # where its first request starts
                data = self._file.read(wanted)
                if not data:
                    raise OSError(f"the connection ended at byte {self._at:,} of {self._size:,}")
                break
            except (httpx.TransportError, OSError):
                self._drop()
                if tried == TRIES - 1:
                    raise
                time.sleep(FIRST_WAIT * 2**tried)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None  # its finaliser gives the connection back

    def close(self) -> None:
        self._drop()
        super().close()
