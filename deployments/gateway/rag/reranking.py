"""Passages put into a model's own order: whatever `/v1/rerank` takes ranks them here, too."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.errors import HeliostatError
from cluster.types import Passage
from deployments.gateway.openai.embeddings import EmbeddingInputs
from deployments.gateway.principal import Principal

CANDIDATES = 50  # that a model reads to find the best: a good passage is seldom further down


class Reranking:
    """Ranks by a model that the client names."""

    def __init__(self, embeddings: EmbeddingInputs) -> None:
        self._embeddings = embeddings

    async def order(
        self, model: str, query: str, passages: Sequence[Passage], *, request_id: str, principal: Principal
    ) -> tuple[Passage, ...]:
        """The passages, best first, each with the model's score. Raises ModelNotFound, BadRequest."""
        try:
            card = await self._embeddings.card(model, principal)
        except HeliostatError as error:
            error.param = "rerank"
            raise
        if not passages:
            return ()
        inputs = self._embeddings.checked([query, *(passage.chunk.text for passage in passages)])
        found = await self._embeddings.embedded(card, inputs, request_id=request_id, principal=principal)
        scores = [float(score) for score in found.vectors[1:] @ found.vectors[0]]
        order = sorted(range(len(scores)), key=lambda place: -scores[place])
        return tuple(replace(passages[place], score=scores[place]) for place in order)
