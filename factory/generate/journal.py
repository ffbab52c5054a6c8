"""Journals: answers on disk the moment they arrive, one JSON line and one write each.

The model:
- A journal belongs to one writer, who holds a lock on it as long as it lives; a journal nobody has locked is
  what a dead writer left.
- Every line opens with a checksum of its rest, so a line that was torn, wherever it stands, is recognised and
  skipped, and the lines around it are not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from hala_factory.errors import BuildError
from hala_factory.generate.answers import Answer, Request

SYNCED_EVERY = 2.0
"""Seconds of answers, while they come, that a power cut may take; a killed process loses none."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OPEN, _MIDDLE = b'{"crc":"', b'",'
_CRC = slice(len(_OPEN), len(_OPEN) + 8)
_REST = _CRC.stop + len(_MIDDLE)


def _line(key: str, request: Request, answer: Answer) -> bytes:
    fields = {
        "key": key,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "temperature": float(request.temperature),
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "answer": answer.text,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "output_tokens": answer.output_tokens,
        "error": answer.error,
        "time": time.time_ns() // 1_000_000,
        "schema": request.schema,
    }
    rest = orjson.dumps(fields)[1:]
    return _OPEN + b"%08x" % zlib.crc32(rest) + _MIDDLE + rest + b"\n"


def _fields(line: bytes) -> dict[str, Any] | None:
    rest = line[_REST:]
    if not line.startswith(_OPEN) or line[_CRC] != b"%08x" % zlib.crc32(rest):
        return None
    fields: dict[str, Any] = orjson.loads(b"{" + rest)
    return fields


def answer_of(fields: dict[str, Any]) -> Answer:
    """The answer in an entry's fields."""
    return Answer(
        fields["answer"], fields["finish_reason"], fields["prompt_tokens"], fields["output_tokens"], fields["error"]
    )


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The fields of every whole line; torn lines are passed over (their answers are asked again).

    The fields: `key`, `messages`, `temperature`, `max_tokens`, `seed`, `answer`, `finish_reason`,
    `prompt_tokens`, `output_tokens`, `error`, `time` (Unix time in milliseconds), `schema` (not in older ones).
    """
    with path.open("rb") as f:
        for line in f:
            fields = fields_of(line)
            if fields is not None:
                yield fields


def fields_of(line: bytes) -> dict[str, Any] | None:
    """The fields of a line, None of a torn one."""
    fields = _fields(line.rstrip(b"\n"))
    if fields is None and (start := line.find(_OPEN, 1)) > 0:  # a torn line with a whole one behind it
        fields = _fields(line[start:].rstrip(b"\n"))
    return fields


def latest_of(folder: Path) -> list[dict[str, Any]]:
    """What stands in the journals of a folder, living ones too; one that becomes a segment meanwhile may lack."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("journal-*.jsonl")):
        with contextlib.suppress(FileNotFoundError):
            found += entries(path)
    return found


class Journal:
    """The journal of this writer. Raises BuildError when the disk is full."""

    def __init__(self, folder: Path) -> None:
        self.token = uuid.uuid4().hex[:12]
        self.path = folder / f"journal-{os.getpid()}-{self.token}.jsonl"
        hidden = folder / f".tmp-{self.path.name}"  # locked before it can be seen, so nobody takes it for a dead one's
        with told(self.path):
            self._handle = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            hidden.rename(self.path)
        self._size = 0
        self._torn = False
        self._synced = time.monotonic()

    def append(self, key: str, request: Request, answer: Answer) -> tuple[int, int]:
        """Write one answer; where its line stands, for `read`."""
        line = _line(key, request, answer)
        if self._torn:
            line = b"\n" + line
        with told(self.path):
            try:
                written = os.write(self._handle, line)
                while written < len(line):  # the disk is nearly full, or a signal came
                    written += os.write(self._handle, line[written:])
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, self._size)
                size = os.fstat(self._handle).st_size
                self._size, self._torn = size, size != self._size
                raise
        offset, self._size, self._torn = self._size, self._size + len(line), False
        if time.monotonic() - self._synced > SYNCED_EVERY:
            self._sync()
        return offset, len(line)

    def _sync(self) -> None:
        with told(self.path):
            os.fdatasync(self._handle)
        self._synced = time.monotonic()

    def read(self, offset: int, size: int) -> dict[str, Any]:
        """The fields of the line that `append` wrote there."""
        fields = _fields(os.pread(self._handle, size, offset).strip(b"\n"))
        if fields is None:
            raise BuildError(f"{self.path}: was changed while it was written; run the same command again")
        return fields

    def release(self) -> None:
        """Let go of the file, which stays."""
        os.close(self._handle)


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody writes this journal any more; if so, it is ours until the end of the block."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield os.fstat(handle).st_nlink > 0  # 0: another opener was faster and has made a segment of it
    finally:
        os.close(handle)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Re-raise what the file system refuses as a BuildError that says what to do."""
    try:
        yield
    except OSError as e:
        what = "the disk is full" if e.errno in _FULL else f"cannot be written: {e.strerror or e}"
        todo = "free some space and run the same command again; every answer so far is kept"
        raise BuildError(f"{path}: {what}; {todo}") from e
