"""The commands that look after what is built: `verify` proves a version, `gc` cleans up, `lock` pins what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import InputError
from hala_factory.options import (
    catalog_at,
    catalog_option,
    json_option,
    limit_option,
    plan_of,
    profile_option,
    recipe_file,
    store_at,
    store_option,
)
from hala_factory.tables import table

if TYPE_CHECKING:
    from hala_factory.collecting import Item


@click.command()
@click.argument("artifact", metavar="NAME@VERSION")
@click.option(
    "--regenerate", type=click.IntRange(1), metavar="N", help="Put N rows to their models again, past the store."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which rows are drawn for that.")
@catalog_option
@store_option
@json_option
@click.pass_context
def verify(
    context: click.Context,
    artifact: str,
    regenerate: int | None,
    seed: int,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Prove NAME@VERSION: every byte, every count, the rows' digest, the licence; all faults at once, exit 1.

    With --regenerate, the models (found by the catalog) answer N rows again, and it is told how many answers are the
    same, byte for byte and by chrF; different answers are no fault.
    """
    from hala_factory import verify as verifying
    from hala_factory.verify import regenerate as again

    store = store_at(store_place)
    found = verifying.verify(store, artifact)
    told, words = found.told(), [found.tell()]
    if regenerate is not None and found.findings:
        words.append("  note    no model was asked again, as there are faults")
    elif regenerate is not None:
        made = again.regenerate(store, store.held(artifact), catalog_at(catalog_file), regenerate, seed)
        told["regenerated"] = made.told()
        words += again.tell(made.told())
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(words))
    if found.findings:
        context.exit(1)


@click.command()
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done (the default).")
@store_option
@json_option
def gc(yes: bool, dry_run: bool, store_place: str | None, as_json: bool) -> None:
    """Remove stages and tables that no version and no running build needs; answers of models stay.

    What is removed is made again when a build wants it. Versions stay whole: `build` finds them stored, `why` and
    `whatif` answer as before. Answers that no version is made of go by `generations gc`.
    """
    from hala_factory import collecting

    if yes and dry_run:
        raise InputError("--yes does it and --dry-run does not; give one of them")
    found = collecting.collect(store_at(store_place), really=yes)
    freed = sum(item.bytes for item in found if item.fate in ("unused", "gone"))
    if as_json:
        told: dict[str, Any] = {"done": yes, "freed_bytes": freed, "items": [item.told() for item in found]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    if found:
        click.echo(table(["what", "name", "MB", "fate"], [_line(item) for item in found]))
    click.echo(f"{freed / 1e6:,.1f} MB {'are free again' if yes else 'could go; do it with --yes'}")


@click.command()
@click.argument("recipe")
@profile_option
@limit_option
@catalog_option
@store_option
@json_option
def lock(
    recipe: str,
    profile: str | None,
    limit: int | None,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Pin what RECIPE reads, in NAME.lock.yaml beside it: commits on the Hub, digests of files, models.

    `build --locked` then takes exactly that, and refuses anything else with a line for every difference.
    """
    from hala_factory import locking
    from hala_factory.store import atomic

    made = locking.lock_of(plan_of(recipe, profile, limit, catalog_at(catalog_file), store_place))
    path = locking.path_beside(recipe_file(recipe), profile)
    with atomic(path) as temporary:
        temporary.write_text(locking.text(made), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"file": str(path), **made}, ensure_ascii=False))
        return
    files = sum(len(entry["files"]) for kind in ("sources", "benchmarks") for entry in made[kind].values())
    counts = ", ".join(f"{len(made[kind])} {kind}" for kind in locking.KINDS)
    click.echo(f"{path}: {counts}, {files} files")


def _line(item: Item) -> list[str]:
    fate = f"needed by {', '.join(item.versions)}" if item.versions else item.fate
    return [item.kind, item.name, f"{item.bytes / 1e6:,.1f}", fate]
