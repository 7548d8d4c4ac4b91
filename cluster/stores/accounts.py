"""People in the SQL database: who they are, what they may do, and the hash of their password."""

import json
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import Column, Table
from sqlalchemy.types import Boolean, Integer, String, Text

from cluster.errors import AccountNotFound, BadRequest, Conflict
from cluster.stores.database import UtcTime, metadata, now, take_turns
from cluster.stores.sql_store import SqlStore

ADMIN = "admin"
ID_PREFIX = "user_"
LONGEST_NAME = 254  # of an address, by RFC 5321

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(254), nullable=False, unique=True),  # an e-mail address or a username, normalised
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("last_login_at", UtcTime),
    Column("models", Text),  # JSON list; null is all
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrent_requests", Integer),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What somebody may use in person and by all their keys: None is all models, and no limit of their own."""

    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


UNBOUNDED = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person. name: an e-mail address or a username. role: viewer, user or admin."""

    id: str
    name: str
    role: str
    disabled: bool
    bounds: Bounds
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to change of an account; None leaves it. bounds: all of them at once."""

    role: str | None = None
    disabled: bool | None = None
    password_hash: str | None = None
    bounds: Bounds | None = None


class Accounts(SqlStore):
    """The accounts of one database."""

    def create(self, *, name: str, password_hash: str, role: str, bounds: Bounds = UNBOUNDED) -> Account:
        """Store a new one. Raises BadRequest for a name that is none, Conflict for one that is taken."""
        moment = now()
        account = Account(
            id=f"{ID_PREFIX}{secrets.token_hex(12)}",
            name=normal(name),
            role=role,
            disabled=False,
            bounds=bounds,
            created_at=moment,
            updated_at=moment,
            last_login_at=None,
        )
        values = {field: getattr(account, field) for field in Account.__slots__ if field != "bounds"}
        values |= _written(bounds)
        try:
            self._change(insert(accounts).values(password_hash=password_hash, **values))
        except IntegrityError:
            raise Conflict(f"There is an account named {account.name!r} already", param="email") from None
        return account

    def get(self, account_id: str) -> Account:
        """Raises AccountNotFound."""
        return self._one(accounts.c.id == account_id, account_id)

    def named(self, name: str) -> Account:
        """The account of a name, in any case. Raises AccountNotFound."""
        return self._one(accounts.c.name == _folded(name), name)

    def with_hash(self, name: str) -> tuple[Account, str] | None:
        """The account of a name and its password's hash; None where nobody has the name."""
        row = self._row(select(accounts).where(accounts.c.name == _folded(name)))
        return None if row is None else (_read(row), row.password_hash)

    def page(self, *, limit: int, offset: int) -> tuple[int, Sequence[Account]]:
        """How many there are, and some of them by name."""
        total, rows = self._page(select(accounts).order_by(accounts.c.name), limit=limit, offset=offset)
        return total, [_read(row) for row in rows]

    def change(self, account_id: str, changes: Changes) -> Account:
        """Change one. Raises AccountNotFound, and Conflict where no admin would be left."""
        values: dict[str, Any] = {
            field: value
            for field in Changes.__slots__
            if field != "bounds" and (value := getattr(changes, field)) is not None
        }
        values |= {} if changes.bounds is None else _written(changes.bounds)
        with self._engine.begin() as connection:
            take_turns(connection, accounts.name)  # or two admins at once could each take the other's role
            admins = _admins(connection)
            where = accounts.c.id == account_id
            changed = connection.execute(update(accounts).where(where).values(updated_at=now(), **values)).rowcount
            if not changed:
                raise _unknown(account_id)
            _keep_an_admin(connection, admins)
            return _read(connection.execute(select(accounts).where(where)).one())

    def remove(self, account_id: str) -> None:
        """Forget one; its keys and sessions are the caller's to end. Raises AccountNotFound, Conflict."""
        with self._engine.begin() as connection:
            take_turns(connection, accounts.name)  # or two admins at once could each take the other's role
            admins = _admins(connection)
            if not connection.execute(delete(accounts).where(accounts.c.id == account_id)).rowcount:
                raise _unknown(account_id)
            _keep_an_admin(connection, admins)

    def note_login(self, account_id: str, password_hash: str | None = None) -> None:
        """Remember that somebody signed in, and their password's hash where it was made anew."""
        values: dict[str, Any] = {"last_login_at": now()}
        if password_hash is not None:
            values["password_hash"] = password_hash
        self._change(update(accounts).where(accounts.c.id == account_id).values(**values))

    def _one(self, where: Any, shown: str) -> Account:
        row = self._row(select(accounts).where(where))
        if row is None:
            raise _unknown(shown)
        return _read(row)


def normal(name: str) -> str:
    """A name as it is stored and compared. Raises BadRequest for one that no account can have."""
    folded = _folded(name)
    if not 1 <= len(folded) <= LONGEST_NAME or not all(letter.isprintable() and letter != " " for letter in folded):
        raise BadRequest(
            "That is no e-mail address or username",
            hint=f"1 to {LONGEST_NAME} visible characters, no spaces",
            param="email",
        )
    return folded


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _admins(connection: Connection) -> int:
    active = select(func.count()).where(accounts.c.role == ADMIN, accounts.c.disabled.is_(False))
    return int(connection.execute(active).scalar_one())


def _keep_an_admin(connection: Connection, before: int) -> None:
    """Undo the transaction where it leaves nobody who could undo it later."""
    if before and not _admins(connection):
        raise Conflict("That is the last admin", hint="make another admin first")


def _read(row: Row[Any]) -> Account:
    fields = {**row._mapping, "bounds": bounds_of(row)}
    return Account(**{name: fields[name] for name in Account.__slots__})


def bounds_of(row: Row[Any], prefix: str = "") -> Bounds:
    """The bounds in a row of accounts, their columns named with a prefix where it is joined to another table."""
    fields = {name: row._mapping[f"{prefix}{name}"] for name in Bounds.__slots__}
    models = fields["models"]
    return Bounds(**{**fields, "models": None if models is None else frozenset(json.loads(models))})


def bound_columns(prefix: str) -> list[Any]:
    """The columns of the bounds, for a query that joins accounts; `bounds_of` reads them."""
    return [accounts.c[name].label(f"{prefix}{name}") for name in Bounds.__slots__]


def _written(bounds: Bounds) -> dict[str, Any]:
    values = {name: getattr(bounds, name) for name in Bounds.__slots__}
    return values | {"models": None if bounds.models is None else json.dumps(sorted(bounds.models))}


def _unknown(shown: str) -> AccountNotFound:
    return AccountNotFound(f"No account {shown[:LONGEST_NAME]!r}", hint="GET /api/v1/users lists all")
