"""Passages put into a model's own order: whatever `/v1/rerank` takes ranks them here, too."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.documents import Passage
from cluster.errors import HeliostatError
from deployments.gateway.openai.scoring import Scoring
from deployments.gateway.principal import Asker


class Reranking:
    """Ranks by a model that the client names."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    async def order(self, model: str, query: str, passages: Sequence[Passage], asker: Asker) -> tuple[Passage, ...]:
        """The passages, best first, each with the model's score. Raises ModelNotFound, BadRequest."""
        try:
            card = await self._scoring.card(model, asker.principal)
        except HeliostatError as error:
            error.param = "rerank"
            raise
        if not passages:
            return ()
        found = await self._scoring.scored(card, [query], [passage.chunk.text for passage in passages], asker)
        order = sorted(range(len(passages)), key=lambda place: -found.values[place])
        return tuple(replace(passages[place], score=found.values[place]) for place in order)
