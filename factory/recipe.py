"""Recipes: what a corpus is made of and by which steps, read from YAML and checked before anything runs."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import operator
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, create_model

import hala_factory.filters
import hala_factory.quality
from hala_factory import rows, yamlfile
from hala_factory.acceptance import Review
from hala_factory.catalog import Key, Loaded, Model, Scalar, Source
from hala_factory.documented import Documented, descriptions
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.guarantees import AnyContract, Guarantee
from hala_factory.licences import Override
from hala_factory.step import Ask, Columns, Step, registered
from hala_factory.validation import validate

Export = Literal["messages", "conversations"]
VERSION = r"^(dev|\d+\.\d+\.\d+(-[0-9a-z.-]+)?)$"


Labelled = TypeVar("Labelled", bound=Any)
"""A step of either kind of recipe: a model with `step` and `label`."""


class SourceUse(Documented):
    """A source of the catalog as this recipe uses it."""

    source: str
    """Its name in the catalog."""
    limit: int | None = Field(None, ge=1)
    """Take the first so many rows (that satisfy `where`)."""
    where: dict[str, Scalar | list[Scalar]] = Field({})
    """Take only rows whose column has this value (or one of these); `without_code: true` leaves out code."""


class Profile(Documented):
    """Another way to build the same recipe: overrides of sources, limits, models, steps and version."""

    version: str | None = Field(None, pattern=VERSION)
    """Version to build; `dev` may be rebuilt."""
    sources: Literal["samples"] | list[SourceUse] | None = None
    """`samples`: read every source's `sample:` instead of the source itself; corpora of the store are read as they
    are."""
    limit: int | None = Field(None, ge=1)
    """At most so many rows of every source."""
    models: dict[str, str] = Field({})
    """Which model of the catalog answers in place of another."""
    steps: dict[str, dict[str, Any]] = Field({})
    """Fields to change, by the name of the step."""
    contracts: tuple[AnyContract, ...] | None = None
    """Contracts in place of the recipe's, where it makes too little, or something else; `[]`: none."""
    review: Review | Literal["none"] | None = None
    """A review in place of the recipe's; `none`: nobody looks."""


class Recipe(Documented):
    """How one corpus is made."""

    name: Key
    """Name of the corpus."""
    kind: Literal["corpus"]
    """What is made."""
    version: str = Field(pattern=VERSION)
    """`1.2.3`, which once built never changes, or `dev`, which may be rebuilt. Quote it."""
    language: str
    """Code of the language the corpus is for."""
    description: str = ""
    """One sentence for its card."""
    sources: tuple[SourceUse, ...] = Field(min_length=1)
    """Where rows come from, in order."""
    steps: tuple[Step, ...] = ()
    """What happens to them, in order."""
    contracts: tuple[AnyContract, ...] = ()
    """Bounds on drop rates, and (with `holds`) on what the finished version holds; a build that breaks one is not
    published."""
    review: Review | None = None
    """What people look at before the corpus may be published, and when they have accepted it."""
    licence_override: Override | None = None
    """A person's signature under publishing the corpus although its licences are in conflict."""
    commercial_use: bool = False
    """Whether the corpus must be free for commercial use: a build stops before it asks a model when a source's rows,
    or a model that writes or chooses them, forbid it or do not say."""
    exports: tuple[Export, ...] = ("messages",)
    """Forms to publish: `messages` is ours, `conversations` is ShareGPT's (from, value) as Hala publishes it."""
    profiles: dict[Key, Profile] = Field({})
    """Named overrides, chosen with `--profile`."""


class Ready(BaseModel):
    """A recipe with a profile applied, checked against its catalog: all a plan needs."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    recipe: Recipe
    profile: str | None
    samples: bool
    sliced: bool
    """Whether only some rows of the sources are read, so that counts are not as expected of all of them."""
    sources: dict[str, Source]
    models: dict[str, str]
    """Model named by a step → model that answers."""
    catalog: Loaded
    document: yamlfile.Document
    places: dict[str, int]
    """Label of a step → its index in the file."""

    def model(self, name: str) -> tuple[str, Model]:
        """The catalog's name and entry of the model that answers for `name`."""
        stands_in = self.models.get(name, name)
        return stands_in, self.catalog.catalog.models[stands_in]

    @property
    def kind(self) -> rows.RowKind:
        """The kind of rows."""
        return next(iter(self.sources.values())).rows

    @property
    def languages(self) -> list[str]:
        """The languages of pair rows."""
        return next(iter(self.sources.values())).languages


def load_steps(*, plugins: bool = True) -> dict[str, type[Step]]:
    """Import every step: ours, and those of packages with an entry point in `hala_factory.steps`."""
    for package in (hala_factory.filters, hala_factory.quality):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    if plugins:
        for point in importlib.metadata.entry_points(group="hala_factory.steps"):
            point.load()
    return registered()


def steps_called(words: frozenset[str]) -> dict[str, type[Step]]:
    """The known steps, among them all that are called so: modules of these names, or where that is not enough, all.

    A recipe of four steps is read in half a second less than with every module of steps.
    """
    for package in (hala_factory.filters, hala_factory.quality):
        ours = {module.name for module in pkgutil.iter_modules(package.__path__)}
        for word in ours.intersection(words):
            importlib.import_module(f"{package.__name__}.{word}")
    known = registered()
    return known if known.keys() >= words else load_steps()


def steps_of(manifest: dict[str, Any]) -> tuple[Step, ...]:
    """The steps a version was made by. Raises InputError for a step that is not installed here."""
    known, made = steps_called(frozenset(told["step"] for told in manifest["steps"])), []
    for told in manifest["steps"]:
        if told["step"] not in known:
            raise InputError(f"the version was made by a step {told['step']!r} that is not installed here")
        made.append(known[told["step"]].model_validate({k: v for k, v in told.items() if k != "label"}))
    return tuple(made)


@functools.cache
def recipe_type(words: frozenset[str] | None = None) -> type[Recipe]:
    """`Recipe` whose steps are a union of those called so (of all, if not given), by the word of `step:`."""
    known = load_steps() if words is None else steps_called(words)
    kinds = [step for word, step in known.items() if words is None or word in words] or [Step]
    union: Any = functools.reduce(operator.or_, kinds)
    step: Any = Annotated[union, Field(discriminator="step")] if len(kinds) > 1 else union
    return create_model("Recipe", __base__=Recipe, __doc__=Recipe.__doc__, steps=(tuple[step, ...], ()))


def schema() -> str:
    """The JSON Schema of recipes, for editors."""
    made = recipe_type().model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def load(path: Path, catalog: Loaded, profile: str | None = None, limit: int | None = None) -> Ready:
    """Read a recipe, apply a profile, check it all. Raises InputError with every fault of the file.

    `limit` (rows of every source) is the command line's; it makes the version `dev`.
    """
    document = yamlfile.read(path)
    faults = _recognise(document)
    recipe, found = validate(recipe_type(_words(document)), document)
    told = {(f.line, f.column) for f in faults}
    faults += [f for f in found if (f.line, f.column) not in told]
    if recipe is None:
        raise InputError(_unique(faults))
    chosen, applied = _apply(recipe, document, profile, faults)
    if limit:
        uses = [u.model_copy(update={"limit": min(limit, u.limit or limit)}) for u in applied.sources]
        applied = applied.model_copy(update={"sources": tuple(uses), "version": "dev"})
    spots = _Spots(document, recipe, profile, chosen)
    sources = _sources(applied, catalog, spots, faults)
    _check_models(applied, catalog, spots, faults)
    _check_benchmarks(applied, catalog, spots, faults)
    _check_steps(applied, spots, sources, faults)
    _check_contracts(applied, spots, sources, faults)
    _check_review(applied, spots, sources, faults)
    if faults:
        raise InputError(_unique(faults))
    samples = chosen.sources == "samples"
    return Ready(
        recipe=applied,
        profile=profile,
        samples=samples,
        sliced=bool(limit or chosen.limit or chosen.sources is not None),
        sources={n: s.sampled for n, s in sources.items()} if samples else sources,
        models=dict(chosen.models),
        catalog=catalog,
        document=document,
        places={s.label: i for i, s in enumerate(applied.steps)},
    )


@dataclass(frozen=True)
class _Spots:
    """Where in the file the fields of an applied recipe stand: in the profile that set them, else in the recipe."""

    document: yamlfile.Document
    recipe: Recipe
    name: str | None
    profile: Profile

    def source(self, i: int, field: str, message: str) -> Fault:
        """A fault of the `i`-th source."""
        head = ("profiles", str(self.name)) if isinstance(self.profile.sources, list) else ()
        return self.document.fault((*head, "sources", i, field), message)

    def step(self, i: int, field: str, message: str) -> Fault:
        """A fault of the `i`-th step."""
        label = self.recipe.steps[i].label
        if field in self.profile.steps.get(label, {}):
            return self.document.fault(("profiles", str(self.name), "steps", label, field), message)
        return self.document.fault(("steps", i, field), message)


def _unique(faults: list[Fault]) -> list[Fault]:
    return sorted(set(faults))


def _words(document: yamlfile.Document) -> frozenset[str]:
    """What stands after `step:` in a recipe."""
    steps = document.data.get("steps")
    words = (step.get("step") for step in (steps if isinstance(steps, list) else []) if isinstance(step, dict))
    return frozenset(word for word in words if isinstance(word, str))


def _recognise(document: yamlfile.Document) -> list[Fault]:
    """Faults that a union of steps would tell badly: an unknown or absent word after `step:`."""
    found = []
    known = steps_called(_words(document))
    steps = document.data.get("steps")
    for i, step in enumerate(steps if isinstance(steps, list) else []):
        word = step.get("step") if isinstance(step, dict) else None
        if not isinstance(step, dict):
            continue
        if not isinstance(word, str):
            at = ("steps", i, "step") if "step" in step else ("steps", i)
            found.append(document.fault(at, "a step begins with 'step: ' and the name of a step"))
        elif word not in known:
            found.append(document.fault(("steps", i, "step"), f"unknown step {word!r}{did_you_mean(word, known)}"))
    return found


def _apply(
    recipe: Recipe, document: yamlfile.Document, name: str | None, faults: list[Fault]
) -> tuple[Profile, Recipe]:
    for word, each in recipe.profiles.items():  # a profile that cannot work is a fault whichever one is asked for
        overridden(recipe.steps, each.steps, document, word, faults)
    if name is None:
        return Profile(), recipe
    if name not in recipe.profiles:
        has = f"{did_you_mean(name, recipe.profiles)}" if recipe.profiles else "; it has none"
        raise InputError([*faults, Fault(document.file, 0, 0, f"there is no profile {name!r}{has}")])
    profile = recipe.profiles[name]
    changes: dict[str, Any] = {"steps": overridden(recipe.steps, profile.steps, document, name, [])}
    if profile.version:
        changes["version"] = profile.version
    if profile.contracts is not None:
        changes["contracts"] = profile.contracts
    if profile.review is not None:
        changes["review"] = None if profile.review == "none" else profile.review
    uses = tuple(profile.sources) if isinstance(profile.sources, list) else recipe.sources
    if profile.limit:
        uses = tuple(u.model_copy(update={"limit": min(profile.limit, u.limit or profile.limit)}) for u in uses)
    return profile, recipe.model_copy(update={**changes, "sources": uses})


def overridden(
    steps: Sequence[Labelled],
    changes: Mapping[str, Mapping[str, Any]],
    document: yamlfile.Document,
    word: str,
    faults: list[Fault],
) -> tuple[Labelled, ...]:
    """The steps of a recipe with the fields that its profile `word` changes; what is wrong goes to `faults`."""
    labels = [s.label for s in steps]
    for label in changes:
        if label not in labels:
            message = f"the recipe has no step called {label!r}{did_you_mean(label, labels)}"
            faults.append(document.fault(("profiles", word, "steps", label), message, key=True))
        elif "step" in changes[label]:
            message = "a profile changes the fields of a step, not its kind"
            faults.append(document.fault(("profiles", word, "steps", label, "step"), message, key=True))
    changed: list[Labelled] = []
    for step in steps:
        fields = changes.get(step.label, {})
        if not fields:
            changed.append(step)
            continue
        data = {**step.model_dump(by_alias=True, exclude_unset=True), **fields, "step": step.step}
        made, found = validate(type(step), document.below(("profiles", word, "steps", step.label)), data)
        faults += found
        changed.append(made or step)
    return tuple(changed)


def _sources(recipe: Recipe, catalog: Loaded, spots: _Spots, faults: list[Fault]) -> dict[str, Source]:
    document = spots.document
    known, found = catalog.catalog.sources, {}
    for i, use in enumerate(recipe.sources):
        problem = ""
        if use.source not in known:
            problem = f"unknown source {use.source!r}{did_you_mean(use.source, known)}"
        elif use.source in found:
            problem = f"source {use.source!r} is named twice"
        else:
            found[use.source] = known[use.source]
            sampled = known[use.source].sample is not None or known[use.source].ref is not None
            if spots.profile.sources == "samples" and not sampled:
                problem = f"source {use.source!r} has no sample in the catalog"
        if problem:
            faults.append(spots.source(i, "source", problem))
        if not isinstance(use.where.get("without_code", True), bool):
            message = f"without_code: expected true or false, found {use.where['without_code']!r}"
            faults.append(spots.source(i, "where", message))
    kinds = {s.rows for s in found.values()}
    for i, export in enumerate(recipe.exports):
        if export in recipe.exports[:i]:
            faults.append(document.fault(("exports", i), f"export {export!r} is named twice"))
        elif export == "conversations" and kinds == {"pair"}:
            message = "pair rows have no conversations; they export as 'messages'"
            faults.append(document.fault(("exports", i), message))
    if len(kinds) > 1:
        pairs = sorted(n for n, s in found.items() if s.rows == "pair")
        faults.append(
            document.fault(
                ("sources",), f"pair and instruction rows cannot be mixed; pair sources: {', '.join(pairs)}"
            )
        )
    if kinds == {"pair"} and len({tuple(s.languages) for s in found.values()}) > 1:
        faults.append(document.fault(("sources",), "the sources are pairs of different languages"))
    return found


def _check_models(recipe: Recipe, catalog: Loaded, spots: _Spots, faults: list[Fault]) -> None:
    document, known = spots.document, catalog.catalog.models
    for i, step in enumerate(recipe.steps):
        for field, model in step.asked().items() if isinstance(step, Ask) else ():
            if model not in known:
                faults.append(spots.step(i, field, f"unknown model {model!r}{did_you_mean(model, known)}"))
    asked = {model for s in recipe.steps if isinstance(s, Ask) for model in s.asked().values()}
    for name, each in recipe.profiles.items():
        for model, stands_in in each.models.items():
            at = ("profiles", name, "models", model)
            if model not in asked:
                options = sorted(m for m in asked if m)
                faults.append(
                    document.fault(at, f"no step asks model {model!r}{did_you_mean(model, options)}", key=True)
                )
            if stands_in not in known:
                faults.append(document.fault(at, f"unknown model {stands_in!r}{did_you_mean(stands_in, known)}"))


def _check_benchmarks(recipe: Recipe, catalog: Loaded, spots: _Spots, faults: list[Fault]) -> None:
    known = catalog.catalog.benchmarks
    for i, step in enumerate(recipe.steps):
        named, spoken = step.tests(), step.test_languages()
        for name in set(named) - {"*"}:
            problem = ""
            if name not in known:
                problem = f"unknown benchmark {name!r}{did_you_mean(name, known)}"
            elif known[name].language not in spoken:
                problem = f"benchmark {name!r} is in {known[name].language!r}, which 'texts' does not name"
            if problem:
                faults.append(spots.step(i, "benchmarks", problem))
        there = {entry.language for name, entry in known.items() if "*" in named or name in named}
        if named and there:
            for language in set(spoken) - there:
                problem = f"no benchmark to compare with is in {language!r}{did_you_mean(language, there)}"
                faults.append(spots.step(i, "texts", problem))


def _check_steps(recipe: Recipe, spots: _Spots, sources: dict[str, Source], faults: list[Fault]) -> None:
    labels: dict[str, int] = {}
    first = next(iter(sources.values()), None)
    columns: Columns = rows.schema(first.rows, first.languages) if first else {}
    for i, step in enumerate(recipe.steps):
        if step.label in labels:
            message = f"two steps are called {step.label!r}: give one of them a 'name'"
            faults.append(spots.step(i, "name" if step.name else "step", message))
        labels[step.label] = i
        inherits = any(s.ref for s in sources.values())  # rows then have sources that the recipe does not name
        for source in getattr(step, "prefer", []):
            if source not in sources and not inherits:
                message = f"the recipe has no source {source!r}{did_you_mean(source, sources)}"
                faults.append(spots.step(i, "prefer", message))
        faults += [spots.step(i, field, message) for field, message in crossed(step)]
        if first:
            faults += [spots.step(i, field, message) for field, message in step.faults(columns)]
            columns = {**columns, **step.writes(columns)}


def _check_contracts(recipe: Recipe, spots: _Spots, sources: dict[str, Source], faults: list[Fault]) -> None:
    document = spots.document
    head = ("profiles", str(spots.name)) if spots.profile.contracts is not None else ()
    labels = [s.label for s in recipe.steps]
    for i, contract in enumerate(recipe.contracts):
        if contract.step is not None and contract.step not in labels:
            message = f"the recipe has no step called {contract.step!r}{did_you_mean(contract.step, labels)}"
            faults.append(document.fault((*head, "contracts", i, "step"), message))
        if isinstance(contract, Guarantee):
            faults += [
                document.fault((*head, "contracts", i, k), m) for k, m in _unmeasured(contract, recipe, sources)
            ]
        elif contract.per == "language" and not any(s.step == "language" for s in recipe.steps):
            message = "no step measures languages: add a step 'language'"
            faults.append(document.fault((*head, "contracts", i, "per"), message))


def _unmeasured(guarantee: Guarantee, recipe: Recipe, sources: dict[str, Source]) -> Iterator[tuple[str, str]]:
    """What a guarantee asks for and the recipe does not have."""
    if guarantee.holds == "sources" and not any(s.ref for s in sources.values()):  # of a corpus: its own sources
        for name in guarantee.of:
            if name not in sources:
                yield "of", f"the recipe has no source {name!r}{did_you_mean(name, sources)}"
    word = guarantee.measured_by
    if word is None:
        return
    if not any(s.step == word for s in recipe.steps):
        yield "holds", f"no step measures {guarantee.holds}: add a step {word!r}"
    elif guarantee.step is not None and not any(s.label == guarantee.step and s.step == word for s in recipe.steps):
        yield "step", f"{guarantee.step!r} is no {word!r} step, so it measures no {guarantee.holds}"


def _check_review(recipe: Recipe, spots: _Spots, sources: dict[str, Source], faults: list[Fault]) -> None:
    first = next(iter(sources.values()), None)
    if recipe.review is None or first is None:
        return
    head = ("profiles", str(spots.name)) if spots.profile.review is not None else ()
    columns = _written(recipe.steps, rows.schema(first.rows, first.languages))
    for field, message in recipe.review.faults(columns):
        faults.append(spots.document.fault((*head, "review", field), message))


def crossed(step: Step) -> list[tuple[str, str]]:
    """Bounds that no row can be within: a `max_` below its `min_`."""
    found = []
    for field in type(step).model_fields:
        low, high = getattr(step, field), getattr(step, f"max_{field[4:]}", None)
        if field.startswith("min_") and low is not None and high is not None and low > high:
            found.append((f"max_{field[4:]}", f"max_{field[4:]}: expected at least {field} ({low:g}), found {high:g}"))
    return found


def columns_after(ready: Ready) -> dict[str, pl.DataType]:
    """The columns of the finished corpus."""
    return _written(ready.recipe.steps, rows.schema(ready.kind, ready.languages))


def _written(steps: Sequence[Step], columns: Columns) -> Columns:
    """The columns of rows behind these steps, given the ones they begin with."""
    for step in steps:
        columns = {**columns, **step.writes(columns)}
    return columns


def explain(step: type[BaseModel]) -> str:
    """A step's documentation and its fields with their defaults, as text."""
    import inspect

    lines, said = [inspect.cleandoc(step.__doc__ or ""), ""], descriptions(step)
    for name, info in step.model_fields.items():
        if name == "step":
            continue
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)!r}"
        lines.append(f"  {info.alias or name} ({default}){': ' + said[name] if name in said else ''}")
    return "\n".join(lines)
