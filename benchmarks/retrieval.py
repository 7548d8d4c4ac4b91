"""Search in a large collection: how long it takes without the embedding, and what the index misses.

    python benchmarks/retrieval.py DATASET [--chunks 100000] [--home FOLDER] [--vectors FILE] [--json FILE]

DATASET is a BEIR folder. Its documents are embedded once; each chunk of the collection is near one of them, by its
vector (cosine about 0.86) and by its words. What is timed is the store's own search, as its owner's thread runs it:
the hop to the owner and the query's embedding are not in it. Promised for chunks without a filter: p50 at most
10 ms, p95 at most 30 ms, and at least 0.99 of what exact search finds in the first ten.

--home keeps the collection, and --vectors the embeddings, for the next run with the same arguments. How good the
found passages are is another question: `heliostat eval retrieval`.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.documents import Chunk, Document, EmbedderIdentity, SearchCall, SearchMode
from cluster.engines.sentence import SentenceEngine
from cluster.settings.engines import SentenceSettings
from cluster.settings.stores import StoreSettings
from cluster.stores.factory import open_vectors
from cluster.stores.vectors import VectorStore
from pipelines.documents.evaluation.dataset import read_dataset
from pipelines.documents.evaluation.exact import ExactSearch, Span
from pipelines.documents.evaluation.metrics import percentile
from pipelines.documents.evaluation.ranking import Hit

COLLECTION, CHUNKER = "benchmark", "benchmark"
P50_MS, P95_MS, RECALL = 10.0, 30.0, 0.99
NOISE = 0.6  # length of what is added to a document's unit vector
WORDS, OTHERS = 60, 40  # of a chunk: its own document's in their order, and others of the corpus
PER_DOCUMENT = 4  # chunks
SPAN = 600  # characters of a chunk, in what it says of itself
LIMIT = 10
WRITE = 1000  # chunks a call
Vectors = NDArray[np.float32]
HALF = "8"  # documents' ids are hashes: half of them are below
TAGS = {"tenth": 0.1, "hundredth": 0.01}  # the part of all documents that has the tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kind of search. tag: what the documents must have. half: only those whose id, a hash, begins below 8."""

    mode: SearchMode
    tag: str | None = None
    half: bool = False
    per_document: int | None = None

    def call(self, query: str) -> SearchCall:
        """The search for a query."""
        where = None if self.tag is None else {"type": "eq", "key": "tags", "value": self.tag}
        if self.half:
            where = {"type": "lt", "key": "source", "value": HALF}
        return SearchCall(
            query=query,
            limit=LIMIT,
            collection=COLLECTION,
            mode=self.mode,
            where=where,
            per_document=self.per_document,
        )

    def __str__(self) -> str:
        told = [self.mode.value]
        told += [f"tag of {TAGS[self.tag]:.0%}"] if self.tag else []
        told += ["half of the documents"] if self.half else []
        told += ["one a document"] if self.per_document else []
        return ", ".join(told)


CASES = (
    Case(mode=SearchMode.DENSE),
    Case(mode=SearchMode.BM25),
    Case(mode=SearchMode.HYBRID),
    Case(mode=SearchMode.HYBRID, per_document=1),
    *(Case(mode=mode, half=True) for mode in (SearchMode.DENSE, SearchMode.HYBRID)),
    *(Case(mode=mode, tag=tag) for tag in TAGS for mode in (SearchMode.DENSE, SearchMode.HYBRID)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The collection's chunks: of each its span, its document's tags, its text and its vector."""

    spans: list[Span]
    tags: list[tuple[str, ...]]
    texts: list[str]
    vectors: Vectors


def embedded(folder: Path, kept: Path | None) -> tuple[list[str], list[str], Vectors, Vectors, str]:
    """The dataset's documents and queries with their vectors, and the embedder's revision."""
    dataset = read_dataset(folder)
    texts, queries = [entry.content for entry in dataset.entries], [query.text for query in dataset.queries]
    if kept is not None and kept.is_file():
        with np.load(kept) as stored:
            return texts, queries, stored["documents"], stored["queries"], str(stored["revision"])
    engine = SentenceEngine(SentenceSettings())
    engine.start()
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    documents = np.empty((len(texts), engine.capabilities.dimensions), np.float32)
    for first in range(0, len(order), 64):
        part = order[first : first + 64]
        documents[part] = engine.embed([texts[place] for place in part]).vectors
    asked = engine.embed(queries).vectors
    if kept is not None:
        np.savez(kept, documents=documents, queries=asked, revision=np.array(engine.revision))
    return texts, queries, documents, asked, engine.revision


def made(texts: Sequence[str], vectors: Vectors, count: int) -> Made:
    """Chunks near the documents; the same for the same arguments."""
    chance = np.random.default_rng(0)
    base = chance.integers(0, len(vectors), count)
    near = vectors[base]
    noise = chance.normal(size=near.shape).astype(np.float32)
    near = near + NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    words = [text.split() for text in texts]
    vocabulary = [word for each in words for word in each]
    told, spans, tags = [], [], []
    drawn: tuple[str, ...] = ()
    for place in range(count):
        if place % PER_DOCUMENT == 0:
            drawn = tuple(tag for tag, part in TAGS.items() if chance.random() < part)
        own = words[base[place]]
        first = int(chance.integers(0, max(1, len(own) - WORDS)))
        others = [vocabulary[at] for at in chance.integers(0, len(vocabulary), OTHERS)]
        told.append(" ".join(own[first : first + WORDS] + others))
        start = place % PER_DOCUMENT * SPAN
        spans.append((_id(f"document {place // PER_DOCUMENT}"), start, start + SPAN))
        tags.append(drawn)
    return Made(spans=spans, tags=tags, texts=told, vectors=np.ascontiguousarray(near, np.float32))


def fill(store: VectorStore, chunks: Made, identity: EmbedderIdentity) -> float:
    """Store and publish what is not there; the seconds that took."""
    began = perf_counter()
    for first in range(0, len(chunks.texts), WRITE):
        part = list(_chunks(chunks, first, min(first + WRITE, len(chunks.texts))))
        absent = set(store.missing(COLLECTION, [chunk.id for chunk in part]))
        new = [place for place, chunk in enumerate(part) if chunk.id in absent]
        if new:
            vectors = chunks.vectors[[first + place for place in new]]
            store.upsert(COLLECTION, [part[place] for place in new], vectors, chunker=CHUNKER, identity=identity)
        documents = {chunk.document_id: chunks.tags[first + place] for place, chunk in enumerate(part)}
        if not new and all(store.held_many(COLLECTION, list(documents), chunker=CHUNKER)):
            continue  # a run that was stopped between the two had stored its last chunks and not published them
        counts = {name: sum(chunk.document_id == name for chunk in part) for name in documents}
        store.publish_many(
            COLLECTION,
            [
                Document(id=name, source=name, media_type="text/plain", chunks=counts[name], tags=tags)
                for name, tags in documents.items()
            ],
            chunker=CHUNKER,
        )
        print(f"  stored {first + len(part)} of {len(chunks.texts)}, {perf_counter() - began:.0f} s", flush=True)
    return perf_counter() - began


def _chunks(chunks: Made, first: int, last: int) -> Iterator[Chunk]:
    for place in range(first, last):
        document_id, start, end = chunks.spans[place]
        yield Chunk(
            id=_id(f"chunk {place}"),
            document_id=document_id,
            source=document_id,
            ordinal=place % PER_DOCUMENT,
            start=start,
            end=end,
            text=chunks.texts[place],
            tokens=WORDS + OTHERS,
        )


def measure(
    store: VectorStore, case: Case, queries: Sequence[str], vectors: Vectors, identity: EmbedderIdentity, exact: Any
) -> dict[str, Any]:
    """Latencies of a case over all queries, after one that is not counted; recall where it is dense."""
    times, computed, recalls = [], [], []
    for number, (query, vector) in enumerate(zip([queries[0], *queries], [vectors[0], *vectors], strict=True)):
        given = None if case.mode is SearchMode.BM25 else vector
        began, computing = perf_counter(), thread_time()
        found = store.search(COLLECTION, case.call(query), given, identity=identity)
        spent, used = perf_counter() - began, thread_time() - computing
        if number:
            times.append(1000 * spent)
            computed.append(1000 * used)
            if case.mode is SearchMode.DENSE:
                hits = [_hit(passage.chunk, passage.score) for passage in found]
                recalls.append(exact.recall(hits, vector, depth=LIMIT))
    return {
        "case": str(case),
        "p50_ms": statistics.median(times),
        "p95_ms": percentile(times, 0.95),
        "cpu_p50_ms": statistics.median(computed),
        "cpu_p95_ms": percentile(computed, 0.95),
        "recall_10": statistics.fmean(recalls) if recalls else None,
    }


def _hit(chunk: Chunk, score: float) -> Hit:
    return Hit(document_id=chunk.document_id, start=chunk.start, end=chunk.end, score=score)


def _among(chunks: Made, case: Case) -> ExactSearch:
    rows = [
        place
        for place, (span, tags) in enumerate(zip(chunks.spans, chunks.tags, strict=True))
        if (case.tag is None or case.tag in tags) and not (case.half and span[0] >= HALF)
    ]
    return ExactSearch([chunks.spans[row] for row in rows], chunks.vectors[rows])


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _line(row: dict[str, Any], *, promised: bool) -> str:
    recall = "" if row["recall_10"] is None else f"{row['recall_10']:.4f}"
    figures = (row[name] for name in ("p50_ms", "p95_ms", "cpu_p50_ms", "cpu_p95_ms"))
    line = f"{row['case']:<32}{''.join(f'{figure:>9.1f}' for figure in figures)}{recall:>9}"
    if not promised:
        return line
    missed = [f"p50 > {P50_MS:g}"] * (row["p50_ms"] > P50_MS) + [f"p95 > {P95_MS:g}"] * (row["p95_ms"] > P95_MS)
    missed += [f"recall < {RECALL}"] * (row["recall_10"] is not None and row["recall_10"] < RECALL)
    return f"{line}   {'MISSED: ' + ', '.join(missed) if missed else 'reached'}"


def main() -> None:
    """Make the collection, ask in every way, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="keep the collection there")
    parser.add_argument("--vectors", type=Path, help="keep the embeddings in this .npz file")
    parser.add_argument("--json", type=Path, help="write the rows there")
    arguments = parser.parse_args()
    texts, queries, documents, asked, revision = embedded(arguments.dataset, arguments.vectors)
    chunks = made(texts, documents, arguments.chunks)
    identity = EmbedderIdentity(model="all-MiniLM-L6-v2", revision=revision, dimensions=documents.shape[1])
    with tempfile.TemporaryDirectory(prefix="heliostat-bench-") as folder:
        store = open_vectors(StoreSettings(), arguments.home or Path(folder))
        try:
            filled = fill(store, chunks, identity)
            print(f"{len(chunks.texts)} chunks, {len(queries)} queries; stored in {filled:.0f} s")
            began = perf_counter()
            store.search(COLLECTION, Case(mode=SearchMode.BM25).call(queries[0]), None, identity=identity)
            print(f"the index of words was read in {perf_counter() - began:.1f} s")
            print(f"{'':<32}{'p50 ms':>9}{'p95 ms':>9}{'cpu p50':>9}{'cpu p95':>9}{'recall':>9}")
            rows = []
            for case in CASES:
                row = measure(store, case, queries, asked, identity, _among(chunks, case))
                promised = case.tag is None and not case.half
                rows.append(row | {"promised": promised})
                print(_line(row, promised=promised), flush=True)
        finally:
            store.close()
    if arguments.json:
        facts = {"chunks": arguments.chunks, "identity": asdict(identity), "filled_s": filled, "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
