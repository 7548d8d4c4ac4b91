"""A small app behind authentication: the routes of accounts and the OpenAI ones over the scripted engine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from cluster.settings.tree import Settings
from cluster.stores.accounts import Account
from cluster.stores.api_keys import Rights, new_secret
from cluster.stores.database import engine_of
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.auth import keys, routes, users
from deployments.gateway.auth.directory import Directory, open_directory
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.auth.passwords import Passwords
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with, started

PASSWORD = "correct horse battery"
CHEAP = {"mode": "on", "hash_memory_kib": 8, "hash_rounds": 1, "jwt_secret": "0123456789abcdefghijklmnopqrstuv"}


def auth_settings(**changes: Any) -> Settings:
    return settings_with(auth={**CHEAP, **changes}, stores={"database": "sqlite://"})


@dataclass
class House:
    settings: Settings
    directory: Directory
    app: FastAPI
    client: httpx.AsyncClient

    def account(self, name: str = "ann@example.org", role: str = "user") -> Account:
        hashed = Passwords(self.settings.auth).hash(PASSWORD)
        return self.directory.accounts.create(name=name, password_hash=hashed, role=role)

    def key(self, owner: str = "local", **rights: Any) -> dict[str, str]:
        """Headers with a new key."""
        secret = new_secret()
        self.directory.keys.create(secret, name="k", owner=owner, rights=Rights(**{"role": "user", **rights}))
        return {"authorization": f"Bearer {secret}"}

    async def login(self, name: str = "ann@example.org", password: str = PASSWORD) -> httpx.Response:
        return await self.client.post("/api/v1/auth/login", json={"email": name, "password": password})

    async def token(self, name: str = "ann@example.org") -> dict[str, str]:
        """Headers of somebody who has just signed in."""
        return {"authorization": f"Bearer {(await self.login(name)).json()['access_token']}"}


async def house_with(**auth: Any) -> House:
    settings = auth_settings(**auth)
    directory = open_directory(settings, engine_of(settings.database_url))
    backends = Backends(models={"echo": await started()}, embedder=LocalEmbedder())
    app = FastAPI(openapi_url=None)
    errors.install(app)
    take(app, openai.router(backends, settings, Chats(backends, settings)))
    take(app, routes.router(settings, directory))
    take(app, users.router(directory))
    take(app, keys.router(directory))

    @app.websocket("/v1/chat/socket")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    authenticator = directory.authenticator if directory else None
    app.add_middleware(Authentication, authenticator=authenticator, origins=("https://app.example",), watch_s=0.02)
    app.add_middleware(RequestIds)
    return House(settings=settings, directory=directory, app=app, client=client_of(app))  # type: ignore[arg-type]


_built: list[House] = []


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """An empty house. The app is built once, which takes longer than a test; its tables are emptied."""
    if not _built:
        _built.append(await house_with())
    made = _built[0]
    made.client = client_of(made.app)
    made.directory.authenticator.forget()
    with made.directory.keys._engine.begin() as connection:
        for table in ("accounts", "api_keys", "login_sessions", "refresh_tokens", "login_attempts"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    async with made.client:
        yield made


@pytest.fixture
def directory() -> Directory:
    settings = auth_settings()
    opened = open_directory(settings, engine_of(settings.database_url))
    assert opened is not None
    return opened
