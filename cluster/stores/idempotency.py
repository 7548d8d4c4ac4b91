"""What was answered to requests with an Idempotency-Key, so that each runs once however often it is sent.

A request claims its key with an INSERT: of twins, at whichever gateways, one wins. While it runs its gateway
renews the claim; a claim that is not renewed is of a gateway that died, and free. Every change names the claim
that it changes, so that a gateway that was thought dead takes nothing from its successor.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import Integer, LargeBinary, String, Text

from cluster.stores.database import UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

answers = Table(
    "idempotent_answers",
    metadata,
    Column("id", String(64), primary_key=True),  # a hash of owner, key, method and path
    Column("fingerprint", String(64), nullable=False),  # a hash of the body
    Column("claim", String(32), nullable=False),
    Column("status", Integer),  # null while it runs
    Column("headers", Text),  # JSON: a list of pairs
    Column("body", LargeBinary),
    Column("expires_at", UtcTime, nullable=False),  # of the claim while it runs, then of the answer
    Index("idempotent_answers_expiry", "expires_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is known of a key. status: of the answer, None while it is being made; headers: JSON."""

    fingerprint: str
    status: int | None = None
    headers: str = "[]"
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The key is this request's to answer, by this claim."""

    claim: str


class IdempotentAnswers(SqlStore):
    """The answers of one database."""

    @staticmethod
    def id_of(*, owner: str, key: str, method: str, path: str) -> str:
        """The id of an owner's key on a path."""
        parts = "".join(f"{len(part)}:{part}" for part in (owner, key, method, path))
        return hashlib.sha256(parts.encode()).hexdigest()

    def claim(self, answer_id: str, fingerprint: str, *, for_s: float) -> Claimed | Stored:
        """Claim a key that nobody has, or whose claim or answer has expired; else what is known of it."""
        moment = now()
        claimed = Claimed(claim=uuid.uuid4().hex)
        values = {
            "fingerprint": fingerprint,
            "claim": claimed.claim,
            "expires_at": moment + timedelta(seconds=for_s),
        }
        try:
            self._change(insert(answers).values(id=answer_id, **values))
            return claimed
        except IntegrityError:
            pass
        free = (
            update(answers)
            .where(answers.c.id == answer_id, answers.c.expires_at <= moment)
            .values(**values, status=None, headers=None, body=None)
        )
        if self._change(free):
            return claimed
        # Where it was let go or has run out this moment, the caller asks again.
        return self.find(answer_id) or Stored(fingerprint=fingerprint)

    def find(self, answer_id: str) -> Stored | None:
        """What is known of a key; None where it is free to be claimed."""
        known = select(answers).where(answers.c.id == answer_id, answers.c.expires_at > now())
        row = self._row(known)
        if row is None:
            return None
        body = bytes(row.body or b"")
        return Stored(fingerprint=row.fingerprint, status=row.status, headers=row.headers or "[]", body=body)

    def renew(self, answer_id: str, claim: str, *, for_s: float) -> bool:
        """Keep a claim; False where it is somebody else's by now."""
        return self._hold(answer_id, claim, expires_at=now() + timedelta(seconds=for_s))

    def store(self, answer_id: str, claim: str, *, status: int, headers: str, body: bytes, until: datetime) -> bool:
        """Keep the answer; False where the claim is somebody else's by now."""
        return self._hold(answer_id, claim, status=status, headers=headers, body=body, expires_at=until)

    def release(self, answer_id: str, claim: str) -> None:
        """Let go of a claim without an answer: the next request runs."""
        self._change(delete(answers).where(answers.c.id == answer_id, answers.c.claim == claim))

    def purge(self) -> int:
        """Forget what has expired, and say how many that was."""
        return self._change(delete(answers).where(answers.c.expires_at <= now()))

    def _hold(self, answer_id: str, claim: str, **values: object) -> bool:
        mine = update(answers).where(answers.c.id == answer_id, answers.c.claim == claim)
        return self._change(mine.values(**values)) > 0
