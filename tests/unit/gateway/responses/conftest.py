"""The Responses API over engines without a model: asked through ASGI, stored in a database of the test's own."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from cluster.engines.chat_request import PARAMETERS
from cluster.settings.tree import Settings
from cluster.stores.database import engine_of, open_database
from cluster.stores.responses import Responses
from cluster.types import Capabilities, ChatCall, Health, ModelCard, Task
from deployments.clients import Backends, ChatModel
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai.responses import routes
from deployments.gateway.openai.responses.desk import Desk
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import client_of, settings_with, started

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
PATH = "/v1/responses"


class Owners:
    """Stands in for the authentication: the header `x-owner` says who asks."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        owner = dict(scope.get("headers", ())).get(b"x-owner", b"local").decode()
        scope.setdefault("state", {})["principal"] = Principal(id=owner, owner=owner, role=Role.USER)
        await self._app(scope, receive, send)


@dataclass
class Told:
    """A chat model that streams the chunks it is told, as vLLM writes them. calls: the bodies it was sent."""

    chunks: list[bytes]
    answer: dict[str, Any] | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    parameters: frozenset[str] = PARAMETERS | {
        "tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs", "top_logprobs",
    }  # fmt: skip

    async def card(self) -> ModelCard:
        able = Capabilities(task=Task.CHAT, context_length=64, images=True, parameters=self.parameters)
        return ModelCard(id="echo", engine="scripted", revision="r", created=1, capabilities=able)

    async def chat(self, call: ChatCall) -> bytes:
        self.calls.append(json.loads(call.body))
        return json.dumps(self.answer).encode()

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        self.calls.append(json.loads(call.body))
        for chunk in self.chunks:
            yield chunk

    async def health(self) -> Health:
        return Health(status="running")


def desk_over(model: ChatModel, settings: Settings) -> tuple[Desk, Chats]:
    chats = Chats(Backends(models={"echo": model}), settings)
    return Desk(settings, chats, engine_of(settings.database_url), watch_s=0.01), chats


def app_over(model: ChatModel, settings: Settings) -> FastAPI:
    desk, _ = desk_over(model, settings)
    app = FastAPI()
    errors.install(app)
    take(app, routes.router(desk))
    app.add_middleware(RequestIds)
    app.add_middleware(Owners)
    app.state.desk = desk
    return app


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database file with its tables; making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "x.db"
    open_database(f"sqlite:///{path}").dispose()
    return path.read_bytes()


@pytest.fixture
def database(empty_database: bytes, tmp_path: Path) -> str:
    path = tmp_path / "x.db"
    path.write_bytes(empty_database)
    return f"sqlite:///{path}"


@pytest.fixture
def stored(database: str) -> Any:
    """The same database as another process sees it."""
    engine = open_database(database)
    yield Responses(engine)
    engine.dispose()


@pytest.fixture
def gateway(database: str) -> Callable[..., httpx.AsyncClient]:
    """A client of an app over a model; several share the database, as several gateways do."""

    def made(model: ChatModel, **changes: Any) -> httpx.AsyncClient:
        return client_of(app_over(model, settings_with(stores={"database": database}, **changes)))

    return made


@pytest.fixture
async def client(gateway: Callable[..., httpx.AsyncClient]) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(await started()) as client:
        yield client


@pytest.fixture
def ask(client: httpx.AsyncClient) -> Callable[..., Any]:
    async def post(**fields: Any) -> httpx.Response:
        return await client.post(PATH, json={"model": "echo", "input": "one two three", **fields})

    return post


def checked(answer: httpx.Response) -> Response:
    """An answer's response, exactly of the shape that OpenAI's client declares."""
    assert answer.status_code == 200, answer.text
    return Response.model_validate_json(answer.content, strict=True)


def events_of(text: str) -> list[Any]:
    """A stream's events, each of the shape that OpenAI's client declares, numbered without a gap."""
    found = []
    for block in text.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        event = EVENTS.validate_json(data.removeprefix("data: "), strict=True)
        assert kind == f"event: {event.type}"
        found.append(event)
    assert [event.sequence_number for event in found] == list(range(len(found)))
    return found


def chunk(*deltas: dict[str, Any], **fields: Any) -> bytes:
    """Events of chat chunks, joined into one item as a busy replica joins them."""
    written = b""
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **fields}
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}
        written += b"data: " + json.dumps(body).encode() + b"\n\n"
    return written


def ended(reason: str) -> bytes:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    last = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    return chunk({}, finish_reason=reason) + last + b"data: [DONE]\n\n"


def piece(index: int, arguments: str = "", **first: Any) -> dict[str, Any]:
    """A delta of one tool call: id and name come once, the arguments in pieces."""
    function = {"arguments": arguments, **({"name": first["name"]} if first else {})}
    head = {"id": first["id"], "type": "function"} if first else {}
    return {"tool_calls": [{"index": index, **head, "function": function}]}
