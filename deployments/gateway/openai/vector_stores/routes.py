"""The routes of OpenAI's vector stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from deployments.gateway.bodies import json_body
from deployments.gateway.openai.files import listed
from deployments.gateway.openai.vector_stores import shown
from deployments.gateway.openai.vector_stores.desk import Desk
from deployments.gateway.openai.vector_stores.wire import (
    FileBatchRequest,
    FileChange,
    FileRequest,
    SearchRequest,
    StoreChange,
    StoreRequest,
)
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

POLL_MS = "250"  # what OpenAI's clients wait between two looks; their own default is a second
POLL_AFTER = "openai-poll-after-ms"

StoreId = Annotated[str, Path(alias="id", max_length=512, description="As `POST /v1/vector_stores` gave it.")]
Limit = Annotated[int, Query(ge=1, le=100)]
Order = Literal["asc", "desc"]
Cursor = Annotated[str | None, Query(max_length=128)]
Status = Annotated[Literal["in_progress", "completed", "failed", "cancelled"] | None, Query(alias="filter")]


def router(desk: Desk) -> APIRouter:
    """The routes under `/v1/vector_stores`. While they are served, what has expired is emptied."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(desk.expiry.watch())
        yield
        watch.cancel()

    routes = APIRouter(prefix="/v1/vector_stores", tags=["OpenAI"], lifespan=lifespan)
    _store_routes(routes, desk)
    _file_routes(routes, desk)
    _batch_routes(routes, desk)
    return routes


def _store_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post("", summary="Make a vector store", openapi_extra=json_body(StoreRequest))
    async def create(request: Request) -> dict[str, Any]:
        return await desk.create(parse(StoreRequest, await request.body()), principal_of(request).owner)

    @routes.get("", summary="Your vector stores")
    async def page(
        request: Request, limit: Limit = 20, order: Order = "desc", after: Cursor = None, before: Cursor = None
    ) -> dict[str, Any]:
        options = {"limit": limit, "newest_first": order == "desc", "after": after, "before": before}
        data, more = await desk.page(principal_of(request).owner, **options)
        return listed(data, more=more)

    @routes.get("/{id}", summary="One vector store")
    async def show(request: Request, store_id: StoreId) -> dict[str, Any]:
        return await desk.shown(await desk.look(store_id, principal_of(request).owner))

    @routes.post("/{id}", summary="Change a vector store", openapi_extra=json_body(StoreChange))
    async def change(request: Request, store_id: StoreId) -> dict[str, Any]:
        wanted = parse(StoreChange, await request.body())
        return await desk.change(store_id, wanted, principal_of(request).owner)

    @routes.delete("/{id}", summary="Delete a vector store; its files stay in /v1/files")
    async def remove(request: Request, store_id: StoreId) -> dict[str, Any]:
        gone = await desk.remove(store_id, principal_of(request).owner)
        return {"id": gone, "object": "vector_store.deleted", "deleted": True}

    @routes.post("/{id}/search", summary="The best passages of a store", openapi_extra=json_body(SearchRequest))
    async def search(request: Request, store_id: StoreId) -> dict[str, Any]:
        wanted = parse(SearchRequest, await request.body())
        principal = principal_of(request)
        async with desk.gate.count(principal):
            data = await desk.search(store_id, wanted, principal.owner)
        return {
            "object": "vector_store.search_results.page",
            "search_query": wanted.query if isinstance(wanted.query, list) else [wanted.query],
            "data": data,
            "has_more": False,
            "next_page": None,
        }


def _file_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/{id}/files", summary="Put a file in", openapi_extra=json_body(FileRequest))
    async def attach(request: Request, response: Response, store_id: StoreId) -> dict[str, Any]:
        wanted = parse(FileRequest, await request.body())
        response.headers[POLL_AFTER] = POLL_MS
        return await desk.attach(store_id, wanted, principal_of(request).owner)

    @routes.get("/{id}/files", summary="The files of a store")
    async def page(
        request: Request,
        store_id: StoreId,
        limit: Limit = 20,
        order: Order = "desc",
        after: Cursor = None,
        before: Cursor = None,
        status: Status = None,
    ) -> dict[str, Any]:
        made = await desk.look(store_id, principal_of(request).owner)
        options = {"limit": limit, "newest_first": order == "desc", "after": after, "before": before}
        return await _files(desk, made.id, status=status, **options)

    @routes.get("/{id}/files/{file_id}", summary="One of them, and how far it is")
    async def show(request: Request, response: Response, store_id: StoreId, file_id: str) -> dict[str, Any]:
        made = await desk.look(store_id, principal_of(request).owner)
        await desk.look_after(made)
        response.headers[POLL_AFTER] = POLL_MS
        return shown.file(await desk.file(made, file_id), desk.settings)

    @routes.post("/{id}/files/{file_id}", summary="Its attributes", openapi_extra=json_body(FileChange))
    async def annotate(request: Request, store_id: StoreId, file_id: str) -> dict[str, Any]:
        wanted = parse(FileChange, await request.body())
        made = await desk.find(store_id, principal_of(request).owner)
        return await desk.annotate(made, await desk.file(made, file_id), wanted.attributes)

    @routes.get("/{id}/files/{file_id}/content", summary="The text that was read from it")
    async def content(request: Request, store_id: StoreId, file_id: str) -> dict[str, Any]:
        made = await desk.find(store_id, principal_of(request).owner)
        data = await desk.content(made, await desk.file(made, file_id))
        return {"object": "vector_store.file_content.page", "data": data, "has_more": False, "next_page": None}

    @routes.delete("/{id}/files/{file_id}", summary="Take it out; it stays in /v1/files")
    async def detach(request: Request, store_id: StoreId, file_id: str) -> dict[str, Any]:
        made = await desk.look(store_id, principal_of(request).owner)
        await desk.attaching.detach(await desk.file(made, file_id), made.physical)
        return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


def _batch_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/{id}/file_batches", summary="Put files in together", openapi_extra=json_body(FileBatchRequest))
    async def create(request: Request, response: Response, store_id: StoreId) -> dict[str, Any]:
        wanted = parse(FileBatchRequest, await request.body())
        response.headers[POLL_AFTER] = POLL_MS
        return await desk.attach_batch(store_id, wanted.wanted, principal_of(request).owner)

    @routes.get("/{id}/file_batches/{batch_id}", summary="How far they are")
    async def show(request: Request, response: Response, store_id: StoreId, batch_id: str) -> dict[str, Any]:
        made = await desk.look(store_id, principal_of(request).owner)
        await desk.look_after(made)
        response.headers[POLL_AFTER] = POLL_MS
        return await desk.shown_batch(await desk.attaching.do(lambda records: records.batch(made.id, batch_id)))

    @routes.post("/{id}/file_batches/{batch_id}/cancel", summary="Begin no more of them")
    async def cancel(request: Request, store_id: StoreId, batch_id: str) -> dict[str, Any]:
        return await desk.cancel(await desk.look(store_id, principal_of(request).owner), batch_id)

    @routes.get("/{id}/file_batches/{batch_id}/files", summary="The files of a batch")
    async def page(
        request: Request,
        store_id: StoreId,
        batch_id: str,
        limit: Limit = 20,
        order: Order = "desc",
        after: Cursor = None,
        before: Cursor = None,
        status: Status = None,
    ) -> dict[str, Any]:
        made = await desk.look(store_id, principal_of(request).owner)
        batch = await desk.attaching.do(lambda records: records.batch(made.id, batch_id))
        options = {"limit": limit, "newest_first": order == "desc", "after": after, "before": before}
        return await _files(desk, made.id, status=status, batch_id=batch.id, **options)


async def _files(desk: Desk, store_id: str, **options: Any) -> dict[str, Any]:
    found = await desk.attaching.do(lambda records: records.page(store_id, **options))
    return listed([shown.file(one, desk.settings) for one in found.files], more=found.more)
