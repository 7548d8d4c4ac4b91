"""`/api/v1/users`: accounts, for admins."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.stores.accounts import UNBOUNDED, Bounds, Changes
from deployments.gateway.auth.authenticator import answered
from deployments.gateway.auth.directory import Directory, required
from deployments.gateway.auth.wire import MOST, AccountChange, NewAccount, shown_account
from deployments.gateway.bodies import json_body
from deployments.gateway.parsing import parse

Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=MOST)]


def router(directory: Directory | None) -> APIRouter:
    """The routes. directory: None where authentication is off."""
    routes = APIRouter(prefix="/api/v1/users", tags=["Accounts"])

    @routes.post("", status_code=201, summary="Make an account", openapi_extra=json_body(NewAccount))
    async def create(request: Request) -> dict[str, Any]:
        known = required(directory)
        wanted = parse(NewAccount, await request.body())
        hashed = await known.logins.hashed(wanted.password)
        made = await answered(
            lambda: known.accounts.create(
                name=wanted.email, password_hash=hashed, role=wanted.role, bounds=wanted.bounds(UNBOUNDED)
            )
        )
        return shown_account(made)

    @routes.get("", summary="The accounts, by name")
    async def page(limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
        known = required(directory)
        total, found = await answered(lambda: known.accounts.page(limit=limit, offset=offset))
        return {"users": [shown_account(account) for account in found], "total": total}

    @routes.get("/{user_id}", summary="One account")
    async def show(user_id: str) -> dict[str, Any]:
        known = required(directory)
        return shown_account(await answered(lambda: known.accounts.get(user_id)))

    @routes.patch("/{user_id}", summary="Change an account", openapi_extra=json_body(AccountChange))
    async def change(user_id: str, request: Request) -> dict[str, Any]:
        known = required(directory)
        return await _change(known, user_id, parse(AccountChange, await request.body()))

    @routes.delete("/{user_id}", status_code=204, summary="Delete an account, its sessions and its keys")
    async def remove(user_id: str) -> Response:
        known = required(directory)
        await answered(lambda: known.accounts.remove(user_id))
        await answered(lambda: known.sessions.revoke_all(user_id))
        await answered(lambda: known.keys.revoke_owned(user_id))
        known.authenticator.forget()
        return Response(status_code=204)

    return routes


async def _change(known: Directory, user_id: str, wanted: AccountChange) -> dict[str, Any]:
    for name in sorted(wanted.model_fields_set - set(Bounds.__slots__)):
        if getattr(wanted, name) is None:
            raise BadRequest(f"{name} is null", hint="leave it out, and it stays", param=name)
    hashed = None if wanted.password is None else await known.logins.hashed(wanted.password)
    bounds = None
    if wanted.model_fields_set & set(Bounds.__slots__):
        bounds = wanted.bounds((await answered(lambda: known.accounts.get(user_id))).bounds)
    changes = Changes(role=wanted.role, disabled=wanted.disabled, password_hash=hashed, bounds=bounds)
    changed = await answered(lambda: known.accounts.change(user_id, changes))
    if wanted.disabled or hashed is not None:
        await answered(lambda: known.sessions.revoke_all(user_id))
    known.authenticator.forget()
    return shown_account(changed)
