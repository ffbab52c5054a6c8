"""The commands that look at finished versions: `diff` and `report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hala_factory.options import json_option, store_at, store_option


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--rows", "shown", type=click.IntRange(0), default=10, show_default=True, help="Rows to list as examples."
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page of it to this file.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every row that differs to this Parquet file.")
@store_option
@json_option
def diff_command(
    a: str, b: str, shown: int, html: Path | None, out: Path | None, store_place: str | None, as_json: bool
) -> None:
    """Compare two versions, A and B (each NAME@VERSION): which rows differ and why, and what moved.

    Example: hala-factory diff arabic-instruct-v1@1.0.0 arabic-instruct-v1@1.1.0 --html diff.html
    """
    from hala_factory import diff
    from hala_factory.store import atomic, written

    store = store_at(store_place)
    manifests = [store.held(artifact) for artifact in (a, b)]
    versions = [diff.Version(store.corpus(m["name"], m["version"]), m) for m in manifests]
    compared, told = diff.diff(versions[0], versions[1], shown)
    if out is not None:
        with written(out):
            compared.rows.drop("a", "b").write_parquet(out)
    if html is not None:
        from hala_factory.report import differences

        with atomic(html) as temporary:
            temporary.write_text(differences.render(told), encoding="utf-8")
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else diff.tell(told))


@click.command("report")
@click.argument("artifact", metavar="NAME@VERSION")
@click.option("--out", type=click.Path(path_type=Path), help="Draw the page anew and write it to this file.")
@store_option
@json_option
def report_command(artifact: str, out: Path | None, store_place: str | None, as_json: bool) -> None:
    """Say where the report of NAME@VERSION is: one HTML page, made with the version; or draw it anew.

    A version never changes, nor does the page in its folder. A version that was built without one needs --out, and so
    does a page with what people have found in its review since.
    """
    from hala_factory.errors import InputError

    store = store_at(store_place)
    manifest = store.held(artifact)
    folder = store.corpus(manifest["name"], manifest["version"])
    page = folder / "report.html"
    if out is not None:
        from hala_factory import recipe, report
        from hala_factory.review.results import results
        from hala_factory.store import atomic

        found = results(store, artifact) if "review" in manifest else None
        html = report.render(folder, manifest, recipe.steps_of(manifest), found)
        with atomic(out) as temporary:
            temporary.write_text(html, encoding="utf-8")
        page = out
    elif not page.exists():
        raise InputError(f"{artifact} was built without a report; draw it with: report {artifact} --out report.html")
    click.echo(json.dumps({"artifact": artifact, "report": str(page)}, ensure_ascii=False) if as_json else str(page))
