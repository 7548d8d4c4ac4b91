"""The suite that every chat engine passes, on those that need no model of their own: adding one is one line.

What needs real weights inherits the same promises in tests/live/engines.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.engines.scripted import ScriptedEngine
from cluster.settings.engines import ScriptedSettings
from tests.unit.engines.chat_promises import ChatPromises, EndPromises
from tests.unit.engines.remote.fake_ollama import FakeOllama
from tests.unit.engines.remote.fake_openai import FakeOpenAI
from tests.unit.engines.remote.remotes import ollama_engine, openai_engine
from tests.unit.engines.remote.tiny_server import serving
from tests.unit.engines.test_threaded import Words, threaded


@asynccontextmanager
async def scripted() -> AsyncGenerator[ChatEngine, None]:
    yield ScriptedEngine(ScriptedSettings(), "spark", 2048)


@asynccontextmanager
async def in_a_thread() -> AsyncGenerator[ChatEngine, None]:
    yield threaded(Words)


@asynccontextmanager
async def behind_openais_api() -> AsyncGenerator[ChatEngine, None]:
    async with serving(await FakeOpenAI().start()) as server:
        yield openai_engine(server.url)


@asynccontextmanager
async def behind_ollamas_api() -> AsyncGenerator[ChatEngine, None]:
    fake = await FakeOllama().start()
    fake.capabilities = ["completion", "tools"]
    async with serving(fake) as server:
        yield ollama_engine(server.url)


ENGINES: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
    "scripted": scripted,
    "threaded": in_a_thread,
    "openai": behind_openais_api,
    "ollama": behind_ollamas_api,
}
COUNTS_LATER = {"ollama"}  # a limit that does not fit beside the prompt ends its answer for length


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[ChatEngine]:
    request.cls.counts_first = request.param not in COUNTS_LATER
    async with ENGINES[request.param]() as engine:
        await engine.start()
        yield engine
        await engine.stop()


class TestChat(ChatPromises):
    pass


class TestEnd(EndPromises):
    pass
