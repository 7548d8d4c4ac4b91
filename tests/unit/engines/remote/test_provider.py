"""All models of a provider: its list, in the background, and what is asked of its models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest

from cluster.engines.remote.facts import ASSUMED_CONTEXT
from cluster.engines.remote.provider import Provider
from cluster.errors import Overloaded, ProviderAway
from cluster.settings.providers import OllamaProvider, OpenAIProvider
from tests.unit.engines.asking import answer, call
from tests.unit.engines.remote.fake_ollama import DIGEST, FakeOllama
from tests.unit.engines.remote.fake_ollama import REMOTE as LLAMA
from tests.unit.engines.remote.fake_openai import CONTEXT, REMOTE, FakeOpenAI
from tests.unit.engines.remote.tiny_server import HUNG_S, Answer, Request, Response, TinyServer, as_json, serving
from tests.unit.waiting import until

LISTED = [
    {"id": "big", "context_length": 4096, "architecture": {"input_modalities": ["text", "image"]}, "created": 7},
    {"id": "small", "supported_parameters": ["temperature"]},
    {"id": "text-embed-1"},
]


@asynccontextmanager
async def openai(
    server: Answer, *, key: str | None = None, **given: Any
) -> AsyncIterator[tuple[Provider, TinyServer]]:
    async with serving(server) as tiny:
        settings = OpenAIProvider(**{"id": "far", "base_url": f"{tiny.url}/v1", **given})
        made = Provider(settings, key=key, retry_s=0.01)
        try:
            yield made, tiny
        finally:
            await made.stop()


async def known(provider: Provider) -> None:
    provider.look()
    await until(lambda: provider.state.reason is None)


def listing(data: Any) -> Answer:
    async def told(_: Request) -> Response:
        return as_json({"data": data})

    return told


async def test_the_list_comes_in_the_background_with_what_is_said_of_each() -> None:
    async with openai(listing(LISTED)) as (provider, _):
        assert provider.models == ()  # nobody waits for it
        assert provider.state.reason == "provider_unavailable"
        await known(provider)
        assert [one.name for one in provider.models] == ["big", "small", "text-embed-1"]
        assert (provider.context_length("big"), provider.context_length("small")) == (4096, ASSUMED_CONTEXT)
        assert provider.facts("big").images is True
        assert provider.facts("small").tools is False
        assert [provider.embeds(one.name) for one in provider.models] == [False, False, True]
        assert (provider.created("big"), provider.created("small")) == (7, 0)
        assert provider.state.models == 3
        assert provider.state.listed_at is not None


async def test_names_and_patterns_choose_what_is_offered() -> None:
    async with openai(listing(LISTED), models=["b*", "small", "own"], without=["sm*"]) as (provider, _):
        assert [one.name for one in provider.models] == ["own"]  # named, so it needs no list
        await known(provider)
        assert [one.name for one in provider.models] == ["big", "own"]
        assert (provider.has("big"), provider.has("small"), provider.has("other")) == (True, False, False)


async def test_before_the_first_list_any_name_that_is_offered_may_be_there() -> None:
    async with openai(listing(LISTED), models=["b*"]) as (provider, _):
        assert (provider.has("b-x"), provider.has("x")) == (True, False)
        with pytest.raises(ProviderAway, match="has not been asked yet"):
            await provider.engine("b-x")
        await known(provider)
        assert provider.has("b-x") is False


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        (as_json([1, 2]), "JSON that is not an object"),
        (as_json({"hello": 1}), "JSON that is no list of models"),
        (Response(body=b"<html>", media_type="text/html"), "text/html"),
        (Response(body=b"{" * 10_000), "not JSON"),
        (as_json({"error": "no"}, 500), "status 500"),
        (as_json({"error": "no"}, 401), "refused our key"),
    ],
)
async def test_garbage_leaves_the_last_list_and_is_told_as_the_reason(garbage: Response, said: str) -> None:
    answers = [as_json({"data": LISTED})]

    async def told(_: Request) -> Response:
        return answers[-1]

    async with openai(told, ttl_s=1) as (provider, _):
        await known(provider)
        answers.append(garbage)
        assert await provider._look() is False
        assert said in provider.state.detail
        assert len(provider.models) == 3
        answers.append(as_json({"data": LISTED[:1]}))
        assert await provider._look() is True
        assert (provider.state.reason, len(provider.models)) == (None, 1)


async def test_what_is_no_models_name_is_left_out() -> None:
    odd = [
        {"id": 3},
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 300},
        {"id": "ü"},
        "text",
        {},
        {"id": "fine"},
        {"id": "fine"},
    ]
    async with openai(listing(odd)) as (provider, _):
        await known(provider)
        assert [one.name for one in provider.models] == ["fine"]


async def test_a_provider_that_hangs_is_waited_for_by_nobody() -> None:
    async def hang(_: Request) -> Response:
        await asyncio.sleep(HUNG_S)
        raise AssertionError

    async with openai(hang) as (provider, tiny):
        provider.look()
        await until(lambda: bool(tiny.seen))
        began = monotonic()
        assert (provider.models, provider.has("x"), provider.state.models) == ((), True, 0)
        assert monotonic() - began < 5


async def test_a_missing_key_is_told_and_nobody_is_asked() -> None:
    async with openai(listing(LISTED), api_key_env="NO_SUCH_KEY", models=["big"]) as (provider, tiny):
        provider.look()
        assert provider.state.reason == "start_failed"
        assert "NO_SUCH_KEY is not set" in provider.state.detail
        with pytest.raises(ProviderAway, match="NO_SUCH_KEY"):
            await provider.engine("big")
        assert tiny.seen == []


async def test_a_model_is_asked_by_its_name_there_and_answers_by_its_name_here() -> None:
    fake = await FakeOpenAI(key="k").start()
    async with openai(fake, key="k", generation={"temperature": 0.25}) as (provider, tiny):
        await known(provider)
        engine = await provider.engine(REMOTE)
        assert engine.capabilities.context_length == CONTEXT
        said = await answer(engine, temperature=None)
        assert said["model"] == f"far/{REMOTE}"
        assert tiny.seen[-1].json["model"] == REMOTE
        assert tiny.seen[-1].json["temperature"] == 0.25
        await engine.chat(call(temperature=1.5))
        assert tiny.seen[-1].json["temperature"] == 1.5  # what a request says goes before
        assert await provider.engine(REMOTE) is engine


async def test_too_many_at_once_are_refused() -> None:
    async with openai(listing(LISTED), max_ongoing=1) as (provider, _):
        with provider.asking(), pytest.raises(Overloaded), provider.asking():
            pass
        assert provider.running == 0


async def test_engines_of_models_that_nobody_uses_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.engines.remote.provider.KEPT", 2)
    async with openai(listing([{"id": name} for name in "abcd"])) as (provider, _):
        await known(provider)
        made = [await provider.engine(name) for name in "abcd"]
        assert list(provider._engines) == ["c", "d"]
        assert [engine._started for engine in made] == [False, False, True, True]


async def test_an_ollama_server_lists_its_models_and_tells_of_each() -> None:
    fake = await FakeOllama().start()
    fake.capabilities = ["completion", "vision"]
    async with serving(fake) as tiny:
        provider = Provider(OllamaProvider(id="box", url=tiny.url), retry_s=0.01)
        try:
            await known(provider)
            [one] = provider.models
            assert (one.name, one.digest) == (LLAMA, DIGEST)
            assert (one.facts.images, one.facts.tools, one.facts.embeds) == (True, False, False)
            asked = len([seen for seen in tiny.seen if seen.path == "/api/show"])
            await provider._look()
            assert (
                len([seen for seen in tiny.seen if seen.path == "/api/show"]) == asked
            )  # its weights are the same
            said = await answer(await provider.engine(LLAMA))
            assert said["model"] == f"box/{LLAMA}"
        finally:
            await provider.stop()


async def test_what_sees_pictures_or_embeds_may_be_said_where_the_provider_does_not() -> None:
    async with openai(listing([{"id": "seer-1"}, {"id": "vec-1"}]), pictures=["seer*"], embeddings=["vec*"]) as (
        p,
        _,
    ):
        await known(p)
        assert (p.facts("seer-1").images, p.facts("vec-1").images) == (True, False)
        assert (p.embeds("seer-1"), p.embeds("vec-1")) == (False, True)
