"""The documents' routes: upload, list, delete, search, ask."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, UploadFile
from pydantic import Field
from sqlalchemy import Engine
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as Upload
from starlette.responses import JSONResponse, Response

from cluster.errors import BadRequest, DocumentNotFound, ModelNotFound
from cluster.settings.tree import Settings
from cluster.types import Answer, Document, Passage, Priority
from deployments.clients import Backends, Retriever
from deployments.gateway import lifetimes
from deployments.gateway.belongings import Belongings
from deployments.gateway.bodies import json_body
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Gate
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of
from deployments.gateway.uploads import Jobs, Queued, Refused, Stored, Uploads
from deployments.gateway.wire import Wire

PREFIX = "/api/v1"
UPLOADS = f"{PREFIX}/documents"  # its bodies have a limit of their own
MAX_PASSAGES = 100
MAX_QUERY = 8192  # characters: several times what an embedder reads
FILE_FIELDS = ("file", "files")
MAX_FILES = 100
FILE_SCHEMA = {"type": "string", "format": "binary"}
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": FILE_SCHEMA, "files": {"type": "array", "items": FILE_SCHEMA}},
                }
            }
        },
    }
}


class SearchRequest(Wire):
    """What to search for."""

    query: str = Field(min_length=1, max_length=MAX_QUERY)
    limit: int | None = Field(None, ge=1, le=MAX_PASSAGES, description="None: documents.passages")


class QuestionRequest(SearchRequest):
    """What to answer. model: None takes documents.answer_model, or the first chat model."""

    model: str | None = Field(None, min_length=1)


class RayJobs:
    """Ray jobs through `cluster.runtime.jobs`."""

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        """Start a job; returns its id."""
        from cluster.runtime import jobs

        return jobs.submit(entrypoint, submission_id=submission_id, metadata=metadata, home=home)

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        """Why a job is over; None while it waits or runs."""
        from cluster.runtime import jobs

        job = jobs.job_status(submission_id, home=home)
        return f"{job.status}: {job.message}" if job.finished else None


def router(
    backends: Backends,
    settings: Settings,
    jobs: Jobs | None = None,
    *,
    gate: Gate | None = None,
    engine: Engine | None = None,
) -> APIRouter:
    """The routes under `/api/v1` for documents. jobs: how large uploads are stored, Ray jobs by default.

    gate: who may ask the model, and when; None lets everybody in. engine: of the database that keeps documents'
    owners; without one only admins take documents out.
    """
    assert backends.retriever is not None  # without an embedder the app has no documents
    retriever = backends.retriever
    routes = APIRouter(prefix=PREFIX, tags=["Documents"])
    belongings = Belongings(retriever, settings.documents.collection, engine)
    uploads = Uploads(retriever, settings, jobs or RayJobs(), belongings)
    _document_routes(routes, retriever, uploads, belongings)
    _question_routes(routes, retriever, settings, gate or Gate())
    return routes


def _document_routes(routes: APIRouter, retriever: Retriever, uploads: Uploads, belongings: Belongings) -> None:
    @routes.post("/documents", status_code=201, summary="Store documents", openapi_extra=UPLOAD_BODY)
    async def add(request: Request) -> Response:
        async with request.form(max_files=MAX_FILES) as form:  # closes the files that it spooled to disk
            return _uploaded([await uploads.take(file, principal_of(request)) for file in _files(form)])

    @routes.get("/documents", summary="All stored documents, newest first")
    async def list_documents() -> dict[str, Any]:
        return {"documents": [_shown(document) for document in await retriever.documents()]}

    @routes.get("/documents/jobs/{job_id}", summary="How far a large upload is")
    async def job(job_id: str) -> dict[str, Any]:
        return await uploads.progress(job_id)

    @routes.get("/documents/{document_id}", summary="One document")
    async def show(document_id: str) -> dict[str, Any]:
        for document in await retriever.documents():
            if document.id == document_id:
                return _shown(document)
        hint = "GET /api/v1/documents lists all documents"
        raise DocumentNotFound(f"No document with the id {document_id!r}", hint=hint)

    @routes.delete("/documents/{document_id}", summary="Forget a document of one's own, or for admins any")
    async def remove(document_id: str, request: Request) -> dict[str, Any]:
        return _shown(await belongings.remove(document_id, principal_of(request)))


def _question_routes(routes: APIRouter, retriever: Retriever, settings: Settings, gate: Gate) -> None:
    first = next((model.id for model in settings.chat_models), "")
    answers_by_default = settings.documents.answer_model or first
    timeout_s = settings.limits.generation_timeout_ms / 1000

    @routes.post("/rag/search", summary="The best passages", openapi_extra=json_body(SearchRequest))
    async def search(request: Request) -> dict[str, Any]:
        wanted = parse(SearchRequest, await request.body())
        limit = wanted.limit or settings.documents.passages
        async with gate.count(principal_of(request)):
            return {"passages": _citations(await retriever.search(wanted.query, limit=limit))}

    @routes.post("/rag/query", summary="A grounded answer", openapi_extra=json_body(QuestionRequest))
    async def query(request: Request) -> dict[str, Any]:
        wanted = parse(QuestionRequest, await request.body())
        limit = wanted.limit or settings.documents.passages
        name = wanted.model or answers_by_default
        if not principal_of(request).may_ask(name):
            raise ModelNotFound(f"No chat model {name[:128]!r} is served here", param="model")
        request_id = request.state.request_id
        admission = gate.admit(
            principal_of(request),
            name,
            priority=Priority.INTERACTIVE,
            # The passages are not known yet: each is as long as documents are cut.
            estimate=usage.Estimate(
                prompt=usage.of_inputs((wanted.query,)).prompt + limit * settings.documents.chunk_tokens,
                answer=settings.documents.answer_tokens,
            ),
        )

        async def admitted() -> Answer:
            async with admission:
                given = await retriever.answer(wanted.query, limit=limit, model=wanted.model, request_id=request_id)
                admission.used = given.usage.total_tokens
                return given

        answer = await lifetimes.while_connected(request, admitted(), timeout_s=timeout_s)
        return {
            "answer": answer.text,
            "model": answer.model,
            "citations": _citations(answer.passages),
            "finish_reason": answer.finish_reason,
            "usage": {
                "prompt_tokens": answer.usage.prompt_tokens,
                "completion_tokens": answer.usage.completion_tokens,
                "total_tokens": answer.usage.total_tokens,
            },
        }


def _files(form: FormData) -> list[UploadFile]:
    """The uploaded files. Raises BadRequest for a form without one, or with a field nobody reads."""
    unknown = sorted(set(form.keys()) - set(FILE_FIELDS))
    if unknown:
        raise BadRequest(f"Unknown parameter: {unknown[0]}", param=unknown[0], hint="send the fields file or files")
    files: list[UploadFile] = []
    for name, value in form.multi_items():
        if not isinstance(value, Upload):
            raise BadRequest(f"{name} is not a file", hint="send it with a filename", param=name)
        files.append(value)  # type: ignore[arg-type]  # FastAPI's class adds nothing to Starlette's
    if not files:
        hint = "multipart/form-data with a field named file: curl -F file=@guide.pdf"
        raise BadRequest("There is no file in the request", hint=hint, param="file")
    return files


def _uploaded(taken: list[Stored | Queued | Refused]) -> Response:
    stored = [_shown(one.document) for one in taken if isinstance(one, Stored)]
    queued = [one.told() for one in taken if isinstance(one, Queued)]
    refused = [one for one in taken if isinstance(one, Refused)]
    if not stored and not queued:
        raise refused[0].error
    status = 201 if stored else 202
    if len(taken) == 1:
        return JSONResponse((stored or queued)[0], status_code=status)
    errors = [
        {
            "source": one.source,
            "error": {"code": one.error.code, "message": one.error.message, "hint": one.error.hint},
        }
        for one in refused
    ]
    return JSONResponse({"documents": stored, "jobs": queued, "errors": errors}, status_code=status)


def _shown(document: Document) -> dict[str, Any]:
    return asdict(document)


def _citations(passages: tuple[Passage, ...]) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "document_id": passage.chunk.document_id,
            "source": passage.chunk.source,
            "page": passage.chunk.page,
            "start": passage.chunk.start,
            "end": passage.chunk.end,
            "heading": passage.chunk.heading,
            "score": round(passage.score, 6),
            "text": passage.chunk.text,
        }
        for index, passage in enumerate(passages, start=1)
    ]
