"""Uploaded files: small ones are stored while the client waits, or in the background; large ones by a job."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from cluster.errors import HeliostatError
from cluster.settings.tree import Settings
from cluster.types import Document
from deployments.gateway.collections.directory import Collections, Place
from deployments.gateway.documents.belongings import Belongings, id_of
from deployments.gateway.documents.intake import Intake
from deployments.gateway.documents.labels import Labels
from deployments.gateway.principal import Principal
from pipelines.documents.media import require_readable
from pipelines.documents.reader import check_size

JOBS_PATH = "/api/v1/documents/jobs"
AT_ONCE = 4  # files of one upload: enough to embed one while others are parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A file on its way in. source: a clean name, or why there is none. size: bytes."""

    source: str
    size: int
    file: BinaryIO
    refused: HeliostatError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that was stored."""

    source: str
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A file that a job stores."""

    source: str
    job_id: str

    def told(self) -> dict[str, str]:
        """As the API shows it."""
        return {"source": self.source, **told_job(self.job_id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that was not stored."""

    source: str
    error: HeliostatError


Taken = Stored | Queued | Refused
Watch = Callable[[Taken], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where files go, who sends them, and what they say of them."""

    place: Place
    principal: Principal
    labels: Labels


class Uploads:
    """Takes files in."""

    def __init__(
        self, settings: Settings, intake: Intake, belongings: Belongings, collections: Collections
    ) -> None:
        self._settings = settings.documents
        self._intake = intake
        self._belongings = belongings
        self._collections = collections

    async def take_all(
        self, files: Sequence[Incoming], target: Target, watch: Watch = lambda _: None
    ) -> list[Taken]:
        """Store files, a few at once, or say of each why not. watch: is told of each as it is done.

        Those of one name go one after the other, so that the last one stands under it. Raises CollectionNotFound
        where the collection was removed meanwhile.
        """
        stored = await self._belongings.stored(target.place, target.principal)
        taken: dict[int, Taken] = {}
        by_name: dict[str, list[int]] = {}
        for at, file in enumerate(files):
            by_name.setdefault(file.source, []).append(at)
        places = asyncio.Semaphore(AT_ONCE)

        async def in_turn(ats: list[int]) -> None:
            for at in ats:
                async with places:
                    taken[at] = await self._take(files[at], target, stored)
                watch(taken[at])

        async with asyncio.TaskGroup() as group:
            for ats in by_name.values():
                group.create_task(in_turn(ats))
        await self._collections.settle(target.place)
        return [taken[at] for at in range(len(files))]

    async def _take(self, file: Incoming, target: Target, stored: tuple[Document, ...] | None) -> Taken:
        """Store one file, or say why not: a wrong file fails no other."""
        source, place, principal = file.source, target.place, target.principal
        try:
            if file.refused is not None:
                raise file.refused
            require_readable(source)
            check_size(source, file.size, self._settings)
            await self._belongings.check_name(place, source, principal, stored)
            if self._intake.is_small(file.size):
                content = await asyncio.to_thread(_whole, file.file)
                document = await self._intake.store(source, content, place.physical, target.labels)
                await self._belongings.claim(place, source, document.id, principal)
                return Stored(source=source, document=document)
            # Its claim comes first: nobody else may take it out as soon as it is stored.
            await self._belongings.claim(place, source, await asyncio.to_thread(id_of, file.file), principal)
            job_id = await self._intake.queue(
                source, file.file, place.physical, owner=principal.owner, labels=target.labels
            )
            return Queued(source=source, job_id=job_id)
        except HeliostatError as error:
            return Refused(source=source, error=error)


def told_job(job_id: str) -> dict[str, str]:
    """A job's id and where to ask for it, as the API shows them."""
    status_url = f"{JOBS_PATH}/{job_id}"
    return {"job_id": job_id, "status_url": status_url, "events_url": f"{status_url}/events"}


def told_error(error: HeliostatError) -> dict[str, Any]:
    """An error of one file among several, as the API shows it."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
