"""Embeddings in the cache, one entry for each text: a request asks the model only for those that are not there."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cluster.types import EmbeddingCall, Embeddings
from deployments.gateway.cache.http import HIT, MISS, visit
from deployments.gateway.cache.keys import embedding_key
from deployments.gateway.cache.store import CacheStore
from deployments.gateway.metrics import Metrics, NoMetrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKENS = struct.Struct("<I")  # before each vector's little-endian float32


class VectorCache:
    """Embeddings of one gateway. configured: each model's settings, as text."""

    def __init__(self, store: CacheStore, configured: Mapping[str, str], *, metrics: Metrics | None = None) -> None:
        self._store = store
        self._configured = configured
        self._metrics = metrics or NoMetrics()
        self._storing: set[asyncio.Task[None]] = set()

    async def embed(
        self,
        call: EmbeddingCall,
        ask: Callable[[EmbeddingCall], Awaitable[Embeddings]],
        *,
        owner: str,
        model: str,
        revision: str,
    ) -> Embeddings:
        """The embeddings of a call; a hit where `ask` was not needed for any of its inputs."""
        this = visit()
        if not this.store:
            return await ask(call)
        told = {"owner": owner, "model": model, "revision": revision, "configured": self._configured.get(model, "")}
        keys = [embedding_key(text, **told) for text in call.inputs]
        found = await self._store.get(keys) if this.lookup else [None] * len(keys)
        missing = [place for place, value in enumerate(found) if value is None]
        this.outcome = MISS if missing else HIT
        self._metrics.cached(model, outcome=this.outcome)
        if len(missing) == len(keys):
            made = await ask(call)
            self._keep(keys, made)
            return made
        parts = [None if value is None else _read(value) for value in found]
        truncated = 0
        if missing:
            rest: Any = tuple(call.inputs[place] for place in missing)  # of one kind, as the call's own
            made = await ask(replace(call, inputs=rest))
            self._keep([keys[place] for place in missing], made)
            truncated = made.truncated
            for row, place in enumerate(missing):
                parts[place] = (made.tokens[row], made.vectors[row])
        return _joined([part for part in parts if part is not None], truncated)

    async def settled(self) -> None:
        """Wait until all that is being stored is."""
        await asyncio.gather(*self._storing)

    def _keep(self, keys: list[str], made: Embeddings) -> None:
        if made.truncated:  # which of them were is not known, and a hit must say it too
            return
        values = {
            key: TOKENS.pack(tokens) + vector.astype("<f4").tobytes()
            for key, tokens, vector in zip(keys, made.tokens, made.vectors, strict=True)
        }
        task = asyncio.get_running_loop().create_task(self._store.put(values))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)


def _read(value: bytes) -> "tuple[int, NDArray[np.float32]]":
    import numpy as np

    return TOKENS.unpack_from(value)[0], np.frombuffer(value, dtype="<f4", offset=TOKENS.size)


def _joined(parts: list[Any], truncated: int) -> Embeddings:
    import numpy as np

    tokens, vectors = zip(*parts, strict=True)
    return Embeddings(vectors=np.stack(vectors), tokens=tokens, truncated=truncated)
