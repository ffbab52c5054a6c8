"""Model recipes: from which base and by which steps a model is made, read from YAML and checked as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hala_factory import recipe as corpora
from hala_factory import yamlfile
from hala_factory.catalog import Key, Loaded, Model
from hala_factory.documented import Documented
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.models.accept import Accept
from hala_factory.models.evaluate import Evaluate
from hala_factory.models.init import Init
from hala_factory.models.merge import Merge
from hala_factory.models.quantise import Quantise
from hala_factory.models.sft import Sft
from hala_factory.models.step import Judging, Making, ModelStep
from hala_factory.recipe import VERSION
from hala_factory.validation import validate

STEPS: tuple[type[ModelStep], ...] = (Init, Sft, Quantise, Merge, Accept, Evaluate)
"""Every step that a chain may have."""
AnyStep = Annotated[Init | Sft | Quantise | Merge | Accept | Evaluate, Field(discriminator="step")]


class ModelProfile(Documented):
    """Another way to build the same recipe: overrides of its base, version and steps."""

    version: str | None = Field(None, pattern=VERSION)
    """Version to build; `dev` may be rebuilt."""
    base: str | None = None
    """Another model of the catalog to begin with."""
    steps: dict[str, dict[str, Any]] = Field({})
    """Fields to change, by the name of the step."""


class ModelRecipe(Documented):
    """How one model is made of another."""

    name: Key
    """Name of the model."""
    kind: Literal["model"]
    """What is made."""
    version: str = Field(pattern=VERSION)
    """`1.2.3`, which once built never changes, or `dev`, which may be rebuilt. Quote it."""
    description: str = ""
    """One sentence for its card."""
    base: str | None = None
    """The model of the catalog that the chain begins with; none where its first step makes one."""
    steps: tuple[AnyStep, ...] = Field(min_length=1)
    """What is done, in order: each step works on what the one before it made."""
    profiles: dict[Key, ModelProfile] = Field({})
    """Named overrides, chosen with `--profile`."""


@dataclass(frozen=True)
class ReadyModel:
    """A model recipe with a profile applied, checked against its catalog."""

    recipe: ModelRecipe
    profile: str | None
    base: Model | None
    catalog: Loaded
    document: yamlfile.Document

    @property
    def artifact(self) -> str:
        """`name@version`."""
        return f"{self.recipe.name}@{self.recipe.version}"


def load(path: Path, catalog: Loaded, profile: str | None = None) -> ReadyModel:
    """Read a model recipe, apply a profile, check it all. Raises InputError with every fault of the file."""
    document = yamlfile.read(path)
    recipe, faults = validate(ModelRecipe, document)
    if recipe is None:
        raise InputError(sorted(set(faults)))
    for word, each in recipe.profiles.items():  # a profile that cannot work is a fault whichever one is asked for
        corpora.overridden(recipe.steps, each.steps, document, word, faults)
        if each.base is not None:
            _check_base(each.base, catalog, document, ("profiles", word, "base"), faults)
    if profile is not None and profile not in recipe.profiles:
        has = did_you_mean(profile, recipe.profiles) if recipe.profiles else "; it has none"
        faults.append(Fault(document.file, 0, 0, f"there is no profile {profile!r}{has}"))
    applied = recipe
    if profile in recipe.profiles:
        chosen = recipe.profiles[str(profile)]
        changes: dict[str, Any] = {"steps": corpora.overridden(recipe.steps, chosen.steps, document, str(profile), [])}
        changes |= {f: v for f in ("version", "base") if (v := getattr(chosen, f)) is not None}
        applied = recipe.model_copy(update=changes)
    if recipe.base is not None:
        _check_base(recipe.base, catalog, document, ("base",), faults)
    _check_steps(applied, catalog, document, faults)
    if faults:
        raise InputError(sorted(set(faults)))
    base = None if applied.base is None else catalog.catalog.models[applied.base]
    return ReadyModel(applied, profile, base, catalog, document)


def schema() -> str:
    """The JSON Schema of recipes of both kinds, for editors."""
    corpus, model = json.loads(corpora.schema()), ModelRecipe.model_json_schema()
    both = {**corpus.pop("$defs"), **model.pop("$defs")}
    dialect = corpus.pop("$schema")
    made = {
        "$defs": {**both, "CorpusRecipe": corpus, "ModelRecipe": model},
        "if": {"properties": {"kind": {"const": "model"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/ModelRecipe"},
        "else": {"$ref": "#/$defs/CorpusRecipe"},
        "title": "Recipe",
        "$schema": dialect,
    }
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _check_base(
    base: str, catalog: Loaded, document: yamlfile.Document, at: tuple[str, ...], faults: list[Fault]
) -> None:
    known = catalog.catalog.models
    if base not in known:
        faults.append(document.fault(at, f"unknown model {base!r}{did_you_mean(base, known)}"))
    elif known[base].engine != "vllm":
        message = (
            f"model {base!r} has engine {known[base].engine!r}; a chain begins with a checkpoint that vllm serves"
        )
        faults.append(document.fault(at, message))


def _check_steps(recipe: ModelRecipe, catalog: Loaded, document: yamlfile.Document, faults: list[Fault]) -> None:
    labels: list[str] = []
    made = quantised = False
    if recipe.base is None and not (isinstance(recipe.steps[0], Making) and recipe.steps[0].begins):
        message = "field 'base' is missing: the model of the catalog that the chain begins with"
        faults.append(document.fault((), message))
    for i, step in enumerate(recipe.steps):
        if isinstance(step, Making) and step.begins and (i or recipe.base is not None):
            message = f"{step.label!r} makes a model of nothing: it is the first step of a recipe without 'base'"
            faults.append(document.fault(("steps", i, "step"), message))
        if step.label in labels:
            message = f"two steps are called {step.label!r}: give one of them a 'name'"
            faults.append(document.fault(("steps", i, "name" if step.name else "step"), message))
        labels.append(step.label)
        if isinstance(step, Judging) and not made:
            message = f"{step.label!r} judges what the steps before it made, and there is none that makes a model"
            faults.append(document.fault(("steps", i, "step"), message))
        if isinstance(step, Quantise) and quantised:
            message = "the model is quantised already; quantise it once, from the whole weights"
            faults.append(document.fault(("steps", i, "step"), message))
        if isinstance(step, Merge) and quantised:
            message = "the model is quantised already; merge whole weights, and quantise what comes of it"
            faults.append(document.fault(("steps", i, "step"), message))
        if isinstance(step, Merge) and not step.with_ and not made:
            message = "nothing is made yet that could be merged with the base; name models in 'with', or train first"
            faults.append(document.fault(("steps", i, "step"), message))
        for field, name in step.models().items():
            known_models = catalog.catalog.models
            if name not in known_models:
                message = f"unknown model {name!r}{did_you_mean(name, known_models)}"
                faults.append(document.fault(("steps", i, field), message))
            elif known_models[name].engine != "vllm":
                message = (
                    f"model {name!r} has engine {known_models[name].engine!r}; expected a checkpoint that vllm serves"
                )
                faults.append(document.fault(("steps", i, field), message))
        made, quantised = made or isinstance(step, Making), quantised or isinstance(step, Quantise)
        for field, rows in step.data().items():
            known = catalog.catalog.sources
            if rows.source is not None and rows.source not in known:
                message = f"unknown source {rows.source!r}{did_you_mean(rows.source, known)}"
                place = [int(part) if part.isdecimal() else part for part in field.split(".")]
                faults.append(document.fault(("steps", i, *place, "source"), message))
        for name in step.tests():
            asked = catalog.catalog.benchmarks
            if name not in asked:
                message = f"benchmark {name!r}: it is not in the catalog{did_you_mean(name, asked)}"
                faults.append(document.fault(("steps", i, "benchmarks"), message))
    if not made:
        faults.append(document.fault(("steps",), "none of the steps makes a model"))
