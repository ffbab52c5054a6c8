"""The generation store: every answer a model ever gave, so that nothing is asked (and paid) twice.

The model:
- `<root>/<model>-<fp12>/` holds the answers of one model: `model.json` says which, `segment-*.parquet` hold
  them (see `segments`, `compaction`), `journal-*.jsonl` hold the latest (see `journal`).
- A journal becomes the segment of the same token: written whole, then renamed, then the journal goes. Done
  twice it gives the same segment, so a crash between the two loses and doubles nothing.
- In memory stand only 64-bit prefixes of the keys and where their answers lie; a hit is verified by its full
  key. Of several answers to one key the first in time counts, and a refusal only where nothing else stands.
- Those who use, merge and remove a folder keep out of each other's way by `locks`; those who ask for the same at the
  same time, by `neighbours`.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import BuildError
from hala_factory.generate import locks, neighbours, segments
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.compaction import LARGE_ROWS, MANY, compact
from hala_factory.generate.journal import Journal, abandoned, answer_of, entries
from hala_factory.generate.segments import GROUP_ROWS
from hala_factory.store import read_json, write_json

SEGMENT_ROWS = 8_192
GROUPS_KEPT = 64
FILES_KEPT = 64

_READ = ["key", "answer", "finish_reason", "prompt_tokens", "output_tokens", "error"]


@dataclass(frozen=True)
class _Run:
    """Where answers lie, sorted by the prefix of their keys: 16 bytes each."""

    prefix: npt.NDArray[np.uint64]
    segment: npt.NDArray[np.uint32]
    row: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.prefix)

    def by(self, order: npt.NDArray[np.intp]) -> _Run:
        return _Run(self.prefix[order], self.segment[order], self.row[order])

    def find(self, prefix: int) -> Iterator[tuple[int, int]]:
        """Segment and row of every answer under this prefix."""
        place = int(np.searchsorted(self.prefix, np.uint64(prefix)))
        while place < len(self) and self.prefix[place] == prefix:
            yield int(self.segment[place]), int(self.row[place])
            place += 1


def _joined(runs: list[_Run]) -> _Run:
    return _Run(
        np.concatenate([r.prefix for r in runs]),
        np.concatenate([r.segment for r in runs]),
        np.concatenate([r.row for r in runs]),
    )


class GenerationStore:
    """The answers of one model. One event loop or thread uses an object; any number of processes a folder.

    What other processes write is seen by `latest`, and by the next opener. Raises BuildError for a segment that is
    torn or corrupt, for a full disk, and for a folder that belongs to another model.
    """

    def __init__(self, root: Path, model: ModelIdentity, *, segment_rows: int = SEGMENT_ROWS) -> None:
        self.model = model
        self.folder = folder_of(root, model)
        self._segment_rows = segment_rows
        self._segments: list[Path] = []
        self._rows: list[int] = []
        self._runs: list[_Run] = []
        self._journal: Journal | None = None
        self._pending: dict[str, tuple[int, int]] = {}
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._others = neighbours.Journals(self.folder)
        self._claims = neighbours.Claims(self.folder)
        self._lock: int | None = locks.use(self.folder)
        try:
            self._own()
            with locks.listing(self.folder, changing=True):  # nobody looks while a journal becomes a segment
                seal_abandoned(self.folder)
            self._look()
        except BaseException:
            self._release()
            raise

    def _own(self) -> None:
        record = self.folder / "model.json"
        known = read_json(record)
        if known is None:
            write_json(
                record,
                {"name": self.model.name, "fingerprint": self.model.fingerprint, "identity": self.model.content},
            )
        elif known["fingerprint"] != self.model.fingerprint:
            raise BuildError(f"{self.folder} holds the answers of another model (see model.json); move it away")

    def __len__(self) -> int:
        """Answers in store; one counts twice where two processes asked for it at the same time."""
        return sum(len(r) for r in self._runs) + len(self._pending)

    def get(self, key: str) -> Answer | None:
        """The stored answer to a request's key."""
        if self._journal and key in self._pending:
            return answer_of(self._journal.read(*self._pending[key]))
        while True:
            try:
                return self._found(key)
            except FileNotFoundError:  # a compaction has put its answers into another segment
                self._look()

    def _found(self, key: str) -> Answer | None:
        refusal = None
        for segment, row in (place for run in self._runs for place in run.find(int(key[:16], 16))):
            fields = self._row(segment, row)
            if fields["key"] == key:
                if fields["error"] is None:
                    return answer_of(fields)
                refusal = refusal or answer_of(fields)
        return refusal

    def latest(self, key: str) -> Answer | None:
        """As `get`, with what other processes have been answered until now."""
        own = self._journal.path if self._journal else None
        if self._others.look(own, {path.name for path in self._segments}):
            self._look()
        return self._others.get(key) or self.get(key)

    def claim(self, key: str) -> bool:
        """Whether nobody else is asking for this; if so, nobody will until `let_go`, or until this process ends."""
        return self._claims.take(key)

    def let_go(self, key: str) -> None:
        """Let others ask for it."""
        self._claims.drop(key)

    @property
    def heard(self) -> int:
        """How many answers of others have come while this was open, as of the last `latest`."""
        return self._others.lines

    def put(self, key: str, request: Request, answer: Answer) -> None:
        """Store an answer; when this returns it outlives the process, and within seconds the machine."""
        if self._journal is None:
            self._journal = Journal(self.folder)
        self._pending[key] = self._journal.append(key, request, answer)
        if len(self._pending) >= self._segment_rows:
            self._turn_over()

    def close(self) -> None:
        """Make a segment of what is still in the journal, merge small segments if there are many, let go of all."""
        try:
            self._turn_over()
            if sum(rows < LARGE_ROWS for rows in self._rows) >= MANY:
                with contextlib.suppress(BuildError):  # a full disk: every answer stands where it stood
                    compact(self.folder, many=MANY)
        finally:
            self._forget()
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _release(self) -> None:
        self._others.close()
        self._claims.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _turn_over(self) -> None:
        if self._journal is None:
            return
        journal, self._journal = self._journal, None
        try:
            segment = seal(journal.path)  # on a full disk the journal stays, and the next opener tries again
        finally:
            journal.release()
        self._pending.clear()
        if segment:
            try:
                self._load([segment])
            except FileNotFoundError:  # another process was quick to merge it
                self._look()

    def _look(self) -> None:
        """Load every segment that stands, in place of what is known."""
        with locks.listing(self.folder):
            self._forget()
            self._load(segments.standing(self.folder))

    def _forget(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._groups.clear()
        self._segments, self._rows, self._runs = [], [], []

    def _load(self, paths: list[Path]) -> None:
        found, replaced = [], set()
        for path in paths:
            with segments.opened(path) as file:
                table = file.read(["key", "time"], use_threads=False)
                replaced |= set(segments.replaced_by(file))
            prefix = segments.prefixes(table["key"], path)
            found.append((path, prefix, table["time"].cast(pa.int64()).to_numpy()))
        runs, times = [], []
        for path, prefix, time in found:
            if path.name not in replaced:
                number = np.full(len(prefix), len(self._segments), np.uint32)
                runs.append(_Run(prefix, number, np.arange(len(prefix), dtype=np.uint32)))
                times.append(time)
                self._segments.append(path)
                self._rows.append(len(prefix))
        if not runs:
            return
        joined = _joined(runs)
        self._runs.append(joined.by(np.lexsort((np.concatenate(times), joined.prefix))))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            both = _joined(self._runs[-2:])  # the older one first, and the sort is stable
            self._runs[-2:] = [both.by(np.argsort(both.prefix, kind="stable"))]

    def _row(self, segment: int, row: int) -> dict[str, Any]:
        group, within = divmod(row, GROUP_ROWS)
        table = self._groups.get((segment, group))
        if table is None:
            with segments.named(self._segments[segment]):
                table = self._file(segment).read_row_group(group, columns=_READ, use_threads=False)
            self._groups[segment, group] = table
            if len(self._groups) > GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end((segment, group))
        fields: dict[str, Any] = table.slice(within, 1).to_pylist()[0]
        return fields

    def _file(self, segment: int) -> pq.ParquetFile:
        file = self._files.get(segment)
        if file is None:
            file = self._files[segment] = pq.ParquetFile(self._segments[segment], page_checksum_verification=True)
            if len(self._files) > FILES_KEPT:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(segment)
        return file


def folder_of(root: Path, model: ModelIdentity) -> Path:
    """Where the answers of a model stand: under its name, or under one that it had before in the catalog."""
    own = root / model.folder
    if own.exists():
        return own
    return next(iter(sorted(root.glob(f"*-{model.fingerprint[:12]}"))), own)


def seal_abandoned(folder: Path) -> None:
    """Make segments of the journals that dead writers left."""
    for journal in sorted(folder.glob("journal-*.jsonl")):
        with abandoned(journal) as ours:
            if ours:
                seal(journal)


def seal(journal: Path) -> Path | None:
    """The segment made from a journal that is ours, None if it holds nothing; the journal is gone."""
    segment = segments.segment_path(journal.parent, journal.stem.rpartition("-")[2])
    rows = [] if segment.exists() else list(entries(journal))
    if rows:
        segments.write(segment, [pa.Table.from_pylist(rows, segments.SEGMENT)])
    whole = segment.exists()
    journal.unlink()
    return segment if whole else None
