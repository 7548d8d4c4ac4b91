"""Which documents are published, under which names, with which tags: pure, one for each collection.

The same bytes under two names are one document with two sources; it leaves when its last source does. What a
change leaves behind in other places is written in the records that it saves, so that whoever is killed in the
middle of it can finish it after a restart: see `Ledger.unfinished`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.documents import Document, MetadataValue
from cluster.errors import DocumentNotFound
from cluster.filters import Filter

REMEMBERED = 16  # filters, with the documents that they let through: asking 10,000 documents takes some 15 ms
MOST_CHANGED = 10_000  # documents that a remembered filter may be behind by; one that is asked no more is dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A published document. sources: every name it came under, the newest last; without one it is on its way out.

    recut: it was published before by another chunker, whose chunks are not gone yet.
    """

    document: Document
    sources: tuple[str, ...]
    chunker: str
    recut: bool = False

    @property
    def leaving(self) -> bool:
        """Whether it is forgotten already, and only its chunks are to go."""
        return not self.sources

    @property
    def unfinished(self) -> bool:
        """Whether there are chunks of it that must go."""
        return self.leaving or self.recut


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Records to write, in one step."""

    saved: tuple[Record, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Matching:
    """What a filter lets through. changed: documents that it has not looked at since they changed."""

    wanted: Filter
    found: frozenset[str]
    changed: set[str]


class Ledger:
    """The published documents by id. A change is made known by `apply`, after it was written durably."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[str, Record] = {}
        self._named: dict[str, str] = {}
        self._unfinished: dict[str, Record] = {}
        self._matching: dict[str, _Matching] = {}
        self.apply(Change(saved=tuple(records)))

    def __len__(self) -> int:
        return len(self._records)

    def held(self, document_id: str, chunker: str) -> Document | None:
        """The document, where this chunker cut it."""
        record = self._records.get(document_id)
        return record.document if record is not None and record.chunker == chunker else None

    def documents(self) -> tuple[Document, ...]:
        """Newest first; of one second, by name."""
        found = (record.document for record in self._records.values())
        return tuple(sorted(found, key=lambda document: (-document.created, document.source)))

    def records(self) -> tuple[Record, ...]:
        """The records of all published documents, in no order."""
        return tuple(self._records.values())

    def matching(self, wanted: Filter) -> frozenset[str]:
        """The ids of the documents that a filter lets through; remembered, and kept up with what changes."""
        asked = repr(wanted)  # which tells True from 1, as filters do
        match = self._matching.get(asked)
        if match is None:
            if len(self._matching) >= REMEMBERED:
                self._matching.clear()
            match = _Matching(wanted=wanted, found=frozenset(), changed=set(self._records))
            self._matching[asked] = match
        if match.changed:
            known = ((key, self._records.get(key)) for key in match.changed)
            passed = {key for key, record in known if record is not None and wanted.matches(record.document)}
            match.found = (match.found - match.changed) | passed
            match.changed = set()
        return match.found

    def publish(self, document: Document, chunker: str) -> Change:
        """What must change for `document` to be the one that its source names.

        What was said of it before, or of the version whose place it takes, stays: tags are added to, and
        metadata is laid over.
        """
        saved: list[Record] = []
        other = self._named.get(document.source)
        if other is not None and other != document.id:
            replaced = self._records[other]
            saved.append(_without(replaced, {document.source}))
            document = _said_of(replaced.document, document)
        before = self._records.get(document.id)
        if before is None:  # some chunks of it may still be on their way out, cut in another way
            recut = document.id in self._unfinished
            saved.append(Record(document=document, sources=(document.source,), chunker=chunker, recut=recut))
            return Change(saved=tuple(saved))
        document = _said_of(before.document, document)
        others = tuple(name for name in before.sources if name != document.source)
        recut = before.recut or before.chunker != chunker
        record = Record(document=document, sources=(*others, document.source), chunker=chunker, recut=recut)
        return Change(saved=(*saved, record) if record != before else tuple(saved))

    def unpublish(self, sources: Iterable[str]) -> Change:
        """What must change for these names to name nothing. Names that nobody has are passed over."""
        gone = set(sources)
        touched = {self._named[source] for source in gone if source in self._named}
        return Change(saved=tuple(_without(self._records[document_id], gone) for document_id in sorted(touched)))

    def annotate(
        self, document_id: str, *, tags: Sequence[str] | None, metadata: Mapping[str, MetadataValue] | None
    ) -> Change:
        """What must change for a document to have these in place of its own. Raises DocumentNotFound."""
        record = self.find(document_id)
        document = record.document
        if tags is not None:
            document = replace(document, tags=_each_once(tags))
        if metadata is not None:
            document = replace(document, metadata=dict(metadata))
        changed = replace(record, document=document)
        return Change(saved=(changed,) if changed != record else ())

    def removal(self, document_id: str) -> Change:
        """What must change for a document to be forgotten. Raises DocumentNotFound."""
        return Change(saved=(replace(self.find(document_id), sources=()),))

    def apply(self, change: Change) -> None:
        """Carry the change out, after it was written to durable storage."""
        self._note({record.document.id for record in change.saved})
        for record in change.saved:
            document_id = record.document.id
            before = self._records.pop(document_id, None)
            for source in before.sources if before is not None else ():
                if self._named.get(source) == document_id:
                    del self._named[source]
            if not record.leaving:
                self._records[document_id] = record
                self._named.update(dict.fromkeys(record.sources, document_id))
            self._unfinished.pop(document_id, None)
            if record.unfinished:
                self._unfinished[document_id] = record

    def unfinished(self) -> tuple[Record, ...]:
        """Records of documents that have chunks which must go: all of one that leaves, those of other chunkers of
        one that stays."""
        return tuple(self._unfinished.values())

    def finished(self, document_id: str) -> Record | None:
        """Those chunks are gone. Returns the record to write in its place; None where it is to be deleted."""
        record = self._unfinished.pop(document_id)
        if record.leaving:
            return None
        self._records[document_id] = replace(record, recut=False)
        return self._records[document_id]

    def _note(self, changed: set[str]) -> None:
        """Have the remembered filters look at these again, when they are asked."""
        for asked, match in list(self._matching.items()):
            match.changed |= changed
            if len(match.changed) > MOST_CHANGED:
                del self._matching[asked]

    def find(self, document_id: str) -> Record:
        """One record. Raises DocumentNotFound."""
        record = self._records.get(document_id)
        if record is None:
            hint = "GET /api/v1/documents lists all documents"
            raise DocumentNotFound(f"No document with the id {document_id!r}", hint=hint)
        return record


def record_of(fields: Mapping[str, Any]) -> Record:
    """The record that was written as JSON, by `dataclasses.asdict`."""
    document = Document(**{**fields["document"], "tags": tuple(fields["document"].get("tags", ()))})
    return Record(**{**fields, "document": document, "sources": tuple(fields["sources"])})


def _without(record: Record, sources: set[str]) -> Record:
    """The record without these names; one that leaves where it has no other."""
    rest = tuple(source for source in record.sources if source not in sources)
    if not rest:
        return replace(record, sources=())
    return replace(record, sources=rest, document=replace(record.document, source=rest[-1]))


def _said_of(before: Document, document: Document) -> Document:
    return replace(
        document,
        tags=_each_once((*before.tags, *document.tags)),
        metadata={**before.metadata, **document.metadata},
    )


def _each_once(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
