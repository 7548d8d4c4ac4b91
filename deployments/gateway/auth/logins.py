"""Signing in, staying signed in, and out."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from cluster.errors import InvalidApiKey, InvalidCredentials, Overloaded, TooManyAttempts
from cluster.settings.gateway import AuthSettings
from cluster.stores.accounts import Account, Accounts, Changes, normal
from cluster.stores.login_attempts import LoginAttempts
from cluster.stores.sessions import Opened, Sessions
from deployments.gateway.auth.authenticator import answered
from deployments.gateway.auth.passwords import Passwords
from deployments.gateway.auth.tokens import Tokens

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

HASHING = 2  # passwords that are hashed at once: each takes a core and auth.hash_memory_kib
WAITING = 32  # and that wait for it
SHARED = 10  # a loopback address is a proxy's, and so of many people: it may fail that many times as often


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What somebody gets who signs in, or goes on being signed in."""

    account: Account
    access_token: str
    opened: Opened


class Logins:
    """Checks passwords, at a pace that guessing does not survive, and keeps sessions."""

    def __init__(
        self,
        settings: AuthSettings,
        accounts: Accounts,
        sessions: Sessions,
        attempts: LoginAttempts,
        tokens: Tokens,
        passwords: Passwords,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._sessions = sessions
        self._attempts = attempts
        self._tokens = tokens
        self._passwords = passwords
        self._hashing = asyncio.Semaphore(HASHING)
        self._waiting = 0

    async def login(self, name: str, password: str, *, address: str | None) -> SignedIn:
        """Sign somebody in. Raises InvalidCredentials, BadRequest, TooManyAttempts, Overloaded.

        An unknown name, a disabled account and a wrong password take equally long and are told alike.
        """
        account, stored = await self._checked(normal(name), password, address=address)
        renewed = None
        if self._passwords.is_outdated(stored):
            renewed = await self._hashed(lambda: self._passwords.hash(password))
        life = timedelta(days=self._settings.refresh_days)
        opened = await answered(lambda: self._sessions.open(account.id, life=life))
        if opened is None:
            raise _wrong()
        await answered(lambda: self._accounts.note_login(account.id, renewed))
        return self._signed_in(account, opened)

    async def refresh(self, token: str) -> SignedIn:
        """Exchange a refresh token for the next one and an access token. Raises InvalidApiKey."""
        opened = await answered(lambda: self._sessions.rotate(token))
        if opened is None:
            raise InvalidApiKey("The refresh token is not valid", hint="sign in again: POST /api/v1/auth/login")
        account = await answered(lambda: self._accounts.get(opened.session.account_id))
        return self._signed_in(account, opened)

    async def logout(self, session_id: str) -> None:
        """End a session: its access tokens are worth nothing from then on, its refresh token neither."""
        await answered(lambda: self._sessions.revoke(session_id))

    async def change_password(
        self, account_id: str, session_id: str, *, current: str, new: str, address: str | None
    ) -> None:
        """Give an account a new password and end its other sessions. Raises InvalidCredentials, BadRequest."""
        account = await answered(lambda: self._accounts.get(account_id))
        await self._checked(account.name, current, address=address)
        hashed = await self.hashed(new, param="new_password")
        await answered(lambda: self._accounts.change(account_id, Changes(password_hash=hashed)))
        await answered(lambda: self._sessions.revoke_all(account_id, but=[session_id]))

    async def hashed(self, password: str, *, param: str = "password") -> str:
        """The hash of a new password, made beside the event loop. Raises BadRequest."""
        return await self._hashed(lambda: self._passwords.hash(password, param=param))

    async def _checked(self, name: str, password: str, *, address: str | None) -> tuple[Account, str]:
        attempt = secrets.token_hex(16)
        allowed = {f"account:{name}": self._settings.failures_by_account}
        if address is not None:
            network, shared = _network(address)
            allowed[f"address:{network}"] = self._settings.failures_by_address * (SHARED if shared else 1)
        verdict = await answered(lambda: self._attempts.begin(attempt, allowed))
        if verdict.wait_s:
            logger.warning("too many wrong passwords, last from %s", address)
            raise TooManyAttempts(
                "Too many wrong passwords", hint="wait, or ask an admin", retry_after_s=verdict.wait_s
            )
        found = await answered(lambda: self._accounts.with_hash(name))
        try:
            right = await self._hashed(lambda: self._passwords.matches(password, found[1] if found else None))
        except Overloaded:  # nobody has looked at the password
            await answered(lambda: self._attempts.forgive(attempt))
            raise
        if found is None or not right or found[0].disabled:
            raise _wrong()
        await answered(lambda: self._attempts.forgive(attempt))
        return found

    async def _hashed(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= WAITING:
            raise Overloaded("Too many people sign in at once", retry_after_s=1.0)
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _signed_in(self, account: Account, opened: Opened) -> SignedIn:
        token = self._tokens.issue(account_id=account.id, session_id=opened.session.id)
        return SignedIn(account=account, access_token=token, opened=opened)


def _network(address: str) -> tuple[str, bool]:
    """What attempts are counted by, and whether it is loopback: whoever has one IPv6 address has its whole /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address, False
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(ip_network((int(found) >> 64 << 64, 64))), found.is_loopback
        found = found.ipv4_mapped
    return str(found), found.is_loopback


def _wrong() -> InvalidCredentials:
    return InvalidCredentials("The account or the password is wrong", hint="or the account is disabled")
