"""What the routes of accounts and keys accept and show."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from cluster.stores.accounts import LONGEST_NAME, Account, Bounds
from cluster.stores.api_keys import ApiKey
from deployments.gateway.auth.passwords import LONGEST
from deployments.gateway.principal import Role
from deployments.gateway.wire import Wire

MOST = 2**31 - 1  # of an integer in PostgreSQL

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Email = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, description="An address or a username")]
Password = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Token = Annotated[str, Field(min_length=1, max_length=2048)]
RoleName = Annotated[Role, Field(strict=False)]
Moment = Annotated[AwareDatetime, Field(strict=False, description="ISO 8601 with a time zone")]
Scopes = Annotated[list[Name], Field(max_length=64)]
Models = Annotated[list[Name], Field(max_length=1024)]
PerMinute = Annotated[int, Field(ge=1, le=MOST)]


class LoginRequest(Wire):
    """Body of `POST /api/v1/auth/login`."""

    email: Email
    password: Password


class RefreshRequest(Wire):
    """Body of `POST /api/v1/auth/refresh`."""

    refresh_token: Token


class PasswordRequest(Wire):
    """Body of `POST /api/v1/auth/password`."""

    current_password: Password
    new_password: Password


class AccountBounds(Wire):
    """What a person may use, in person and by all their keys; null is no bound of their own."""

    models: Models | None = None
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    concurrent_requests: PerMinute | None = None

    def bounds(self, before: Bounds) -> Bounds:
        """The bounds after it: what is left out stays."""
        said = {name: getattr(self, name) for name in Bounds.__slots__ if name in self.model_fields_set}
        if said.get("models") is not None:
            said["models"] = frozenset(said["models"])
        return replace(before, **said)


class NewAccount(AccountBounds):
    """Body of `POST /api/v1/users`."""

    email: Email
    password: Password
    role: RoleName = Role.USER


class AccountChange(AccountBounds):
    """Body of `PATCH /api/v1/users/{id}`: what is left out stays, null lifts a bound."""

    role: RoleName | None = None
    disabled: bool | None = None
    password: Password | None = None


class KeyChange(Wire):
    """Body of `PATCH /api/v1/keys/{id}`: what is left out stays, null lifts a bound."""

    name: Name | None = None
    role: RoleName | None = None
    scopes: Scopes | None = None
    models: Models | None = None
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    concurrent_requests: PerMinute | None = None
    expires_at: Moment | None = None


class NewKey(KeyChange):
    """Body of `POST /api/v1/keys`. owner: for admins, an account's id or name, or any other name."""

    name: Name
    owner: Name | None = None


def shown_account(account: Account) -> dict[str, Any]:
    """An account as JSON, without its password's hash."""
    return {
        "id": account.id,
        "email": account.name,
        "role": account.role,
        "disabled": account.disabled,
        "models": None if account.bounds.models is None else sorted(account.bounds.models),
        "requests_per_minute": account.bounds.requests_per_minute,
        "tokens_per_minute": account.bounds.tokens_per_minute,
        "concurrent_requests": account.bounds.concurrent_requests,
        "created_at": iso(account.created_at),
        "updated_at": iso(account.updated_at),
        "last_login_at": iso(account.last_login_at),
    }


def shown_key(key: ApiKey) -> dict[str, Any]:
    """A key as JSON, without its secret."""
    rights = key.rights
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "last4": key.last4,
        "owner": key.owner,
        "role": rights.role,
        "scopes": None if rights.scopes is None else sorted(rights.scopes),
        "models": None if rights.models is None else sorted(rights.models),
        "requests_per_minute": rights.requests_per_minute,
        "tokens_per_minute": rights.tokens_per_minute,
        "concurrent_requests": rights.concurrent_requests,
        "created_at": iso(key.created_at),
        "expires_at": iso(rights.expires_at),
        "last_used_at": iso(key.last_used_at),
        "revoked_at": iso(key.revoked_at),
    }


def iso(moment: datetime | None) -> str | None:
    """A moment as JSON, in UTC."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
