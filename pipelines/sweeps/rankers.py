"""Who puts a sweep's passages into their own order: a cross-encoder, or the embedder, by name.

What `rerank` of `POST /api/v1/rag/query` takes. A cross-encoder reads question and passage together; the embedder's
score is the cosine of the two.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from cluster.catalog import deployment_name
from cluster.errors import ModelNotFound
from cluster.serve_errors import translate
from cluster.types import EmbeddingCall, ScoreCall
from pipelines.sweeps.spec import SweepSpec


def check_rankers(spec: SweepSpec, served: Sequence[str]) -> None:
    """Raises ModelNotFound for a `retrieval.rerank` that is none of those that rank."""
    axis = spec.retrieval.axes.get("rerank") if spec.retrieval is not None else None
    for model in [axis.at(place) for place in range(axis.count)] if axis is not None else []:
        if model is not None and model not in served:
            hint = f"these rank: {', '.join(served) or 'none'}"
            raise ModelNotFound(f"The model {model!r} ranks nothing here", hint=hint, param="retrieval.rerank")


class ServedRankers:
    """The rankers of the application; made inside the loop that uses them. embedder: the embedding model's id."""

    def __init__(self, application: str, embedder: str | None) -> None:
        self._application = application
        self._embedder = embedder
        self._handles: dict[str, Any] = {}

    async def rank(self, model: str, query: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, higher is closer. Raises what the model raises."""
        request_id = f"rank-{secrets.token_hex(4)}"
        try:
            if model == self._embedder:
                call = EmbeddingCall(inputs=(query, *texts), request_id=request_id)
                vectors = (await self._handle("Embedder").embed.remote(call)).vectors
                return [float(value) for value in vectors[1:] @ vectors[0]]
            pairs = ScoreCall(first=(query,), second=tuple(texts), request_id=request_id)
            found = await self._handle(deployment_name(model)).score.remote(pairs)
            return [float(value) for value in found.values]
        except Exception as error:  # the border of the process
            raise translate(error) from error

    def _handle(self, name: str) -> Any:
        if name not in self._handles:
            from ray import serve

            self._handles[name] = serve.get_deployment_handle(name, self._application)
        return self._handles[name]
