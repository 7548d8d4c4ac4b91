"""The whole gateway on a port, over documents in memory: it starts in a moment."""

import asyncio
import socket
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from cluster.config import resolve
from cluster.engines.scripted import ScriptedEngine
from cluster.settings.engines import ScriptedSettings
from cluster.stores.database import open_database
from deployments.clients import Backends, Retriever
from deployments.gateway.app import build_app
from deployments.gateway.auth.directory import open_directory
from deployments.gateway.auth.passwords import Passwords
from tests.unit.auth.conftest import CHEAP
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel
from tests.unit.gateway.documents.shelf import ScriptedRetriever

PERSON, PASSWORD = "ann@example.org", "correct horse battery"
START_S = 20.0


class Site:
    """A gateway. auth: whether it asks who is there; PERSON is then known. retriever: of its documents."""

    def __init__(self, home: Path, retriever: Retriever, *, auth: bool = False) -> None:
        self._home = home
        self._auth = auth
        self._retriever = retriever
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        # Playwright's loop runs in the tests' thread: ours needs another.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, until `stop`."""
        self._thread.start()
        deadline = time.monotonic() + START_S
        while self._server is None or not self._server.started:
            assert self._thread.is_alive(), "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """End; connections that are still open break."""
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join()

    async def _serve(self) -> None:
        app = await self._build()
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self._port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        await self._server.serve()

    async def _build(self) -> FastAPI:
        args = {
            "home": str(self._home),
            "models": [
                {"id": "echo", "engine": {"kind": "scripted"}},
                {"id": "hash", "engine": {"kind": "hash", "dimensions": 16}},
            ],
            "auth": CHEAP if self._auth else {},
            "documents": {"answer_model": "echo"},
        }
        settings = resolve(args, {})
        engine = open_database(settings.database_url)
        directory = open_directory(settings, engine)
        if directory is not None:
            hashed = Passwords(settings.auth).hash(PASSWORD)
            directory.accounts.create(name=PERSON, password_hash=hashed, role="user")
        engine_of_chat = ScriptedEngine(ScriptedSettings(), "echo")
        await engine_of_chat.start()
        models = {"echo": LocalModel(engine_of_chat)}
        backends = Backends(models=models, embedder=LocalEmbedder(), retriever=self._retriever)
        return build_app(backends, settings, engine=engine)


class SlowRetriever(ScriptedRetriever):
    """As in the unit tests, but each document takes a while. pause_s: how long."""

    def __init__(self, pause_s: float = 0.0) -> None:
        super().__init__()
        self.pause_s = pause_s

    async def add(self, **document):  # type: ignore[no-untyped-def]
        await asyncio.sleep(self.pause_s)
        return await super().add(**document)
