"""Gates: what must hold before a version is published; all are asked, and every reason against it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory.fingerprint import file_digest
from hala_factory.guarantees import Guarantee
from hala_factory.licences import Derived, Part, derive
from hala_factory.publish import reviewed
from hala_factory.review.standing import standing
from hala_factory.store import Store
from hala_factory.verify import verify


@dataclass(frozen=True)
class Candidate:
    """A version that somebody wants to publish."""

    store: Store
    manifest: dict[str, Any]
    allow_dev: bool = False

    @property
    def artifact(self) -> str:
        """Its name and version."""
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @property
    def folder(self) -> Path:
        """Where it stands."""
        place = self.store.model if self.manifest["kind"] == "model" else self.store.corpus
        return place(self.manifest["name"], self.manifest["version"])


@dataclass(frozen=True)
class Gate:
    """One condition: its name, and the reasons for which a candidate does not meet it (none: it does)."""

    name: str
    against: Callable[[Candidate], list[str]]


def _development(candidate: Candidate) -> list[str]:
    found = []
    if candidate.manifest["version"] == "dev":
        found.append("version 'dev' is built again and again; give the recipe a version x.y.z")
    if candidate.manifest.get("samples"):
        found.append("its rows are samples that stand in for the sources; build a profile that reads the sources")
    return [] if candidate.allow_dev else [f"{reason}, or say --allow-dev" for reason in found]


def _whole(candidate: Candidate) -> list[str]:
    return [str(finding) for finding in verify(candidate.store, candidate.artifact).findings]


def _whole_model(candidate: Candidate) -> list[str]:
    found = []
    for name, facts in candidate.manifest["files"].items():
        path = candidate.folder / name
        if not path.is_file():
            found.append(f"{name}: is missing")
        elif path.stat().st_size != facts["bytes"] or file_digest(path) != facts["sha256"]:
            found.append(f"{name}: is not as its manifest says; build it again")
    return found


def _contracts(candidate: Candidate) -> list[str]:
    if "contracts" not in candidate.manifest:
        return ["it was built before contracts were kept in the manifest; build it again"]
    hard = [c for c in candidate.manifest["contracts"] if not c["contract"].get("soft")]
    found = [f"a contract is broken: {each['warning']}" for each in hard if each.get("broken")]
    for each in hard:  # what the finished version was found to hold is judged again, not believed
        if "found" in each and Guarantee.model_validate(each["contract"]).broken_by(each["found"]):
            found.append(f"a contract is broken: {each['words']}, found {each['found']}")
    return found


def _licence(candidate: Candidate) -> list[str]:
    told = candidate.manifest.get("licences" if candidate.manifest["kind"] == "model" else "licence")
    if told is None or "conflicts" not in told:
        return ["it was built before licences were derived; build it again"]
    if told["override"]:
        return []
    todo = "change the sources, or have a person sign 'licence_override'"
    found = [f"{each['text']}; {todo}" for each in told["conflicts"]]
    return found or [f"{reason}; {todo}" for reason in _left_out(candidate.manifest)]


def _left_out(manifest: dict[str, Any]) -> list[str]:
    """Sources of which every row was left out: their rows are in `dropped/`, and that is published, too."""
    if manifest["kind"] == "model":
        return []
    gone = []
    for name, counts in manifest["sources"].items():
        entry, lost = manifest["catalog"].get(name), counts["in"] - counts["kept"]
        if entry is not None and lost and not counts["kept"]:
            entry = {**entry, **(entry.get("sample") or {})} if manifest["samples"] else entry
            says, also = (tuple(entry.get(word, ())) for word in ("licence_says", "also_under"))
            gone.append(Part(name, "source", entry["licence"], rows=lost, says=says, also=also))
    whole = derive([*Derived.read(manifest["licence"]).parts, *gone])
    if not gone or (whole.licence == manifest["licence"]["licence"] and not whole.conflicts):
        return []
    rows = ", ".join(part.told for part in gone)
    return [f"dropped/ holds {rows}, which may not be passed on under {manifest['licence']['licence']}"]


def _measured(candidate: Candidate) -> list[str]:
    judged = {s["name"] for s in candidate.manifest["stages"] if s["kind"] == "judge"}
    passed = {g["step"] for g in candidate.manifest["gates"]}
    asked = {s["label"] for s in candidate.manifest["steps"] if s["step"] == "accept"}
    return [f"no gate of '{name}' is on record as passed; build it again" for name in sorted(asked & judged - passed)]


def _review(candidate: Candidate) -> list[str]:
    return reviewed.against(standing(candidate.store, candidate.manifest))


CORPUS = (
    Gate("version", _development),
    Gate("whole", _whole),
    Gate("contracts", _contracts),
    Gate("licence", _licence),
    Gate("review", _review),
)
MODEL = (
    Gate("version", _development),
    Gate("whole", _whole_model),
    Gate("acceptance", _measured),
    Gate("licence", _licence),
)


def asked(candidate: Candidate) -> dict[str, list[str]]:
    """Every gate with the reasons against the candidate; none: it may pass."""
    gates = MODEL if candidate.manifest["kind"] == "model" else CORPUS
    return {gate.name: gate.against(candidate) for gate in gates}


def refusal(candidate: Candidate, reasons: dict[str, list[str]]) -> str:
    """Why it may not be published, in words; '': it may."""
    lines = [f"  {gate}: {reason}" for gate, found in reasons.items() for reason in found]
    return "\n".join([f"{candidate.artifact} may not be published; nothing was sent:", *lines]) if lines else ""
