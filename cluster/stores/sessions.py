"""Who is signed in, in the SQL database: sessions, and the refresh tokens of each, by their SHA-256.

A refresh token is good once. One that comes a second time was stolen, by whoever came first or second: its
session ends for both.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Index, String, Table, delete, insert, select, update

from cluster.stores.accounts import Bounds, accounts, bound_columns, bounds_of
from cluster.stores.database import UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

sessions = Table(
    "login_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Index("login_sessions_account", "account_id"),
    Index("login_sessions_expiry", "expires_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("session_id", String(64), nullable=False),
    Column("used_at", UtcTime),
    Index("refresh_tokens_session", "session_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in, until expires_at, on an account that is not disabled."""

    id: str
    account_id: str
    name: str
    role: str
    expires_at: datetime
    bounds: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session with the only refresh token that prolongs it now; the token is not stored."""

    session: Session
    refresh_token: str


class Sessions(SqlStore):
    """The sessions of one database."""

    def open(self, account_id: str, *, life: timedelta) -> Opened | None:
        """Sign somebody in; None where the account is disabled or gone. Forgets sessions that are over."""
        moment, session_id, token = now(), secrets.token_hex(16), secrets.token_urlsafe(32)
        with self._engine.begin() as connection:
            over = select(sessions.c.id).where(sessions.c.expires_at < moment)
            connection.execute(delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(over)))
            connection.execute(delete(sessions).where(sessions.c.expires_at < moment))
            row = {
                "id": session_id,
                "account_id": account_id,
                "created_at": moment,
                "expires_at": moment + life,
            }
            connection.execute(insert(sessions).values(row))
            connection.execute(insert(refresh_tokens).values(digest=_digest(token), session_id=session_id))
        found = self.find(session_id)
        return None if found is None else Opened(session=found, refresh_token=token)

    def find(self, session_id: str) -> Session | None:
        """A session that is still good; None for any other."""
        query = (
            select(sessions, accounts.c.name, accounts.c.role, *bound_columns("own_"))
            .join(accounts, accounts.c.id == sessions.c.account_id)
            .where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now())
            .where(accounts.c.disabled.is_(False))
        )
        row = self._row(query)
        if row is None:
            return None
        fields = {**row._mapping, "bounds": bounds_of(row, "own_")}
        return Session(**{name: fields[name] for name in Session.__slots__})

    def rotate(self, token: str) -> Opened | None:
        """The session of a refresh token, and the next token. None where it is not good; a used one ends it."""
        digest, successor, moment = _digest(token), secrets.token_urlsafe(32), now()
        with self._engine.begin() as connection:
            unused = (refresh_tokens.c.digest == digest) & refresh_tokens.c.used_at.is_(None)
            first = connection.execute(update(refresh_tokens).where(unused).values(used_at=moment)).rowcount
            session_id = connection.execute(
                select(refresh_tokens.c.session_id).where(refresh_tokens.c.digest == digest)
            ).scalar_one_or_none()
            if session_id is None:
                return None
            if first:
                row = {"digest": _digest(successor), "session_id": session_id}
                connection.execute(insert(refresh_tokens).values(row))
            else:
                _revoke(connection, sessions.c.id == session_id)
        found = self.find(session_id) if first else None
        return None if found is None else Opened(session=found, refresh_token=successor)

    def revoke(self, session_id: str) -> None:
        """Sign one session out."""
        with self._engine.begin() as connection:
            _revoke(connection, sessions.c.id == session_id)

    def revoke_all(self, account_id: str, *, but: Collection[str] = ()) -> None:
        """Sign an account out everywhere, but for some sessions."""
        with self._engine.begin() as connection:
            _revoke(connection, (sessions.c.account_id == account_id) & sessions.c.id.not_in(but))


def _revoke(connection: Connection, where: Any) -> None:
    change = update(sessions).where(where & sessions.c.revoked_at.is_(None)).values(revoked_at=now())
    connection.execute(change)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
