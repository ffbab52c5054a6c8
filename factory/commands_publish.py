"""The commands by which a version travels: `publish` sends it out, `pull` brings one into the store."""

from __future__ import annotations

import json
from typing import Any

import click

from hala_factory.errors import InputError
from hala_factory.options import json_option, store_at, store_option
from hala_factory.tables import table


@click.command()
@click.argument("artifact", metavar="NAME@VERSION")
@click.option("--repo", metavar="OWNER/NAME", help="A repository on the Hugging Face Hub; it is made if absent.")
@click.option("--to", "place", metavar="URL", help="A folder or an object store instead: file:///…, s3://bucket/….")
@click.option("--branch", default="main", show_default=True, help="The branch of the repository.")
@click.option("--private", is_flag=True, help="Make the repository private, if it has to be made.")
@click.option("--allow-dev", is_flag=True, help="Publish a version 'dev', or one of samples, all the same.")
@click.option("--dry-run", is_flag=True, help="Only say which files would be sent, and which gates hold.")
@store_option
@json_option
@click.pass_context
def publish(
    context: click.Context,
    artifact: str,
    repo: str | None,
    place: str | None,
    branch: str,
    private: bool,
    allow_dev: bool,
    dry_run: bool,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Publish NAME@VERSION (a corpus or a model): to the Hub, to a folder, or to an object store.

    Contracts, licence and review must allow it. On the Hub it is one commit and a tag v1.0.0; what is there already is
    not sent again, and everything is read back. The token comes from HF_TOKEN and from nowhere else.
    """
    from hala_factory.publish import folders, publishing
    from hala_factory.publish.gates import Candidate
    from hala_factory.publish.progress import Sending

    if (repo is None) == (place is None):
        raise InputError("give either --repo OWNER/NAME or --to URL")
    store = store_at(store_place)
    candidate = Candidate(store, store.held(artifact, models=True), allow_dev)
    with Sending(artifact, sum(f["bytes"] for f in candidate.manifest["files"].values())) as bar:
        if repo is not None:
            told = publishing.to_hub(candidate, publishing.Wish(repo, branch, private, dry_run), bar.advance)
        else:
            told = folders.to_folder(candidate, str(place), dry_run=dry_run, watch=bar.advance)
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else _tell(told))
    if not all(gate["passed"] for gate in told["gates"]):
        context.exit(1)


@click.command()
@click.argument("place", metavar="REPO-OR-URL")
@click.option("--revision", help="A tag, a branch or a commit of the repository; the newest if not given.")
@store_option
@json_option
def pull(place: str, revision: str | None, store_place: str | None, as_json: bool) -> None:
    """Bring a published corpus into the store, and prove it there: OWNER/NAME on the Hub, or the URL of its folder.

    It is then a version like one that was built here. A download that broke off goes on where it was.
    """
    from hala_factory.publish import pulling

    told = pulling.pull(store_at(store_place), place, revision)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{told['artifact']}: {'the store holds it already' if told['stored'] else 'pulled and proved'}")
    click.echo(f"  path    {told['path']}")
    click.echo(f"  digest  {told['digest']}")


def _tell(told: dict[str, Any]) -> str:
    lines = [table(["file", "MB", ""], [_line(each) for each in told["files"]]), ""] if told["dry_run"] else []
    what = "would go to" if told["dry_run"] else "is published at" if told["committed"] else "stands already at"
    lines.append(f"{told['artifact']}: {what} {told['to']}")
    sent = told["to_send"]
    lines.append(f"  {'send' if told['dry_run'] else 'sent':<8}{sent['files']:,} files, {sent['bytes'] / 1e6:,.1f} MB")
    if told.get("commit"):
        lines.append(f"  commit  {told['commit']} on {told['branch']}{', tag ' + told['tag'] if told['tag'] else ''}")
    if "verified" in told:
        lines.append(f"  proved  {told['verified']['files']:,} files read back, by their digests")
    for gate in told["gates"]:
        lines += [f"  AGAINST {gate['gate']}: {reason}" for reason in gate["reasons"]]
    lines += [f"  note    {note}" for note in told["notes"]]
    return "\n".join(lines)


def _line(each: dict[str, Any]) -> list[str]:
    return [each["path"], f"{each['bytes'] / 1e6:,.2f}" if "bytes" in each else "", each["state"]]
