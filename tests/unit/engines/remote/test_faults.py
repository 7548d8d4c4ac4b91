"""What goes wrong between us and a provider: bounded, in clear words, and no fault of the client's."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from cluster.engines.remote import connection
from cluster.engines.remote.openai import OpenAIEngine
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    EngineFailure,
    HeliostatError,
    Overloaded,
    ProviderAway,
    ProviderFailure,
    ProviderRefused,
    UnsupportedParameter,
)
from tests.unit.engines.asking import answer, call, events
from tests.unit.engines.remote.fake_openai import sse
from tests.unit.engines.remote.remotes import NAME, ollama_engine, openai_engine
from tests.unit.engines.remote.tiny_server import HUNG_S, Request, Response, TinyServer, as_json, serving

WAIT_MS = 60  # the bound that a test is about; the others keep their defaults, which no machine is too slow for
SSE = "text/event-stream"
WHOLE = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "sun"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def chunk(text: str | None = "sun", reason: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def of(*pieces: bytes, hang: bool = False, every_s: float = 0) -> AsyncIterator[bytes]:
    """A body piece by piece. hang: it never ends."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(every_s)
        if hang:
            await asyncio.sleep(HUNG_S)

    return body()


class Faulty:
    """A provider that lists nothing and answers every chat with what `said` makes."""

    def __init__(self, said: Any) -> None:
        self.said = said

    async def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return as_json({"data": []})
        made = self.said(request) if callable(self.said) else self.said
        return await made if asyncio.iscoroutine(made) else made


def provider(said: Any) -> AbstractAsyncContextManager[TinyServer]:
    return serving(Faulty(said))


async def started(server: TinyServer, **given: Any) -> OpenAIEngine:
    engine = openai_engine(server.url, **given)
    await engine.start()
    return engine


async def failed(said: Any, *, stream: bool, **given: Any) -> tuple[HeliostatError, list[Any]]:
    """The error that an answer of the provider becomes, and the events before it."""
    found: list[Any] = []
    async with provider(said) as server:
        engine = await started(server, **given)
        try:
            with pytest.raises(HeliostatError) as caught:
                await _taken(engine, found, stream=stream)
            assert engine.running == 0
        finally:
            await engine.stop()
    return caught.value, found


async def _taken(engine: OpenAIEngine, found: list[Any], *, stream: bool) -> None:
    if not stream:
        await engine.chat(call())
    async for item in engine.stream(call(stream=True)):
        found.append(item)


async def hung(request: Request) -> Response:
    await asyncio.sleep(HUNG_S)
    raise AssertionError


@pytest.mark.parametrize("stream", [False, True])
async def test_silence_before_the_headers_is_bounded(stream: bool) -> None:
    bound = "first_token_ms" if stream else "total_ms"
    error, found = await failed(hung, stream=stream, timeouts={bound: WAIT_MS})
    assert isinstance(error, ProviderFailure)
    assert error.message == f"{NAME} did not begin to answer within 0.06 s"
    assert found == []


async def test_headers_without_a_token_are_bounded() -> None:
    """Comments are signs of life, and no token."""
    body = [b": still here\n\n"] * 1000
    error, _ = await failed(
        lambda _: Response(body=of(*body, every_s=0.01), media_type=SSE),
        stream=True,
        timeouts={"first_token_ms": 5 * WAIT_MS},
    )
    assert error.message == f"{NAME} sent no token within 0.3 s"


async def test_silence_in_mid_stream_is_bounded() -> None:
    said = lambda _: Response(body=of(sse(chunk()), hang=True), media_type=SSE)  # noqa: E731
    error, found = await failed(said, stream=True, timeouts={"idle_ms": WAIT_MS})
    assert error.message == f"{NAME} fell silent in the middle of its answer, for 0.06 s"
    assert len(found) == 1


async def test_a_stream_that_never_ends_is_bounded() -> None:
    pieces = [sse(chunk())] * 2000
    said = lambda _: Response(body=of(*pieces, every_s=0.01), media_type=SSE)  # noqa: E731
    error, found = await failed(said, stream=True, timeouts={"total_ms": 3 * WAIT_MS})
    assert error.message == f"{NAME} did not end its answer in time"
    assert found


async def test_a_slow_drip_of_one_whole_answer_is_bounded() -> None:
    drip = [bytes([byte]) for byte in json.dumps(WHOLE).encode()]
    begun = time.perf_counter()
    error, _ = await failed(
        lambda _: Response(body=of(*drip, every_s=0.05)), stream=False, timeouts={"total_ms": 1_000}
    )
    assert error.message == f"{NAME} did not end its answer in time"
    assert time.perf_counter() - begun < 8


@pytest.mark.parametrize("stream", [False, True])
async def test_dying_in_the_middle_is_a_failure(stream: bool) -> None:
    kind, body = (SSE, sse(chunk())) if stream else ("application/json", b'{"choi')
    error, found = await failed(lambda _: Response(body=of(body), media_type=kind, cut=True), stream=stream)
    assert isinstance(error, EngineFailure)
    assert error.message == f"{NAME} broke off in the middle of its answer"
    assert len(found) == int(stream)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (sse(chunk()), "broke off in the middle"),
        (sse(chunk(), "[DONE]"), "was done before it was"),
        (b"", "broke off in the middle"),
        (sse("<html>Oops</html>"), "a web page"),
        (sse('{"choices": [{"ind'), "not JSON"),
        (sse("[1]"), "not an object"),
        (sse('{"choices": [{"index": 0, "delta": {"content": NaN}}]}'), "not JSON"),
        (sse("[" * 100_000), "not JSON"),
        (sse({"choices": "none"}), "without choices"),
        (sse({"choices": [{"index": 7, "delta": {}}]}), "not asked for"),
        (sse({"choices": [{"index": 0}]}), "without a delta"),
        (sse({"choices": [{"index": 0, "delta": {"content": 3}}]}), "without a delta"),
        (sse({"choices": [{"index": 0, "delta": {}, "finish_reason": 3}]}), "finish_reason"),
        (sse({"error": {"message": "overheated", "type": "server_error"}}), "overheated"),
    ],
)
async def test_a_stream_of_garbage_is_a_failure(body: bytes, words: str) -> None:
    error, _ = await failed(Response(body=body, media_type=SSE), stream=True)
    assert type(error) is ProviderFailure
    assert words in error.message


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response(body=b"<html>Welcome</html>", media_type="text/html"), "text/html, not with application/json"),
        (Response(body=b"<html>Welcome</html>"), "a web page"),
        (Response(body=b'{"choices": ['), "not JSON"),
        (Response(body=b"\xff\xfe"), "not JSON"),
        (as_json({}), "without choices"),
        (as_json({"choices": []}), "0 of 1 choices"),
        (as_json({"choices": [{**WHOLE["choices"][0], "finish_reason": None}]}), "not ended"),
        (as_json({"error": {"message": "overheated"}}), "overheated"),
        (as_json(WHOLE, 500), "failed with status 500"),
        (as_json(WHOLE, 302, location="http://127.0.0.1:1/"), "redirects"),
        (as_json({}, 408), "failed with status 408"),
    ],
)
async def test_a_whole_answer_of_garbage_is_a_failure(response: Response, words: str) -> None:
    error, _ = await failed(response, stream=False)
    assert type(error) is ProviderFailure
    assert (error.status, error.param) == (502, None)
    assert words in error.message


async def test_a_stream_of_another_type_is_a_failure() -> None:
    error, _ = await failed(Response(body=sse(chunk()), media_type="text/plain"), stream=True)
    assert error.message == f"{NAME} answered with text/plain, not with text/event-stream"


async def test_a_giant_line_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    flood = [b"data: " + b"x" * 2**20] * 100
    error, _ = await failed(lambda _: Response(body=of(*flood), media_type=SSE), stream=True)
    assert error.message == f"{NAME} sent a line of more than {connection.LINE_BYTES} bytes"


async def test_a_whole_answer_is_bounded_in_bytes() -> None:
    flood = [b" " * 2**20] * 100
    error, _ = await failed(lambda _: Response(body=of(*flood)), stream=False)
    assert error.message == f"{NAME} answered with more than {connection.WHOLE_BYTES} bytes"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gzip_bomb_is_never_unpacked(stream: bool) -> None:
    bomb = gzip.compress(b" " * 2**20)
    kind = SSE if stream else "application/json"
    error, _ = await failed(
        Response(body=bomb, media_type=kind, headers={"content-encoding": "gzip"}), stream=stream
    )
    assert error.message == f"{NAME} answered with compression, which it was not asked for"


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after": "soon"}, 1.0),
        ({"retry_after": "9999999"}, 3600.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({}, 1.0),
    ],
)
async def test_too_many_requests_are_that_with_their_wait(header: dict[str, str], wait_s: float) -> None:
    error, _ = await failed(as_json({"error": {"message": "slow down"}}, 429, **header), stream=True)
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("status", "said", "kind", "param"),
    [
        (401, {"message": "Incorrect API key"}, ProviderRefused, None),
        (403, {"message": "Country not supported"}, ProviderRefused, None),
        (402, {"message": "Insufficient balance"}, ProviderRefused, None),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, ProviderRefused, None),
        (404, {"message": "no such model", "code": "model_not_found"}, ProviderRefused, None),
        (400, {"message": "gpt-9 is no model", "param": "model"}, ProviderRefused, None),
        (400, {"message": "no", "param": "tools[0].type", "code": "invalid_value"}, BadRequest, "tools[0].type"),
        (
            400,
            {"message": "no", "param": "logprobs", "code": "unsupported_parameter"},
            UnsupportedParameter,
            "logprobs",
        ),
        (422, {"message": "no"}, BadRequest, None),
        (400, {"message": "too long", "code": "context_length_exceeded"}, ContextTooLong, "messages"),
        (400, {"message": "This model's maximum context length is 9 tokens"}, ContextTooLong, "messages"),
        (503, {"message": "overloaded"}, ProviderAway, None),
        (529, {"message": "overloaded"}, ProviderAway, None),
        (500, {"message": "oops"}, ProviderFailure, None),
    ],
)
async def test_a_refusal_is_told_to_whom_it_belongs(
    status: int, said: dict[str, Any], kind: type[HeliostatError], param: str | None
) -> None:
    error, _ = await failed(as_json({"error": said}, status), stream=False)
    assert (type(error), error.param) == (kind, param)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response(body=b"<html>", media_type="text/html"), "text/html"),
        (Response(body=b"{", media_type="application/x-ndjson"), "not JSON"),
        (Response(body=b'{"message": 3}\n', media_type="application/x-ndjson"), "not Ollama's"),
        (Response(body=b'{"message": {"content": "sun"}}\n', media_type="application/x-ndjson"), "broke off"),
        (
            Response(body=b'{"error": "llama runner died"}\n', media_type="application/x-ndjson"),
            "llama runner died",
        ),
        (as_json({"error": "out of memory"}, 500), "failed with status 500"),
    ],
)
async def test_an_ollama_that_fails_is_told(response: Response, words: str) -> None:
    async def faulty(request: Request) -> Response:
        return response if request.path == "/api/chat" else as_json({"version": "0.40.2", "models": []})

    async with serving(faulty) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        for ask in (answer, events):
            with pytest.raises(ProviderFailure, match=words):
                await ask(engine)
        await engine.stop()
