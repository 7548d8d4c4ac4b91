"""An evaluation of the running cluster: the corpus stored by the pipeline of `ingest`, the queries over HTTP."""

import re
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from cluster.console.progress import Progress
from cluster.errors import BadRequest, ClusterError, CollectionNotFound
from cluster.runtime.state import read_state
from pipelines.documents.evaluation.corpus import CorpusFiles, write_corpus
from pipelines.documents.evaluation.dataset import Dataset
from pipelines.documents.evaluation.exact import ExactSearch
from pipelines.documents.evaluation.results import Measured, write_results
from pipelines.documents.evaluation.run import Evaluation, Mode, Watch
from pipelines.documents.evaluation.scores import Asked, ModeScores, of_mode
from pipelines.documents.evaluation.served import ServedCollection
from pipelines.documents.job_progress import JobProgress
from pipelines.documents.running import Running, new_job_id, running, store

FOLDER = "documents/evaluations"  # below the home
TOLD = 3  # documents that were not stored, of which the reason is told
TELL_EVERY_S = 5.0
FRESH = "eval-"  # begins the name of a collection that is thrown away


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How documents are cut into chunks. tokens, overlap: None is what the cluster's config says."""

    tokens: int | None = None
    overlap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. cuts: each is stored for itself, and all modes are asked of each.

    collection: where to store, and keep it; None is one that is thrown away. rerank: the model of that mode. exact:
    whether the index is held against exact search. file: of the rows; None is one under the home.
    """

    modes: tuple[Mode, ...]
    cuts: tuple[Cut, ...] = (Cut(),)
    rerank: str | None = None
    split: str = "test"
    collection: str | None = None
    exact: bool = True
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured of one cut, a line a mode. notes: what a reader of the figures should know."""

    of: Measured
    scores: tuple[ModeScores, ...]
    notes: tuple[str, ...]
    rows: tuple[Asked, ...]


def measure(dataset: Dataset, plan: Plan, progress: Progress) -> tuple[tuple[Report, ...], Path]:
    """Store the corpus, ask every query in every mode, for each cut; and write the rows to a file.

    Raises NotRunning, SettingsError without an embedding model, BadRequest for a cut that cannot be, ClusterError
    where nothing could be stored, and what `Evaluation` and `ServedCollection` raise.
    """
    cluster = running()
    clusters = [recut(cluster, cut) for cut in plan.cuts]  # a wrong one is told before anything is stored
    reports = tuple(_measured(dataset, plan, each, progress) for each in clusters)
    file = plan.file or _file(cluster.home, reports[0].of)
    write_results(file, [(report.of, report.rows) for report in reports])
    return reports, file


def recut(cluster: Running, cut: Cut) -> Running:
    """The cluster with documents cut otherwise. Raises BadRequest."""
    if cut == Cut():
        return cluster
    documents = cluster.settings.documents
    given = {"chunk_tokens": cut.tokens, "chunk_overlap": cut.overlap}
    wanted = {name: value for name, value in given.items() if value is not None}
    # Workers of its own cut as they are told; the served embedder cuts as its config says.
    fields = {**documents.model_dump(), **wanted, "served_bytes": 0}
    try:
        changed = type(documents).model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        raise BadRequest(f"Documents cannot be cut so: {problem['msg'].removeprefix('Value error, ')}") from None
    return replace(cluster, settings=cluster.settings.model_copy(update={"documents": changed}))


def _measured(dataset: Dataset, plan: Plan, cluster: Running, progress: Progress) -> Report:
    with _collection(cluster, plan.collection) as collection:
        corpus, stored = _stored(dataset, cluster, collection, progress)
        embedder = cluster.settings.embedding_models[0].id
        url = read_state(cluster.home).url
        with closing(ServedCollection(url, collection, embedder=embedder, rerank=plan.rerank)) as served:
            evaluation = Evaluation(dataset, corpus.ids, served, _watch(progress, dataset))
            rows = _asked(evaluation, plan, progress)
            if plan.exact and Mode.DENSE in rows:
                exact = _exact_search(cluster, collection, progress)
                rows[Mode.DENSE] = evaluation.against_exact(rows[Mode.DENSE], exact, served.embed)
        of = _of(dataset, plan, cluster, collection)
    scores = tuple(of_mode(each) for each in rows.values())
    return Report(
        of=of,
        scores=scores,
        notes=(*notes_of(dataset, corpus, stored), *refused_of(scores)),
        rows=tuple(row for each in rows.values() for row in each),
    )


def notes_of(dataset: Dataset, corpus: CorpusFiles, stored: JobProgress) -> tuple[str, ...]:
    """What a reader of the figures should know."""
    notes = [f"{len(dataset.queries)} judged queries, {len(dataset.entries)} documents in the corpus"]
    if dataset.missing:
        notes.append(f"{dataset.missing} relevant documents are not in the corpus: they count as not found")
    if corpus.empty:
        notes.append(f"{len(corpus.empty)} documents have neither title nor text: they are not stored")
    if stored.failed:
        notes.append(f"{len(stored.failed)} documents could not be stored: they count as not found")
    for failure in stored.failed[:TOLD]:
        name = corpus.names.get(failure.source, failure.source)
        notes.append(f"  {name}: {failure.message} [{failure.code}]")
    return tuple(notes)


def refused_of(scores: Sequence[ModeScores]) -> tuple[str, ...]:
    """How many queries of each mode were refused, which pulls its means down."""
    return tuple(
        f"{one.mode}: {one.failed} of its queries were refused, and count as if nothing was found: `error` says why"
        for one in scores
        if one.failed
    )


@contextmanager
def _collection(cluster: Running, name: str | None) -> Iterator[str]:
    """The collection of that name; or a fresh one, of which nothing stays."""
    if name is not None:
        yield name
        return
    fresh = f"{FRESH}{uuid.uuid4().hex[:16]}"
    try:
        yield fresh
    finally:
        with suppress(CollectionNotFound):  # where nothing was stored
            cluster.owner(fresh).remove_collection(fresh)
        cluster.states().forget(fresh)


def _stored(
    dataset: Dataset, cluster: Running, collection: str, progress: Progress
) -> tuple[CorpusFiles, JobProgress]:
    """The corpus as `heliostat ingest` stores any folder. Raises ClusterError where nothing of it could be."""

    began = told = time.monotonic()

    def watch(done: JobProgress) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            files = f"{done.files_done} of {done.files_total} documents"
            progress.waiting(f"storing: {files}, {done.chunks_done} of {done.chunks_total} chunks")

    progress.waiting(f"storing {len(dataset.entries)} documents")
    folder = cluster.home / "documents" / "runs" / f"eval-{uuid.uuid4().hex[:16]}"
    try:
        corpus = write_corpus(dataset.entries, folder)
        done = store(corpus.files, cluster, watch, job_id=new_job_id(), collection=collection)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if len(done.failed) == len(corpus.files):
        reason = done.failed[0].message if done.failed else "no document has a text"
        raise ClusterError(f"Nothing of {dataset.name} could be stored: {reason}")
    progress.done(f"stored {len(done.documents)} documents, {done.unchanged} unchanged", time.monotonic() - began)
    return corpus, done


def _watch(progress: Progress, dataset: Dataset) -> Watch:
    total = len(dataset.queries)
    told = time.monotonic()

    def watch(mode: Mode, number: int) -> None:
        nonlocal told
        if number == 1 or time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            progress.waiting(f"asking in mode {mode}: {number} of {total} queries")

    return watch


def _asked(evaluation: Evaluation, plan: Plan, progress: Progress) -> dict[Mode, Sequence[Asked]]:
    rows: dict[Mode, Sequence[Asked]] = {}
    for mode in plan.modes:
        began = time.monotonic()
        rows[mode] = evaluation.measure(mode)
        progress.done(f"asked in mode {mode}", time.monotonic() - began)
    return rows


def _exact_search(cluster: Running, collection: str, progress: Progress) -> ExactSearch:
    """All published vectors of a collection, from the files that are kept beside the index."""
    import numpy as np

    progress.waiting("comparing the index with exact search")
    published = cluster.records(collection) or {}
    rows = {}
    for part in cluster.files().read(collection):
        for chunk, vector in zip(part.chunks, part.vectors, strict=True):
            record = published.get(chunk.document_id)
            if record is not None and record.chunker == part.chunker:
                rows[(chunk.document_id, chunk.start, chunk.end)] = vector
    if not rows:
        raise ClusterError(f"There are no vector files of {collection!r}", hint="--no-exact measures without them")
    return ExactSearch(list(rows), np.stack(list(rows.values())))


def _of(dataset: Dataset, plan: Plan, cluster: Running, collection: str) -> Measured:
    cards = cluster.owner(collection).collections()
    card = next(card for card in cards if card.name == collection)  # something was stored in it
    assert card.identity is not None
    return Measured(
        dataset=dataset.name,
        split=plan.split,
        collection=collection,
        model=card.identity.model,
        revision=card.identity.revision,
        chunk_tokens=cluster.settings.documents.chunk_tokens,
        chunk_overlap=cluster.settings.documents.chunk_overlap,
        documents=card.documents,
        created=time.time(),
        settings={"rerank": plan.rerank} if plan.rerank else {},
    )


def _file(folder: Path, of: Measured) -> Path:
    """A new file's name: readable, and never that of an earlier run."""
    began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(of.created))
    name = re.sub(r"[^A-Za-z0-9._-]", "_", of.dataset)
    return folder / FOLDER / f"{name}-{began}-{uuid.uuid4().hex[:6]}.parquet"
