"""A collection's index built anew from its vector files: nothing is embedded again."""

import logging
from collections import Counter
from collections.abc import Iterator

from cluster.errors import CollectionNotFound, Unavailable
from cluster.stores.ledger import Ledger, Record
from cluster.stores.vector_files import VectorFiles, VectorPart
from cluster.stores.vector_index import BATCH, Index, Indexes

logger = logging.getLogger(__name__)


def rebuild(name: str, indexes: Indexes, files: VectorFiles) -> int:
    """Drop the index and write it anew; returns its chunks. Raises CollectionNotFound.

    Killed in the middle, it is as if the collection were empty; the next time begins with the files again.
    """
    _file_what_is_not(name, indexes, files)
    ledger = Ledger(files.read_records(name))
    if not len(ledger):
        raise not_found(name)
    indexes.drop(name)
    index: Index | None = None
    written: Counter[str] = Counter()
    for part in _held(files.read(name), ledger):
        index = index or indexes.create(name, part.identity)
        index.upsert(part.chunks, part.vectors, chunker=part.chunker)
        written.update(chunk.document_id for chunk in part.chunks)
    lost = [record for record in ledger.records() if written[record.document.id] < record.document.chunks]
    if lost:
        logger.warning("%s: %d documents have lost chunks and are forgotten", name, len(lost))
        gone = [record.document.id for record in lost]
        files.save_records(name, (), removed=gone)
        files.forget(name, *gone)
    if index is None:
        return 0
    forgotten = {record.document.id for record in lost}
    for document_id in forgotten:
        index.drop_document(document_id)
    index.save([record for record in ledger.records() if record.document.id not in forgotten])
    return sum(count for document_id, count in written.items() if document_id not in forgotten)


def not_found(name: str) -> CollectionNotFound:
    """For a name under which nothing is stored."""
    return CollectionNotFound(f"No collection {name!r} has documents", param="collection")


def _held(parts: Iterator[VectorPart], ledger: Ledger) -> Iterator[VectorPart]:
    """What is published of the parts, each chunk once."""
    seen: set[str] = set()
    for part in parts:
        places = []
        for place, chunk in enumerate(part.chunks):
            if chunk.id not in seen and ledger.held(chunk.document_id, part.chunker) is not None:
                seen.add(chunk.id)
                places.append(place)
        if places:
            yield part._replace(chunks=[part.chunks[place] for place in places], vectors=part.vectors[places])


def _file_what_is_not(name: str, indexes: Indexes, files: VectorFiles) -> None:
    """File the documents that are in the index alone: those of a time before there were files."""
    try:
        index = indexes.open(name)
        stored = () if index is None else tuple(index.records())
    except Unavailable as error:
        logger.warning("%s: its index cannot be read: %s", name, error.message)
        return
    if index is None:
        return
    filed = {record.document.id for record in files.read_records(name)}
    for record in Ledger(stored).records():
        if record.document.id not in filed:
            _file(name, index, record, files)


def _file(name: str, index: Index, record: Record, files: VectorFiles) -> None:
    rows = [row for row in index.of_documents([record.document.id]) if row.chunker == record.chunker]
    for first in range(0, len(rows), BATCH):
        import numpy as np

        chunks = [row.chunk for row in rows[first : first + BATCH]]
        vectors = index.vectors([chunk.id for chunk in chunks])
        chunks = [chunk for chunk in chunks if chunk.id in vectors]
        if chunks:
            stacked = np.stack([vectors[chunk.id] for chunk in chunks])
            files.save(name, chunks, stacked, chunker=record.chunker, identity=index.identity)
    files.save_records(name, [record])
