"""Passwords as argon2id hashes."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cluster.errors import BadRequest
from cluster.settings.gateway import AuthSettings

LONGEST = 1024  # characters; hashing takes as long as the password is


class Passwords:
    """Makes hashes and checks against them; both take tenths of a second, on purpose, and block."""

    def __init__(self, settings: AuthSettings) -> None:
        self._shortest = settings.min_password
        self._hasher = PasswordHasher(
            time_cost=settings.hash_rounds, memory_cost=settings.hash_memory_kib, parallelism=1
        )
        self._nobodys: str | None = None

    def hash(self, password: str, *, param: str = "password") -> str:
        """The hash of a new password. Raises BadRequest for one that is too short or too long."""
        if not self._shortest <= len(password) <= LONGEST:
            raise BadRequest(
                f"A password has {self._shortest} to {LONGEST} characters", hint=f"got {len(password)}", param=param
            )
        return self._hasher.hash(password.encode(errors="surrogatepass"))

    def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one of a hash; it takes as long where there is none (None)."""
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))
        try:
            self._hasher.verify(stored or self._nobodys, password[:LONGEST].encode(errors="surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None and len(password) <= LONGEST

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other settings than those in force."""
        return self._hasher.check_needs_rehash(stored)
