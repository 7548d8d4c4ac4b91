"""Lines of batches: requests that come from a job through the gateway's handle, and not over HTTP.

They pass the same routes as everybody's, so that checks, answers and errors are the same; and no middleware,
for a batch was authenticated and admitted as a whole when it was created.
"""

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic_core import from_json
from starlette.datastructures import Headers

from cluster.errors import BadRequest, UnsupportedParameter
from cluster.types import LineAnswer, LineCall, Priority
from deployments.gateway import errors
from deployments.gateway.chats import Chats, CheckedChat, CheckedCompletion
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
NOT_IN_LINES = {"stream": "its answer is one object", "background": "a batch is in the background as it is"}
RETRIED = frozenset({408, 409, 429})


class BackgroundChats(Chats):
    """Chats whose every call waits for those of people."""

    async def check(
        self,
        body: bytes,
        *,
        request_id: str,
        principal: Principal,
        priority: Priority = Priority.BACKGROUND,  # noqa: ARG002 - whatever the route thinks of it
    ) -> CheckedChat:
        """Read the JSON of a `chat.completion` request. Raises as `Chats.check` does."""
        return await super().check(body, request_id=request_id, principal=principal, priority=Priority.BACKGROUND)

    async def check_completion(
        self,
        body: bytes,
        *,
        request_id: str,
        principal: Principal,
        priority: Priority = Priority.BACKGROUND,  # noqa: ARG002 - as above
    ) -> CheckedCompletion:
        """The same of raw completions."""
        return await super().check_completion(
            body, request_id=request_id, principal=principal, priority=Priority.BACKGROUND
        )


class Lines:
    """Answers lines. routers: those of the endpoints, made over BackgroundChats."""

    def __init__(self, routers: Sequence[APIRouter]) -> None:
        self._app = FastAPI(openapi_url=None, redirect_slashes=False)
        errors.install(self._app)
        take(self._app, *routers)

    async def answer(self, call: LineCall) -> LineAnswer:
        """What an HTTP client would get. Cancelling it stops the generation."""
        try:
            _check(call)
        except BadRequest as error:
            return LineAnswer(status=error.status, body=errors.body(error, openai=True))
        exchange = _Exchange(call)
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception:
            if exchange.status == 0:  # otherwise the app has answered, and logged it
                raise
        return exchange.answer()


class _Exchange:
    """One request and its response, as ASGI wants them."""

    def __init__(self, call: LineCall) -> None:
        self._call = call
        self._sent = False
        self._headers = Headers()
        self._parts: list[bytes] = []
        self.status = 0

    @property
    def scope(self) -> MutableMapping[str, Any]:
        """A POST of the line's owner."""
        call = self._call
        principal = Principal(id=f"batch:{call.owner}", owner=call.owner, role=Role.USER, models=call.models)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(call.body))]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": call.endpoint,
            "raw_path": call.endpoint.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": None,
            "server": ("batch", 0),
            "state": {"principal": principal, "request_id": call.request_id},
        }

    async def receive(self) -> MutableMapping[str, Any]:
        """The body, then nothing: the job hangs up by cancelling the call."""
        if self._sent:
            await asyncio.Event().wait()
        self._sent = True
        return {"type": "http.request", "body": self._call.body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Gather the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = Headers(raw=list(message["headers"]))
        else:
            self._parts.append(message.get("body", b""))

    def answer(self) -> LineAnswer:
        """The response, once it is whole."""
        passing = self.status in RETRIED or self.status >= 500
        after = self._headers.get("retry-after")
        return LineAnswer(
            status=self.status,
            body=b"".join(self._parts),
            retryable=passing and self._headers.get("x-should-retry") != "false",
            retry_after_s=float(after) if after is not None and after.isdigit() else None,
        )


def _check(call: LineCall) -> None:
    if call.endpoint not in ENDPOINTS:
        raise BadRequest(f"{call.endpoint} takes no batches", hint=f"one of {', '.join(ENDPOINTS)}", param="url")
    # A look for the words alone is enough to leave most bodies unread here.
    if not any(b'"%s"' % name.encode() in call.body for name in NOT_IN_LINES):
        return
    body = from_json(call.body)
    for name, hint in NOT_IN_LINES.items():
        if body.get(name):
            raise UnsupportedParameter(f"A line of a batch has no {name}", hint=hint, param=name)
