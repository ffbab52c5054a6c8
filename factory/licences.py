"""Licences: what a corpus may be put under, given what its rows and the models that wrote them are under.

The model:
- A *part* is rows of one source under one licence, or what one model wrote; its licence stands in the table, or it is
  unknown. Where a source's own pages disagree, all that they say counts, which is the strictest of it.
- A licence *carries* another if what is under the other may be passed on under it.
- A corpus takes the freest licence that carries every part. Where none does, or a part is unknown, that is a conflict:
  named by its rows, and only a person can sign that the corpus is published all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import Field, model_validator

from hala_factory.documented import Documented
from hala_factory.errors import InputError, did_you_mean
from hala_factory.licence_table import CONFLICT, REVISION, TABLE, UNKNOWN, known
from hala_factory.validation import FieldError

CANDIDATES = tuple(name for name, each in TABLE.items() if each.of_rows and not each.no_derivatives)
"""What a corpus can be put under, from the freest to the strictest."""


class Override(Documented):
    """A person's signature under publishing a corpus whose licences are in conflict; it lands in manifest and card."""

    by: str = Field(pattern=r"\S")
    """Who signs: a name that can be asked."""
    reason: str = Field(pattern=r"\S")
    """Why it may be published all the same."""
    licence: str | None = None
    """What it is published under; if not given, what the parts without a conflict derive."""

    @model_validator(mode="after")
    def _possible(self) -> Override:
        if self.licence is not None and self.licence not in CANDIDATES:
            hint = did_you_mean(self.licence, CANDIDATES)
            raise FieldError("licence", f"a corpus cannot be put under {self.licence!r}{hint}")
        return self


@dataclass(frozen=True)
class Part:
    """What a corpus is made of, as far as licences go: rows of a source, or what a model wrote."""

    name: str
    """Of the source, or of the model."""
    kind: Literal["source", "model"]
    licence: str
    """As the catalog, or the row, says it."""
    rows: int | None = None
    """Rows of the corpus that it stands in; None where that is not known yet."""
    page: str | None = None
    """Where the licence was read."""
    note: str | None = None
    """The doubt about it, in words."""
    says: tuple[str, ...] = ()
    """What its own pages say, where they disagree (licence `conflict`)."""
    also: tuple[str, ...] = ()
    """Further terms that go along with it, by their names in the table."""

    @property
    def bound_by(self) -> tuple[str, ...] | None:
        """The licences that bind it, by their names in the table; None: nobody knows."""
        said = self.says if self.licence == CONFLICT else (self.licence,)
        names = tuple(dict.fromkeys(known(word) for word in said))
        if not names or None in names:
            return None
        if self.kind == "model":
            if any(TABLE[str(n)].outputs == "unknown" for n in names):
                return None
            names = tuple(n for n in names if TABLE[str(n)].outputs != "free")
        return tuple(str(n) for n in names)

    @property
    def told(self) -> str:
        """The part in words: `9,500 rows of tulu-3 (CC-BY-NC-4.0)`."""
        rows = "rows" if self.rows is None else f"{self.rows:,} row{'s' * (self.rows != 1)}"
        licence = f"{self.licence}: {' or '.join(self.says)}" if self.says else self.licence
        return f"{rows} {'of' if self.kind == 'source' else 'written or chosen by'} {self.name} ({licence})"


@dataclass(frozen=True)
class Conflict:
    """Why no licence fits: in words, and the parts that it is about."""

    text: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Derived:
    """The licence of a corpus, and what follows from it."""

    parts: tuple[Part, ...]
    licence: str | None
    """The freest that carries every part whose licence is known; None: there is none."""
    conflicts: tuple[Conflict, ...] = ()
    """Why it may not be published; none: it may."""
    override: Override | None = None
    table: int = REVISION
    obligations: tuple[str, ...] = field(default=())
    """What whoever passes the corpus on has to do, in sentences."""

    @property
    def published_under(self) -> str | None:
        """What it may be published under; None: nothing, until a person signs."""
        if self.override is not None:
            return self.override.licence or self.licence
        return None if self.conflicts else self.licence

    def told(self) -> dict[str, Any]:
        """The part `licence` of a manifest."""
        return {
            "licence": self.licence,
            "published_under": self.published_under,
            "forced_by": {word: [_short(p) for p in parts] for word, parts in forced(self.parts).items()},
            "obligations": list(self.obligations),
            "conflicts": [{"text": c.text, "parts": [_short(p) for p in c.parts]} for c in self.conflicts],
            "override": self.override.model_dump() if self.override else None,
            "parts": [{**asdict(p), "says": list(p.says), "also": list(p.also)} for p in self.parts],
            "table": self.table,
        }

    @classmethod
    def read(cls, told: dict[str, Any]) -> Derived:
        """The derivation that a manifest tells, from its parts alone."""
        parts = [Part(**{**p, "says": tuple(p["says"]), "also": tuple(p["also"])}) for p in told["parts"]]
        signed = told.get("override")
        return derive(parts, Override.model_validate(signed) if signed else None)


def derive(parts: Iterable[Part], override: Override | None = None) -> Derived:
    """The licence of a corpus made of these parts; a part without rows does not bind."""
    parts = tuple(parts)
    there = [p for p in parts if p.rows != 0]
    open_, firm = _split(there)
    conflicts = [Conflict(_unknown(p), (p,)) for p in open_]
    licence = _freest(firm)
    if licence is None:
        conflicts += _apart(firm)
    made = Derived(parts, licence, tuple(conflicts), obligations=tuple(_obligations(there, licence)))
    return made if override is None else signed(made, override)


def signed(derived: Derived, override: Override) -> Derived:
    """The derivation with a person's signature."""
    return replace(derived, override=override)


def refusal(derived: Derived, wanted: str | None = None) -> str | None:
    """Why the corpus may not be published (under the licence `wanted`, else the derived one); None: it may.

    Every row count that forbids it is named. What a person has signed is not refused, unless something else is
    wanted than what the signature is for. Raises InputError for a licence that a corpus cannot be put under.
    """
    name = None if wanted is None else known(wanted)
    if wanted is not None and name not in CANDIDATES:
        raise InputError(f"licence {wanted!r}: a corpus cannot be put under it{did_you_mean(wanted, CANDIDATES)}")
    if derived.override is not None and name in (None, derived.published_under):
        return None
    reasons = [c.text for c in derived.conflicts]
    if name is not None:
        _, firm = _split([p for p in derived.parts if p.rows != 0])
        reasons = [c.text for c in derived.conflicts if len(c.parts) == 1 and c.parts[0] not in firm]
        reasons += [f"{p.told}: {_why_not(p, name)}" for p in firm if not _carried(p, name)]
    if not reasons:
        return None
    under = f" under {name}" if name else ""
    listed = "\n".join(f"  - {reason}" for reason in reasons)
    return (
        f"may not be published{under}, because of\n{listed}\n"
        "leave these rows out, ask their authors, or sign in the recipe: licence_override: {by: NAME, reason: WHY}"
    )


def forbidden_commerce(derived: Derived) -> list[str]:
    """What speaks against commercial use, by its rows: non-commercial licences, and those that nobody knows.

    A person's signature does not lift it; terms that go along (`also`) are told by the obligations.
    """
    found = []
    for part in derived.parts:
        if part.rows == 0:
            continue
        bound = part.bound_by
        if bound is None:
            found.append(_unknown(part))
        found += [f"{part.told}: {name} is non-commercial" for name in bound or () if TABLE[name].non_commercial]
    return found


def forced(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """By property, the parts that force it on the corpus; properties that nothing forces are left out."""
    found: dict[str, list[Part]] = {
        "attribution": [],
        "non_commercial": [],
        "share_alike": [],
        "no_derivatives": [],
        "terms": [],
        "conflicting": [],
        UNKNOWN: [],
    }
    for part in parts:
        if part.rows == 0:
            continue
        bound = part.bound_by
        if bound is None:
            found[UNKNOWN].append(part)
        for word in ("attribution", "non_commercial", "share_alike", "no_derivatives"):
            if any(getattr(TABLE[name], word) for name in bound or ()):
                found[word].append(part)
        if conditions(part):
            found["terms"].append(part)
        if part.licence == CONFLICT:
            found["conflicting"].append(part)
    return {word: parts for word, parts in found.items() if parts}


def conditions(part: Part) -> list[tuple[str, str]]:
    """What goes along with a part besides its licence: the name of the terms, and what they say."""
    names = dict.fromkeys(n for word in (part.licence, *part.says, *part.also) if (n := known(word)))
    return [(name, TABLE[name].condition) for name in names if TABLE[name].condition]


def tell(told: dict[str, Any]) -> list[str]:
    """A manifest's `licence` in one or two lines."""
    words = {"share_alike": "share-alike", "non_commercial": "non-commercial"}
    why = [f"{words[w]} by {_named(told['forced_by'][w])}" for w in words if w in told["forced_by"]]
    reasons = f" ({'; '.join(why)})" if why else ""
    lines = [f"licence {told['licence'] or 'none fits'}{reasons}"]
    if told["override"]:
        signed = told["override"]
        lines.append(f"signed  to be published under {told['published_under']} by {signed['by']}: {signed['reason']}")
    elif told["conflicts"]:
        first, *others = (c["text"] for c in told["conflicts"])
        more = f" (and {len(others)} more: see `licence` in --json)" if others else ""
        lines.append(f"warning may not be published: {first}{more}")
    return lines


def _named(parts: list[dict[str, Any]], most: int = 3) -> str:
    words = [p["name"] if p["rows"] is None else f"{p['rows']:,} rows of {p['name']}" for p in parts[:most]]
    return ", ".join(words) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def _short(part: Part) -> dict[str, Any]:
    return {"name": part.name, "kind": part.kind, "licence": part.licence, "rows": part.rows}


def _split(parts: Iterable[Part]) -> tuple[list[Part], list[Part]]:
    """Parts of which nobody knows what binds them, and the others."""
    parts = list(parts)
    return [p for p in parts if p.bound_by is None], [p for p in parts if p.bound_by is not None]


def carries(candidate: str, licence: str) -> bool:
    """Whether what is under `licence` may be passed on, changed, under `candidate` (names of the table)."""
    asks, offers = TABLE[licence], TABLE[candidate]
    if asks.no_derivatives or not asks.of_rows:
        return False
    if asks.share_alike:
        return candidate in asks.becomes
    if asks.non_commercial and not offers.non_commercial:
        return False
    return CANDIDATES.index(candidate) >= CANDIDATES.index(licence)


def _carried(part: Part, candidate: str) -> bool:
    return all(carries(candidate, licence) for licence in part.bound_by or ())


def _freest(parts: Sequence[Part]) -> str | None:
    """The freest licence that carries all these parts; without a part, the freest there is."""
    return next((c for c in CANDIDATES if all(_carried(p, c) for p in parts)), None)


def _apart(parts: Sequence[Part]) -> list[Conflict]:
    """What keeps parts from standing under one licence: one alone, or two together."""
    found = [Conflict(f"{p.told}: {_why_not(p, None)}", (p,)) for p in parts if _freest([p]) is None]
    fine = [p for p in parts if _freest([p]) is not None]
    for one, other in itertools.combinations(fine, 2):
        if _freest([one, other]) is None:
            text = (
                f"{one.told} and {other.told}: no licence carries both, as {_asks(one)} and {_asks(other)}; "
                "leave one of them out"
            )
            found.append(Conflict(text, (one, other)))
    return found


def _asks(part: Part) -> str:
    said = []
    for name in part.bound_by or ():
        each = TABLE[name]
        if each.share_alike:
            said.append(f"what is made of {name} stays under {' or '.join(each.becomes)}")
        elif each.non_commercial:
            said.append(f"{name} is non-commercial")
        else:
            said.append(f"{name} asks for its notices")
    return ", ".join(said) or f"{part.name} asks for nothing"


def _why_not(part: Part, candidate: str | None) -> str:
    for name in part.bound_by or ():
        each = TABLE[name]
        if candidate is not None and carries(candidate, name):
            continue
        if each.no_derivatives:
            return f"{name} allows no derivatives, and its rows were cleaned or translated; leave them out"
        if not each.of_rows:
            return f"{name} is the terms of a model, and no licence carries rows under them; leave them out"
        if each.share_alike:
            return f"share-alike: what is made of them stays under {' or '.join(each.becomes)}"
        if each.non_commercial:
            return "non-commercial"
        return f"{candidate} keeps less than {name} asks for"
    return "nothing carries it"


def _unknown(part: Part) -> str:
    if known(part.licence) is not None:
        what = "its licence says nothing that is known here about what it writes"
    elif part.licence == UNKNOWN:
        what = "no licence is known, so nobody has said that they may be passed on"
    elif part.licence == CONFLICT:
        what = "its own pages disagree, and the catalog does not say on what ('licence_says')"
    else:
        what = "the table of licences does not have it, so what it asks is not known"
    return f"{part.told}: {what}"


def _obligations(parts: Sequence[Part], licence: str | None) -> list[str]:
    found = []
    why = forced(parts)
    if "attribution" in why:
        found.append("Name the sources and keep their notices: pass ATTRIBUTION.md on with the corpus.")
    if "non_commercial" in why:
        found.append(f"No commercial use, by {_named([_short(p) for p in why['non_commercial']], 9)}.")
    if "share_alike" in why:
        under = licence or "the same licence"
        found.append(
            f"What is made of it stays under {under}, by {_named([_short(p) for p in why['share_alike']], 9)}."
        )
    for part in why.get("conflicting", []):
        if part.says:
            found.append(f"Of {part.told}, the strictest counts.")
    said: dict[str, list[Part]] = {}
    for part in parts:
        for name, _ in conditions(part):
            said.setdefault(name, []).append(part)
    for name, theirs in said.items():
        found.append(f"{name}, by {_named([_short(p) for p in theirs], 9)}: {TABLE[name].condition}.")
    return found
