"""`review serve`: a real Argilla server on this machine."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hala_factory.options import json_option, store_at, store_option

if TYPE_CHECKING:
    from hala_factory.review.serving import Serving


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder of its database; STORE/argilla if not given.")
@click.option("--port", type=click.IntRange(0, 65_535), default=6900, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at.")
@click.option(
    "--annotator", "annotators", multiple=True, metavar="NAME", help="Somebody who answers; made if missing."
)
@click.option("--new-password", "renewed", multiple=True, metavar="NAME", help="Give NAME a new password.")
@store_option
@json_option
def serve(
    data: Path | None,
    port: int,
    host: str,
    annotators: tuple[str, ...],
    renewed: tuple[str, ...],
    store_place: str | None,
    as_json: bool,
) -> None:
    """Serve reviews on this machine with a real Argilla server, until Ctrl-C; its data is kept between runs.

    It needs no Elasticsearch, Redis or Docker: search is answered from its database, which does for some thousand
    records. Passwords are random, and shown once.
    """
    from hala_factory.review import serving

    folder = data.expanduser().resolve() if data else store_at(store_place).root / "argilla"
    with (
        _ended_by_signals(),
        serving.serving(folder, host, port, annotators, renewed) as server,
        suppress(KeyboardInterrupt),
    ):
        click.echo(_as_json(server) if as_json else _told(server, host))
        server.wait()
    click.echo(f"the server has ended; everything that was answered is in {folder}", err=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends us as Ctrl-C does."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _as_json(server: Serving) -> str:
    people = [{"name": p.name, "role": p.role, "password": p.password} for p in server.people]
    told = {"url": server.url, "data": str(server.data), "log": str(server.log), "pid": server.process.pid}
    return json.dumps(told | {"api_key": server.key, "people": people}, ensure_ascii=False)


def _told(server: Serving, host: str) -> str:
    from hala_factory.review.address import RECORD
    from hala_factory.review.tool import ARGILLA

    lines = [
        f"{server.url}  Argilla {ARGILLA} for reviews: search is answered from its database, which does for some "
        "thousand records; it asks nothing of the network",
        *(f"  {p.role:<10} {p.name}  {p.password or '(the password it had)'}" for p in server.people),
        "  passwords are shown this once and kept nowhere; --new-password NAME replaces a lost one",
        f"  key        in {server.data / RECORD}, for your eyes only; `review push` and `pull` find it there",
        f"  log        {server.log}",
    ]
    if host not in ("127.0.0.1", "::1", "localhost"):
        lines.append(f"  warning    {host} is open to others, and passwords travel unencrypted: put TLS before it")
    return "\n".join([*lines, "Ctrl-C ends it."])
