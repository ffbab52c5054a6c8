"""The people of a server: its owner, whose key is ours, and its annotators, in the workspace of reviews."""

from __future__ import annotations

from typing import Any

from argilla_server.contexts import accounts
from argilla_server.database import AsyncSessionLocal
from argilla_server.models import User, Workspace, WorkspaceUser


async def make(workspace_name: str, api_key: str, people: list[dict[str, Any]]) -> list[str]:
    """Make those who are missing; the names of those whose password is the one in `people` from now on.

    `people` have `name`, `role` (`owner`, `annotator`), `password` and `renew` (an existing one gets it, too). The
    owner's key becomes `api_key`. Only hashes of passwords are kept.
    """
    made = []
    async with AsyncSessionLocal() as db:
        workspace = await Workspace.get_by(db, name=workspace_name)
        workspace = workspace or await accounts.create_workspace(db, {"name": workspace_name})
        for person in people:
            user = await accounts.get_user_by_username(db, person["name"])
            if user is None:
                told = {key: person[key] for key in ("role", "password")}
                told |= {"username": person["name"], "first_name": person["name"], "last_name": None}
                user = await accounts.create_user(db, told)
                made.append(person["name"])
            elif person["renew"]:
                await accounts.update_user(db, user, {"password": person["password"]})
                made.append(person["name"])
            if person["role"] == "owner":
                await _key(db, user, api_key)
            elif await WorkspaceUser.get_by(db, workspace_id=workspace.id, user_id=user.id) is None:
                await accounts.create_workspace_user(db, {"workspace_id": workspace.id, "user_id": user.id})
    return made


async def _key(db: Any, user: User, api_key: str) -> None:
    if user.api_key != api_key:
        await user.update(db, api_key=api_key)
