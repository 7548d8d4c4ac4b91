"""A bound on a request's headers: servers in front have bounds of their own, and not every one has the same."""

from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.errors import HeadersTooLarge
from deployments.gateway.errors import respond


class HeaderLimit:
    """ASGI middleware that refuses requests whose headers are longer than max_bytes together."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or sum(map(_size, scope["headers"])) <= self._max_bytes:
            await self._app(scope, receive, send)
            return
        hint = "limits.max_header_bytes sets this"
        error = HeadersTooLarge(f"The headers are larger than {self._max_bytes} bytes", hint=hint)
        response = respond(error, scope["path"], scope.get("state", {}).get("request_id"))
        await response(scope, receive, send)


def _size(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1])
