"""Embeddings: inputs are checked, vectors written as floats or base64."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from cluster.engines.remote.providers import Providers
from cluster.errors import BadRequest, ModelNotFound, UnsupportedParameter
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.types import EmbeddingCall, Embeddings, ModelCard, Priority, Scores, Usage
from deployments.clients import Backends, Embedder
from deployments.gateway import lifetimes
from deployments.gateway.cache.build import Caches
from deployments.gateway.chats import Chats
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Gate
from deployments.gateway.model_records.visit import NoRecords, Records, Visit
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from deployments.gateway.providers.embedder import ProvidedEmbedder
from deployments.gateway.retries import Retries
from deployments.gateway.wire import EmbeddingRequest

EMBEDDING_TIMEOUT_S = 120.0

Answer = TypeVar("Answer", Embeddings, Scores)


class EmbeddingInputs:
    """Embeddings: checks the inputs, and writes floats or base64."""

    def __init__(
        self,
        backends: Backends,
        settings: Settings,
        *,
        retries: Retries,
        caches: Caches | None,
        gate: Gate,
        records: Records | None = None,
    ) -> None:
        self._records = records or NoRecords()
        self._embedder = backends.embedder
        self._rerankers = backends.rerankers
        self._retries = retries
        self._caches = caches
        self._gate = gate
        self._limit = settings.limits.max_embedding_inputs
        self._characters = settings.limits.max_embedding_characters
        self._chat_models = backends.models
        self._providers = backends.providers or Providers(settings)
        self._auto = settings.routing.auto.enabled
        self.model_id = settings.embedding_models[0].id if settings.embedding_models else None

    async def create(self, request: Request) -> Response:
        """Answer one request. Raises BadRequest, ModelNotFound, UnsupportedParameter."""
        wanted = parse(EmbeddingRequest, await request.body())
        card = await self.card(wanted.model, principal_of(request))
        inputs = self.checked(wanted.input)
        if wanted.dimensions not in (None, card.capabilities.dimensions):
            raise UnsupportedParameter(
                f"{wanted.model} cannot shorten its {card.capabilities.dimensions} dimensions",
                hint="leave dimensions out",
                param="dimensions",
            )
        return _embedding_response(wanted, card, await self.vectors(request, card, inputs))

    async def card(self, model_id: str, principal: Principal) -> ModelCard:
        """The embedding model's card. Raises BadRequest for a chat model, ModelNotFound for any other."""
        if model_id == AUTO and self._auto and principal.may_ask(self.model_id or ""):
            model_id = self.model_id or AUTO  # there is one, or none
        may_ask, embedder = principal.may_ask(model_id), self._embedder_of(model_id)
        if may_ask and model_id in self._rerankers:
            raise BadRequest(f"{model_id} is a reranking model", hint="POST /v1/rerank", param="model")
        if may_ask and embedder is None and model_id in self._chat_models:
            raise BadRequest(f"{model_id} is a chat model", hint="it has no embeddings", param="model")
        if embedder is None or not may_ask:
            served = self.model_id if self.model_id and principal.may_ask(self.model_id) else "none"
            raise ModelNotFound(
                f"The model {model_id[:128]!r} does not exist here",
                hint=f"served for embeddings: {served}",
                param="model",
            )
        return await embedder.card()

    def _embedder_of(self, model_id: str) -> Embedder | None:
        """Ours, or a provider's."""
        if model_id == self.model_id:
            return self._embedder
        found = self._providers.find(model_id)
        return ProvidedEmbedder(*found) if found is not None and found[0].embeds(found[1]) else None

    async def vectors(self, request: Request, card: ModelCard, inputs: Any) -> Embeddings:
        """The embeddings of checked inputs; a hang-up of the client ends it."""
        request_id, principal = request.state.request_id, principal_of(request)
        work = self.embedded(card, inputs, request_id=request_id, principal=principal)
        return await lifetimes.while_connected(request, work, timeout_s=EMBEDDING_TIMEOUT_S)

    async def embedded(self, card: ModelCard, inputs: Any, *, request_id: str, principal: Principal) -> Embeddings:
        """The same within a request that somebody else watches."""
        embedder = self._embedder_of(card.id)
        assert embedder is not None
        return await self._embed(embedder, EmbeddingCall(inputs=inputs, request_id=request_id), card, principal)

    async def _embed(
        self, embedder: Embedder, call: EmbeddingCall, card: ModelCard, principal: Principal
    ) -> Embeddings:
        async def ask(call: EmbeddingCall) -> Embeddings:
            estimate = usage.of_inputs(call.inputs)
            return await self.in_turn(card.id, principal, lambda: embedder.embed(call), estimate=estimate)

        if self._caches is None:
            return await ask(call)
        return await self._caches.vectors.embed(
            call, ask, owner=principal.owner, model=card.id, revision=card.revision
        )

    async def in_turn(
        self, model_id: str, principal: Principal, ask: Callable[[], Awaitable[Answer]], *, estimate: usage.Estimate
    ) -> Answer:
        """What a model answers, within the limits of who asks and in its turn; tried again where that helps.

        The answer says how many tokens it took in the end.
        """
        # The limits of who asks are outside of the visit: what they refuse never came to the model.
        async with self._gate.account(principal, priority=Priority.INTERACTIVE, estimate=estimate) as admission:
            with Visit(self._records, model_id, estimate=estimate, limit_s=EMBEDDING_TIMEOUT_S) as visit:
                async with self._gate.place(admission, model_id):
                    result = await self._retries.whole(model_id, ask)
                admission.used = sum(result.tokens)
                visit.usage = Usage(prompt_tokens=admission.used)
                return result

    def checked(self, given: str | list[str] | list[int] | list[list[int]], *, param: str = "input") -> Any:
        """The inputs as a call has them. Raises BadRequest for none, too many, too long or empty ones.

        param: the field that they came in.
        """
        if isinstance(given, str):
            items: list[Any] = [given]
        elif given and all(isinstance(item, int) for item in given):
            items = [tuple(given)]
        else:
            items = [item if isinstance(item, str) else tuple(item) for item in given]  # type: ignore[arg-type]
        if not items:
            raise BadRequest(f"{param} is empty", hint="send a text or a list of texts", param=param)
        if len(items) > self._limit:
            raise BadRequest(f"{len(items)} inputs are over the limit of {self._limit}", param=param)
        if (size := sum(map(len, items))) > self._characters:
            raise BadRequest(
                f"The {param} has {size} characters or tokens, over the limit of {self._characters}",
                hint="send it in several requests",
                param=param,
            )
        for place, item in enumerate(items):
            if not item:
                where = param if isinstance(given, str) else f"{param}[{place}]"
                raise BadRequest(f"{where} is an empty text", hint="every input needs a character", param=where)
        return tuple(items)


def embedding_inputs(backends: Backends, settings: Settings, chats: Chats) -> EmbeddingInputs:
    """Those of an app, under the limits that its chats are under."""
    return EmbeddingInputs(
        backends, settings, retries=chats.retries, caches=chats.caches, gate=chats.gate, records=chats.records
    )


def _embedding_response(wanted: EmbeddingRequest, card: ModelCard, result: Embeddings) -> Response:
    def written(row: Any) -> Any:
        if wanted.encoding_format == "base64":
            return base64.b64encode(row.astype("<f4").tobytes()).decode()
        return row.tolist()

    tokens = sum(result.tokens)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": written(row)}
            for index, row in enumerate(result.vectors)
        ],
        "model": card.id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    headers = {"x-heliostat-truncated-inputs": str(result.truncated)} if result.truncated else None
    return Response(json.dumps(content), media_type="application/json", headers=headers)
