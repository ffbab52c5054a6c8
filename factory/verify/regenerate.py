"""`verify --regenerate N`: some rows through their models once more, past the store, beside what was stored then.

The model:
- N kept rows are drawn by a seed. Every step that asks is given them as it saw them, as far as the version keeps that.
- A step goes the way that it went then, since it is given the stored answers; behind it every request is put to the
  model again, and the two answers are compared.
- A request that is not in the store cannot be compared, and is counted apart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hala_factory.catalog import Loaded
from hala_factory.errors import BuildError, HalaError, InputError, did_you_mean
from hala_factory.fingerprint import fingerprint
from hala_factory.generate.answers import Answer, ModelIdentity
from hala_factory.generate.asking import asked
from hala_factory.generate.engines import Deferred, Engine, make_engine
from hala_factory.generate.store import GenerationStore, folder_of
from hala_factory.recipe import steps_of
from hala_factory.run.files import batches
from hala_factory.step import Ask, Step
from hala_factory.store import Store

AT_ONCE = 64
"""Questions under way at a time."""
EQUAL = 99.995
"""chrF, in percent, from which two answers count as equal: it looks past white space, and past nothing else."""


@dataclass
class Compared:
    """What came of the requests that one model was asked again."""

    requests: int = 0
    byte_equal: int = 0
    chrf_equal: int = 0
    chrf: list[float] = field(default_factory=list)
    refused: int = 0
    """Requests that the model did not answer now; they count as different."""


@dataclass
class Regenerated:
    """What came of asking again."""

    drawn: int
    rows: int = 0
    """Rows of which every request could be compared, and at least one was made."""
    not_stored: int = 0
    """Rows with a request that is not in the store: a later step changed their text, or the answers are gone."""
    without_request: int = 0
    """Rows for which no model was asked."""
    rows_byte_equal: int = 0
    rows_chrf_equal: int = 0
    models: dict[str, Compared] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """The part `regenerated` of `verify --json`; shares are of what was compared, null where nothing was."""
        return {
            "drawn": self.drawn,
            "rows": self.rows,
            "not_stored": self.not_stored,
            "without_request": self.without_request,
            "byte_equal": {"rows": self.rows_byte_equal, "share": _share(self.rows_byte_equal, self.rows)},
            "chrf_equal": {"rows": self.rows_chrf_equal, "share": _share(self.rows_chrf_equal, self.rows)},
            "models": {
                name: {
                    "requests": c.requests,
                    "byte_equal": _share(c.byte_equal, c.requests),
                    "chrf_equal": _share(c.chrf_equal, c.requests),
                    "mean_chrf": round(sum(c.chrf) / len(c.chrf), 2) if c.chrf else None,
                    "refused": c.refused,
                }
                for name, c in self.models.items()
            },
        }


def tell(told: dict[str, Any]) -> list[str]:
    """What came of asking again, as lines."""
    if not told["rows"]:
        return [f"  again   none of {told['drawn']} rows could be compared: {_left(told)}"]
    byte, chrf = told["byte_equal"], told["chrf_equal"]
    lines = [
        f"  again   {told['rows']} of {told['drawn']} rows: {byte['share']:.1%} byte-equal, {chrf['share']:.1%} "
        f"chrF-equal{f'; {_left(told)}' if told['rows'] < told['drawn'] else ''}"
    ]
    for name, c in told["models"].items():
        if c["requests"]:
            lines.append(
                f"    {name}: {c['requests']} requests, {c['byte_equal']:.1%} byte-equal, "
                f"{c['chrf_equal']:.1%} chrF-equal, mean chrF {c['mean_chrf']:.1f}, {c['refused']} refused"
            )
    return lines


def _left(told: dict[str, Any]) -> str:
    return f"{told['not_stored']} not in the store, {told['without_request']} for which no model was asked"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def regenerate(store: Store, manifest: dict[str, Any], catalog: Loaded, rows: int, seed: int = 0) -> Regenerated:
    """Ask the models of a version again for `rows` of its rows.

    The catalog says where the models are; each must be the one that answered then. Raises InputError where one is
    not, or is not in the catalog; BuildError where one cannot be started, or answers at another time (engine batch).
    """
    steps = steps_of(manifest)
    asks = [step for step in steps if isinstance(step, Ask)]
    if not asks:
        raise InputError(
            f"{manifest['name']}@{manifest['version']}: no step of it asks a model; leave --regenerate out"
        )
    engines = _engines(store, manifest, catalog, asks)
    frame = _drawn(store.corpus(manifest["name"], manifest["version"]), manifest["rows"]["kept"], rows, seed)
    made = Regenerated(frame.height, models={name: Compared() for name, _ in engines.values()})
    try:
        asyncio.run(_ask(store, asks, {s.label: _as_seen(frame, steps, s) for s in asks}, engines, made))
    except* Deferred:
        raise BuildError(
            "a model of this version answers by files, at another time; it cannot be asked again"
        ) from None
    except* HalaError as group:
        raise group.exceptions[0] from None
    return made


def _engines(
    store: Store, manifest: dict[str, Any], catalog: Loaded, asks: Sequence[Ask]
) -> dict[str, tuple[str, Engine]]:
    """By the name that a step asks: the model that answered, and its engine."""
    locked = {entry["asked_as"]: (name, entry) for name, entry in manifest["lock"]["models"].items()}
    found, known = {}, catalog.catalog.models
    for word in dict.fromkeys(m for step in asks for m in step.asked().values()):
        name, entry = locked[word]
        if name not in known:
            raise InputError(f"model {name!r} of the version is not in the catalog{did_you_mean(name, known)}")
        engine = make_engine(
            name, known[name], catalog.folder, work=store.root, revision=entry["revision"], digests=store.digest_of
        )
        then, now = entry["identity"], engine.identity
        if fingerprint(then) != fingerprint(now):
            other = sorted(k for k in {*then, *now} if then.get(k) != now.get(k))
            raise InputError(
                f"model {name!r} is not the one that answered then: it has another {', '.join(other)}; "
                "give the --catalog that the version was built with"
            )
        found[word] = (name, engine)
    return found


def _drawn(folder: Path, kept: int, rows: int, seed: int) -> pl.DataFrame:
    """So many rows of a corpus by lot, in its order."""
    lots = set(random.Random(seed).sample(range(kept), min(rows, kept)))
    picked, position = [], 0
    for path in sorted((folder / "data").glob("*.parquet")):
        for frame in batches(path):
            here = [n - position for n in range(position, position + frame.height) if n in lots]
            picked.append(frame[here])
            position += frame.height
    return pl.concat(picked)


def _as_seen(frame: pl.DataFrame, steps: Sequence[Step], step: Ask) -> pl.DataFrame:
    """The rows as a step saw them: what it and later ones wrote over is put back from where they kept it."""
    for later in reversed(steps[steps.index(step) :]):
        column = getattr(later, "column", "messages")
        kept = getattr(later, "kept", None) or getattr(later, "keep", None)
        if isinstance(later, Ask) and column in later.writes({}) and isinstance(kept, str) and kept in frame.columns:
            frame = frame.with_columns(pl.coalesce(kept, column).alias(column)).drop(kept)  # native rows have none
    return frame


async def _ask(
    store: Store,
    asks: Sequence[Ask],
    frames: Mapping[str, pl.DataFrame],
    engines: Mapping[str, tuple[str, Engine]],
    made: Regenerated,
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        past: dict[str, _PastStore] = {}
        for word, (name, engine) in engines.items():
            model = ModelIdentity(name, engine.identity)
            stored = None
            if folder_of(store.generations, model).exists():
                stored = stack.enter_context(GenerationStore(store.generations, model))
            past[word] = _PastStore(await stack.enter_async_context(engine), stored, made.models[name])

        async def row(number: int) -> _Row:
            seen = _Row()
            for step in asks:
                answerers = {field: _OfRow(past[word], seen) for field, word in step.asked().items()}
                for question in step.questions(frames[step.label][number]):
                    async with gate:
                        try:
                            await step.reply(question, answerers)
                        except* _NotStored:
                            seen.not_stored = True
            return seen

        for seen in await asyncio.gather(*(row(n) for n in range(made.drawn))):
            if seen.not_stored:
                made.not_stored += 1
            elif not seen.requests:
                made.without_request += 1
            else:
                made.rows += 1
                made.rows_byte_equal += seen.byte_equal
                made.rows_chrf_equal += seen.chrf_equal


@dataclass
class _Row:
    """What came of the requests of one row."""

    requests: int = 0
    byte_equal: bool = True
    chrf_equal: bool = True
    not_stored: bool = False


class _NotStored(Exception):
    """The store has no answer to this request."""


class _PastStore:
    """A model that is asked again, and what it said then."""

    def __init__(self, engine: Engine, stored: GenerationStore | None, compared: Compared) -> None:
        self.engine = engine
        self._stored = stored
        self._compared = compared

    async def __call__(self, row: _Row, messages: Sequence[Mapping[str, str]], **sampling: Any) -> Answer:
        request = asked(self.engine, messages, **sampling)
        then = self._stored.get(request.key(self._stored.model)) if self._stored is not None else None
        if then is None:
            raise _NotStored
        now = await self.engine.answer(request)
        same = (now.text, now.finish_reason) == (then.text, then.finish_reason)
        score = 100.0 if same else _chrf(now.text, then.text)
        alike = score >= EQUAL and now.finish_reason == then.finish_reason
        self._compared.requests += 1
        self._compared.byte_equal += same
        self._compared.chrf_equal += alike
        self._compared.chrf.append(score)
        self._compared.refused += now.finish_reason in ("error", "miss") and not same
        row.requests += 1
        row.byte_equal &= same
        row.chrf_equal &= alike
        return then


class _OfRow:
    """An answerer for one row."""

    def __init__(self, model: _PastStore, row: _Row) -> None:
        self.unit = model.engine.unit
        self._model = model
        self._row = row

    async def __call__(self, messages: Sequence[Mapping[str, str]], **sampling: Any) -> Answer:
        return await self._model(self._row, messages, **sampling)


def _chrf(one: str, other: str) -> float:
    from sacrebleu import sentence_chrf

    return float(sentence_chrf(one, [other]).score)
