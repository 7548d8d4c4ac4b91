"""One GraphQL operation: who asks, and whether they may."""

from dataclasses import dataclass

import strawberry
from starlette.requests import HTTPConnection

from cluster.errors import BadRequest
from deployments.gateway.auth.areas import refusal
from deployments.gateway.graphql.desks import Desks
from deployments.gateway.principal import Principal, principal_of

MOST = 200  # items of one page, as on the REST routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What the operation's fields go by. connection: the request, or the WebSocket, whose state says who asks."""

    desks: Desks
    connection: HTTPConnection
    request_id: str

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return principal_of(self.connection)

    @property
    def owner(self) -> str:
        """Whose data is seen and written."""
        return self.principal.owner

    def admit(self, method: str, path: str) -> None:
        """Raises what the REST route of that path would answer to somebody without the right to use it."""
        refused = refusal(self.principal, method, path)
        if refused is not None:
            raise refused


Info = strawberry.Info[Asking, None]


def asking(info: Info, method: str, path: str) -> Asking:
    """The operation of a resolver that does what a REST route does. Raises PermissionDenied."""
    found = info.context
    found.admit(method, path)
    return found


def checked_page(limit: int, offset: int) -> None:
    """Raises BadRequest for a page that the REST routes would refuse, too."""
    if not 1 <= limit <= MOST:
        raise BadRequest(f"limit must be from 1 to {MOST}, not {limit}", param="limit")
    if offset < 0:
        raise BadRequest(f"offset must be 0 or more, not {offset}", param="offset")
