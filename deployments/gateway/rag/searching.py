"""Passages for a question: of somebody's collection, filtered, judged, and put into a model's order."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cluster.documents import EQUAL, LegWeights, Passage, SearchCall, SearchMode
from cluster.errors import BadRequest
from cluster.filters import parse_filter
from cluster.retrieval.fusion import CANDIDATES
from cluster.retrieval.relevance import Judged, judge
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from deployments.clients import Backends, Retriever
from deployments.gateway.chats import Chats
from deployments.gateway.openai.scoring import open_scoring
from deployments.gateway.principal import Asker, Principal, Role
from deployments.gateway.rag.reranking import Reranking
from deployments.gateway.rag.wire import SearchRequest


class Directory(Protocol):
    """Which collection somebody means; see deployments.gateway.collections.directory.Collections."""

    async def resolve(self, owner: str, name_or_id: str | None, *, operator: bool = False) -> str:
        """The collection's name in the vector store. Raises CollectionNotFound."""
        ...


class Searches:
    """Searches the documents for the gateway."""

    def __init__(
        self, retriever: Retriever, collections: Directory, reranking: Reranking, settings: DocumentSettings
    ) -> None:
        self._retriever = retriever
        self._collections = collections
        self._reranking = reranking
        self._settings = settings

    async def find(self, wanted: SearchRequest, asker: Asker) -> tuple[Judged, ...]:
        """The best passages, best first.

        Raises BadRequest, CollectionNotFound, ModelNotFound for `rerank`, and EmbedderMismatch.
        """
        limit = wanted.limit or self._settings.passages
        where = _where(wanted)
        if wanted.rerank is not None and wanted.diversity:
            hint = "leave one of them out"
            raise BadRequest("rerank and diversity are two orders of the same passages", hint=hint, param="rerank")
        if wanted.weights is not None and wanted.mode not in (None, SearchMode.HYBRID):
            hint = "leave one of them out"
            raise BadRequest(
                f"weights are of a hybrid search, and mode is {wanted.mode}", hint=hint, param="weights"
            )
        call = SearchCall(
            query=wanted.query,
            limit=limit if wanted.rerank is None else max(limit, CANDIDATES),
            collection=await self.collection(wanted.collection, asker.principal),
            mode=SearchMode(wanted.mode or SearchMode.HYBRID),
            where=where,
            diversity=wanted.diversity or 0.0,
            per_document=wanted.per_document,
            weights=EQUAL if wanted.weights is None else LegWeights(**wanted.weights.model_dump()),
        )
        found: Sequence[Passage] = await self._retriever.search(call)
        if wanted.rerank is not None:
            found = await self._reranking.order(wanted.rerank, wanted.query, found, asker)
        judged = judge(wanted.query, found[:limit])
        if wanted.min_score is None:
            return judged
        return tuple(one for one in judged if one.evidence >= wanted.min_score)

    async def collection(self, name_or_id: str | None, principal: Principal) -> str:
        """A collection's name in the vector store; None: the shared one. Raises CollectionNotFound."""
        operator = principal.role is Role.ADMIN
        return await self._collections.resolve(principal.owner, name_or_id, operator=operator)


def open_searches(backends: Backends, settings: Settings, chats: Chats, collections: Directory) -> Searches:
    """What searches the documents of an app that has any."""
    assert backends.retriever is not None  # without an embedder the app has no documents
    reranking = Reranking(open_scoring(backends, settings, chats))
    return Searches(backends.retriever, collections, reranking, settings.documents)


def _where(wanted: SearchRequest) -> Mapping[str, Any] | None:
    """The filter and the tags as one filter. Raises BadRequest that names the place."""
    name = "where" if wanted.where is not None else "filters"
    given = wanted.where if wanted.where is not None else wanted.filters
    if given is not None:
        parse_filter(given, param=name)
    parts: list[Mapping[str, Any]] = [] if given is None else [given]
    parts += [{"type": "eq", "key": "tags", "value": tag} for tag in dict.fromkeys(wanted.tags or ())]
    if len(parts) < 2:
        return parts[0] if parts else None
    both = {"type": "and", "filters": parts}
    parse_filter(both, param=name)  # one level deeper than what was sent, and that may be too deep
    return both
