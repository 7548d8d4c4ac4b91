"""What a sync takes out: documents that came from files of a folder that are there no more."""

from collections.abc import Collection, Mapping
from pathlib import Path

from cluster.errors import BadRequest
from cluster.stores.document_states import DocumentState
from cluster.stores.ledger import Record
from pipelines.documents.journal import Journal
from pipelines.documents.owner import Vectors
from pipelines.documents.selection import Selected


def vanished(
    known: Mapping[str, DocumentState], folder: Path, files: Collection[Selected], closed: Collection[str] = ()
) -> dict[str, DocumentState]:
    """Notes on files that were read from below the folder once and are not among its files, by source.

    closed: folders that could not be looked into: what was in them may be there still.
    """
    there = {file.path for file in files}
    named = {file.source for file in files}  # a path that is no UTF-8 is noted otherwise than it is
    root = folder.expanduser().resolve()
    return {
        source: state
        for source, state in known.items()
        if state.path
        and state.path not in there
        and source not in named
        and Path(state.path).is_relative_to(root)
        and not any(Path(state.path).is_relative_to(each) for each in closed)
    }


def refuse_empty(folder: Path, files: Collection[Selected], gone: Collection[str]) -> None:
    """A folder where nothing is left is more often a disk that is not there. Raises BadRequest."""
    if not files and gone:
        raise BadRequest(
            f"{folder}: no file to read is left, and {len(gone)} came from it",
            hint="--allow-empty takes them out of the collection",
        )


def take_out(
    gone: Mapping[str, DocumentState], vectors: Vectors, records: Mapping[str, Record] | None, journal: Journal
) -> int:
    """Take vanished files' names away; how many documents lost one.

    A name that means another document by now, such as an upload of that name, is left alone.
    records: what is published, by id; None where that is not known.
    """
    ids = {source: {state.document_id, state.stored_id} - {""} for source, state in gone.items()}
    if records is None:
        held: set[str] = set()
        for chunker in {state.chunker for state in gone.values() if state.chunker}:
            held |= set(vectors.held(sorted({each for some in ids.values() for each in some}), chunker=chunker))
        ours = [source for source in gone if ids[source] & held]
    else:
        named = {source: id_ for id_, record in records.items() for source in record.sources}
        ours = [source for source in gone if named.get(source) in ids[source]]
    if ours:
        vectors.unpublish(ours)
    journal.forget(gone)
    return len(ours)
