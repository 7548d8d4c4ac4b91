"""The rights of a key: read from a body, and held within those of whoever gives them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from cluster.errors import BadRequest, PermissionDenied
from cluster.stores.api_keys import Rights
from deployments.gateway.auth.areas import SCOPES, at_least, narrower
from deployments.gateway.auth.authenticator import Identity
from deployments.gateway.auth.wire import KeyChange
from deployments.gateway.principal import Role

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")


def wanted_rights(change: KeyChange, before: Rights | None, giver: Identity, moment: datetime) -> Rights:
    """The rights that a body asks for: what it leaves out is as before, or for a new key as wide as the giver's.

    Raises BadRequest for a scope that does not exist and a time that has passed, PermissionDenied for more
    than the giver has.
    """
    rights = before or _widest(giver)
    said: dict[str, Any] = {}
    for name in change.model_fields_set & set(Rights.__slots__):
        value = getattr(change, name)
        said[name] = frozenset(value) if isinstance(value, list) else value
    if said.get("role", rights.role) is None:
        raise BadRequest("A key has a role", hint="viewer, user or admin", param="role")
    rights = replace(rights, **said)
    unknown = sorted((rights.scopes or frozenset()) - SCOPES)
    if unknown:
        raise BadRequest(
            f"There is no scope {unknown[0]!r}", hint=f"scopes: {', '.join(sorted(SCOPES))}", param="scopes"
        )
    if "expires_at" in said and rights.expires_at is not None and rights.expires_at <= moment:
        raise BadRequest("expires_at has passed", hint="a time to come, or null", param="expires_at")
    _hold_within(rights, giver)
    return rights


def _widest(giver: Identity) -> Rights:
    """What a new key may do where its maker says nothing: what they may, but never as an admin."""
    who = giver.principal
    expires_at = None if giver.key_id is None else giver.ends
    limits = {name: getattr(who.limits, name) for name in LIMITS}
    role = narrower(who.role, Role.USER)
    return Rights(role=role, scopes=who.scopes, models=who.models, expires_at=expires_at, **limits)


def _hold_within(rights: Rights, giver: Identity) -> None:
    who = giver.principal
    if not at_least(who.role, Role(rights.role)):
        raise _wider("role", f"yours is {who.role}")
    for name in ("scopes", "models"):
        theirs, asked = getattr(who, name), getattr(rights, name)
        if theirs is not None and (asked is None or not asked <= theirs):
            raise _wider(name, f"yours: {', '.join(sorted(theirs))}")
    for name in LIMITS:
        theirs, asked = getattr(who.limits, name), getattr(rights, name)
        if theirs is not None and (asked is None or asked > theirs):
            raise _wider(name, f"yours is {theirs}")
    ends = giver.ends if giver.key_id is not None else None  # a session's end is not that of its person's rights
    if ends is not None and (rights.expires_at is None or rights.expires_at > ends):
        raise _wider("expires_at", "a key does not outlive the key that made it")


def _wider(param: str, hint: str) -> PermissionDenied:
    return PermissionDenied(f"{param} would be wider than your own", hint=hint, param=param)
