"""The sample: the tasks of a review with why each is asked, in a file of the corpus that its manifest seals."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.acceptance import REVISION, Review, words
from hala_factory.fingerprint import fingerprint
from hala_factory.review import gold
from hala_factory.review.decks import Turn
from hala_factory.review.drawing import Drawn, Picked, draw
from hala_factory.review.texts import Sides, texts_of

FILE = "review/sample.parquet"
COLUMNS: dict[str, Any] = {
    "task": pl.String,
    "kind": pl.String,
    "batch": pl.String,
    "row": pl.String,
    "source": pl.String,
    "origin": pl.Struct({"file": pl.String, "position": pl.Int64, "part": pl.Int32}),
    "stratum": pl.String,
    "score": pl.Float64,
    "draws": pl.Int32,
    "inclusion": pl.Float64,
    "of": pl.String,
    "expected": pl.String,
    "turns": pl.List(pl.Struct({"role": pl.String, "source": pl.String, "target": pl.String})),
}
"""`kind` as in `drawing.Kind`; `stratum` is the range of the score, the step and reason of a dropped row, or what was
planted; `of` is the task that a repeat repeats; `expected` the known verdict. In the order of the deck."""


@dataclass(frozen=True)
class Identity:
    """Which corpus the sample is of."""

    name: str
    version: str
    digest: str
    """Of the rows."""


def write(folder: Path, who: Identity, review: Review, sides: Sides, barriers: list[str]) -> dict[str, Any]:
    """Draw the sample of the corpus in `folder`, write it there, and return what the manifest tells of it."""
    salt = f"{who.name}@{who.version} {who.digest}"
    spare = 0 if review.gold != "planted" else 2 * math.ceil(review.gold_share * _most(review)) + 1
    drawn = draw(folder, review, salt, spare, barriers)
    tasks = _tasks(folder, drawn, review, sides, salt)
    frame = pl.DataFrame(tasks, schema=COLUMNS, orient="row")
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / FILE, compression="zstd")
    told: dict[str, Any] = {
        "asked": review.model_dump(mode="json"),
        "words": words(review, drawn.plan.rows),
        "rows": drawn.plan.rows,
        "draws": drawn.plan.draws,
        "allowed": drawn.plan.allowed,
        "method": drawn.plan.method,
        "revision": REVISION,
        "edges": list(drawn.edges),
        "strata": list(drawn.strata),
        "dropped": list(drawn.lost),
        "tasks": {kind: n for kind, n in sorted(Counter(frame["kind"]).items())},
        "double": int((frame["batch"] == "double").sum()),
        "source_language": sides.source_language,
        "target_language": sides.target_language,
        "guidelines": review.told_guidelines(),
        "of": who.digest,
    }
    return {**told, "digest": digest(told, frame)}


def digest(told: dict[str, Any], frame: pl.DataFrame) -> str:
    """The digest of a plan and its sample; `told` is the manifest's `review`."""
    plan = {k: v for k, v in told.items() if k not in ("digest", "earlier")}
    return fingerprint({"plan": plan, "tasks": frame.to_dicts()})


def _most(review: Review) -> int:
    from hala_factory.acceptance import sampling

    return sampling(review.accept_if, 10**12).draws


def _tasks(folder: Path, drawn: Drawn, review: Review, sides: Sides, salt: str) -> list[dict[str, Any]]:
    kept = [p for p in drawn.rows if p.kind != "dropped"]
    lost = [p for p in drawn.rows if p.kind == "dropped"]
    texts = texts_of(folder, "data", [*kept, *drawn.spare], sides)
    gone = texts_of(folder, "dropped", lost, sides)
    tasks = [_task(p, texts[p.file, p.line], salt) for p in kept] + [
        _task(p, gone[p.file, p.line], salt) for p in lost
    ]
    deciding = sorted((t for t in tasks if t["kind"] == "accept"), key=lambda t: _id(salt, "double", t["task"]))
    for task in deciding[: math.ceil(review.double * len(deciding))]:
        task["batch"] = "double"
    # a task that two people answer is asked again of one: in a team of two it comes to one who knows it
    doubled = [t for t in deciding if t["batch"] == "double"] or deciding
    again = doubled[: math.ceil(review.repeat_share * len(deciding))]
    repeats = [{**t, "task": _id(salt, "repeat", t["task"]), "kind": "repeat", "batch": "single", "of": t["task"],
                "draws": 0} for t in again]  # fmt: skip
    wanted = math.ceil(review.gold_share * len(deciding))
    items = review.gold_items()
    known = gold.given(items, wanted) if items else []
    if review.gold == "planted":
        known = gold.planted([texts[p.file, p.line] for p in drawn.spare], wanted)
    golden = [_gold(item, number, salt) for number, item in enumerate(known)]
    return _ordered([*tasks, *golden], repeats)


def _task(picked: Picked, turns: tuple[Turn, ...], salt: str) -> dict[str, Any]:
    task = _id(salt, picked.kind, picked.source, picked.id, *map(str, picked.origin.values()))
    return {
        "task": task,
        "kind": picked.kind,
        "batch": "single",
        "row": picked.id,
        "source": picked.source,
        "origin": picked.origin,
        "stratum": picked.stratum,
        "score": picked.score,
        "draws": picked.draws,
        "inclusion": picked.inclusion,
        "of": None,
        "expected": None,
        "turns": [asdict(t) for t in turns],
    }


def _gold(item: gold.Gold, number: int, salt: str) -> dict[str, Any]:
    empty = dict.fromkeys(COLUMNS)
    made = {"task": _id(salt, "gold", str(number)), "kind": "gold", "batch": "single", "draws": 0}
    said = {"stratum": item.how, "expected": item.expected, "turns": [asdict(t) for t in item.turns]}
    return {**empty, **made, **said}


def _ordered(tasks: list[dict[str, Any]], repeats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks in an order that their ids give at random; what is repeated in the first half, its repeat at the end."""
    repeated = {t["of"] for t in repeats}

    def place(task: dict[str, Any]) -> float:
        at = int(task["task"], 16) / 16**16
        return 0.75 + at / 4 if task["of"] else at / 2 if task["task"] in repeated else at

    return sorted([*tasks, *repeats], key=place)


def _id(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
