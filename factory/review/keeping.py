"""Keeping: what people answered, beside the corpora in the store, in rounds that are only ever added to.

The model:
- A folder per corpus version and plan, `reviews/<name>/<version>-<digest>/`. It keeps the plan and the sample too, so
  that a rebuilt `dev` leaves the answers to its forerunner readable, and what they decided standing.
- A round is a Parquet file and its record, written last, sealed, with the digest of the file.
- People stand under pseudonyms: an HMAC of the name by a key that is made here at random and leaves the folder never.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory import seal
from hala_factory.errors import BuildError
from hala_factory.fingerprint import file_digest
from hala_factory.review import loading, sample
from hala_factory.store import StageFolder, Store, atomic, atomic_folder

SHOWN = 12
"""Hex digits of a plan's digest that name its folder."""
PLAN, KEY = "plan.json", ".key"
COLUMNS: dict[str, Any] = {
    "task": pl.String,
    "row": pl.String,
    "annotator": pl.String,
    "status": pl.String,
    "verdict": pl.String,
    "errors": pl.List(pl.String),
    "severity": pl.String,
    "correction": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "round": pl.Int32,
}
_ROUND = re.compile(r"round-(\d{5})\.json")


@dataclass(frozen=True)
class Kept:
    """The folder of one plan: what was asked and every round of answers."""

    path: Path
    name: str
    version: str
    told: dict[str, Any]
    """The manifest's `review`."""

    def sample(self) -> pl.DataFrame:
        """The tasks. Raises InputError where the file is not as it was written."""
        return loading.read(self.path / "sample.parquet", self.told, f"{self.name}@{self.version}")

    def rounds(self) -> list[int]:
        """The numbers of the rounds that are recorded, in order."""
        return sorted(int(m[1]) for p in self.path.glob("round-*.json") if (m := _ROUND.fullmatch(p.name)))

    def history(self) -> pl.DataFrame:
        """Every answer of every round. Raises BuildError naming a file that is torn, changed or gone."""
        numbers = self.rounds()
        if numbers != list(range(1, len(numbers) + 1)):
            gone = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
            raise BuildError(f"{self.path / _name(gone[0], 'json')}: is gone; bring it back from a copy")
        frames = [pl.read_parquet(self._whole(number)) for number in numbers]
        return pl.concat(frames) if frames else pl.DataFrame(schema=COLUMNS)

    def answers(self, upto: int | None = None) -> pl.DataFrame:
        """The last state of every task and annotator, after the first rounds if `upto` is given."""
        seen = self.history() if upto is None else self.history().filter(pl.col("round") <= upto)
        last = seen.sort("at", "round", maintain_order=True)
        return last.unique(["task", "annotator"], keep="last", maintain_order=True).sort("task", "annotator")

    def _whole(self, number: int) -> Path:
        record, path = self.path / _name(number, "json"), self.path / _name(number, "parquet")
        problem = seal.broken(record.read_bytes())
        if problem:
            raise BuildError(f"{record}: {problem}; bring it back from a copy")
        said = json.loads(record.read_bytes())
        if not path.exists():
            raise BuildError(f"{path}: is gone, though its record stands; bring it back from a copy")
        if file_digest(path) != said["sha256"]:
            raise BuildError(f"{path}: is torn or was changed after it was written; bring it back from a copy")
        return path

    def pseudonym(self, name: str) -> str:
        """What stands for a person in this review."""
        try:
            key = (self.path / KEY).read_bytes()
        except FileNotFoundError:
            raise BuildError(
                f"{self.path / KEY}: is gone, and people would get other pseudonyms than before; bring it back"
            ) from None
        return f"reviewer-{hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:10]}"

    def add(self, rows: list[dict[str, Any]]) -> int:
        """Write a round; its number."""
        number = len(self.rounds()) + 1
        frame = pl.DataFrame([{**row, "round": number} for row in rows], schema=COLUMNS, orient="row")
        path = self.path / _name(number, "parquet")
        with atomic(path) as temporary:
            frame.write_parquet(temporary)
        said = {"round": number, "answers": frame.height, "sha256": file_digest(path), "of": self.told["digest"]}
        seal.write(self.path / _name(number, "json"), said)
        return number


def kept(store: Store, name: str, version: str | None = None) -> list[Kept]:
    """The reviews of a corpus, of one version or of all, whatever its plan was. Raises BuildError for a torn plan."""
    found = []
    for path in sorted((store.root / "reviews" / name).glob(f"{version or ''}*/{PLAN}")):
        problem = seal.broken(path.read_bytes())
        if problem:
            raise BuildError(f"{path}: {problem}; bring it back from a copy")
        said = json.loads(path.read_bytes())
        if version in (None, said["version"]):
            found.append(Kept(path.parent, said["name"], said["version"], said["review"]))
    return found


def opened(store: Store, artifact: str) -> Kept:
    """The folder of a corpus's plan, made if it is not there. Raises InputError as `loading.load` does."""
    deck = loading.load(store, artifact)
    manifest = store.manifest(deck.name, deck.version)
    assert manifest is not None
    path = store.root / "reviews" / deck.name / f"{deck.version}-{deck.digest[:SHOWN]}"
    with StageFolder(path.parent).lock():
        if not (path / PLAN).exists():
            with atomic_folder(path) as folder:
                there = store.corpus(deck.name, deck.version) / sample.FILE
                (folder / "sample.parquet").write_bytes(there.read_bytes())
                handle = os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as out:
                    out.write(secrets.token_bytes(32))
                said = {"name": deck.name, "version": deck.version, "review": manifest["review"]}
                seal.write(folder / PLAN, said)
    return Kept(path, deck.name, deck.version, manifest["review"])


def _name(number: int, kind: str) -> str:
    return f"round-{number:05d}.{kind}"
