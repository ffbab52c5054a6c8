"""The commands `generations …`: what models answered, to list, look at, take along and clean up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.options import Commands, json_option, store_at, store_option
from hala_factory.tables import table

if TYPE_CHECKING:
    from hala_factory.generate.inventory import Holding


@click.group(cls=Commands)
def generations() -> None:
    """Every answer that models ever gave: list, export, import, clean up."""


@generations.command()
@store_option
@json_option
def ls(store_place: str | None, as_json: bool) -> None:
    """List the models whose answers are stored, and the versions that are made of them."""
    from hala_factory.generate import inventory

    held = inventory.holdings(store_at(store_place))
    if as_json:
        click.echo(json.dumps([h.told() for h in held], ensure_ascii=False))
        return
    if not held:
        click.echo("no answers are stored yet", err=True)
        return
    head = ["model", "fingerprint", "answers", "prompt tokens", "output tokens", "MB", "last (UTC)", "used by"]
    click.echo(table(head, [_line(h) for h in held]))


@generations.command()
@click.argument("model")
@store_option
@json_option
def show(model: str, store_place: str | None, as_json: bool) -> None:
    """Show what decides the answers of MODEL (its name, or the beginning of its fingerprint) and what came of them."""
    from hala_factory.generate import inventory

    held = inventory.holdings(store_at(store_place), [model])
    if as_json:
        click.echo(json.dumps([h.told() for h in held], ensure_ascii=False))
        return
    click.echo("\n\n".join(_told(h) for h in held))


@generations.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, help="Only answers of this model; may be given again.")
@store_option
@json_option
def export(file: Path, models: tuple[str, ...], store_place: str | None, as_json: bool) -> None:
    """Write prompts, answers and models to FILE (.parquet or .jsonl), to look at or to import elsewhere."""
    from hala_factory.generate import exchange

    counts = exchange.export(store_at(store_place).generations, file, models)
    _say({"file": str(file), "answers": counts}, f"{file}: {sum(counts.values()):,} answers", as_json)


@generations.command("import")
@click.argument("place", type=click.Path(path_type=Path))
@store_option
@json_option
def import_(place: Path, store_place: str | None, as_json: bool) -> None:
    """Take in the answers of PLACE: a file that `export` wrote, or the folder of another store.

    Every key is computed anew. An answer that is stored already is never replaced.
    """
    from hala_factory.generate import exchange

    counts = exchange.take_in(store_at(store_place).generations, place)
    words = f"{place}: {counts['read']:,} answers: {counts['new']:,} new, {counts['known']:,} known already"
    _say(counts, words, as_json)


@generations.command()
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done (the default).")
@store_option
@json_option
def gc(yes: bool, dry_run: bool, store_place: str | None, as_json: bool) -> None:
    """Remove the answers of models that no version and no stage is made of, and merge small files of the others."""
    from hala_factory.errors import InputError
    from hala_factory.generate import inventory

    if yes and dry_run:
        raise InputError("--yes does it and --dry-run does not; give one of them")
    done = inventory.collect(store_at(store_place), really=yes)
    if as_json:
        told = [
            {**d.holding.told(), "fate": d.fate, "merged": d.compacted.merged, "into": d.compacted.into} for d in done
        ]
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    if done:
        head = ["model", "fingerprint", "answers", "MB", "fate", "files merged"]
        click.echo(table(head, [_fate(d.holding, d.fate, d.compacted.merged, d.compacted.into) for d in done]))
    freed = sum(d.holding.bytes for d in done if d.fate in ("unused", "gone")) / 1e6
    click.echo(f"{freed:,.1f} MB {'are free again' if yes else 'could go; do it with --yes'}")


def _line(held: Holding) -> list[str]:
    return [
        held.model.name,
        held.model.fingerprint[:12],
        f"{held.answers:,}",
        f"{held.prompt_tokens:,}",
        f"{held.output_tokens:,}",
        f"{held.bytes / 1e6:,.1f}",
        held.last.strftime("%Y-%m-%d %H:%M") if held.last else "",
        ", ".join(held.versions) or f"{len(held.stages)} stages",
    ]


def _told(held: Holding) -> str:
    finishes = ", ".join(f"{n:,} {word}" for word, n in sorted(held.by_finish.items(), key=lambda f: -f[1]))
    lines = {
        "folder": str(held.folder),
        "answers": f"{held.answers:,}{f' ({finishes})' if finishes else ''}",
        "tokens": f"{held.prompt_tokens:,} read, {held.output_tokens:,} written",
        "files": f"{held.segments} segments, {held.journals} journals, {held.bytes / 1e6:,.1f} MB",
        "last": held.last.strftime("%Y-%m-%d %H:%M:%S UTC") if held.last else "never",
        "versions": ", ".join(held.versions) or "none",
        "stages": ", ".join(held.stages) or "none",
        "identity": json.dumps(held.model.content, ensure_ascii=False, indent=2).replace("\n", "\n  "),
    }
    head = f"{held.model.name}  {held.model.fingerprint}"
    return "\n".join([head, *(f"  {word:<9} {told}" for word, told in lines.items())])


def _fate(held: Holding, fate: str, merged: int, into: int) -> list[str]:
    files = f"{merged} into {into}" if merged else ""
    return [held.model.name, held.model.fingerprint[:12], f"{held.answers:,}", f"{held.bytes / 1e6:,.1f}", fate, files]


def _say(told: dict[str, Any], words: str, as_json: bool) -> None:
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else words)
