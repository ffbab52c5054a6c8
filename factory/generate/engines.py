"""Engines: what answers for a model of the catalog, be it a server, a file of answers or a small translator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from hala_factory.catalog import Model
from hala_factory.errors import BuildError
from hala_factory.fingerprint import file_digest
from hala_factory.generate.answers import Answer, Request, Unit


class Engine(Protocol):
    """Answers requests between entering and leaving; making one starts nothing and asks nothing."""

    unit: Unit
    """`segment`: give it pieces of texts; `text`: give it whole texts."""
    prompted: bool
    """Whether the messages decide the answer; if not, the bare text does."""

    @property
    def capacity(self) -> int:
        """Requests that it can work on at a time, as far as known by now: it is to be given more than these."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the answers, and nothing else: the same wherever and however fast they are made."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def answer(self, request: Request) -> Answer:
        """The model's answer; a refusal of this one request is one.

        Raises Deferred where the answer is to come another way, BuildError when nothing can go on.
        """

    async def hold(self, error: BuildError) -> None:
        """Have the requests that wait to be sent, and all that come later, raise `error`; the others are finished."""


class Deferred(BuildError):
    """No answer yet: one is to come by another way, and the build is to be run again when it has."""

    def __init__(self, *engines: Waiting, left: int = 0, of: int = 0) -> None:
        self.engines = engines
        self.left = left
        """Questions of a stage that were put off, and `of` how many that were to be answered; 0 where not known."""
        self.of = of
        super().__init__()

    def __str__(self) -> str:
        """What every engine waits for, told when the build has ended and the files have their names."""
        return "\n".join(dict.fromkeys(engine.told() for engine in self.engines))


class Waiting(Protocol):
    """An engine whose answers come later, or another reason to put questions off."""

    def told(self) -> str:
        """What is waited for, and what to do."""


def make_engine(
    name: str,
    model: Model,
    folder: Path,
    *,
    work: Path,
    revision: str | None = None,
    digests: Callable[[Path], str] = file_digest,
) -> Engine:
    """The engine of a catalog entry called `name`.

    Relative paths of the entry start at `folder`; `work` (a store's root) takes logs and converted
    checkpoints. `revision` is the resolved one where the entry names none, and `digests` the SHA-256 of a
    file (a cached one saves reading large weights again). Raises InputError when the entry cannot work here.
    """
    pinned = revision or model.revision
    if model.engine == "recorded":
        from hala_factory.generate.recorded import RecordedEngine

        return RecordedEngine(name, files=model.path or [], folder=folder)
    if model.engine == "openai":
        from hala_factory.generate.endpoints import EndpointsEngine

        return EndpointsEngine(name, model, revision=pinned)
    if model.batch is not None:
        from hala_factory.generate.batch import BatchEngine
        from hala_factory.generate.sheets import SheetEngine

        place = folder / model.batch.folder
        if model.batch.form == "openai":
            return BatchEngine(name, model, place, revision=pinned)
        return SheetEngine(name, model, place)
    checkpoint = checkpoint_of(name, model, folder, work)
    if model.engine == "vllm":
        from hala_factory.generate.vllm import VllmEngine

        return VllmEngine(name, model, checkpoint, revision=pinned, logs=work / "logs", digests=digests)
    from hala_factory.generate.local import LocalEngine

    return LocalEngine(name, model, checkpoint, revision=pinned, converted=work / "converted", digests=digests)


def checkpoint_of(name: str, model: Model, folder: Path, work: Path) -> Path | str:
    """The folder of a model's checkpoint, or its id on the Hub.

    Raises InputError when the entry lists several folders, or names a model that the store does not hold.
    """
    if model.path:
        return folder / one_path(name, model)
    if not model.ref:
        return str(model.hub)
    checkpoint = work / "models" / model.ref.replace("@", "/")
    if "@" not in model.ref or not (checkpoint / "manifest.json").is_file():
        from hala_factory.errors import InputError, did_you_mean

        built = [f"{p.parent.parent.name}@{p.parent.name}" for p in (work / "models").glob("*/[!.]*/manifest.json")]
        raise InputError(
            f"model {name!r}: 'ref' names {model.ref}, which is not in {work}{did_you_mean(model.ref, built)}; "
            f"build it first: hala-factory build {model.ref.partition('@')[0]}"
        )
    return checkpoint


def one_path(name: str, model: Model) -> str:
    """The checkpoint folder of a model. Raises InputError when the entry lists several."""
    from hala_factory.errors import InputError

    if not isinstance(model.path, str):
        raise InputError(f"model {name!r}: 'path' of a {model.engine} model is one checkpoint folder, not a list")
    return model.path
