"""Finds the files of a source: by path or glob below a folder, or in a repository on the Hub."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory import fingerprint
from hala_factory.catalog import Format, Source
from hala_factory.errors import InputError
from hala_factory.yamlfile import display

ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".tmx": "tmx",
    ".po": "po",
}
"""The form of a file by the ending of its name, after a compression's ending is taken off."""

COMPRESSIONS = (".gz", ".zst", ".zip")


@dataclass(frozen=True)
class File:
    """One file of a source, as located."""

    name: str
    """Name within the source (a relative path); stands in `origin.file`."""
    url: str
    """Local path, or `hf://` URL."""
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of the content; for a small file on the Hub, the id of its git blob."""
    language: str | None = None
    """Which side of a moses pair it is."""


@dataclass(frozen=True)
class Corpus:
    """What a source that is a corpus of the store is known by, and what its rows bring with them."""

    artifact: str
    """`name@version`."""
    digest: str
    """Of its rows: as long as they are the same, nothing is read again."""
    parts: tuple[dict[str, Any], ...]
    """What binds its licence, as its manifest tells it."""
    origins: dict[str, dict[str, Any]]
    """The sources of its rows, those that it read and those that came with other corpora: `hub`, `revision`."""
    models: dict[str, dict[str, Any]]
    """The models that wrote or chose its rows: `engine`, `hub`, `revision`, `by`, as far as they have them."""
    kept: dict[str, int]
    """Its rows, by their source."""
    sides: dict[str, str] | None = None
    """Where its messages are read as pairs: language -> column of messages."""


@dataclass(frozen=True)
class Located:
    """The files of a source in reading order, all of one form."""

    revision: str | None
    """The commit on the Hub; None for paths."""
    files: tuple[File, ...]
    format: Format
    corpus: Corpus | None = None
    """The corpus that the files are those of."""


def locate(
    source: Source,
    folder: Path,
    *,
    revision: str | None = None,
    sample: bool = False,
    digests: Callable[[Path], str] = fingerprint.file_digest,
) -> Located:
    """The files of `source`, or of its `sample`.

    Globs are sorted, `**` crosses folders, a folder means every file of a known ending below it, and a file
    that two globs match is read once.

    Args:
        source: The catalog's entry.
        folder: Where relative paths start.
        revision: Commit on the Hub, e.g. one that is locked; overrides the catalog's.
        sample: Take the source's `sample` in place of its data.
        digests: How a local file's digest is found; a caller may remember the ones of unchanged files.

    Raises:
        InputError: No file matches, the form is unknown, there is no sample, or the Hub does not answer.
    """
    if sample:
        if source.sample is None:
            raise InputError("the source has no 'sample'; write a few rows in its schema and name them in the catalog")
        return _on_disk(source.sample.path, source.sample.format, folder, digests, fallback=source.format)
    if source.hub is not None:
        from hala_factory.reader import hub  # a heavy import that sources on disk do without

        return hub.locate(source, revision)
    if isinstance(source.path, dict):
        return Located(None, _sides(source, source.path, folder, digests), "moses")
    assert source.path is not None  # the catalog's model asks for one of the two, or for a `ref`: see `corpora`
    return _on_disk(source.path, source.format, folder, digests)


def form_of(names: Iterable[str], given: Format | None) -> Format:
    """The one form of files with these names. Raises InputError where it is unknown or they differ."""
    if given is not None:
        return given
    forms: dict[Format, str] = {}
    for name in names:
        found = guess(name)
        if found is None:
            raise InputError(f"the form of {name!r} is not known by its ending; say 'format:'")
        forms.setdefault(found, name)
    if len(forms) > 1:
        examples = ", ".join(f"{form} ({name})" for form, name in sorted(forms.items()))
        raise InputError(f"the files are of several forms: {examples}; narrow the glob, or make a source of each")
    return next(iter(forms))


def guess(name: str) -> Format | None:
    """The form of a file by its name: `a.jsonl.gz` is jsonl; None for an ending that is not known."""
    stem = name.lower()
    for ending in COMPRESSIONS:
        stem = stem.removesuffix(ending)
    return ENDINGS.get(os.path.splitext(stem)[1])


def _on_disk(
    paths: str | list[str],
    given: Format | None,
    folder: Path,
    digests: Callable[[Path], str],
    *,
    fallback: Format | None = None,
) -> Located:
    found: dict[Path, None] = {}  # keeps the order, drops what is matched twice
    for pattern in [paths] if isinstance(paths, str) else paths:
        found |= dict.fromkeys(_matches(pattern, given, folder))
    names = _names(list(found), folder)
    if given is None and all(guess(name) is None for name in names):
        given = fallback
    form = form_of(names, given)
    files = tuple(
        File(name, str(path), path.stat().st_size, digests(path)) for name, path in zip(names, found, strict=True)
    )
    return Located(None, files, form)


def _matches(pattern: str, given: Format | None, folder: Path) -> list[Path]:
    start = folder / pattern
    if start.is_dir():
        below = sorted(p for p in start.rglob("*") if p.is_file() and not _hidden(p.relative_to(start)))
        found = [p for p in below if (guess(p.name) or given) and (given is None or guess(p.name) in (None, given))]
        if not found:
            endings = ", ".join(sorted(ENDINGS))
            raise InputError(f"folder {pattern!r} holds no file of a known form ({endings}); it has {_held(start)}")
        return found
    if start.is_file():  # before globbing: a name may hold brackets
        return [start]
    found = sorted(Path(p) for p in glob.glob(str(start), recursive=True) if os.path.isfile(p))
    if not found:
        near = start.parent
        while not near.is_dir():
            near = near.parent
        raise InputError(f"no file matches {pattern!r}; the folder {display(near)} has {_held(near)}")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _held(folder: Path) -> str:
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith("."))
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more if names else "nothing in it"


def _names(paths: list[Path], folder: Path) -> list[str]:
    """Names that are the same on every machine: relative to the catalog, else to the folder all files share."""
    relative = [os.path.relpath(p, folder) for p in paths]
    if any(os.path.isabs(name) or name.startswith("..") for name in relative):
        shared = os.path.commonpath([p.resolve().parent for p in paths])
        relative = [os.path.relpath(p.resolve(), shared) for p in paths]
    return [Path(name).as_posix() for name in relative]


def _sides(source: Source, paths: dict[str, str], folder: Path, digests: Callable[[Path], str]) -> tuple[File, ...]:
    """One file per language, in the order of the row's languages."""
    wanted = list(source.mapping.values())
    if unknown := sorted(set(wanted) - set(paths)):
        raise InputError(f"'columns' names {unknown[0]!r}, but 'path' has files for {', '.join(sorted(paths))}")
    files = []
    for language in wanted:
        found = _matches(paths[language], "moses", folder)
        if len(found) != 1:
            raise InputError(f"path of {language!r}: expected one file, {paths[language]!r} matches {len(found)}")
        files.append((language, found[0]))
    names = _names([path for _, path in files], folder)
    return tuple(
        File(name, str(path), path.stat().st_size, digests(path), language)
        for name, (language, path) in zip(names, files, strict=True)
    )
