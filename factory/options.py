"""What commands share: their options, where the store is, and how an error is told."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import HalaError, did_you_mean

if TYPE_CHECKING:
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
