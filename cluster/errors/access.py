"""Who asks, and what they may."""

from cluster.errors.base import HeliostatError
from cluster.errors.capacity import Overloaded
from cluster.errors.requests import Conflict, NotFound


class InvalidApiKey(HeliostatError):
    """No credentials, or such as nobody has: a key or token that is unknown, expired or revoked."""

    code, status = "invalid_api_key", 401


class InvalidCredentials(InvalidApiKey):
    """An account and password that do not belong together."""

    code = "invalid_credentials"


class PermissionDenied(HeliostatError):
    """It is known who asks, and they may not do this."""

    code, status = "permission_denied", 403


class OriginNotAllowed(PermissionDenied):
    """A browser asks for a page of another site, or by a name that is not this server's."""

    code = "origin_not_allowed"


class AccountNotFound(NotFound):
    """No account of that id or name."""

    code = "account_not_found"


class KeyNotFound(NotFound):
    """No API key of that id."""

    code = "key_not_found"


class TooManyAttempts(Overloaded):
    """Too many wrong passwords; the account or the address waits."""

    code = "too_many_attempts"


class AuthOff(Conflict):
    """Accounts and keys mean nothing while authentication is off."""

    code = "auth_off"
