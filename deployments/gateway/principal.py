"""Who asks: every request has a principal, put into its state before any route sees it."""

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import HTTPConnection


class Role(StrEnum):
    """What somebody may do; each may do all that those before it may."""

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a principal may use; None is no limit. By minute, and at once."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. owner: whose data is seen and written; two principals of one owner share it.

    models: ids that may be asked, None for all. scopes: areas of the API, None for all. limits: of this principal
    alone. owner_limits: of all the owner's principals together, of a person in person and by keys.
    """

    id: str
    owner: str
    role: Role
    models: frozenset[str] | None = None
    scopes: frozenset[str] | None = None
    limits: Limits = Limits()
    owner_limits: Limits = Limits()

    @property
    def is_person(self) -> bool:
        """Whether somebody signed in, rather than a program with a key of theirs."""
        return self.id == self.owner

    def may_ask(self, model_id: str) -> bool:
        """Whether a model exists for this principal: one that may not be asked is not found."""
        return self.models is None or model_id in self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, in which request: for what is done within a request that somebody else watches."""

    principal: Principal
    request_id: str


LOCAL = Principal(id="local", owner="local", role=Role.ADMIN)
"""Whoever can reach the port, where authentication is off."""

NOBODY = Principal(id="nobody", owner="nobody", role=Role.VIEWER, models=frozenset(), scopes=frozenset())
"""Who asks for what is open to all, where authentication is on: nothing is looked up for them."""


def principal_of(connection: HTTPConnection) -> Principal:
    """Who asks on a connection."""
    principal: Principal = getattr(connection.state, "principal", LOCAL)
    return principal
