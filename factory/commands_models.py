"""What commands say and do about models: `build`, `plan` and `show` of `kind: model`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import InputError, did_you_mean
from hala_factory.options import store_at
from hala_factory.tables import table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from hala_factory.catalog import Loaded
    from hala_factory.models.plan import ModelPlan
    from hala_factory.models.recipe import ReadyModel


def planned(
    file: Path, catalog: Loaded, profile: str | None, limit: int | None, store_place: str | None
) -> ModelPlan | None:
    """The plan of a recipe that makes a model; None for one that makes a corpus."""
    made = ready(file, catalog, profile)
    if made is None:
        return None
    from hala_factory.models import plan

    if limit is not None:
        raise InputError(f"{file}: --limit is for corpora; a model recipe says 'n' where it reads rows")
    return plan.plan(made, store_at(store_place))


def ready(file: Path, catalog: Loaded, profile: str | None = None) -> ReadyModel | None:
    """A recipe that makes a model, checked; None for one that makes a corpus."""
    from hala_factory import yamlfile

    document = yamlfile.read(file)
    kind = str(document.data.get("kind"))
    hint = did_you_mean(kind, ("corpus", "model"))
    if kind != "model" and hint.endswith("mean 'model'?"):
        raise InputError(document.fault(("kind",), f"kind: {kind!r} is not known{hint}"))
    if kind != "model":
        return None
    from hala_factory.models import recipe

    return recipe.load(file, catalog, profile)


def steps() -> dict[str, type[BaseModel]]:
    """The steps of model recipes by their words."""
    from hala_factory.models.recipe import STEPS

    return {step.model_fields["step"].default: step for step in STEPS}


def tell_plan(made: ModelPlan, needed: list[dict[str, str]], *, as_json: bool) -> None:
    """Print the stages of a chain, and what it is made of."""
    told = {**made.told(), "needed": needed}
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    profile = f" (profile {made.ready.profile})" if made.ready.profile else ""
    lines = [[s["name"], s["status"], s["reason"]] for s in told["stages"]]
    click.echo(f"{made.ready.artifact}{profile}")
    click.echo(table(["stage", "status", "why"], lines))


def build(made: ModelPlan, *, quiet: bool) -> dict[str, Any]:
    """Build a model; the answer of `build --json`."""
    from hala_factory.models import building

    return building.build(made, lambda line: None if quiet else click.echo(line, err=True))


def tell_gates(told: dict[str, Any]) -> None:
    """Say by which gates a model passed."""
    for gate in told["gates"]:
        click.echo(f"  {gate['step']}.{gate['gate']}: {gate['found']}, asked {gate['asked']}")


def manifest(artifact: str, store_place: str | None) -> tuple[dict[str, Any], Path] | None:
    """The manifest and the folder of a model in the store; None where it holds no such model."""
    store = store_at(store_place)
    name, _, version = artifact.partition("@")
    found = [m for m in store.model_manifests(name) if m["version"] == version] if name and version else []
    return (found[0], store.model(name, version)) if found else None


def tell_manifest(found: tuple[dict[str, Any], Path], *, as_json: bool) -> None:
    """Print a model of the store."""
    from hala_factory.models import card

    click.echo(json.dumps(found[0], ensure_ascii=False) if as_json else card.tell(found[0], str(found[1])))
