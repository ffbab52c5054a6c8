"""The commands of `review` that tell what people found: `report` and `corrections`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hala_factory.options import json_option, store_at, store_option


@click.command("report")
@click.argument("artifact", metavar="NAME@VERSION")
@store_option
@json_option
def report_command(artifact: str, store_place: str | None, as_json: bool) -> None:
    """What the answers say of NAME@VERSION: the decision, estimates, agreement, and thresholds that they imply."""
    from hala_factory.review.results import results
    from hala_factory.review.telling import tell

    found = results(store_at(store_place), artifact)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else tell(found))


@click.command("corrections")
@click.argument("artifact", metavar="NAME@VERSION")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Write them to this JSONL file.")
@store_option
@json_option
def corrections_command(artifact: str, out: Path, store_place: str | None, as_json: bool) -> None:
    """Write the corrections of NAME@VERSION to a file, for the step `corrections` of the next version's recipe."""
    from hala_factory.review.correcting import corrections, write

    found = corrections(store_at(store_place), artifact)
    write(out, found.rows)
    told = {"artifact": artifact, "file": str(out), "rows": len(found.rows), "notes": found.notes}
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{out}: {len(found.rows)} corrected rows of {artifact}")
    for note in found.notes:
        click.echo(f"  note    {note}")
