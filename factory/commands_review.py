"""`review`: people look at a sample of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hala_factory.commands_serve import serve
from hala_factory.options import Commands, json_option, store_at, store_option


@click.group(cls=Commands)
def review() -> None:
    """People judge a sample of a corpus, and what they find decides whether it is published."""


@review.command()
@click.argument("artifact")
@click.option(
    "--to", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="A page (.html), lines to fill in (.jsonl) or a spreadsheet (.xlsx).",
)  # fmt: skip
@click.option("--reviewers", help="Names, with commas: a file for each, with their share of the tasks.")
@store_option
@json_option
def push(artifact: str, file: Path, reviewers: str | None, store_place: str | None, as_json: bool) -> None:
    """Give the sample of NAME@VERSION to people. Pushing again changes nothing."""
    from hala_factory.review import files, loading

    deck = loading.load(store_at(store_place), artifact)
    names = [name.strip() for name in (reviewers or "").split(",") if name.strip()]
    places = files.push(deck, file, names)
    told: dict[str, Any] = {"artifact": artifact, "deck": deck.digest, "tasks": len(deck.tasks)}
    told["files"] = [str(place) for place in places]
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{artifact}: {len(deck.tasks)} tasks in")
    click.echo("\n".join(f"  {place}" for place in places))
    if file.suffix == ".html":
        click.echo("open it in any browser; answers are downloaded as .jsonl")
    click.echo(f"then: hala-factory review pull {artifact} --from FILE")


@review.command()
@click.argument("artifact")
@click.option(
    "--from", "sources", multiple=True, required=True, metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Answers: .jsonl or .xlsx; may be given again.",
)  # fmt: skip
@store_option
@json_option
def pull(artifact: str, sources: tuple[Path, ...], store_place: str | None, as_json: bool) -> None:
    """Fetch the answers to the sample of NAME@VERSION, and keep what is new of them in the store."""
    from hala_factory.review import files, loading, recording

    store = store_at(store_place)
    deck = loading.load(store, artifact)
    counts = recording.record(store, deck, files.pull(deck, sources))
    if as_json:
        click.echo(json.dumps({"artifact": artifact, "deck": deck.digest, **counts.told()}, ensure_ascii=False))
        return
    kept = f"round {counts.round}: {counts.new} new, {counts.changed} changed" if counts.round else "nothing is new"
    click.echo(
        f"{artifact}: {counts.submitted} answers of {counts.annotators} people, "
        f"{counts.draft} drafts, {counts.discarded} discarded: {kept}"
    )


review.add_command(serve)
