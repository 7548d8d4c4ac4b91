"""OpenAI's batches: created, watched and cancelled over HTTP, run by Ray jobs (`python -m pipelines batch run`).

Creating one stores it and starts its job, which checks the input: a bad file fails the batch and not the call.
A few batches run at once; the others are `validating` until a job takes them. A job that dies is replaced when
somebody looks at any batch, and the new one goes on from what is stored.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import Engine
from starlette.requests import HTTPConnection

from cluster.errors import BadRequest, ClusterError, Conflict, HeliostatError, NotFound
from cluster.settings.tree import Settings
from cluster.stores import batches as store
from cluster.stores.batches import CANCELLING, FAILED, Batch, Batches
from cluster.stores.files import BATCH, Files
from deployments.gateway.auth.areas import refusal
from deployments.gateway.bodies import json_body
from deployments.gateway.lab.jobs import Jobs, RayJobs
from deployments.gateway.openai.files import LONGEST_S, SHORTEST_S, listed
from deployments.gateway.openai.lines import ENDPOINTS
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from deployments.gateway.wire import Wire
from pipelines.batches.ending import write_files
from pipelines.batches.folder import BatchFolder

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

SUBMIT_GRACE_S = 60.0  # between claiming a batch and its job being known to Ray
MOST_PAIRS = 16  # of metadata
SHOWN_REASON = 300  # characters
TIMES = (
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)

Limit = Annotated[int, Query(ge=1, le=100)]
Key = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(max_length=512)]


class ExpiresAfter(Wire):
    """How long output and error file are kept, from when they are made."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=SHORTEST_S, le=LONGEST_S)


class BatchRequest(Wire):
    """Body of `POST /v1/batches`."""

    input_file_id: str = Field(min_length=1, max_length=64)
    endpoint: str = Field(min_length=1, max_length=64)
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Key, Value], Field(max_length=MOST_PAIRS)] | None = None
    output_expires_after: ExpiresAfter | None = None


def router(settings: Settings, engine: Engine, jobs: Jobs | None = None, desk: "Desk | None" = None) -> APIRouter:
    """The routes under `/v1/batches`. jobs: Ray's, unless a test brings others. desk: shared, of another API."""
    routes = APIRouter(prefix="/v1/batches", tags=["OpenAI"])
    desk = desk or Desk(engine, settings, jobs or RayJobs(settings.home_path))

    @routes.post("", summary="Create a batch", openapi_extra=json_body(BatchRequest))
    async def create(request: Request) -> dict[str, Any]:
        return shown(await create_batch(desk, await request.body(), request))

    @routes.get("", summary="Your batches, the newest first")
    async def page(request: Request, limit: Limit = 20, after: str | None = None) -> dict[str, Any]:
        owner = principal_of(request).owner
        await desk.look_after()
        found = await desk.do(lambda room: room.batches.page(owner=owner, limit=limit, after=after))
        return listed([shown(batch) for batch in found.batches], more=found.more)

    @routes.get("/{batch_id}", summary="How far a batch is")
    async def show(request: Request, batch_id: str) -> dict[str, Any]:
        return shown(await desk.find(batch_id, principal_of(request).owner))

    @routes.post("/{batch_id}/cancel", summary="Stop a batch; what is done is kept")
    async def cancel(request: Request, batch_id: str) -> dict[str, Any]:
        return shown(await desk.cancel(batch_id, principal_of(request).owner))

    return routes


async def create_batch(desk: "Desk", body: bytes, connection: HTTPConnection) -> Batch:
    """A batch of a body, for whoever asks on a connection. Raises BadRequest, PermissionDenied, UploadNotFound."""
    wanted, principal = parse(BatchRequest, body), principal_of(connection)
    _require_endpoint(wanted.endpoint, connection)
    # Whoever may not ask an endpoint may not have a batch ask it.
    refused = refusal(principal, "POST", wanted.endpoint)
    if refused is not None:
        raise refused
    return await desk.create(wanted, principal)


class Room:
    """The stores of one database and home."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.batches = Batches(engine)
        self.files = Files(engine, settings.home_path)


class Desk:
    """What the routes do. All calls of the database are made in a thread."""

    def __init__(self, engine: Engine, settings: Settings, jobs: Jobs) -> None:
        self._settings = settings
        self._jobs = jobs
        self._room = Room(engine, settings)
        self._looking = asyncio.Lock()

    async def create(self, wanted: BatchRequest, principal: Principal) -> Batch:
        """Store a batch, and start its job where a place is free. Raises UploadNotFound, BadRequest."""
        made = await self.do(partial(_create, home=self._settings.home_path, wanted=wanted, principal=principal))
        try:
            started = await self._start(made)
        except HeliostatError as error:
            # It is stored, and waits: an error here would have the client create it once more.
            logger.warning("the job of %s was not started: %s", made.id, error.line())
        else:
            if not started:
                await self.look_after()  # the places may be those of dead jobs
        return await self.do(lambda room: room.batches.get(made.id))

    async def find(self, batch_id: str, owner: str) -> Batch:
        """A batch as it stands. Raises BatchNotFound."""
        found = await self.do(lambda room: room.batches.get(batch_id, owner=owner))
        if not found.active:
            return found
        await self.look_after()
        return await self.do(lambda room: room.batches.get(batch_id, owner=owner))

    async def cancel(self, batch_id: str, owner: str) -> Batch:
        """Ask a batch to stop. Raises BatchNotFound, Conflict where it has ended."""
        if (await self.find(batch_id, owner)).status != CANCELLING:
            cancelled = await self.do(lambda room: room.batches.cancel(batch_id))
            found = await self.do(lambda room: room.batches.get(batch_id))
            if not cancelled and found.status != CANCELLING:
                raise Conflict(f"Cannot cancel a batch with status '{found.status}'.", param="batch_id")
        return await self.find(batch_id, owner)

    async def look_after(self) -> None:
        """Replace jobs that died, and start batches that wait where places are free: any owner's."""
        if self._looking.locked():
            return  # somebody else's look is as good
        async with self._looking:
            for batch in await self.do(lambda room: room.batches.running()):
                await self._revive(batch)
            for batch in await self.do(lambda room: room.batches.waiting()):
                try:
                    if not await self._start(batch):
                        return
                except HeliostatError as error:  # it waits on
                    logger.warning("the job of %s was not started: %s", batch.id, error.line())
                    return

    async def do(self, work: Callable[[Room], Result]) -> Result:
        """Something with the stores, in a thread."""
        return await asyncio.to_thread(work, self._room)

    async def _start(self, batch: Batch) -> bool:
        """Start a job for a batch that has none; False where no place is free. Raises ClusterError."""
        submission_id = _submission(batch)
        most = self._settings.batches.max_running
        claimed = await self.do(lambda room: room.batches.claim(batch.id, submission_id, before=None, most=most))
        if not claimed:
            return False
        try:
            await self._submit(batch, submission_id)
        except HeliostatError:
            await self.do(lambda room: room.batches.release(batch.id, submission_id))
            raise
        return True

    async def _revive(self, batch: Batch) -> None:
        """Give a batch a new job where its own has died, a bounded number of times."""
        ended = await self._ended(batch)
        if ended is None:
            return
        logger.warning("the job of %s died: %s", batch.id, ended)
        if batch.restarts >= self._settings.batches.restarts:
            await self.do(partial(_give_up, batch=batch, why=ended, home=self._settings.home_path))
            return
        submission_id, most = _submission(batch), self._settings.batches.max_running
        before = batch.submission_id
        if await self.do(lambda room: room.batches.claim(batch.id, submission_id, before=before, most=most)):
            try:
                await self._submit(batch, submission_id)
            except HeliostatError:
                return  # the next look finds that job unknown to Ray, and tries again

    async def _ended(self, batch: Batch) -> str | None:
        """What Ray says of a batch's dead job; None while it lives, or nobody knows."""
        assert batch.submission_id is not None
        try:
            ended = await asyncio.to_thread(self._jobs.ended, batch.submission_id)
        except NotFound:
            since = batch.submitted_at or batch.created_at
            late = (datetime.now(UTC) - since).total_seconds() > SUBMIT_GRACE_S
            ended = "the cluster that ran it is gone" if late else None
        except ClusterError:
            return None
        if ended is None:
            return None
        # A job that ended well has written the batch's end before: only one that is still its job has died.
        now = await self.do(lambda room: room.batches.get(batch.id))
        return ended if now.active and now.submission_id == batch.submission_id else None

    async def _submit(self, batch: Batch, submission_id: str) -> None:
        arguments = ["batch", "run", batch.id, "--submission", submission_id]
        metadata = {"batch": batch.id, "endpoint": batch.endpoint}
        await asyncio.to_thread(
            partial(self._jobs.submit, arguments, submission_id=submission_id, metadata=metadata)
        )


def shown(batch: Batch) -> dict[str, Any]:
    """A batch as OpenAI shows it."""
    errors = {"object": "list", "data": [dict(problem) for problem in batch.problems]} if batch.problems else None
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        **{name: _seconds(getattr(batch, name)) for name in TIMES},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.notes,
    }


def _create(room: Room, *, home: Any, wanted: BatchRequest, principal: Principal) -> Batch:
    found = room.files.get(wanted.input_file_id, owner=principal.owner)
    if found.purpose != BATCH:
        raise BadRequest(
            f"The file {found.id} was uploaded for {found.purpose}", hint="purpose: batch", param="input_file_id"
        )
    batch_id = store.new_id()
    BatchFolder(home, batch_id).create(room.files.path(found.id))
    expires = wanted.output_expires_after
    return room.batches.create(
        batch_id=batch_id,
        owner=principal.owner,
        models=principal.models,
        endpoint=wanted.endpoint,
        input_file_id=found.id,
        notes=wanted.metadata,
        output_expires_s=None if expires is None else expires.seconds,
    )


def _give_up(room: Room, *, batch: Batch, why: str, home: Any) -> None:
    """Fail a batch whose jobs die again and again; what they stored becomes its files."""
    assert batch.submission_id is not None
    folder = BatchFolder(home, batch.id)
    ending = write_files(batch, folder, room.files, FAILED)
    problem: Mapping[str, Any] = {
        "code": "job_failed",
        "line": None,
        "message": f"The job that runs this batch died {batch.restarts + 1} times: {_told(why)}",
        "param": None,
    }
    if room.batches.finish(batch.id, batch.submission_id, ending.because(problem)):
        folder.remove()


def _told(why: str) -> str:
    """What Ray says, without the log that it cites: that is the operator's, who finds it in the gateway's."""
    return why.split(", last available logs")[0][:SHOWN_REASON]


def _require_endpoint(endpoint: str, connection: HTTPConnection) -> None:
    served = [path for path in ENDPOINTS if any(getattr(r, "path", "") == path for r in connection.app.routes)]
    if endpoint not in served:
        raise BadRequest(
            f"Invalid value for endpoint: {endpoint!r}", hint=f"one of {', '.join(served)}", param="endpoint"
        )


def _submission(batch: Batch) -> str:
    return f"{batch.id}-{secrets.token_hex(4)}"


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
