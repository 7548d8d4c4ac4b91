"""How close texts are: by a cross-encoder, which reads two together, or by the cosine of their embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import BadRequest
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.types import ModelCard, ScoreCall, Task
from deployments.clients import Backends
from deployments.gateway.chats import Chats
from deployments.gateway.limits import usage
from deployments.gateway.openai.embeddings import EmbeddingInputs, embedding_inputs
from deployments.gateway.principal import Asker, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """values: of each pair, higher is closer. tokens: that were read. truncated: texts, or pairs, that were cut."""

    values: tuple[float, ...]
    tokens: int
    truncated: int


class Scoring:
    """Scores texts by the model that the client names."""

    def __init__(self, backends: Backends, embeddings: EmbeddingInputs, settings: Settings) -> None:
        self._rerankers = backends.rerankers
        self._embeddings = embeddings
        self._auto = settings.routing.auto.enabled

    async def card(self, model_id: str, principal: Principal) -> ModelCard:
        """The model's card. Raises BadRequest for a chat model, ModelNotFound for any other that is not here."""
        rankers = [name for name in self._rerankers if principal.may_ask(name)]
        if model_id == AUTO and self._auto and rankers:
            model_id = rankers[0]
        if model_id in rankers:
            return await self._rerankers[model_id].card()
        try:
            return await self._embeddings.card(model_id, principal)
        except BadRequest as error:
            error.hint = "it ranks nothing; name a cross-encoder or an embedder: GET /v1/models lists them"
            raise

    async def scored(self, card: ModelCard, first: Sequence[str], second: Sequence[str], asker: Asker) -> Scored:
        """Each of `first` with that of `second` beside it; one alone goes with all of them.

        Raises BadRequest, which names a text by its place among both lists: `input[3]`.
        """
        inputs = self._embeddings.checked([*first, *second])
        if card.capabilities.task is Task.RERANK:
            return await self._paired(card, inputs, len(first), asker)
        found = await self._embeddings.embedded(
            card, inputs, request_id=asker.request_id, principal=asker.principal
        )
        ones, others = found.vectors[: len(first)], found.vectors[len(first) :]
        cosines = (ones * others).sum(axis=1)  # of unit vectors; one row goes with all
        return Scored(values=tuple(map(float, cosines)), tokens=sum(found.tokens), truncated=found.truncated)

    async def _paired(self, card: ModelCard, inputs: tuple[str, ...], count: int, asker: Asker) -> Scored:
        reranker = self._rerankers[card.id]
        call = ScoreCall(first=inputs[:count], second=inputs[count:], request_id=asker.request_id)
        again = len(call.second) if count == 1 else 1  # a query is read anew with each document
        estimate = usage.of_inputs([*call.first * again, *call.second])
        found = await self._embeddings.in_turn(
            card.id, asker.principal, lambda: reranker.score(call), estimate=estimate
        )
        return Scored(values=tuple(map(float, found.values)), tokens=sum(found.tokens), truncated=found.truncated)


def open_scoring(backends: Backends, settings: Settings, chats: Chats) -> Scoring:
    """That of an app, under the limits that its chats are under."""
    return Scoring(backends, embedding_inputs(backends, settings, chats), settings)
