"""Processes a chat's embeddings away from the event loop, one request at a time, and keeps what that cost."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fastapi import Request
from sqlalchemy import Engine

from cluster.errors import DatabaseAway, ModelNotFound
from cluster.settings.tree import Settings
from cluster.stores.chat_metrics import ChatMetrics, ChatMetricsStore, Step
from deployments.gateway import lifetimes
from deployments.gateway.embedding_processing.machine import memory
from deployments.gateway.embedding_processing.wire import ProcessBody, array, check_count
from deployments.gateway.openai.embeddings import EmbeddingInputs
from deployments.gateway.principal import principal_of
from pipelines.embeddings.process import Processed, Warned, fitting, process
from pipelines.embeddings.products import products

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """processed, and of texts: the model that embedded them, its tokens, how many texts it cut."""

    processed: Processed
    took_ms: float
    warnings: tuple[Warned, ...]
    model: str | None = None
    tokens: int = 0
    truncated: int = 0


class _Stopped(Exception):
    """Nobody waits for the result any more."""


class Desk:
    """What the routes do. inputs: how texts are embedded."""

    def __init__(self, settings: Settings, inputs: EmbeddingInputs, engine: Engine) -> None:
        self.settings = settings.processing
        self._inputs = inputs
        self._store = ChatMetricsStore(engine)
        # One thread: a comparison takes all of the processor that it is given, and others answer meanwhile.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")

    async def process(self, request: Request, wanted: ProcessBody) -> Done:
        """Process one request. Raises BadRequest, ModelNotFound, GenerationTimeout, and what embedding raises."""
        owner, began = principal_of(request).owner, time.monotonic()
        try:
            done = await self._process(request, wanted, began)
        except BaseException:
            await self._keep(owner, wanted.chat_id, Step(failed=True))
            raise
        found = done.processed
        step = Step(
            embeddings=len(found.unit),
            chunks=found.chunks,
            chunk_vectors=found.chunk,
            took_ms=done.took_ms,
            device=found.device,
        )
        await self._keep(owner, wanted.chat_id, step)
        return done

    async def metrics(self, owner: str, chat_id: str | None) -> tuple[int, ChatMetrics]:
        """Of how many chats, and their sum: of one chat, or of all that an owner has."""
        await asyncio.to_thread(partial(self._store.forget, older_than_s=self.settings.keep_s))
        if chat_id is None:
            return await asyncio.to_thread(self._store.all_of, owner)
        return 1, await asyncio.to_thread(self._store.of, owner, chat_id)

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _process(self, request: Request, wanted: ProcessBody, began: float) -> Done:
        model, tokens, truncated = None, 0, 0
        if wanted.texts is not None:
            check_count(len(wanted.texts), self.settings, "texts")
            name = wanted.model or self._inputs.model_id
            if name is None:
                raise ModelNotFound("No embedding model is served here", hint="send embeddings, not texts")
            card = await self._inputs.card(name, principal_of(request))
            embedded = await self._inputs.vectors(request, card, self._inputs.checked(wanted.texts, param="texts"))
            vectors, model = embedded.vectors, card.id
            tokens, truncated = sum(embedded.tokens), embedded.truncated
        else:
            assert wanted.embeddings is not None  # one of the two is there
            vectors = await asyncio.to_thread(array, wanted.embeddings, self.settings)
        work = self._compare(vectors, wanted)
        processed, warnings = await lifetimes.while_connected(request, work, timeout_s=self.settings.timeout_s)
        took_ms = (time.monotonic() - began) * 1000
        if truncated:
            message = f"{truncated} texts are longer than {model} reads, and were cut"
            warnings = (*warnings, Warned(code="texts_truncated", message=message))
        if took_ms > self.settings.warn_ms:
            message = f"it took {took_ms:.0f} ms; {self.settings.warn_ms:.0f} are thought to be enough"
            warnings = (*warnings, Warned(code="slow", message=message))
        return Done(
            processed=processed, took_ms=took_ms, warnings=warnings, model=model, tokens=tokens, truncated=truncated
        )

    async def _compare(
        self, vectors: "NDArray[np.float32]", wanted: ProcessBody
    ) -> tuple[Processed, tuple[Warned, ...]]:
        settings, machine = self.settings, memory()
        asked = wanted.chunk_size or settings.chunk_vectors
        chunk = fitting(asked, dimensions=vectors.shape[1], free_bytes=machine.free)
        warnings: list[Warned] = []
        if chunk < asked:
            warnings.append(Warned(code="chunk_reduced", message=f"memory is short: chunks of {chunk} vectors"))
        if machine.used > settings.warn_memory:
            warnings.append(Warned(code="memory_high", message=f"{machine.used:.0%} of the memory is in use"))
        stopped = threading.Event()

        def go_on() -> None:
            if stopped.is_set():
                raise _Stopped

        work = partial(
            process,
            vectors,
            products(settings.gpus),
            chunk=chunk,
            double=settings.duplicate_cosine if wanted.duplicate_threshold is None else wanted.duplicate_threshold,
            most_doubles=settings.max_duplicates,
            go_on=go_on,
        )
        try:
            processed = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            stopped.set()
        return processed, (*warnings, *processed.warnings)

    async def _keep(self, owner: str, chat_id: str, step: Step) -> None:
        try:
            await asyncio.to_thread(self._store.add, owner, chat_id, step)
        except DatabaseAway:  # the answer is worth more than its metrics
            return
