"""All that the gateway knows of people and keys, bound together."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from cluster.errors import AuthOff
from cluster.settings.tree import Settings
from cluster.stores.accounts import Accounts
from cluster.stores.api_keys import ApiKeys
from cluster.stores.login_attempts import LoginAttempts
from cluster.stores.sessions import Sessions
from deployments.gateway.auth.authenticator import Authenticator
from deployments.gateway.auth.logins import Logins
from deployments.gateway.auth.passwords import Passwords
from deployments.gateway.auth.tokens import Tokens, signing_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The stores, and those who use them."""

    accounts: Accounts
    keys: ApiKeys
    sessions: Sessions
    tokens: Tokens
    logins: Logins
    authenticator: Authenticator


def open_directory(settings: Settings, engine: Engine) -> Directory | None:
    """The directory of a database; None where authentication is off. Raises SettingsError."""
    if settings.auth.mode == "off":
        return None
    auth = settings.auth
    secret = signing_secret(settings)
    accounts, keys, sessions = Accounts(engine), ApiKeys(engine), Sessions(engine)
    attempts = LoginAttempts(engine, window=timedelta(minutes=auth.failure_window_minutes))
    tokens = Tokens(secret, life=timedelta(minutes=auth.access_minutes))
    return Directory(
        accounts=accounts,
        keys=keys,
        sessions=sessions,
        tokens=tokens,
        logins=Logins(auth, accounts, sessions, attempts, tokens, Passwords(auth)),
        authenticator=Authenticator(keys, sessions, tokens, believed_s=auth.believed_s),
    )


def required(directory: Directory | None) -> Directory:
    """The directory. Raises AuthOff where there is none.

    Who reaches a server without authentication is an admin of it for as long as that lasts, and must not be
    able to leave an account behind.
    """
    if directory is None:
        raise AuthOff("Authentication is off here", hint="set auth.mode: on; `heliostat users` makes accounts")
    return directory
