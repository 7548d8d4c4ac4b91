"""Which documents are published, under which names: pure, shared by the vector stores.

The same bytes under two names are one document with two sources; it leaves when its last source does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cluster.errors import DocumentNotFound
from cluster.types import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A published document. sources: every name it came under, the newest last."""

    document: Document
    sources: tuple[str, ...]
    chunker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a publication changes. saved, removed: records to write and documents to forget.

    recut: the document was published before by another chunker, whose chunks must go.
    """

    saved: tuple[Record, ...] = ()
    removed: tuple[str, ...] = ()
    recut: bool = False


class Ledger:
    """The published documents by id."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = {record.document.id: record for record in records}

    def held(self, document_id: str, chunker: str) -> Document | None:
        """The document, where this chunker cut it."""
        record = self._records.get(document_id)
        return record.document if record is not None and record.chunker == chunker else None

    def documents(self) -> tuple[Document, ...]:
        """Newest first; of one second, by name."""
        found = (record.document for record in self._records.values())
        return tuple(sorted(found, key=lambda document: (-document.created, document.source)))

    def publish(self, document: Document, chunker: str) -> Change:
        """What must change for `document` to be the one that its source names."""
        saved: list[Record] = []
        removed: list[str] = []
        for record in list(self._records.values()):
            if record.document.id == document.id or document.source not in record.sources:
                continue
            rest = tuple(source for source in record.sources if source != document.source)
            if rest:
                kept = replace(record, sources=rest, document=replace(record.document, source=rest[-1]))
                saved.append(kept)
            else:
                removed.append(record.document.id)
        before = self._records.get(document.id)
        others = tuple(name for name in before.sources if name != document.source) if before else ()
        record = Record(document=document, sources=(*others, document.source), chunker=chunker)
        if record != before:
            saved.append(record)
        recut = before is not None and before.chunker != chunker
        return Change(saved=tuple(saved), removed=tuple(removed), recut=recut)

    def apply(self, change: Change) -> None:
        """Carry the change out, after it was written to durable storage."""
        for record in change.saved:
            self._records[record.document.id] = record
        for document_id in change.removed:
            del self._records[document_id]

    def find(self, document_id: str) -> Record:
        """One record. Raises DocumentNotFound."""
        record = self._records.get(document_id)
        if record is None:
            hint = "GET /api/v1/documents lists all documents"
            raise DocumentNotFound(f"No document with the id {document_id!r}", hint=hint)
        return record

    def remove(self, document_id: str) -> None:
        """Forget one document. Raises DocumentNotFound."""
        self.find(document_id)
        del self._records[document_id]

    def empty(self) -> bool:
        """Whether nothing is published."""
        return not self._records
