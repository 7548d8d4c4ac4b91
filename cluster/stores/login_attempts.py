"""Wrong passwords of the last minutes in the SQL database, so that all gateways count together."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Column, Engine, Index, Integer, String, Table, delete, func, insert, select

from cluster.stores.database import UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("attempt", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("login_attempts_subject", "subject", "at"),
    Index("login_attempts_attempt", "attempt"),
    Index("login_attempts_at", "at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one more attempt is allowed. wait_s: seconds until it is; 0 where it is now."""

    wait_s: float


class LoginAttempts(SqlStore):
    """Attempts of one database."""

    def __init__(self, engine: Engine, *, window: timedelta) -> None:
        super().__init__(engine)
        self._window = window

    def begin(self, attempt: str, allowed: Mapping[str, int]) -> Verdict:
        """Count an attempt before its password is looked at, so that attempts at once cannot outrun the count.

        allowed: attempts in a window by subject, such as an account or an address. One that is refused does
        not count, or an attacker could keep a person out for ever.
        """
        moment = now()
        since = moment - self._window
        subjects = {_digest(subject): limit for subject, limit in allowed.items()}
        with self._engine.begin() as connection:
            connection.execute(delete(login_attempts).where(login_attempts.c.at < since))
            rows = [{"attempt": attempt, "subject": subject, "at": moment} for subject in subjects]
            connection.execute(insert(login_attempts), rows)
        wait_s = 0.0
        with self._engine.connect() as connection:
            for subject, limit in subjects.items():
                recent = select(login_attempts.c.at).where(
                    login_attempts.c.subject == subject, login_attempts.c.at >= since
                )
                times = connection.execute(recent.order_by(login_attempts.c.at.desc())).scalars().all()
                if len(times) > limit:
                    wait_s = max(wait_s, (times[limit] + self._window - moment).total_seconds(), 1.0)
        if wait_s:
            self.forgive(attempt)
        return Verdict(wait_s=wait_s)

    def forgive(self, attempt: str) -> None:
        """The password was right: the attempt never happened."""
        self._change(delete(login_attempts).where(login_attempts.c.attempt == attempt))

    def count(self) -> int:
        """How many are remembered."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(login_attempts)).scalar_one())


def _digest(subject: str) -> str:
    """People type passwords into the name's field: no subject is stored as it is."""
    return hashlib.sha256(subject.encode(errors="replace")).hexdigest()
