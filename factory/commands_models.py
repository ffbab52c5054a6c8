"""What commands say and do about models: `build`, `plan` and `show` of `kind: model`, and `quantize` by hand."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import InputError, did_you_mean
from hala_factory.options import json_option, project_file, store_at, store_option
from hala_factory.tables import table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from hala_factory.catalog import Loaded, Model
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


@click.command()
@click.argument("model")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the new checkpoint.")
@click.option("--scheme", default="FP8_DYNAMIC", show_default=True, help="FP8_DYNAMIC, FP8_BLOCK, W8A8 or W4A16.")
@click.option("--method", default="rtn", show_default=True, help="rtn, or gptq, which wants --calibration.")
@click.option("--ignore", multiple=True, help="A linear layer to leave as it is; lm_head if not given.")
@click.option("--calibration", help="A file of pairs (columns en and ar) for gptq.")
@click.option("--rows", type=click.IntRange(1), help="Calibration rows to draw; 512 if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn by lot.")
@click.option("--catalog", "catalog_file", type=click.Path(path_type=Path), help="Catalog that knows MODEL.")
@store_option
@json_option
def quantize(
    model: str,
    out: Path,
    scheme: str,
    method: str,
    ignore: tuple[str, ...],
    calibration: str | None,
    rows: int | None,
    seed: int,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Quantise MODEL (a checkpoint folder, or a name of the catalog) by hand; a recipe also accepts it."""
    from hala_factory import yamlfile
    from hala_factory.models.quantise import Quantise
    from hala_factory.models.step import Bench
    from hala_factory.validation import validate

    if rows and not calibration:
        raise InputError("--rows is of --calibration: name a file of pairs")
    data: dict[str, Any] = {"scheme": scheme, "method": method, "seed": seed}
    data |= {"ignore": list(ignore)} if ignore else {}
    if calibration:
        data["calibration"] = {"path": str(Path(calibration).resolve()), **({"n": rows} if rows else {})}
    step, faults = validate(Quantise, yamlfile.plain(data))
    if step is None:
        raise InputError("\n".join(f.message for f in faults))
    if out.exists():
        raise InputError(f"--out {out}: is there already; name a folder that is not")
    catalog = _catalog(catalog_file, model)
    store = store_at(store_place)
    base = _checkpoint(model, catalog, store.root)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
    try:
        told = step.make(Bench(store, catalog, base, base, lambda line: click.echo(line, err=True)), work)
        (work / "checkpoint").rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if as_json:
        click.echo(json.dumps({"path": str(out.resolve()), **told}, ensure_ascii=False))
        return
    click.echo(f"{out}: {told['scheme']}, {told['quantised']} linear layers, {told['bytes']:,} bytes of weights")


def _catalog(file: Path | None, model: str) -> Loaded:
    """The catalog that knows the model; an empty one where it is a folder and none is named."""
    from hala_factory import catalog, yamlfile

    if file is None and Path(model).is_dir():
        return catalog.Loaded(catalog=catalog.Catalog(), document=yamlfile.plain({}))
    return catalog.load(file or project_file("catalog.yaml"))


def _checkpoint(model: str, catalog: Loaded, work: Path) -> Any:
    from hala_factory.catalog import Model
    from hala_factory.generate.engines import checkpoint_of
    from hala_factory.hub import commit_of
    from hala_factory.models.step import Checkpoint

    known: dict[str, Model] = catalog.catalog.models
    if Path(model).is_dir():
        folder = Path(model).resolve()
        entry = Model(engine="vllm", path=str(folder), licence="unknown")
        if not (folder / "config.json").is_file():
            raise InputError(f"{model}: no checkpoint folder: it has no config.json")
        return Checkpoint(folder.name, entry, folder, None, {})
    if model not in known:
        raise InputError(f"no folder and no model of the catalog: {model!r}{did_you_mean(model, known)}")
    where = checkpoint_of(model, known[model], catalog.folder, work)
    revision = commit_of(where, "model", known[model].revision) if isinstance(where, str) else None
    return Checkpoint(model, known[model], where, revision, {})
