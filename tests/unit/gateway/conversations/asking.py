"""Gateways that share a database, and a client that reads their streams event by event and can hang up."""

import asyncio
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from deployments.clients import Backends, ChatModel
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import routes
from deployments.gateway.middleware import RequestIds
from deployments.gateway.principal import LOCAL
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalModel, settings_with, started
from tests.unit.waiting import PATIENCE_S, until

QUICK = {"flush_ms": 5, "resume_grace_s": 5}
API = "/api/v1"
SPOKEN = " ".join(f"w{n}" for n in range(30))
REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""Set within each request, as Ray sets what it knows a request by."""


class Owners:
    """Middleware: who asks is in the header x-owner."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = dict(scope["headers"]).get(b"x-owner", b"local").decode()
        scope.setdefault("state", {})["principal"] = replace(LOCAL, owner=owner)
        REQUEST.set(owner)
        await self._app(scope, receive, send)


def quick_settings(shared: Path | None = None, limits: dict[str, Any] | None = None, **changes: Any) -> Settings:
    """shared: the folder of a database for several gateways; without it each has its own, in memory."""
    stores = {"database": "sqlite://" if shared is None else f"sqlite:///{shared / 'talks.db'}"}
    return settings_with(conversations={**QUICK, **changes}, stores=stores, limits=limits or {})


class Gateway:
    """One gateway process' app, and a client of it. Two over one database are two replicas."""

    def __init__(self, model: ChatModel, settings: Settings, **others: ChatModel) -> None:
        backends = Backends(models={"echo": model, **others})
        self.app = FastAPI()
        errors.install(self.app)
        router = routes.router(backends, settings, Chats(backends, settings), engine_of(settings.database_url))
        take(self.app, router)
        self.app.add_middleware(Owners)
        self.app.add_middleware(RequestIds)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def conversation(self, **fields: Any) -> str:
        made = await self.client.post(f"{API}/conversations", json=fields)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def say(self, conversation: str, content: Any, **fields: Any) -> httpx.Response:
        """A whole answer."""
        body = {"content": content, "stream": False, **fields}
        return await self.client.post(f"{API}/conversations/{conversation}/messages", json=body)

    async def said(self, conversation: str) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{API}/conversations/{conversation}/messages")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["messages"])

    async def session(self, session: str) -> dict[str, Any]:
        return dict((await self.client.get(f"{API}/stream-sessions/{session}")).json())

    async def session_once(self, true: Callable[[dict[str, Any]], bool], session: str) -> dict[str, Any]:
        """A session as soon as that is true of it: what it says is stored behind its reader's back."""
        async with asyncio.timeout(PATIENCE_S):
            while not true(found := await self.session(session)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        return found

    async def stop(self, session: str) -> dict[str, Any]:
        return dict((await self.client.post(f"{API}/stream-sessions/{session}/stop")).json())

    def stream(self, conversation: str, content: Any, **fields: Any) -> "Stream":
        """A streamed answer, being read."""
        body = json.dumps({"content": content, **fields}).encode()
        return Stream(self.app, "POST", f"{API}/conversations/{conversation}/messages", body)

    def resume(self, session: str, after: int | None = None) -> "Stream":
        headers = [] if after is None else [(b"last-event-id", str(after).encode())]
        return Stream(self.app, "GET", f"{API}/stream-sessions/{session}/events", headers=headers)

    async def shut_down(self) -> None:
        context = self.app.router.lifespan_context(self.app)
        await context.__aenter__()
        await context.__aexit__(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    number: int
    kind: str
    data: dict[str, Any]


class Stream:
    """A request whose response is read as it comes."""

    def __init__(
        self,
        app: FastAPI,
        method: str,
        path: str,
        body: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self.status = 0
        self._text = ""
        self._sent = [{"type": "http.request", "body": body, "more_body": False}]
        self._gone = asyncio.Event()
        scope = {"type": "http", "method": method, "path": path, "headers": headers or [], "query_string": b""}
        scope |= {"http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"}, "app": app}
        self._task = asyncio.create_task(app(scope, self._receive, self._send))

    @property
    def events(self) -> list[Event]:
        whole = [block for block in self._text.split("\n\n")[:-1] if not block.startswith(":")]
        return [_event(block) for block in whole]

    @property
    def text(self) -> str:
        return "".join(event.data["text"] for event in self.events if event.kind == "delta")

    @property
    def numbers(self) -> list[int]:
        return [event.number for event in self.events]

    @property
    def session(self) -> str:
        return str(self.events[0].data["id"])

    async def until(self, count: int) -> "Stream":
        """Read until there are as many events."""
        await until(lambda: len(self.events) >= count)
        return self

    async def end(self) -> "Stream":
        """Read to the end."""
        async with asyncio.timeout(PATIENCE_S):
            await self._task
        return self

    async def hang_up(self) -> None:
        self._gone.set()
        await self.end()

    async def _receive(self) -> Any:
        if self._sent:
            return self._sent.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self._text += message.get("body", b"").decode()


async def slow(settings: Settings | None = None, **script: Any) -> Gateway:
    """30 words, 2 ms each."""
    return Gateway(await started(**{"token_delay_s": 0.002, **script}), settings or quick_settings())


async def endless(settings: Settings | None = None) -> tuple[Gateway, LocalModel]:
    """An answer that ends only when somebody ends it."""
    model = await started(token_delay_s=0.002, tokens=100_000)
    model.engine._context_length = 200_000
    return Gateway(model, settings or quick_settings()), model


async def two(folder: Path, **changes: Any) -> tuple[Gateway, Gateway, LocalModel]:
    """Two gateways over one database, and the model of both."""
    settings = quick_settings(folder, **changes)
    one, model = await endless(settings)
    return one, Gateway(model, settings), model


def kinds(read: Stream) -> list[str]:
    return [event.kind for event in read.events]


def _event(block: str) -> Event:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    return Event(number=int(fields["id"]), kind=fields["event"], data=json.loads(fields["data"]))
