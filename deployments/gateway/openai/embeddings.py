"""Embeddings: inputs are checked, vectors written as floats or base64."""

import base64
import json
from typing import Any

from fastapi import Request
from starlette.responses import Response

from cluster.errors import BadRequest, ModelNotFound, UnsupportedParameter
from cluster.settings import Settings
from cluster.types import EmbeddingCall, Embeddings
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.parsing import parse
from deployments.gateway.wire import EmbeddingRequest

EMBEDDING_TIMEOUT_S = 120.0


class EmbeddingInputs:
    """Embeddings: checks the inputs, and writes floats or base64."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._embedder = backends.embedder
        self._limit = settings.limits.max_embedding_inputs
        self._characters = settings.limits.max_embedding_characters
        self._chat_models = frozenset(backends.models)
        self.model_id = settings.embedding_models[0].id if settings.embedding_models else None

    async def create(self, request: Request) -> Response:
        """Answer one request. Raises BadRequest, ModelNotFound, UnsupportedParameter."""
        wanted = parse(EmbeddingRequest, await request.body())
        if wanted.model in self._chat_models:
            raise BadRequest(f"{wanted.model} is a chat model", hint="it has no embeddings", param="model")
        if self._embedder is None or wanted.model != self.model_id:
            raise ModelNotFound(
                f"The model {wanted.model[:128]!r} does not exist here",
                hint=f"served for embeddings: {self.model_id or 'none'}",
                param="model",
            )
        inputs = self._inputs(wanted.input)
        card = await self._embedder.card()
        if wanted.dimensions not in (None, card.capabilities.dimensions):
            raise UnsupportedParameter(
                f"{wanted.model} cannot shorten its {card.capabilities.dimensions} dimensions",
                hint="leave dimensions out",
                param="dimensions",
            )
        call = EmbeddingCall(inputs=inputs, request_id=request.state.request_id)
        result = await lifetimes.while_connected(request, self._embedder.embed(call), timeout_s=EMBEDDING_TIMEOUT_S)
        return _embedding_response(wanted, result)

    def _inputs(self, given: str | list[str] | list[int] | list[list[int]]) -> Any:
        if isinstance(given, str):
            items: list[Any] = [given]
        elif given and all(isinstance(item, int) for item in given):
            items = [tuple(given)]
        else:
            items = [item if isinstance(item, str) else tuple(item) for item in given]  # type: ignore[arg-type]
        if not items:
            raise BadRequest("input is empty", hint="send a text or a list of texts", param="input")
        if len(items) > self._limit:
            raise BadRequest(f"{len(items)} inputs are over the limit of {self._limit}", param="input")
        if (size := sum(map(len, items))) > self._characters:
            raise BadRequest(
                f"The input has {size} characters or tokens, over the limit of {self._characters}",
                hint="send it in several requests",
                param="input",
            )
        for place, item in enumerate(items):
            if not item:
                param = "input" if isinstance(given, str) else f"input[{place}]"
                raise BadRequest(f"{param} is an empty text", hint="every input needs a character", param=param)
        return tuple(items)


def _embedding_response(wanted: EmbeddingRequest, result: Embeddings) -> Response:
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
        "model": wanted.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    headers = {"x-heliostat-truncated-inputs": str(result.truncated)} if result.truncated else None
    return Response(json.dumps(content), media_type="application/json", headers=headers)
