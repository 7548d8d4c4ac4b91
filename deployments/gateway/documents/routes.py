"""The documents' routes: upload, list, show, annotate, delete; and how far uploads are."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import Engine
from starlette.responses import JSONResponse, Response

from cluster.errors import HeliostatError
from cluster.settings.tree import Settings
from deployments.clients import Backends, Retriever
from deployments.gateway import progress
from deployments.gateway.bodies import json_body
from deployments.gateway.collections.directory import Collections, Place
from deployments.gateway.documents.background import Background
from deployments.gateway.documents.belongings import Belongings
from deployments.gateway.documents.form import MAX_FIELDS, MAX_FILES, UPLOAD_BODY, Upload, read_form
from deployments.gateway.documents.intake import Intake
from deployments.gateway.documents.labels import LabelChange
from deployments.gateway.documents.listing import Wanted, page, shown, shown_chunk
from deployments.gateway.documents.ray_jobs import Jobs, RayJobs
from deployments.gateway.documents.uploads import (
    Queued,
    Refused,
    Stored,
    Taken,
    Target,
    Uploads,
    told_error,
    told_job,
)
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, Role, principal_of
from deployments.gateway.wire import Wire

PREFIX = "/api/v1"
UPLOADS = f"{PREFIX}/documents"  # its bodies have a limit of their own
MOST_LISTED = 1000
MOST_CHUNKS = 500

Named = Annotated[
    str | None, Query(max_length=512, description="A collection's name or id; the shared one by default.")
]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED)]
Cursor = Annotated[str | None, Query(max_length=128, description="The document before the page.")]
Tagged = Annotated[list[str] | None, Query(description="Again for several, all of which a document must have.")]
Part = Annotated[str | None, Query(max_length=512, description="A part of the name.")]
Filter = Annotated[str | None, Query(max_length=16_384, description="A filter, as JSON.")]
First = Annotated[int, Query(ge=0, description="The ordinal of the first one.")]
ChunkLimit = Annotated[int, Query(ge=1, le=MOST_CHUNKS)]
Id = Annotated[str, Field(min_length=1, max_length=128)]


class Removal(Wire):
    """Body of `POST /api/v1/documents/delete`."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_LISTED)]
    collection: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class Desk:
    """What the routes do."""

    def __init__(
        self, retriever: Retriever, settings: Settings, engine: Engine, collections: Collections, jobs: Jobs
    ) -> None:
        self.retriever = retriever
        self.collections = collections
        self.belongings = Belongings(retriever, engine)
        self.intake = Intake(retriever, settings, jobs, engine)
        self.uploads = Uploads(settings, self.intake, self.belongings, collections)
        self.background = Background(settings, self.uploads, self.intake)

    async def place(self, request: Request, name: str | None) -> Place:
        """The collection that is meant. Raises CollectionNotFound."""
        principal = principal_of(request)
        return await self.collections.find(principal.owner, name, operator=principal.role is Role.ADMIN)

    async def upload(self, upload: Upload, place: Place, principal: Principal) -> Response:
        """Store what a form holds. Raises what refused its only file."""
        target = Target(place=place, principal=principal, labels=upload.labels)
        if not upload.wait:
            job_id = await self.background.begin(upload.files, target)
            return JSONResponse({**told_job(job_id), "files": len(upload.files)}, status_code=202)
        return _uploaded(await self.uploads.take_all(upload.files, target))

    async def remove_many(self, removal: Removal, place: Place, principal: Principal) -> dict[str, Any]:
        """Take several documents out; what cannot be says why."""
        deleted: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for document_id in dict.fromkeys(removal.ids):
            try:
                deleted.append(shown(await self.belongings.remove(place, document_id, principal)))
            except HeliostatError as error:
                errors.append({"id": document_id, "error": told_error(error)})
        return {"deleted": deleted, "errors": errors}


def router(
    backends: Backends,
    settings: Settings,
    engine: Engine,
    collections: Collections | None = None,
    jobs: Jobs | None = None,
) -> APIRouter:
    """The routes under `/api/v1/documents`. jobs: how large uploads are stored, Ray jobs by default."""
    retriever = backends.retriever
    assert retriever is not None  # without an embedder the app has no documents
    routes = APIRouter(prefix=PREFIX, tags=["Documents"])
    collections = collections or Collections(engine, retriever, settings)
    desk = Desk(retriever, settings, engine, collections, jobs or RayJobs())
    _upload_routes(routes, desk)
    _reading_routes(routes, desk)
    _changing_routes(routes, desk)
    return routes


def _upload_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/documents", status_code=201, summary="Store documents", openapi_extra=UPLOAD_BODY)
    async def add(request: Request, collection: Named = None) -> Response:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS) as form:  # closes what it spooled
            upload = read_form(form)
            place = await desk.place(request, upload.collection or collection)
            return await desk.upload(upload, place, principal_of(request))

    @routes.get("/documents/jobs/{job_id}", summary="How far an upload is")
    async def job(job_id: str, request: Request) -> dict[str, Any]:
        return (await desk.intake.standing(job_id, principal_of(request).owner)).told()

    @routes.get(
        "/documents/jobs/{job_id}/events",
        summary="The same, after Last-Event-ID and live until its end; 204 where nothing comes any more",
        response_class=Response,
    )
    async def events(job_id: str, request: Request, after: progress.Seen = 0) -> Response:
        owner = principal_of(request).owner

        async def look() -> progress.Standing:
            standing = await desk.intake.standing(job_id, owner)
            state = standing.progress.state
            return progress.Standing(
                number=standing.number, status=state, over=standing.over, begun=True, told=standing.told()
            )

        return await progress.streamed(look, after=progress.last_event(request, after))


def _reading_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/documents", summary="A collection's documents, newest first")
    async def list_documents(
        request: Request,
        collection: Named = None,
        limit: Limit = MOST_LISTED,
        after: Cursor = None,
        tag: Tagged = None,
        source: Part = None,
        where: Filter = None,
    ) -> dict[str, Any]:
        place = await desk.place(request, collection)
        wanted = Wanted(limit=limit, after=after, tags=tuple(tag or ()), source=source, where=where)
        return page(await desk.retriever.documents(place.physical), wanted)

    @routes.get("/documents/{document_id}", summary="One document")
    async def show(document_id: str, request: Request, collection: Named = None) -> dict[str, Any]:
        place = await desk.place(request, collection)
        return shown(await desk.retriever.document(document_id, place.physical))

    @routes.get("/documents/{document_id}/chunks", summary="Its chunks, in order")
    async def chunks(
        document_id: str,
        request: Request,
        collection: Named = None,
        first: First = 0,
        limit: ChunkLimit = 100,
    ) -> dict[str, Any]:
        place = await desk.place(request, collection)
        document = await desk.retriever.document(document_id, place.physical)
        found = await desk.retriever.chunks(document_id, place.physical, first=first, limit=limit)
        return {
            "chunks": [shown_chunk(chunk) for chunk in found],
            "total": document.chunks,
            "has_more": first + len(found) < document.chunks and bool(found),
        }


def _changing_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.patch("/documents/{document_id}", summary="Its tags and metadata", openapi_extra=json_body(LabelChange))
    async def annotate(document_id: str, request: Request, collection: Named = None) -> dict[str, Any]:
        change = parse(LabelChange, await request.body())
        place = await desk.place(request, collection)
        await desk.belongings.check_change(place, document_id, principal_of(request))
        tags = None if change.tags is None else tuple(dict.fromkeys(change.tags))
        return shown(
            await desk.retriever.annotate(document_id, place.physical, tags=tags, metadata=change.metadata)
        )

    @routes.post("/documents/delete", summary="Forget several documents", openapi_extra=json_body(Removal))
    async def remove_many(request: Request) -> dict[str, Any]:
        removal = parse(Removal, await request.body())
        place = await desk.place(request, removal.collection)
        return await desk.remove_many(removal, place, principal_of(request))

    @routes.delete("/documents/{document_id}", summary="Forget a document of one's own, or for admins any")
    async def remove(document_id: str, request: Request, collection: Named = None) -> dict[str, Any]:
        place = await desk.place(request, collection)
        return shown(await desk.belongings.remove(place, document_id, principal_of(request)))


def _uploaded(taken: list[Taken]) -> Response:
    stored = [shown(one.document) for one in taken if isinstance(one, Stored)]
    queued = [one.told() for one in taken if isinstance(one, Queued)]
    refused = [one for one in taken if isinstance(one, Refused)]
    if not stored and not queued:
        raise refused[0].error
    status = 201 if stored else 202
    if len(taken) == 1:
        return JSONResponse((stored or queued)[0], status_code=status)
    errors = [{"source": one.source, "error": told_error(one.error)} for one in refused]
    return JSONResponse({"documents": stored, "jobs": queued, "errors": errors}, status_code=status)
