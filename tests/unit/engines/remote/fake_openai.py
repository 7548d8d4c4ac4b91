"""A provider with OpenAI's API: our scripted engine behind a real HTTP server."""

import json
from collections.abc import AsyncIterator
from typing import Any

from cluster.engines.protocol import ChatEngine
from cluster.engines.scripted import ScriptedEngine
from cluster.errors import HeliostatError
from cluster.settings.engines import ScriptedSettings
from cluster.types import ChatCall
from tests.unit.engines.remote.tiny_server import Request, Response, as_json

REMOTE = "remote-model"
CONTEXT = 2048


class FakeOpenAI:
    """Answers /v1/models, /v1/chat/completions and /v1/embeddings. key: wanted of every request, where given."""

    def __init__(self, engine: ChatEngine | None = None, *, key: str | None = None) -> None:
        self.engine = engine or ScriptedEngine(ScriptedSettings(), REMOTE, CONTEXT)
        self.key = key
        self.listed: list[dict[str, Any]] = [{"id": REMOTE, "object": "model", "max_model_len": CONTEXT}]

    async def start(self) -> "FakeOpenAI":
        await self.engine.start()
        return self

    async def __call__(self, request: Request) -> Response:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {request.headers.get('authorization')}"
            return as_json({"error": {"message": said, "code": "invalid_api_key"}}, 401)
        if request.path.startswith("/v1/models"):
            return as_json({"object": "list", "data": self.listed})
        if request.path.startswith("/v1/embeddings"):
            return as_json(embeddings(request.json))
        if request.path.startswith("/v1/chat/completions"):
            return await self._chat(request)
        return as_json({"error": {"message": "no such path"}}, 404)

    async def _chat(self, request: Request) -> Response:
        if request.json.get("model") != REMOTE:
            return as_json({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
        call = ChatCall(body=request.body, request_id="theirs")
        try:
            if not request.json.get("stream"):
                return Response(body=await self.engine.chat(call))
            events = self.engine.stream(call)
            first = await anext(events)
        except HeliostatError as error:
            return refused(error)
        return Response(body=_with(first, events), media_type="text/event-stream; charset=utf-8")


def refused(error: HeliostatError) -> Response:
    content = {"message": error.message, "type": "invalid_request_error", "param": error.param, "code": error.code}
    headers = {} if error.retry_after_s is None else {"retry_after": f"{error.retry_after_s:g}"}
    return as_json({"error": content}, error.status, **headers)


def embeddings(wanted: dict[str, Any]) -> dict[str, Any]:
    """Vectors of three numbers: characters, words, one."""
    given = wanted["input"]
    vectors = [[float(len(text)), float(len(text.split())), 1.0] for text in given]
    tokens = sum(len(text.split()) for text in given)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


async def _with(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for item in rest:
            yield item
    finally:
        await rest.aclose()  # type: ignore[attr-defined]


def sse(*events: Any) -> bytes:
    """Events as bytes; a string stands as it is."""
    return b"".join(b"data: " + (e if isinstance(e, str) else json.dumps(e)).encode() + b"\n\n" for e in events)
