"""A client to an Argilla 2 server: its errors as ours, its people, and what it holds."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import httpx

from hala_factory.errors import BuildError, InputError
from hala_factory.review.address import KEY, Server

if TYPE_CHECKING:
    from argilla import Argilla

PAGE = 500
"""Records in one answer; the server allows 1,000."""


@contextlib.contextmanager
def speaking(server: Server, done: Callable[[], str]) -> Iterator[Argilla]:
    """A client; what goes wrong with the server is an error that says what to do, and never the key."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the client is older than its libraries
            import argilla
    except ImportError:
        raise InputError('to speak with Argilla: its client is missing; pip install "hala-factory[review]"') from None
    from argilla._exceptions import ArgillaAPIError, ArgillaCredentialsError, ArgillaError

    at = f"the Argilla server at {server.url}"
    again = "run the same command again to go on"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = argilla.Argilla.__new__(argilla.Argilla)
            with contextlib.ExitStack() as stack:
                stack.callback(_close, client)  # it opens a connection before it knows whether it may
                try:
                    argilla.Argilla.__init__(client, api_url=server.url, api_key=server.key, timeout=60, retries=1)
                except ValueError:  # no JSON, or other JSON
                    raise InputError(
                        f"{at} answers what no Argilla 2 server answers; expected the address of one"
                    ) from None
                yield client
    except ArgillaCredentialsError:
        raise InputError(f"{at} does not know the key; set {KEY} to an owner's API key") from None
    except httpx.TransportError as e:
        raise BuildError(f"{at} does not answer ({type(e).__name__}): {done()}; {again}") from None
    except (ArgillaError, httpx.HTTPStatusError) as e:
        cause = e.__cause__ or e.__context__
        if isinstance(cause, httpx.TransportError):  # the client wraps what happens while it makes a dataset
            raise BuildError(f"{at} does not answer ({type(cause).__name__}): {done()}; {again}") from None
        answer = e.response if isinstance(e, httpx.HTTPStatusError) else None
        status = answer.status_code if answer is not None else 500
        status = e.status_code if isinstance(e, ArgillaAPIError) else getattr(cause, "status_code", status)
        said = (answer.text if answer is not None else str(e)).replace(server.key, "…")[:300]
        if status == 403:
            raise InputError(f"{at} refuses: the key must be an owner's, or an admin's of the workspace") from None
        if status < 500:
            raise BuildError(f"{at} refuses ({status}): {said}; {done()}") from None
        raise BuildError(f"{at} failed ({status}): {said}; {done()}; {again}") from None


def _close(client: Argilla) -> None:
    opened = getattr(client, "http_client", None)
    if opened is not None:
        opened.close()


def workspace_id(client: Argilla, name: str, *, make: bool = True) -> Any:
    """The server's id of a workspace; None where it is missing and is not to be made."""
    from argilla import Workspace

    if found := client.api.workspaces.get_by_name(name):
        return found.id
    return Workspace(name=name, client=client).create().id if make else None


def people_of(client: Argilla, workspace: Any) -> dict[str, str]:
    """The names of people by the server's id of them."""
    from argilla._exceptions import ForbiddenError

    try:
        return {str(user.id): user.username for user in client.api.users.list()}
    except ForbiddenError:  # only an owner may list all
        users = client.api.users.list_by_workspace_id(workspace) if workspace else []
        return {str(user.id): user.username for user in users}


def admit(client: Argilla, workspace: Any, named: Sequence[str] | None) -> list[str]:
    """Put annotators into the workspace; the names of those who are in it."""
    from argilla._exceptions import ForbiddenError

    inside = {user.username: user.role for user in client.api.users.list_by_workspace_id(workspace)}
    try:
        everyone = {user.username: user for user in client.api.users.list()}
    except ForbiddenError:  # an admin finds the people whom the owner has put there
        everyone = {}
    if unknown := [name for name in named or () if name not in everyone and name not in inside]:
        raise InputError(f"the server knows no annotator {unknown[0]!r}; known are: {', '.join(sorted(everyone))}")
    for name, user in everyone.items():
        if name not in inside and (name in named if named is not None else user.role == "annotator"):
            client.api.users.add_to_workspace(workspace, user.id)
            inside[name] = user.role
    return sorted(name for name, role in inside.items() if role == "annotator")


def records(
    client: Argilla, dataset: Any, *, responses: bool = False, told: Callable[[int], None] = lambda read: None
) -> list[dict[str, Any]]:
    """Every record of a dataset once, even where some are added or deleted while we read; `told` how many so far."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(3):
        found, offset, total = {}, 0, 1
        while offset < total:
            asked = {"offset": offset, "limit": PAGE, **({"include": "responses"} if responses else {})}
            page = get(client, f"datasets/{dataset.id}/records", asked)
            found |= {record["id"]: record for record in page["items"]}
            offset, total = offset + PAGE, page["total"]
            told(len(found))
        if len(found) == total:
            break
    return list(found.values())


def get(client: Argilla, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the server's API answers; the errors are those of the client."""
    answer = client.http_client.get(f"/api/v1/{path}", params=params)
    answer.raise_for_status()
    return cast(dict[str, Any], answer.json())
