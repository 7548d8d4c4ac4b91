"""A gateway with GraphQL and conversations over the scripted engine, and a client of each transport."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any, Self

import httpx
from fastapi import FastAPI

from cluster.errors import NotFound
from cluster.settings.tree import Settings
from cluster.stores.api_keys import Rights, new_secret
from cluster.stores.database import engine_of
from cluster.stores.model_records import ModelRecords
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.auth.directory import open_directory
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import routes as conversations
from deployments.gateway.graphql import routes as graphql
from deployments.gateway.graphql.desks import open_desks
from deployments.gateway.lab import batches as experiments
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.model_records.book import Book
from deployments.gateway.openai import batches, files
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, settings_with, started
from tests.unit.gateway.conversations.asking import QUICK, Owners
from tests.unit.waiting import PATIENCE_S, until

PROTOCOL = "graphql-transport-ws"


class Jobs:
    """Jobs that were submitted, and do nothing."""

    def __init__(self) -> None:
        self.submitted: dict[str, list[str]] = {}

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        self.submitted[submission_id] = arguments

    def ended(self, submission_id: str) -> str | None:
        if submission_id not in self.submitted:
            raise NotFound("no such job")
        return None

    def stop(self, submission_id: str) -> None:
        self.submitted.pop(submission_id, None)


class House:
    """One gateway. Without auth, who asks is in the header x-owner."""

    def __init__(
        self, model: LocalModel, settings: Settings, backends: Backends | None = None, *, counted: bool = False
    ) -> None:
        """counted: whether records of models are kept; what keeps them outlives a test's loop."""
        self.model = model
        self.settings = settings
        self.jobs = Jobs()
        self.database = engine_of(settings.database_url)
        self.directory = open_directory(settings, self.database)
        backends = backends or Backends(models={"echo": model}, embedder=LocalEmbedder())
        book = Book(ModelRecords(self.database) if counted else None)
        chats = Chats(backends, settings, records=book, gate=open_gate(settings))
        self.desks = open_desks(backends, settings, chats, self.database, self.directory, book=book, jobs=self.jobs)
        self.app = FastAPI(openapi_url=None)
        errors.install(self.app)
        take(
            self.app,
            graphql.router(self.desks, watch_s=0.01),
            conversations.router(backends, settings, chats, self.database, self.desks.conversations),
            experiments.router(settings, backends.models, self.database, desk=self.desks.experiments),
            batches.router(settings, self.database, desk=self.desks.batches),
            files.router(settings, self.database),
            openai.router(backends, settings, chats),
        )
        self.app.add_middleware(BodyLimit, max_bytes=settings.limits.max_body_bytes)
        if self.directory is None:
            self.app.add_middleware(Owners)
        else:
            self.app.add_middleware(Authentication, authenticator=self.directory.authenticator, watch_s=0.01)
        self.app.add_middleware(RequestIds)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        body = {"query": query, "variables": variables or {}}
        return await self.client.post(
            "/graphql", json=body, headers={n.replace("_", "-"): v for n, v in headers.items()}
        )

    async def ask(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The data of an operation that has no errors."""
        answer = (await self.post(query, variables, **headers)).json()
        assert "errors" not in answer, answer
        return dict(answer["data"])

    async def refused(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The first error's extensions, with its message."""
        answer = (await self.post(query, variables, **headers)).json()
        return {"message": answer["errors"][0]["message"], **answer["errors"][0]["extensions"]}

    async def conversation(self, **headers: str) -> str:
        made = await self.ask("mutation { createConversation { id } }", **headers)
        return str(made["createConversation"]["id"])

    def key(self, owner: str = "local", **rights: Any) -> str:
        """A new key's secret."""
        assert self.directory is not None
        secret = new_secret()
        self.directory.keys.create(secret, name="k", owner=owner, rights=Rights(**{"role": "user", **rights}))
        return secret

    def revoke_all(self) -> None:
        assert self.directory is not None
        for key in self.directory.keys.list():
            self.directory.keys.revoke(key.id)
        self.directory.authenticator.forget()

    def talk(self, *, protocols: tuple[str, ...] = (PROTOCOL,), **headers: str) -> "Talk":
        own = {"x_owner": self.client.headers.get("x-owner", "local"), **headers}
        return Talk(self.app, protocols, {name.replace("_", "-"): value for name, value in own.items()})


class Talk:
    """A WebSocket's client, in the same event loop."""

    def __init__(self, app: FastAPI, protocols: tuple[str, ...], headers: dict[str, str]) -> None:
        self.closed: tuple[int, str] | None = None
        self.protocol: str | None = None
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outbox.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket", "path": "/graphql", "query_string": b"", "scheme": "ws", "http_version": "1.1",
            "headers": [(b"host", b"gateway"), *((n.encode(), v.encode()) for n, v in headers.items())],
            "subprotocols": list(protocols), "asgi": {"version": "3.0"}, "app": app, "state": {},
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._outbox.get, self._sent))

    async def init(self, payload: Any = None) -> Self:
        await self.send(type="connection_init", **({} if payload is None else {"payload": payload}))
        assert (await self.next())["type"] == "connection_ack"
        return self

    async def send(self, **message: Any) -> None:
        await self.raw(text=json.dumps(message))

    async def raw(self, **frame: Any) -> None:
        await self._outbox.put({"type": "websocket.receive", **frame})

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, name: str = "1") -> None:
        await self.send(type="subscribe", id=name, payload={"query": query, "variables": variables or {}})

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            return await self._inbox.get()

    async def data(self) -> dict[str, Any]:
        """The data of the next event."""
        message = await self.next()
        assert message["type"] == "next", message
        return dict(message["payload"]["data"])

    async def all(self) -> list[dict[str, Any]]:
        """Messages up to the end of an operation."""
        read = [await self.next()]
        while read[-1]["type"] not in {"complete", "error"}:
            read.append(await self.next())
        return read

    async def end(self) -> tuple[int, str]:
        """How the server closed it."""
        async with asyncio.timeout(PATIENCE_S):
            await self.task
        assert self.closed is not None
        return self.closed

    async def hang_up(self) -> None:
        await self._outbox.put({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(PATIENCE_S):
            await self.task

    async def _sent(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            self.protocol = message.get("subprotocol")
        elif message["type"] == "websocket.close":
            self.closed = (message["code"], message.get("reason") or "")
        else:
            await self._inbox.put(json.loads(message["text"]))


def settings(home: Path | None = None, **changes: Any) -> Settings:
    own = {"stores": {"database": "sqlite://"}, "conversations": QUICK}
    return settings_with(**{**own, **({} if home is None else {"home": str(home)}), **changes})


async def house(home: Path | None = None, *, script: dict[str, Any] | None = None, **changes: Any) -> House:
    return House(await started(**(script or {})), settings(home, **changes))


_built: dict[str, House] = {}


async def shared(module: str, home: Path | None = None, **changes: Any) -> House:
    """A module's only house; who asks is somebody else in each test, who finds nothing of the others'."""
    if module not in _built:
        _built[module] = await house(home, **changes)
    found = _built[module]
    found.client.headers["x-owner"] = uuid.uuid4().hex
    return found


async def endless(**changes: Any) -> House:
    """Its answers end only when somebody ends them."""
    model = await started(token_delay_s=0.002, tokens=100_000)
    model.engine._context_length = 200_000
    return House(model, settings(**changes))


async def idle(house: House) -> None:
    """Until nothing is generated any more."""
    await until(lambda: house.model.engine.running == 0)
