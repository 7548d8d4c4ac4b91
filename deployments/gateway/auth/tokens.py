"""Access tokens of people: JSON Web Tokens, HS256 and nothing else, for a quarter of an hour.

A token names an account and a session and says nothing of rights: those are looked up, so a role that is
taken away is gone at once.
"""

import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from cluster.errors import InvalidApiKey, SettingsError
from cluster.settings.tree import Settings

ALGORITHM = "HS256"
HEADER = {"alg": ALGORITHM, "typ": "JWT"}  # any other header, a kid or a crit too, is not one of ours
ISSUER = "heliostat"
AUDIENCE = "heliostat-api"
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp")
LONGEST = 2048  # characters of a token; ours have some 400
SKEW_S = 5  # between the clocks of two gateways
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. expires_at: seconds since the epoch."""

    account_id: str
    session_id: str
    expires_at: float


class Tokens:
    """Makes access tokens and reads them."""

    def __init__(self, secret: bytes, *, life: timedelta) -> None:
        self._secret = secret
        self.life = life

    def issue(self, *, account_id: str, session_id: str) -> str:
        """A token for an account's session."""
        moment = datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account_id,
            "sid": session_id,
            "jti": secrets.token_hex(16),
            "iat": moment,
            "nbf": moment,
            "exp": moment + self.life,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers=dict(HEADER))

    def read(self, token: str) -> Claims:
        """What a token of ours says. Raises InvalidApiKey for any other, and for an old one."""
        if len(token) > LONGEST:
            raise unknown_credentials()
        try:
            if jwt.get_unverified_header(token) != HEADER:
                raise unknown_credentials()
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=SKEW_S,
                options={"require": list(CLAIMS), "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidApiKey("The access token has expired", hint="POST /api/v1/auth/refresh") from None
        except (jwt.PyJWTError, ValueError):
            raise unknown_credentials() from None
        if not isinstance(claims["sid"], str):
            raise unknown_credentials()
        return Claims(account_id=claims["sub"], session_id=claims["sid"], expires_at=float(claims["exp"]))


def unknown_credentials() -> InvalidApiKey:
    """The error for credentials that nobody has, or that cannot be read; it does not say which."""
    return InvalidApiKey("The API key or token is not valid", hint="Authorization: Bearer sk-heliostat-…")


def signing_secret(settings: Settings) -> bytes:
    """The secret that signs tokens: the setting's, or the one that the home keeps, made at its first use.

    Raises SettingsError for a file that others may read, or that is no secret.
    """
    if settings.auth.jwt_secret is not None:
        return _private(settings.auth.jwt_secret.encode())
    path = settings.home_path / "secrets" / "jwt"
    try:
        if not path.exists():
            _make(path)
        mode, secret = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be used: {error}", hint="or set auth.jwt_secret") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path}: others may read it", hint="remove it: a new one signs everybody out")
    if len(secret) < SECRET_BYTES:
        raise SettingsError(f"{path}: too short to be a secret", hint="remove it, and a new one is made")
    return secret.encode()


def _private(secret: bytes) -> bytes:
    try:
        jwt.encode({}, secret, algorithm=ALGORITHM)
    except jwt.InvalidKeyError:
        raise SettingsError("auth.jwt_secret: a public key or certificate is no secret") from None
    return secret


def _make(path: Path) -> None:
    """Write a new secret. Of several gateways that start at once one writes it, and all read the same."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".jwt-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it fails where another was faster
    except FileExistsError:
        pass
    finally:
        draft.unlink()
