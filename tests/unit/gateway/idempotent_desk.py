"""Routes that count how often they run, behind the middleware of `Idempotency-Key`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI, Request, UploadFile
from starlette.responses import Response

from cluster.stores.database import engine_of
from cluster.stores.idempotency import IdempotentAnswers
from deployments.gateway import errors, lifetimes
from deployments.gateway.idempotency import Idempotency
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.sent_body import IN_MEMORY_BYTES
from deployments.gateway.timing import Timings
from tests.unit.gateway.conftest import client_of

CHAT = "/v1/chat/completions"
KEY = {"idempotency-key": "k1"}


class Desk:
    """fail: raised by the next run. gate: no run goes on while it is clear."""

    def __init__(self, url: str, **options: Any) -> None:
        self.runs = 0
        self.fail: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = asyncio.Event()
        app = FastAPI()
        errors.install(app)
        app.add_api_route(CHAT, self.answer, methods=["POST"], response_model=None)
        app.add_api_route("/v1/files", self.upload, methods=["POST"], response_model=None)
        app.add_api_route("/v1/responses", self.stream, methods=["POST"], response_model=None)
        app.add_api_route("/api/v1/keys", self.answer, methods=["POST"], response_model=None)
        answers = IdempotentAnswers(engine_of(url))
        app.add_middleware(Idempotency, answers=answers, **{"wait_s": 5.0, **options})
        app.add_middleware(BodyLimit, max_bytes=4 * IN_MEMORY_BYTES)
        app.add_middleware(RequestIds)
        app.add_middleware(Timings)
        self.app = app
        self.client = client_of(app)

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        await self._run()
        headers = {"x-run": str(self.runs)}
        return Response(b"%d:" % self.runs + body, status_code=201, headers=headers, media_type="text/plain")

    async def upload(self, request: Request, file: UploadFile) -> Response:
        await self._run()
        return Response(f"{self.runs}:{file.filename}:{len(await file.read())}")

    async def stream(self, request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await self._run()
            yield b"data: %d\n\n" % self.runs

        return await lifetimes.stream(events(), timeout_s=5, headers={})

    async def _run(self) -> None:
        self.runs += 1
        self.running.set()
        await self.gate.wait()
        fail, self.fail = self.fail, None
        if fail is not None:
            raise fail

    async def post(
        self, content: bytes = b"{}", key: str = "k1", path: str = CHAT, **options: Any
    ) -> httpx.Response:
        return await self.client.post(path, content=content, headers={"idempotency-key": key}, **options)


def replayed(response: httpx.Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


def received(content: bytes, size: int = 10**6) -> Any:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return receive
