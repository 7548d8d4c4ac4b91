"""The vector store: collections of documents, each an index of a back end with a ledger and a search.

`factory` opens it over the back end that the settings name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, MetadataValue, Passage, SearchCall
from cluster.errors import Conflict, DocumentNotFound, Unavailable
from cluster.stores.collection import Collection
from cluster.stores.rebuilding import not_found, rebuild
from cluster.stores.recut_names import base_of
from cluster.stores.vector_files import VectorFiles
from cluster.stores.vector_index import Indexes, check_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class VectorStore:
    """Collections by name. Not thread-safe: one owner calls it from one thread.

    chunker, in all methods: the fingerprint of the chunker that made the chunks. A collection is there from its
    first `upsert` on; before that it is read as an empty one. Names that can't be any raise BadRequest.

    A collection may have recuts (`recut_names`): they are not listed, a document that is deleted leaves them too,
    and they go with it.
    """

    def __init__(self, indexes: Indexes, files: VectorFiles | None = None, *, in_memory: int) -> None:
        """files: where vectors are kept beside the indexes; None keeps them there alone.

        in_memory: chunks, of all collections together, that searches keep in memory.
        """
        self._indexes = indexes
        self._files = files
        self._in_memory = in_memory
        self._collections: dict[str, Collection] = {}
        self._recuts: set[str] | None = None  # looked for once: nobody else makes any

    def held(self, collection: str, document_id: str, *, chunker: str) -> Document | None:
        """The published document, where it was cut by this chunker."""
        return self.held_many(collection, (document_id,), chunker=chunker)[0]

    def held_many(
        self, collection: str, document_ids: Sequence[str], *, chunker: str
    ) -> tuple[Document | None, ...]:
        """The same for each of several documents, in their order."""
        return self._of(collection).held(document_ids, chunker=chunker)

    def missing(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored, in the order given."""
        return self._of(collection).missing(ids)

    def upsert(
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None:
        """Write chunks and their unit vectors, shape (n, dimensions), by id: again changes nothing.

        Raises EmbedderMismatch where another embedder filled the collection, BadRequest for vectors of another
        shape or with a NaN or an infinity in them, CollectionNotFound for a recut of what is not there.
        """
        base = base_of(collection)
        if base is not None:
            if not self._of(base).made:  # it was removed meanwhile, and nobody would remove what came after it
                raise not_found(base)
            self._known_recuts().add(collection)
        with self._changing(collection) as changing:
            changing.upsert(chunks, vectors, chunker=chunker, identity=identity)

    def publish(self, collection: str, document: Document, *, chunker: str) -> Document:
        """Make a document visible under its source, in one step; an older version of that source leaves in it.

        Returns it as it is now: with the tags and metadata that it, or the version before it, had already.
        Raises Conflict where not all of its chunks are stored.
        """
        return self.publish_many(collection, (document,), chunker=chunker)[0]

    def publish_many(self, collection: str, documents: Sequence[Document], *, chunker: str) -> tuple[Document, ...]:
        """The same of several documents, in fewer writes, each visible or not. Raises Conflict before any is."""
        with self._changing(collection) as changing:
            return changing.publish(documents, chunker=chunker)

    def unpublish_sources(self, collection: str, sources: Sequence[str]) -> tuple[Document, ...]:
        """Take names away; documents that have no other are forgotten, and returned."""
        with self._changing(collection) as changing:
            left = changing.unpublish(sources)
        for document in left:
            self._forget_recut(collection, document.id)
        return left

    def documents(self, collection: str) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return self._of(collection).documents()

    def document(self, collection: str, document_id: str) -> Document:
        """One published document. Raises DocumentNotFound."""
        return self._of(collection).document(document_id)

    def chunks(self, collection: str, document_id: str, *, first: int = 0, limit: int = 100) -> tuple[Chunk, ...]:
        """A document's chunks in order, at most `limit` from the ordinal `first`. Raises DocumentNotFound."""
        return self._of(collection).chunks(document_id, first=first, limit=limit)

    def annotate(
        self,
        collection: str,
        document_id: str,
        *,
        tags: Sequence[str] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set tags and metadata in place of a document's own; None keeps them. Raises DocumentNotFound."""
        with self._changing(collection) as changing:
            return changing.annotate(document_id, tags=tags, metadata=metadata)

    def delete(self, collection: str, document_id: str) -> Document:
        """Forget a document and its chunks. Raises DocumentNotFound."""
        self.document(collection, document_id)
        self._forget_recut(collection, document_id)  # first: whoever is killed here finds it and deletes again
        with self._changing(collection) as changing:
            return changing.delete(document_id)

    def search(
        self,
        collection: str,
        call: SearchCall,
        vector: "NDArray[np.float32] | None",
        *,
        identity: EmbedderIdentity,
    ) -> tuple[Passage, ...]:
        """The best chunks of published documents, best first. vector: of the query; None for words alone.

        Raises EmbedderMismatch, and BadRequest for a filter or a vector that is wrong.
        """
        found = self._of(collection)
        passages = found.search(call, vector, identity=identity)
        self._make_room(collection)
        return passages

    def load(self, collection: str) -> None:
        """Read in what the first search of a collection needs."""
        self._of(collection).load()

    def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return tuple(self._of(name).card() for name in self._indexes.names() if base_of(name) is None)

    def remove_collection(self, collection: str) -> None:
        """Forget a collection and all that is in it. Raises CollectionNotFound."""
        check_name(collection)
        for recut in self._recuts_of(collection):
            self._drop(recut)
        filed = self._files is not None and collection in self._files.collections()
        if not filed and collection not in self._indexes.names():
            raise not_found(collection)
        self._drop(collection)

    def reindex(self, collection: str) -> int:
        """Make a collection's index anew from its vector files, and return how many chunks it has then.

        What is in the index alone is filed first. Documents that have lost chunks are forgotten, so that they can
        be stored again. Raises CollectionNotFound where there is neither, Conflict where no vectors are filed.
        """
        check_name(collection)
        if self._files is None:
            raise Conflict("No vectors are kept beside this store", hint="stores.vectors.kind: embedded or server")
        self._collections.pop(collection, None)
        return rebuild(collection, self._indexes, self._files)

    def reclaim(self, collection: str, *, before: float, spared: Sequence[str] = ()) -> int:
        """Delete the chunks that runs which were killed before that time stored and nobody published.

        before: Unix seconds. spared: documents that a run is working on. Returns of how many documents; 0 also
        where no vectors are kept beside the index, which tell their age.
        """
        with self._changing(collection) as changing:
            return changing.reclaim(before=before, spared=frozenset(spared))

    def count(self, collection: str) -> int:
        """How many chunks are stored, those of documents not yet published included."""
        return self._of(collection).count()

    def identity(self, collection: str) -> EmbedderIdentity | None:
        """The embedder that filled the collection; None while it is empty."""
        return self._of(collection).card().identity

    def close(self) -> None:
        """Let go of files and connections; calling it twice is harmless."""
        self._indexes.close()

    def _drop(self, name: str) -> None:
        self._collections.pop(name, None)
        if self._files is not None:
            self._files.drop(name)
        self._indexes.drop(name)
        self._known_recuts().discard(name)

    def _forget_recut(self, collection: str, document_id: str) -> None:
        """Take a document out of a collection's recuts: what somebody deletes is not kept in another place."""
        for recut in self._recuts_of(collection):
            with suppress(DocumentNotFound), self._changing(recut) as changing:
                changing.delete(document_id)

    def _recuts_of(self, collection: str) -> list[str]:
        return sorted(name for name in self._known_recuts() if base_of(name) == collection)

    def _known_recuts(self) -> set[str]:
        if self._recuts is None:
            filed = () if self._files is None else self._files.collections()
            self._recuts = {name for name in (*self._indexes.names(), *filed) if base_of(name) is not None}
        return self._recuts

    def _make_room(self, name: str) -> None:
        """Let those go from memory that were not searched for longest."""
        self._collections[name] = self._collections.pop(name)  # to the end
        total = sum(one.loaded for one in self._collections.values())
        for other in list(self._collections):
            if total <= self._in_memory or other == name:
                break
            total -= self._collections[other].loaded
            self._collections[other].unload()

    @contextmanager
    def _changing(self, name: str) -> Iterator[Collection]:
        """A collection to change. One whose change failed half way is opened anew: what is written decides."""
        try:
            yield self._of(name)
        except Unavailable:
            self._collections.pop(name, None)
            raise

    def _of(self, name: str) -> Collection:
        found = self._collections.get(name)
        if found is None:
            check_name(name)
            found = Collection(name, self._indexes, self._files, in_memory=self._in_memory)
            self._collections[name] = found
        return found
