"""The vectors beside the vector store: Parquet and a log of records, enough to build an index without embedding.

`FOLDER/<collection>/parts/*.parquet` hold chunks with their vectors, each part whole or not there;
`records.jsonl` tells what is published, a line a change, the last line of a document counts. The owner writes
chunks here before it writes them into the index, so that nothing is in the index alone. What was written and
never published may stay in a part: whoever reads looks into the records.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from cluster.documents import Chunk, EmbedderIdentity
from cluster.errors import Unavailable
from cluster.stores.chunk_table import chunks_of, table_of
from cluster.stores.draft import SUFFIX, Draft
from cluster.stores.ledger import Record, record_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "documents/vectors"  # below the home
LOG = "records.jsonl"
LONGEST_NAME = 200  # a collection may have 512 characters, a folder's name 255
SMALL = 64  # rows; a part below that is worth joining with others
JOIN_AT = 64  # small parts
FOOTER = "heliostat"  # the key of our facts in a part's footer
SPARE_LINES = 1000  # of a log that say nothing any more, at least, before it is written anew
logger = logging.getLogger(__name__)


class VectorPart(NamedTuple):
    """Chunks of one chunker and one embedder. vectors: shape (n, dimensions)."""

    chunks: list[Chunk]
    vectors: "NDArray[np.float32]"
    chunker: str
    identity: EmbedderIdentity


class PartFacts(NamedTuple):
    """Whose chunks a part holds. written: Unix seconds of its last writing."""

    documents: frozenset[str]
    chunker: str
    written: float


class VectorFiles:
    """Those of one home. Not thread-safe: the vector store's owner alone writes here, from its one thread.

    Raises Unavailable where the disk is full or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[str, dict[Path, _Part]] = {}  # by collection, once somebody asked
        self._spare: dict[str, int] = {}  # by collection: lines of its log since it was last looked at

    def save(
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None:
        """Keep chunks with their vectors, as one part; the same again changes nothing."""
        if not chunks:
            return
        part = VectorPart(chunks=list(chunks), vectors=vectors, chunker=chunker, identity=identity)
        known = self._known(collection)
        file, told = _write(self._of(collection) / "parts", part)
        known[file] = told
        if told.rows < SMALL:
            small = [each for each, its in known.items() if its.rows < SMALL and its.alike(told)]
            if len(small) >= JOIN_AT:
                self._join(collection, small)

    def read(self, collection: str) -> Iterator[VectorPart]:
        """All parts; a chunk may come twice, and a document that was never published may come."""
        for file in sorted((self._of(collection) / "parts").glob("*.parquet")):
            yield _read(file)

    def forget(self, collection: str, *documents: str, kept_chunker: str | None = None) -> None:
        """Take documents' chunks out; of kept_chunker's, where that is named, they stay."""
        known, gone = self._known(collection), set(documents)
        for file, told in list(known.items()):
            if not gone & told.documents or told.chunker == kept_chunker:
                continue
            part = _read(file)
            kept = [place for place, chunk in enumerate(part.chunks) if chunk.document_id not in gone]
            if kept:
                known[file] = _write_as(file, _some(part, kept))
            else:
                file.unlink()
                del known[file]

    def parts(self, collection: str) -> Iterator[PartFacts]:
        """What is told of each part without reading it. Damaged ones are left out."""
        for file, told in self._known(collection).items():
            try:
                written = file.stat().st_mtime
            except FileNotFoundError:
                continue
            yield PartFacts(documents=told.documents, chunker=told.chunker, written=written)

    def drop(self, collection: str) -> None:
        """Forget a collection, its records included."""
        self._parts.pop(collection, None)
        self._spare.pop(collection, None)
        shutil.rmtree(self._of(collection), ignore_errors=True)

    def collections(self) -> tuple[str, ...]:
        """The names of those that have records or vectors here."""
        if not self._folder.is_dir():
            return ()
        names = (_text(folder / "name") for folder in self._folder.iterdir())
        return tuple(sorted(name for name in names if name))

    def save_records(self, collection: str, records: Sequence[Record], *, removed: Sequence[str] = ()) -> None:
        """Note what is published from now on, and which documents are no more. Survives a killed process."""
        if not records and not removed:
            return
        lines = [json.dumps({"saved": asdict(record)}) for record in records]
        lines += [json.dumps({"removed": document_id}) for document_id in removed]
        file = self._made(collection) / LOG
        with _translated(file), file.open("ab+") as log:
            if log.tell() and not _ends_whole(log):
                log.write(b"\n")  # a line that a killed process left half: it is skipped when read
            log.write("".join(f"{line}\n" for line in lines).encode())
        self._shorten(collection, file, len(lines))

    def read_records(self, collection: str) -> tuple[Record, ...]:
        """What is published, oldest publication first. Any process may ask."""
        return tuple(_live(_text(self.log(collection))).values())

    def log(self, collection: str) -> Path:
        """The file in which that is told: whatever is published or removed changes its size, or makes it anew."""
        return self._of(collection) / LOG

    def _shorten(self, collection: str, file: Path, added: int) -> None:
        """Write a log anew of which most says what is past."""
        self._spare[collection] = self._spare.get(collection, SPARE_LINES) + added
        if self._spare[collection] <= SPARE_LINES:
            return
        text = _text(file)
        live = _live(text)
        spare = text.count("\n") - len(live)
        if spare > max(SPARE_LINES, len(live)):
            with _translated(file), Draft(file) as draft:
                for record in live.values():
                    draft.write(f"{json.dumps({'saved': asdict(record)})}\n".encode())
                draft.publish()
            spare = 0
        # As many lines may be added before there can be too many to spare.
        self._spare[collection] = SPARE_LINES - (max(SPARE_LINES, len(live)) - spare)

    def _join(self, collection: str, files: Sequence[Path]) -> None:
        """Small parts to one: killed in between, chunks are there twice, which changes nothing."""
        import numpy as np

        parts = [_read(file) for file in files]
        joined = VectorPart(
            chunks=[chunk for part in parts for chunk in part.chunks],
            vectors=np.concatenate([part.vectors for part in parts]),
            chunker=parts[0].chunker,
            identity=parts[0].identity,
        )
        known = self._known(collection)
        file, told = _write(self._of(collection) / "parts", joined)
        known[file] = told
        for old in files:
            if old != file:
                old.unlink(missing_ok=True)
                known.pop(old, None)

    def _known(self, collection: str) -> "dict[Path, _Part]":
        """What each part holds, from the parts' own footers, looked at once."""
        if collection not in self._parts:
            folder = self._made(collection) / "parts"
            for draft in folder.glob(f"*{SUFFIX}"):
                draft.unlink(missing_ok=True)  # a killed owner's
            told = {file: _footer(file) for file in folder.glob("*.parquet")}
            self._parts[collection] = {file: its for file, its in told.items() if its is not None}
        return self._parts[collection]

    def _made(self, collection: str) -> Path:
        folder = self._of(collection)
        if not (folder / "name").exists():
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            with Draft(folder / "name") as draft:
                draft.write(collection.encode())
                draft.publish()
        return folder

    def _of(self, collection: str) -> Path:
        if len(collection) <= LONGEST_NAME:
            return self._folder / collection
        short = f"{collection[:100]}-{hashlib.sha256(collection.encode()).hexdigest()}"
        return self._folder / short


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a part's footer tells of it."""

    rows: int
    documents: frozenset[str]
    chunker: str
    identity: EmbedderIdentity

    def alike(self, other: "_Part") -> bool:
        """Whether the two can be one part."""
        return (self.chunker, self.identity) == (other.chunker, other.identity)


def _write(folder: Path, part: VectorPart) -> tuple[Path, _Part]:
    """Under a name that the content decides, so that the same part again is the same file."""
    told = [part.chunker, json.dumps(asdict(part.identity)), *(chunk.id for chunk in part.chunks)]
    file = folder / f"{hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:32]}.parquet"
    return file, _write_as(file, part)


def _write_as(file: Path, part: VectorPart) -> _Part:
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = _Part(
        rows=len(part.chunks),
        documents=frozenset(chunk.document_id for chunk in part.chunks),
        chunker=part.chunker,
        identity=part.identity,
    )
    flat = pa.array(part.vectors.reshape(-1), type=pa.float32())
    table = table_of(part.chunks).append_column(
        "vector", pa.FixedSizeListArray.from_arrays(flat, part.identity.dimensions)
    )
    footer = {"documents": sorted(told.documents), "chunker": told.chunker, "identity": asdict(told.identity)}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(footer)}), sink, compression="zstd")
    with _translated(file), Draft(file) as draft:
        draft.write(sink.getvalue().to_pybytes())
        draft.publish()
    return told


def _read(file: Path) -> VectorPart:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with _translated(file):
        table = pq.read_table(file)
        told = _told(table.schema.metadata, len(table))
        flat = pc.list_flatten(table.column("vector").combine_chunks())
        vectors = flat.to_numpy(zero_copy_only=False).reshape(-1, told.identity.dimensions)
        return VectorPart(chunks=chunks_of(table), vectors=vectors, chunker=told.chunker, identity=told.identity)


def _footer(file: Path) -> _Part | None:
    """None for a damaged part: it keeps nobody from storing, and is named when it is read."""
    import pyarrow.parquet as pq

    try:
        with _translated(file):
            footer = pq.read_metadata(file)
            return _told(footer.metadata, footer.num_rows)
    except Unavailable as error:
        logger.warning("%s", error.message)
        return None


def _told(metadata: Mapping[bytes, bytes] | None, rows: int) -> _Part:
    fields = json.loads((metadata or {})[FOOTER.encode()])
    return _Part(
        rows=rows,
        documents=frozenset(fields["documents"]),
        chunker=fields["chunker"],
        identity=EmbedderIdentity(**fields["identity"]),
    )


def _some(part: VectorPart, places: Sequence[int]) -> VectorPart:
    return part._replace(chunks=[part.chunks[place] for place in places], vectors=part.vectors[list(places)])


def _live(text: str) -> dict[str, Record]:
    """What a log says in the end; a line that a killed process left half says nothing."""
    live: dict[str, Record] = {}
    for line in text.splitlines():
        try:
            change = json.loads(line)
        except ValueError:
            continue
        if "removed" in change:
            live.pop(change["removed"], None)
            continue
        record = record_of(change["saved"])
        live.pop(record.document.id, None)
        live[record.document.id] = record
    return live


def _text(file: Path) -> str:
    try:
        with _translated(file):
            return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _ends_whole(log: IO[bytes]) -> bool:
    log.seek(-1, os.SEEK_END)
    return log.read(1) == b"\n"


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"The vector file {file} cannot be used: {error}",
            hint="for a full disk, free some space; for a damaged file, remove it and ingest again",
        ) from error
