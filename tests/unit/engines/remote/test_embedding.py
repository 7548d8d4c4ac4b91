"""Embeddings from elsewhere, over real sockets, as a thread of the embedder asks for them."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from cluster.engines.reading import BATCH_TOKENS
from cluster.engines.remote.connection import Place
from cluster.engines.remote.embedding import AT_ONCE, RemoteEmbedder, shared
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    EngineDead,
    HeliostatError,
    Overloaded,
    ProviderAway,
    ProviderFailure,
    UnsupportedParameter,
)
from cluster.settings.remote import OllamaSettings, OpenAISettings
from tests.unit.engines.remote import fake_ollama, fake_openai
from tests.unit.engines.remote.remotes import AGAIN_S, NAME
from tests.unit.engines.remote.server_thread import served
from tests.unit.engines.remote.tiny_server import Answer, Request, Response, TinyServer, as_json


@contextmanager
def embedder(answer: Answer, kind: str = "openai", **given: Any) -> Iterator[tuple[RemoteEmbedder, TinyServer]]:
    settings: OpenAISettings | OllamaSettings
    with served(answer) as server:
        if kind == "openai":
            settings = OpenAISettings(base_url=f"{server.url}/v1", model=fake_openai.REMOTE, **given)
            base = settings.base_url
        else:
            settings = OllamaSettings(url=server.url, model=fake_ollama.REMOTE, **given)
            base = settings.url
        engine = RemoteEmbedder(settings, place=Place(base=base, name=NAME), again_s=AGAIN_S)
        engine.start()
        try:
            yield engine, server
        finally:
            engine.stop()
            engine.stop()


FAKES = {"openai": fake_openai.FakeOpenAI, "ollama": fake_ollama.FakeOllama}


@pytest.mark.parametrize("kind", FAKES)
def test_vectors_come_in_order_and_of_unit_length(kind: str) -> None:
    with embedder(FAKES[kind](), kind) as (engine, _):
        assert engine.capabilities.dimensions == 3
        found = engine.embed(("sun", "the mirror turns"))
        expected = np.array([[3, 1, 1], [16, 3, 1]], dtype=np.float32)
        assert np.allclose(found.vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True))
        assert found.vectors.dtype == np.float32
        assert sum(found.tokens) == 4
        assert len(engine.revision) == 12


def test_many_texts_are_several_requests() -> None:
    with embedder(fake_openai.FakeOpenAI(), dimensions=3) as (engine, server):
        found = engine.embed(tuple(f"{'x' * at}" for at in range(1, AT_ONCE + 10)))
        assert found.vectors.shape == (AT_ONCE + 9, 3)
        assert [len(request.json["input"]) for request in server.seen] == [AT_ONCE, 9]  # no question before


@pytest.mark.parametrize("total", [0, 1, 7, 100])
def test_shares_of_tokens_are_whole_and_sum_up(total: int) -> None:
    shares = shared(total, ["a", "b" * 10, "", "ü"])
    assert sum(shares) == total
    assert all(share >= 0 for share in shares)
    assert shares[2] == 0


def test_what_needs_a_tokenizer_is_refused_with_a_way_out() -> None:
    with embedder(fake_openai.FakeOpenAI(), dimensions=3) as (engine, _):
        with pytest.raises(UnsupportedParameter, match="cuts no documents"):
            engine.tokenize("sun")
        with pytest.raises(UnsupportedParameter):
            engine.encode("sun", special=True, strings=False)
        with pytest.raises(UnsupportedParameter) as caught:
            engine.decode((1,))
        assert caught.value.param == "tokens"
        with pytest.raises(UnsupportedParameter) as caught:
            engine.embed(((1, 2),))
        assert caught.value.param == "input[0]"
        with pytest.raises(BadRequest) as empty:
            engine.embed(("sun", ""))
        assert empty.value.param == "input[1]"


def test_a_batch_is_one_request_to_the_provider() -> None:
    with embedder(fake_openai.FakeOpenAI(), dimensions=3) as (engine, _):
        reading = engine.read(["a"] * AT_ONCE)
        assert sum(reading.sizes) == BATCH_TOKENS
        assert reading.items == ("a",) * AT_ONCE
        with pytest.raises(UnsupportedParameter):
            engine.read([[1]])


def test_a_text_that_is_too_long_is_refused_and_not_cut() -> None:
    with embedder(fake_ollama.FakeOllama(), "ollama") as (engine, _):
        with pytest.raises(ContextTooLong) as caught:
            engine.embed(("sun " * 600,))
        assert caught.value.param == "input"


def answering(*responses: Response) -> Answer:
    """The first response to the question for dimensions, then the next."""
    left = list(responses)

    async def answer(request: Request) -> Response:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


ONE = as_json({"data": [{"index": 0, "embedding": [1.0, 2.0]}], "usage": {"prompt_tokens": 1}})


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (as_json({}), ProviderFailure),
        (as_json({"data": []}), ProviderFailure),
        (as_json({"data": [{"index": 1, "embedding": [1.0, 2.0]}]}), ProviderFailure),
        (as_json({"data": [{"index": 0, "embedding": [1.0, 2.0, 3.0]}]}), ProviderFailure),
        (as_json({"data": [{"index": 0, "embedding": [1.0, "x"]}]}), ProviderFailure),
        (as_json({"data": [{"index": 0, "embedding": [1.0, None]}]}), ProviderFailure),
        (as_json({"data": [{"index": 0, "embedding": "!"}]}), ProviderFailure),
        (as_json({"data": [{"index": 0, "embedding": []}]}), ProviderFailure),
        (as_json({"embeddings": 3}), ProviderFailure),
        (Response(body=b"<html>"), ProviderFailure),
        (as_json({"error": {"message": "slow"}}, 429), Overloaded),
        (as_json({"error": {"message": "bad", "param": "input"}}, 400), BadRequest),
    ],
)
def test_garbage_is_a_failure(response: Response, kind: type[HeliostatError]) -> None:
    with embedder(answering(ONE, response)) as (engine, _), pytest.raises(kind):
        engine.embed(("sun",))


def test_vectors_may_come_in_base64() -> None:
    packed = base64.b64encode(np.array([3, 4], dtype="<f4").tobytes()).decode()
    with embedder(answering(as_json({"data": [{"index": 0, "embedding": packed}]}))) as (engine, _):
        assert engine.embed(("sun",)).vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]


def test_a_provider_that_is_away_is_asked_until_it_answers() -> None:
    with embedder(answering(*[as_json({}, 503)] * 3, ONE)) as (engine, _):
        assert engine.capabilities.dimensions == 0
        until = time.monotonic() + 5
        while not engine.capabilities.dimensions:
            assert time.monotonic() < until
            time.sleep(0.005)
        assert engine.capabilities.dimensions == 2


def test_nobody_there_and_not_started_are_told() -> None:
    settings = OpenAISettings(base_url="http://127.0.0.1:1/v1", model="m")
    engine = RemoteEmbedder(settings, place=Place(base=settings.base_url, name=NAME))
    with pytest.raises(EngineDead):
        engine.embed(("sun",))
    engine.start()
    try:
        with pytest.raises(ProviderAway):
            engine.embed(("sun",))
    finally:
        engine.stop()
