"""The command line: results on stdout, progress on stderr; exit 0 done, 1 a build failed, 2 the input was wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hala_factory import (
    commands_by_hand,
    commands_evaluate,
    commands_models,
    commands_review,
    commands_review_results,
)
from hala_factory.commands_build import build_command, plan_command
from hala_factory.commands_generations import generations
from hala_factory.commands_publish import publish, pull
from hala_factory.commands_store import gc, lock, verify
from hala_factory.commands_versions import diff_command, report_command
from hala_factory.errors import HalaError, InputError, did_you_mean
from hala_factory.options import (
    Commands,
    all_recipes,
    catalog_at,
    catalog_option,
    graph_of,
    json_option,
    recipe_file,
    store_at,
    store_option,
    told_rows,
)
from hala_factory.tables import table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from hala_factory.graph import Known
    from hala_factory.models.recipe import ModelRecipe
    from hala_factory.recipe import Recipe


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hala-factory")
def main() -> None:
    """A declarative dataset factory: from catalog.yaml and recipes to immutable corpora."""


for command in (
    plan_command,
    build_command,
    generations,
    commands_evaluate.evaluate,
    commands_by_hand.train,
    commands_by_hand.quantize,
    commands_by_hand.merge,
    commands_by_hand.lint,
    verify,
    gc,
    lock,
    diff_command,
    report_command,
    publish,
    pull,
    commands_review.review,
):
    main.add_command(command)
for command in (commands_review_results.report_command, commands_review_results.corrections_command):
    commands_review.review.add_command(command)


@main.command()
@click.argument("recipes", nargs=-1)
@catalog_option
@json_option
def check(recipes: tuple[str, ...], catalog_file: Path | None, as_json: bool) -> None:
    """Validate the catalog and recipes (all of them if none is named); every fault at once.

    The files and columns of sources that are on this machine are looked up too; the Hub is not asked.
    """
    from hala_factory import recipe, sources

    catalog = catalog_at(catalog_file)
    files = [recipe_file(r) for r in recipes] or all_recipes()
    faults, checked, models = [], [], []
    known: Known = {}
    for file in files:
        try:
            if (model := commands_models.ready(file, catalog)) is not None:
                for profile in (None, *model.recipe.profiles):
                    graph_of(str(file), profile, catalog, None, known)
                models.append(model.recipe)
                continue
            ready = recipe.load(file, catalog)
            for each in (ready, *(recipe.load(file, catalog, profile) for profile in ready.recipe.profiles)):
                sources.find(each, lambda file: "", {}, hub=False)  # no need to read them to their ends
                graph_of(str(file), each.profile, catalog, None, known)
            checked.append(ready)
        except InputError as error:
            faults += error.faults
    faults = sorted(set(faults))
    if as_json:
        told = [{"file": f.file, "line": f.line, "column": f.column, "message": f.message} for f in faults]
        click.echo(json.dumps({"ok": not faults, "faults": told}, ensure_ascii=False))
    if faults:
        raise InputError(faults)
    if not as_json:
        held = catalog.catalog
        counts = f"{len(held.sources)} sources, {len(held.models)} models, {len(held.benchmarks)} benchmarks"
        click.echo(f"catalog: {counts}: right")
        right: list[Recipe | ModelRecipe] = [*(ready.recipe for ready in checked), *models]
        for made in right:
            profiles = f"; profiles: {', '.join(made.profiles)}" if made.profiles else ""
            click.echo(f"{made.name}@{made.version}: {len(made.steps)} steps: right{profiles}")


@main.command()
@click.argument("name", required=False)
@store_option
@json_option
def versions(name: str | None, store_place: str | None, as_json: bool) -> None:
    """List what the store holds."""
    store = store_at(store_place)
    found = [*store.versions(name), *store.model_manifests(name)]
    if as_json:
        keys = ("name", "version", "built_at", "digest", "profile")
        told = [
            {**{k: m[k] for k in keys}, **({"rows": m["rows"]["kept"]} if "rows" in m else {"kind": "model"})}
            for m in found
        ]
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    if not found:
        click.echo(f"nothing is built yet{f' of {name}' if name else ''}", err=True)
        return
    lines = [
        [
            f"{m['name']}@{m['version']}",
            f"{m['rows']['kept']:,}" if "rows" in m else "a model",
            m["profile"] or "",
            m["built_at"][:16].replace("T", " "),
            m["digest"][:19],
        ]
        for m in found
    ]
    click.echo(table(["version", "rows", "profile", "built (UTC)", "digest"], lines))


@main.command()
@click.argument("artifact", metavar="NAME@VERSION")
@store_option
@json_option
def show(artifact: str, store_place: str | None, as_json: bool) -> None:
    """Show one version: its rows by source, stage and reason; of a model, what was measured."""
    from hala_factory.card import proofs
    from hala_factory.cost import telling

    store = store_at(store_place)
    if (model := commands_models.manifest(artifact, store_place)) is not None:
        commands_models.tell_manifest(model, as_json=as_json)
        return
    manifest = store.held(artifact)
    if as_json:
        click.echo(json.dumps(manifest, ensure_ascii=False))
        return
    click.echo(f"{manifest['name']}@{manifest['version']}  built {manifest['built_at'][:16].replace('T', ' ')} UTC")
    click.echo(f"  path    {store.corpus(manifest['name'], manifest['version'])}")
    click.echo(f"  digest  {manifest['digest']}")
    click.echo(f"  seal    {manifest.get('seal', 'none: built before manifests had one')}")
    if "licence" in manifest:
        from hala_factory import licences

        click.echo("\n".join(f"  {line}" for line in licences.tell(manifest["licence"])))
    for held in manifest["contracts"]:
        if "warning" in held:
            click.echo(f"  warning {held['warning']}")
    if "review" in manifest:
        from hala_factory.review.standing import standing

        stands = standing(store, manifest)
        click.echo(f"  review  {stands.state}: {stands.words}")
    click.echo()
    lines = [
        [s["name"], f"{s['rows']['in']:,}", f"{s['rows']['kept']:,}", f"{s['seconds']:.1f}"]
        for s in manifest["stages"]
    ]
    judged = [f"{name}: {told}\n" for name, told in proofs(manifest).items()]
    click.echo("\n".join([table(["stage", "rows in", "kept", "seconds"], lines) + "\n", *judged]))
    lines = [
        [n, f"{s['in']:,}", f"{s['kept']:,}", f"{sum(s['dropped'].values()):,}", f"{sum(s['failed'].values()):,}"]
        for n, s in manifest["sources"].items()
    ]
    click.echo(table(["source", "rows in", "kept", "dropped", "failed"], lines) + "\n")
    click.echo(told_rows(manifest["rows"]))
    for name, model in manifest["lock"]["models"].items():
        by = f" by {model['by']}" if model.get("by") else ""
        click.echo(f"\nanswers for {model['asked_as']}: {name}, engine {model['engine']}{by}")
    for line in telling.tell_compared(manifest.get("cost", [])):
        click.echo(f"cost of {line}")


@main.command()
@click.argument("row", metavar="ROW_ID", required=False)
@click.argument("artifact", metavar="[NAME@VERSION]", required=False)
@click.option("--example", is_flag=True, help="Take a dropped row of NAME@VERSION as an example.")
@store_option
@json_option
def why(row: str | None, artifact: str | None, example: bool, store_place: str | None, as_json: bool) -> None:
    """Tell the journey of one row (by the beginning of its id): every step, every measure, how it ended."""
    from hala_factory import journey

    store = store_at(store_place)
    if example:
        artifact, row = artifact or row, None
    elif row is None:
        raise InputError("give the beginning of a row's id, or --example")
    manifests = [store.held(artifact)] if artifact else store.versions()
    found = []
    for manifest in manifests:
        folder = store.corpus(manifest["name"], manifest["version"])
        row = journey.example(folder) if row is None else row
        found += [
            {"artifact": f"{manifest['name']}@{manifest['version']}", **j}
            for j in journey.journeys(folder, manifest, row)
        ]
    if not found:
        where = artifact or ("any version in the store" if manifests else "an empty store")
        raise InputError(f"no row whose id begins with {row!r} in {where}")
    known = {(j["artifact"], j["id"]) for j in found}
    for told in list(found):  # a row that came from a corpus has a journey there, too
        found += [j for j in journey.before(store, told) if (j["artifact"], j["id"]) not in known]
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n\n".join(journey.tell(j) for j in found))


@main.command()
@click.argument("artifact", metavar="NAME@VERSION")
@click.option("--set", "settings", multiple=True, required=True, metavar="STEP.FIELD=VALUE", help="Another threshold.")
@click.option("--rows", "shown", type=click.IntRange(0), default=10, show_default=True, help="Rows to list.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every row that flips to this Parquet file.")
@store_option
@json_option
def whatif(
    artifact: str, settings: tuple[str, ...], shown: int, out: Path | None, store_place: str | None, as_json: bool
) -> None:
    """Judge NAME@VERSION by other thresholds, from what was measured: which rows flip, without a build.

    Example: hala-factory whatif arabic-instruct-v1@dev --set length.min_chars=40 --set language.min_score=0.5
    """
    from hala_factory import whatif as judging
    from hala_factory.store import written

    store = store_at(store_place)
    answer = judging.whatif(store, store.held(artifact), list(settings))
    if out is not None:
        with written(out):
            answer.flips.write_parquet(out)
    told = judging.told(artifact, list(settings), answer, shown)
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else judging.tell(told))


@main.command()
@click.option("--check", "check_file", type=click.Path(path_type=Path), help="Fail if this file is not the schema.")
def schema(check_file: Path | None) -> None:
    """Print the JSON Schema of recipes, for editors."""
    from hala_factory.models import recipe

    made = recipe.schema()
    if check_file is None:
        click.echo(made, nl=False)
    elif not check_file.exists() or check_file.read_text(encoding="utf-8") != made:
        raise HalaError(f"{check_file} is not the schema of today; write it with: hala-factory schema > {check_file}")


@main.command()
@click.argument("name", required=False)
@json_option
def steps(name: str | None, as_json: bool) -> None:
    """List the steps recipes may use, or explain one of them with its fields."""
    from hala_factory import recipe

    known: dict[str, type[BaseModel]] = {**recipe.load_steps(), **commands_models.steps()}
    if name and name not in known:
        raise InputError(f"no step {name!r}{did_you_mean(name, known)}")
    if as_json:
        click.echo(
            json.dumps({n: c.model_json_schema() for n, c in known.items() if name in (None, n)}, ensure_ascii=False)
        )
    elif name:
        click.echo(recipe.explain(known[name]))
    else:
        lines = [[n, (c.__doc__ or "").strip().split("\n")[0]] for n, c in known.items()]
        click.echo(table(["step", "does"], lines))


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what works on this machine."""
    from hala_factory import health

    facts = health.look()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    click.echo(table(["what", "state", "to do"], [[f["what"], f["state"], f["todo"]] for f in facts]))


@main.group()
def tools() -> None:
    """Environments of tools that cannot share ours."""


@tools.command()
@click.argument("tool", type=click.Choice(["vllm", "llmcompressor", "argilla"]))
def install(tool: str) -> None:
    """Make the environment of a tool (on a machine without a GPU, its CPU build)."""
    from hala_factory.generate import tools as generation
    from hala_factory.review import tool as review

    make = {
        "vllm": generation.install_vllm,
        "llmcompressor": generation.install_llmcompressor,
        "argilla": review.install,
    }[tool]
    folder = make(say=lambda line: click.echo(line, err=True))
    click.echo(f"{tool}: {folder}")


if __name__ == "__main__":
    sys.exit(main())
