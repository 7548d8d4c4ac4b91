"""API keys in the SQL database: what each may do. The secrets are not here, only their SHA-256.

A secret has 256 random bits, so nobody can guess one from its hash, and a slow hash would only be slow.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    insert,
    or_,
    select,
    update,
)

from cluster.errors import KeyNotFound
from cluster.stores.accounts import ID_PREFIX, Bounds, accounts, bound_columns, bounds_of
from cluster.stores.database import OWNER, UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

SECRET_PREFIX = "sk-heliostat-"  # noqa: S105 - what all secrets begin with, so that scanners find leaked ones
SECRET_LENGTH = len(SECRET_PREFIX) + 43
SHOWN_START = len(SECRET_PREFIX) + 4  # characters of a secret that its owner may see again
USE_NOTED_EVERY = timedelta(seconds=55)  # a little under the minute that callers wait between two notes

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(32), nullable=False),
    Column("last4", String(4), nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", String(OWNER), nullable=False),
    Column("role", String(16), nullable=False),
    Column("scopes", Text),  # JSON list; null is all
    Column("models", Text),  # JSON list; null is all
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrent_requests", Integer),
    Column("person", Boolean, nullable=False),  # whether the owner is an account, and not a free name
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("last_used_at", UtcTime),
    Column("revoked_at", UtcTime),
    Index("api_keys_owner", "owner"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a key may do; None of scopes and models is all of them, None of a limit is no limit."""

    role: str
    scopes: frozenset[str] | None = None
    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key. owner: an account's id, or any other name whose data it reads and writes."""

    id: str
    prefix: str
    last4: str
    name: str
    owner: str
    rights: Rights
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key and its owner's account. owner_role: None where the owner is no account, or a disabled or gone one.

    owner_bounds: of all that the owner does, by this key, by others and in person.
    """

    key: ApiKey
    owner_role: str | None
    owner_is_person: bool
    owner_bounds: Bounds


def new_secret() -> str:
    """A secret that nobody has: shown once, never stored."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """How a secret is stored and found."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeys(SqlStore):
    """The keys of one database."""

    def create(self, secret: str, *, name: str, owner: str, rights: Rights) -> ApiKey:
        """Store the digest of a new secret."""
        values = {
            "id": f"key_{secrets.token_hex(12)}",
            "digest": digest_of(secret),
            "prefix": secret[:SHOWN_START],
            "last4": secret[-4:],
            "name": name,
            "owner": owner,
            "person": owner.startswith(ID_PREFIX),
            "created_at": now(),
            **_written(rights),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(api_keys).values(values))
            return _read(connection.execute(select(api_keys).where(api_keys.c.id == values["id"])).one())

    def get(self, key_id: str) -> ApiKey:
        """Raises KeyNotFound."""
        row = self._row(select(api_keys).where(api_keys.c.id == key_id))
        if row is None:
            raise unknown_key(key_id)
        return _read(row)

    def find(self, digest: str) -> FoundKey | None:
        """The key of a secret's digest, revoked and expired ones too; None where there is none."""
        active = (accounts.c.id == api_keys.c.owner) & accounts.c.disabled.is_(False)
        owners = accounts.c.role.label("owner_role"), *bound_columns("owner_")
        query = select(api_keys, *owners).select_from(api_keys.outerjoin(accounts, active))
        row = self._row(query.where(api_keys.c.digest == digest))
        if row is None:
            return None
        bounds = bounds_of(row, "owner_")
        return FoundKey(key=_read(row), owner_role=row.owner_role, owner_is_person=row.person, owner_bounds=bounds)

    def list(self, *, owner: str | None = None, limit: int = 1000, offset: int = 0) -> Sequence[ApiKey]:
        """Keys of an owner, or of all, the newest first."""
        query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id).limit(limit).offset(offset)
        if owner is not None:
            query = query.where(api_keys.c.owner == owner)
        return [_read(row) for row in self._rows(query)]

    def change(self, key_id: str, *, name: str, rights: Rights) -> ApiKey:
        """Give a key another name and other rights. Raises KeyNotFound."""
        self._update(api_keys.c.id == key_id, {"name": name, **_written(rights)})
        return self.get(key_id)

    def revoke(self, key_id: str) -> ApiKey:
        """End a key for good; a second time changes nothing. Raises KeyNotFound."""
        self._update((api_keys.c.id == key_id) & api_keys.c.revoked_at.is_(None), {"revoked_at": now()})
        return self.get(key_id)

    def revoke_owned(self, owner: str) -> None:
        """End all keys of an owner."""
        self._update((api_keys.c.owner == owner) & api_keys.c.revoked_at.is_(None), {"revoked_at": now()})

    def note_use(self, key_id: str) -> None:
        """Remember that a key was used, at most once a minute however many servers say so."""
        moment = now()
        stale = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < moment - USE_NOTED_EVERY)
        self._update((api_keys.c.id == key_id) & stale, {"last_used_at": moment})

    def _update(self, where: Any, values: dict[str, Any]) -> None:
        self._change(update(api_keys).where(where).values(values))


def _written(rights: Rights) -> dict[str, Any]:
    values = {field: getattr(rights, field) for field in Rights.__slots__}
    return values | {"scopes": _json(rights.scopes), "models": _json(rights.models)}


def _json(names: Collection[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))


def _set(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def _read(row: Row[Any]) -> ApiKey:
    fields = dict(row._mapping)
    rights = {name: fields[name] for name in Rights.__slots__}
    rights |= {"scopes": _set(fields["scopes"]), "models": _set(fields["models"])}
    return ApiKey(rights=Rights(**rights), **{name: fields[name] for name in ApiKey.__slots__ if name != "rights"})


def unknown_key(key_id: str) -> KeyNotFound:
    """The error for an id that no key has, or that is not for whoever asks to know."""
    return KeyNotFound(f"No key with the id {key_id[:128]!r}", hint="GET /api/v1/keys lists yours")
