"""What the vector stores' routes do."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from cluster.errors import BadRequest, UnsupportedParameter
from cluster.settings.tree import Settings
from cluster.stores.collection_names import Collection, unknown
from cluster.stores.database import now
from cluster.stores.vector_store_files import COMPLETED, StoreBatch, StoreFile, Wanted
from deployments.clients import Backends, Retriever
from deployments.gateway.collections.directory import Collections
from deployments.gateway.documents.intake import Intake
from deployments.gateway.documents.labels import Metadata
from deployments.gateway.documents.ray_jobs import Jobs, RayJobs
from deployments.gateway.limits.gate import Gate
from deployments.gateway.openai.vector_stores import searching, shown
from deployments.gateway.openai.vector_stores.attaching import Attaching
from deployments.gateway.openai.vector_stores.expiry import Expiry
from deployments.gateway.openai.vector_stores.searching import Hit, Search
from deployments.gateway.openai.vector_stores.wire import (
    Chunking,
    FileRequest,
    SearchRequest,
    StoreChange,
    StoreRequest,
)

CHUNKS_AT_ONCE = 500


def open_stores(backends: Backends, settings: Settings, engine: Engine, gate: Gate) -> "Desk | None":
    """The vector stores of a gateway; None where no embedding model is configured."""
    if backends.retriever is None:
        return None
    collections = Collections(engine, backends.retriever, settings)
    return Desk(backends.retriever, settings, engine, collections, RayJobs(), gate)


class Desk:
    """Stores, their files, and searches in them."""

    def __init__(
        self,
        retriever: Retriever,
        settings: Settings,
        engine: Engine,
        collections: Collections,
        jobs: Jobs,
        gate: Gate | None = None,
    ) -> None:
        self.retriever = retriever
        self.collections = collections
        self.settings = settings.documents
        self.gate = gate or Gate()
        self.attaching = Attaching(retriever, settings, engine, Intake(retriever, settings, jobs, engine))
        self.expiry = Expiry(collections, self.attaching)

    async def create(self, wanted: StoreRequest, owner: str) -> dict[str, Any]:
        """A new store, with files on their way in. Raises UploadNotFound for one, and makes nothing then."""
        self._check_chunking(wanted.chunking_strategy, "chunking_strategy")
        files = [FileRequest(file_id=one) for one in wanted.file_ids or ()]
        found = await self._files(files, owner)
        made = await self.collections.make(
            owner,
            title=wanted.name,
            description=wanted.description,
            notes=wanted.metadata,
            expires_days=None if wanted.expires_after is None else wanted.expires_after.days,
        )
        await self._put(made, found, owner)
        return await self.shown(made)

    async def page(self, owner: str, **options: Any) -> tuple[list[dict[str, Any]], bool]:
        """Some of an owner's stores, and whether there are more."""
        found = await self.collections.do(lambda names: names.page(owner=owner, **options))
        counts = await self.attaching.do(lambda records: records.counts([one.id for one in found.collections]))
        data = [
            await self.shown(one) if one.expired(now()) else shown.store(one, counts[one.id], expired=False)
            for one in found.collections
        ]
        return data, found.more

    async def shown(self, made: Collection) -> dict[str, Any]:
        """A store as it stands. What an expired one held is removed at a look at it, or by a sweep before that."""
        expired = made.expired(now())
        if expired:
            await self.expiry.empty(made)
        else:
            await self.look_after(made)
        counts = await self.attaching.do(lambda records: records.counts([made.id]))
        return shown.store(made, counts[made.id], expired=expired)

    async def find(self, store_id: str, owner: str) -> Collection:
        """A store that may be used. Raises CollectionNotFound for one that is unknown, another's, or expired."""
        place = await self.collections.find(owner, store_id)
        if place.made is None:
            raise unknown(store_id)  # the one that all share, or the operator's: no store of theirs
        return place.made

    async def look(self, store_id: str, owner: str) -> Collection:
        """A store, expired or not. Raises CollectionNotFound."""
        return await self.collections.do(lambda names: names.get(store_id, owner=owner))

    async def change(self, store_id: str, wanted: StoreChange, owner: str) -> dict[str, Any]:
        """Another name, expiry or metadata."""
        values: dict[str, Any] = {}
        if "name" in wanted.model_fields_set:
            values["title"] = wanted.name
        if "metadata" in wanted.model_fields_set:
            values["notes"] = wanted.metadata or {}
        if "expires_after" in wanted.model_fields_set:
            values["expires_days"] = None if wanted.expires_after is None else wanted.expires_after.days
        await self.find(store_id, owner)
        return await self.shown(
            await self.collections.do(lambda names: names.change(store_id, owner=owner, **values))
        )

    async def remove(self, store_id: str, owner: str) -> str:
        """Forget a store and all in it; the files of `/v1/files` stay. Returns its id."""
        made = await self.look(store_id, owner)
        await self.collections.remove(owner, made.id)
        return made.id

    async def attach(self, store_id: str, wanted: FileRequest, owner: str) -> dict[str, Any]:
        """Put a file in, which goes on in the background. Raises UploadNotFound."""
        made = await self.find(store_id, owner)
        self._check_chunking(wanted.chunking_strategy, "chunking_strategy")
        files, _ = await self._put(made, await self._files([wanted], owner), owner)
        return shown.file(files[0], self.settings)

    async def attach_batch(self, store_id: str, wanted: Sequence[FileRequest], owner: str) -> dict[str, Any]:
        """Put files in as one batch. Raises UploadNotFound for one of them, and puts none in then."""
        made = await self.find(store_id, owner)
        for at, one in enumerate(wanted):
            self._check_chunking(one.chunking_strategy, f"files[{at}].chunking_strategy")
        _, batch = await self._put(made, await self._files(wanted, owner), owner, batch=True)
        assert batch is not None
        return await self.shown_batch(batch)

    async def shown_batch(self, batch: StoreBatch) -> dict[str, Any]:
        """A batch as it stands."""
        return shown.batch(batch, await self.attaching.do(lambda records: records.batch_counts(batch.id)))

    async def cancel(self, made: Collection, batch_id: str) -> dict[str, Any]:
        """Begin no more files of a batch."""
        batch = await self.attaching.do(lambda records: records.batch(made.id, batch_id))
        await self.attaching.do(lambda records: records.cancel(batch.id))
        return await self.shown_batch(await self.attaching.do(lambda records: records.batch(made.id, batch_id)))

    async def annotate(self, made: Collection, file: StoreFile, attributes: Metadata | None) -> dict[str, Any]:
        """Set a file's attributes, in filters at once."""
        said = dict(attributes or {})
        await self.attaching.do(lambda records: records.annotate(file, said))
        written = await self.file(made, file.file_id)
        if written.status == COMPLETED:  # else who puts it in reads them at its end
            await self.retriever.annotate(file.document_id, made.physical, tags=None, metadata=said)
        return shown.file(written, self.settings)

    async def file(self, made: Collection, file_id: str) -> StoreFile:
        """A file of a store. Raises UploadNotFound."""
        return await self.attaching.do(lambda records: records.get(made.id, file_id))

    async def content(self, made: Collection, file: StoreFile) -> list[dict[str, str]]:
        """What was read from a file. Raises BadRequest while, or because, it is not in."""
        if file.status != COMPLETED:
            raise BadRequest(
                f"The file is {file.status.replace('_', ' ')}", hint="ask when it is completed", param="file_id"
            )
        chunks: list[Any] = []
        while True:
            some = await self.retriever.chunks(
                file.document_id, made.physical, first=len(chunks), limit=CHUNKS_AT_ONCE
            )
            chunks += some
            if len(some) < CHUNKS_AT_ONCE:
                return shown.content(chunks)

    async def search(self, store_id: str, wanted: SearchRequest, owner: str) -> list[dict[str, Any]]:
        """The best passages. Raises BadRequest for a filter that is none."""
        ranking = wanted.ranking_options
        search = Search(
            queries=wanted.query if isinstance(wanted.query, list) else [wanted.query],
            limit=wanted.max_num_results or searching.RESULTS,
            filters=wanted.filters,
            threshold=0.0 if ranking is None else ranking.score_threshold or 0.0,
            by_meaning=ranking is not None and ranking.ranker == "none",
        )
        return [hit.told() for hit in await self.hits(store_id, search, owner)]

    async def hits(self, store_id: str, search: Search, owner: str) -> list[Hit]:
        """The best passages, for whoever asks. Raises CollectionNotFound, BadRequest for a filter that is none."""
        made = await self.find(store_id, owner)
        return await searching.search(
            made.id, made.physical, search, retriever=self.retriever, attaching=self.attaching
        )

    async def look_after(self, made: Collection) -> None:
        """Begin with files that nobody is at: those of a gateway that was stopped."""
        waiting = await self.attaching.do(lambda records: records.waiting(made.id))
        self.attaching.begin(waiting, made.physical)

    async def forget_file(self, file_id: str, owner: str) -> None:
        """A file was deleted: it leaves its owner's stores."""
        for file in await self.attaching.do(lambda records: records.holding(file_id, owner=owner)):
            made = await self.look(file.store_id, owner)
            await self.attaching.detach(file, made.physical)

    async def _put(
        self, made: Collection, wanted: Sequence[Wanted], owner: str, *, batch: bool = False
    ) -> tuple[tuple[StoreFile, ...], StoreBatch | None]:
        if not wanted:
            return (), None
        files, made_batch = await self.attaching.do(
            lambda records: records.add(made.id, wanted, owner=owner, batch=batch)
        )
        self.attaching.begin(files, made.physical)
        return files, made_batch

    async def _files(self, wanted: Sequence[FileRequest], owner: str) -> list[Wanted]:
        def find(files: Any) -> list[Wanted]:
            return [
                Wanted(file=files.get(one.file_id, owner=owner), attributes=one.attributes or {}) for one in wanted
            ]

        return await self.attaching.find_files(find)

    def _check_chunking(self, wanted: Chunking | None, param: str) -> None:
        """Raises UnsupportedParameter for chunks of another size than the server's."""
        if wanted is None or wanted.static is None:
            return
        ours = (self.settings.chunk_tokens, self.settings.chunk_overlap)
        asked = wanted.static.max_chunk_size_tokens, wanted.static.chunk_overlap_tokens
        if asked != ours:
            raise UnsupportedParameter(
                f"Chunks of {asked[0]} tokens with {asked[1]} of overlap are not made here",
                hint=f"auto, or static with {ours[0]} and {ours[1]}: documents.chunk_tokens and chunk_overlap",
                param=f"{param}.static",
            )
