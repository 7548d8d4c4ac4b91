"""The vector store's owner as a pipeline calls it: a Serve handle by name, blocking, patient with a restart."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from cluster.errors import HeliostatError, Unavailable
from cluster.types import Chunk, Document, EmbedderIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPLOYMENT = "VectorStore"
PATIENCE_S = 60.0  # a killed owner is back within about 10 s; every call may be made twice, as ids decide
PAUSE_S = 1.0


class Vectors(Protocol):
    """What a pipeline needs of a vector store; see cluster.stores.vectors.VectorStore."""

    def held(self, document_id: str, *, chunker: str) -> Document | None: ...  # noqa: D102

    def missing(self, ids: Sequence[str]) -> list[str]: ...  # noqa: D102

    def upsert(  # noqa: D102
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None: ...

    def publish(self, document: Document, *, chunker: str) -> None: ...  # noqa: D102


class Owner:
    """The owner deployment of one application. Raises its errors, and Unavailable when it stays away."""

    def __init__(self, application: str) -> None:
        # A handle in Ray's throughput mode only works on an event loop, so there is one for it in a thread.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vector-owner", daemon=True).start()
        self._application = application
        self._handle: Any = None

    def held(self, document_id: str, *, chunker: str) -> Document | None:
        """The published document, where it was cut by this chunker."""
        return cast("Document | None", self._call(lambda owner: owner.held.remote(document_id, chunker=chunker)))

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return cast("list[str]", self._call(lambda owner: owner.missing.remote(list(ids))))

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their vectors."""
        self._call(lambda owner: owner.upsert.remote(tuple(chunks), vectors, chunker=chunker, identity=identity))

    def publish(self, document: Document, *, chunker: str) -> None:
        """Make a document visible under its source."""
        self._call(lambda owner: owner.publish.remote(document, chunker=chunker))

    def _call(self, send: Callable[[Any], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(self._ask(send), self._loop).result()
            except Exception as error:  # the border of the process: everything is translated here, once
                ours = _translated(error)
                if not isinstance(ours, Unavailable) or time.monotonic() > deadline:
                    raise ours from error
                time.sleep(PAUSE_S)

    async def _ask(self, send: Callable[[Any], Any]) -> Any:
        if self._handle is None:
            from ray import serve

            self._handle = serve.get_deployment_handle(DEPLOYMENT, self._application)
        return await send(self._handle)


def _translated(error: Exception) -> Exception:
    from ray.exceptions import RayActorError, RayTaskError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

    if isinstance(error, RayTaskError) and isinstance(error.cause, HeliostatError):
        return error.cause
    if isinstance(error, RayActorError | DeploymentUnavailableError | BackPressureError | RayServeException):
        return Unavailable(f"The vector store's owner is away: {type(error).__name__}", hint="heliostat status")
    return error
