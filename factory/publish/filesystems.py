"""File systems by their address: a folder of this machine, an object store, or whatever else fsspec speaks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hala_factory.errors import BuildError, HalaError, InputError
from hala_factory.hub import first_line
from hala_factory.publish.secrets import redacted, without_credentials

EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Protocols that want an extra of ours, and which."""
BUCKETS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2"}
"""Protocols of object stores."""


def opened(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it without a slash at its end.

    Raises InputError where the address is wrong, or the package that speaks its protocol is not installed.
    """
    import fsspec  # type: ignore[import-untyped]

    without_credentials(url)
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        files, path = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        todo = f"pip install 'hala-factory[{extra}]'" if extra else redacted(first_line(error))
        raise InputError(f"{url}: the package that speaks {protocol}:// is not installed: {todo}") from None
    except ValueError as error:
        raise InputError(
            f"{url}: {redacted(first_line(error))}; expected e.g. file:///folder or s3://bucket/prefix"
        ) from None
    return files, str(path).rstrip("/")


def make_folder(files: Any, path: str) -> None:
    """Make a folder where there are such; an object store has none, and would make a mistyped bucket."""
    protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    if not protocols & BUCKETS:
        files.makedirs(path, exist_ok=True)


@contextlib.contextmanager
def explained(url: str, doing: str) -> Iterator[None]:
    """Tell what a file system refused in words, without any secret, as a BuildError that says what to do."""
    try:
        yield
    except HalaError:
        raise
    except PermissionError as error:
        raise BuildError(
            f"{doing} {url} is not allowed ({redacted(first_line(error))}); check the rights of the folder, or the "
            "credentials in the environment"
        ) from None
    except FileNotFoundError as error:
        raise BuildError(
            f"{doing} {url} failed: there is no {redacted(first_line(error))}; check the address, and make the bucket "
            "if there is none yet"
        ) from None
    except Exception as error:  # every file system has its own
        raise BuildError(
            f"{doing} {url} failed ({type(error).__name__}: {redacted(first_line(error))}); check the address and the "
            "network, and run the same command again: what is there already is not sent again"
        ) from None
