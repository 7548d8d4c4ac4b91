"""Chunks that a killed ingest stored and no run published: found by the age of their vector files, and deleted.

No search finds them, and a later run over the same file takes them over; but a file that never comes again would
leave them for ever.
"""

from collections import defaultdict
from collections.abc import Container

from cluster.stores.ledger import Ledger
from cluster.stores.vector_files import VectorFiles
from cluster.stores.vector_index import Index


def reclaim(
    name: str, index: Index, ledger: Ledger, files: VectorFiles, *, before: float, spared: Container[str]
) -> int:
    """Delete them; of how many documents. before: Unix seconds; whose newest part is younger stays.

    spared: documents that a run is working on. Killed in the middle, the next time goes on: they leave the files,
    by which they are found, last.
    """
    published = {record.document.id: record for record in ledger.records()}
    newest: dict[tuple[str, str], float] = defaultdict(float)
    for part in files.parts(name):
        for document_id in part.documents:
            key = (document_id, part.chunker)
            newest[key] = max(newest[key], part.written)
    found = 0
    for (document_id, chunker), written in newest.items():
        record = published.get(document_id)
        if (
            written >= before
            or document_id in spared
            or (record and (record.unfinished or record.chunker == chunker))
        ):
            continue
        kept = record.chunker if record else None
        index.drop_document(document_id, keep=kept)
        files.forget(name, document_id, kept_chunker=kept)
        found += 1
    return found
