"""Opens the files of a source: on disk or on the Hub, plain or compressed; a torn one is an error that names it."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from hala_factory.errors import BuildError
from hala_factory.reader.files import File, guess

POINTER = b"version https://git-lfs.github.com/spec/"
ARROW_THREADS = False
"""Arrow's threads let go of a Python file a little late: one that does so while the interpreter ends aborts it."""


def unreadable() -> tuple[type[Exception], ...]:
    """What libraries raise for a file that is torn, of another form than its name says, or gone."""
    import httpx  # this and lxml take longer to import than a small file to read
    from lxml import etree

    return OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException, etree.XMLSyntaxError, httpx.HTTPError


@contextmanager
def reading(file: File) -> Iterator[None]:
    """Turns whatever a library says of an unreadable file into a BuildError that names it and what to do."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, unreadable()):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise BuildError(
            f"{file.name}: cannot be read: {said[:300]}; fetch the file again, or leave it out of the source"
        ) from error


@contextmanager
def stream(file: File) -> Iterator[BinaryIO]:
    """The file's bytes from the start, decompressed. A compressed file that ends early raises OSError."""
    with ExitStack() as stack:
        if file.name.lower().endswith(".zip"):
            archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(seekable(file))))
            yield cast(BinaryIO, stack.enter_context(archive.open(_member(file, archive))))
            return
        raw = stack.enter_context(_opened(file))
        codec = {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(file.name.lower())[1])
        if codec is None:
            yield raw
            return
        # Arrow's streams, unlike Python's for zstd, say when the compressed data ends early.
        unpacked = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec))
        yield cast(BinaryIO, stack.enter_context(io.BufferedReader(unpacked, 1 << 20)))


@contextmanager
def seekable(file: File) -> Iterator[BinaryIO]:
    """The file's bytes as they lie, read by position."""
    if not _on_hub(file):
        with _opened(file) as opened:
            yield opened
        return
    from hala_factory.reader import hub

    with hub.seekable(file.url) as opened:
        yield opened


def _on_hub(file: File) -> bool:
    return file.url.startswith("hf://")


def _opened(file: File) -> io.BufferedReader:
    if _on_hub(file):
        from hala_factory.reader import hub

        return hub.stream(file.url, file.size)
    return _on_disk(file)


def _on_disk(file: File) -> io.BufferedReader:
    opened: io.BufferedReader = io.BufferedReader(io.FileIO(file.url), 1 << 20)
    size = os.fstat(opened.fileno()).st_size
    problem = ""
    if size != file.size:
        problem = f"it has {size:,} bytes now, and had {file.size:,} when the build was planned"
    elif opened.peek(len(POINTER)).startswith(POINTER):
        problem = "it is a pointer of Git LFS, not the data; run 'git lfs pull'"
    if problem:
        opened.close()
        raise OSError(problem)
    return opened


def _member(file: File, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The one file of a known form in the archive (a licence or a readme does not count), or its only file."""
    held = [m for m in archive.infolist() if not m.is_dir()]
    found = [m for m in held if guess(m.filename) is not None] or held
    if len(found) != 1:
        names = ", ".join(m.filename for m in found[:8]) or "nothing"
        raise zipfile.BadZipFile(f"expected one file of a known form in the archive, found {names}")
    return found[0]
