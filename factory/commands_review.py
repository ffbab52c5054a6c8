"""`review`: people look at a sample of a corpus, in Argilla or in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.commands_serve import serve
from hala_factory.errors import InputError
from hala_factory.options import Commands, json_option, store_at, store_option

if TYPE_CHECKING:
    from hala_factory.review.address import Server
    from hala_factory.review.answers import Answer
    from hala_factory.review.decks import Deck
    from hala_factory.store import Store

url_option = click.option("--url", help="Argilla server; $HALA_ARGILLA_URL, else the one of `review serve`.")
data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="Folder of `review serve`; STORE/argilla if not given."
)


@click.group(cls=Commands)
def review() -> None:
    """People judge a sample of a corpus, and what they find decides whether it is published."""


@review.command()
@click.argument("artifact", metavar="NAME@VERSION")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="No server: a page (.html), lines to fill in (.jsonl) or a spreadsheet (.xlsx).",
)  # fmt: skip
@click.option(
    "--reviewers", help="Names, with commas: a file for each; in Argilla, who is let in (all, if not given)."
)
@url_option
@data_option
@store_option
@json_option
def push(
    artifact: str,
    file: Path | None,
    reviewers: str | None,
    url: str | None,
    data: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Give the sample of NAME@VERSION to people, in Argilla or in files. Pushing again adds only what is missing."""
    from hala_factory.review import loading

    store = store_at(store_place)
    deck = loading.load(store, artifact)
    names = [name.strip() for name in (reviewers or "").split(",") if name.strip()]
    told: dict[str, Any] = {"artifact": artifact, "deck": deck.digest, "tasks": len(deck.tasks)}
    if file is not None and (url or data):
        raise InputError("give either --to FILE, or the server by --url or --data")
    told |= _to_files(deck, file, names) if file is not None else _to_argilla(deck, names, _server(url, data, store))
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{artifact}: {len(deck.tasks)} tasks in")
    for place in told.get("files", []):
        click.echo(f"  {place}")
    for made in told.get("datasets", []):
        click.echo(f"  {made['url']}  {made['tasks']} tasks, {made['added']} of them added now")
    for warning in told.get("warnings", []):
        click.echo(f"  warning {warning}")
    if file is not None and file.suffix == ".html":
        click.echo("open it in any browser; answers are downloaded as .jsonl")
    click.echo(f"then: hala-factory review pull {artifact}{' --from FILE' if file is not None else ''}")


def _to_files(deck: Deck, file: Path, reviewers: list[str]) -> dict[str, Any]:
    from hala_factory.review import files

    return {"files": [str(place) for place in files.push(deck, file, reviewers)]}


def _to_argilla(deck: Deck, reviewers: list[str], server: Server) -> dict[str, Any]:
    from hala_factory.progress import counting
    from hala_factory.review.argilla_place import push

    with counting("tasks", len(deck.tasks)) as watch:
        return push(deck, server, watch, annotators=reviewers or None)


@review.command()
@click.argument("artifact", metavar="NAME@VERSION")
@click.option(
    "--from", "sources", multiple=True, metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="No server: answers in a file (.jsonl, .xlsx); may be given again.",
)  # fmt: skip
@url_option
@data_option
@store_option
@json_option
def pull(
    artifact: str,
    sources: tuple[Path, ...],
    url: str | None,
    data: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Fetch the answers to the sample of NAME@VERSION, and keep what is new of them in the store."""
    from hala_factory.review import files, loading, recording

    store = store_at(store_place)
    deck = loading.load(store, artifact)
    if sources and (url or data):
        raise InputError("give either --from FILE, or the server by --url or --data")
    answers, warnings = (files.pull(deck, sources), []) if sources else _from_argilla(deck, _server(url, data, store))
    counts = recording.record(store, deck, answers)
    if as_json:
        told = {"artifact": artifact, "deck": deck.digest, **counts.told(), "warnings": warnings}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    kept = f"round {counts.round}: {counts.new} new, {counts.changed} changed" if counts.round else "nothing is new"
    others = f"; {counts.elsewhere} answers that were kept before stay" if counts.elsewhere else ""
    click.echo(
        f"{artifact}: {counts.submitted} answers of {counts.annotators} people, "
        f"{counts.draft} drafts, {counts.discarded} discarded: {kept}{others}"
    )
    for warning in warnings:
        click.echo(f"  warning {warning}")
    click.echo(f"then: hala-factory review report {artifact}")


def _from_argilla(deck: Deck, server: Server) -> tuple[list[Answer], list[str]]:
    from hala_factory.progress import counting
    from hala_factory.review.argilla_place import pull

    with counting("tasks", len(deck.tasks)) as watch:
        found = pull(deck, server, watch)
    return found.answers, found.warnings


def _server(url: str | None, data: Path | None, store: Store) -> Server:
    from hala_factory.review.address import find

    return find(url, data if data is not None else store.root / "argilla")


review.add_command(serve)
