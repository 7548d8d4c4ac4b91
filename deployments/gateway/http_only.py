"""What middlewares of HTTP requests share: other connections pass, and a header is known late."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HttpOnly:
    """ASGI middleware that sees HTTP requests alone. Inherit, and write `answer`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        handle = self.answer if scope["type"] == "http" else self._app
        await handle(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self._app(scope, receive, send)


def with_header(send: Send, name: str, value: Callable[[], str | None]) -> Send:
    """The same, adding a header as the response starts. value: None where it has none by then."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start" and (text := value()) is not None:
            MutableHeaders(scope=message)[name] = text
        await send(message)

    return send_with_header
