"""A search of one collection: by meaning, by words, or by both, among the published chunks that a filter takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cluster.documents import Passage, SearchCall, SearchMode
from cluster.errors import BadRequest
from cluster.retrieval.diversity import diversify
from cluster.retrieval.fusion import Fused, alone, at_most_per_document, depth, fuse
from cluster.stores.ledger import Ledger
from cluster.stores.searchable import Searchable

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEEPEST = 5000  # chunks of a leg: where so many are of so few documents, fewer passages are found than wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What one way of searching found. hits: (chunk id, score), best first. whole: there is no more to find."""

    hits: tuple[tuple[str, float], ...] = ()
    whole: bool = True


class Search:
    """Both ways into one collection."""

    def __init__(self, ledger: Ledger, chunks: Searchable) -> None:
        self._ledger = ledger
        self._chunks = chunks

    def find(
        self, call: SearchCall, vector: "NDArray[np.float32] | None", among: frozenset[str] | None
    ) -> tuple[Passage, ...]:
        """The best passages, best first. among: of these documents alone; None for all."""
        if call.limit < 1 or (among is not None and not among):
            return ()
        deep = depth(call.limit, diversity=call.diversity, per_document=call.per_document)
        while True:
            dense, lexical = self._dense(call, vector, deep, among), self._lexical(call, deep, among)
            ranked = at_most_per_document(
                _ranked(call, dense, lexical),
                document_of=lambda hit: self._chunks.document_of[hit.chunk_id],
                per_document=call.per_document,
            )
            # A document's further passages were left out: there may be others below them.
            if len(ranked) >= call.limit or deep >= DEEPEST or (dense.whole and lexical.whole):
                return self._passages(self._chosen(ranked, call))
            deep *= 4

    def _dense(
        self, call: SearchCall, vector: "NDArray[np.float32] | None", deep: int, among: frozenset[str] | None
    ) -> Leg:
        if call.mode is SearchMode.BM25:
            return Leg()
        if vector is None:
            raise BadRequest("A search by meaning needs the query's vector", param="mode")
        found = self._chunks.nearest(vector, limit=deep, among=among)
        return Leg(hits=tuple(found), whole=len(found) < deep)

    def _lexical(self, call: SearchCall, deep: int, among: frozenset[str] | None) -> Leg:
        if call.mode is SearchMode.DENSE:
            return Leg()
        found = self._chunks.words.search(call.query, limit=deep, among=among)
        return Leg(hits=tuple((hit.chunk_id, hit.score) for hit in found), whole=len(found) < deep)

    def _chosen(self, ranked: Sequence[Fused], call: SearchCall) -> Sequence[Fused]:
        if call.diversity <= 0:
            return ranked[: call.limit]
        vectors = self._chunks.vectors([hit.chunk_id for hit in ranked])
        hits = [hit for hit in ranked if hit.chunk_id in vectors]
        if not hits:
            return ()
        order = diversify(
            [hit.score for hit in hits],
            np.stack([vectors[hit.chunk_id] for hit in hits]),
            limit=call.limit,
            diversity=call.diversity,
        )
        return [hits[place] for place in order]

    def _passages(self, hits: Sequence[Fused]) -> tuple[Passage, ...]:
        stored = self._chunks.chunks([hit.chunk_id for hit in hits])
        found = []
        for hit in hits:
            chunk = stored.get(hit.chunk_id)
            if chunk is not None:
                source = self._ledger.find(chunk.document_id).document.source
                named = chunk if chunk.source == source else replace(chunk, source=source)
                found.append(Passage(chunk=named, score=hit.score, cosine=hit.cosine, bm25=hit.bm25))
        return tuple(found)


def _ranked(call: SearchCall, dense: Leg, lexical: Leg) -> list[Fused]:
    if call.mode is SearchMode.HYBRID:
        return fuse(dense.hits, lexical.hits, weights=call.weights)
    return alone(dense=dense.hits, lexical=lexical.hits)
