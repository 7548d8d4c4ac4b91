"""A search of a vector store: passages, and which file each is of. `file_search` of responses uses it too."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.documents import MetadataValue, Passage, SearchCall, SearchMode
from cluster.filters import parse_filter
from cluster.retrieval.relevance import Judged, judge
from cluster.stores.vector_store_files import StoreFile
from deployments.clients import Retriever
from deployments.gateway.openai.vector_stores.attaching import Attaching

MOST_RESULTS = 50
RESULTS = 10  # as at OpenAI


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for. threshold: the least score. by_meaning: whether the words themselves count for nothing.

    param: where the filter stands in its request, for errors.
    """

    queries: Sequence[str]
    limit: int = RESULTS
    filters: Mapping[str, Any] | None = None
    threshold: float = 0.0
    by_meaning: bool = False
    param: str = "filters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage of a file. score: how likely it is about the query, 0 to 1; hits are in the order of their ranking.

    file_id, filename: of what was put in by another API, the document's id and name.
    """

    file_id: str
    filename: str
    attributes: Mapping[str, MetadataValue]
    score: float
    passage: Passage

    def told(self) -> dict[str, Any]:
        """As OpenAI shows it."""
        return {
            "file_id": self.file_id,
            "filename": self.filename,
            "score": round(self.score, 6),
            "attributes": dict(self.attributes),
            "content": [{"type": "text", "text": self.passage.chunk.text}],
        }


async def search(
    store_id: str, collection: str, wanted: Search, *, retriever: Retriever, attaching: Attaching
) -> list[Hit]:
    """The best hits of all the queries together. collection: the physical name of the store's.

    Raises BadRequest for a filter that is none, EmbedderMismatch.
    """
    if wanted.filters is not None:
        parse_filter(wanted.filters, param=wanted.param)  # here its place has the name that the client knows
    calls = [
        SearchCall(
            query=query,
            limit=wanted.limit,
            collection=collection,
            mode=SearchMode.DENSE if wanted.by_meaning else SearchMode.HYBRID,
            where=wanted.filters,
        )
        for query in wanted.queries
    ]
    found = await asyncio.gather(*(retriever.search(call) for call in calls))
    judged = [judge(query, passages) for query, passages in zip(wanted.queries, found, strict=True)]
    best = [one for one in _merged(judged) if one.confidence >= wanted.threshold][: wanted.limit]
    ids = {one.passage.chunk.document_id for one in best}
    files = await attaching.do(lambda records: records.of_documents(store_id, ids))
    said = {one: (await retriever.document(one, collection)).metadata for one in ids if one not in files}
    return [_hit(one, files, said) for one in best]


def _merged(found: Sequence[Sequence[Judged]]) -> list[Judged]:
    """Several rankings as one, each passage once: of one query as it is, of several by the best confidence."""
    if len(found) == 1:
        return list(found[0])
    best: dict[str, Judged] = {}
    for one in (one for ranking in found for one in ranking):
        before = best.get(one.passage.chunk.id)
        if before is None or one.evidence > before.evidence:
            best[one.passage.chunk.id] = one
    return sorted(best.values(), key=lambda one: -one.evidence)


def _hit(one: Judged, files: Mapping[str, StoreFile], said: Mapping[str, Mapping[str, MetadataValue]]) -> Hit:
    chunk = one.passage.chunk
    file = files.get(chunk.document_id)
    return Hit(
        file_id=chunk.document_id if file is None else file.file_id,
        filename=chunk.source if file is None else file.filename,
        attributes=said[chunk.document_id] if file is None else file.attributes,
        score=one.confidence,
        passage=one.passage,
    )
