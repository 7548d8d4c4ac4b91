"""The routes that search the documents and answer from them."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from cluster.settings.tree import Settings
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Asker, principal_of
from deployments.gateway.rag import events, shown
from deployments.gateway.rag.answers import Answers
from deployments.gateway.rag.searching import Searches
from deployments.gateway.rag.wire import QuestionRequest, SearchRequest

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back


def router(backends: Backends, settings: Settings, chats: Chats, searches: Searches) -> APIRouter:
    """The routes under `/api/v1/rag`."""
    routes = APIRouter(prefix="/api/v1/rag", tags=["Documents"])
    answers = Answers(backends, settings, chats, searches)

    @routes.post("/search", summary="The best passages", openapi_extra=json_body(SearchRequest))
    async def search(request: Request) -> dict[str, Any]:
        wanted, asker = parse(SearchRequest, await request.body()), _asker(request)

        async def found() -> dict[str, Any]:
            async with chats.gate.count(asker.principal):
                return {"passages": shown.passages(await searches.find(wanted, asker))}

        return await lifetimes.while_connected(request, found(), timeout_s=chats.timeout_s)

    @routes.post("/query", summary="A grounded answer, whole or streamed", openapi_extra=json_body(QuestionRequest))
    async def query(request: Request) -> Response:
        wanted, asker = parse(QuestionRequest, await request.body()), _asker(request)
        if wanted.stream:
            return await lifetimes.stream(
                answers.events(wanted, asker),
                timeout_s=chats.timeout_s,
                headers=STREAM_HEADERS,
                failed=events.failed,
            )
        work = answers.whole(wanted, asker)
        return JSONResponse(await lifetimes.while_connected(request, work, timeout_s=chats.timeout_s))

    return routes


def _asker(request: Request) -> Asker:
    return Asker(principal=principal_of(request), request_id=request.state.request_id)
