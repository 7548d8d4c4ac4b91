"""A collection of the running cluster, asked over HTTP as any client asks it."""

import json
import time
from typing import TYPE_CHECKING, Any

from cluster.config import credentials
from cluster.errors import BadRequest, ClusterError, CollectionNotFound, NotRunning
from pipelines.documents.evaluation.ranking import Hit
from pipelines.documents.evaluation.run import Mode

if TYPE_CHECKING:
    import httpx
    import numpy as np
    from numpy.typing import NDArray

TIMEOUT_S = 120.0  # of a request: a first search may load an index
PATIENCE_S = 120.0  # with limits and restarts, of one request
PAUSE_S = 1.0  # where the server does not say how long
TRANSIENT = frozenset({429, 502, 503})


class ServedCollection:
    """Searches one collection. rerank: the model that mode `rerank` orders by. embedder: the collection's.

    Raises NotRunning where nobody answers, and ClusterError for what only the operator can put right.
    """

    def __init__(
        self,
        url: str,
        collection: str,
        *,
        embedder: str,
        rerank: str | None = None,
        transport: "httpx.BaseTransport | None" = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        import httpx

        self._client = httpx.Client(
            base_url=url.rstrip("/"), headers=credentials(), timeout=TIMEOUT_S, transport=transport
        )
        self._url = url
        self._collection = collection
        self._embedder = embedder
        self._rerank = rerank
        self._pause_s = pause_s

    def search(self, query: str, *, mode: Mode, limit: int, per_document: int | None) -> tuple[Hit, ...]:
        """Passages, best first. Raises BadRequest for a query that is refused."""
        body: dict[str, Any] = {"query": query, "limit": limit, "collection": self._collection}
        body["mode"] = (Mode.HYBRID if mode is Mode.RERANK else mode).value
        if mode is Mode.RERANK:
            body["rerank"] = self._rerank
        if per_document is not None:
            body["per_document"] = per_document
        return tuple(
            Hit(
                document_id=passage["document_id"],
                start=passage["start"],
                end=passage["end"],
                score=passage["score"],
            )
            for passage in self._post("/api/v1/rag/search", body)["passages"]
        )

    def embed(self, text: str) -> "NDArray[np.float32]":
        """The vector of a text, of unit length."""
        import numpy as np

        body = {"model": self._embedder, "input": text, "encoding_format": "float"}
        return np.asarray(self._post("/v1/embeddings", body)["data"][0]["embedding"], dtype=np.float32)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        import httpx

        content = json.dumps(body).encode()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                response = self._client.post(path, content=content, headers={"content-type": "application/json"})
            except httpx.TransportError as error:
                raise NotRunning(f"{self._url} does not answer: {error}", hint="heliostat status") from None
            if response.status_code not in TRANSIENT or time.monotonic() > deadline:
                break
            time.sleep(_advised(response.headers.get("retry-after"), self._pause_s))
        answer = _object(response)
        if response.status_code == 200 and answer is not None:
            return answer
        raise self._refused(response.status_code, answer)

    def _refused(self, status: int, answer: dict[str, Any] | None) -> Exception:
        told = (answer or {}).get("error")
        if not isinstance(told, dict):
            return ClusterError(f"{self._url} answered {status}", hint="is this Heliostat's URL?")
        message, hint = str(told.get("message")), told.get("hint")
        if status == 400:
            return BadRequest(message, hint=hint)
        if told.get("code") == CollectionNotFound.code:
            return ClusterError(message, hint="with authentication on, HELIOSTAT_API_KEY must be an admin's")
        return ClusterError(f"the server answered {status}: {message}", hint=hint)


def _advised(header: str | None, otherwise: float) -> float:
    try:
        return max(float(header or otherwise), 0.0)
    except ValueError:  # a date: nothing of ours sends one
        return otherwise


def _object(response: "httpx.Response") -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
