"""`verify`: a version proved from its own folder: its files, what its manifest says of itself, and its rows.

The model:
- Every byte of the folder is covered: files by their digests in the manifest, the manifest by its seal. So are the
  answers of people to its review, which stand beside it.
- What the manifest says is not believed: counts, digest, schema and licence are found again in the rows.
- Everything that is wrong is told at once. Rows are read only where the files that hold them are whole.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from hala_factory.errors import InputError, did_you_mean
from hala_factory.store import Store
from hala_factory.verify.agreement import agreement
from hala_factory.verify.answered import answered
from hala_factory.verify.files import Finding, damaged, manifest_in
from hala_factory.verify.rows import in_rows

__all__ = ["Finding", "Verified", "verify"]


@dataclass(frozen=True)
class Verified:
    """What was found out about a version."""

    artifact: str
    findings: list[Finding]
    files: int = 0
    bytes: int = 0
    rows: int = 0
    """Rows that were read, kept ones and others."""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """The answer of `verify --json`."""
        return {
            "artifact": self.artifact,
            "ok": not self.findings,
            "findings": [{"file": f.file, "message": f.message} for f in self.findings],
            "notes": self.notes,
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }

    def tell(self) -> str:
        """The answer as text."""
        head = f"{self.artifact}: {'whole' if not self.findings else f'{len(self.findings)} faults'}"
        read = f"  read    {self.files:,} files, {self.bytes / 1e6:,.1f} MB, {self.rows:,} rows, {self.seconds:.1f} s"
        return "\n".join(
            [head, *(f"  fault   {f}" for f in self.findings), read, *(f"  note    {n}" for n in self.notes)]
        )


def verify(store: Store, artifact: str) -> Verified:
    """Prove `name@version`, all faults at once. Raises InputError where the store has no folder of that version."""
    started = time.monotonic()
    name, _, version = artifact.partition("@")
    folder = store.corpus(name, version)
    if not (name and version and folder.is_dir()):
        there = [f"{p.parent.name}@{p.name}" for p in store.root.glob("corpora/[!.]*/[!.]*") if p.is_dir()]
        raise InputError(
            f"{store.root} holds no {artifact!r}{did_you_mean(artifact, there) or '; nothing is built yet'}"
        )
    manifest, findings = manifest_in(folder)
    if manifest is None:
        note = "nothing but the manifest was looked at: what the other files should be stands in it"
        return Verified(artifact, findings, 1, 0, 0, [note], time.monotonic() - started)
    sealed = not findings
    findings += damaged(folder, manifest)
    findings += answered(store, name, version)
    rows, notes = 0, list[str]()
    if sealed:
        agreed, notes = agreement(folder, manifest, artifact, {f.file for f in findings})
        findings += agreed
    else:
        notes.append("what the manifest says was not compared with the rows, as the manifest is not as it was written")
    if not findings:
        seen = in_rows(folder, manifest)
        rows, findings = seen.rows, seen.findings
    elif sealed:
        notes.append("rows were not read, as there are faults already")
    size = sum(int(facts["bytes"]) for facts in manifest["files"].values())
    return Verified(artifact, findings, len(manifest["files"]) + 1, size, rows, notes, time.monotonic() - started)
