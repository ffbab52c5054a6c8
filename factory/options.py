"""What commands share: their options, where the store is, and how an error is told."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import HalaError, InputError, did_you_mean

if TYPE_CHECKING:
    from hala_factory.catalog import Loaded
    from hala_factory.graph import Graph, Known
    from hala_factory.plan import Plan
    from hala_factory.store import Store

catalog_option = click.option(
    "--catalog",
    "catalog_file",
    type=click.Path(path_type=Path),
    help="Catalog file; ./catalog.yaml or the built-in one.",
)
store_option = click.option(
    "--store", "store_place", help="Folder of everything built; $HALA_STORE, else ./store.", metavar="DIR"
)
profile_option = click.option("--profile", help="A profile of the recipe, e.g. demo.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), help="At most so many rows of every source (version dev)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON on stdout.")


class Commands(click.Group):
    """Commands whose errors are told in one way, and that guess a mistyped name."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error a person can act on is text on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except HalaError as error:
            click.echo(str(error), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted: what is done is stored; run the same command again to go on", err=True)
            ctx.exit(130)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or fail with the nearest one."""
        if args and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"no command {args[0]!r}{did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def store_at(place: str | None) -> Store:
    """The store that `--store` names, or the environment, or the usual one."""
    from hala_factory.store import Store

    return Store.at(place or os.environ.get("HALA_STORE") or "store")


def project_file(name: str) -> Path:
    """A file that travels with the project: in the working directory, else in the package."""
    here = Path(name)
    if here.exists():
        return here
    with resources.as_file(resources.files("hala_factory.project").joinpath(name)) as path:
        return path.resolve()


def catalog_at(file: Path | None) -> Loaded:
    """The catalog that `--catalog` names, or the usual one."""
    from hala_factory import catalog

    return catalog.load(file or project_file("catalog.yaml"))


def all_recipes() -> list[Path]:
    """The recipes of the project; the locks beside them are none."""
    return sorted(p for p in project_file("recipes").glob("*.yaml") if not p.name.endswith(".lock.yaml"))


def recipe_file(recipe: str) -> Path:
    """The file of a recipe, by its name in the project or by its path."""
    if recipe.endswith((".yaml", ".yml")) or os.sep in recipe:
        return Path(recipe)
    found = project_file(f"recipes/{recipe}.yaml")
    if not found.exists():
        names = [p.stem for p in all_recipes()]
        raise InputError(f"no recipe {recipe!r}{did_you_mean(recipe, names)}; or give the path of a .yaml file")
    return found


def graph_of(
    recipe: str, profile: str | None, catalog: Loaded, store_place: str | None, known: Known | None = None
) -> Graph:
    """The recipes that a recipe's artifact is made by, looked up beside each other and in the project."""
    from hala_factory import graph

    def place(name: str, folder: Path) -> Path | None:
        beside = folder / f"{name}.yaml"
        return beside if beside.exists() else next((p for p in all_recipes() if p.stem == name), None)

    return graph.lay_out(recipe_file(recipe), profile, catalog, place, store_at(store_place), known)


def plan_of(
    recipe: str,
    profile: str | None,
    limit: int | None,
    catalog: Loaded,
    store_place: str | None,
    *,
    locked: bool = False,
) -> Plan:
    """The plan of a recipe as the options say; if `locked`, of what the lock beside it pins, and of nothing else."""
    from hala_factory import locking, plan
    from hala_factory import recipe as recipes

    file = recipe_file(recipe)
    ready = recipes.load(file, catalog, profile, limit)
    store = store_at(store_place)
    if not locked:
        return plan.plan(ready, store)
    path, again = locking.path_beside(file, profile), f"hala-factory lock {recipe}"
    again += f" --profile {profile}" if profile else ""
    lock = locking.read(path, again)
    made = plan.plan(ready, store, lock)
    locking.refuse_other(lock, path, made, again)
    return made


def tell_built(told: dict[str, Any]) -> None:
    """Say of an artifact whether it was built, where it is and its digest."""
    stored = all(s["status"] == "stored" for s in told["stages"])
    click.echo(f"{told['artifact']}: {'everything is stored, nothing to do' if stored else 'built'}")
    click.echo(f"  path    {told['path']}")
    click.echo(f"  digest  {told['digest']}")
    for warning in told.get("warnings", []):
        click.echo(f"  warning {warning}")


def told_rows(rows: dict[str, Any]) -> str:
    """Rows in and kept, and those that were dropped or failed by reason."""
    gone = {status: sum(rows[status].values()) for status in ("dropped", "failed")}
    told = ", ".join(f"{n:,} {status}" for status, n in {"in": rows["in"], "kept": rows["kept"], **gone}.items())
    lines = [f"  rows    {told}"]
    counts = [(n, status, reason) for status in gone for reason, n in rows[status].items()]
    lines += [
        f"    {n:>9,}  {status:<8} {reason}" for n, status, reason in sorted(counts, key=lambda c: (-c[0], c[2]))
    ]
    return "\n".join(lines)
