"""The first stage of a recut, as `stages.ReadAndCut` is of an ingest: stored documents to chunks on disk.

Nothing is parsed: the text comes from the chunks that are there. The second stage is `stages.Embed`, as ever.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from cluster.documents import Chunk
from cluster.errors import DocumentNotFound, EmptyDocument, HeliostatError, Unavailable
from pipelines.documents.chunk_files import write_chunks
from pipelines.documents.embedders import Embedder, TooLargeToSend
from pipelines.documents.owner import Shelf, Vectors
from pipelines.documents.recut_text import text_of
from pipelines.documents.stages import FileRow, Place, Slice, Stage, sliced

CHUNKS_AT_ONCE = 5000  # of a document in one answer: the store looks for all of them each time


class Recut(Stage):
    """Documents to chunks of the sizes that `place` has. In: `documents`, ids. Out: `rows`, `slices` (Slice).

    rows: FileRow, whose status also is `gone` for what was deleted meanwhile. vectors: where the documents are.
    """

    def __init__(self, place: Place, vectors: Vectors | None = None, embedder: Embedder | None = None) -> None:
        super().__init__(place, vectors, embedder)
        self._shelf = cast(Shelf, self._vectors)

    def one(self, work: dict[str, Any]) -> dict[str, Any]:
        """Cut some documents."""
        rows: list[FileRow] = []
        chunks: list[Chunk] = []
        for document_id in work["documents"]:
            row, cut = self._tried(str(document_id))
            rows.append(row)
            chunks += cut
        slices: list[Slice] = []
        if chunks:
            slices = list(sliced(str(write_chunks(Path(self._place.folder), chunks)), chunks))
        return {"rows": [asdict(row) for row in rows], "slices": [asdict(each) for each in slices]}

    def _tried(self, document_id: str) -> tuple[FileRow, tuple[Chunk, ...]]:
        try:
            return self._cut(document_id)
        except Unavailable:  # nothing is wrong with the document
            raise
        except DocumentNotFound:
            return FileRow(source="", document_id=document_id, status="gone"), ()
        except TooLargeToSend:
            return FileRow(source="", document_id=document_id, status="large"), ()
        except HeliostatError as error:
            failed = FileRow(source="", document_id=document_id, code=error.code, message=error.message)
            return failed, ()

    def _cut(self, document_id: str) -> tuple[FileRow, tuple[Chunk, ...]]:
        document = self._shelf.document(document_id)
        parsed = text_of(document, self._chunks(document_id))
        cut = self._embedder.cut(parsed, document_id=document_id, source=document.source)
        if not cut:
            raise EmptyDocument(f"{document.source}: the embedder sees no text in it")
        row = FileRow(source=document.source, status="cut", document_id=document_id, chunks=len(cut))
        return row, cut

    def _chunks(self, document_id: str) -> Iterator[Chunk]:
        first = 0
        while True:
            part = self._shelf.chunks(document_id, first=first, limit=CHUNKS_AT_ONCE)
            yield from part
            if len(part) < CHUNKS_AT_ONCE:
                return
            first = part[-1].ordinal + 1
