"""From a key or a token to who asks."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from cluster.errors import InvalidApiKey, Unavailable
from cluster.stores.accounts import Bounds
from cluster.stores.api_keys import SECRET_LENGTH, SECRET_PREFIX, ApiKeys, FoundKey, Rights, digest_of
from cluster.stores.sessions import Sessions
from deployments.gateway.auth.areas import narrower
from deployments.gateway.auth.recently import Recently
from deployments.gateway.auth.tokens import LONGEST, Tokens, unknown_credentials
from deployments.gateway.principal import Limits, Principal, Role

logger = logging.getLogger(__name__)

NOTE_EVERY_S = 60.0  # between two notes of a key's use

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, and by what. key_id: of an API key; session_id: of somebody signed in; one of them is None.

    expires_at: of the credential, in seconds since the epoch; None is never.
    """

    principal: Principal
    key_id: str | None = None
    session_id: str | None = None
    expires_at: float | None = None

    @property
    def ends(self) -> datetime | None:
        """When the credential expires; None is never."""
        return None if self.expires_at is None else datetime.fromtimestamp(self.expires_at, UTC)


class Authenticator:
    """Knows who asks. No request waits for the database while a credential is in steady use."""

    def __init__(
        self,
        keys: ApiKeys,
        sessions: Sessions,
        tokens: Tokens,
        *,
        believed_s: float,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._tokens = tokens
        self._recent: Recently[Identity] = Recently(believed_s=believed_s, clock=clock)
        self._clock = clock
        self._wall = wall
        self._noted: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def identify(self, credential: str) -> Identity:
        """Who has a credential. Raises InvalidApiKey; Unavailable where the database does not answer."""
        if len(credential) > LONGEST:
            raise unknown_credentials()
        # By its hash: the memory of a server holds no secrets that it has no need of.
        name = hashlib.sha256(credential.encode(errors="replace")).digest()
        identity = await self._recent.find(name, lambda: self._look_up(credential))
        if identity.expires_at is not None and identity.expires_at <= self._wall():
            raise InvalidApiKey("The API key or token has expired", hint="make a new key, or sign in again")
        if identity.key_id is not None:
            self._note_use(identity.key_id)
        return identity

    async def confirm(self, credential: str, identity: Identity) -> None:
        """Look whether somebody who was identified before may go on with what they began then.

        Somebody signed in may until the session ends, whatever becomes of the access token meanwhile. Raises
        InvalidApiKey; Unavailable where the database does not answer.
        """
        session_id = identity.session_id
        if session_id is None:
            await self.identify(credential)
        else:
            await self._recent.find(session_id, lambda: self._still_open(session_id, identity))

    def forget(self) -> None:
        """Look everybody up again: somebody's rights have changed."""
        self._recent.forget()

    async def _look_up(self, credential: str) -> Identity:
        if credential.startswith(SECRET_PREFIX):
            if len(credential) != SECRET_LENGTH:
                raise unknown_credentials()
            return _of_key(await answered(lambda: self._keys.find(digest_of(credential))))
        claims = self._tokens.read(credential)
        session = await answered(lambda: self._sessions.find(claims.session_id))
        if session is None or session.account_id != claims.account_id:
            raise _session_over()
        person = Principal(
            id=session.account_id,
            owner=session.account_id,
            role=Role(session.role),
            models=session.bounds.models,
            owner_limits=_limits(session.bounds),
        )
        ends = min(claims.expires_at, session.expires_at.timestamp())
        return Identity(principal=person, session_id=session.id, expires_at=ends)

    async def _still_open(self, session_id: str, identity: Identity) -> Identity:
        if await answered(lambda: self._sessions.find(session_id)) is None:
            raise _session_over()
        return identity

    def _note_use(self, key_id: str) -> None:
        moment = self._clock()
        last = self._noted.get(key_id)
        if last is not None and moment - last < NOTE_EVERY_S:
            return
        self._noted[key_id] = moment
        note = asyncio.ensure_future(self._write_use(key_id))
        self._notes.add(note)  # the event loop holds tasks weakly
        note.add_done_callback(self._notes.discard)

    async def _write_use(self, key_id: str) -> None:
        try:
            await answered(lambda: self._keys.note_use(key_id))
        except Unavailable:
            logger.warning("the use of key %s could not be noted", key_id)


async def answered(work: Callable[[], Result]) -> Result:
    """What a blocking call of the stores returns, in a thread. Raises Unavailable where the database fails."""
    try:
        return await asyncio.to_thread(work)
    except SQLAlchemyError as error:
        logger.error("the database of accounts failed", exc_info=error)
        raise Unavailable(
            "Accounts cannot be read just now", hint="the server's log says why", retry_after_s=1.0
        ) from None


def _session_over() -> InvalidApiKey:
    return InvalidApiKey("The session is over", hint="sign in again: POST /api/v1/auth/login")


def _of_key(found: FoundKey | None) -> Identity:
    if found is None:
        raise unknown_credentials()
    key, rights = found.key, found.key.rights
    if key.revoked_at is not None:
        raise InvalidApiKey("The API key was revoked", hint="POST /api/v1/keys makes another")
    role = Role(rights.role)
    if found.owner_is_person:
        if found.owner_role is None:
            raise InvalidApiKey("The account of this API key is disabled", hint="ask an admin")
        role = narrower(role, Role(found.owner_role))
    principal = Principal(
        id=key.id,
        owner=key.owner,
        role=role,
        models=_both(rights.models, found.owner_bounds.models),
        scopes=rights.scopes,
        limits=_limits(rights),
        owner_limits=_limits(found.owner_bounds),
    )
    expires_at = None if rights.expires_at is None else rights.expires_at.timestamp()
    return Identity(principal=principal, key_id=key.id, expires_at=expires_at)


def _limits(bounds: Bounds | Rights) -> Limits:
    return Limits(
        requests_per_minute=bounds.requests_per_minute,
        tokens_per_minute=bounds.tokens_per_minute,
        concurrent_requests=bounds.concurrent_requests,
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """What is in both; None is all."""
    return other if one is None else one if other is None else one & other
