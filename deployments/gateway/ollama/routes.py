"""The Ollama-compatible routes: chats, generations, embeddings, and the models themselves."""

import asyncio
import json
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.library import removal
from cluster.library.library import Library
from cluster.settings.tree import Settings
from cluster.types import TokenizeCall
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats, Checked
from deployments.gateway.models import use
from deployments.gateway.ollama import embeddings, errors, pulling
from deployments.gateway.ollama.answer import Shape, Spent, Writer, chat_shape, generate_shape
from deployments.gateway.ollama.keeping import kept
from deployments.gateway.ollama.listing import Listing
from deployments.gateway.ollama.names import bare
from deployments.gateway.ollama.translate import Translated, chat_of, generate_of, raw_of
from deployments.gateway.ollama.wire import (
    Asking,
    ChatBody,
    DeleteBody,
    EmbedBody,
    EmbeddingsBody,
    GenerateBody,
    PullBody,
    ShowBody,
)
from deployments.gateway.openai.embeddings import embedding_inputs
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of
from deployments.gateway.surface import take

PREFIX = "/api"
NDJSON = "application/x-ndjson"
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back
SPOKEN = "0.12.11"  # the release of Ollama whose API this is: clients look what they may send
PULL_S = 7 * 24 * 3600.0  # a large model over a slow line; whoever waits for it hangs up first


def router(backends: Backends, settings: Settings, chats: Chats) -> APIRouter:
    """The routes under `/api`."""
    routes = APIRouter(prefix=PREFIX, tags=["Ollama"])
    desk = Desk(backends, settings, chats)

    @routes.post("/chat", summary="A chat as Ollama's API", openapi_extra=json_body(ChatBody))
    async def chat(request: Request) -> Response:
        return await desk.chat(request)

    @routes.post("/generate", summary="A prompt answered, as Ollama's API", openapi_extra=json_body(GenerateBody))
    async def generate(request: Request) -> Response:
        return await desk.generate(request)

    @routes.post("/embed", summary="Embeddings as Ollama's API", openapi_extra=json_body(EmbedBody))
    async def embed(request: Request) -> Response:
        return await embeddings.embed(request, desk.inputs)

    @routes.post("/embeddings", summary="One embedding (legacy)", openapi_extra=json_body(EmbeddingsBody))
    async def embed_one(request: Request) -> Response:
        return await embeddings.embeddings(request, desk.inputs)

    take(routes, _of_models(backends, settings))
    return routes


class Desk:
    """Answers chats and generations."""

    def __init__(self, backends: Backends, settings: Settings, chats: Chats) -> None:
        self._backends = backends
        self._chats = chats
        self.inputs = embedding_inputs(backends, settings, chats)

    async def chat(self, request: Request) -> Response:
        """`POST /api/chat`. Raises what `Chats` raises."""
        wanted = parse(ChatBody, await request.body())
        name = bare(wanted.model, self._backends.models)
        if not wanted.messages:
            return await self._kept(request, wanted, name, chat_shape)
        return await self._answer(request, wanted, chat_of(wanted, name), chat_shape)

    async def generate(self, request: Request) -> Response:
        """`POST /api/generate`. Raises what `Chats` raises."""
        wanted = parse(GenerateBody, await request.body())
        name = bare(wanted.model, self._backends.models)
        if not wanted.prompt and not wanted.images:
            return await self._kept(request, wanted, name, generate_shape)
        translated = raw_of(wanted, name) if wanted.raw else generate_of(wanted, name)
        return await self._answer(request, wanted, translated, generate_shape)

    async def _answer(self, request: Request, wanted: Asking, asked: Translated, shape: Shape) -> Response:
        chats, served = self._chats, asked.body["model"]
        writer = Writer(shape, Spent(use.said(wanted.keep_alive)), model=wanted.model, served=served)
        with asked.blamed():
            chat = await self._checked(request, asked)
            if wanted.options is not None and wanted.options.num_ctx is not None:
                card = await chats.card(chat.wanted.model, chat.principal)
                embeddings.check_context(wanted.options, card.capabilities.context_length)
            if wanted.streamed:
                return await lifetimes.stream(
                    writer.lines(chats.events(chat)),
                    timeout_s=chats.timeout_s,
                    headers=STREAM_HEADERS,
                    failed=errors.line,
                    media_type=NDJSON,
                )
            completion = await lifetimes.while_connected(request, chats.whole(chat), timeout_s=chats.timeout_s)
        return Response(writer.whole(completion), media_type="application/json")

    async def _checked(self, request: Request, asked: Translated) -> Checked:
        principal, request_id = principal_of(request), request.state.request_id
        if "messages" in asked.body:
            return await self._chats.check(asked.written, request_id=request_id, principal=principal)
        check = self._chats.check_completion
        checked = await check(asked.written, request_id=request_id, principal=principal)
        if checked.wanted.max_tokens is not None:
            return checked
        # Ollama's default is as many as fit, that of raw completions a few.
        card = await self._chats.card(checked.wanted.model, principal)
        call = TokenizeCall(body=json.dumps({"prompt": checked.wanted.prompt}).encode(), request_id=request_id)
        async with self._chats.gate.count(principal):
            count = (await self._backends.models[checked.wanted.model].tokenize(call)).count
        asked.body["model"] = checked.wanted.model  # chosen once, where the choice was ours
        asked.body["max_tokens"] = max(card.capabilities.context_length - count, 1)
        return await check(asked.written, request_id=request_id, principal=principal)

    async def _kept(self, request: Request, wanted: Asking, name: str, shape: Shape) -> Response:
        keep_alive_s = use.said(wanted.keep_alive).keep_alive_s
        reason = await kept(request, self._backends, self._chats, name, keep_alive_s)
        writer = Writer(shape, Spent(use.current()), model=wanted.model, served=name)
        end = b"\n" if wanted.streamed else b""
        kind = NDJSON if wanted.streamed else "application/json"
        return Response(writer.empty(reason) + end, media_type=kind)


def _of_models(backends: Backends, settings: Settings) -> APIRouter:
    """What is about models, not of them."""
    routes = APIRouter(prefix=PREFIX, tags=["Ollama"])
    listing = Listing(settings, backends)

    @routes.get("/version", summary="The release of Ollama whose API this is")
    async def version() -> dict[str, str]:
        return {"version": SPOKEN}

    @routes.get("/tags", summary="The models that are served or on disk, as Ollama's API")
    async def tags(request: Request) -> dict[str, Any]:
        return await listing.tags(principal_of(request).may_ask)

    @routes.get("/ps", summary="The models that are loaded, as Ollama's API")
    async def ps(request: Request) -> dict[str, Any]:
        return await listing.ps(principal_of(request).may_ask)

    @routes.post("/show", summary="One model, as Ollama's API", openapi_extra=json_body(ShowBody))
    async def show(request: Request) -> dict[str, Any]:
        wanted = parse(ShowBody, await request.body())
        return await listing.show(wanted.wanted, principal_of(request).may_ask)

    @routes.post("/pull", summary="Get a model, as Ollama's API", openapi_extra=json_body(PullBody))
    async def pull(request: Request) -> Response:
        wanted = parse(PullBody, await request.body())
        got = Library(settings.hub).pull(bare(wanted.wanted))
        if wanted.streamed:
            return await lifetimes.stream(
                pulling.lines(got), timeout_s=PULL_S, headers=STREAM_HEADERS, failed=errors.line, media_type=NDJSON
            )
        last = await lifetimes.while_connected(request, pulling.whole(got), timeout_s=PULL_S)
        return Response(json.dumps(last), media_type="application/json")

    @routes.delete("/delete", summary="Remove a model's files", openapi_extra=json_body(DeleteBody))
    async def delete(request: Request) -> Response:
        wanted = parse(DeleteBody, await request.body())
        serving = await _serving(backends, settings)
        await asyncio.to_thread(_remove, settings, bare(wanted.wanted), serving)
        return Response(status_code=200)

    return routes


def _remove(settings: Settings, name: str, serving: Collection[str]) -> None:
    library = Library(settings.hub)
    removal.remove(library, removal.plan(library, name, serving))


async def _serving(backends: Backends, settings: Settings) -> set[str]:
    """Ids and sources of what is loaded, which keeps its files."""
    loaded = {one.id for one in await backends.fleet.loaded()} if backends.fleet is not None else set()
    loaded |= {*backends.models, *(model.id for model in settings.embedding_models)}
    sources = {str(getattr(model.engine, "source", "")) for model in settings.models if model.id in loaded}
    return loaded | sources - {""}
