"""How files come into vector stores: in the background, a few at once, by whichever gateway claims them first."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Engine

from cluster.documents import Document, MetadataValue
from cluster.errors import (
    BadRequest,
    DocumentNotFound,
    HeliostatError,
    UnsupportedDocument,
    UploadNotFound,
)
from cluster.settings.tree import Settings
from cluster.stores.files import Files
from cluster.stores.vector_store_files import COMPLETED, FAILED, StoreFile, StoreFiles
from deployments.clients import Retriever
from deployments.gateway.documents.intake import Intake
from deployments.gateway.documents.labels import Labels
from pipelines.documents.media import require_readable
from pipelines.documents.names import base_name
from pipelines.documents.reader import check_size

Result = TypeVar("Result")
Said = Mapping[str, MetadataValue]

logger = logging.getLogger(__name__)

AT_ONCE = 4  # files, of all stores: enough to embed one while others are parsed
BEAT_S = 15.0  # well below what a silent claim lasts
TRIES = 3  # of what a retry can help
WAIT_S = 1.0  # between them


class Attaching:
    """Puts claimed files into collections."""

    def __init__(self, retriever: Retriever, settings: Settings, engine: Engine, intake: Intake) -> None:
        self._retriever = retriever
        self._settings = settings.documents
        self._files = Files(engine, settings.home_path)
        self._records = StoreFiles(engine)
        self._intake = intake
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._running: dict[int, asyncio.Task[None]] = {}

    def begin(self, files: Iterable[StoreFile], collection: str) -> None:
        """Start with files that wait. collection: the physical name of theirs."""
        for file in files:
            if file.seq not in self._running:
                task = asyncio.create_task(self._attach(file, collection))
                self._running[file.seq] = task
                task.add_done_callback(partial(self._ended, file.seq))

    def _ended(self, seq: int, _: asyncio.Task[None]) -> None:
        self._running.pop(seq, None)

    async def do(self, work: Callable[[StoreFiles], Result]) -> Result:
        """Something with the records, in a thread."""
        return await asyncio.to_thread(work, self._records)

    async def find_files(self, work: Callable[[Files], Result]) -> Result:
        """Something with the files themselves, in a thread."""
        return await asyncio.to_thread(work, self._files)

    async def detach(self, file: StoreFile, collection: str) -> None:
        """Take a file out of its store, and its document where no other file of the store is the same."""
        if not await self.do(lambda records: records.remove(file)):
            return
        turn = self._turn(file)
        if not turn.locked():  # who is at these bytes looks itself whether they are wanted, at its end
            async with turn:
                await self._forget_unless_kept(file, collection)

    async def _attach(self, file: StoreFile, collection: str) -> None:
        async with self._places, self._turn(file):
            if not await self.do(lambda records: records.claim(file)):
                return
            async with self._beating(file):
                try:
                    document = await self._stored(file, collection)
                    said = await self._describe(file, collection, document.metadata)
                except HeliostatError as error:
                    told = (_code_of(error), error.line())
                    await self.do(lambda records: records.finish(file, FAILED, error=told))
                    return
                except Exception:  # nobody awaits this task: the file's state says that it failed
                    logger.exception("the file %s was not stored", file.file_id)
                    told = ("server_error", "the server failed; its log says more")
                    await self.do(lambda records: records.finish(file, FAILED, error=told))
                    return
                usage = document.characters
                if not await self.do(lambda records: records.finish(file, COMPLETED, usage_bytes=usage)):
                    await self._forget_unless_kept(file, collection)
                    return
                try:  # who changes them from now on finds the file completed, and sets them itself
                    await self._describe(file, collection, said)
                except HeliostatError as error:
                    logger.warning("attributes of %s were not set: %s", file.file_id, error.line())

    async def _describe(self, file: StoreFile, collection: str, said: Said) -> Said:
        """Have the document say what the file says now, and nothing that was said of the same bytes before.

        said: what the document says. Returns what it says then.
        """
        with suppress(UploadNotFound, DocumentNotFound):  # taken out meanwhile
            now = (await self.do(lambda records: records.get(file.store_id, file.file_id))).attributes
            if dict(now) != dict(said):
                await self._retriever.annotate(file.document_id, collection, tags=None, metadata=now)
            return now
        return said

    async def _stored(self, file: StoreFile, collection: str) -> Document:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._store(file, collection)
            except HeliostatError as error:
                if not error.retryable or attempt == TRIES:
                    raise
                await asyncio.sleep(error.retry_after_s or WAIT_S)
        raise AssertionError("the last attempt returns or raises")

    async def _store(self, file: StoreFile, collection: str) -> Document:
        path, size = await self.find_files(lambda files: _bytes_of(files, file))
        # One name a file: two files of one name are two documents, and a passage tells which file it is of.
        source = source_of(file)
        require_readable(source)
        check_size(source, size, self._settings)
        labels = Labels(metadata=dict(file.attributes))
        if self._intake.is_small(size):
            return await self._intake.store(source, await asyncio.to_thread(path.read_bytes), collection, labels)
        with path.open("rb") as content:
            job_id = await self._intake.queue(source, content, collection, owner=file.owner, labels=labels)
        ended = await self._intake.end(job_id, file.owner)
        if ended.state == "failed" or ended.failed:
            why = ended.failed[0].message if ended.failed else ended.reason or "its job failed"
            raise BadRequest(why)
        return await self._retriever.document(file.document_id, collection)

    async def _forget_unless_kept(self, file: StoreFile, collection: str) -> None:
        """What was stored for a file that was cancelled or taken out meanwhile goes again."""
        if await self.do(lambda records: records.needs(file)):
            return
        try:
            await self._retriever.remove(file.document_id, collection)
        except DocumentNotFound:
            return  # it was never stored

    def _turn(self, file: StoreFile) -> asyncio.Lock:
        """Of a store's bytes: two files of the same are not stored, or one stored and one forgotten, at once."""
        return self._turns.setdefault((file.store_id, file.document_id), asyncio.Lock())

    @asynccontextmanager
    async def _beating(self, file: StoreFile) -> Any:
        async def beat() -> None:
            while True:
                await asyncio.sleep(BEAT_S)
                try:
                    await self.do(lambda records: records.beat(file))
                except HeliostatError as error:  # the database is away: another gateway may take the file over
                    logger.warning("a claim was not renewed: %s", error.line())

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()


def source_of(file: StoreFile) -> str:
    """The name that a file's document has in its collection. Raises BadRequest for a name that is none."""
    return f"{file.file_id}/{base_name(file.filename)}"


def _bytes_of(files: Files, file: StoreFile) -> tuple[Path, int]:
    found, path = files.get(file.file_id, owner=file.owner), files.path(file.file_id)
    if not path.is_file():
        raise UploadNotFound(f"The file {file.file_id} is gone")
    return path, found.bytes


def _code_of(error: HeliostatError) -> str:
    if isinstance(error, UnsupportedDocument):
        return "unsupported_file"
    return "invalid_file" if error.status < 500 else "server_error"
