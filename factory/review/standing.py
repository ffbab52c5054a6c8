"""Standing: whether people have accepted a version, as the gate of publishing asks it.

The model: every plan that was ever answered under the same name and version counts, not only that of the corpus which
stands there now. So a sample that was rejected is not got rid of by building again and drawing another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from hala_factory.review.keeping import Kept, kept
from hala_factory.review.verdicts import Outcome, decide, verdicts
from hala_factory.store import Store

State = Literal["not asked", "missing", "open", "rejected", "accepted"]


@dataclass(frozen=True)
class Standing:
    """The state of a version's review, and why."""

    state: State
    words: str

    @property
    def may_be_published(self) -> bool:
        """Whether people accepted it, or were not asked to."""
        return self.state in ("accepted", "not asked")


def standing(store: Store, manifest: dict[str, Any]) -> Standing:
    """How the review of a version stands. Raises BuildError for a round of answers that is damaged, by its name."""
    artifact = f"{manifest['name']}@{manifest['version']}"
    mine = manifest.get("review")
    plans = [(k, outcome(k)) for k in kept(store, manifest["name"], manifest["version"])]
    others = [(k, o) for k, o in plans if mine is None or k.told["digest"] != mine["digest"]]
    for other, found in others:
        if found.state == "rejected":
            return Standing("rejected", f"an earlier build of {artifact} was rejected by its review ({found.words}); "
                            f"another sample does not undo that{_todo()}")  # fmt: skip
        if found.state == "open" and found.bad + found.unjudged:
            return Standing("open", f"the review of an earlier build of {artifact} was left open with bad rows found "
                            f"({found.words}, sample {other.told['digest'][:12]}…), so another sample cannot take its "
                            f"stead{_todo()}")  # fmt: skip
    if mine is None:
        return Standing("not asked", "its recipe asks for no review")
    own = next(((k, o) for k, o in plans if k.told["digest"] == mine["digest"]), None)
    if own is None or not own[0].rounds():
        return Standing("missing", f"nobody has answered yet: {mine['words']}; begin with: review push {artifact}")
    folder, found = own
    if found.state == "rejected":
        return Standing("rejected", f"{found.words}{_todo()}")
    words = found.words
    if found.state == "accepted" and (turned := reversals(folder)):
        words += f"; it had been rejected in round {turned[0]}, before answers were changed"
    return Standing(found.state, words)


def _todo() -> str:
    return "; mend the corpus and build it as a new version"


def outcome(folder: Kept, upto: int | None = None) -> Outcome:
    """What the answers in a folder decide, those of the first rounds only if `upto` is given."""
    answers = folder.answers(upto)
    return decide(verdicts(folder.sample(), answers, folder.told["asked"]["counts_as_bad"]), folder.told)


def reversals(folder: Kept) -> list[int]:
    """The rounds after which the sample was rejected, although it is not now: answers were changed since."""
    if outcome(folder).state == "rejected":
        return []
    return [n for n in folder.rounds() if outcome(folder, n).bad > folder.told["allowed"]]


def rejected(store: Store, name: str, version: str) -> list[dict[str, Any]]:
    """The other versions of a corpus that were rejected, for the lineage of `version`."""
    found = []
    for folder in kept(store, name):
        said = outcome(folder)
        if folder.version != version and said.state == "rejected":
            last = folder.answers()["at"].max()
            found.append(
                {
                    "version": folder.version,
                    "digest": folder.told["digest"],
                    "of": folder.told["of"],
                    "words": said.words,
                    "at": str(pl.Series([last]).dt.strftime("%Y-%m-%d")[0]),
                }
            )
    return found
