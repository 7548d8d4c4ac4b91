"""`/api/v1/keys`: API keys, of oneself, or for admins of anybody."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request

from cluster.errors import AccountNotFound, BadRequest, PermissionDenied
from cluster.stores.accounts import ID_PREFIX, Accounts
from cluster.stores.api_keys import ApiKey, new_secret, unknown_key
from cluster.stores.database import now
from deployments.gateway.auth.authenticator import Identity, answered
from deployments.gateway.auth.directory import Directory, required
from deployments.gateway.auth.rights import wanted_rights
from deployments.gateway.auth.routes import identity_of
from deployments.gateway.auth.users import Limit, Offset
from deployments.gateway.auth.wire import KeyChange, NewKey, shown_key
from deployments.gateway.bodies import json_body
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Role


def router(directory: Directory | None) -> APIRouter:
    """The routes. directory: None where authentication is off."""
    routes = APIRouter(prefix="/api/v1/keys", tags=["Accounts"])

    @routes.post(
        "", status_code=201, summary="Make a key; the only answer that holds it", openapi_extra=json_body(NewKey)
    )
    async def create(request: Request) -> dict[str, Any]:
        desk = Desk(required(directory), identity_of(request))
        secret = new_secret()
        made = await desk.create(secret, parse(NewKey, await request.body()), now())
        return {**shown_key(made), "key": secret}

    @routes.get("", summary="One's keys, or for admins those of all, the newest first")
    async def page(
        request: Request, owner: str | None = None, limit: Limit = 50, offset: Offset = 0
    ) -> dict[str, Any]:
        desk = Desk(required(directory), identity_of(request))
        return {"keys": [shown_key(key) for key in await desk.page(owner, limit, offset)]}

    @routes.get("/{key_id}", summary="One key")
    async def show(key_id: str, request: Request) -> dict[str, Any]:
        return shown_key(await Desk(required(directory), identity_of(request)).find(key_id))

    @routes.patch("/{key_id}", summary="Give a key other rights", openapi_extra=json_body(KeyChange))
    async def change(key_id: str, request: Request) -> dict[str, Any]:
        desk = Desk(required(directory), identity_of(request))
        return shown_key(await desk.change(key_id, parse(KeyChange, await request.body()), now()))

    @routes.delete("/{key_id}", summary="Revoke a key")
    async def revoke(key_id: str, request: Request) -> dict[str, Any]:
        return shown_key(await Desk(required(directory), identity_of(request)).revoke(key_id))

    return routes


class Desk:
    """What the routes do for one who asks."""

    def __init__(self, known: Directory, asks: Identity) -> None:
        self._known = known
        self._asks = asks
        self._all = asks.principal.role is Role.ADMIN

    async def create(self, secret: str, wanted: NewKey, moment: datetime) -> ApiKey:
        """Store a new key. Raises PermissionDenied, BadRequest, AccountNotFound."""
        self._in_person()
        rights = wanted_rights(wanted, None, self._asks, moment)
        owner = await self._owner(wanted.owner)
        keys = self._known.keys
        return await answered(lambda: keys.create(secret, name=wanted.name, owner=owner, rights=rights))

    async def page(self, owner: str | None, limit: int, offset: int) -> list[ApiKey]:
        """Some of the keys that may be seen."""
        if not self._all:
            owner = self._asks.principal.owner
        return list(await answered(lambda: self._known.keys.list(owner=owner, limit=limit, offset=offset)))

    async def find(self, key_id: str) -> ApiKey:
        """A key that may be seen. Raises KeyNotFound, for another's too."""
        found = await answered(lambda: self._known.keys.get(key_id))
        if not self._all and found.owner != self._asks.principal.owner:
            raise unknown_key(key_id)
        return found

    async def change(self, key_id: str, wanted: KeyChange, moment: datetime) -> ApiKey:
        """Change a key. Raises KeyNotFound, PermissionDenied, BadRequest."""
        self._in_person()
        found = await self.find(key_id)
        if "name" in wanted.model_fields_set and wanted.name is None:
            raise BadRequest("A key has a name", hint="leave name out, and it stays", param="name")
        rights = wanted_rights(wanted, found.rights, self._asks, moment)
        name = wanted.name or found.name
        changed = await answered(lambda: self._known.keys.change(key_id, name=name, rights=rights))
        self._known.authenticator.forget()
        return changed

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key: a key may end itself. Raises KeyNotFound, PermissionDenied."""
        if key_id != self._asks.key_id:
            self._in_person()
        await self.find(key_id)
        revoked = await answered(lambda: self._known.keys.revoke(key_id))
        self._known.authenticator.forget()
        return revoked

    def _in_person(self) -> None:
        """A key that leaks must not be able to leave others behind."""
        if not self._all and not self._asks.principal.is_person:
            raise PermissionDenied("Keys are managed by people and admins", hint="sign in: POST /api/v1/auth/login")

    async def _owner(self, wanted: str | None) -> str:
        own = self._asks.principal.owner
        if wanted is None or wanted == own:
            return own
        if not self._all:
            raise PermissionDenied("A key of yours is yours", hint="leave owner out", param="owner")
        return await answered(lambda: owner_named(self._known.accounts, wanted))


def owner_named(accounts: Accounts, wanted: str) -> str:
    """The id of the account that has a name or an id, or else the name itself. Raises AccountNotFound."""
    if wanted.startswith(ID_PREFIX):
        return accounts.get(wanted).id
    try:
        return accounts.named(wanted).id
    except AccountNotFound:
        if "@" in wanted:  # an address that nobody has is a typo rather than a name
            raise
        return wanted
