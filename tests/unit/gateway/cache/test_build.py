"""What the settings ask for, and that a gateway that stops leaves no connection behind."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from cluster.errors import SettingsError
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.cache.build import open_caches
from deployments.gateway.cache.keys import question_of
from deployments.gateway.cache.questions import MemoryQuestions
from deployments.gateway.wire import ChatRequest
from tests.unit.gateway.cache.house import ASKED
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with, started

ON: dict[str, Any] = {"enabled": True, "semantic": {"enabled": True}}
NO_EMBEDDER = [{"id": "echo", "engine": {"kind": "scripted"}}]


def test_semantic_is_off_by_default_and_strict() -> None:
    semantic = settings_with(cache={"enabled": True}).cache.semantic
    assert (semantic.enabled, semantic.threshold) == (False, 0.95)
    caches = open_caches(settings_with(cache={"enabled": True}))
    assert caches is not None
    assert caches.answers.semantic is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cache": ON, "models": NO_EMBEDDER}, "cache.semantic.enabled needs an embedding model"),
        ({"cache": {"semantic": {"enabled": True}}}, "semantic.enabled needs enabled"),
        ({"cache": {**ON, "semantic": {"enabled": True, "threshold": 1.01}}}, "cache.semantic.threshold"),
        ({"cache": {**ON, "semantic": {"enabled": True, "threshold": 0.4}}}, "cache.semantic.threshold"),
        ({"cache": {**ON, "semantic": {"on": True}}}, "cache.semantic.on"),
    ],
)
def test_settings_that_could_not_be_honoured_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_with(**changes)
    assert said in str(refused.value)


def test_semantic_without_an_embedder_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="needs the embedder"):
        open_caches(settings_with(cache=ON))


def test_a_picture_makes_no_question() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "what is this"}

    def asked(*content: Any) -> str | None:
        messages = [{"role": "user", "content": list(content)}, {"role": "user", "content": "and this"}]
        return question_of(ChatRequest.model_validate({"model": "m", "messages": messages}))

    assert asked(text, shown) is None
    assert asked(text) == "and this"


async def test_closing_stores_what_is_on_its_way_and_forgets_all_that_is_in_memory() -> None:
    caches = open_caches(settings_with(cache=ON), embedder=LocalEmbedder())
    assert caches is not None
    assert caches.answers.semantic is not None
    questions = caches.answers.semantic._store
    assert isinstance(questions, MemoryQuestions)
    await questions.add("o", "b", "k", b"1234")
    await caches.store.put({"a": b"1"})
    await caches.close()
    assert len(questions) == 0
    assert await caches.store.get(["a"]) == [None]


async def test_a_gateway_that_stops_closes_its_connections_to_redis(redis_server: str, tmp_path: Path) -> None:
    rates = {"redis": redis_server, "requests_per_minute": 1000}
    settings = settings_with(home=str(tmp_path), cache={**ON, "redis": redis_server}, limits={"rates": rates})
    app = build_app(Backends(models={"echo": await started()}, embedder=LocalEmbedder()), settings)
    watching = Redis.from_url(redis_server)
    before = len(await watching.client_list())
    async with app.router.lifespan_context(app), client_of(app) as client:
        asked = [ASKED, {**ASKED, "messages": [{"role": "user", "content": "One, two, three!"}]}]
        found = []
        for body in asked:
            answer = await client.post("/v1/chat/completions", json=body, headers={"cache-control": "max-age=60"})
            found.append((answer.status_code, answer.headers["x-heliostat-cache"]))
        assert len(await watching.client_list()) > before
    assert found[0] == (200, "miss")
    for _ in range(100):  # Redis notices a closed connection a moment later
        after = len(await watching.client_list())
        if after == before:
            break
    assert after == before
    await watching.aclose()
