"""Uploaded files: small ones are stored while the client waits, or in the background; large ones by a job."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from cluster.batched import by_size
from cluster.documents import Document, NewDocument
from cluster.errors import HeliostatError
from cluster.settings.tree import Settings
from deployments.gateway.collections.directory import Collections, Place
from deployments.gateway.documents.belongings import Belongings, id_of
from deployments.gateway.documents.intake import Intake
from deployments.gateway.documents.labels import Labels
from deployments.gateway.principal import Principal
from pipelines.documents.media import require_readable
from pipelines.documents.reader import check_size

JOBS_PATH = "/api/v1/documents/jobs"
AT_ONCE = 4  # passes of one upload: enough to embed one while others are parsed
FILES_TOGETHER = 16  # stored in one pass: a call costs as much as a small file, and progress is told a pass
BYTES_TOGETHER = 64 * 1024  # a batch of text for the embedder; of more, what is done is told file by file


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
        """Store files, several in one pass, or say of each why not. watch: is told of each as it is done.

        Those of one name go one after the other, so that the last one stands under it. Raises CollectionNotFound
        where the collection was removed meanwhile.
        """
        stored = await self._belongings.stored(target.place, target.principal)
        taken: dict[int, Taken] = {}
        places = asyncio.Semaphore(AT_ONCE)

        async def together(ats: Sequence[int]) -> None:
            async with places:
                found = await self._take([files[at] for at in ats], target, stored)
            for at, one in zip(ats, found, strict=True):
                taken[at] = one
                watch(one)

        for turn in _turns(files):
            async with asyncio.TaskGroup() as group:
                for ats in by_size(turn, lambda at: files[at].size, most=BYTES_TOGETHER, count=FILES_TOGETHER):
                    group.create_task(together(ats))
        await self._collections.settle(target.place)
        return [taken[at] for at in range(len(files))]

    async def _take(
        self, files: Sequence[Incoming], target: Target, stored: tuple[Document, ...] | None
    ) -> list[Taken]:
        """Store some files, no two of one name, or say of each why not: a wrong file fails no other."""
        found: dict[str, Taken] = {}
        small: list[Incoming] = []
        for file in files:
            try:
                await self._check(file, target, stored)
                if self._intake.is_small(file.size):
                    small.append(file)
                else:
                    found[file.source] = await self._queued(file, target)
            except HeliostatError as error:
                found[file.source] = Refused(source=file.source, error=error)
        if small:
            try:
                found |= await self._stored(small, target)
            except HeliostatError as error:
                found |= {file.source: Refused(source=file.source, error=error) for file in small}
        return [found[file.source] for file in files]

    async def _check(self, file: Incoming, target: Target, stored: tuple[Document, ...] | None) -> None:
        """Raises what is wrong with a file before its content is looked at."""
        if file.refused is not None:
            raise file.refused
        require_readable(file.source)
        check_size(file.source, file.size, self._settings)
        await self._belongings.check_name(target.place, file.source, target.principal, stored)

    async def _queued(self, file: Incoming, target: Target) -> Queued:
        # Its claim comes first: nobody else may take it out as soon as it is stored.
        document_id = await asyncio.to_thread(id_of, file.file)
        await self._belongings.claim(target.place, {file.source: document_id}, target.principal)
        job_id = await self._intake.queue(
            file.source,
            file.file,
            target.place.physical,
            owner=target.principal.owner,
            labels=target.labels,
        )
        return Queued(source=file.source, job_id=job_id)

    async def _stored(self, files: Sequence[Incoming], target: Target) -> dict[str, Taken]:
        """By name."""
        new = await asyncio.to_thread(lambda: [_whole(file) for file in files])
        added = await self._intake.store_many(new, target.place.physical, target.labels)
        named = {file.source: one.id for file, one in zip(files, added, strict=True) if isinstance(one, Document)}
        await self._belongings.claim(target.place, named, target.principal)
        return {
            file.source: Stored(source=file.source, document=one)
            if isinstance(one, Document)
            else Refused(source=file.source, error=one)
            for file, one in zip(files, added, strict=True)
        }


def told_job(job_id: str) -> dict[str, str]:
    """A job's id and where to ask for it, as the API shows them."""
    status_url = f"{JOBS_PATH}/{job_id}"
    return {"job_id": job_id, "status_url": status_url, "events_url": f"{status_url}/events"}


def told_error(error: HeliostatError) -> dict[str, Any]:
    """An error of one file among several, as the API shows it."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _turns(files: Sequence[Incoming]) -> list[list[int]]:
    """Places of files in lists, to be gone through one after the other: no list has a name twice."""
    turns: list[list[int]] = []
    seen: Counter[str] = Counter()
    for at, file in enumerate(files):
        if seen[file.source] == len(turns):
            turns.append([])
        turns[seen[file.source]].append(at)
        seen[file.source] += 1
    return turns


def _whole(file: Incoming) -> NewDocument:
    file.file.seek(0)
    return NewDocument(source=file.source, content=file.file.read())
