"""OpenAI's files: uploaded whole, listed, read back, deleted; each is its owner's alone.

An upload is spooled to disk while it arrives, copied to the home in pieces, and exists once it is whole.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from sqlalchemy import Engine
from starlette.datastructures import FormData, UploadFile
from starlette.responses import FileResponse, Response

from cluster.errors import BadRequest, PayloadTooLarge, Unavailable
from cluster.settings.tree import Settings
from cluster.stores.draft import NO_ROOM
from cluster.stores.files import ASSISTANTS, BATCH, USER_DATA, Files, StoredFile, new_id, unknown
from deployments.gateway.principal import principal_of

Result = TypeVar("Result")
Forget = Callable[[str, str], Awaitable[None]]

UPLOADS = "/v1/files"  # its bodies have a limit of their own
PURPOSES = (BATCH, USER_DATA, ASSISTANTS)
FIELDS = ("file", "purpose", "expires_after[anchor]", "expires_after[seconds]")
SHORTEST_S, LONGEST_S = 3600, 30 * 24 * 3600  # of expires_after, as at OpenAI
LONGEST_NAME = 255
PIECE = 1024**2  # bytes copied at once
SWEEP_S = 600.0  # between two sweeps of what expired or was left over

FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(PURPOSES)},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {
                            "type": "integer",
                            "minimum": SHORTEST_S,
                            "maximum": LONGEST_S,
                        },
                    },
                }
            }
        },
    }
}

Limit = Annotated[int, Query(ge=1, le=10_000)]
Purpose = Annotated[str | None, Query(max_length=32, pattern="^[a-z_-]+$")]


class Cabinet:
    """What the routes do. All calls of the database are made in a thread."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._settings = settings
        self._files = Files(engine, settings.home_path)
        self._swept = -SWEEP_S

    async def add(self, form: FormData, owner: str) -> StoredFile:
        """Store what a form holds. Raises BadRequest, PayloadTooLarge, Unavailable where the disk is full."""
        upload, purpose, expires_s = _read(form)
        limits = self._settings.files
        size = upload.size or 0
        if size > limits.max_bytes:
            raise PayloadTooLarge(
                f"The file is larger than {limits.max_bytes} bytes", hint="files.max_bytes sets this", param="file"
            )
        await self._sweep()
        if await self.do(lambda files: files.used(owner)) + size > limits.max_owner_bytes:
            raise PayloadTooLarge(
                f"Your files would take more than {limits.max_owner_bytes} bytes",
                hint="delete some of them; files.max_owner_bytes sets this",
                param="file",
            )
        name = _file_name(upload.filename)
        return await self.do(lambda files: _store(files, upload.file, owner, name, purpose, expires_s))

    async def content(self, file_id: str, owner: str) -> tuple[StoredFile, Path]:
        """A file and where its bytes are. Raises UploadNotFound."""

        def find(files: Files) -> tuple[StoredFile, Path]:
            found, path = files.get(file_id, owner=owner), files.path(file_id)
            if not path.is_file():
                raise unknown(file_id)
            return found, path

        return await self.do(find)

    async def do(self, work: Callable[[Files], Result]) -> Result:
        """Something with the files, in a thread."""
        return await asyncio.to_thread(work, self._files)

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept >= SWEEP_S:
            self._swept = time.monotonic()
            await self.do(lambda files: files.sweep())


def router(settings: Settings, engine: Engine, forget: Forget | None = None) -> APIRouter:
    """The routes under `/v1/files`. forget: told of a file, by id and owner, before it is deleted."""
    routes = APIRouter(prefix="/v1/files", tags=["OpenAI"])
    cabinet = Cabinet(engine, settings)

    @routes.post("", summary="Upload a file", openapi_extra=FILE_BODY)
    async def upload(request: Request) -> dict[str, Any]:
        async with request.form(max_files=1, max_fields=len(FIELDS)) as form:  # closes what it spooled
            return shown(await cabinet.add(form, principal_of(request).owner))

    @routes.get("", summary="Your files")
    async def page(
        request: Request,
        purpose: Purpose = None,
        limit: Limit = 10_000,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
    ) -> dict[str, Any]:
        owner = principal_of(request).owner
        found = await cabinet.do(
            lambda files: files.page(
                owner=owner, limit=limit, purpose=purpose, after=after, newest_first=order == "desc"
            )
        )
        return listed([shown(file) for file in found.files], more=found.more)

    @routes.get("/{file_id}", summary="One file")
    async def show(request: Request, file_id: str) -> dict[str, Any]:
        owner = principal_of(request).owner
        return shown(await cabinet.do(lambda files: files.get(file_id, owner=owner)))

    @routes.get("/{file_id}/content", summary="Its bytes", response_class=Response)
    async def content(request: Request, file_id: str) -> Response:
        found, path = await cabinet.content(file_id, principal_of(request).owner)
        # Never rendered: it is somebody's bytes under our origin.
        return FileResponse(path, media_type="application/octet-stream", filename=found.filename)

    @routes.delete("/{file_id}", summary="Delete a file")
    async def remove(request: Request, file_id: str) -> dict[str, Any]:
        owner = principal_of(request).owner
        await cabinet.do(lambda files: files.get(file_id, owner=owner))
        if forget is not None:  # first: a crash between the two leaves a file that can be deleted again
            await forget(file_id, owner)
        await cabinet.do(lambda files: files.remove(file_id, owner=owner))
        return {"id": file_id, "object": "file", "deleted": True}

    return routes


def shown(file: StoredFile) -> dict[str, Any]:
    """A file as OpenAI shows it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": None if file.expires_at is None else int(file.expires_at.timestamp()),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def listed(data: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page as OpenAI shows it."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def _store(
    files: Files, source: BinaryIO, owner: str, filename: str, purpose: str, expires_s: int | None
) -> StoredFile:
    try:
        with files.draft(new_id()) as draft:
            while piece := source.read(PIECE):
                draft.write(piece)
            return files.keep(draft, owner=owner, filename=filename, purpose=purpose, expires_s=expires_s)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise Unavailable("The disk is full", hint="delete files, or ask the operator for room") from None


def _read(form: FormData) -> tuple[UploadFile, str, int | None]:
    """File, purpose and time to live of a form. Raises BadRequest."""
    strange = sorted(set(form.keys()) - set(FIELDS))
    if strange:
        raise BadRequest(f"Unknown parameter: {strange[0]}", param=strange[0], hint=f"send {', '.join(FIELDS)}")
    upload, purpose = form.get("file"), form.get("purpose")
    if not isinstance(upload, UploadFile):
        hint = "multipart/form-data with a field named file: curl -F purpose=batch -F file=@lines.jsonl"
        raise BadRequest("Missing required parameter: file", hint=hint, param="file")
    if purpose is None:
        raise BadRequest("Missing required parameter: purpose", hint=" or ".join(PURPOSES), param="purpose")
    if purpose not in PURPOSES:
        shown_purpose = repr(purpose)[:64]
        raise BadRequest(
            f"Invalid value for purpose: {shown_purpose}",
            hint=f"here it is {' or '.join(PURPOSES)}",
            param="purpose",
        )
    return upload, str(purpose), _expires_s(form.get(FIELDS[2]), form.get(FIELDS[3]))


def _expires_s(anchor: Any, seconds: Any) -> int | None:
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise BadRequest(
            "Invalid value for expires_after.anchor", hint="it is created_at", param="expires_after.anchor"
        )
    digits = seconds if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() else "0"
    if len(digits) > 10 or not SHORTEST_S <= int(digits) <= LONGEST_S:
        raise BadRequest(
            "Invalid value for expires_after.seconds",
            hint=f"a whole number from {SHORTEST_S} to {LONGEST_S}",
            param="expires_after.seconds",
        )
    return int(digits)


def _file_name(given: str | None) -> str:
    """The name without what no database or header takes: control characters and lone surrogates."""
    name = (given or "").encode(errors="replace").decode()
    name = "".join(character if character.isprintable() else "_" for character in name)
    return name[:LONGEST_NAME] or "upload"
