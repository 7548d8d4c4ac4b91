"""Who is there, what is sent along, and when the line is closed."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ProviderAway, ProviderFailure, ProviderRefused, StartFailed
from tests.unit.engines.asking import answer, call, events, idle
from tests.unit.engines.remote.fake_openai import FakeOpenAI, sse
from tests.unit.engines.remote.remotes import NAME, openai_engine
from tests.unit.engines.remote.test_faults import SSE, WHOLE, chunk, failed, of, provider, started
from tests.unit.engines.remote.tiny_server import Request, Response, as_json, serving
from tests.unit.gateway.picture_store import certified


async def test_our_key_is_sent_and_never_repeated() -> None:
    async with serving(await FakeOpenAI(key="sk-right").start()) as server:
        engine = await started(server, key="sk-right")
        assert await answer(engine, max_tokens=1)
        await engine.stop()
        wrong = await started(server, key="sk-wrong")
        with pytest.raises(ProviderRefused, match="refused our key") as caught:
            await wrong.check_health()
        assert "sk-wrong" not in caught.value.line()
        await wrong.stop()
    echo = lambda request: as_json({"error": {"message": f"I got {request.headers['authorization']}"}}, 400)  # noqa: E731
    error, _ = await failed(echo, stream=False, key="sk-right")
    assert error.message == f"{NAME}: I got Bearer …"


async def test_nobody_there_is_told_and_the_cluster_starts() -> None:
    engine = openai_engine("http://127.0.0.1:1")
    await engine.start()
    try:
        for ask in (engine.check_health, lambda: engine.chat(call())):
            with pytest.raises(ProviderAway, match="cannot be reached"):
                await ask()
        assert engine.capabilities.images  # what is not known is left to the provider
    finally:
        await engine.stop()


async def test_a_provider_that_comes_back_is_noticed_without_a_request() -> None:
    fake = await FakeOpenAI().start()
    away = True

    async def sometimes(request: Request) -> Response:
        return as_json({}, 503) if away else await fake(request)

    async with serving(sometimes) as server:
        engine = await started(server)
        with pytest.raises(ProviderAway):
            await engine.check_health()
        away = False
        await _healthy(engine)
        assert engine.capabilities.context_length == 2048
        seen = len(server.seen)
        await asyncio.sleep(0.03)
        assert len(server.seen) == seen  # who answers is not asked
        away = True
        with pytest.raises(ProviderAway):
            await engine.chat(call())
        with pytest.raises(ProviderAway):
            await engine.check_health()
        away = False
        await _healthy(engine)
        await engine.stop()


async def test_who_answers_calls_is_there_even_if_it_never_tells_what_it_has() -> None:
    async with serving(_secretive) as server:
        engine = await started(server)
        with pytest.raises(ProviderFailure):
            await engine.check_health()
        await answer(engine)
        asked = len(server.seen)
        async with asyncio.timeout(5):
            while len(server.seen) < asked + 2:  # noqa: ASYNC110  # it is asked on, in vain
                await asyncio.sleep(0.001)
        await engine.check_health()
        await engine.stop()


async def test_certificates_are_verified_against_the_authorities_that_are_trusted(tmp_path: Path) -> None:
    _, tls = certified("localhost")
    authorities = tmp_path / "ca.pem"
    async with serving(await FakeOpenAI().start(), tls) as server:
        address = ("localhost", int(server.url.rpartition(":")[2]))
        authorities.write_text(await asyncio.to_thread(ssl.get_server_certificate, address))
        wary = await started(server)
        with pytest.raises(ProviderAway, match="its certificate is not valid"):
            await wary.chat(call())
        await wary.stop()
        engine = await started(server, ca_file=str(authorities))
        assert await answer(engine, max_tokens=1)
        await engine.stop()
    with pytest.raises(StartFailed, match="cannot be used"):
        await openai_engine("https://localhost:1", ca_file=str(tmp_path / "none.pem")).start()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_proxies_are_the_configs_to_name_and_not_the_environments(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with provider(as_json(WHOLE)) as server:
        engine = await started(server)
        assert await answer(engine)
        await engine.stop()
        through = openai_engine("http://nowhere.test", proxy=server.url)
        await through.start()
        assert await answer(through)
        assert server.seen[-1].path == "http://nowhere.test/v1/chat/completions"
        await through.stop()


async def _secretive(request: Request) -> Response:
    return as_json({}, 500) if request.method == "GET" else as_json(WHOLE)


async def _healthy(engine: Any) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                return await engine.check_health()
            except ProviderAway:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_hangs_up_at_the_provider_at_once(stream: bool) -> None:
    body = lambda _: Response(body=of(sse(chunk()), hang=True), media_type=SSE if stream else "application/json")  # noqa: E731
    async with provider(body) as server:
        engine = await started(server)
        task = asyncio.create_task(events(engine) if stream else engine.chat(call()))
        async with asyncio.timeout(5):
            while len(server.seen) < 2:  # noqa: ASYNC110  # the list of models is one
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait({task})
            begun = time.perf_counter()
            while not server.left:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert time.perf_counter() - begun < 5
        await idle(engine, 5)
        await engine.stop()


async def test_connections_are_kept_for_the_next_request() -> None:
    async with serving(await FakeOpenAI().start()) as server:
        engine = await started(server)
        for _ in range(3):
            await answer(engine, max_tokens=2)
            await events(engine, max_tokens=2)
        assert server.connections == 1
        await engine.stop()


async def test_nothing_is_tried_twice() -> None:
    async with provider(as_json({}, 500)) as server:
        engine = await started(server)
        with pytest.raises(ProviderFailure):
            await engine.chat(call())
        assert [request.method for request in server.seen] == ["GET", "POST"]
        await engine.stop()
